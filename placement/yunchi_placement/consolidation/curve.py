"""From a placement with fewer nodes to a chain of stages: node after node is emptied, the best value first.

A stage is a placement by itself: the moves of the nodes emptied so far, and those pushed-out items without which
these would not fit. So a limit picks a stage, and the stages together are the curve of saving against moves.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from yunchi_placement.consolidation.answer import Point
from yunchi_placement.consolidation.scene import Scene
from yunchi_placement.state import State

Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
POINTS = 100
"""A curve shows at most so many points besides its start."""


@dataclass(frozen=True, slots=True, eq=False)
class Stage:
    """A point, and the placement behind it: the chain's end for the first `count` items of its order."""

    point: Point
    count: int


@dataclass(frozen=True, slots=True, eq=False)
class Chain:
    """Stages from the start to an end placement. `order` are the items that change place, in order."""

    start: Ints
    end: Ints
    order: Ints
    stages: tuple[Stage, ...]

    def placement(self, stage: Stage) -> Ints:
        """Where everything is at a stage."""
        node_of = self.start.copy()
        some = self.order[: stage.count]
        node_of[some] = self.end[some]
        return node_of


def chain_of(scene: Scene, start: State, end: Ints) -> Chain:
    """Order the way from a starting state to an end placement."""
    walk = _Walk(scene, start, end)
    first = Stage(walk.point(), 0)
    stages = [first]
    for node in _by_worth(scene, start, end):
        walk.leave(node)
        stages.append(Stage(walk.point(), len(walk.order)))
    walk.leave_rest()
    if len(walk.order) > stages[-1].count:
        stages.append(Stage(walk.point(), len(walk.order)))
    return Chain(start.node_of.copy(), end.copy(), np.array(walk.order, dtype=np.int64), tuple(stages))


def best_stages(
    chains: Iterable[Chain], most_moves: int | None = None, most_nodes: int | None = None
) -> list[tuple[Chain, Stage]]:
    """Of each chain the most saving within the limits, of equal savings the fewest moves; the best chain first."""
    best: list[tuple[Chain, Stage]] = []
    for chain in chains:
        start = chain.stages[0].point
        fitting = [
            stage
            for stage in chain.stages
            if (most_moves is None or stage.point.moves <= max(most_moves, start.moves))
            and (most_nodes is None or stage.point.nodes_emptied <= max(most_nodes, start.nodes_emptied))
        ]
        best.append((chain, min(fitting, key=lambda stage: _rank(stage.point))))
    return sorted(best, key=lambda pair: _rank(pair[1].point))


def curve_of(chains: Sequence[Chain]) -> tuple[Point, ...]:
    """The start, and the points that no other point beats, few moves first; thinned evenly if there are many."""
    points = sorted({stage.point for chain in chains for stage in chain.stages}, key=lambda p: (p.moves, -p.saving))
    front = [next(stage.point for chain in chains for stage in chain.stages)]
    for point in points:
        if point.saving > front[-1].saving:
            front.append(point)
    if len(front) <= POINTS + 1:
        return tuple(front)
    picks = np.unique(np.rint(np.linspace(0, len(front) - 1, POINTS + 1)).astype(np.int64))
    return tuple(front[pick] for pick in picks.tolist())


def _rank(point: Point) -> tuple[int, int, int]:
    return -point.saving, point.moves, point.nodes_emptied


def _by_worth(scene: Scene, start: State, end: Ints) -> Iterator[int]:
    """The nodes that end empty: the most saving per forced move cost first, then by name."""
    instance = scene.instance
    keeps = np.array([kind.keeps_node for kind in instance.classes], dtype=np.bool_)[instance.class_of]
    left = instance.in_use.copy()
    left[end[(end >= 0) & keeps]] = True
    gone = np.flatnonzero(start.used & ~left)
    toll = np.zeros(len(left), dtype=np.int64)
    at_home = scene.home == start.node_of
    np.add.at(toll, start.node_of[at_home], scene.toll[at_home])
    worth = scene.price[gone] / np.maximum(toll[gone], 1e-9)
    yield from gone[np.lexsort((gone, -worth))].tolist()


