"""The tables of division codes, and what they say about one code.

They cover what is shipped in ``data/`` (see its SOURCE.md), not all of China: beyond that, a code is taken at its word
as long as its nearest covered ancestor exists.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources

from yunchi_operator.tenancy import codes

NEAREST = 3
"""How many known codes are offered in place of an unknown one."""


@dataclass(frozen=True, slots=True)
class Tables:
    """Known codes with their Chinese names.

    Attributes:
        names: by code, of provinces, prefectures and counties.
        zones: codes of statistics-only zones, which GB/T 2260 does not list.
        provinces_with_prefectures: province codes whose prefectures are all listed.
        prefectures_with_counties: prefecture codes whose counties are all listed.
    """

    names: Mapping[str, str]
    zones: frozenset[str]
    provinces_with_prefectures: frozenset[str]
    prefectures_with_counties: frozenset[str]

    def covers(self, code: str) -> bool:
        """Whether the tables list every division of this code's kind and place."""
        level = codes.level(code)
        if level == "Province":
            return True
        province = code[:2] + "0000"
        if level == "Prefecture":
            return province in self.provinces_with_prefectures
        return codes.parent(code) in self.prefectures_with_counties

    def unknown_part(self, code: str) -> str | None:
        """The highest division on the way down to this one that does not exist; None when all is known or not covered.

        Args:
            code: a well-formed code.
        """
        chain = [codes.canonical(code)]
        while (above := codes.parent(chain[-1])) is not None:
            chain.append(above)
        for part in reversed(chain):
            if len(part) == 6 and part not in self.names and self.covers(part):
                return part
        return None

    def nearest(self, code: str) -> tuple[str, ...]:
        """The known codes that are likeliest meant: of the same level, fewest differing digits, then nearest number."""
        level = codes.level(code)
        alike = [known for known in self.names if codes.level(known) == level]

        def distance(known: str) -> tuple[int, int]:
            wrong = sum(a != b for a, b in zip(known, code, strict=True))
            return wrong, abs(int(known) - int(code))

        return tuple(sorted(alike, key=distance)[:NEAREST])

    def label(self, code: str) -> str:
        """The code with its name, for messages."""
        name = self.names.get(code)
        return f"{code} ({name})" if name else code


def parse(provinces: str, prefectures: str, counties: str) -> Tables:
    """Build the tables from the texts of the three CSV files."""
    first, second, third = _rows(provinces), _rows(prefectures), _rows(counties)
    childless = {row["code6"] for row in second if row["counties"] == "0"}  # such as Dongguan: no county can exist
    return Tables(
        names={row["code6"]: row["name_zh"] for rows in (first, second, third) for row in rows},
        zones=frozenset(row["code6"] for row in third if row["kind"] == "statistical-zone"),
        provinces_with_prefectures=frozenset(row["province"] for row in second),
        prefectures_with_counties=frozenset(row["prefecture_code6"] for row in third) | childless,
    )


@cache
def shipped() -> Tables:
    """The tables that come with the package, read once."""
    folder = resources.files("yunchi_operator.tenancy") / "data"
    texts = ((folder / f"{name}.csv").read_text("utf-8") for name in ("provinces", "prefectures", "counties"))
    return parse(*texts)


def _rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))
