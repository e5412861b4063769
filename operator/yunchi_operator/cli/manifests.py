"""Manifests read into an inventory; every fault is found before anything is answered."""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Sequence
from typing import Final

from yunchi_operator.api.documents import BadDocument
from yunchi_operator.api.json_text import WINDOW, JsonStream, Read
from yunchi_operator.api.manifests import WORKLOADS, Fault, Inventory
from yunchi_operator.api.yaml_text import feed_yaml
from yunchi_operator.cli.sources import STDIN, Source, Text, find, opened, plain

MAX_YAML: Final = 2 << 30
"""YAML is held in memory as a whole."""
_JSON: Final = re.compile(rb"\s*\{")
Tell = Callable[[str], None]


class BadInput(Exception):  # noqa: N818 - a user's mistake, not ours
    """The input cannot be used.

    Attributes:
        faults: one line each: file, document, line, object, field, remedy.
    """

    def __init__(self, faults: Sequence[str]) -> None:
        super().__init__("\n".join(faults))
        self.faults = tuple(faults)


def load(paths: Sequence[str], warn: Tell, stage: Tell = lambda _: None) -> Inventory:
    """Read everything.

    Args:
        paths: files, folders (searched recursively), ``-`` for standard input.
        warn: told what was ignored.
        stage: told now and then how far the reading is.

    Raises:
        BadInput: with all faults of all files.
    """
    inventory = Inventory()
    faults: list[str] = []
    for source in find(paths, faults):
        _read(source, inventory, faults, stage)
    inventory.close()
    faults += map(_described, inventory.faults)
    if not faults:
        faults = _lacking(inventory, paths)
    if faults:
        raise BadInput(faults)
    _tell_ignored(inventory, warn)
    return inventory


def _read(source: Source, inventory: Inventory, faults: list[str], stage: Tell) -> None:
    try:
        with opened(source) as text:
            _feed(text, source.name, inventory, stage)
    except BadDocument as error:
        faults.append(f"{source.name}: line {error.line}: {error}")
    except (OSError, EOFError, zlib.error, ValueError) as error:
        faults.append(f"{source.name}: {plain(error)}")


def _feed(text: Text, name: str, inventory: Inventory, stage: Tell) -> None:
    """Read JSON when it looks like it, else YAML; a short text that begins like JSON may yet be YAML.

    Raises:
        BadDocument: it is neither.
    """
    head = text.read(WINDOW)

    def tell(fraction: float) -> None:
        share = f" {fraction:.0%}" if fraction else ""
        stage(f"reading {name}{share}: {len(inventory.nodes):,} nodes, {len(inventory.pods):,} pods")

    if not _JSON.match(head):
        feed_yaml(head + text.all(MAX_YAML), inventory, name, tell)
        return
    before = inventory.mark()
    reader = _Again(head, text.read, lambda: tell(text.fraction))
    try:
        JsonStream(reader.read, inventory, name, WINDOW).feed()
    except BadDocument as error:
        if reader.reads > 1 and len(head) >= WINDOW:
            raise
        inventory.rewind(before)
        _feed_flow_style(head, name, inventory, error)


def _feed_flow_style(text: bytes, name: str, inventory: Inventory, first: BadDocument) -> None:
    """``{kind: Node}`` is YAML; what is neither is told as the JSON that it was probably meant to be."""
    try:
        feed_yaml(text, inventory, name, lambda _: None)
    except BadDocument:
        raise first from None


class _Again:
    """Reads on after a first piece that was looked at."""

    def __init__(self, head: bytes, read: Read, tell: Callable[[], None]) -> None:
        self._head = head
        self._read = read
        self._tell = tell
        self.reads = 0

    def read(self, size: int) -> bytes:
        """At most so many bytes, of the first piece at first."""
        self.reads += 1
        head, self._head = self._head, b""
        if not head:
            self._tell()
        return head or self._read(size)


def _described(fault: Fault) -> str:
    """``file: document 2, line 17: Pod default/web: spec.nodeSelektor: unknown field; did you mean …``."""
    line = f", line {fault.line}" if fault.line else ""
    parts = [fault.origin.source, f"document {fault.origin.document}{line}", fault.subject, fault.field, fault.message]
    return ": ".join(part for part in parts if part)


def _lacking(inventory: Inventory, paths: Sequence[str]) -> list[str]:
    """An input without nodes has no answer."""
    if inventory.nodes:
        return []
    shown = ", ".join(STDIN if path == "-" else path for path in paths)
    held = f"{inventory.objects} objects but no Node" if inventory.objects else "nothing to read"
    return [f"{shown}: {held}; try: kubectl get nodes,pods -A -o yaml | yunchi plan -"]


def _tell_ignored(inventory: Inventory, warn: Tell) -> None:
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


_QUIET: Final = frozenset({"Division", "Department", "QuotaRequest", "Approval"})
"""Ours, and rightly in the same folder."""
