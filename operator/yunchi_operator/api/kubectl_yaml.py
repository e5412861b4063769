"""The plain YAML that kubectl prints, read line by line: several times faster than by parser events.

Only the simplest block style is understood: mappings, sequences, one-line scalars. For anything else, however legal,
``read_block`` gives up and the caller uses the general reader, so that both always agree on the values.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, NamedTuple

from yunchi_operator.api.documents import MAX_DEPTH, plain

_LINE: Final = re.compile(
    r"(?P<indent> *)(?P<dash>- )?"
    r"(?:(?P<key>[A-Za-z0-9_./$][^\s:#\"']*|\"[^\"\\\\]+\"|'[^']+'):(?: |$))?"
    r"(?P<value>[^\s].*)?"
)
_QUOTED: Final = re.compile(r"\"[^\"\\]*\"|'[^']*'")
_SPECIAL: Final = frozenset("!&*|>%@`\"'{}[],#?")
_SCALAR, _CHILD, _MAP, _LIST = range(4)


class _Line(NamedTuple):
    """A line, taken apart; equal lines are taken apart once."""

    indent: int
    dash: bool
    key: str | None
    form: int
    value: Any


class _Unusual(Exception):  # noqa: N818 - not an error: the general reader takes over
    """Something beyond the simplest style."""


@dataclass(frozen=True, slots=True)
class Listing:
    """A List as kubectl prints it: its items' text with their first lines, and all around them.

    Attributes:
        frame: the text without the items.
        spans: begin and end of each item in the text, and the line of the begin, counted from 1.
    """

    frame: bytes
    spans: tuple[tuple[int, int, int], ...]


_HEAD: Final = re.compile(rb"(?:---\n)?(?:[A-Za-z]+: [^\n]*\n)*items:\n(?=- )")
_TAIL: Final = re.compile(rb"^(?!- | |\n)", re.MULTILINE)
_REST: Final = re.compile(rb"(?:[A-Za-z]+:(?: [^\n]*|\n(?:  [^\n]*(?:\n|\Z))+)(?:\n|\Z)?)*")
_ITEM: Final = re.compile(rb"^- ", re.MULTILINE)


def find_items(data: bytes) -> Listing | None:
    """Take a List apart if it is laid out as kubectl does it: one document, the items' dashes at the margin."""
    head = _HEAD.match(data)
    if head is None or b"\r" in data[:4096]:
        return None
    tail = _TAIL.search(data, head.end())
    end = tail.start() if tail else len(data)
    if _REST.fullmatch(data, end) is None:
        return None
    begins = [found.start() for found in _ITEM.finditer(data, head.end(), end)]
    line = data.count(b"\n", 0, head.end()) + 1
    spans = []
    for begin, stop in zip(begins, [*begins[1:], end], strict=True):
        spans.append((begin, stop, line))
        line += data.count(b"\n", begin, stop)
    frame = data[: head.end()].removesuffix(b"items:\n") + b"items: []\n" + data[end:]
    return Listing(frame, tuple(spans))


def read_block(text: str) -> dict[str, Any] | None:
    """The mapping that is the one item of a block sequence, or None when the general reader is needed."""
    try:
        root = _build([_taken_apart(line) for line in text.split("\n") if line])
    except _Unusual:
        return None
    return root[0] if len(root) == 1 and isinstance(root[0], dict) else None


def _build(lines: Sequence[_Line]) -> list[Any]:
    """Values from lines, with a stack of the open collections and their margins."""
    root: list[Any] = []
    stack: list[tuple[int, Any]] = [(0, root)]
    waiting: tuple[dict[str, Any], str, int] | None = None
    for line in lines:
        indent, dash, key, form, value = line
        if waiting is not None:
            mapping, name, margin = waiting
            waiting = None
            if indent > margin or (dash and indent == margin):
                below: Any = [] if dash else {}
                mapping[name] = below
                stack.append((indent, below))
        while stack[-1][0] > indent or (stack[-1][0] == indent and not dash and type(stack[-1][1]) is list):
            stack.pop()
            if not stack:
                raise _Unusual
        margin, top = stack[-1]
        if margin != indent or (type(top) is list) is not dash or len(stack) > MAX_DEPTH:
            raise _Unusual
        if dash:
            if key is None:
                top.append(_made(form, value))
                continue
            entry: dict[str, Any] = {}
            top.append(entry)
            indent, top = indent + 2, entry
            stack.append((indent, entry))
        if key is None or key in top:
            raise _Unusual
        top[key] = _made(form, value)
        if form == _CHILD:
            waiting = top, key, indent
    return root


def _made(form: int, value: Any) -> Any:
    return value if form == _SCALAR else {} if form == _MAP else [] if form == _LIST else None


@lru_cache(maxsize=65536)
def _taken_apart(line: str) -> _Line:
    """One line's parts."""
    found = _LINE.fullmatch(line)
    if found is None:
        raise _Unusual
    key, text = found["key"], found["value"]
    if key is not None and key[0] in "\"'":
        key = key[1:-1]
        if key == "<<" or not key.isprintable():
            raise _Unusual
    if text is None:
        if key is None:
            raise _Unusual
        form, value = _CHILD, None
    else:
        form, value = _scalar(text)
    return _Line(len(found["indent"]), found["dash"] is not None, key, form, value)


def _scalar(text: str) -> tuple[int, Any]:
    """The value after a key or a dash."""
    if text in ("{}", "[]"):
        return (_MAP if text == "{}" else _LIST), None
    if _QUOTED.fullmatch(text) and text.isprintable():
        return _SCALAR, text[1:-1]
    unusual = text[0] in _SPECIAL or text[-1] in " \t:" or text[:2] in ("- ", "-") or not text.isprintable()
    if unusual or ": " in text or " #" in text:
        raise _Unusual
    return _SCALAR, plain(text)
