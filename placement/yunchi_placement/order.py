"""In which order classes and nodes are tried."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from yunchi_placement.canonical import Instance
from yunchi_placement.solution import Objective

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Unit = tuple[int, list[int]]
"""Classes that are placed together: a gang and its classes, or -1 and one class."""


def tiers(instance: Instance, order: Sequence[int]) -> list[list[Unit]]:
    """The classes as units, in tiers of falling priority; a gang is as urgent as its most urgent member."""
    gangs: dict[int, Unit] = {}
    urgency: dict[int, int] = {}
    for kind in instance.classes:
        if kind.gang >= 0:
            urgency[kind.gang] = max(kind.priority, urgency.get(kind.gang, kind.priority))
    listed: dict[int, list[Unit]] = {}
    for number in order:
        kind = instance.classes[number]
        if kind.gang < 0:
            listed.setdefault(kind.priority, []).append((-1, [number]))
        elif kind.gang in gangs:
            gangs[kind.gang][1].append(number)
        else:
            gangs[kind.gang] = (kind.gang, [number])
            listed.setdefault(urgency[kind.gang], []).append(gangs[kind.gang])
    return [listed[priority] for priority in sorted(listed, reverse=True)]


def weights(instance: Instance) -> Floats:
    """What one unit of each resource is worth: the share of all that is free."""
    total = instance.free.sum(axis=0).astype(np.float64)
    return 1.0 / np.where(total > 0, total, np.inf)


def prices(instance: Instance, objective: Objective) -> Floats:
    """What using each node costs under the objective, sunk costs left out."""
    price = instance.cost.astype(np.float64) if objective == "cost" else np.ones(len(instance.nodes))
    return np.where(instance.in_use, 0.0, price)


def node_order(instance: Instance, objective: Objective) -> Ints:
    """Nodes by price per room; room counts only what is asked for, the scarcer the dearer."""
    demand = np.zeros(len(instance.resources))
    for kind in instance.classes:
        demand += kind.request * float(len(kind.items))
    total = instance.free.sum(axis=0).astype(np.float64)
    scarcity = np.divide(demand, total, out=np.zeros_like(total), where=total > 0) * weights(instance)
    room = instance.free @ scarcity
    ratio = np.divide(prices(instance, objective), room, out=np.full(len(room), np.inf), where=room > 0)
    ratio[instance.in_use] = -1.0
    # Among nodes in use the fullest first, so that the roomy ones stay whole; among the others the roomiest.
    return np.lexsort((np.arange(len(ratio)), np.where(instance.in_use, room, -room), ratio))


def class_order(instance: Instance) -> list[int]:
    """Classes in the order in which a careful packer would take them."""
    have = (instance.free > 0).sum(axis=0) / max(1, len(instance.nodes))
    sought = {tally for kind in instance.classes for tally in kind.ties.near}
    asked = instance.requests > 0
    rarity = np.where(asked, have, 1.0).min(axis=1, initial=1.0).round(6).tolist()
    volume = (instance.requests @ weights(instance)).tolist()
    choices, largest = _reach(instance)
    size = np.where(asked, instance.requests / np.maximum(largest, 1), 0.0).max(axis=1, initial=0.0).tolist()
    keys = []
    for number, kind in enumerate(instance.classes):
        half = 0 if size[number] > 0.5 else 1
        # Those that others seek come first, then those with rules by domain: the others can fill in around them.
        tied = 0 if not sought.isdisjoint(kind.ties.adds) and not kind.ties.near else 1 if kind.ties else 2
        key = (-kind.priority, kind.keeps_node, rarity[number], tied, choices[number], half, -size[number])
        keys.append((*key, -volume[number], number))
    return [key[-1] for key in sorted(keys)]


def _reach(instance: Instance) -> tuple[list[int], Ints]:
    """By class: how many nodes it may go to, and the most of each resource that one of them has free."""
    memo: dict[int, tuple[int, Ints]] = {}
    for kind in instance.classes:
        if kind.eligibility not in memo:
            count = int(kind.allowed.sum())
            largest = instance.free[kind.allowed].max(axis=0) if count else np.ones_like(kind.request)
            memo[kind.eligibility] = count, largest
    found = [memo[kind.eligibility] for kind in instance.classes]
    return [count for count, _ in found], np.array([most for _, most in found]).reshape(instance.requests.shape)
