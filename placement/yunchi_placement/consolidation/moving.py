"""Taking items out of a placement and putting them back, rules by domain included."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from yunchi_placement.consolidation.scene import Scene
from yunchi_placement.state import State

Ints = npt.NDArray[np.int64]


def lift(state: State, item: int) -> int:
    """Take an item off its node and out of all counts; returns the node.

    `State.remove` keeps an item with rules by domain in the counts, so that it may only come back to the same
    domains. A running item that moves for good may go to any domain that meets its rules without it.
    """
    node = state.remove(item)
    state.withdraw(item)
    return node


def take(scene: Scene, state: State, item: int) -> None:
    """Lift an item that will be placed anew; one that others must be near stays bound to its domains."""
    if scene.is_wanted(item):
        state.remove(item)
    else:
        lift(state, item)


def restore(state: State, node_of: Ints, items: Iterable[int] | None = None) -> None:
    """Put items (all, if None) where `node_of` has them (-1 is nowhere), without asking the rules."""
    wanted = np.flatnonzero(state.node_of != node_of).tolist() if items is None else sorted(items)
    for item in wanted:
        if state.node_of[item] >= 0:
            lift(state, item)
        else:
            state.withdraw(item)
    for item in wanted:
        if node_of[item] >= 0:
            state.place(item, int(node_of[item]))
