"""Which nodes an item's constraints allow: each set of constraints is evaluated once, as a mask over all nodes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from yunchi_placement.problem import HOST_KEY, NAME_FIELD, Constraints, Node
from yunchi_placement.rules import Labels, Taints, affinity_mask, schedulable_mask

Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


class Eligibility:
    """Node masks by constraints, and the cells that they imply."""

    def __init__(self, nodes: Sequence[Node]) -> None:
        self.nodes = nodes
        self.labels = Labels(nodes)
        self.taints = Taints(nodes)
        self.masks: list[Mask] = []
        self._index: dict[Constraints, int] = {}
        self._shared: list[bool] = []

    def of(self, constraints: Constraints) -> int:
        """The number of the mask for these constraints."""
        number = self._index.get(constraints)
        if number is None:
            number = self._index[constraints] = len(self.masks)
            mask = schedulable_mask(self.nodes, constraints.tolerations)
            mask = mask & self.taints.tolerated_mask(constraints.tolerations)
            self.masks.append(mask & affinity_mask(self.labels, constraints))
            self._shared.append(not _names_hosts(constraints))
        return number

    def cells(self, columns: Iterable[npt.NDArray[np.generic]]) -> Ints:
        """Number nodes by what items can tell apart, hostnames aside (those would make a cell of every node).

        `columns` are further differences, one value per node each: a card or a domain tells nodes apart as well
        as a label does.
        """
        count = len(self.nodes)
        cell = np.zeros(count, dtype=np.int64)
        rows = [mask for mask, shared in zip(self.masks, self._shared, strict=True) if shared]
        if count and rows:
            packed = np.packbits(np.array(rows), axis=0).T
            cell = np.unique(packed, axis=0, return_inverse=True)[1].reshape(count).astype(np.int64)
        for column in columns:
            _, code = np.unique(column, return_inverse=True)
            cell = np.unique(cell * (int(code.max(initial=0)) + 1) + code, return_inverse=True)[1].astype(np.int64)
        return _by_first(cell)


def _by_first(cell: Ints) -> Ints:
    """Renumber so that cells count up in the order of their first nodes."""
    _, first, inverse = np.unique(cell, return_index=True, return_inverse=True)
    rank = np.empty(len(first), dtype=np.int64)
    rank[np.argsort(first, kind="stable")] = np.arange(len(first))
    return np.asarray(rank[inverse])


def _names_hosts(constraints: Constraints) -> bool:
    """Whether the constraints single out nodes by name."""
    if any(key == HOST_KEY for key, _ in constraints.selector):
        return True
    return any(
        requirement.key in (NAME_FIELD, HOST_KEY)
        for term in constraints.required or ()
        for requirement in (*term.labels, *term.fields)
    )
