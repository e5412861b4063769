"""S0: from names and labels to arrays: sorted nodes, classes of equal items, cells of equal nodes.

Everything after this module works on positions. Nodes and items are sorted by name first, so that an answer does
not depend on the order of the input.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from yunchi_placement.problem import NAME_FIELD, Constraints, Item, Node, Problem
from yunchi_placement.rules import Conflicts, Labels, Taints, affinity_mask, schedulable_mask

Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class ItemClass:
    """Items that no rule can tell apart. `items` are positions in `Instance.items`."""

    request: Ints
    allowed: Mask
    eligibility: int
    priority: int
    keeps_node: bool
    groups: tuple[int, ...]
    avoids: tuple[int, ...]
    items: tuple[int, ...]

    @property
    def social(self) -> bool:
        """Whether anti-affinity concerns this class."""
        return bool(self.groups or self.avoids)

    @property
    def solitary(self) -> bool:
        """Whether two items of this class may not share a node."""
        return not set(self.groups).isdisjoint(self.avoids)


@dataclass(frozen=True, slots=True, eq=False)
class Instance:
    """The problem as arrays. `items` are the pending ones only; fixed items are already in `free` and `in_use`."""

    resources: tuple[str, ...]
    nodes: tuple[Node, ...]
    items: tuple[Item, ...]
    item_index: tuple[int, ...]  # position in Problem.items
    capacity: Ints
    free: Ints
    in_use: Mask
    cost: Ints
    conflicts: Conflicts
    classes: tuple[ItemClass, ...]
    class_of: Ints
    requests: Ints  # by class
    cell_of: Ints
    gone: tuple[int, ...]  # Problem.items positions fixed to nodes that are not in the problem

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
    group_ids = _group_ids(problem.items)
    fixed = [item for item in problem.items if item.node is not None]
    free, in_use, conflicts = _fixed_usage(capacity, position, fixed, group_ids)
    masks = _Eligibility(nodes)
    classes, class_of = _classes(items, masks, group_ids)
    return Instance(
        resources=problem.resources,
        nodes=nodes,
        items=items,
        item_index=tuple(pending),
        capacity=capacity,
        free=free,
        in_use=in_use,
        cost=np.array([node.cost for node in nodes], dtype=np.int64),
        conflicts=conflicts,
        classes=classes,
        class_of=class_of,
        requests=np.array([c.request for c in classes], dtype=np.int64).reshape(len(classes), width),
        cell_of=masks.cells(capacity > 0),
        gone=tuple(
            index for index, item in enumerate(problem.items) if item.node is not None and item.node not in position
        ),
    )


def _group_ids(items: Sequence[Item]) -> dict[str, int]:
    """Numbers for the groups that can matter: those that some item avoids."""
    avoided: set[str] = set()
    for item in items:
        avoided |= item.avoids
    return {group: index for index, group in enumerate(sorted(avoided))}


def _ids(names: frozenset[str], group_ids: dict[str, int]) -> tuple[int, ...]:
    return tuple(sorted(group_ids[name] for name in names if name in group_ids)) if names else ()


def _fixed_usage(
    capacity: Ints, position: dict[str, int], fixed: Sequence[Item], group_ids: dict[str, int]
) -> tuple[Ints, Mask, Conflicts]:
    free = capacity.copy()
    in_use = np.zeros(len(capacity), dtype=np.bool_)
    conflicts = Conflicts()
    present = [item for item in fixed if item.node in position]
    if present:
        rows = np.array([position[item.node or ""] for item in present])
        np.subtract.at(free, rows, np.array([item.requests for item in present], dtype=np.int64))
        in_use[rows[[item.keeps_node for item in present]]] = True
        for row, item in zip(rows.tolist(), present, strict=True):
            if item.groups or item.avoids:
                conflicts.add(row, _ids(item.groups, group_ids), _ids(item.avoids, group_ids))
    return np.maximum(free, 0), in_use, conflicts


class _Eligibility:
    """Node masks by constraints, each evaluated once, and the cells that they imply."""

    def __init__(self, nodes: Sequence[Node]) -> None:
        self._nodes = nodes
        self._labels = Labels(nodes)
        self._taints = Taints(nodes)
        self._index: dict[Constraints, int] = {}
        self.masks: list[Mask] = []
        self._shared: list[bool] = []

    def of(self, constraints: Constraints) -> int:
        """The number of the mask for these constraints."""
        if constraints not in self._index:
            self._index[constraints] = len(self.masks)
            mask = schedulable_mask(self._nodes, constraints.tolerations)
            mask = mask & self._taints.tolerated_mask(constraints.tolerations)
            self.masks.append(mask & affinity_mask(self._labels, constraints))
            self._shared.append(not _names_hosts(constraints))
        return self._index[constraints]

    def cells(self, has: Mask) -> Ints:
        """Number nodes by what items can tell apart, hostnames aside (those would make a cell of every node).

        `has` says which node has any of which resource: a GPU tells nodes apart as well as a label does.
        """
        count = len(self._nodes)
        rows = [mask for mask, shared in zip(self.masks, self._shared, strict=True) if shared]
        rows += list(has.T)
        if not rows or not count:
            return np.zeros(count, dtype=np.int64)
        packed = np.packbits(np.array(rows), axis=0).T
        codes: dict[bytes, int] = {}
        keys = [packed[node].tobytes() for node in range(count)]
        return np.array([codes.setdefault(key, len(codes)) for key in keys], dtype=np.int64)


def _names_hosts(constraints: Constraints) -> bool:
    """Whether the constraints single out nodes by name."""
    if any(key == "kubernetes.io/hostname" for key, _ in constraints.selector):
        return True
    return any(
        requirement.key in (NAME_FIELD, "kubernetes.io/hostname")
        for term in constraints.required or ()
        for requirement in (*term.labels, *term.fields)
    )


def _classes(
    items: Sequence[Item], masks: _Eligibility, group_ids: dict[str, int]
) -> tuple[tuple[ItemClass, ...], Ints]:
    index: dict[tuple[object, ...], int] = {}
    members: list[list[int]] = []
    class_of = np.zeros(len(items), dtype=np.int64)
    for position, item in enumerate(items):
        key = (
            item.requests,
            masks.of(item.constraints),
            item.priority,
            item.keeps_node,
            _ids(item.groups, group_ids),
            _ids(item.avoids, group_ids),
        )
        number = index.setdefault(key, len(members))
        if number == len(members):
            members.append([])
        members[number].append(position)
        class_of[position] = number
    classes = []
    for inside in members:
        first = items[inside[0]]
        eligibility = masks.of(first.constraints)
        classes.append(
            ItemClass(
                request=np.array(first.requests, dtype=np.int64),
                allowed=masks.masks[eligibility],
                eligibility=eligibility,
                priority=first.priority,
                keeps_node=first.keeps_node,
                groups=_ids(first.groups, group_ids),
                avoids=_ids(first.avoids, group_ids),
                items=tuple(inside),
            )
        )
    return tuple(classes), class_of
