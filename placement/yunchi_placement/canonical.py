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

from yunchi_placement.problem import Item, Node, Problem
from yunchi_placement.relations import Social
from yunchi_placement.rules import CapRow, Tally, Ties
from yunchi_placement.world import Base, World

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
class Instance:
    """The problem as arrays. `items` are the pending ones only; running items are in `world.base`.

    Attributes:
        item_index: by item, its position in `Problem.items`.
        requests: by class and resource.
        gone: positions in `Problem.items` of items fixed to nodes that are not in the problem.
    """

    world: World
    items: tuple[Item, ...]
    item_index: tuple[int, ...]
    free: Ints
    in_use: Mask
    classes: tuple[ItemClass, ...]
    class_of: Ints
    requests: Ints
    cell_of: Ints
    gone: tuple[int, ...] = ()

    @property
    def resources(self) -> tuple[str, ...]:
        """Names of the resources."""
        return self.world.resources

    @property
    def nodes(self) -> tuple[Node, ...]:
        """Nodes, by name."""
        return self.world.nodes

    @property
    def capacity(self) -> Ints:
        """By node and resource."""
        return self.world.capacity

    @property
    def cost(self) -> Ints:
        """By node, in micro-units."""
        return self.world.cost

    @property
    def caps(self) -> tuple[CapRow, ...]:
        """Caps, and headrooms as caps."""
        return self.world.caps

    @property
    def base(self) -> Base:
        """What a placement starts from."""
        return self.world.base

    @property
    def tallies(self) -> list[Tally]:
        """What is counted by domain."""
        return self.world.relations.layout.tallies

    @property
    def cells(self) -> int:
        """Number of cells."""
        return int(self.cell_of.max()) + 1 if self.cell_of.size else 0


def canonicalise(problem: Problem) -> Instance:
    """Build the arrays of a validated problem."""
    world = World.of(problem)
    pending = [index for index, item in enumerate(problem.items) if item.node is None]
    pending.sort(key=lambda index: problem.items[index].name)
    gone = tuple(
        index for index, item in enumerate(problem.items) if item.node is not None and item.node not in world.position
    )
    return instance_of(world, [problem.items[index] for index in pending], pending, gone=gone)


def instance_of(
    world: World,
    items: Sequence[Item],
    item_index: Sequence[int],
    *,
    gone: tuple[int, ...] = (),
    cell_of: Ints | None = None,
) -> Instance:
    """The arrays for items to place in a world; cells are computed unless given."""
    classes, class_of = _classes(items, world)
    width = len(world.resources)
    return Instance(
        world=world,
        items=tuple(items),
        item_index=tuple(item_index),
        free=np.maximum(world.base.free, 0),
        in_use=world.base.in_use,
        classes=classes,
        class_of=class_of,
        requests=np.array([c.request for c in classes], dtype=np.int64).reshape(len(classes), width),
        cell_of=cells_of(world) if cell_of is None else cell_of,
        gone=gone,
    )


def cells_of(world: World) -> Ints:
    """By node, its cell: nodes that no item seen so far can tell apart."""
    return world.eligibility.cells(_differences(world))


def _differences(world: World) -> list[npt.NDArray[np.generic]]:
    """What tells nodes apart beside labels and taints: resources they have, caps and domains that concern them."""
    columns: list[npt.NDArray[np.generic]] = list((world.capacity > 0).T) if world.nodes else []
    columns += [cap.inside for cap in world.caps]
    columns += [tally.column for tally in world.relations.layout.tallies if tally.stop - tally.start <= FEW_DOMAINS]
    return columns


def _classes(items: Sequence[Item], world: World) -> tuple[tuple[ItemClass, ...], Ints]:
    eligibility, relations = world.eligibility, world.relations
    gang_of = {name: number for number, name in enumerate(world.gangs)}
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
    return tuple(_item_class(key, inside, world) for key, inside in index.items()), class_of


class _ClassKey(NamedTuple):
    requests: tuple[int, ...]
    eligibility: int
    priority: int
    keeps_node: bool
    social: Social
    gang: int


def _item_class(key: _ClassKey, inside: list[int], world: World) -> ItemClass:
    asked = [(table, key.requests[cards.resource]) for table, cards in enumerate(world.base.cards)]
    return ItemClass(
        request=np.array(key.requests, dtype=np.int64),
        allowed=world.eligibility.masks[key.eligibility],
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
