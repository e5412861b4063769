"""Which divisions must approve a request: the department's own, and those above as long as it is too large."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from yunchi_operator.api.kinds import Division, ResourceList
from yunchi_operator.quota import amounts

DEPTH_LIMIT = 8
"""As many as ``status.requiredDivisions`` holds; real chains have four."""


@dataclass(frozen=True, slots=True)
class Tiers:
    """The divisions that must approve, nearest first.

    Attributes:
        codes: of the divisions.
        missing: the code of a division of the chain that does not exist, or None.
    """

    codes: tuple[str, ...]
    missing: str | None = None


def required(resources: ResourceList, division: str, divisions: Mapping[str, Division]) -> Tiers:
    """The tiers of a request.

    Args:
        resources: what is asked for.
        division: code of the department's division.
        divisions: all there are, by code.

    Raises:
        ValueError: when a quantity cannot be read.
    """
    wanted = amounts.read(resources)
    codes: list[str] = []
    code: str | None = division
    while code is not None and len(codes) < DEPTH_LIMIT:
        known = divisions.get(code)
        if known is None or code in codes:  # a circle of parents has no root that could decide
            return Tiers(tuple(codes), missing=code)
        codes.append(code)
        if known.spec.parent is None or decides_alone(wanted, amounts.read(known.spec.approval.up_to)):
            return Tiers(tuple(codes))
        code = known.spec.parent
    return Tiers(tuple(codes), missing=code)


def decides_alone(wanted: amounts.Amounts, up_to: amounts.Amounts) -> bool:
    """Whether a division may approve this growth without the one above it; what ``up_to`` does not name is too much."""
    return all(name in up_to and amount <= up_to[name] for name, amount in wanted.items())
