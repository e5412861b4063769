"""JSON manifests read in a window: of a List of any length only some items are in memory at a time.

A stream holds documents one after the other, with or without ``---`` between them, or one on each line. A document
that fits into the window is taken as a whole; a larger one must be a List, whose items are taken one by one.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

import msgspec

from yunchi_operator.api.documents import BadDocument, lines_of
from yunchi_operator.api.manifests import Inventory, Origin, passed_down

WINDOW: Final = 8 << 20
LARGEST_OBJECT: Final = 64 << 20
"""etcd keeps no object above a few MiB."""
Read = Callable[[int], bytes]
"""Gives at most so many bytes, and none at the end."""

_BETWEEN: Final = re.compile(rb"(?:[ \t\r\n\x1e]+|---(?=\s|\Z))*")
_BLANK: Final = re.compile(rb"[ \t\r\n]*")
_AT: Final = re.compile(r"\s*\(byte (\d+)\)")
_NEAR_END: Final = 64
"""An error this close to the window's end may only be the window's end."""
_skip = msgspec.json.Decoder(msgspec.Raw).decode
_text = msgspec.json.Decoder(str).decode
_TRAILING: Final = "trailing characters"


def _beyond() -> int:
    """How far behind the first trailing character msgspec's count is: asked, as versions may differ."""
    try:
        _skip(b"1 2")
    except msgspec.DecodeError as error:
        found = _AT.search(str(error))
        if found and _TRAILING in str(error):
            return int(found.group(1)) - 2
    raise RuntimeError("this version of msgspec does not tell where a JSON value ends")


_BEYOND: Final = _beyond()


