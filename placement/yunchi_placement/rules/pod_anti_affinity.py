"""Required pod anti-affinity in both directions, also against running items: by host (sparse), and by any key."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from yunchi_placement.rules.tallies import Tally, Ties, at_nodes

Counts = dict[int, dict[int, int]]


class Conflicts:
    """Which nodes hold members of a group, and which hold items that avoid it (both sparse)."""

    def __init__(self) -> None:
        self._members: Counts = {}
        self._avoiders: Counts = {}

    def copy(self) -> Conflicts:
        """An independent copy."""
        other = Conflicts()
        other._members = {group: dict(nodes) for group, nodes in self._members.items()}
        other._avoiders = {group: dict(nodes) for group, nodes in self._avoiders.items()}
        return other

    def add(self, node: int, groups: Iterable[int], avoids: Iterable[int]) -> None:
        """Note an item on a node."""
        _change(self._members, node, groups, 1)
        _change(self._avoiders, node, avoids, 1)

    def remove(self, node: int, groups: Iterable[int], avoids: Iterable[int]) -> None:
        """Forget an item that leaves a node."""
        _change(self._members, node, groups, -1)
        _change(self._avoiders, node, avoids, -1)

    def blocked(self, groups: Iterable[int], avoids: Iterable[int]) -> set[int]:
        """Nodes where an item of these groups and avoids would meet a conflict."""
        nodes: set[int] = set()
        for group in avoids:
            nodes.update(self._members.get(group, ()))
        for group in groups:
            nodes.update(self._avoiders.get(group, ()))
        return nodes

    def allows(self, node: int, groups: Iterable[int], avoids: Iterable[int]) -> bool:
        """Whether one node is free of conflicts for such an item."""
        return not any(node in self._members.get(group, ()) for group in avoids) and not any(
            node in self._avoiders.get(group, ()) for group in groups
        )

    def strike(self, mask: npt.NDArray[np.bool_], groups: Iterable[int], avoids: Iterable[int]) -> None:
        """Clear the blocked nodes in a mask, in place."""
        nodes = self.blocked(groups, avoids)
        if nodes:
            mask[list(nodes)] = False


def _change(counts: Counts, node: int, keys: Iterable[int], step: int) -> None:
    for key in keys:
        nodes = counts.setdefault(key, {})
        left = nodes.get(node, 0) + step
        if left:
            nodes[node] = left
        else:
            del nodes[node]


def apart_mask(counts: npt.NDArray[np.int64], tallies: list[Tally], ties: Ties, nodes: int) -> npt.NDArray[np.bool_]:
    """Nodes in whose domains nothing is that the class avoids, or that avoids the class."""
    mask = np.ones(nodes, dtype=np.bool_)
    for number in ties.apart:
        mask &= at_nodes(counts, tallies[number]) == 0
    return mask
