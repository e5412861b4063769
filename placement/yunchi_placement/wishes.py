"""Preferences, after packing: a placed item moves to a node that it likes better, if that costs nothing.

Only nodes that are in use anyway are open to it, and only where all rules hold, so the packing is never worse. One pass
over the items in their order; each sees where those before it went. (Kubernetes weighs the same wishes while it
places, and so opens nodes for them.)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import numpy.typing as npt

from yunchi_placement.problem import Item, Near, NodeTerm, Wish
from yunchi_placement.rules import term_mask
from yunchi_placement.rules.taints import tolerates
from yunchi_placement.state import State

Ints = npt.NDArray[np.int64]
MOST = 5000
"""Items with wishes that one call looks at; a larger storm is packed, not pampered."""


def grant(state: State, running: Iterable[Item] = ()) -> int:
    """Move placed items, in place, to nodes that they like better.

    Args:
        state: A finished placement.
        running: The items that ran before, with their nodes: whom the placed ones may want near.

    Returns:
        How many moved.
    """
    wishing = [one for one in np.flatnonzero(state.node_of >= 0).tolist() if state.instance.items[one].wishes][:MOST]
    if not wishing:
        return 0
    scores = _Scores(state, wishing, running)
    return sum(_move(state, item, scores) for item in wishing)


def _move(state: State, item: int, scores: _Scores) -> bool:
    kind, here = state.class_at(item), int(state.node_of[item])
    liked = scores.of(item)
    state.remove(item)
    open_to = state.candidates(kind, item) & state.used
    open_to[here] = True
    best = int(np.where(open_to, liked, np.iinfo(np.int64).min).argmax())
    chosen = best if liked[best] > liked[here] else here
    state.place(item, chosen)
    scores.moved(item, here, chosen)
    return chosen != here


class _Scores:
    """What nodes are worth to items: a sum over their wishes, with counts of neighbours kept up to date."""

    def __init__(self, state: State, wishing: Iterable[int], running: Iterable[Item]) -> None:
        self._state = state
        self._labels = state.instance.world.eligibility.labels
        self._fixed: dict[tuple[object, ...], Ints] = {}
        nears = dict.fromkeys(
            wish.near for item in wishing for wish in state.instance.items[item].wishes if wish.near is not None
        )
        self._counts = {near: self._empty(near) for near in nears}
        self._of_group: dict[str, list[Near]] = {}
        for near in nears:
            self._of_group.setdefault(near.group, []).append(near)
        if nears:
            position = state.instance.world.position
            for one in running:
                if one.node in position:
                    self._count(one.groups, position[one.node], 1)
            for item in np.flatnonzero(state.node_of >= 0).tolist():
                self._count(state.instance.items[item].groups, int(state.node_of[item]), 1)

    def of(self, item: int) -> Ints:
        """What each node is worth to a placed item, itself not counted."""
        found = self._state.instance.items[item]
        here = int(self._state.node_of[item])
        total = np.zeros(len(self._state.instance.nodes), dtype=np.int64)
        self._count(found.groups, here, -1)
        for wish in found.wishes:
            total += wish.weight * self._holds(wish, found)
        self._count(found.groups, here, 1)
        return total

    def moved(self, item: int, source: int, target: int) -> None:
        """Note where an item went."""
        if source != target:
            groups = self._state.instance.items[item].groups
            self._count(groups, source, -1)
            self._count(groups, target, 1)

    def _holds(self, wish: Wish, item: Item) -> Ints:
        """How much of a wish each node fulfils: 0 or 1, or the number of neighbours."""
        if wish.near is not None:
            column, counts = self._column(wish.near), self._counts[wish.near]
            return np.where(column >= 0, counts[column], 0) if counts.size else np.zeros(len(column), dtype=np.int64)
        if wish.term is not None:
            return self._once((wish.term,), lambda: self._matching(wish.term))
        tolerations = item.constraints.tolerations
        return self._once(("taints", tolerations), lambda: self._shunned(item))

    def _matching(self, term: NodeTerm | None) -> Ints:
        return term_mask(self._labels, term or NodeTerm()).astype(np.int64)

    def _shunned(self, item: Item) -> Ints:
        """By node, its PreferNoSchedule taints that the item does not tolerate."""
        tolerations = item.constraints.tolerations
        return np.array(
            [
                sum(t.effect == "PreferNoSchedule" and not tolerates(tolerations, t) for t in node.taints)
                for node in self._state.instance.nodes
            ],
            dtype=np.int64,
        )

    def _once(self, key: tuple[object, ...], compute: Callable[[], Ints]) -> Ints:
        if key not in self._fixed:
            self._fixed[key] = compute()
        return self._fixed[key]

    def _column(self, near: Near) -> Ints:
        return self._labels.column(near.key)[0]

    def _empty(self, near: Near) -> Ints:
        return np.zeros(int(self._column(near).max(initial=-1)) + 1, dtype=np.int64)

    def _count(self, groups: frozenset[str], node: int, step: int) -> None:
        for group in groups & self._of_group.keys():
            for near in self._of_group[group]:
                domain = self._column(near)[node]
                if domain >= 0:
                    self._counts[near][domain] += step
