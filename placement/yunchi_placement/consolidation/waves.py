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


@dataclass(frozen=True, slots=True, eq=False)
class Schedule:
    """Waves of items, and the items whose move could not be fitted in (they stay for now)."""

    waves: tuple[tuple[int, ...], ...]
    blocked: tuple[int, ...]


def schedule(scene: Scene, present: State, end: Ints, order: Ints) -> Schedule:
    """Fit moves into waves.

    Args:
        scene: The scene.
        present: Running items at home, no pending one placed.
        end: Where every item is to be at the end.
        order: The running items that move, most wanted first.

    Returns:
        The waves, as early as each move can be; `blocked` are those that wait for each other in a circle.
    """
    board = _Board(scene, present, end)
    waves: list[tuple[int, ...]] = []
    waiting = _overfull_first(scene, present, order.tolist())
    while waiting:
        wave = [item for item in waiting if board.admit(item)]
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


class _Board:
    """The cluster while moves run: room with both places counted, budgets, and the rules before and after."""

    def __init__(self, scene: Scene, present: State, end: Ints) -> None:
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
        target, number = int(self._end[item]), int(scene.instance.class_of[item])
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
                _shift(self._scene, self._before, item, int(self._end[item]))
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
