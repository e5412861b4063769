"""Cheap proven bounds, by arithmetic alone: used when no plan is made.

Every placed item takes volume, and each unused node gives at most its free amounts for its price; so for each
resource, filling the cheapest room first is a lower bound (a fractional knapsack).
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from yunchi_placement.problem import Bound
from yunchi_placement.rules import fits_mask
from yunchi_placement.state import State

Floats = npt.NDArray[np.float64]
RELAXES = (
    "for the items placed: each resource by itself over the nodes that may hold it, fractions of nodes and "
    "items allowed, anti-affinity by host dropped"
)


def volume_bound(state: State) -> Bound:
    """Bound the nodes and the cost of placing the items that `state` places."""
    instance = state.instance
    demand, reach = _demand(state)
    nodes, cost = _least_single(state)
    unused = reach & ~instance.in_use
    for resource in range(len(instance.resources)):
        sunk = int(instance.free[reach & instance.in_use, resource].sum())
        need = demand[resource] - sunk
        if need <= 0:
            continue
        room = instance.free[unused, resource]
        cost = max(cost, _cheapest(need, room, instance.cost[unused]))
        nodes = max(nodes, _cheapest(need, room, np.ones_like(room)))
    sunk_cost = int(instance.cost[instance.in_use].sum())
    return Bound(nodes + int(instance.in_use.sum()), cost + sunk_cost, RELAXES)


def _least_single(state: State) -> tuple[int, int]:
    """Nodes and cost that the class with the dearest cheapest node needs by itself."""
    instance = state.instance
    price = np.where(instance.in_use, 0, instance.cost)
    nodes, cost = 0, 0
    for kind in instance.classes:
        if kind.keeps_node and (state.node_of[list(kind.items)] >= 0).any():
            possible = kind.allowed & fits_mask(instance.free, kind.request)
            if possible.any():
                cost = max(cost, int(price[possible].min()))
                nodes = max(nodes, int(not instance.in_use[possible].any()))
    return nodes, cost


def _demand(state: State) -> tuple[list[int], npt.NDArray[np.bool_]]:
    instance = state.instance
    reach = np.zeros(len(instance.nodes), dtype=np.bool_)
    demand = np.zeros(len(instance.resources), dtype=np.int64)
    for kind in instance.classes:
        if kind.keeps_node:
            placed = int((state.node_of[list(kind.items)] >= 0).sum())
            demand += kind.request * placed
            if placed:
                reach |= kind.allowed
    return demand.tolist(), reach


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
