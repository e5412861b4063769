"""Emptying nodes: sends what runs on them to the kept ones, pushing out easier items where nothing else fits."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from yunchi_placement.canonical import ItemClass
from yunchi_placement.consolidation.choice import Choice, Chooser
from yunchi_placement.consolidation.moving import lift, take
from yunchi_placement.consolidation.scene import Scene
from yunchi_placement.search import Search
from yunchi_placement.state import State

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Packing:
    """A placement with fewer nodes; `extra` nodes, in the `short` cells, had to stay beside the chosen ones."""

    state: State
    short: Mask
    extra: int


def vacate(
    scene: Scene, start: State, choice: Choice, chooser: Chooser | None, steps: int, rng: np.random.Generator
) -> Packing | None:
    """Empty every node that the choice does not keep, or as many as possible.

    Args:
        scene: The scene of `start`.
        start: Where everything is; not changed.
        choice: The nodes to keep, and the cells that flows should go to.
        chooser: Whose flows the choice speaks of; None sends items to any cell.
        steps: Search steps.
        rng: Picks among many nodes.

    Returns:
        The packing; None if an item that was pushed out found no way back.
    """
    state, keep = start.copy(), choice.keep.copy()
    waiting = _clear(scene, state, keep)
    waiting = _send(scene, state, keep, choice, chooser, waiting)
    waiting = Search(state, keep, rng).run(waiting, steps)
    opened = _reopen(scene, state, keep, waiting, steps // 4, rng)
    if opened is None:
        return None
    short = np.zeros(max(1, scene.instance.cells), dtype=np.bool_)
    short[scene.instance.cell_of[opened]] = True
    settle(scene, state)
    return Packing(state, short, len(opened))


def _clear(scene: Scene, state: State, keep: Mask) -> list[int]:
    """Lift everything off the nodes that are not kept."""
    waiting = np.flatnonzero((state.node_of >= 0) & ~keep[state.node_of]).tolist()
    for item in waiting:
        take(scene, state, item)
    return list(waiting)


def _send(
    scene: Scene, state: State, keep: Mask, choice: Choice, chooser: Chooser | None, waiting: list[int]
) -> list[int]:
    """Place items class by class, the biggest first, in the cells that the choice names; then wherever they fit."""
    instance, scale = scene.instance, scene.scale
    size = (instance.requests * scale).max(axis=1) if len(instance.requests) else np.zeros(0)
    jobs = _jobs(scene, state, choice, chooser, waiting)
    jobs.sort(key=lambda job: (-float(size[job[0]]), job[0], job[1]))
    rest: list[tuple[int, list[int]]] = []
    for number, cell, items in jobs:
        mask = keep & (instance.cell_of == cell) if cell >= 0 else keep
        left = place_class(scene, state, instance.classes[number], items, mask)
        if left:
            rest.append((number, left))
    remaining: list[int] = []
    for number, items in rest:
        remaining += place_class(scene, state, instance.classes[number], items, keep)
    return remaining


def _jobs(
    scene: Scene, state: State, choice: Choice, chooser: Chooser | None, waiting: list[int]
) -> list[tuple[int, int, list[int]]]:
    """Split the waiting items of each class over cells: (class, cell, items)."""
    by_class: dict[int, list[int]] = {}
    for item in waiting:
        by_class.setdefault(int(scene.instance.class_of[item]), []).append(item)
    if chooser is None:
        return [(number, -1, items) for number, items in by_class.items()]
    wants = _wants(scene, state, choice, chooser)
    jobs = []
    size = (scene.instance.requests * scene.scale).max(axis=1)
    for number in sorted(by_class, key=lambda number: (-float(size[number]), number)):
        items, weight = by_class[number], float(chooser.weight[number])
        cells = wants.get(int(chooser.flow_of_class[number]), {})
        while items:
            allowed = [cell for cell, left in cells.items() if left > 0]
            if not allowed:
                jobs.append((number, -1, items))
                break
            cell = max(allowed, key=lambda cell: (cells[cell], -cell))
            count = min(len(items), max(1, round(cells[cell] / max(weight, 1e-9))))
            jobs.append((number, cell, items[:count]))
            cells[cell] -= count * weight
            items = items[count:]
    return jobs


def _wants(scene: Scene, state: State, choice: Choice, chooser: Chooser) -> dict[int, dict[int, float]]:
    """What each flow still wants in each cell, in average items, above what is there already."""
    wants: dict[int, dict[int, float]] = {}
    for (flow, cell), amount in choice.share.items():
        wants.setdefault(flow, {})[cell] = amount
    placed = np.flatnonzero(state.node_of >= 0)
    kinds = scene.instance.class_of[placed]
    cells = scene.instance.cell_of[state.node_of[placed]]
    for flow, cell, weight in zip(
        chooser.flow_of_class[kinds].tolist(), cells.tolist(), chooser.weight[kinds].tolist(), strict=True
    ):
        inside = wants.get(flow)
        if inside is not None and cell in inside:
            inside[cell] -= weight
    return wants


def place_class(scene: Scene, state: State, kind: ItemClass, items: list[int], mask: Mask) -> list[int]:
    """Place items of one class one by one on nodes with room of their shape; returns those left."""
    if items and scene.is_wanted(items[0]):
        return [item for item in items if not _place_bound(scene, state, item, mask)]
    nodes = np.flatnonzero(mask & state.candidates(kind))
    if not nodes.size:
        return items
    scale, plain = scene.scale, not (kind.ties or kind.caps)
    request = kind.request * scale
    score = _cosine(state.free[nodes] * scale, request)
    for done, item in enumerate(items):
        best = int(score.argmax())
        if score[best] == -np.inf:
            return items[done:]
        node = int(nodes[best])
        state.place(item, node)
        if not plain:
            score[~state.candidates(kind)[nodes]] = -np.inf
        if kind.solitary or not state.holds(node, kind):
            score[best] = -np.inf
        else:
            score[best] = _cosine((state.free[node] * scale)[None, :], request)[0]
    return []


def _place_bound(scene: Scene, state: State, item: int, mask: Mask) -> bool:
    """Place an item that is bound to its domains."""
    kind = state.class_at(item)
    nodes = np.flatnonzero(mask & state.candidates(kind, item))
    if not nodes.size:
        return False
    score = _cosine(state.free[nodes] * scene.scale, kind.request * scene.scale)
    state.place(item, int(nodes[score.argmax()]))
    return True


def _cosine(room: Floats, request: Floats) -> Floats:
    """Room of the shape of the request: keeps what is left on a node balanced."""
    length = np.sqrt((room**2).sum(axis=1)) + 1e-12
    score: Floats = (room @ request) / length
    return score


def _reopen(
    scene: Scene, state: State, keep: Mask, waiting: list[int], steps: int, rng: np.random.Generator
) -> list[int] | None:
    """Keep more nodes until nothing waits; returns them, or None if some item can be helped by none."""
    opened: list[int] = []
    while waiting:
        nodes = _relief(scene, state, keep, waiting)
        if not nodes:
            return None
        # Each node brings room for others too, so open a part of what would help and look again.
        for node in nodes[: max(1, len(nodes) // 4)]:
            keep[node] = True
            opened.append(node)
            waiting = return_home(scene, state, node, waiting)
        waiting = Search(state, keep, rng).run(waiting, max(2 * len(waiting), steps // (1 + len(opened))))
    return opened


def _relief(scene: Scene, state: State, keep: Mask, waiting: list[int]) -> list[int]:
    """Nodes whose reopening would help what waits, the most help for the price first."""
    relief = np.zeros(len(keep))
    size = scene.instance.requests @ scene.scale
    for item in waiting:
        home = int(scene.home[item])
        if home >= 0 and not keep[home]:
            relief[home] += float(size[scene.instance.class_of[item]]) + 1e-6
    if not relief.any():
        # Nobody can go back: an unused node that takes the hardest of them.
        for item in sorted(waiting, key=lambda one: (-float(size[scene.instance.class_of[one]]), one)):
            relief[state.candidates(state.class_at(item), item) & ~keep] = 1.0
            if relief.any():
                break
    price = scene.price.astype(np.float64)
    worth = relief / (price + price.mean() * 1e-3 + 1e-9)
    order = np.lexsort((np.arange(len(worth)), -worth))
    return [int(node) for node in order[: int((relief > 0).sum())]]


def return_home(scene: Scene, state: State, node: int, waiting: Iterable[int]) -> list[int]:
    """Everything that runs on a reopened node goes back there; returns what still waits."""
    waiting = set(waiting)
    for item in np.flatnonzero(scene.home == node).tolist():
        if item in waiting:
            state.withdraw(item)
            waiting.discard(item)
        elif state.node_of[item] >= 0:
            lift(state, item)
        state.place(item, node)
    return sorted(waiting)


def settle(scene: Scene, state: State) -> None:
    """Undo moves that nothing needs: first between equal items, then where there is room at home again."""
    _swap_equals(scene, state)
    away = np.flatnonzero(scene.moved(state.node_of) & (state.node_of >= 0))
    away = away[state.keepers[scene.home[away]] > 0]
    for item in away[np.argsort(-scene.toll[away], kind="stable")].tolist():
        home, kind = int(scene.home[item]), state.class_at(item)
        if (state.free[home] < kind.request).any():
            continue
        spot = lift(state, item)
        state.place(item, home if state.candidates(kind)[home] else spot)


def _swap_equals(scene: Scene, state: State) -> None:
    """Of equal items, those stay that are at home: the placement looks the same to every rule."""
    node_of, homes = state.node_of, scene.home
    moved = scene.moved(node_of)
    for number in np.unique(scene.instance.class_of[moved]).tolist():
        items = np.array(scene.instance.classes[number].items)
        items = items[node_of[items] >= 0]
        spots: dict[int, list[int]] = {}
        for item in items[node_of[items] != homes[items]].tolist():
            spots.setdefault(int(node_of[item]), []).append(item)
        order = items[moved[items]]
        for item in order[np.argsort(-scene.toll[order], kind="stable")].tolist():
            guests = spots.get(int(homes[item]))
            if not guests or node_of[item] == homes[item]:
                continue
            other, here = guests.pop(0), int(node_of[item])
            lift(state, item)
            lift(state, other)
            state.place(item, int(homes[item]))
            state.place(other, here)
            if node_of[other] == homes[other]:
                continue
            spots[here] = [other if one == item else one for one in spots[here]]
