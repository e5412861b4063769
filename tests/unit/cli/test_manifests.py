"""Reading files, folders and compressed files: all faults, with file, document and line."""

from __future__ import annotations

import gzip
import io
import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from yunchi_operator.cli import sources
from yunchi_operator.cli.manifests import BadInput, load

NODE = """apiVersion: v1
kind: Node
metadata: {name: %s}
status: {allocatable: {cpu: "4", pods: "9"}}
"""
POD = """apiVersion: v1
kind: Pod
metadata: {name: %s}
spec:
  containers:
    - name: c
      resources:
        requests: {cpu: 1}
"""


def faults(*paths: Path | str) -> list[str]:
    with pytest.raises(BadInput) as error:
        load([str(path) for path in paths], warn=print)
    return list(error.value.faults)


def test_folders_are_searched_files_are_read_once_and_order_does_not_matter(tmp_path: Path) -> None:
    (tmp_path / "deep" / "er").mkdir(parents=True)
    (tmp_path / "a.yaml").write_text(NODE % "n1")
    (tmp_path / "deep" / "b.yml.gz").write_bytes(gzip.compress((NODE % "n2").encode()))
    (tmp_path / "deep" / "er" / "c.json").write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": []}))
    (tmp_path / "notes.txt").write_text("not a manifest")
    (tmp_path / ".hidden.yaml").write_text("[")
    inventory = load([str(tmp_path), str(tmp_path / "a.yaml")], warn=print)
    assert [node.metadata.name for node in inventory.nodes] == ["n1", "n2"]


def test_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(gzip.compress((NODE % "n").encode()))))
    assert [node.metadata.name for node in load(["-"], warn=print).nodes] == ["n"]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_byte_order_marks_are_accepted(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "a.yaml").write_bytes((NODE % "n").encode(encoding))
    assert len(load([str(tmp_path)], warn=print).nodes) == 1


def test_several_json_documents_in_one_file(tmp_path: Path) -> None:
    node: dict[str, Any] = {"apiVersion": "v1", "kind": "Node", "status": {"allocatable": {}}}
    text = "\n---\n".join(json.dumps(node | {"metadata": {"name": name}}) for name in ("n1", "n2"))
    (tmp_path / "a.json").write_text(text)
    assert len(load([str(tmp_path)], warn=print).nodes) == 2


def test_all_faults_of_all_files_are_told_with_their_lines(tmp_path: Path) -> None:
    first, second, third = tmp_path / "a.yaml", tmp_path / "b.json", tmp_path / "c.yaml"
    first.write_text(
        NODE % "n" + "---\n" + POD % "p" + "  nodeSelektor: {}\n" + "---\n" + (POD % "q").replace(": 1", ": 4x")
    )
    pods = [{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "r"}, "spec": {"contaners": []}}]
    second.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": pods}, indent=1))
    third.write_text("a: [1\nb: 2\n")
    found = sorted(faults(tmp_path))
    assert found[0] == (
        f"{first}: document 2, line 14: Pod default/p: spec.nodeSelektor: unknown field; did you mean nodeSelector?"
    )
    assert found[1].startswith(
        f"{first}: document 3, line 23: Pod default/q: spec.containers[0].resources.requests.cpu: '4x': unknown unit"
    )
    assert (
        f"{second}: document 1, line 12: Pod default/r: spec.contaners: unknown field; did you mean containers?"
    ) in found
    assert f"{third}: line 2: not valid YAML" in found[3]
    assert len(found) == 4


def test_duplicates_across_files(tmp_path: Path) -> None:
    for name in ("a.yaml", "b.yaml"):
        (tmp_path / name).write_text(NODE % "n")
    (fault,) = faults(tmp_path)
    assert fault == (
        f"{tmp_path}/b.yaml: document 1, line 3: Node n: metadata.name: "
        f"given twice; first in {tmp_path}/a.yaml, document 1. Remove one"
    )


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (gzip.compress(b"a: 1")[:-5], "broken gzip file"),
        (b"\x1f\x8bnot gzip at all", "broken gzip file"),
        (b"\xff\xff\xff", "not UTF-8 text (byte 0)"),
        (b'{"a": ', "line 1: not valid JSON: it ends in the middle; is the file complete?"),
        (b'{"a": ' * 5000, "line 1: nested too deeply"),
        (b"", "nothing to read"),
        (b"---\n---\n", "nothing to read"),
        (POD.encode() % b"p", "1 objects but no Node; try: kubectl get nodes,pods"),
    ],
)
def test_files_that_cannot_be_used(tmp_path: Path, raw: bytes, message: str) -> None:
    path = tmp_path / "a.yaml"
    path.write_bytes(raw)
    (fault,) = faults(path)
    assert fault.startswith(str(path))
    assert message in fault


def test_a_file_that_unpacks_too_large_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "MAX_BYTES", 1000)
    (tmp_path / "a.yaml.gz").write_bytes(gzip.compress(b" " * 100_000))
    (fault,) = faults(tmp_path)
    assert "unpacked; split it" in fault


def test_missing_paths_and_empty_folders(tmp_path: Path) -> None:
    found = faults(tmp_path / "none.yaml", tmp_path)
    assert found == [
        f"{tmp_path}/none.yaml: no such file or folder",
        f"{tmp_path}: no *.yaml, *.yml or *.json (also .gz) in this folder",
    ]


def test_a_json_fault_is_told_even_where_yaml_cannot_find_its_line(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{\n\t"apiVersion": "v1",\n\t"kind": "Nod",\n\t"metadata": {"name": "n"}}')
    (fault,) = faults(tmp_path)
    assert "Nod default/n: kind: unknown kind Nod in v1; did you mean Node?" in fault


def test_what_is_ignored_is_counted(tmp_path: Path) -> None:
    others = "".join(
        f"---\napiVersion: {version}\nkind: {kind}\nmetadata: {{name: x}}\n"
        for version, kind in [
            ("apps/v1", "Deployment"),
            ("apps/v1", "Deployment"),
            ("batch/v1", "Job"),
            ("v1", "Service"),
            ("yunchi.io/v1alpha1", "Department"),
        ]
    )
    (tmp_path / "a.yaml").write_text(NODE % "n" + others)
    told: list[str] = []
    load([str(tmp_path)], told.append)
    assert told == [
        (
            "ignored 2 Deployment, 1 Job: only Pods and Nodes count; "
            "the pods that they made: kubectl get nodes,pods -A -o yaml"
        ),
        "ignored 1 Service: no part in placement",
    ]
