"""Shares of accelerator cards: an extended resource that counts thousandths of a card.

A pod that asks for 470 of it must find 470 free on one card; 2000 are two whole cards. Kubernetes itself only sums the
resource per node.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from yunchi_operator.api.names import GPU_MILLI
from yunchi_placement import Cards

UNITS: Final[Mapping[str, int]] = {GPU_MILLI: 1000}
"""Units of one card, by resource."""


def cards_of(resources: Sequence[str]) -> tuple[Cards, ...]:
    """The card resources of a problem."""
    return tuple(Cards(resource, UNITS[resource]) for resource in resources if resource in UNITS)


def is_neither_share_nor_whole(requests: Mapping[str, int]) -> bool:
    """Whether a request is more than a card and not whole cards: no node could tell where to put the rest."""
    return any(requests.get(name, 0) > units and requests[name] % units for name, units in UNITS.items())


def whole_capacity(resource: str, amount: int) -> int:
    """A node's amount of a resource, without what is no whole card."""
    units = UNITS.get(resource, 1)
    return amount - amount % units


def whole_request(resource: str, amount: int) -> int:
    """What a pod that runs anyway takes: more than a card is rounded up to whole cards."""
    units = UNITS.get(resource, 1)
    return amount if amount <= units else -(-amount // units) * units
