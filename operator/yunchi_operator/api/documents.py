"""YAML documents as plain values, built from parser events: safe, bounded, with lines, and faster than a loader.

The loaders of PyYAML recurse (a deeply nested file ends the process) and let merge keys explode; here depth, size
after aliases, tags and duplicate keys are under control. Scalars resolve as Kubernetes' own YAML reader does: no
dates, no base-60 numbers.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final

import yaml

MAX_DEPTH: Final = 100
MAX_NODES: Final = 20_000_000
"""Values in one file after aliases are followed: far above any cluster, far below a bomb."""
MAX_MERGED: Final = 100_000
"""Keys that merge keys may copy in one file."""

Path = tuple[str | int, ...]
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_STANDARD: Final = "tag:yaml.org,2002:"
_WORDS: Final[dict[str, Any]] = {"": None, "~": None, "null": None, "Null": None, "NULL": None}
_WORDS.update({word: True for text in ("true", "yes", "on") for word in (text, text.capitalize(), text.upper())})
_WORDS.update({word: False for text in ("false", "no", "off") for word in (text, text.capitalize(), text.upper())})
_INT: Final = re.compile(r"[-+]?(0|[1-9][0-9]*)", re.ASCII)
_OCTAL: Final = re.compile(r"0o?[0-7]+", re.ASCII)
_HEX: Final = re.compile(r"0x[0-9a-fA-F]+", re.ASCII)
_FLOAT: Final = re.compile(r"[-+]?(\d+\.\d*|\.\d+|\d+(?=[eE]))([eE][-+]?\d+)?", re.ASCII)
_LONGEST_NUMBER: Final = 64


class BadDocument(ValueError):  # noqa: N818 - what a reader of the message meets is a bad document
    """A document that cannot be read.

    Attributes:
        line: counted from 1.
    """

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line


@dataclass(frozen=True, slots=True)
class Document:
    """One document of a stream.

    Attributes:
        index: counted from 1.
        line: where it begins, counted from 1.
        value: dicts, lists and scalars.
    """

    index: int
    line: int
    value: Any


def read_yaml(text: str) -> list[Document]:
    """Read all documents of a stream; empty ones are skipped but counted.

    Raises:
        BadDocument: with the line; not YAML, too deep, too large, an unsafe tag, a duplicate key, an alias bomb.
    """
    return list(_Builder(text).documents())


def lines_of(text: str, wanted: Sequence[tuple[int, Path]]) -> list[int | None]:
    """Lines of fields in a text that can be read, by document index and path: of the deepest part that exists."""
    builder = _Builder(text, marks={})
    asked = {index for index, _ in wanted}
    found: dict[tuple[int, Path], int] = {}
    for document in builder.documents():
        if document.index in asked:
            paths = [path for index, path in wanted if index == document.index]
            found |= {(document.index, path): _walk(document, path, builder.marks or {}) for path in paths}
    return [found.get(one) for one in wanted]


def _walk(document: Document, path: Path, marks: dict[tuple[int, Any], int]) -> int:
    line, value = document.line, document.value
    for step in path:
        found = marks.get((id(value), step))
        if found is None:
            break
        line, value = found, value[step]
    return line


@dataclass(slots=True)
class _Open:
    """A collection that is being read."""

    value: Any
    line: int
    anchor: str | None
    started_at: int
    key: Any = None
    has_key: bool = False
    merges: list[Any] = field(default_factory=list)


class _Builder:
    """Turns events to values with an explicit stack."""

    def __init__(self, text: str, marks: dict[tuple[int, Any], int] | None = None) -> None:
        self.marks = marks
        self._text = text
        self._nodes = 0
        self._merged = 0
        self._anchors: dict[str, tuple[Any, int]] = {}
        self._stack: list[_Open] = []
        self._root: Any = None

    def documents(self) -> Iterator[Document]:
        """Read one document after the other."""
        index, line, held = 0, 1, False
        for event in self._events():
            kind = type(event)
            if kind is yaml.ScalarEvent:
                self._count(1, event)
                self._put(_scalar(event), event)
                held = True
            elif kind is yaml.MappingStartEvent or kind is yaml.SequenceStartEvent:
                self._open(event)
                held = True
            elif kind is yaml.MappingEndEvent or kind is yaml.SequenceEndEvent:
                self._close(event)
            elif kind is yaml.AliasEvent:
                self._alias(event)
            elif kind is yaml.DocumentStartEvent:
                index, line, held = index + 1, event.start_mark.line + 1, False
                self._anchors.clear()
                if self.marks is not None:
                    self.marks.clear()  # they hold ids, which later documents may reuse
                self._root = None
            elif kind is yaml.DocumentEndEvent and held and self._root is not None:
                yield Document(index, line, self._root)

    def _events(self) -> Iterator[Any]:
        try:
            yield from yaml.parse(self._text, Loader=_LOADER)
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            what = " ".join(part for part in (error.context, error.problem) if part)
            raise BadDocument(mark.line + 1 if mark else 1, f"not valid YAML: {what}") from error
        except (yaml.YAMLError, ValueError) as error:
            raise BadDocument(1, f"not valid YAML: {error}") from error

    def _count(self, number: int, event: Any) -> None:
        self._nodes += number
        if self._nodes > MAX_NODES:
            line = event.start_mark.line + 1
            raise BadDocument(line, f"aliases blow the file up beyond {MAX_NODES:,} values; write them out")

    def _open(self, event: Any) -> None:
        line = event.start_mark.line + 1
        if len(self._stack) >= MAX_DEPTH:
            raise BadDocument(line, f"nested deeper than {MAX_DEPTH} levels")
        standard = _STANDARD + ("map" if type(event) is yaml.MappingStartEvent else "seq")
        if event.tag not in (None, "!", standard):
            raise BadDocument(line, f"the tag {event.tag} is not allowed; remove it")
        self._count(1, event)
        value: Any = {} if type(event) is yaml.MappingStartEvent else []
        self._stack.append(_Open(value, line, event.anchor, self._nodes))

    def _close(self, event: Any) -> None:
        done = self._stack.pop()
        for merged in done.merges:
            self._merge(done, merged)
        if done.anchor is not None:
            self._anchors[done.anchor] = (done.value, self._nodes - done.started_at + 1)
        self._attach(done.value, done.line, event)

    def _merge(self, into: _Open, source: Any) -> None:
        sources = source if isinstance(source, list) else [source]
        for one in sources:
            if not isinstance(one, dict):
                raise BadDocument(into.line, "the merge key << takes a mapping or a list of mappings")
            self._merged += len(one)
            if self._merged > MAX_MERGED:
                raise BadDocument(into.line, f"merge keys copy more than {MAX_MERGED:,} entries; write them out")
            for key, value in one.items():
                into.value.setdefault(key, value)

    def _alias(self, event: Any) -> None:
        if event.anchor not in self._anchors:
            raise BadDocument(event.start_mark.line + 1, f"the alias *{event.anchor} has no anchor before it")
        value, size = self._anchors[event.anchor]
        self._count(size, event)
        self._attach(value, event.start_mark.line + 1, event)

    def _put(self, value: Any, event: Any) -> None:
        if event.anchor is not None:
            self._anchors[event.anchor] = (value, 1)
        self._attach(value, event.start_mark.line + 1, event)

    def _attach(self, value: Any, line: int, event: Any) -> None:
        """Put a finished value into what is open."""
        if not self._stack:
            self._root = value
            return
        top = self._stack[-1]
        if type(top.value) is list:
            if self.marks is not None:
                self.marks[id(top.value), len(top.value)] = line
            top.value.append(value)
        elif not top.has_key:
            top.key, top.has_key = self._key(value, line, event), True
            if self.marks is not None:
                self.marks[id(top.value), top.key] = line
        else:
            self._set(top, value, line)

    def _key(self, value: Any, line: int, event: Any) -> str:
        if type(value) is str:
            return value
        if isinstance(event, yaml.ScalarEvent):
            return str(event.value)  # Kubernetes turns 1 and true into text keys too
        raise BadDocument(line, "a key must be plain text")

    def _set(self, top: _Open, value: Any, line: int) -> None:
        top.has_key = False
        if top.key == "<<":
            top.merges.append(value)
        elif top.key in top.value:
            raise BadDocument(line, f"the key {top.key!r} occurs twice in one mapping; remove one")
        else:
            top.value[top.key] = value


def _scalar(event: Any) -> Any:
    """The value of a scalar event."""
    tag, text = event.tag, event.value
    if tag is None or tag == "!":
        return plain(text) if event.implicit[0] and tag is None else text
    if tag == _STANDARD + "str":
        return text
    if tag in (_STANDARD + "int", _STANDARD + "float", _STANDARD + "bool", _STANDARD + "null"):
        return plain(text)
    raise BadDocument(event.start_mark.line + 1, f"the tag {tag} is not allowed; remove it or quote the text")


@lru_cache(maxsize=65536)
def plain(text: str) -> Any:
    """What an unquoted scalar means."""
    if text in _WORDS:
        return _WORDS[text]
    if text[0] not in "+-.0123456789" or len(text) > _LONGEST_NUMBER:
        return text
    if _INT.fullmatch(text):
        return int(text)
    if _OCTAL.fullmatch(text):
        return int(text.replace("o", ""), 8)
    if _HEX.fullmatch(text):
        return int(text, 16)
    return float(text) if _FLOAT.fullmatch(text) else text
