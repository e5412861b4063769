"""S1: the incumbent. First fit decreasing, class by class, cost aware."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from yunchi_placement.canonical import Instance, ItemClass
from yunchi_placement.order import Unit, class_order, node_order, tiers
from yunchi_placement.rules import fit_counts, fits_mask
from yunchi_placement.rules.caps import slack
from yunchi_placement.solution import Objective
from yunchi_placement.state import State

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Rest = Callable[[State, int], State]


def greedy(instance: Instance, objective: Objective) -> State:
    """Place what fits: higher priority first, then rare resources, then few choices, then size."""
    return construct(instance, class_order(instance), node_order(instance, objective))


def construct(
    instance: Instance, order: Sequence[int], rank: Ints, *, first_fit: bool = False, rest: Rest | None = None
) -> State:
    """Place tier by tier, classes in `order`, on the first node by `rank` that takes an item.

    Args:
        instance: The problem.
        order: Class numbers.
        rank: Node positions, best first.
        first_fit: Take nodes by rank alone; otherwise nodes in use come first.
        rest: Called after each tier that has items left, with the tier's priority; may move what is placed.
    """
    builder = Builder(State.empty(instance), rank, first_fit=first_fit)
    for tier in tiers(instance, order):
        builder.place_units(tier)
        numbers = [number for _, classes in tier for number in classes]
        waiting = any((builder.state.node_of[list(instance.classes[number].items)] < 0).any() for number in numbers)
        if rest and waiting:
            builder.state = rest(builder.state, max(instance.classes[number].priority for number in numbers))
    return builder.state


class Builder:
    """Places classes one after another; remembers the nodes open to each set of constraints, in rank order.

    With `worth` (by node and resource), nodes in use are taken where the room that an item needs is worth least.
    """

    def __init__(self, state: State, rank: Ints, *, first_fit: bool = False, worth: Floats | None = None) -> None:
        self.state = state
        self._worth = worth
        self._rank = rank
        self._first_fit = first_fit
        self._reach: dict[int, Ints] = {}

    def place_units(self, units: list[Unit]) -> None:
        """Place units in order; those that seek others (pod affinity) get another turn while others still come."""
        waiting = units
        while waiting:
            before = len(self.state.log)
            again = [unit for unit in waiting if not self._place_unit(unit)]
            if len(self.state.log) == before:
                return
            waiting = [unit for unit in again if any(self._may_start(number) for number in unit[1])]

    def _may_start(self, number: int) -> bool:
        """Whether a class that seeks others now has someone to seek."""
        state = self.state
        rows = [state.instance.tallies[tally] for tally in state.instance.classes[number].ties.near]
        return bool(rows) and all(state.counts[row.start : row.stop].any() for row in rows)

    def _place_unit(self, unit: Unit) -> bool:
        """Place the waiting items of a unit; a gang that stays too small is taken back. True if nothing waits."""
        state = self.state
        gang, classes = unit
        placed: list[int] = []
        done = True
        for number in classes:
            kind = state.instance.classes[number]
            waiting = [item for item in kind.items if state.node_of[item] < 0]
            self.place_class(kind, waiting)
            done = done and not (state.node_of[waiting] < 0).any()
            if gang >= 0:
                placed += [item for item in waiting if state.node_of[item] >= 0]
        if placed and state.gang_needs[gang] > 0:
            turn = {item: position for position, item in enumerate(state.log)}
            for item in sorted(placed, key=lambda item: -turn.get(item, -1)):
                state.retract(item)
            return False
        return done

    def place_class(self, kind: ItemClass, items: list[int]) -> None:
        """Place what fits of a class's waiting items."""
        if not items:
            return
        state = self.state
        if kind.ties or any(not slack(state.caps_left[cap], kind.request, len(items)) for cap in kind.caps):
            self._one_by_one(kind, items)
            return
        reach = self._reach_of(kind)
        reach = reach[fits_mask(state.free[reach], kind.request)]
        if kind.social:
            free = np.ones(len(self._rank), dtype=np.bool_)
            state.conflicts.strike(free, kind.groups, kind.avoids)
            reach = reach[free[reach]]
        if not self._first_fit:
            is_open = state.keepers[reach] > 0
            reach = np.concatenate((self._cheap_first(kind, reach[is_open]), reach[~is_open]))
        # Each of these nodes takes one at least, so no more of them are needed than there are items.
        reach = reach if kind.cards else reach[: len(items)]
        counts = fit_counts(state.free[reach], kind.request, 1 if kind.solitary else len(items))
        for table, amount in kind.cards:
            counts = np.minimum(counts, state.cards[table].fit_counts(reach, amount))
        before = np.cumsum(counts) - counts
        counts = np.minimum(counts, np.maximum(len(items) - before, 0))
        some = np.flatnonzero(counts)
        place_many(state, kind, items, reach[some], counts[some])

    def _cheap_first(self, kind: ItemClass, nodes: Ints) -> Ints:
        """Nodes in use by what the room for an item is worth there, then by how little room it would leave."""
        if self._worth is None or not nodes.size:
            return nodes
        worth = (self._worth[nodes] @ kind.request).round(3)
        capacity = np.maximum(self.state.instance.capacity[nodes], 1)
        left = ((self.state.free[nodes] - kind.request) / capacity)[:, kind.request > 0].sum(axis=1)
        return nodes[np.lexsort((left, worth))]

    def _reach_of(self, kind: ItemClass) -> Ints:
        if kind.eligibility not in self._reach:
            self._reach[kind.eligibility] = self._rank[kind.allowed[self._rank]]
        return self._reach[kind.eligibility]

    def _one_by_one(self, kind: ItemClass, items: list[int]) -> None:
        """For classes whose every placing changes what the next may do."""
        state, reach = self.state, self._reach_of(kind)
        for item in items:
            nodes = reach[state.candidates(kind, item)[reach]]
            if not nodes.size:
                return
            first = 0 if self._first_fit else int((state.keepers[nodes] > 0).argmax())
            state.place(item, int(nodes[first]))


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
