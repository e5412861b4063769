"""Reads a host list: the CSV in which a cloud outside Kubernetes tells its hosts.

Every error is found in one reading and told by line, column, what is wrong and what to write. Such files come out of
spreadsheets, so a byte-order mark and blank lines are passed over; all else is strict.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final, TypeVar

_T = TypeVar("_T")
REQUIRED: Final = ("hostname", "arch", "cpu_cores", "memory_gib")
COLUMNS: Final = (
    "hostname",
    "arch",
    "vendor",
    "cpu_model",
    "cpu_cores",
    "memory_gib",
    "cpu_used_cores",
    "memory_used_gib",
    "workloads",
)
_HOSTNAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?(\.[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?)*")
_ARCHITECTURE = re.compile(r"[a-z0-9][a-z0-9_]{0,31}")
_NUMBER = re.compile(r"[0-9]{1,9}(\.[0-9]{1,6})?")
_INTEGER = re.compile(r"[0-9]{1,9}")
_ALIASES: Final = {"x86_64": "amd64", "x86-64": "amd64", "x64": "amd64", "aarch64": "arm64", "loongarch64": "loong64"}


@dataclass(frozen=True, slots=True)
class Host:
    """One host; what the list does not tell is None."""

    name: str
    architecture: str
    vendor: str
    cpu_model: str
    cpu_milli: int
    memory_bytes: int
    cpu_used_milli: int | None
    memory_used_bytes: int | None
    workloads: int | None


@dataclass(frozen=True, slots=True)
class Problem:
    """One error of the list, for a person to mend."""

    line: int
    column: str
    what: str
    remedy: str

    def __str__(self) -> str:
        return f"line {self.line}, column {self.column}: {self.what}; {self.remedy}"


class _CellError(ValueError):
    def __init__(self, what: str, remedy: str) -> None:
        super().__init__(what)
        self.what = what
        self.remedy = remedy


def parse(text: str) -> tuple[tuple[Host, ...], tuple[Problem, ...]]:
    """All hosts, and all errors; hosts of a list with errors are incomplete and must not be used."""
    reader = csv.reader(io.StringIO(text.removeprefix("\ufeff")), strict=True)
    problems: list[Problem] = []
    hosts: dict[str, Host] = {}
    try:
        header = [cell.strip() for cell in next(reader, [])]
        problems.extend(_check_header(header))
        if problems:
            return (), tuple(problems)
        for row in reader:
            line = reader.line_num
            if not any(cell.strip() for cell in row):
                continue
            found, wrong = _host(line, header, [cell.strip() for cell in row])
            problems.extend(wrong)
            if found is not None and found.name in hosts:
                problems.append(Problem(line, "hostname", f"{found.name} stands twice", "keep one of the two lines"))
            elif found is not None:
                hosts[found.name] = found
    except csv.Error as error:
        problems.append(Problem(reader.line_num, "-", f"no CSV ({error})", "check its quotation marks"))
    if not hosts and not problems:
        problems.append(Problem(2, "hostname", "no host in the list", "add a line for each host"))
    return tuple(hosts.values()), tuple(problems)


def _check_header(header: Sequence[str]) -> Iterator[Problem]:
    if not any(header):
        yield Problem(1, "-", "the header is missing", f"start with {','.join(COLUMNS)}")
        return
    for name in REQUIRED:
        if name not in header:
            yield Problem(1, name, "the column is missing", f"the header is {','.join(COLUMNS)}")
    for position, name in enumerate(header):
        if name not in COLUMNS:
            yield Problem(1, name or str(position + 1), "unknown column", f"known are {', '.join(COLUMNS)}")
        elif name in header[:position]:
            yield Problem(1, name, "the column stands twice", "keep one of the two")


def _host(line: int, header: Sequence[str], row: Sequence[str]) -> tuple[Host | None, list[Problem]]:
    if len(row) != len(header):
        what = f"{len(row)} values under {len(header)} columns"
        column = header[len(row)] if len(row) < len(header) else header[-1]
        return None, [Problem(line, column, what, "give one value for each column, empty where it is not known")]
    cells = dict(zip(header, row, strict=True))
    problems: list[Problem] = []

    def read(column: str, reader: Callable[[str], _T]) -> _T | None:
        try:
            return reader(cells.get(column, ""))
        except _CellError as error:
            problems.append(Problem(line, column, error.what, error.remedy))
            return None

    name, architecture = read("hostname", _hostname), read("arch", _architecture)
    vendor, model = read("vendor", _text), read("cpu_model", _text)
    cpu, memory = read("cpu_cores", _cores), read("memory_gib", _gib)
    cpu_used, memory_used = read("cpu_used_cores", _optional(_milli)), read("memory_used_gib", _optional(_bytes))
    workloads = read("workloads", _optional(_count))
    problems.extend(_excess(line, cells, "cpu_used_cores", cpu_used, "cpu_cores", cpu))
    problems.extend(_excess(line, cells, "memory_used_gib", memory_used, "memory_gib", memory))
    if problems or name is None or architecture is None or cpu is None or memory is None:
        return None, problems
    return Host(name, architecture, vendor or "", model or "", cpu, memory, cpu_used, memory_used, workloads), []


def _excess(
    line: int, cells: dict[str, str], used_column: str, used: int | None, total_column: str, total: int | None
) -> Iterator[Problem]:
    if used is not None and total is not None and used > total:
        what = f"{cells[used_column]} is more than {total_column} {cells[total_column]}"
        yield Problem(line, used_column, what, "correct one of the two")


def _shown(cell: str) -> str:
    """The value as it may be repeated in a message: short and printable."""
    clean = "".join(letter if letter.isprintable() else "?" for letter in cell)
    return repr(clean if len(clean) <= 40 else clean[:39] + "…")


def _hostname(cell: str) -> str:
    if len(cell) > 253 or not _HOSTNAME.fullmatch(cell):
        raise _CellError(
            f"{_shown(cell)} is no host name" if cell else "is empty",
            "write lower-case letters, digits, '-' and '.', such as nj-kp-001",
        )
    return cell


def _architecture(cell: str) -> str:
    if cell.lower() in _ALIASES:
        raise _CellError(f"{_shown(cell)} is another name of it", f"write {_ALIASES[cell.lower()]}")
    if not _ARCHITECTURE.fullmatch(cell):
        raise _CellError(f"{_shown(cell)} is no architecture" if cell else "is empty", "write amd64, arm64 or loong64")
    return cell


def _text(cell: str) -> str:
    if len(cell) > 128 or not cell.isprintable():
        raise _CellError("is too long or has control characters", "write at most 128 printable characters")
    return cell


def _number(cell: str) -> Decimal:
    if not _NUMBER.fullmatch(cell):
        raise _CellError(
            f"{_shown(cell)} is no number" if cell else "is empty",
            "write a plain number such as 64 or 0.5, without unit",
        )
    return Decimal(cell)


def _milli(cell: str) -> int:
    return int(_number(cell) * 1000)


def _bytes(cell: str) -> int:
    return int(_number(cell) * 2**30)


def _cores(cell: str) -> int:
    return _positive(cell, _milli(cell))


def _gib(cell: str) -> int:
    return _positive(cell, _bytes(cell))


def _positive(cell: str, amount: int) -> int:
    if amount <= 0:
        raise _CellError(f"{_shown(cell)} is nothing", "write what the host has")
    return amount


def _count(cell: str) -> int:
    if not _INTEGER.fullmatch(cell):
        raise _CellError(f"{_shown(cell)} is no whole number", "write a count such as 12")
    return int(cell)


def _optional(reader: Callable[[str], int]) -> Callable[[str], int | None]:
    return lambda cell: reader(cell) if cell else None
