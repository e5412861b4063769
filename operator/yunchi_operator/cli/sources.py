"""Where manifests come from: files, folders and standard input, opened safely and read as UTF-8 text."""

from __future__ import annotations

import codecs
import gzip
import os
import stat
import sys
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final, cast

SUFFIXES: Final = (".yaml", ".yml", ".json")
STDIN: Final = "stdin"
MAX_BYTES: Final = 16 << 30
"""Of one file, unpacked."""
BOMB_RATIO: Final = 400
"""No manifests are packed tighter; a file that unpacks without end is stopped."""
_PIECE: Final = 16 << 20
_BOMB_FLOOR: Final = 64 << 20
_GZIP: Final = b"\x1f\x8b"
_OTHERS: Final = {
    b"PK\x03\x04": "a zip archive; unpack it",
    b"\x28\xb5\x2f\xfd": "packed with zstd; unpack it, or use gzip",
    b"\xfd7zXZ": "packed with xz; unpack it, or use gzip",
    b"BZh": "packed with bzip2; unpack it, or use gzip",
    b"\x7fELF": "a program, no manifest",
    b"%PDF": "a PDF, no manifest",
}


@dataclass(frozen=True, slots=True)
class Source:
    """A file, or standard input when ``path`` is None."""

    name: str
    path: Path | None = None


def find(paths: Sequence[str], faults: list[str]) -> Iterator[Source]:
    """What to read, each file once, in a fixed order."""
    seen: set[str] = set()
    for text in paths:
        for source in [Source(STDIN)] if text == "-" else _files(Path(text), faults):
            if source.name not in seen:
                seen.add(source.name)
                yield source


def _files(path: Path, faults: list[str]) -> list[Source]:
    try:
        is_folder = stat.S_ISDIR(path.stat().st_mode)
    except FileNotFoundError:
        faults.append(f"{path}: no such file or folder")
        return []
    except OSError as error:
        faults.append(f"{path}: {plain(error)}")
        return []
    if not is_folder:
        return [Source(str(path), path)]
    unreadable: list[OSError] = []
    files = sorted(
        Path(folder) / name
        for folder, _, names in os.walk(path, onerror=unreadable.append)  # does not follow links to folders
        for name in names
        if name.removesuffix(".gz").endswith(SUFFIXES) and not name.startswith(".")
    )
    faults += [f"{error.filename}: {plain(error)}" for error in unreadable]
    if not files and not unreadable:
        faults.append(f"{path}: no *.yaml, *.yml or *.json (also .gz) in this folder")
    return [Source(str(file), file) for file in files]


def plain(error: Exception) -> str:
    """An error in words that help, without Python's own decoration."""
    if isinstance(error, (gzip.BadGzipFile, EOFError, zlib.error)):
        return f"broken gzip file ({error}); compress it again"
    if isinstance(error, OSError):
        return error.strerror or str(error)
    return str(error)


class Text:
    """What a source holds: unpacked, as UTF-8, without a byte order mark; read in pieces.

    Args:
        file: anything with ``read``.
        size: of the file in bytes, or 0 when it is not known.
    """

    def __init__(self, file: BinaryIO, size: int = 0) -> None:
        head = file.read(4)
        for magic, what in _OTHERS.items():
            if head.startswith(magic):
                raise ValueError(f"is {what}")
        self._size = size
        self._packed = _Rejoined(head, file)
        self._is_packed = head[:2] == _GZIP
        self._file: Any = gzip.GzipFile(fileobj=cast("BinaryIO", self._packed)) if self._is_packed else self._packed
        self._decoder: codecs.IncrementalDecoder | None = None
        self._recode = False
        self._given = 0

    @property
    def fraction(self) -> float:
        """How much has been read; 0 when that is not known."""
        return self._packed.given / self._size if self._size else 0.0

    def read(self, size: int) -> bytes:
        """About so many bytes; none at the end.

        Raises:
            ValueError: what is there cannot be manifests; the message says why.
            OSError, EOFError, zlib.error: it cannot be read.
        """
        raw = self._file.read(size)
        before = self._given
        self._given += len(raw)
        if self._given > MAX_BYTES:
            raise ValueError(f"larger than {MAX_BYTES >> 20} MiB unpacked; split it")
        if self._is_packed and self._given > max(_BOMB_FLOOR, BOMB_RATIO * self._packed.given):
            raise ValueError(f"unpacks to more than {BOMB_RATIO} times its size; unpack it yourself if that is right")
        return self._checked(raw, before)

    def all(self, most: int) -> bytes:
        """Everything.

        Raises:
            ValueError: also when that is more than so many bytes.
        """
        parts, length = [], 0
        while part := self.read(_PIECE):
            parts.append(part)
            length += len(part)
            if length > most:
                raise ValueError(f"YAML of more than {most >> 20} MiB; split it, or use JSON (-o json)")
        return b"".join(parts)

    def _checked(self, raw: bytes, before: int) -> bytes:
        """The bytes as UTF-8; the first ones decide what they are."""
        if self._decoder is None:
            self._recode = raw[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
            if b"\0" in raw[:1024] and not self._recode:
                raise ValueError("is a binary file, no manifest")
            self._decoder = codecs.getincrementaldecoder("utf-16" if self._recode else "utf-8")()
            if not self._recode and raw.startswith(codecs.BOM_UTF8):
                raw, before = raw[3:], before + 3
        held = len(self._decoder.getstate()[0])
        try:
            text = self._decoder.decode(raw, final=not raw)
        except UnicodeDecodeError as error:
            hint = "convert it with iconv -t utf-8"
            raise ValueError(f"not UTF-8 text (byte {before - held + error.start}); {hint}") from error
        return text.encode() if self._recode else raw


class _Rejoined:
    """A file whose first bytes were read already."""

    def __init__(self, head: bytes, file: BinaryIO) -> None:
        self._head = head
        self._file = file
        self.given = 0

    def read(self, size: int = -1) -> bytes:
        """At most so many bytes."""
        head, self._head = (self._head, b"") if size < 0 else (self._head[:size], self._head[size:])
        raw = head + self._file.read(size - len(head) if size >= 0 else -1)
        self.given += len(raw)
        return raw


@contextmanager
def opened(source: Source) -> Iterator[Text]:
    """Open a source for reading.

    Raises:
        ValueError: it cannot be manifests.
        OSError: it cannot be opened.
    """
    if source.path is None:
        if sys.stdin is None:
            raise ValueError("is closed")
        yield Text(sys.stdin.buffer)
    else:
        with source.path.open("rb") as file:
            yield Text(file, os.fstat(file.fileno()).st_size)
