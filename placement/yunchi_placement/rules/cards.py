"""Accelerator cards: a share sits on one card, beside others if they fit; whole cards must be empty.

The state of a card resource is a table (node, card) of free units; nodes with fewer cards have rows padded with -1.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


@dataclass(slots=True, eq=False)
class CardTable:
    """Free units of one card resource, and what the two questions asked of it need."""

    resource: int
    units: int
    free: Ints
    most: Ints
    """By node: free units of its emptiest card."""
    whole: Ints
    """By node: empty cards."""

    @classmethod
    def of(cls, resource: int, units: int, capacity: Ints) -> CardTable:
        """All cards empty; `capacity` is the node's amount of the resource."""
        cards = capacity // units
        free = np.where(np.arange(int(cards.max(initial=0)))[None, :] < cards[:, None], units, -1)
        table = cls(resource, units, free.astype(np.int64), np.zeros_like(cards), np.zeros_like(cards))
        table.refresh(np.arange(len(cards)))
        return table

    def copy(self) -> CardTable:
        """An independent copy."""
        return CardTable(self.resource, self.units, self.free.copy(), self.most.copy(), self.whole.copy())

    def refresh(self, nodes: Ints) -> None:
        """Recompute the answers for nodes whose cards changed."""
        rows = self.free[nodes]
        self.most[nodes] = rows.max(axis=1, initial=0)
        self.whole[nodes] = (rows == self.units).sum(axis=1)

    def fits_mask(self, amount: int) -> Mask:
        """Nodes that can take one request of this amount."""
        if amount < self.units:
            return np.asarray(self.most >= amount)
        return np.asarray(self.whole * self.units >= amount)

    def fit_counts(self, nodes: Ints, amount: int) -> Ints:
        """How many requests of this amount each of the nodes can take."""
        if amount < self.units:
            return np.asarray((np.maximum(self.free[nodes], 0) // amount).sum(axis=1))
        return np.asarray(self.whole[nodes] * self.units // amount)

    def take(self, node: int, amount: int) -> tuple[int, ...]:
        """Take cards for a request: the fullest card that holds a share, or the first empty ones.

        Returns:
            The cards taken; what does not fit (of running items that were never fitted) takes the emptiest.
        """
        row = self.free[node]
        if amount < self.units:
            fits = np.flatnonzero(row >= amount)
            card = int(fits[row[fits].argmin()]) if fits.size else int(row.argmax()) if row.size else -1
            cards: tuple[int, ...] = (card,) if card >= 0 else ()
        else:
            cards = tuple(int(card) for card in np.flatnonzero(row == self.units)[: amount // self.units])
        self.hold(node, amount, cards)
        return cards

    def hold(self, node: int, amount: int, cards: tuple[int, ...]) -> None:
        """Take these cards."""
        self._change(node, -min(amount, self.units), cards)

    def release(self, node: int, amount: int, cards: tuple[int, ...]) -> None:
        """Give the cards of a request back."""
        self._change(node, min(amount, self.units), cards)

    def _change(self, node: int, step: int, cards: tuple[int, ...]) -> None:
        row = self.free[node]
        row[list(cards)] += step
        self.most[node] = row.max(initial=0)
        self.whole[node] = int((row == self.units).sum())
