"""The rules of division codes: what the digits alone say (GB/T 2260, and GB/T 10114 for townships)."""

from __future__ import annotations

from typing import Final, Literal

Level = Literal["Province", "Prefecture", "County", "Township"]

MUNICIPALITIES: Final = frozenset({"11", "12", "31", "50"})
"""Beijing, Tianjin, Shanghai, Chongqing: their districts stand directly under the province level."""
_DIRECT_PREFECTURE_DIGITS: Final = "90"
"""County-level cities run by the province itself are coded ``xx90yy``, under a prefecture that does not exist."""
_LENGTHS: Final = (6, 9, 12)


def well_formed(code: str) -> bool:
    """Whether the code is 6, 9 or 12 ASCII digits that do not skip a level."""
    if len(code) not in _LENGTHS or not (code.isascii() and code.isdigit()):
        return False
    return not code.startswith("00") and not (code[2:4] == "00" and code[4:6] != "00")


def canonical(code: str) -> str:
    """The shortest code of the same division: the twelve-digit form pads with zeros."""
    while len(code) > 6 and code.endswith("000"):
        code = code[:-3]
    return code


def level(code: str) -> Level | None:
    """The level that the digits tell; None for a village, which Yunchi has no level for.

    Args:
        code: a well-formed code.
    """
    short = canonical(code)
    if len(short) > 6:
        return "Township" if len(short) == 9 else None
    if short.endswith("0000"):
        return "Province"
    return "Prefecture" if short.endswith("00") else "County"


def parent(code: str) -> str | None:
    """The code of the division above; None for a province.

    A township's parent is the division of its first six digits: a county, or a prefecture without counties such as
    Dongguan 441900.
    """
    short = canonical(code)
    if len(short) > 6:
        return short[:-3]
    if short.endswith("0000"):
        return None
    direct = short[:2] in MUNICIPALITIES or short[2:4] == _DIRECT_PREFECTURE_DIGITS
    if short.endswith("00") or direct:
        return short[:2] + "0000"
    return short[:4] + "00"
