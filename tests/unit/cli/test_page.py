"""The HTML answer: one file that loads nothing, runs nothing and cannot be broken by a name."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from yunchi_operator.cli import markup, packing_map
from yunchi_operator.cli.main import cli

EVIL = "<script>alert(1)</script>\"'&\u202e"
VOID = {"meta", "rect", "!doctype"}


class Reader(HTMLParser):
    """Collects tags, and finds those that are not closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.open: list[str] = []
        self.texts: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def node(name: str, pool: str = "p") -> dict[str, Any]:
    status = {"allocatable": {"cpu": "8", "memory": "16Gi", "pods": "110"}}
    meta = {"name": name, "labels": {"pool": pool, "topology.kubernetes.io/zone": EVIL}}
    return {"apiVersion": "v1", "kind": "Node", "metadata": meta, "status": status}


def pod(name: str, home: str = "", cpu: str = "1", namespace: str = "tax") -> dict[str, Any]:
    owners = [{"kind": "ReplicaSet", "name": "x", "controller": True}]
    container = {"name": "c", "resources": {"requests": {"cpu": cpu}}}
    spec: dict[str, Any] = {"schedulerName": "yunchi", "containers": [container]} | ({"nodeName": home} if home else {})
    meta = {"name": name, "namespace": namespace, "ownerReferences": owners}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec}


def pages(tmp_path: Path, objects: list[dict[str, Any]], *options: str) -> str:
    path = tmp_path / "in.json"
    path.write_text("\n".join(map(json.dumps, objects)))
    done = CliRunner().invoke(cli, ["plan", str(path), "-o", "html", "-q", *options])
    assert done.exit_code in (0, 3), done.output
    return done.stdout


OBJECTS = [
    *(node(f"n{number}") for number in range(4)), node(EVIL),
    {"apiVersion": "yunchi.io/v1alpha1", "kind": "NodePool", "metadata": {"name": "鲲鹏"},
     "spec": {"nodeSelector": {"matchLabels": {"pool": "p"}}}},
    *(pod(f"w{number}", f"n{number}", namespace=f"dept-{number}") for number in range(3)),
    pod("keeps", EVIL, namespace=EVIL), pod("new"), pod(EVIL, cpu="99"),
]  # fmt: skip


@pytest.mark.parametrize("mode", ["schedule", "consolidate", "repack"])
def test_a_page_is_complete_and_harmless(tmp_path: Path, mode: str) -> None:
    text = pages(tmp_path, OBJECTS, "--mode", mode)
    found = Reader(text)
    assert found.open == []
    assert not {"script", "link", "img", "iframe", "object", "a", "base", "form"} & set(found.tags)
    names = {name for name, _ in found.attributes}
    assert not {name for name in names if name.startswith("on")} | (names & {"src", "href", "style", "srcset"})
    assert "://" not in text
    assert "url(" not in text
    assert "@import" not in text
    assert "\u202e" not in text
    assert any("<script>alert(1)</script>" in one for one in found.texts)


def test_the_policy_admits_the_style_sheet_and_nothing_else(tmp_path: Path) -> None:
    text = pages(tmp_path, OBJECTS)
    policy = dict(re.findall(r"([a-z-]+) ([^;\"]+)", re.search(r'Security-Policy" content="([^"]+)', text)[1]))  # type: ignore[index]
    (style,) = re.findall(r"<style>(.*?)</style>", text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert policy == {
        "default-src": "'none'",
        "style-src": f"'sha256-{digest}'",
        "base-uri": "'none'",
        "form-action": "'none'",
    }


def test_what_it_tells(tmp_path: Path) -> None:
    text = pages(
        tmp_path, OBJECTS, "--mode", "consolidate", "--max-moves", "9", "--max-nodes", "80%", "--threshold", "0.01"
    )
    for told in (
        "<h2>Moves (3 in 1 wave)</h2>", "<h2>Emptied nodes</h2>", "<h2>Nodes that stay in use, and why</h2>",
        "<h2>Pods without a node</h2>", "<h2>Savings by number of moves</h2>", "鲲鹏: 5 nodes", "tax/new", "before",
        "after", "moves ≤ 9", "at most 80% of nodes", "threshold 0.01",
    ):  # fmt: skip
        assert told in text, told


def test_the_same_plan_gives_the_same_page(tmp_path: Path) -> None:
    first, second = (re.sub(r"in [0-9.]+ s\.", "", pages(tmp_path, OBJECTS, "--mode", "repack")) for _ in range(2))
    assert first == second


def test_many_nodes_become_a_histogram(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("yunchi_operator.cli.page.MOST_NODES", 3)
    text = pages(tmp_path, OBJECTS, "--mode", "consolidate")
    assert "stroke-dasharray" not in text
    assert "90–100 %" in text
    assert Reader(text).open == []


def test_many_rows_are_cut() -> None:
    shown = markup.table(["a"], [[number] for number in range(markup.MOST_ROWS + 5)])
    assert shown.count("<tr>") == markup.MOST_ROWS + 1
    assert "and 5 more rows" in shown


def test_colours_are_for_the_largest_namespaces() -> None:
    load = packing_map.Load({"n": {f"d{number}": (number, 0, 1) for number in range(1, 20)}})
    palette = packing_map.Palette(load)
    assert len({palette.of(f"d{number}") for number in range(8, 20)}) == 12
    assert palette.of("d7") == packing_map.OTHERS
    assert "7 others" in palette.legend()
