"""Making a plan executable: what cannot be brought into waves stays where it runs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from yunchi_placement.consolidation.moving import lift
from yunchi_placement.consolidation.scene import Scene
from yunchi_placement.consolidation.waves import schedule
from yunchi_placement.state import State

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Ordered:
    """Waves of items, and the nodes that had to keep items because their moves could not be ordered."""

    waves: tuple[tuple[int, ...], ...]
    unordered: set[int]


def order_moves(scene: Scene, present: State, end: State, priority: Ints, patience: int) -> Ordered:
    """Find waves for the moves of `end`, which is changed where there are none for all.

    Args:
        scene: The scene.
        present: Running items at home, no pending one placed.
        end: The placement to reach.
        priority: Items in the order in which their moves are wanted.
        patience: See `schedule`.
    """
    unordered: set[int] = set()
    while True:
        moved = scene.moved(end.node_of)
        order = priority[moved[priority]]
        rest = np.flatnonzero(moved)
        order = np.concatenate((order, np.setdiff1d(rest, order)))
        plan = schedule(scene, present, end, order, patience)
        if not plan.blocked:
            return Ordered(plan.waves, unordered)
        unordered |= _retreat(scene, end, list(plan.blocked))


def _retreat(scene: Scene, end: State, items: list[int]) -> set[int]:
    """Leave items at home, with all that follows; returns the nodes that stay in use for it.

    A node that keeps one item saves nothing any more, so its others stay too. Where the room at home is promised
    to others, these stay at theirs. Every item retreats at most once, so this ends.
    """
    reopened: set[int] = set()
    while items:
        item = items.pop()
        home = int(scene.home[item])
        if end.node_of[item] == home:
            continue
        if end.node_of[item] >= 0:
            lift(end, item)
        emptied = end.keepers[home] == 0
        end.place(item, home)
        if emptied:
            reopened.add(home)
            items += [int(one) for one in np.flatnonzero(scene.home == home) if end.node_of[one] != home]
        else:
            items += _in_the_way(scene, end, item, home)
    return reopened


def _in_the_way(scene: Scene, end: State, item: int, home: int) -> list[int]:
    """Arrivals that must give way to an item that stays at home; pending ones are taken off at once."""
    plain = scene.is_plain(item)
    away: list[int] = []
    arrivals = [one for one in end.on_node[home] if scene.home[one] != home]
    size = scene.instance.requests @ scene.scale
    lack = np.maximum(-end.free[home], 0)
    for one in sorted(arrivals, key=lambda other: (-float(size[scene.instance.class_of[other]]), other)):
        social = not plain and not scene.is_plain(one)
        if not social and not lack.any():
            continue
        lack = np.maximum(lack - end.class_at(one).request, 0)
        if scene.home[one] >= 0:
            away.append(one)
            continue
        lift(end, one)
        end.withdraw(one)
        nodes = np.flatnonzero(end.candidates(end.class_at(one)) & end.used)
        if nodes.size:
            end.place(one, int(nodes[0]))
    return away
