"""The proven bound: what the nodes would cost if all movable items were placed anew."""

from __future__ import annotations

import numpy as np

from yunchi_placement.bounds import volume_bound
from yunchi_placement.consolidation.moving import lift
from yunchi_placement.consolidation.scene import Scene
from yunchi_placement.plan import RELAXES, Model, uniform
from yunchi_placement.solution import Bound, Effort, Objective
from yunchi_placement.state import State

GAPS = {"balanced": (1.2e-3, 40), "best": (5e-4, 400)}
"""By effort: relative gap and search nodes of the MIP that gives the bound."""


def ideal(scene: Scene, start: State, objective: Objective, effort: Effort, seed: int) -> Bound:
    """Bound the nodes, and the cost, of every placement that the movable items could be brought to.

    Items that run where they could not be placed today (a cordon, a new taint, an overfull node) may stay there.
    The bound leaves them out, and so holds for placements that keep them.
    """
    state = start.copy()
    for item in _doubtful(scene, state):
        if not _legal(scene, state, item):
            lift(state, item)
    volume = volume_bound(state)
    model = Model.of(state, steady=False) if effort in GAPS else None
    if model is None or not model.fits:
        return volume
    gap, nodes = GAPS[effort]
    instance = scene.instance
    _, least = model.solve(objective, fill=uniform(instance, 1.0), gap=gap, nodes=nodes, seed=seed)
    sunk = instance.in_use
    if objective == "cost":
        return Bound(volume.nodes, max(volume.cost, least + int(instance.cost[sunk].sum())), RELAXES)
    return Bound(max(volume.nodes, least + int(sunk.sum())), volume.cost, RELAXES)


def _doubtful(scene: Scene, state: State) -> list[int]:
    """Items of which it must be checked whether they may be where they run."""
    doubtful = np.zeros(len(scene.home), dtype=np.bool_)
    over = np.asarray((state.free < 0).any(axis=1))
    for kind in scene.instance.classes:
        items = np.array(kind.items, dtype=np.int64)
        items = items[scene.home[items] >= 0]
        homes = scene.home[items]
        doubtful[items] = kind.social | ~kind.allowed[homes] | over[homes]
    return [int(item) for item in np.flatnonzero(doubtful & (state.node_of >= 0))]


def _legal(scene: Scene, state: State, item: int) -> bool:
    """Whether an item could be placed where it runs, as far as the model's rules go."""
    home, kind = int(scene.home[item]), state.class_at(item)
    if not kind.allowed[home] or (state.free[home] < 0).any():
        return False
    if not kind.social:
        return True
    node = lift(state, item)
    allowed = state.conflicts.allows(home, kind.groups, kind.avoids)
    state.place(item, node)
    return allowed
