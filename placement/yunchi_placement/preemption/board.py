"""The world of a preemption, changed in place: who runs, who was evicted, and what each node would take."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from yunchi_placement.canonical import ItemClass, instance_of
from yunchi_placement.preemption.answer import Choice, Nomination, Victim
from yunchi_placement.preemption.budgets import Budgets
from yunchi_placement.problem import Item, Problem
from yunchi_placement.rules import apart_mask, near_mask, spread_mask
from yunchi_placement.rules.caps import exceeded
from yunchi_placement.world import World

Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Crowd:
    """The running items that may be evicted, as arrays; `alive` says who still runs."""

    row: Ints
    requests: Ints
    priority: Ints
    alive: Mask

    @classmethod
    def of(cls, items: Sequence[Item], rows: Sequence[int], width: int) -> Crowd:
        """The arrays of these items on these rows."""
        return cls(
            np.array(rows, dtype=np.int64),
            np.array([item.requests for item in items], dtype=np.int64).reshape(len(items), width),
            np.array([item.priority for item in items], dtype=np.int64),
            np.ones(len(items), dtype=np.bool_),
        )


class Board:
    """Seats claimants and takes victims away, and undoes both."""

    def __init__(
        self, problem: Problem, running: Sequence[Item], claimants: Sequence[Item], evictable: Mapping[str, Victim]
    ) -> None:
        self.world = World.bare(replace(problem, items=(*running, *claimants)))
        inside = [item for item in running if item.node in self.world.position]
        self._cards = self.world.add(inside)
        self.budgets = Budgets(problem.budgets)
        self._since = {name: victim.since for name, victim in evictable.items()}
        self.items = {
            item.name: replace(item, cards=self._cards[item.name]) if item.name in self._cards else item
            for item in inside
        }
        rows = len(self.world.nodes)
        self.on_node: list[list[Item]] = [[] for _ in range(rows)]
        crowd = [item for item in self.items.values() if item.name in evictable]
        for item in crowd:
            self.on_node[self.row(item)].append(item)
        self.crowd = Crowd.of(crowd, [self.row(item) for item in crowd], len(problem.resources))
        self._number = {item.name: number for number, item in enumerate(crowd)}
        self._guarded = [(number, item.budgets) for number, item in enumerate(crowd) if item.budgets]
        instance = instance_of(self.world, claimants, range(len(claimants)), cell_of=np.zeros(rows, dtype=np.int64))
        self._kinds = {
            item.name: instance.classes[int(number)]
            for item, number in zip(claimants, instance.class_of.tolist(), strict=True)
        }
        self._needs = {gang.name: gang.least for gang in problem.gangs}
        self._seated: dict[str, int] = dict.fromkeys(self._needs, 0)
        for item in self.items.values():
            if item.gang:
                self._seated[item.gang] += 1

    def row(self, item: Item) -> int:
        """The row of a running item's node."""
        return self.world.position[item.node or ""]

    def kind(self, item: Item) -> ItemClass:
        """The class of a claimant."""
        return self._kinds[item.name]

    def is_local(self, item: Item) -> bool:
        """Whether only what is on its own node matters to a claimant."""
        return not self.kind(item).ties and not self.kind(item).caps

    def still_needed(self, gang: str) -> int:
        """Members that a gang must get now, before those seated by this batch are counted."""
        return max(0, self._needs[gang] - self._seated[gang])

    # -- what a node would take ---------------------------------------------------------------------------------------

    def open_to(self, kind: ItemClass) -> Mask:
        """Nodes that would take one more of a class now."""
        base, nodes = self.world.base, len(self.world.nodes)
        asked = kind.request > 0
        mask = kind.allowed & (base.free[:, asked] >= kind.request[asked]).all(axis=1)
        if kind.social:
            base.conflicts.strike(mask, kind.groups, kind.avoids)
        for cap in kind.caps:
            if exceeded(base.caps_left[cap], kind.request):
                mask &= ~self.world.caps[cap].inside
        if kind.ties:
            mask &= self._tied(kind, nodes)
        for table, amount in kind.cards:
            mask &= base.cards[table].fits_mask(amount)
        return mask

    def takes(self, kind: ItemClass, row: int) -> bool:
        """Whether one node would."""
        base = self.world.base
        if not kind.allowed[row] or ((base.free[row] < kind.request) & (kind.request > 0)).any():
            return False
        if kind.social and not base.conflicts.allows(row, kind.groups, kind.avoids):
            return False
        for cap in kind.caps:
            if self.world.caps[cap].inside[row] and exceeded(base.caps_left[cap], kind.request):
                return False
        if kind.ties and not self._tied(kind, len(self.world.nodes))[row]:
            return False
        return all(base.cards[table].fits_mask(amount)[row] for table, amount in kind.cards)

    def _tied(self, kind: ItemClass, nodes: int) -> Mask:
        counts, tallies = self.world.base.counts, self.world.relations.layout.tallies
        mask = apart_mask(counts, tallies, kind.ties, nodes)
        if kind.ties.near:
            mask &= near_mask(counts, tallies, kind.ties, nodes)
        if kind.ties.spread:
            mask &= spread_mask(counts, tallies, kind.ties, nodes)
        return mask

    def spent(self) -> Mask:
        """By member of the crowd, whether evicting it would break a budget."""
        mask = np.zeros(len(self.crowd.row), dtype=np.bool_)
        for number, budgets in self._guarded:
            mask[number] = self.budgets.spent(budgets)
        return mask

    # -- changes ------------------------------------------------------------------------------------------------------

    def evict(self, item: Item) -> None:
        """Take a running item away."""
        self.world.remove(item)
        self.budgets.take(item.budgets, 1)
        self.on_node[self.row(item)].remove(item)
        self.crowd.alive[self._number[item.name]] = False

    def restore(self, item: Item) -> None:
        """Put it back."""
        self.world.add([item])
        self.budgets.take(item.budgets, -1)
        self.on_node[self.row(item)].append(item)
        self.crowd.alive[self._number[item.name]] = True

    def seat(self, choice: Choice) -> None:
        """Evict a choice's victims and seat its claimant."""
        for name in choice.victims:
            self.evict(self.items[name])
        self._add(choice)

    def unseat(self, choice: Choice) -> None:
        """The reverse."""
        self._remove(choice)
        for name in reversed(choice.victims):
            self.restore(self.items[name])

    def replay(self, seated: Sequence[Choice], wanted: Sequence[Choice]) -> bool:
        """Seat other choices in the place of these, if each is allowed when its turn comes; else nothing changes."""
        for choice in reversed(seated):
            self.unseat(choice)
        victims = [name for choice in wanted for name in choice.victims]
        for name in victims:
            self.evict(self.items[name])
        done = []
        for choice in wanted:
            if not self.takes(self.kind(choice.item), self.world.position[choice.node]):
                break
            self._add(choice)
            done.append(choice)
        if len(done) == len(wanted):
            return True
        for choice in reversed(done):
            self._remove(choice)
        for name in reversed(victims):
            self.restore(self.items[name])
        for choice in seated:
            self.seat(choice)
        return False

    def _add(self, choice: Choice) -> None:
        self._cards |= self.world.add([replace(choice.item, node=choice.node)])

    def _remove(self, choice: Choice) -> None:
        cards = self._cards.get(choice.item.name, ())
        self.world.remove(replace(choice.item, node=choice.node, cards=cards))

    # -- order and answer ---------------------------------------------------------------------------------------------

    def importance(self, item: Item) -> tuple[int, float, str]:
        """For sorting: less important is greater; of equals the one that started later."""
        return (-item.priority, self._since.get(item.name, 0.0), item.name)

    def since(self, item: Item) -> float:
        """When it started."""
        return self._since.get(item.name, 0.0)

    def by_importance(self, names: Iterable[str]) -> list[str]:
        """Victims in the order in which they deserve to be spared: budget breakers first, then the important."""
        found = sorted((self.items[name] for name in set(names)), key=self.importance)
        return [item.name for item in sorted(found, key=lambda item: not self.budgets.over(item.budgets))]

    def nomination(self, choice: Choice, position: int) -> Nomination:
        """A choice as the caller reads it."""
        victims = tuple(sorted(choice.victims, key=lambda name: self.importance(self.items[name])))
        broken = sum(self.budgets.over(self.items[name].budgets) for name in victims)
        return Nomination(position, choice.node, victims, broken)
