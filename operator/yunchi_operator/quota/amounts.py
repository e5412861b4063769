"""Amounts of resources as integers, which add up exactly; quantities are read and written only at the edges."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from yunchi_operator.api.kinds import ResourceList
from yunchi_operator.api.quantities import format_amount, scaled_list

Amounts = Mapping[str, int]
"""Resource name to thousandths of cores for cpu, to bytes or counts for all else."""


def read(resources: ResourceList) -> dict[str, int]:
    """The amounts of a resource list; fractions are rounded up.

    Raises:
        ValueError: for a quantity that Kubernetes would not take.
    """
    return scaled_list(resources)


def write(amounts: Amounts) -> ResourceList:
    """The amounts as quantities, sorted by name."""
    return {name: format_amount(name, amounts[name]) for name in sorted(amounts)}


def add(many: Iterable[Amounts]) -> dict[str, int]:
    """The sum, resource by resource."""
    total: dict[str, int] = {}
    for amounts in many:
        for name, amount in amounts.items():
            total[name] = total.get(name, 0) + amount
    return total
