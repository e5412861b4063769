"""Ejection search: finds room for waiting items by pushing out easier ones, which then find room elsewhere."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from yunchi_placement.pack import scale_of
from yunchi_placement.state import State

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
SAMPLE = 24


class Search:
    """Places a state's waiting items on the opened nodes, within a number of steps."""

    def __init__(self, state: State, opened: Mask, rng: np.random.Generator) -> None:
        self.state = state
        self.opened = opened
        self._rng = rng
        instance = state.instance
        self._request = instance.requests[instance.class_of] if len(instance.items) else instance.requests
        self._scale = scale_of(instance)
        size = (self._request * self._scale).sum(axis=1)
        reach = np.array([float(kind.allowed.sum()) for kind in instance.classes])[instance.class_of]
        self.ease = size * (1.0 + 2.0 * (reach < reach.max() / 2))
        self.weight = np.ones(len(size))

    def run(self, waiting: list[int], steps: int) -> list[int]:
        """Try to place all waiting items; returns those still waiting."""
        waiting = sorted(waiting, key=lambda item: (float(self.ease[item]), item))
        for _ in range(steps):
            if not waiting:
                break
            item = waiting.pop()
            if self.insert(item):
                continue
            self.weight[item] += 1.0
            out = self._eject(item)
            if out is None:
                waiting.insert(0, item)
                continue
            waiting += sorted(out, key=lambda other: (float(self.ease[other]), other))
        return waiting

    def insert(self, item: int) -> bool:
        """Place an item where it leaves the least room, if it fits anywhere."""
        kind = self.state.class_at(item)
        nodes = np.flatnonzero(self.opened & self.state.candidates(kind, item))
        if not nodes.size:
            return False
        left = ((self.state.free[nodes] - kind.request) * self._scale).sum(axis=1)
        self.state.place(item, int(nodes[left.argmin()]))
        return True

    def _eject(self, item: int) -> list[int] | None:
        """Place an item by pushing out the one or two cheapest items of some node; None if none would do."""
        state, kind = self.state, self.state.class_at(item)
        mask = self.opened & kind.allowed
        state.strike(mask, kind, item)
        nodes = np.flatnonzero(mask)
        if nodes.size > SAMPLE:
            nodes = self._rng.choice(nodes, SAMPLE, replace=False)
        lists = [state.on_node[node] for node in nodes.tolist()]
        most = max((len(inside) for inside in lists), default=0)
        if not most:
            return None
        table = np.full((len(lists), most), -1, dtype=np.int64)
        for row, inside in enumerate(lists):
            table[row, : len(inside)] = inside
        asked = np.flatnonzero(kind.request)
        need = kind.request[asked] - state.free[np.ix_(nodes, asked)]
        gain = self._request[table][:, :, asked]
        # Pushing out an item of the same class would change nothing.
        number = state.instance.class_of[item]
        useful = (table >= 0) & (state.instance.class_of[table] != number)
        price = np.where(useful, (self.ease * self.weight)[table], np.inf)
        single = np.where((gain >= need[:, None, :]).all(axis=2), price, np.inf)
        best = int(single.argmin())
        row, column = divmod(best, most)
        least, out = single[row, column], [int(table[row, column])]
        if most <= 64:
            pair_ok = (gain[:, :, None, :] + gain[:, None, :, :] >= need[:, None, None, :]).all(axis=3)
            pair = np.where(pair_ok, price[:, :, None] + price[:, None, :], np.inf)
            pair[:, np.arange(most), np.arange(most)] = np.inf
            best = int(pair.argmin())
            where = np.unravel_index(best, pair.shape)
            if pair[where] < least:
                row, least = int(where[0]), pair[where]
                out = [int(table[row, where[1]]), int(table[row, where[2]])]
        if not np.isfinite(least):
            return None
        node = int(nodes[row])
        for other in out:
            state.remove(other)
        if not all(state.cards[table].fits_mask(amount)[node] for table, amount in kind.cards):
            for other in reversed(out):
                state.place(other, node)
            return None
        state.place(item, node)
        return out
