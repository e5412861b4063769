"""Small clusters exactly: the least value, then the fewest moves, by CP-SAT with the best answer so far as hint.

Rules by host and room are in the model. Items under other rules (domains, caps, cards) stay where the hint has them.
Work is limited by deterministic time, so that answers repeat.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from ortools.sat.python import cp_model

from yunchi_placement.canonical import ItemClass
from yunchi_placement.consolidation.scene import Scene
from yunchi_placement.rules import fits_mask
from yunchi_placement.state import State

Ints = npt.NDArray[np.int64]
FAR = 1 << 50
"""Weights of the objective stay below this."""


@dataclass(frozen=True, slots=True)
class _Batch:
    """Items that nothing tells apart: one class, one home, one move cost."""

    number: int
    home: int
    toll: int
    items: tuple[int, ...]


def exact(
    scene: Scene, start: State, hint: State, *, most_moves: int | None, most_nodes: int | None, size: int, effort: float
) -> Ints | None:
    """Where every item goes, or None if the cluster is too large or nothing better is found.

    Args:
        scene: The scene.
        start: Where everything is; it must not be overfull.
        hint: The best placement so far.
        most_moves: Limit on the sum of move costs.
        most_nodes: Limit on nodes emptied.
        size: Most variables.
        effort: Deterministic time of CP-SAT.
    """
    if (start.free < 0).any():
        return None
    batches = _batches(scene, start)
    places: list[list[int]] = []
    if len(batches) > size:
        return None
    for batch in batches:
        places.append(_places(scene, start, hint, batch))
        size -= len(places[-1])
        if size < 0:
            return None
    model = _Model(scene, batches, places)
    if not model.set_objective():
        return None
    if most_moves is not None:
        model.limit_moves(max(most_moves, scene.moves(start.node_of)))
    if most_nodes is not None:
        model.limit_nodes(most_nodes)
    model.hint(hint)
    return model.solve(start, effort)


def small_enough(scene: Scene, size: int) -> bool:
    """Whether a model of no more than `size` choices is possible; cheap, and no for whole provinces at once."""
    if len(scene.instance.classes) > size:
        return False
    return sum(int(kind.allowed.sum()) for kind in scene.instance.classes) <= size


def _batches(scene: Scene, start: State) -> list[_Batch]:
    groups: dict[tuple[int, int, int], list[int]] = {}
    for item in np.flatnonzero(start.node_of >= 0).tolist():
        key = int(scene.instance.class_of[item]), int(scene.home[item]), int(scene.toll[item])
        groups.setdefault(key, []).append(item)
    return [_Batch(number, home, toll, tuple(items)) for (number, home, toll), items in sorted(groups.items())]


def _places(scene: Scene, start: State, hint: State, batch: _Batch) -> list[int]:
    """Nodes that a batch may use: where its items are, and if it is free to go, those that would take it."""
    kind = scene.instance.classes[batch.number]
    if kind.ties or kind.caps or kind.cards or scene.wanted[batch.number]:
        return sorted({int(hint.node_of[item]) for item in batch.items})
    mask = kind.allowed & fits_mask(scene.instance.free, kind.request)
    if kind.social:
        scene.instance.base.conflicts.strike(mask, kind.groups, kind.avoids)
    return sorted({*np.flatnonzero(mask).tolist(), *(int(start.node_of[item]) for item in batch.items)})


class _Model:
    """The placement as a CP-SAT model: how many of each batch go to each node."""

    def __init__(self, scene: Scene, batches: list[_Batch], places: list[list[int]]) -> None:
        self._scene = scene
        self._batches = batches
        self._model: Any = cp_model.CpModel()
        self._used = [self._model.new_bool_var(f"used {node}") for node in range(len(scene.price))]
        self._places = places
        self._count: dict[tuple[int, int], Any] = {}
        self._on: dict[int, list[int]] = {}
        for number, (batch, nodes) in enumerate(zip(batches, places, strict=True)):
            for node in nodes:
                self._count[number, node] = self._model.new_int_var(0, len(batch.items), f"{number} on {node}")
                self._on.setdefault(node, []).append(number)
            self._model.add(sum(self._count[number, node] for node in nodes) == len(batch.items))
        for node in range(len(scene.price)):
            self._node_rules(node)
        self._moves = sum(
            batch.toll * count
            for (number, node), count in self._count.items()
            if (batch := batches[number]).home >= 0 and node != batch.home
        )

    def _node_rules(self, node: int) -> None:
        instance, inside = self._scene.instance, self._on.get(node, [])
        if instance.in_use[node]:
            self._model.add(self._used[node] == 1)
        for number in inside:
            if self._kind(number).keeps_node:
                self._model.add(self._count[number, node] <= len(self._batches[number].items) * self._used[node])
        for resource in range(len(instance.resources)):
            asked = [(int(self._kind(number).request[resource]), number) for number in inside]
            if any(amount for amount, _ in asked):
                total = sum(amount * self._count[number, node] for amount, number in asked if amount)
                self._model.add(total <= int(instance.free[node, resource]))
        for group in sorted({group for number in inside for group in self._kind(number).avoids}):
            self._keep_apart(node, group, inside)

    def _keep_apart(self, node: int, group: int, inside: list[int]) -> None:
        """Beside an avoider there is no member of the group; an avoider that is a member itself is the only one."""
        members = sum(self._count[number, node] for number in inside if group in self._kind(number).groups)
        for number in inside:
            kind = self._kind(number)
            if group in kind.avoids:
                there = self._model.new_bool_var(f"{number} avoids {group} on {node}")
                self._model.add(self._count[number, node] <= len(self._batches[number].items) * there)
                self._model.add(members <= int(group in kind.groups)).only_enforce_if(there)

    def _kind(self, number: int) -> ItemClass:
        return self._scene.instance.classes[self._batches[number].number]

    def set_objective(self) -> bool:
        """Value first, then moves; False if the numbers are too large for that."""
        price = self._scene.price
        grain = int(np.gcd.reduce(price)) or 1
        most = sum(batch.toll * len(batch.items) for batch in self._batches) + 1
        if int(price.sum()) // grain * most > FAR:
            return False
        value = sum(int(price[node]) // grain * used for node, used in enumerate(self._used))
        self._model.minimize(value * most + self._moves)
        return True

    def limit_moves(self, most: int) -> None:
        """No more than this sum of move costs."""
        self._model.add(self._moves <= most)

    def limit_nodes(self, most: int) -> None:
        """No more nodes emptied than this."""
        present = np.flatnonzero(self._scene.present).tolist()
        self._model.add(sum(self._used[node] for node in present) >= len(present) - max(0, most))

    def hint(self, state: State) -> None:
        """Start from a placement."""
        for number, batch in enumerate(self._batches):
            spots = state.node_of[list(batch.items)].tolist()
            for node in self._places[number]:
                self._model.add_hint(self._count[number, node], spots.count(node))
        for node, used in enumerate(state.used.tolist()):
            self._model.add_hint(self._used[node], used)

    def solve(self, start: State, effort: float) -> Ints | None:
        """The placement, with as many items of each batch at home as stay there."""
        solver: Any = cp_model.CpSolver()
        solver.parameters.num_workers = 1
        solver.parameters.max_deterministic_time = effort
        status = solver.solve(self._model)
        if status not in (cp_model.OPTIMAL, cp_model.FEASIBLE):
            return None
        node_of = start.node_of.copy()
        for number, batch in enumerate(self._batches):
            items = list(batch.items)
            for node in self._places[number]:
                for _ in range(solver.value(self._count[number, node])):
                    node_of[items.pop()] = node
        return node_of
