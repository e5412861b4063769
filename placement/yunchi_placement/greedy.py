"""S1: the incumbent. First fit decreasing, class by class, cost aware."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from yunchi_placement.canonical import Instance, ItemClass
from yunchi_placement.rules import fit_counts
from yunchi_placement.rules.caps import slack
from yunchi_placement.solution import Objective
from yunchi_placement.state import State

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Unit = tuple[int, list[int]]
"""Classes that are placed together: a gang and its classes, or -1 and one class."""


def greedy(instance: Instance, objective: Objective) -> State:
    """Place what fits: higher priority first, then rare resources, then few choices, then size."""
    return construct(instance, class_order(instance), node_order(instance, objective))


def construct(
    instance: Instance,
    order: Sequence[int],
    rank: Ints,
    *,
    first_fit: bool = False,
    rest: Callable[[State, int], State] | None = None,
) -> State:
    """Place tier by tier, classes in `order`, on the first node by `rank` that takes an item.

    Args:
        instance: The problem.
        order: Class numbers.
        rank: Node positions, best first.
        first_fit: Take nodes by rank alone; otherwise nodes in use come first.
        rest: Called after each tier that has items left, with the tier's priority; may move what is placed.
    """
    state = State.empty(instance)
    for tier in tiers(instance, order):
        place_units(state, tier, rank, first_fit=first_fit)
        numbers = [number for _, classes in tier for number in classes]
        if rest and any((state.node_of[list(instance.classes[number].items)] < 0).any() for number in numbers):
            state = rest(state, max(instance.classes[number].priority for number in numbers))
    return state


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


def place_units(state: State, units: list[Unit], rank: Ints, *, first_fit: bool = False) -> None:
    """Place units in order; those that seek others (pod affinity) get another turn while others still come."""
    waiting = units
    while waiting:
        before = len(state.log)
        again = [unit for unit in waiting if not _place_unit(state, unit, rank, first_fit=first_fit)]
        if len(state.log) == before:
            return
        waiting = [unit for unit in again if any(_may_start(state, number) for number in unit[1])]


def _may_start(state: State, number: int) -> bool:
    """Whether a class that seeks others now has someone to seek."""
    ties = state.instance.classes[number].ties
    rows = [state.instance.tallies[tally] for tally in ties.near]
    return bool(rows) and all(state.counts[row.start : row.stop].any() for row in rows)


def _place_unit(state: State, unit: Unit, rank: Ints, *, first_fit: bool) -> bool:
    """Place the waiting items of a unit; a gang that stays too small is taken back. True if nothing waits."""
    gang, classes = unit
    placed: list[int] = []
    done = True
    for number in classes:
        kind = state.instance.classes[number]
        waiting = [item for item in kind.items if state.node_of[item] < 0]
        _place_class(state, kind, waiting, rank, first_fit=first_fit)
        left = [item for item in waiting if state.node_of[item] < 0]
        done = done and not left
        if gang >= 0:
            placed += [item for item in waiting if state.node_of[item] >= 0]
    if gang >= 0 and placed and state.gang_needs[gang] > 0:
        _take_back(state, placed)
        return False
    return done


def _take_back(state: State, placed: list[int]) -> None:
    """Undo placements, the last one first."""
    turn = {item: position for position, item in enumerate(state.log)}
    for item in sorted(placed, key=lambda item: -turn.get(item, -1)):
        state.retract(item)


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
    weight = weights(instance)
    sought = {tally for kind in instance.classes for tally in kind.ties.near}
    keys = []
    for number, kind in enumerate(instance.classes):
        asked = np.flatnonzero(kind.request)
        rarity = float(have[asked].min()) if asked.size else 1.0
        choices = int(kind.allowed.sum())
        capacity = instance.free[kind.allowed].max(axis=0) if choices else np.ones_like(kind.request)
        size = float((kind.request / np.maximum(capacity, 1)).max()) if asked.size else 0.0
        volume = float(kind.request @ weight)
        half = 0 if size > 0.5 else 1
        # Those that others seek come first, then those with rules by domain: the others can fill in around them.
        tied = 0 if not sought.isdisjoint(kind.ties.adds) and not kind.ties.near else 1 if kind.ties else 2
        keys.append((-kind.priority, kind.keeps_node, round(rarity, 6), tied, choices, half, -size, -volume, number))
    return [key[-1] for key in sorted(keys)]


def _place_class(state: State, kind: ItemClass, items: list[int], rank: Ints, *, first_fit: bool) -> None:
    if not items:
        return
    if kind.ties or any(not slack(state.caps_left[cap], kind.request, len(items)) for cap in kind.caps):
        _place_one_by_one(state, kind, items, rank, first_fit=first_fit)
        return
    mask = state.candidates(kind)
    order = rank[mask[rank]]
    if not order.size:
        return
    is_open = (state.keepers[order] > 0) | first_fit
    order = np.concatenate((order[is_open], order[~is_open]))
    counts = fit_counts(state.free[order], kind.request, 1 if kind.solitary else len(items))
    for table, amount in kind.cards:
        counts = np.minimum(counts, state.cards[table].fit_counts(order, amount))
    before = np.cumsum(counts) - counts
    counts = np.minimum(counts, np.maximum(len(items) - before, 0))
    some = np.flatnonzero(counts)
    place_many(state, kind, items, order[some], counts[some])


def _place_one_by_one(state: State, kind: ItemClass, items: list[int], rank: Ints, *, first_fit: bool) -> None:
    """For classes whose every placing changes what the next may do."""
    turn = np.empty(len(rank), dtype=np.int64)
    turn[rank] = np.arange(len(rank))
    for item in items:
        nodes = np.flatnonzero(state.candidates(kind, item))
        if not nodes.size:
            return
        late = turn[nodes] + np.where((state.keepers[nodes] > 0) | first_fit, 0, len(rank))
        state.place(item, int(nodes[late.argmin()]))


def place_many(state: State, kind: ItemClass, items: list[int], nodes: Ints, counts: Ints) -> None:
    """Put `counts[k]` of the items on `nodes[k]`, in order; the caller has checked the room."""
    targets = np.repeat(nodes, counts)
    chosen = items[: len(targets)]
    if kind.cards or kind.ties or kind.caps or kind.gang >= 0:
        for item, node in zip(chosen, targets.tolist(), strict=True):
            state.place(item, node)
        return
    state.node_of[chosen] = targets
    state.free[nodes] -= counts[:, None] * kind.request
    if kind.keeps_node:
        state.keepers[nodes] += counts
    for item, node in zip(chosen, targets.tolist(), strict=True):
        state.on_node[node].append(item)
        if kind.social:
            state.conflicts.add(node, kind.groups, kind.avoids)
