"""One claimant before the nodes: which of them costs least."""

from __future__ import annotations

import numpy as np

from yunchi_placement.preemption.answer import Choice
from yunchi_placement.preemption.board import Board
from yunchi_placement.problem import Item

__all__ = ["Choice", "best_choice"]

Price = tuple[float, ...]
"""Less is better: broken budgets, the highest priority, the sum of priorities, the number, the age of the oldest."""
CREDIT = 1 << 40
"""Above all priorities: whoever is under a spent budget goes after all others."""
OFFSET = 1 << 31
"""Makes priorities positive, so that their sum grows with the number of victims, as in kube-scheduler."""


def best_choice(board: Board, item: Item, trials: int) -> Choice | None:
    """The node that costs least for a claimant, with its victims; None if nothing helps. The board is unchanged."""
    kind = board.kind(item)
    free = board.open_to(kind)
    if free.any():
        used = free & board.world.base.in_use
        row = int(np.flatnonzero(used if used.any() else free)[0])
        return Choice(item, board.world.nodes[row].name, ())
    best: tuple[Price, int, Choice] | None = None
    for row in _candidates(board, item, trials):
        victims = _victims(board, item, row)
        if victims is None:
            continue
        found = (_price(board, victims), row, Choice(item, board.world.nodes[row].name, tuple(v.name for v in victims)))
        if best is None or found[:2] < best[:2]:
            best = found
    return best[2] if best else None


def _candidates(board: Board, item: Item, trials: int) -> list[int]:
    """Rows where the claimant would fit if everybody less important left, the likely cheap ones first.

    Victims are added level by level, those under spent budgets last and else the least important first; the level at
    which the sums suffice ranks a node, and then how much is missing there.
    """
    kind, base, crowd = board.kind(item), board.world.base, board.crowd
    asked = np.flatnonzero(kind.request > 0)
    missing = kind.request[asked] - base.free[:, asked]
    rank = np.full(len(missing), -1, dtype=np.int64)
    lesser = crowd.alive & (crowd.priority < item.priority)
    price = crowd.priority + np.where(board.spent(), CREDIT, 0)
    for level, value in enumerate(np.unique(price[lesser]).tolist()):
        inside = lesser & (price == value)
        np.subtract.at(missing, crowd.row[inside], crowd.requests[np.ix_(inside, asked)])
        fits = kind.allowed & (missing <= 0).all(axis=1) & (rank < 0)
        rank[fits] = level
    if item.apart or item.ports or item.spread or kind.social or kind.caps or kind.cards or kind.ties:
        occupied = np.bincount(crowd.row[lesser], minlength=len(rank)) > 0  # not room, but somebody, may be in the way
        rank[kind.allowed & (missing <= 0).all(axis=1) & occupied & (rank < 0)] = 0
    rows = np.flatnonzero(rank >= 0)
    need = np.maximum(kind.request[asked] - base.free[np.ix_(rows, asked)], 0)
    share = (need / np.maximum(board.world.capacity[np.ix_(rows, asked)], 1)).max(axis=1, initial=0.0)
    order = np.lexsort((rows, share, rank[rows]))
    return [int(row) for row in rows[order][:trials]]


def _victims(board: Board, item: Item, row: int) -> list[Item] | None:
    """Whom a node would lose: all that are less important leave, then whoever can stay is put back."""
    kind = board.kind(item)
    lesser = sorted((one for one in board.on_node[row] if one.priority < item.priority), key=board.importance)
    for one in lesser:
        board.evict(one)
    gone = lesser
    if not board.takes(kind, row) and item.near:  # perhaps it wants to be near those who have just left
        sought = {term.group for term in item.near}
        for one in [one for one in lesser if sought <= one.groups]:
            board.restore(one)
        gone = [one for one in lesser if not sought <= one.groups]
    helps = board.takes(kind, row)
    if helps:
        gone = _reprieved(board, item, row, gone)
    for one in reversed(gone):
        board.restore(one)
    return gone if helps else None


def _reprieved(board: Board, item: Item, row: int, gone: list[Item]) -> list[Item]:
    """Put back whoever can stay, those first whose eviction breaks a budget; returns the others."""
    kind, victims = board.kind(item), []
    for one in sorted(gone, key=lambda one: not board.budgets.over(one.budgets)):
        board.restore(one)
        if not board.takes(kind, row):
            board.evict(one)
            victims.append(one)
    return victims


def _price(board: Board, victims: list[Item]) -> Price:
    before = board.budgets.violations
    for one in victims:
        board.budgets.take(one.budgets, 1)
    broken = board.budgets.violations - before
    for one in victims:
        board.budgets.take(one.budgets, -1)
    top = max((one.priority for one in victims), default=-OFFSET)
    oldest = min((board.since(one) for one in victims if one.priority == top), default=0.0)
    return (broken, top, sum(one.priority + OFFSET for one in victims), len(victims), -oldest)
