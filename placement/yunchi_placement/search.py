"""Ejection search: finds room for waiting items by pushing out easier ones, which then find room elsewhere.

An ejection chain with growing weights for what was hard to place, after the guided ejection search of Nagata and
Braysy (2009). All choices are by price, then by position; the only chance is which nodes are looked at.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from yunchi_placement.canonical import ItemClass
from yunchi_placement.pack import scale_of
from yunchi_placement.rules import fits_mask
from yunchi_placement.state import State

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
SAMPLE = 24
"""Nodes looked at for one ejection."""
PAIRED = 6
"""Of those, nodes looked at for pushing out two items at once: the ones that lack least."""
TURN = 16
"""Steps that a cell may take before the next one has its turn."""
WIDE = 96
"""Pairs are not tried on nodes with more items."""


class Search:
    """Places a state's waiting items on the opened nodes, within a number of steps."""

    def __init__(self, state: State, opened: Mask, rng: np.random.Generator) -> None:
        self.state = state
        self.opened = opened
        self._rng = rng
        instance = state.instance
        self._class_of = instance.class_of
        self._scale = scale_of(instance)
        size = (instance.requests * self._scale).sum(axis=1)
        reach = np.array([float(kind.allowed.sum()) for kind in instance.classes])
        # An item that may go to few nodes is harder to place again.
        self._ease = size * (1.0 + 2.0 * (reach < reach.max(initial=0.0) / 2))
        self._weight = np.ones(len(instance.items))
        self._reach: dict[int, Ints] = {}
        self._table = np.full((len(instance.nodes), 8), -1, dtype=np.int64)
        self._stale = np.ones(len(instance.nodes), dtype=np.bool_)

    def open(self, node: int) -> None:
        """Let the search use one more node."""
        self.opened[node] = True
        self._reach.clear()

    def run(self, waiting: list[int], steps: int, patience: int = 0, around: Sequence[int] = ()) -> list[int]:
        """Try to place all waiting items; returns those still waiting.

        Cells take turns, so that one hard cell does not use up the steps of all others.

        Args:
            waiting: Unplaced items.
            steps: Insertions and ejections in all.
            patience: Steps after which a cell that has not come to fewer waiting items is given up; 0 means never.
            around: Only try items that may go to one of these nodes; () means all.
        """
        queues, idle = self._queues(waiting, around)
        least = {cell: len(queue) for cell, queue in queues.items()}
        since = dict.fromkeys(queues, 0)
        active = sorted(queues)
        while active and steps > 0:
            for cell in list(active):
                queue = queues[cell]
                taken = 0
                while queue and taken < min(TURN, steps):
                    self._step(queue)
                    taken += 1
                steps -= taken
                since[cell] += taken
                if len(queue) < least[cell]:
                    least[cell], since[cell] = len(queue), 0
                if not queue or (patience and since[cell] >= patience):
                    active.remove(cell)
        return sorted(idle + [item for queue in queues.values() for item in queue])

    def _queues(self, waiting: list[int], around: Sequence[int]) -> tuple[dict[int, list[int]], list[int]]:
        """The waiting items by cell, the hardest last, and those not to be tried.

        Items with a choice of cells are dealt out evenly.
        """
        cell_of = self.state.instance.cell_of
        queues: dict[int, list[int]] = {}
        idle: list[int] = []
        for item in sorted(waiting, key=self._turn):
            kind = self.state.class_at(item)
            nodes = [node for node in around if kind.allowed[node]] if around else self._nodes(kind)
            if len(nodes):
                queues.setdefault(int(cell_of[nodes[item % len(nodes)]]), []).append(item)
            else:
                idle.append(item)
        return queues, idle

    def _step(self, queue: list[int]) -> None:
        """Place the last item of a queue; what it pushes out joins the queue."""
        item = queue.pop()
        if self.insert(item):
            return
        self._weight[item] += 1.0
        out = self._eject(item)
        if out is None:
            queue.insert(0, item)
        else:
            queue += sorted(out, key=self._turn)

    def _turn(self, item: int) -> tuple[float, int]:
        return float(self._ease[self._class_of[item]]), item

    def _nodes(self, kind: ItemClass) -> Ints:
        """Opened nodes that the class's own constraints allow."""
        if kind.eligibility not in self._reach:
            self._reach[kind.eligibility] = np.flatnonzero(self.opened & kind.allowed)
        return self._reach[kind.eligibility]

    def _permitted(self, kind: ItemClass, item: int) -> Ints:
        """Of those, the ones that other items do not forbid."""
        nodes = self._nodes(kind)
        if not (kind.social or kind.ties or kind.caps):
            return nodes
        mask = np.ones(len(self.opened), dtype=np.bool_)
        self.state.strike(mask, kind, item)
        return nodes[mask[nodes]]

    def insert(self, item: int) -> bool:
        """Place an item where it leaves the least room, if it fits anywhere."""
        state, kind = self.state, self.state.class_at(item)
        nodes = self._permitted(kind, item)
        free = state.free[nodes]
        fits = fits_mask(free, kind.request)
        for table, amount in kind.cards:
            fits &= state.cards[table].fits_mask(amount)[nodes]
        rows = fits.nonzero()[0]
        if not rows.size:
            return False
        left = free[rows] @ self._scale
        node = int(nodes[rows[left.argmin()]])
        state.place(item, node)
        self._stale[node] = True
        return True

    def _eject(self, item: int) -> list[int] | None:
        """Place an item by pushing out the one or two cheapest items of some node; None if none would do."""
        state, kind = self.state, self.state.class_at(item)
        nodes = self._permitted(kind, item)
        if not nodes.size:
            return None
        if nodes.size > SAMPLE:
            nodes = nodes[self._rng.integers(0, nodes.size, SAMPLE)]
        table = self._inside(nodes)
        asked = kind.request.nonzero()[0]
        need = kind.request[asked] - state.free[nodes[:, None], asked]
        classes = self._class_of[table]
        gain = state.instance.requests[classes[:, :, None], asked]
        # Pushing out an item of the same class would change nothing.
        useful = (table >= 0) & (classes != self._class_of[item])
        price = np.where(useful, self._ease[classes] * self._weight[table], np.inf)
        row, out, least = _cheapest_single(price, gain, need, table)
        if table.shape[1] <= WIDE:
            lack = (np.maximum(need, 0) * self._scale[asked]).sum(axis=1)
            rows = lack.argsort(kind="stable")[:PAIRED]
            pair_row, pair, pair_price = _cheapest_pair(price[rows], gain[rows], need[rows], table[rows])
            if pair_price < least:
                row, out, least = int(rows[pair_row]), pair, pair_price
        return self._swap(item, kind, int(nodes[row]), out) if np.isfinite(least) else None

    def _swap(self, item: int, kind: ItemClass, node: int, out: list[int]) -> list[int] | None:
        """Push out and place; put all back if the cards do not fit after all."""
        state = self.state
        for other in out:
            state.remove(other)
        fits = all(state.cards[table].fits_mask(amount)[node] for table, amount in kind.cards)
        if fits:
            state.place(item, node)
        else:
            for other in reversed(out):
                state.place(other, node)
        self._stale[node] = True
        return out if fits else None

    def _inside(self, nodes: Ints) -> Ints:
        """The items on each of the nodes, padded with -1."""
        for node in nodes[self._stale[nodes]].tolist():
            inside = self.state.on_node[node]
            if len(inside) > self._table.shape[1]:
                wider = np.full((len(self._table), 2 * len(inside)), -1, dtype=np.int64)
                wider[:, : self._table.shape[1]] = self._table
                self._table = wider
            self._table[node, : len(inside)] = inside
            self._table[node, len(inside) :] = -1
            self._stale[node] = False
        table = self._table[nodes]
        return table[:, : max(1, int((table >= 0).sum(axis=1).max()))]


def _cheapest_single(price: Floats, gain: Ints, need: Ints, table: Ints) -> tuple[int, list[int], float]:
    """Row, item and price of the cheapest item whose leaving makes room."""
    single = np.where((gain >= need[:, None, :]).all(axis=2), price, np.inf)
    row, column = divmod(int(single.argmin()), single.shape[1])
    return row, [int(table[row, column])], float(single[row, column])


def _cheapest_pair(price: Floats, gain: Ints, need: Ints, table: Ints) -> tuple[int, list[int], float]:
    """Row, items and price of the cheapest two items whose leaving makes room."""
    most = table.shape[1]
    enough = np.ones((len(table), most, most), dtype=np.bool_)
    for resource in range(gain.shape[2]):
        one = gain[:, :, resource]
        enough &= one[:, :, None] + one[:, None, :] >= need[:, resource, None, None]
    pair = np.where(enough, price[:, :, None] + price[:, None, :], np.inf)
    pair[:, np.arange(most), np.arange(most)] = np.inf
    row, first, second = np.unravel_index(int(pair.argmin()), pair.shape)
    return int(row), [int(table[row, first]), int(table[row, second])], float(pair[row, first, second])
