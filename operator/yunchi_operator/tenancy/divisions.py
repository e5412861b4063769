"""Is a Division what its code says it is, and is there one above it?"""

from __future__ import annotations

from collections.abc import Collection

from yunchi_operator.api.conditions import Verdict
from yunchi_operator.api.kinds import Division
from yunchi_operator.tenancy import codes
from yunchi_operator.tenancy.tables import Tables


def decide(division: Division, known: Collection[str], tables: Tables) -> Verdict:
    """The ``Ready`` condition of a division.

    Args:
        division: as read.
        known: codes of all Divisions there are.
        tables: of division codes.
    """
    code, spec = division.spec.code, division.spec
    if not codes.well_formed(code):
        return _not_ready("UnknownCode", f"spec.code {code}: no division code skips a level; give a code of GB/T 2260")
    unknown = tables.unknown_part(code)
    if unknown is not None:
        return _not_ready("UnknownCode", _unknown(code, unknown, tables))
    told = codes.level(code)
    if told != spec.level:
        really = f"the code of a {told}" if told else "the code of a village, which has no level here"
        return _not_ready("LevelMismatch", f"spec.level {spec.level}: {tables.label(code)} is {really}")
    if told == "Province":
        return _ready(code, tables)
    return _decide_parent(division, known, tables)


def _decide_parent(division: Division, known: Collection[str], tables: Tables) -> Verdict:
    code, parent = division.spec.code, division.spec.parent
    above = codes.parent(code)
    if parent is None or parent != above:
        message = (
            f"spec.parent {parent or 'is missing'}: the division above {tables.label(code)} is {above}; write that"
        )
        return _not_ready("LevelMismatch", message)
    if parent not in known:
        message = f"spec.parent {parent}: there is no Division of that name; create it with level {codes.level(parent)}"
        return _not_ready("ParentNotFound", message)
    return _ready(code, tables)


def _ready(code: str, tables: Tables) -> Verdict:
    short = codes.canonical(code)
    if short in tables.zones:
        return Verdict(
            "Ready", "True", "Known", f"{tables.label(short)}: a statistics-only zone, not in GB/T 2260 itself"
        )
    if short in tables.names:
        return Verdict("Ready", "True", "Known", f"{tables.label(short)} is in the tables of GB/T 2260")
    return Verdict("Ready", "True", "Known", f"{code} is well-formed; the tables do not reach down to it")


def _not_ready(reason: str, message: str) -> Verdict:
    return Verdict("Ready", "False", reason, message)


def _unknown(code: str, unknown: str, tables: Tables) -> str:
    of_it = "" if codes.canonical(code) == unknown else f" (it lies in {unknown}, which does not exist)"
    offers = ", ".join(tables.label(offer) for offer in tables.nearest(unknown))
    return (
        f"spec.code {code}: not in the tables of GB/T 2260{of_it}; create it anew with the right code, such as {offers}"
    )
