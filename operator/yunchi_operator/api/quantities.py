"""Kubernetes quantities, exactly: decimal and binary suffixes, exponents, signs; no floats anywhere.

As in Kubernetes, what does not fit the asked unit is rounded up, away from zero: a request is never made smaller.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from fractions import Fraction
from functools import lru_cache
from typing import Final

Raw = str | int | float
"""A quantity as manifests write it: usually text, but YAML and JSON may hold a bare number."""

_NUMBER = re.compile(r"([+-]?)(\d+\.?\d*|\.\d+)(.*)", re.ASCII | re.DOTALL)
_EXPONENT = re.compile(r"[eE]([+-]?\d{1,3})", re.ASCII)
_SCALES: Final[dict[str, Fraction]] = {
    "n": Fraction(1, 10**9),
    "u": Fraction(1, 10**6),
    "m": Fraction(1, 1000),
    "": Fraction(1),
    "k": Fraction(10**3),
    "M": Fraction(10**6),
    "G": Fraction(10**9),
    "T": Fraction(10**12),
    "P": Fraction(10**15),
    "E": Fraction(10**18),
    "Ki": Fraction(1 << 10),
    "Mi": Fraction(1 << 20),
    "Gi": Fraction(1 << 30),
    "Ti": Fraction(1 << 40),
    "Pi": Fraction(1 << 50),
    "Ei": Fraction(1 << 60),
}
LEGAL_UNITS: Final = "n, u, m, k, M, G, T, P, E, Ki, Mi, Gi, Ti, Pi, Ei, or an exponent such as e3"
LARGEST: Final = (1 << 63) - 1
"""Kubernetes caps quantities here."""
_BINARY: Final = ("Ki", "Mi", "Gi", "Ti", "Pi", "Ei")
_LONGEST: Final = 64


def parse(text: Raw) -> Fraction:
    """Read a quantity.

    Args:
        text: such as ``"1500m"``, ``"4Gi"``, ``"1e3"``, or a bare number.

    Raises:
        ValueError: naming the text, and the legal units when the unit is not one of them.
    """
    if isinstance(text, bool):
        raise ValueError(f"{text} is not a quantity; write a number such as 2, 500m or 4Gi")  # noqa: TRY004 - input
    return _parse(text if isinstance(text, str) else repr(text))


@lru_cache(maxsize=65536)
def _parse(text: str) -> Fraction:
    match = _NUMBER.fullmatch(text) if len(text) <= _LONGEST else None
    if match is None:
        raise ValueError(f"{text[:_LONGEST]!r} is not a quantity; write a number such as 2, 500m or 4Gi")
    sign, digits, unit = match.groups()
    value = Fraction(digits) * _scale(text, unit)
    capped = min(value, Fraction(LARGEST))
    return -capped if sign == "-" else capped


def _scale(text: str, unit: str) -> Fraction:
    """The factor that a suffix stands for."""
    scale = _SCALES.get(unit)
    if scale is not None:
        return scale
    exponent = _EXPONENT.fullmatch(unit)
    if exponent is None:
        raise ValueError(f"{text!r}: unknown unit {unit!r}; legal units are {LEGAL_UNITS}")
    return Fraction(10) ** int(exponent.group(1))


def _round_up(value: Fraction) -> int:
    """To an integer, away from zero, within what Kubernetes can hold."""
    rounded = math.ceil(value) if value >= 0 else math.floor(value)
    return max(-LARGEST, min(LARGEST, rounded))


@lru_cache(maxsize=65536, typed=True)
def cpu_milli(text: Raw) -> int:
    """Millicores, rounded up.

    Raises:
        ValueError: as ``parse``.
    """
    return _round_up(parse(text) * 1000)


@lru_cache(maxsize=65536, typed=True)
def amount(text: Raw) -> int:
    """Whole units (bytes, devices, pods), rounded up.

    Raises:
        ValueError: as ``parse``.
    """
    return _round_up(parse(text))


def scaled(resource: str, text: Raw) -> int:
    """The engine's integer for a resource: millicores for ``cpu``, whole units for everything else.

    Raises:
        ValueError: as ``parse``.
    """
    return cpu_milli(text) if resource == "cpu" else amount(text)


def scaled_list(resources: Mapping[str, Raw]) -> dict[str, int]:
    """A ResourceList in the engine's integers.

    Raises:
        ValueError: naming the resource too.
    """
    found = {}
    for resource, text in resources.items():
        try:
            found[resource] = scaled(resource, text)
        except ValueError as error:
            raise ValueError(f"{resource}: {error}") from error
    return found


def micro(text: Raw) -> int:
    """Millionths of a plain decimal such as a pool's cost; exact.

    Raises:
        ValueError: when it is negative, finer than a millionth, or no decimal number.
    """
    shown = text if isinstance(text, str) else repr(text)
    if not re.fullmatch(r"\d+(\.\d+)?", shown, re.ASCII) or len(shown) > _LONGEST:
        raise ValueError(f"{shown[:_LONGEST]!r} is not a cost; write a decimal number such as 1 or 12.5")
    value = Fraction(shown) * 1_000_000
    if value.denominator != 1:
        raise ValueError(f"{shown!r} has more than six decimals; round it")
    return int(value)


def format_cpu(milli: int) -> str:
    """Millicores as Kubernetes prints them: ``1500m``, ``2``."""
    return str(milli // 1000) if milli % 1000 == 0 else f"{milli}m"


def format_bytes(count: int) -> str:
    """Bytes with the largest binary suffix that keeps them exact: ``4Gi``, ``1500``."""
    for power in range(len(_BINARY), 0, -1):
        unit = 1 << (10 * power)
        if count and count % unit == 0:
            return f"{count // unit}{_BINARY[power - 1]}"
    return str(count)


def format_amount(resource: str, value: int) -> str:
    """An engine integer as a quantity: the reverse of ``scaled``."""
    if resource == "cpu":
        return format_cpu(value)
    if resource in ("memory", "ephemeral-storage", "storage") or resource.startswith("hugepages-"):
        return format_bytes(value)
    return str(value)
