"""Rows that tighten a plan: what volumes allow and whole items cannot.

For any unit u > 0 the function f(a) = ceil(a / u) - 1 (0 for a = 0) is superadditive: items on one node or card have
values that sum to at most the value of the room. So the sum over a cell's items stays below the sum over its opened
nodes. With u a fraction of a node this counts its large items: two that each need more than half cannot share it.
The classes of such functions are the dual-feasible functions of Fekete and Schepers (2001).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
PARTS = (2, 3, 4)
"""Units tried: these fractions of a node's room, and of a card."""


def stepped(amounts: Ints, size: int, parts: int) -> Ints:
    """ceil(amount / (size / parts)) - 1 in integers, 0 for nothing."""
    return np.where(amounts > 0, (amounts * parts - 1) // max(size, 1), 0)


def node_cuts(requests: Ints, rooms: Sequence[Ints]) -> Iterator[tuple[Ints, Ints]]:
    """Cuts for one resource of one cell.

    Args:
        requests: By flow.
        rooms: By node type, the rooms of its nodes: one entry for equal unused nodes, all of them for a sunk type.

    Yields:
        Values by flow and by type: sum(flow values * items) <= sum(type values * opened).
    """
    sizes = sorted({int(room[0]) for room in rooms if len(room) == 1 and room[0] > 0})
    for size in sizes:
        for parts in PARTS:
            values = stepped(requests, size, parts)
            if values.any():
                yield values, np.array([int(stepped(room, size, parts).sum()) for room in rooms], dtype=np.int64)


def card_cuts(amounts: Ints, units: int) -> Iterator[tuple[int, Ints]]:
    """Cuts for one kind of cards: a share fills a card in steps, a whole card counts in full.

    Args:
        amounts: By flow.
        units: Of one card.

    Yields:
        The number of parts and the values by flow. A card's value is `stepped` of its free units.
    """
    for parts in PARTS:
        whole = amounts // units
        values = np.where(whole > 0, whole * (parts - 1), stepped(amounts, units, parts))
        if values.any():
            yield parts, values
