"""Why each move is made, and why each node that stays in use does."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from yunchi_placement.canonical import ItemClass
from yunchi_placement.consolidation.answer import Kept, Limits
from yunchi_placement.consolidation.scene import Scene
from yunchi_placement.state import State

Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


def move_reason(scene: Scene, present: State, end: State, item: int) -> str:
    """What a move is for."""
    home = int(scene.home[item])
    name = scene.instance.nodes[home].name
    if (present.free[home] < 0).any():
        return f"relieves {name}, which holds more than it can"
    if end.keepers[home] == 0:
        return f"empties {name}"
    return f"makes room on {name}"


def kept_nodes(
    scene: Scene, end: State, limits: Limits, shields: dict[int, str], cut: set[int], unordered: set[int]
) -> tuple[Kept, ...]:
    """Every node in use at the end with its reason.

    Args:
        scene: The scene.
        end: The final placement.
        limits: What the caller set.
        shields: Nodes that a threshold keeps.
        cut: Nodes that the full plan would empty.
        unordered: Nodes whose moves could not be brought into an order.
    """
    kept = []
    memo: dict[int, tuple[int, int]] = {}
    arrived = np.bincount(end.node_of[scene.moved(end.node_of) & (end.node_of >= 0)], minlength=len(end.keepers))
    for node in np.flatnonzero(end.used).tolist():
        if node in scene.stuck:
            reason = _stuck(scene.stuck[node])
        elif node in shields:
            reason = shields[node]
        elif node in unordered:
            reason = "its moves could not be put into an order in which every node has room at every moment"
        elif node in cut:
            reason = _limit(limits)
        else:
            reason = _needed(scene, end, node, int(arrived[node]), memo)
        kept.append(Kept(scene.instance.nodes[node].name, reason))
    return tuple(kept)


def _stuck(items: list[tuple[str, str]]) -> str:
    name, reason = items[0]
    more = f" (and {len(items) - 1} more that may not move)" if len(items) > 1 else ""
    return f"{name}: {reason}{more}"


def _limit(limits: Limits) -> str:
    if limits.most_nodes is not None and limits.most_moves is not None:
        return "the limits on nodes and moves leave it for a later plan"
    if limits.most_nodes is not None:
        return f"the limit of {_share(limits.most_nodes)} nodes leaves it for a later plan"
    return f"the limit of {limits.most_moves} moves leaves it for a later plan"


def _share(limit: float) -> str:
    return str(limit) if isinstance(limit, int) else f"{limit:.0%} of the"


def _needed(scene: Scene, end: State, node: int, arrived: int, memo: dict[int, tuple[int, int]]) -> str:
    if arrived:
        return "takes in an item from another node" if arrived == 1 else f"takes in {arrived} items from other nodes"
    inside = sorted(end.on_node[node])
    for item in inside:
        allowed, fitting = _choices(scene, end.class_at(item), int(scene.instance.class_of[item]), memo)
        if allowed <= 1:
            return f"{scene.instance.items[item].name} may run on no other node"
        if fitting <= 1:
            return f"{scene.instance.items[item].name} fits on no other node"
    what = "item" if len(inside) == 1 else f"{len(inside)} items"
    others = end.used
    others[node] = False
    room = np.maximum(end.free[others], 0).sum(axis=0)
    load = sum((end.class_at(item).request for item in inside), np.zeros_like(room))
    short = [scene.instance.resources[r] for r in np.flatnonzero(load > room)]
    if short:
        return f"the other nodes in use have too little {' and '.join(short)} for its {what}"
    return f"no arrangement was found in which the other nodes in use hold its {what} too"


def _choices(scene: Scene, kind: ItemClass, number: int, memo: dict[int, tuple[int, int]]) -> tuple[int, int]:
    """How many nodes a class may go to, and how many of these are large enough."""
    if number not in memo:
        fitting = kind.allowed & (scene.instance.free >= kind.request).all(axis=1)
        memo[number] = int(kind.allowed.sum()), int(fitting.sum())
    return memo[number]
