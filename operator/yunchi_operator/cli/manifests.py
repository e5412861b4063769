"""Files, folders and standard input, read into an inventory; every fault is found before anything is answered."""

from __future__ import annotations

import gzip
import io
import os
import sys
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any, Final

import msgspec

from yunchi_operator.api.documents import BadDocument, Document, lines_of, read_yaml
from yunchi_operator.api.manifests import WORKLOADS, Fault, Inventory, Origin

SUFFIXES: Final = (".yaml", ".yml", ".json")
MAX_BYTES: Final = 1 << 30
"""Of one file, unpacked."""
STDIN: Final = "stdin"
Warn = Callable[[str], None]


class BadInput(Exception):  # noqa: N818 - a user's mistake, not ours
    """The input cannot be used.

    Attributes:
        faults: one line each: file, document, line, object, field, remedy.
    """

    def __init__(self, faults: Sequence[str]) -> None:
        super().__init__("\n".join(faults))
        self.faults = tuple(faults)


@dataclass(frozen=True, slots=True)
class _Source:
    """One stream of bytes."""

    name: str
    read: Callable[[], bytes]


def load(paths: Sequence[str], warn: Warn) -> Inventory:
    """Read everything.

    Args:
        paths: files, folders (searched recursively), ``-`` for standard input.
        warn: told what was ignored.

    Raises:
        BadInput: with all faults of all files.
    """
    inventory = Inventory()
    faults: list[str] = []
    texts: dict[str, str] = {}
    for source in _sources(paths, faults):
        _read_source(source, inventory, texts, faults)
    faults += _described(inventory.faults, texts)
    if not faults:
        faults = _lacking(inventory, paths)
    if faults:
        raise BadInput(faults)
    _tell_ignored(inventory, warn)
    return inventory


def _sources(paths: Sequence[str], faults: list[str]) -> Iterator[_Source]:
    """What to read, each file once, in a fixed order."""
    seen: set[str] = set()
    for text in paths:
        if text == "-":
            found = [_Source(STDIN, sys.stdin.buffer.read)]
        else:
            found = [_Source(str(path), path.read_bytes) for path in _files(Path(text), faults)]
        for source in found:
            if source.name not in seen:
                seen.add(source.name)
                yield source


def _files(path: Path, faults: list[str]) -> list[Path]:
    if path.is_dir():
        files = sorted(
            Path(folder) / name for folder, _, names in os.walk(path) for name in names if _is_manifest(name)
        )
        if not files:
            faults.append(f"{path}: no *.yaml, *.yml or *.json (also .gz) in this folder")
        return files
    if not path.exists():
        faults.append(f"{path}: no such file or folder")
        return []
    return [path]


def _is_manifest(name: str) -> bool:
    return name.removesuffix(".gz").endswith(SUFFIXES) and not name.startswith(".")


def _read_source(source: _Source, inventory: Inventory, texts: dict[str, str], faults: list[str]) -> None:
    try:
        text = _decoded(_unpacked(source.read()))
        documents = _parsed(text)
    except BadDocument as error:
        faults.append(f"{source.name}: line {error.line}: {error}")
        return
    except (OSError, EOFError, zlib.error, ValueError) as error:
        faults.append(f"{source.name}: {_plain(error)}")
        return
    texts[source.name] = text
    for document in documents:
        inventory.add(document.value, Origin(source.name, document.index, document.line))


def _plain(error: Exception) -> str:
    """An error in words that help, without Python's own decoration."""
    if isinstance(error, (gzip.BadGzipFile, EOFError, zlib.error)):
        return f"broken gzip file ({error}); compress it again"
    if isinstance(error, UnicodeDecodeError):
        return f"not UTF-8 text (byte {error.start}); convert it with iconv -t utf-8"
    if isinstance(error, OSError):
        return error.strerror or str(error)
    return str(error)


def _unpacked(raw: bytes) -> bytes:
    """Undo gzip, recognised by its first bytes; a small file that unpacks without end is stopped.

    Raises:
        ValueError: larger than allowed.
    """
    if raw[:2] == b"\x1f\x8b":
        with gzip.GzipFile(fileobj=io.BytesIO(raw)) as packed:
            raw = packed.read(MAX_BYTES + 1)
    if len(raw) > MAX_BYTES:
        raise ValueError(f"larger than {MAX_BYTES >> 20} MiB unpacked; split it")
    return raw


def _decoded(raw: bytes) -> str:
    """Text of a file; a byte order mark is allowed, as some editors and shells write one."""
    if raw[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return raw.decode("utf-16")
    return raw.decode("utf-8-sig")


def _parsed(text: str) -> list[Document]:
    """JSON when it looks like it, else YAML (of which JSON with several documents is nearly a part).

    Raises:
        BadDocument: neither.
    """
    if text.lstrip()[:1] != "{":
        return read_yaml(text)
    try:
        return [Document(1, 1, _json(text))]
    except (msgspec.DecodeError, RecursionError) as error:
        try:
            return read_yaml(text)
        except BadDocument as second:
            raise BadDocument(second.line, f"neither JSON ({error}) nor YAML ({second})") from error


def _json(text: str) -> Any:
    return msgspec.json.decode(text)


def _described(faults: Sequence[Fault], texts: dict[str, str]) -> list[str]:
    """``file: document 2, line 17: Pod default/web: spec.nodeSelektor: unknown field; did you mean …``."""
    found = []
    for source, mine in groupby(faults, key=lambda fault: fault.origin.source):
        here = list(mine)
        for fault, line in zip(here, _lines(here, texts.get(source, "")), strict=True):
            parts = [source, f"document {fault.origin.document}" + (f", line {line}" if line else "")]
            parts += [part for part in (fault.subject, fault.field) if part]
            found.append(": ".join([*parts, fault.message]))
    return found


def _lines(faults: Sequence[Fault], text: str) -> list[int | None]:
    """Found by a second look at the file: lines are not kept for the files that have no fault."""
    try:
        return lines_of(text, [(fault.origin.document, fault.path) for fault in faults])
    except BadDocument:
        return [None] * len(faults)  # JSON that is no YAML, for a tab: the field is named all the same


def _lacking(inventory: Inventory, paths: Sequence[str]) -> list[str]:
    """An input without nodes has no answer."""
    if inventory.nodes:
        return []
    shown = ", ".join(paths)
    held = f"{inventory.objects} objects but no Node" if inventory.objects else "nothing to read"
    return [f"{shown}: {held}; try: kubectl get nodes,pods -A -o yaml | yunchi plan -"]


def _tell_ignored(inventory: Inventory, warn: Warn) -> None:
    workloads = {kind: count for kind, count in inventory.ignored.items() if kind in WORKLOADS}
    others = {kind: count for kind, count in inventory.ignored.items() if kind not in WORKLOADS | _QUIET}
    if workloads:
        warn(
            f"ignored {_counted(workloads)}: only Pods and Nodes count; "
            "the pods that they made: kubectl get nodes,pods -A -o yaml"
        )
    if others:
        warn(f"ignored {_counted(others)}: no part in placement")


def _counted(kinds: dict[str, int]) -> str:
    return ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items()))


_QUIET: Final = frozenset({"Division", "Department", "QuotaRequest", "Approval", "CloudTenancy"})
"""Ours, and rightly in the same folder."""
