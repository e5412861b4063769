"""One claimant before the nodes: which of them costs least."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from yunchi_placement.preemption.answer import Choice
from yunchi_placement.preemption.board import Board
from yunchi_placement.problem import Item

__all__ = ["Choice", "best_choice"]

Price = tuple[float, ...]
"""Less is better: broken budgets, the highest priority, the sum of priorities, the number, the age of the oldest."""
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
    """Rows where the claimant would fit if everybody less important left, the likely cheap ones first."""
    kind, base = board.kind(item), board.world.base
    found: list[tuple[tuple[float, ...], int]] = []
    asked = kind.request > 0
    for row in np.flatnonzero(kind.allowed).tolist():
        lesser = [one for one in board.on_node[row] if one.priority < item.priority]
        if not lesser:
            continue
        room = base.free[row] + np.array([one.requests for one in lesser], dtype=np.int64).sum(axis=0)
        if (room[asked] >= kind.request[asked]).all():
            found.append((_estimate(board, lesser, kind.request - base.free[row]), row))
    return [row for _, row in sorted(found)[:trials]]


def _estimate(board: Board, lesser: list[Item], missing: npt.NDArray[np.int64]) -> tuple[float, ...]:
    """A quick guess of the price: the least important leave until the sums suffice."""
    gone = np.zeros_like(missing)
    most, count, broken = 0, 0, 0
    for one in sorted(lesser, key=board.importance, reverse=True):
        if (gone >= missing).all():
            break
        if not (np.array(one.requests)[missing > gone] > 0).any():
            continue
        gone = gone + np.array(one.requests, dtype=np.int64)
        most, count = one.priority, count + 1
        broken += board.budgets.spent(one.budgets)
    return (broken, most, count)


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
