"""Files that no program should choke on: loops, pipes, archives, bombs, what cannot be read."""

from __future__ import annotations

import gzip
import io
import json
import os
import re
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest

from yunchi_operator.cli import sources
from yunchi_operator.cli.manifests import BadInput, load
from yunchi_operator.cli.sources import Text

NODE = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n"}, "status": {"allocatable": {"pods": "9"}}}
JSON = json.dumps(NODE)


def faults(*paths: Path | str) -> list[str]:
    with pytest.raises(BadInput) as error:
        load([str(path) for path in paths], warn=print)
    return list(error.value.faults)


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"\x7fELF\x02\x01\x01\x00", "is a program, no manifest"),
        (b"PK\x03\x04abc", "is a zip archive; unpack it"),
        (b"\x28\xb5\x2f\xfdabc", "is packed with zstd; unpack it, or use gzip"),
        (b"BZh91AY", "is packed with bzip2"),
        (b"kind: Pod\0\0\0", "is a binary file, no manifest"),
        (gzip.compress(b"\0\1\2\3" * 9), "is a binary file, no manifest"),
        (gzip.compress(JSON.encode() * 50)[:40], "broken gzip file"),
        (JSON.encode().replace(b'"n"', b'"\xff"'), "not UTF-8 text (byte 59); convert it with iconv -t utf-8"),
        (b"kind: \xe5\x8d", "not UTF-8 text (byte 6)"),
        (JSON.replace('"9"', "NaN").encode(), "line 1: Node n: status.allocatable.pods: 'NaN' is not a quantity"),
        (b'{"kind": [NaN}', "line 1: not valid JSON: invalid character at 'NaN}'"),
        (JSON.replace("9", "-9").encode(), "status.allocatable.pods: '-9' is negative"),
        (JSON.replace("9", "NaN").encode(), "status.allocatable.pods: 'NaN' is not a quantity"),
        (JSON.replace('"9"', "1e999").encode(), "document 1, line 1: Node n: status.allocatable.pods: 'inf' is not a"),
        (JSON.encode() + b"{", "it ends in the middle; is the file complete?"),
    ],
)
def test_what_cannot_be_manifests_is_told_in_one_line(tmp_path: Path, raw: bytes, message: str) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(raw)
    (fault,) = faults(path)
    assert fault.startswith(f"{path}: ")
    assert message in fault


def test_links_that_go_in_circles_end(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "up").symlink_to(tmp_path)
    (tmp_path / "a.json").write_text(JSON)
    assert len(load([str(tmp_path)], warn=print).nodes) == 1
    (tmp_path / "b.json").symlink_to(tmp_path / "b.json")
    assert faults(tmp_path) == [f"{tmp_path}/b.json: Too many levels of symbolic links"]
    assert faults(tmp_path / "b.json") == [f"{tmp_path}/b.json: Too many levels of symbolic links"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_files_and_folders_without_leave_are_told(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir(mode=0)
    (tmp_path / "a.json").touch(mode=0)
    assert faults(tmp_path) == [f"{tmp_path}/in: Permission denied", f"{tmp_path}/a.json: Permission denied"]


def test_a_folder_that_cannot_be_listed_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def walk(path: Path, onerror: object) -> list[object]:
        assert callable(onerror)
        onerror(PermissionError(13, "Permission denied", str(path / "in")))
        return []

    monkeypatch.setattr(sources.os, "walk", walk)
    assert faults(tmp_path) == [f"{tmp_path}/in: Permission denied"]


def test_a_named_pipe_is_read(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=lambda: pipe.write_text(JSON))
    writer.start()
    assert len(load([str(pipe)], warn=print).nodes) == 1
    writer.join()


@pytest.mark.parametrize(("stdin", "message"), [
    (SimpleNamespace(buffer=io.BytesIO()), "stdin: nothing to read; try: kubectl get nodes,pods -A -o yaml"),
    (None, "stdin: is closed"),
])  # fmt: skip
def test_an_empty_standard_input(monkeypatch: pytest.MonkeyPatch, stdin: object, message: str) -> None:
    monkeypatch.setattr(sys, "stdin", stdin)
    (fault,) = faults("-")
    assert fault.startswith(message)


def test_a_bomb_is_stopped_long_before_it_is_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "_BOMB_FLOOR", 1 << 20)
    monkeypatch.setattr(sources, "_PIECE", 1 << 16)
    text = Text(io.BytesIO(gzip.compress(b" " * (8 << 20))))
    with pytest.raises(ValueError, match="unpacks to more than 400 times its size"):
        text.all(1 << 30)


def test_large_yaml_is_sent_to_json(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("yunchi_operator.cli.manifests.WINDOW", 10)
    monkeypatch.setattr("yunchi_operator.cli.manifests.MAX_YAML", 20)
    (tmp_path / "a.yaml").write_text("kind: " + "x" * 50)
    (fault,) = faults(tmp_path / "a.yaml")
    assert "split it, or use JSON (-o json)" in fault


def test_text_in_pieces_is_the_text_whatever_its_form() -> None:
    chinese = "卫健委" * 50
    for raw in (
        chinese.encode(),
        chinese.encode("utf-8-sig"),
        chinese.encode("utf-16"),
        gzip.compress(chinese.encode()),
    ):
        text = Text(io.BytesIO(raw), len(raw))
        parts = []
        while part := text.read(7):
            parts.append(part)
        assert b"".join(parts).decode() == chinese
        assert text.fraction == pytest.approx(1.0)


def test_a_flow_mapping_that_is_no_json_is_yaml(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(
        "{apiVersion: v1, kind: Node, metadata: {name: n}, status: {allocatable: {pods: 9}}}"
    )
    assert len(load([str(tmp_path)], warn=print).nodes) == 1


def test_the_reading_tells_how_far_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("yunchi_operator.cli.manifests.WINDOW", 1 << 16)
    nodes = [NODE | {"metadata": {"name": f"n{number}"}} for number in range(5000)]
    path = tmp_path / "a.json"
    path.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": nodes}))
    told: list[str] = []
    assert len(load([str(path)], print, told.append).nodes) == 5000
    assert any(re.search(r"a.json [1-9][0-9]?%: [1-4],[0-9]{3} nodes, 0 pods", one) for one in told), told
