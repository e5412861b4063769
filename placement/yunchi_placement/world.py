"""The part of a problem that arrivals do not change: nodes, rules, and what already runs.

`Base` is what a placement starts from. It is the only thing here that changes: a session adds what it placed and
removes what left.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from yunchi_placement.eligibility import Eligibility
from yunchi_placement.problem import Item, Node, Problem
from yunchi_placement.relations import Relations
from yunchi_placement.rules import CapRow, CardTable, Conflicts, Tally
from yunchi_placement.rules.caps import UNLIMITED
from yunchi_placement.rules.tallies import count

Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


@dataclass(slots=True, eq=False)
class Base:
    """What a placement starts from: the running items are in.

    Attributes:
        free: by node and resource; negative where running items ask for more than there is.
        keepers: by node, the running items that keep it in use.
        counts: by tally, flat. caps_left: by cap and resource. gang_needs: by gang, items still needed.
    """

    free: Ints
    keepers: Ints
    conflicts: Conflicts
    counts: Ints
    caps_left: Ints
    cards: tuple[CardTable, ...]
    gang_needs: Ints

    @property
    def in_use(self) -> Mask:
        """Nodes that running items keep."""
        return self.keepers > 0


@dataclass(frozen=True, slots=True, eq=False)
class World:
    """Nodes and rules as arrays; nodes are sorted by name, so that the order of the input does not matter."""

    resources: tuple[str, ...]
    nodes: tuple[Node, ...]
    position: dict[str, int]
    capacity: Ints
    cost: Ints
    eligibility: Eligibility
    relations: Relations
    caps: tuple[CapRow, ...]
    gangs: tuple[str, ...]
    base: Base

    @classmethod
    def of(cls, problem: Problem) -> World:
        """The world of a validated problem, its running items in."""
        world = cls.bare(problem)
        world.add(item for item in problem.items if item.node is not None and item.node in world.position)
        return world

    @classmethod
    def bare(cls, problem: Problem) -> World:
        """The same, which knows the running items' rules and does not hold them yet."""
        nodes = tuple(sorted(problem.nodes, key=lambda node: node.name))
        capacity = np.array([node.capacity for node in nodes], dtype=np.int64)
        capacity = capacity.reshape(len(nodes), len(problem.resources))
        eligibility = Eligibility(nodes)
        caps = _caps(problem, nodes)
        relations = Relations(problem.items, eligibility, [cap.group for cap in caps])
        gangs = tuple(sorted(gang.name for gang in problem.gangs))
        needs = {gang.name: gang.least for gang in problem.gangs}
        base = Base(
            free=capacity.copy(),
            keepers=np.zeros(len(nodes), dtype=np.int64),
            conflicts=Conflicts(),
            counts=np.zeros(relations.layout.size, dtype=np.int64),
            caps_left=_limits(problem, capacity, caps),
            cards=tuple(
                CardTable.of(index, one.units, capacity[:, index])
                for one in problem.cards
                for index in [problem.resources.index(one.resource)]
            ),
            gang_needs=np.array([needs[name] for name in gangs], dtype=np.int64),
        )
        return cls(
            resources=problem.resources,
            nodes=nodes,
            position={node.name: index for index, node in enumerate(nodes)},
            capacity=capacity,
            cost=np.array([node.cost for node in nodes], dtype=np.int64),
            eligibility=eligibility,
            relations=relations,
            caps=caps,
            gangs=gangs,
            base=base,
        )

    def add(self, items: Iterable[Item]) -> dict[str, tuple[int, ...]]:
        """Take running items in; cards go to those known first, then to the largest, on the fullest that fits.

        Returns:
            The cards that each item got, for those that hold any, kind by kind.
        """
        running = list(items)
        if not running:
            return {}
        base = self.base
        rows = np.array([self.position[item.node or ""] for item in running])
        np.subtract.at(base.free, rows, np.array([item.requests for item in running], dtype=np.int64))
        np.add.at(base.keepers, rows, np.array([item.keeps_node for item in running], dtype=np.int64))
        for row, item in zip(rows.tolist(), running, strict=True):
            self.relate(item, row, 1)
        return self._seat(sorted(running, key=lambda item: (not item.cards, item.name)))

    def _seat(self, running: Sequence[Item]) -> dict[str, tuple[int, ...]]:
        """Put running items on their cards: the known ones first, then the largest, on the fullest that fits."""
        found: dict[str, tuple[int, ...]] = {}
        told: dict[str, tuple[int, ...]] = {item.name: item.cards for item in running if item.cards}
        for table in self.base.cards:
            asked = [item for item in running if item.requests[table.resource]]
            for item in sorted(asked, key=lambda item: (not item.cards, -item.requests[table.resource])):
                row, amount = self.position[item.node or ""], item.requests[table.resource]
                needed = -(-amount // table.units)
                known, told[item.name] = told.get(item.name, ())[:needed], told.get(item.name, ())[needed:]
                if len(known) == needed and max(known) < table.free.shape[1]:
                    table.hold(row, amount, known)
                    found[item.name] = found.get(item.name, ()) + known
                else:
                    found[item.name] = found.get(item.name, ()) + tuple(table.take(row, amount))
        return found

    def rebase(self, base: Base) -> None:
        """Start from another base."""
        for name in ("free", "keepers", "conflicts", "counts", "caps_left", "cards", "gang_needs"):
            setattr(self.base, name, getattr(base, name))

    def remove(self, item: Item) -> None:
        """Let a running item go, as it was added (with the cards that it holds)."""
        base, row = self.base, self.position[item.node or ""]
        base.free[row] += np.array(item.requests, dtype=np.int64)
        base.keepers[row] -= item.keeps_node
        self.relate(item, row, -1)
        left = item.cards
        for table in base.cards:
            amount = item.requests[table.resource]
            needed = -(-amount // table.units)
            table.release(row, amount, left[:needed])
            left = left[needed:]

    def learn(self, items: Iterable[Item], running: Iterable[Item]) -> None:
        """Take in the rules of items to come; what runs is counted for the questions that they are the first to ask."""
        groups: set[str] = set()
        tallies: set[int] = set()
        for item in items:
            fresh, numbers = self.relations.learn(item)
            groups.update(fresh)
            tallies.update(numbers)
        if not groups and not tallies:
            return
        layout = self.relations.layout
        self.base.counts = np.append(self.base.counts, np.zeros(layout.size - len(self.base.counts), dtype=np.int64))
        asked: dict[str, list[Tally]] = {group: [] for group in groups}
        for tally in (layout.tallies[number] for number in sorted(tallies)):
            if tally.members:
                asked.setdefault(min(tally.groups), []).append(tally)
        for other in running:
            row = self.position.get(other.node or "", -1)
            if row >= 0 and not asked.keys().isdisjoint(other.groups):
                self._count_anew(other, row, groups, asked)

    def _count_anew(self, item: Item, row: int, groups: set[str], asked: dict[str, list[Tally]]) -> None:
        """Count a running item for groups avoided by host, and for tallies (by their first group), that are new."""
        self.base.conflicts.add(row, [self.relations.number(group) for group in groups & item.groups], ())
        for group in item.groups & asked.keys():
            for tally in asked[group]:
                if tally.groups <= item.groups and tally.column[row] >= 0:
                    self.base.counts[tally.column[row]] += 1

    def relate(self, item: Item, row: int, step: int) -> None:
        """Note what a running item on a node has to do with others (step 1), or forget it (step -1)."""
        base, social = self.base, self.relations.of(item)
        if social.groups or social.avoids:
            change = base.conflicts.add if step > 0 else base.conflicts.remove
            change(row, social.groups, social.avoids)
        if social.ties.adds:
            count(base.counts, self.relations.layout.tallies, social.ties, row, step)
        for cap in social.caps:
            if self.caps[cap].inside[row]:
                left = base.caps_left[cap]
                left -= np.where(left < UNLIMITED, np.array(item.requests, dtype=np.int64) * step, 0)
        if item.gang:
            base.gang_needs[self.gangs.index(item.gang)] -= step


def _caps(problem: Problem, nodes: Sequence[Node]) -> tuple[CapRow, ...]:
    """The problem's caps, then its headrooms as caps on what the pool's uncordoned nodes hold."""
    pools = [node.pool for node in nodes]
    rows = [CapRow(cap.name, cap.group, _in_pool(pools, cap.pool)) for cap in problem.caps]
    cordoned = np.array([node.unschedulable for node in nodes], dtype=np.bool_)
    rows += [CapRow(f"headroom of {one.pool}", "", _in_pool(pools, one.pool) & ~cordoned) for one in problem.headroom]
    return tuple(rows)


def _in_pool(pools: list[str], pool: str) -> Mask:
    return np.array([not pool or name == pool for name in pools], dtype=np.bool_)


def _limits(problem: Problem, capacity: Ints, caps: Sequence[CapRow]) -> Ints:
    rows = [[UNLIMITED if amount is None else amount for amount in cap.amounts] for cap in problem.caps]
    table = np.array(rows, dtype=np.int64).reshape(len(rows), len(problem.resources))
    for one, cap in zip(problem.headroom, caps[len(rows) :], strict=True):
        usable = capacity[cap.inside].sum(axis=0) - np.array(one.amounts, dtype=np.int64)
        table = np.vstack([table, usable[None, :]])
    return table