class _Walk:
    """Applies the changes of place node by node, keeping every node within its room and the rules."""

    def __init__(self, scene: Scene, start: State, end: Ints) -> None:
        self._scene = scene
        self._end = end
        self._home_cost = np.where(scene.home >= 0, scene.toll, 0)
        self._where = start.node_of.copy()
        self.order: list[int] = []
        self._room = start.free.copy()
        self._floor = np.minimum(start.free, 0)
        self._request = scene.instance.requests[scene.instance.class_of]
        self._keeps = [kind.keeps_node for kind in scene.instance.classes]
        self._users = start.keepers.copy()
        self._present = scene.present
        self._start_value = int(scene.price[start.used].sum())
        self._value = self._start_value
        self._moves = scene.moves(self._where)
        self._emptied = int((self._present & (self._users == 0)).sum())
        self._leaving: dict[int, list[int]] = {}
        size = scene.instance.requests @ scene.scale
        changing = np.flatnonzero(end != self._where)
        for item in changing[np.argsort(-size[scene.instance.class_of[changing]], kind="stable")].tolist():
            self._leaving.setdefault(int(self._where[item]), []).append(item)
        self._tied = [item for item in changing.tolist() if scene.instance.classes[scene.instance.class_of[item]].ties]

    def point(self) -> Point:
        """Where the walk is."""
        return Point(self._start_value - self._value, self._moves, self._emptied)

    def leave(self, node: int) -> None:
        """Empty a node, with all that this needs."""
        self._go(list(self._leaving.get(node, ())))

    def leave_rest(self) -> None:
        """Everything else that changes place."""
        self._go([item for inside in list(self._leaving.values()) for item in inside])

    def _go(self, items: list[int]) -> None:
        pending = items
        while pending:
            done = [item for item in pending if self._where[item] != self._end[item]]
            touched: dict[int, None] = {}
            for item in done:
                touched[int(self._where[item])] = None
                touched[int(self._end[item])] = None
                self._step(item)
            pending = self._needed(touched, done)

    def _step(self, item: int) -> None:
        """Move one item to its end."""
        source, target = int(self._where[item]), int(self._end[item])
        keeps = self._keeps[int(self._scene.instance.class_of[item])]
        if source >= 0:
            self._room[source] += self._request[item]
            self._leaving[source].remove(item)
            self._use(source, -1 if keeps else 0)
        self._room[target] -= self._request[item]
        self._use(target, 1 if keeps else 0)
        home, cost = int(self._scene.home[item]), int(self._home_cost[item])
        self._moves += cost * (int(target != home) - int(source != home))
        self._where[item] = target
        self.order.append(item)

    def _use(self, node: int, step: int) -> None:
        before = self._users[node] > 0
        self._users[node] += step
        after = self._users[node] > 0
        if before != after:
            self._value += int(self._scene.price[node]) * (1 if after else -1)
            self._emptied += int(self._present[node]) * (-1 if after else 1)

    def _needed(self, touched: Iterable[int], done: list[int]) -> list[int]:
        """What must leave too: where a node got too full, and where items meet that may not."""
        more = [other for node in touched if node >= 0 and (other := self._relieving(node)) >= 0]
        for item in done:
            if not self._scene.is_plain(item):
                # Whoever leaves that node in the end may be what this item cannot be beside.
                leaving = self._leaving.get(int(self._end[item]), ())
                more += [other for other in leaving if not self._scene.is_plain(other)]
        if self._tied and any(self._end[item] == self._where[item] for item in self._tied):
            # Rules by domain hold at the start and at the end; between, only if all of them go at once.
            more += self._tied
            self._tied = []
        return list(dict.fromkeys(more))

    def _relieving(self, node: int) -> int:
        """Of a node that is too full, the smallest leaving item that suffices, or the largest; -1 if none is needed."""
        lack = self._floor[node] - self._room[node]
        leaving = self._leaving.get(node)
        if not leaving or not (lack > 0).any():
            return -1
        for item in reversed(leaving):
            if (self._request[item] >= lack).all():
                return item
        return leaving[0]
