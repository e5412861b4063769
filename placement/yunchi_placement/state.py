"""A placement under construction, and its value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from yunchi_placement.canonical import Instance, ItemClass
from yunchi_placement.rules import Conflicts, fits_mask
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
    """Where the pending items are. `keepers` counts, per node, the placed items that make it used."""

    instance: Instance
    free: Ints
    node_of: Ints
    keepers: Ints
    on_node: list[list[int]]
    conflicts: Conflicts

    @classmethod
    def empty(cls, instance: Instance) -> State:
        """Nothing placed yet; fixed items are in."""
        return cls(
            instance=instance,
            free=instance.free.copy(),
            node_of=np.full(len(instance.items), -1, dtype=np.int64),
            keepers=instance.in_use.astype(np.int64),
            on_node=[[] for _ in instance.nodes],
            conflicts=instance.conflicts.copy(),
        )

    def copy(self) -> State:
        """An independent copy."""
        return State(
            instance=self.instance,
            free=self.free.copy(),
            node_of=self.node_of.copy(),
            keepers=self.keepers.copy(),
            on_node=[list(items) for items in self.on_node],
            conflicts=self.conflicts.copy(),
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
        self.free[node] -= kind.request
        self.node_of[item] = node
        self.on_node[node].append(item)
        if kind.keeps_node:
            self.keepers[node] += 1
        if kind.social:
            self.conflicts.add(node, kind.groups, kind.avoids)

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
        return node

    def candidates(self, kind: ItemClass) -> Mask:
        """Nodes that could take one item of the class right now."""
        mask = kind.allowed & fits_mask(self.free, kind.request)
        if kind.social:
            self.conflicts.strike(mask, kind.groups, kind.avoids)
        return mask

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
        for number, kind in enumerate(self.instance.classes):
            inside = int((self.node_of[list(self.instance.classes[number].items)] >= 0).sum())
            counts[kind.priority] = counts.get(kind.priority, 0) + inside
        return tuple(counts[priority] for priority in sorted(counts, reverse=True))
