"""In which order moves can run: waves in which a moving item counts on both of its nodes.

A replacement runs before (or while) the old one goes, so room that a wave frees counts only for the next one. Rules
are asked twice: of the placement before the wave and of the one after it, each without the item itself. Then no two
items that may not meet do so, whichever of a wave's moves are through first.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from yunchi_placement.consolidation.moving import lift
from yunchi_placement.consolidation.scene import Scene
from yunchi_placement.state import State

Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


PER_SPARE = 32
"""When moves are stuck, one more node is kept in use at once for so many of them, times the patience."""
TARGETS = 8
"""Other targets tried for one move."""


@dataclass(frozen=True, slots=True, eq=False)
class Schedule:
    """Waves of items, and the items whose move could not be fitted in (they stay for now)."""

    waves: tuple[tuple[int, ...], ...]
    blocked: tuple[int, ...]


def schedule(scene: Scene, present: State, end: State, order: Ints, patience: int) -> Schedule:
    """Fit moves into waves.

    Moves that wait for each other in a circle are opened up by sending one of them elsewhere for good: to a node in
    use with room, or else to one that was to be emptied. So no item moves twice.

    Args:
        scene: The scene.
        present: Running items at home, no pending one placed.
        end: Where every item is to be at the end; changed where a move is sent elsewhere.
        order: The running items that move, most wanted first.
        patience: A wave with less than one in so many of the waiting moves counts as stuck. More saves nodes and
            costs waves: long chains, one move after the other, are broken up later.

    Returns:
        The waves, as early as each move can be; `blocked` are those that found no way.
    """
    board = _Board(scene, present, end)
    waves: list[tuple[int, ...]] = []
    waiting = _overfull_first(scene, present, order.tolist())
    while waiting:
        wave = [item for item in waiting if board.admit(item)]
        if len(wave) * patience < len(waiting):
            started = set(wave)
            wave += _send_elsewhere(scene, board, end, [item for item in waiting if item not in started], patience)
        if not wave:
            break
        board.finish()
        waves.append(tuple(wave))
        started = set(wave)
        waiting = [item for item in waiting if item not in started]
    return Schedule(tuple(waves), tuple(waiting))


def _overfull_first(scene: Scene, present: State, items: list[int]) -> list[int]:
    over = set(np.flatnonzero((present.free < 0).any(axis=1)).tolist())
    return sorted(items, key=lambda item: int(scene.home[item]) not in over)


def _send_elsewhere(scene: Scene, board: _Board, end: State, waiting: list[int], patience: int) -> list[int]:
    """Give some of the items that others wait for another target; returns those, already admitted."""
    blockers = _blockers(scene, board, end, waiting)
    sent: list[int] = []
    spares = 1 + len(waiting) // (PER_SPARE * patience)
    for item in blockers:
        # Each node that is opened stays in use, so it takes in as many as it can before the next one is.
        if board.reroute(item, spare=False):
            sent.append(item)
        elif spares and board.reroute(item, spare=True):
            sent.append(item)
            spares -= 1
    return sent


def _blockers(scene: Scene, board: _Board, end: State, waiting: list[int]) -> list[int]:
    """Of the items whose room others wait for, one per node: the smallest that would let someone in."""
    leaving: dict[int, list[int]] = {}
    for item in waiting:
        leaving.setdefault(int(scene.home[item]), []).append(item)
    size = scene.instance.requests @ scene.scale
    blockers: list[int] = []
    seen: set[int] = set()
    for item in waiting:
        target = int(end.node_of[item])
        if target in seen or target not in leaving:
            continue
        seen.add(target)
        inside = sorted(leaving[target], key=lambda one: (float(size[scene.instance.class_of[one]]), one))
        enough = [one for one in inside if board.would_let_in(item, one)]
        blockers.append(enough[0] if enough else inside[-1])
    return blockers


class _Board:
    """The cluster while moves run: room with both places counted, budgets, and the rules before and after."""

    def __init__(self, scene: Scene, present: State, end: State) -> None:
        self._scene = scene
        self._end = end
        self._room = present.free.copy()
        self._request = scene.instance.requests[scene.instance.class_of]
        self._asked = [np.flatnonzero(kind.request) for kind in scene.instance.classes]
        self._allowed = {budget.name: budget.allowed for budget in scene.problem.budgets}
        self._left = dict(self._allowed)
        self._wave: list[int] = []
        self._card_sources: set[int] = set()
        rules = not all(scene.is_plain(item) for item in np.flatnonzero(scene.home >= 0).tolist())
        self._before = present.copy() if rules else None
        self._after = present.copy() if rules else None

    def admit(self, item: int) -> bool:
        """Add a move to the wave if room, budgets and rules allow."""
        scene = self._scene
        target, number = int(self._end.node_of[item]), int(scene.instance.class_of[item])
        asked = self._asked[number]
        if (self._room[target, asked] < self._request[item, asked]).any():
            return False
        budgets = scene.instance.items[item].budgets
        if any(self._left.get(name, 1) <= 0 for name in budgets):
            return False
        if not scene.is_plain(item) and not self._permitted(item, target):
            return False
        for name in budgets:
            if name in self._left:
                self._left[name] -= 1
        self._room[target] -= self._request[item]
        if self._after is not None:
            _shift(scene, self._after, item, target)
        if scene.instance.classes[number].cards:
            self._card_sources.add(int(scene.home[item]))
        self._wave.append(item)
        return True

    def would_let_in(self, item: int, other: int) -> bool:
        """Whether an item would have room on its target if `other` left there."""
        room = self._room[int(self._end.node_of[item])] + self._request[other]
        return bool((room >= self._request[item]).all())

    def reroute(self, item: int, *, spare: bool) -> bool:
        """Send an item to a node with room for it both now and at the end, and admit it.

        Args:
            item: An item that waits.
            spare: Whether to use a node that would not be in use at the end.
        """
        end, kind = self._end, self._end.class_at(item)
        if self._scene.is_wanted(item):
            return False
        target = lift(end, item)
        mask = end.candidates(kind) & (self._room >= kind.request).all(axis=1) & (end.used != spare)
        mask[[target, int(self._scene.home[item])]] = False
        nodes = np.flatnonzero(mask)
        price = self._scene.price[nodes] if spare else end.free[nodes] @ self._scene.scale
        for node in nodes[np.lexsort((nodes, price))][:TARGETS].tolist():
            end.place(item, node)
            if self.admit(item):
                return True
            lift(end, item)
        end.place(item, target)
        return False

    def _permitted(self, item: int, target: int) -> bool:
        number = int(self._scene.instance.class_of[item])
        kind = self._scene.instance.classes[number]
        if kind.cards and target in self._card_sources:
            # Which cards are free there is known only when the leaving items are gone.
            return False
        for state in (self._before, self._after):
            if state is not None:
                home = lift(state, item)
                fits = bool(state.candidates(kind)[target])
                state.place(item, home)
                if not fits:
                    return False
        return True

    def finish(self) -> None:
        """End the wave: its items have left their old nodes."""
        for item in self._wave:
            self._room[self._scene.home[item]] += self._request[item]
            if self._before is not None:
                _shift(self._scene, self._before, item, int(self._end.node_of[item]))
        self._wave = []
        self._left = dict(self._allowed)
        self._card_sources = set()


def _shift(scene: Scene, state: State, item: int, target: int) -> None:
    """Move an item; of a plain one only the room matters."""
    if scene.is_plain(item):
        source = int(state.node_of[item])
        request = state.class_at(item).request
        state.free[source] += request
        state.free[target] -= request
        state.node_of[item] = target
    else:
        lift(state, item)
        state.place(item, target)
