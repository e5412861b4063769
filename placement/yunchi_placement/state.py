"""A placement under construction, and its value."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from yunchi_placement.canonical import Instance, ItemClass
from yunchi_placement.rules import CardTable, Conflicts, apart_mask, fits_mask, near_mask, spread_mask
from yunchi_placement.rules.caps import UNLIMITED, exceeded
from yunchi_placement.rules.tallies import count
from yunchi_placement.solution import Objective

Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


class Value(NamedTuple):
    """What a placement is worth: micro-units, and nodes in use."""

    cost: int
    nodes: int

    def of(self, objective: Objective) -> int:
        """The number that the objective minimises."""
        return self.cost if objective == "cost" else self.nodes


@dataclass(slots=True, eq=False)
class State:
    """Where the pending items are.

    An item with ties (affinity, spread, anti-affinity by domain) is allowed where it is because of what was placed
    before it. So such items are logged in the order of their placing, and one that is removed keeps its place in
    the counts and in the log: it may come back only to nodes of the same domains, where nobody sees a difference.

    Attributes:
        keepers: by node, the items that make it used.
        counts: by tally, flat.
        caps_left: by cap and resource.
        gang_needs: by gang, items still needed for its least number.
        held: cards by (item, card table).
        log: items with ties in the order of their placing.
        lifted: removed items with ties, and the node that they were on.
    """

    instance: Instance
    free: Ints
    node_of: Ints
    keepers: Ints
    on_node: defaultdict[int, list[int]]
    conflicts: Conflicts
    counts: Ints
    caps_left: Ints
    gang_needs: Ints
    cards: tuple[CardTable, ...]
    held: dict[tuple[int, int], tuple[int, ...]]
    log: list[int]
    lifted: dict[int, int]

    @classmethod
    def empty(cls, instance: Instance) -> State:
        """Nothing placed yet; running items are in."""
        base = instance.base
        return cls(
            instance=instance,
            free=instance.free.copy(),
            node_of=np.full(len(instance.items), -1, dtype=np.int64),
            keepers=base.keepers.copy(),
            on_node=defaultdict(list),
            conflicts=base.conflicts.copy(),
            counts=base.counts.copy(),
            caps_left=base.caps_left.copy(),
            gang_needs=base.gang_needs.copy(),
            cards=tuple(table.copy() for table in base.cards),
            held={},
            log=[],
            lifted={},
        )

    def copy(self) -> State:
        """An independent copy."""
        return State(
            instance=self.instance,
            free=self.free.copy(),
            node_of=self.node_of.copy(),
            keepers=self.keepers.copy(),
            on_node=defaultdict(list, {node: list(items) for node, items in self.on_node.items()}),
            conflicts=self.conflicts.copy(),
            counts=self.counts.copy(),
            caps_left=self.caps_left.copy(),
            gang_needs=self.gang_needs.copy(),
            cards=tuple(table.copy() for table in self.cards),
            held=dict(self.held),
            log=list(self.log),
            lifted=dict(self.lifted),
        )

    @property
    def used(self) -> Mask:
        """Nodes that count as in use."""
        return self.keepers > 0

    def class_at(self, item: int) -> ItemClass:
        """The class of an item."""
        return self.instance.classes[int(self.instance.class_of[item])]

    def place(self, item: int, node: int) -> None:
        """Put an unplaced item on a node; the caller has checked that it may go there."""
        kind = self.class_at(item)
        self._put(item, kind, node)
        if kind.ties and self.lifted.pop(item, None) is None:
            count(self.counts, self.instance.tallies, kind.ties, node, 1)
            self.log.append(item)

    def _put(self, item: int, kind: ItemClass, node: int) -> None:
        self.free[node] -= kind.request
        self.node_of[item] = node
        self.on_node[node].append(item)
        if kind.keeps_node:
            self.keepers[node] += 1
        if kind.social:
            self.conflicts.add(node, kind.groups, kind.avoids)
        for table, amount in kind.cards:
            self.held[item, table] = self.cards[table].take(node, amount)
        if kind.caps:
            self._charge(kind, node, 1)
        if kind.gang >= 0:
            self.gang_needs[kind.gang] -= 1

    def remove(self, item: int) -> int:
        """Take a placed item off its node and return that node."""
        kind = self.class_at(item)
        node = int(self.node_of[item])
        self.free[node] += kind.request
        self.node_of[item] = -1
        self.on_node[node].remove(item)
        if kind.keeps_node:
            self.keepers[node] -= 1
        if kind.social:
            self.conflicts.remove(node, kind.groups, kind.avoids)
        for table, amount in kind.cards:
            self.cards[table].release(node, amount, self.held.pop((item, table)))
        if kind.caps:
            self._charge(kind, node, -1)
        if kind.gang >= 0:
            self.gang_needs[kind.gang] += 1
        if kind.ties:
            self.lifted[item] = node
        return node

    def retract(self, item: int) -> None:
        """Undo the placing of an item altogether; of items with ties, only the last one placed."""
        kind = self.class_at(item)
        node = self.remove(item)
        if kind.ties:
            del self.lifted[item]
            if self.log.pop() != item:
                raise ValueError("only the last placed of the items with ties can be retracted")
            count(self.counts, self.instance.tallies, kind.ties, node, -1)

    def withdraw(self, item: int) -> None:
        """Let a removed item go from the counts, too: it may come back to any domain that meets its rules without it.

        Only for work that ran before: the log, an order in which everybody was allowed, is given up.
        """
        node = self.lifted.pop(item, None)
        if node is not None:
            count(self.counts, self.instance.tallies, self.class_at(item).ties, node, -1)
            self.log.clear()

    def _charge(self, kind: ItemClass, node: int, times: int) -> None:
        for cap in kind.caps:
            if self.instance.caps[cap].inside[node]:
                left = self.caps_left[cap]
                left -= np.where(left < UNLIMITED, kind.request * times, 0)

    def candidates(self, kind: ItemClass, item: int = -1) -> Mask:
        """Nodes that could take one item of the class right now; `item` matters if it was removed before."""
        mask = kind.allowed & fits_mask(self.free, kind.request)
        self.strike(mask, kind, item)
        for table, amount in kind.cards:
            mask &= self.cards[table].fits_mask(amount)
        return mask

    def holds(self, node: int, kind: ItemClass) -> bool:
        """Whether a node has room for one more of a class, other items' wishes aside."""
        return not (self.free[node] < kind.request).any() and all(
            self.cards[table].fits_mask(amount)[node] for table, amount in kind.cards
        )

    def strike(self, mask: Mask, kind: ItemClass, item: int = -1) -> None:
        """Clear the nodes that other items forbid to the class: by host, by domain, or by a cap."""
        if kind.social:
            self.conflicts.strike(mask, kind.groups, kind.avoids)
        for cap in kind.caps:
            if exceeded(self.caps_left[cap], kind.request):
                mask &= ~self.instance.caps[cap].inside
        if kind.ties:
            mask &= self._same_domains(kind, self.lifted[item]) if item in self.lifted else self._tied(kind)

    def _tied(self, kind: ItemClass) -> Mask:
        tallies, nodes = self.instance.tallies, len(self.instance.nodes)
        mask = apart_mask(self.counts, tallies, kind.ties, nodes)
        if kind.ties.near:
            mask &= near_mask(self.counts, tallies, kind.ties, nodes)
        if kind.ties.spread:
            mask &= spread_mask(self.counts, tallies, kind.ties, nodes)
        return mask

    def _same_domains(self, kind: ItemClass, node: int) -> Mask:
        mask = np.ones(len(self.instance.nodes), dtype=np.bool_)
        for number in kind.ties.tallies():
            column = self.instance.tallies[number].column
            mask &= column == column[node]
        return mask

    def cards_of(self, item: int) -> tuple[int, ...]:
        """The cards that an item holds, kind by kind."""
        return tuple(card for table in range(len(self.cards)) for card in self.held.get((item, table), ()))

    def value(self) -> Value:
        """Cost and count of the nodes in use."""
        used = self.used
        return Value(int(self.instance.cost[used].sum()), int(used.sum()))

    def unplaced(self) -> list[int]:
        """Items without a node."""
        return [int(item) for item in np.flatnonzero(self.node_of < 0)]

    def placed_by_tier(self) -> tuple[int, ...]:
        """Placed items per priority, highest priority first: compare two placements of one instance with this."""
        counts: dict[int, int] = {}
        placed = np.bincount(self.instance.class_of[self.node_of >= 0], minlength=len(self.instance.classes))
        for kind, inside in zip(self.instance.classes, placed.tolist(), strict=True):
            counts[kind.priority] = counts.get(kind.priority, 0) + inside
        return tuple(counts[priority] for priority in sorted(counts, reverse=True))
