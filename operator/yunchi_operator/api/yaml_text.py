"""YAML manifests as a source of objects: a List of kubectl's item by item, everything else as a whole."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from yunchi_operator.api.documents import BadDocument, Path, lines_of, read_yaml
from yunchi_operator.api.kubectl_yaml import Listing, find_items, read_block
from yunchi_operator.api.manifests import Inventory, Origin, passed_down

Progress = Callable[[float], None]
"""Told how far the reading is, 0 to 1."""
PROGRESS_STEP: Final = 4096


def feed_yaml(data: bytes, inventory: Inventory, source: str, progress: Progress) -> None:
    """Give all objects of a text to an inventory.

    Raises:
        BadDocument: it is no YAML, or not safe; with the line.
    """
    listing = find_items(data)
    if listing is not None:
        before = inventory.mark()
        try:
            _feed_items(data, listing, inventory, source, progress)
        except BadDocument:  # perhaps an alias to another item: legal, but needs the whole
            inventory.rewind(before)
        else:
            return
    _feed_documents(data.decode(), inventory, source)


def _feed_documents(text: str, inventory: Inventory, source: str) -> None:
    first = len(inventory.faults)
    for document in read_yaml(text):
        inventory.add(document.value, Origin(source, document.index))
    if len(inventory.faults) > first:
        documents = [fault.origin.document for fault in inventory.faults[first:]]
        inventory.locate(first, lambda paths: lines_of(text, list(zip(documents, paths, strict=False))))


def _feed_items(data: bytes, listing: Listing, inventory: Inventory, source: str, progress: Progress) -> None:
    (frame,) = read_yaml(listing.frame.decode())
    kind, version = frame.value.get("kind"), frame.value.get("apiVersion")
    if not isinstance(kind, str) or not isinstance(version, str) or not kind.endswith("List"):
        raise BadDocument(frame.line, "not a List")
    origin, below = Origin(source, 1), passed_down(kind, version)
    for number, (begin, end, line) in enumerate(listing.spans):
        if number % PROGRESS_STEP == 0:
            progress(begin / len(data))
        text = data[begin:end].decode()
        value = read_block(text)
        if value is None:
            value = _item(text, line)
        first = len(inventory.faults)
        inventory.add(value, origin, ("items", number), below)
        if len(inventory.faults) > first:
            inventory.locate(first, _locator(text, line))


def _locator(text: str, first: int) -> Callable[[list[Path]], list[int | None]]:
    """Finds fields of one item by their paths in the document, which begin with ``items`` and its number."""

    def lines(paths: list[Path]) -> list[int | None]:
        found = lines_of(text, [(1, (0, *path[2:])) for path in paths])
        return [None if line is None else first + line - 1 for line in found]

    return lines


def _item(text: str, line: int) -> Any:
    """One item by the general reader.

    Raises:
        BadDocument: with the line in the whole text.
    """
    try:
        documents = read_yaml(text)
    except BadDocument as error:
        raise BadDocument(error.line + line - 1, str(error)) from error
    values = documents[0].value if len(documents) == 1 else None
    if not isinstance(values, list) or len(values) != 1:
        raise BadDocument(line, "not one item")
    return values[0]