class JsonStream:
    """Reads a stream into an inventory."""

    def __init__(self, read: Read, inventory: Inventory, source: str, window: int = WINDOW) -> None:
        self._read = read
        self._inventory = inventory
        self._source = source
        self._size = window
        self._data = b""
        self._at = 0
        self._line = 1
        self._ended = False

    def feed(self) -> None:
        """Read all.

        Raises:
            BadDocument: it is no JSON, with the line.
        """
        number = 0
        while self._skip_over(_BETWEEN):
            number += 1
            origin = Origin(self._source, number)
            end = self._end_of_value(self._size)
            if end is None and b'"items"' in self._data:
                self._feed_list(origin)
            else:
                self._add(end or self._whole_value(), origin, (), {})

    # -- lists larger than the window ---------------------------------------------------------------------------------

    def _feed_list(self, origin: Origin) -> None:
        """Read the members of an object, and the items of the one that is called so one by one."""
        outline: dict[str, str] = {}
        line = self._here()
        had_items = False
        self._expect(b"{")
        while self._peek() != b"}":
            name = _text(self._value())
            self._expect(b":")
            if name == "items" and self._peek() == b"[":
                had_items = True
                self._feed_items(origin, outline)
            elif (value := self._value())[:1] == b'"':
                outline[name] = _text(value)
            if self._peek() != b"}":
                self._expect(b",")
        self._expect(b"}")
        if not had_items or not outline.get("kind", "").endswith("List"):
            raise BadDocument(line, f"an object of more than {self._size >> 20} MiB that is no List")

    def _feed_items(self, origin: Origin, outline: dict[str, str]) -> None:
        below = passed_down(outline.get("kind", "List"), outline.get("apiVersion", ""))
        self._expect(b"[")
        number = 0
        while self._peek() != b"]":
            self._skip_over(_BLANK)
            self._add(self._whole_value(), origin, ("items", number), below)
            number += 1
            if self._peek() != b"]":
                self._expect(b",")
        self._expect(b"]")

    def _add(self, end: int, origin: Origin, path: tuple[str | int, ...], inherited: Any) -> None:
        """Give an object to the inventory, and say on which lines its faults are."""
        raw = memoryview(self._data)[self._at : end]
        before = len(self._inventory.faults)
        self._inventory.add_json(raw, origin, path, inherited)
        if len(self._inventory.faults) > before:
            first = self._here()
            self._inventory.locate(before, lambda paths: _lines(raw, [p[len(path) :] for p in paths], first))
        self._at = end

    # -- the window ---------------------------------------------------------------------------------------------------

    def _more(self) -> bool:
        """Drop what has been read and fetch more; False at the end of the stream."""
        if self._ended:
            return False
        self._line += self._data.count(b"\n", 0, self._at)
        rest = self._data[self._at :]
        fetched = self._read(max(self._size, len(rest)))
        self._ended = not fetched
        self._data, self._at = rest + fetched, 0
        return not self._ended

    def _here(self) -> int:
        return self._line + self._data.count(b"\n", 0, self._at)

    def _skip_over(self, blank: re.Pattern[bytes]) -> bool:
        """Go to the next byte that is not blank; False at the end of the stream."""
        while True:
            found = blank.match(self._data, self._at)
            self._at = found.end() if found else self._at
            if len(self._data) - self._at > _NEAR_END or not self._more():
                return self._at < len(self._data)

    def _peek(self) -> bytes:
        self._skip_over(_BLANK)
        return self._data[self._at : self._at + 1]

    def _expect(self, mark: bytes) -> None:
        found = self._peek()
        if found != mark:
            shown = repr(found.decode("ascii", "replace")) if found else "the end; is the file complete?"
            raise BadDocument(self._here(), f"not valid JSON: expected {mark.decode()!r}, found {shown}")
        self._at += 1

    def _value(self) -> bytes:
        """The text of the value here; the place is behind it afterwards."""
        self._skip_over(_BLANK)
        end = self._whole_value()
        text = self._data[self._at : end]
        self._at = end
        return text

    def _whole_value(self) -> int:
        """Where the value here ends; the window grows until it is in."""
        end = self._end_of_value(LARGEST_OBJECT)
        if end is None:
            raise BadDocument(self._here(), f"an object of more than {LARGEST_OBJECT >> 20} MiB")
        return end

    def _end_of_value(self, most: int) -> int | None:
        """Where the value here ends, or None if it is larger than that."""
        while True:
            at, length = None, len(self._data) - self._at
            try:
                _skip(memoryview(self._data)[self._at :])
                message = ""
            except msgspec.DecodeError as error:
                message = str(error)
                found = _AT.search(message)
                at = int(found.group(1)) if found else None
                if at is not None and _TRAILING in message:
                    return self._at + at - _BEYOND
            except RecursionError as error:
                raise BadDocument(self._here(), "nested too deeply") from error
            if at is None or length - at < _NEAR_END:
                if not self._ended and length >= most:
                    return None
                if self._more():
                    continue
            if not message:
                return len(self._data)
            raise BadDocument(*self._told(message, at))

    def _told(self, message: str, at: int | None) -> tuple[int, str]:
        """Line and words for a decoder's message."""
        if at is None:
            return self._line + self._data.count(b"\n"), "not valid JSON: it ends in the middle; is the file complete?"
        place = self._at + at
        near = self._data[place : place + 20].split(b"\n")[0].decode("utf-8", "replace").strip()
        plain = _AT.sub("", message).removeprefix("JSON is malformed: ")
        line = self._line + self._data.count(b"\n", 0, place)
        return line, f"not valid JSON: {plain}" + (f" at {near!r}" if near else "")


def _lines(raw: memoryview, paths: list[tuple[str | int, ...]], first: int) -> list[int | None]:
    """Lines of fields of an object that begins on a line; items of a List are looked up by themselves."""
    return [_line(bytes(raw), path, first) for path in paths]


class _Items(msgspec.Struct):
    items: list[msgspec.Raw] = []


def _line(part: bytes, path: tuple[str | int, ...], first: int) -> int | None:
    while len(path) > 1 and path[0] == "items" and isinstance(path[1], int):
        begin = end = 0
        for item in msgspec.json.decode(part, type=_Items).items[: path[1] + 1]:
            begin = part.index(bytes(item), end)
            end = begin + len(bytes(item))
        first += part.count(b"\n", 0, begin)
        part, path = part[begin:end], path[2:]
    try:
        (line,) = lines_of(part.decode(), [(1, path)])
    except BadDocument:
        return None  # JSON that is no YAML, for a tab: the field is named all the same
    return None if line is None else first + line - 1
