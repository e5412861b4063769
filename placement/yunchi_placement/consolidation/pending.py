"""Where pending items go if nothing moves: the ground from which savings are counted."""

from __future__ import annotations

import numpy as np

from yunchi_placement.consolidation.scene import Scene
from yunchi_placement.consolidation.vacate import place_class
from yunchi_placement.explain import explain
from yunchi_placement.problem import Problem
from yunchi_placement.solution import Objective, Unplaced
from yunchi_placement.solve import solve
from yunchi_placement.state import State

Spots = list[str | None]


def needs_solve(problem: Problem) -> bool:
    """Whether pending items have ties to gangs, or belong to a node: then they are placed before all else."""
    return any(item.node is None and (item.gang or not item.keeps_node) for item in problem.items)


def solved(problem: Problem, objective: Objective, seed: int) -> tuple[Spots, tuple[Unplaced, ...]]:
    """By item, the node of each pending one; and why the others have none."""
    solution = solve(problem, objective=objective, effort="fast", seed=seed)
    waits = [item.node is None for item in problem.items]
    spots = [spot if wait else None for spot, wait in zip(solution.assignment, waits, strict=True)]
    return spots, tuple(entry for entry in solution.unplaced if waits[entry.item])


def fill_in(scene: Scene, state: State) -> bool:
    """Place pending items on nodes in use, class by class; False if some would need one more node."""
    instance = scene.instance
    size = (instance.requests * scene.scale).max(axis=1)
    by_class: dict[int, list[int]] = {}
    for item in np.flatnonzero((scene.home < 0) & (state.node_of < 0)).tolist():
        by_class.setdefault(int(instance.class_of[item]), []).append(item)
    for number in sorted(by_class, key=lambda one: (-instance.classes[one].priority, -float(size[one]), one)):
        kind = instance.classes[number]
        left = place_class(scene, state, kind, by_class[number], state.used)
        if left and state.candidates(kind).any():
            return False
    return True


def refused(scene: Scene, state: State) -> tuple[Unplaced, ...]:
    """Why the pending items that are left have no node."""
    items = scene.problem.items
    return tuple(entry for entry in explain(state) if items[entry.item].node is None)
