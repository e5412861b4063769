"""S0: from names and labels to arrays: sorted nodes, classes of equal items, cells of equal nodes.

Everything after this module works on positions. Nodes and items are sorted by name first, so that an answer does
not depend on the order of the input.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from yunchi_placement.eligibility import Eligibility
from yunchi_placement.problem import Item, Node, Problem
from yunchi_placement.relations import Relations, Social
from yunchi_placement.rules import CapRow, CardTable, Conflicts, Tally, Ties
from yunchi_placement.rules.caps import UNLIMITED
from yunchi_placement.rules.tallies import count

Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
NO_TIES = Ties()
FEW_DOMAINS = 64
"""Domains of a label with at most so many values are kept apart as cells."""


@dataclass(frozen=True, slots=True, eq=False)
class ItemClass:
    """Items that no rule can tell apart. `items` are positions in `Instance.items`.

    Attributes:
        groups, avoids: anti-affinity by host, as group numbers.
        ties: what it has to do with counts by topology domain.
        caps: numbers of the caps that may limit it.
        cards: (card table, amount) for each card resource that it asks for.
        gang: number of its gang, or -1.
    """

    request: Ints
    allowed: Mask
    eligibility: int
    priority: int
    keeps_node: bool
    groups: tuple[int, ...]
    avoids: tuple[int, ...]
    items: tuple[int, ...]
    ties: Ties = NO_TIES
    caps: tuple[int, ...] = ()
    cards: tuple[tuple[int, int], ...] = ()
    gang: int = -1

    @property
    def social(self) -> bool:
        """Whether anti-affinity by host concerns this class."""
        return bool(self.groups or self.avoids)

    @property
    def solitary(self) -> bool:
        """Whether two items of this class may not share a node."""
        return not set(self.groups).isdisjoint(self.avoids)


@dataclass(frozen=True, slots=True, eq=False)
class Base:
    """What a placement starts from: the running items are in.

    Attributes:
        free: by node and resource, never negative. `in_use`: nodes that running items keep.
        counts: flat, by `Instance.tallies`. `caps_left`: by cap and resource. `gang_needs`: items still needed.
    """

    free: Ints
    in_use: Mask
    conflicts: Conflicts
    counts: Ints
    caps_left: Ints
    cards: tuple[CardTable, ...]
    gang_needs: Ints


@dataclass(frozen=True, slots=True, eq=False)
class Instance:
    """The problem as arrays. `items` are the pending ones only; running items are already in `base`."""

    resources: tuple[str, ...]
    nodes: tuple[Node, ...]
    items: tuple[Item, ...]
    item_index: tuple[int, ...]  # position in Problem.items
    capacity: Ints
    base: Base
    cost: Ints
    classes: tuple[ItemClass, ...]
    class_of: Ints
    requests: Ints  # by class
    cell_of: Ints
    tallies: list[Tally]
    caps: tuple[CapRow, ...]
    gangs: tuple[str, ...]
    port_groups: frozenset[int]
    gone: tuple[int, ...]  # Problem.items positions fixed to nodes that are not in the problem

    @property
    def free(self) -> Ints:
        """Room beside the running items."""
        return self.base.free

    @property
    def in_use(self) -> Mask:
        """Nodes that running items keep."""
        return self.base.in_use

    @property
    def cells(self) -> int:
        """Number of cells."""
        return int(self.cell_of.max()) + 1 if self.cell_of.size else 0


def canonicalise(problem: Problem) -> Instance:
    """Build the arrays of a validated problem."""
    nodes = tuple(sorted(problem.nodes, key=lambda node: node.name))
    position = {node.name: index for index, node in enumerate(nodes)}
    pending = [index for index, item in enumerate(problem.items) if item.node is None]
    pending.sort(key=lambda index: problem.items[index].name)
    items = tuple(problem.items[index] for index in pending)
    width = len(problem.resources)
    capacity = np.array([node.capacity for node in nodes], dtype=np.int64).reshape(len(nodes), width)
    running = [item for item in problem.items if item.node is not None and item.node in position]
    eligibility = Eligibility(nodes)
    caps = _caps(problem, nodes)
    relations = Relations(problem.items, eligibility, [cap.group for cap in caps])
    cards = tuple(
        CardTable.of(index, one.units, capacity[:, index])
        for one in problem.cards
        for index in [problem.resources.index(one.resource)]
    )
    gangs = tuple(sorted(gang.name for gang in problem.gangs))
    classes, class_of = _classes(items, eligibility, relations, cards, gangs)
    tallies = relations.layout.tallies
    return Instance(
        resources=problem.resources,
        nodes=nodes,
        items=items,
        item_index=tuple(pending),
        capacity=capacity,
        base=_base(problem, capacity, position, running, relations, caps, cards),
        cost=np.array([node.cost for node in nodes], dtype=np.int64),
        classes=classes,
        class_of=class_of,
        requests=np.array([c.request for c in classes], dtype=np.int64).reshape(len(classes), width),
        cell_of=eligibility.cells(_differences(capacity, nodes, caps, tallies)),
        tallies=tallies,
        caps=caps,
        gangs=gangs,
        port_groups=relations.port_ids(),
        gone=tuple(
            index for index, item in enumerate(problem.items) if item.node is not None and item.node not in position
        ),
    )


def _differences(
    capacity: Ints, nodes: Sequence[Node], caps: Sequence[CapRow], tallies: Sequence[Tally]
) -> list[npt.NDArray[np.generic]]:
    """What tells nodes apart beside labels and taints: resources they have, caps and domains that concern them."""
    columns: list[npt.NDArray[np.generic]] = list((capacity > 0).T) if len(nodes) else []
    columns += [cap.inside for cap in caps]
    columns += [tally.column for tally in tallies if tally.stop - tally.start <= FEW_DOMAINS]
    return columns


def _caps(problem: Problem, nodes: Sequence[Node]) -> tuple[CapRow, ...]:
    """The problem's caps, then its headrooms as caps on what the pool's uncordoned nodes hold."""
    pools = [node.pool for node in nodes]
    rows = [CapRow(cap.name, cap.group, _in_pool(pools, cap.pool)) for cap in problem.caps]
    cordoned = np.array([node.unschedulable for node in nodes], dtype=np.bool_)
    rows += [CapRow(f"headroom of {one.pool}", "", _in_pool(pools, one.pool) & ~cordoned) for one in problem.headroom]
    return tuple(rows)


def _in_pool(pools: list[str], pool: str) -> Mask:
    return np.array([not pool or name == pool for name in pools], dtype=np.bool_)


def _base(
    problem: Problem,
    capacity: Ints,
    position: dict[str, int],
    running: Sequence[Item],
    relations: Relations,
    caps: Sequence[CapRow],
    cards: tuple[CardTable, ...],
) -> Base:
    free = capacity.copy()
    in_use = np.zeros(len(capacity), dtype=np.bool_)
    conflicts = Conflicts()
    counts = np.zeros(relations.layout.size, dtype=np.int64)
    left = _limits(problem, capacity, caps)
    needs = {gang.name: gang.least for gang in problem.gangs}
    if running:
        rows = np.array([position[item.node or ""] for item in running])
        amounts = np.array([item.requests for item in running], dtype=np.int64)
        np.subtract.at(free, rows, amounts)
        in_use[rows[[item.keeps_node for item in running]]] = True
        for row, item, amount in zip(rows.tolist(), running, amounts, strict=True):
            social = relations.of(item)
            if social.groups or social.avoids:
                conflicts.add(row, social.groups, social.avoids)
            if social.ties.adds:
                count(counts, relations.layout.tallies, social.ties, row, 1)
            for cap in social.caps:
                if caps[cap].inside[row]:
                    left[cap] -= np.where(left[cap] < UNLIMITED, amount, 0)
            if item.gang:
                needs[item.gang] -= 1
    tables = _taken(cards, position, running)
    return Base(
        free=np.maximum(free, 0),
        in_use=in_use,
        conflicts=conflicts,
        counts=counts,
        caps_left=left,
        cards=tables,
        gang_needs=np.array([needs[name] for name in sorted(needs)], dtype=np.int64),
    )


def _limits(problem: Problem, capacity: Ints, caps: Sequence[CapRow]) -> Ints:
    rows = [[UNLIMITED if amount is None else amount for amount in cap.amounts] for cap in problem.caps]
    table = np.array(rows, dtype=np.int64).reshape(len(rows), len(problem.resources))
    for one, cap in zip(problem.headroom, caps[len(rows) :], strict=True):
        usable = capacity[cap.inside].sum(axis=0) - np.array(one.amounts, dtype=np.int64)
        table = np.vstack([table, usable[None, :]])
    return table


def _taken(cards: tuple[CardTable, ...], position: dict[str, int], running: Sequence[Item]) -> tuple[CardTable, ...]:
    """Put running items on their cards: the known ones first, then the largest, each on the fullest that fits."""
    for table in cards:
        asked = [item for item in running if item.requests[table.resource]]
        known = [item for item in asked if item.cards and max(item.cards) < table.free.shape[1]]
        for item in known:
            table.hold(position[item.node or ""], item.requests[table.resource], item.cards)
        rest = [item for item in asked if item not in known] if known else asked
        for item in sorted(rest, key=lambda item: (-item.requests[table.resource], item.name)):
            table.take(position[item.node or ""], item.requests[table.resource])
    return cards


def _classes(
    items: Sequence[Item],
    eligibility: Eligibility,
    relations: Relations,
    cards: tuple[CardTable, ...],
    gangs: tuple[str, ...],
) -> tuple[tuple[ItemClass, ...], Ints]:
    gang_of = {name: number for number, name in enumerate(gangs)}
    index: dict[_ClassKey, list[int]] = {}
    for position, item in enumerate(items):
        key = _ClassKey(
            item.requests,
            eligibility.of(item.constraints),
            item.priority,
            item.keeps_node,
            relations.of(item),
            gang_of[item.gang] if item.gang else -1,
        )
        index.setdefault(key, []).append(position)
    class_of = np.zeros(len(items), dtype=np.int64)
    for number, inside in enumerate(index.values()):
        class_of[inside] = number
    return tuple(_item_class(key, inside, eligibility, cards) for key, inside in index.items()), class_of


class _ClassKey(NamedTuple):
    requests: tuple[int, ...]
    eligibility: int
    priority: int
    keeps_node: bool
    social: Social
    gang: int


def _item_class(key: _ClassKey, inside: list[int], eligibility: Eligibility, cards: tuple[CardTable, ...]) -> ItemClass:
    asked = [(table, key.requests[cards[table].resource]) for table in range(len(cards))]
    return ItemClass(
        request=np.array(key.requests, dtype=np.int64),
        allowed=eligibility.masks[key.eligibility],
        eligibility=key.eligibility,
        priority=key.priority,
        keeps_node=key.keeps_node,
        groups=key.social.groups,
        avoids=key.social.avoids,
        items=tuple(inside),
        ties=key.social.ties,
        caps=key.social.caps,
        cards=tuple((table, amount) for table, amount in asked if amount),
        gang=key.gang,
    )
