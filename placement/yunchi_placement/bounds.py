"""Cheap proven bounds, by arithmetic alone: used when no plan is made.

Every placed item takes volume, and each unused node gives at most its free amounts for its price; so for each
resource, filling the cheapest room first is a lower bound (a fractional knapsack).
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from yunchi_placement.rules import fits_mask
from yunchi_placement.solution import Bound
from yunchi_placement.state import State

Mask = npt.NDArray[np.bool_]
RELAXES = (
    "for the items placed: each resource by itself over the nodes that may hold it, fractions of nodes and "
    "items allowed, anti-affinity by host dropped"
)


def volume_bound(state: State) -> Bound:
    """Bound the nodes and the cost of placing the items that `state` places.

    Nodes that no class joins make separate parts, whose bounds add up.
    """
    instance = state.instance
    nodes, cost = int(instance.in_use.sum()), int(instance.cost[instance.in_use].sum())
    for part, classes in _parts(state):
        more_nodes, more_cost = _part_bound(state, part, classes)
        nodes += more_nodes
        cost += more_cost
    return Bound(nodes, cost, RELAXES)


def tighter(one: Bound, other: Bound) -> Bound:
    """Of two bounds that both hold, the better of each measure."""
    return Bound(max(one.nodes, other.nodes), max(one.cost, other.cost), one.relaxes)


def _parts(state: State) -> list[tuple[Mask, list[int]]]:
    """Merge the reach of the placed classes until no two parts share a node."""
    instance = state.instance
    by_reach: dict[tuple[int, bytes], tuple[Mask, list[int]]] = {}
    for number, kind in enumerate(instance.classes):
        if kind.keeps_node and (state.node_of[list(kind.items)] >= 0).any():
            has = kind.request > 0
            key = kind.eligibility, has.tobytes()
            if key not in by_reach:
                by_reach[key] = kind.allowed & (instance.free[:, has] > 0).all(axis=1), []
            by_reach[key][1].append(number)
    parts: list[tuple[Mask, list[int]]] = []
    for reach, classes in by_reach.values():
        apart = []
        for other, inside in parts:
            if (other & reach).any():
                reach, classes = reach | other, classes + inside  # noqa: PLW2901 - grows as parts join
            else:
                apart.append((other, inside))
        parts = [*apart, (reach, classes)]
    return parts


def _part_bound(state: State, reach: Mask, classes: list[int]) -> tuple[int, int]:
    instance = state.instance
    price = np.where(instance.in_use, 0, instance.cost)
    demand = np.zeros(len(instance.resources), dtype=np.int64)
    nodes, cost = 0, 0
    for number in classes:
        kind = instance.classes[number]
        demand += kind.request * int((state.node_of[list(kind.items)] >= 0).sum())
        possible = kind.allowed & fits_mask(instance.free, kind.request)
        cost = max(cost, int(price[possible].min(initial=1 << 62)) if possible.any() else 0)
        nodes = max(nodes, int(not instance.in_use[possible].any()) if possible.any() else 0)
    unused = reach & ~instance.in_use
    for resource in np.flatnonzero(demand).tolist():
        need = int(demand[resource]) - int(instance.free[reach & instance.in_use, resource].sum())
        if need > 0:
            room = instance.free[unused, resource]
            cost = max(cost, _cheapest(need, room, instance.cost[unused]))
            nodes = max(nodes, _cheapest(need, room, np.ones_like(room)))
    return nodes, cost


def _cheapest(need: int, room: npt.NDArray[np.int64], price: npt.NDArray[np.int64]) -> int:
    """Least price of `need` units, by fractions of the cheapest rooms; rounded down but for a hair, then up."""
    some = room > 0
    room, price = room[some], price[some]
    order = np.argsort(price / room, kind="stable")
    filled = np.cumsum(room[order])
    last = int(np.searchsorted(filled, need))
    if last >= len(order):
        return int(price.sum())
    whole = int(price[order[:last]].sum())
    left = need - (int(filled[last - 1]) if last else 0)
    part = left * float(price[order[last]]) / float(room[order[last]])
    return whole + math.ceil(part * (1 - 1e-9) - 1e-6)
