"""One node at a time: relieving overfull nodes, and emptying further ones while a search finds room elsewhere."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from yunchi_placement.consolidation.moving import restore, take
from yunchi_placement.consolidation.scene import Scene
from yunchi_placement.search import Search
from yunchi_placement.state import State

Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


def relieve(scene: Scene, state: State, most_moves: int | None) -> int:
    """Move items off nodes that hold more than they can, the fewest of them; changes `state`.

    Returns:
        The sum of move costs. Items that fit nowhere else stay.
    """
    spent = 0
    size = scene.instance.requests @ scene.scale
    for node in np.flatnonzero((state.free < 0).any(axis=1)).tolist():
        tried: set[int] = set()
        while (lack := np.maximum(-state.free[node], 0)).any():
            item = _pick(scene, state, node, lack, size, tried)
            if item < 0 or (most_moves is not None and spent + scene.toll[item] > most_moves):
                break
            tried.add(item)
            take(scene, state, item)
            mask = state.candidates(state.class_at(item), item)
            mask[node] = False
            target = _snuggest(scene, state, item, mask)
            state.place(item, target if target >= 0 else node)
            spent += int(scene.toll[item]) if target >= 0 and scene.home[item] == node else 0
    return spent


def _pick(scene: Scene, state: State, node: int, lack: Ints, size: npt.NDArray[np.float64], tried: set[int]) -> int:
    """The smallest item that ends the overload, or else the one that takes the most off it; -1 if there is none."""
    inside = [item for item in state.on_node[node] if item not in tried]
    best, rank = -1, (2, 0.0, 0)
    for item in sorted(inside):
        request = state.class_at(item).request
        ends = bool((request >= lack).all())
        off = float(np.minimum(request, lack) @ scene.scale)
        volume = float(size[scene.instance.class_of[item]])
        if off > 0 and (key := (0, volume, item) if ends else (1, -off, item)) < rank:
            best, rank = item, key
    return best


def _snuggest(scene: Scene, state: State, item: int, mask: Mask) -> int:
    """Among nodes in use the one with least room left, or else the cheapest unused one; -1 if there is none."""
    used = np.flatnonzero(mask & state.used)
    if used.size:
        return int(used[((state.free[used] - state.class_at(item).request) @ scene.scale).argmin()])
    unused = np.flatnonzero(mask)
    return int(unused[scene.price[unused].argmin()]) if unused.size else -1


def empty_more(scene: Scene, state: State, order: Iterable[int], tries: int, steps: int, seed: int) -> int:
    """Empty further nodes of `state` in this order, each only if all its items find room on the others in use.

    Args:
        scene: The scene.
        state: Changed where it succeeds.
        order: Nodes to try.
        tries: Most failures in all.
        steps: Search steps per node.
        seed: Fixes the search.

    Returns:
        How many nodes were emptied.
    """
    done = 0
    for node in order:
        if tries <= 0:
            break
        if scene.instance.in_use[node] or state.keepers[node] == 0:
            continue
        if not _enough_room(state, node):
            tries -= 1
        elif _empty(scene, state, node, steps, seed):
            done += 1
        else:
            tries -= 1
    return done


def by_worth(scene: Scene, state: State) -> list[int]:
    """Nodes in use that may be emptied: the most saving per forced move cost first, then the emptiest."""
    used = np.flatnonzero(state.used & ~scene.instance.in_use)
    toll = np.zeros(len(state.used), dtype=np.int64)
    home = (scene.home >= 0) & (scene.home == state.node_of)
    np.add.at(toll, scene.home[home], scene.toll[home])
    load = (scene.instance.free - state.free) @ scene.scale
    worth = scene.price[used] / np.maximum(toll[used], 1e-9)
    return [int(node) for node in used[np.lexsort((used, load[used], -worth))]]


def by_price(scene: Scene, state: State) -> list[int]:
    """Nodes in use that may be emptied: the dearest for what they hold first."""
    used = np.flatnonzero(state.used & ~scene.instance.in_use)
    load = (scene.instance.free - state.free) @ scene.scale
    worth = scene.price[used] / (load[used] + 1e-9)
    return [int(node) for node in used[np.lexsort((used, -worth))]]


def _enough_room(state: State, node: int) -> bool:
    others = state.used
    others[node] = False
    need = np.zeros(state.free.shape[1], dtype=np.int64)
    for item in state.on_node[node]:
        need += state.class_at(item).request
    return bool((np.maximum(state.free[others], 0).sum(axis=0) >= need).all())


def _empty(scene: Scene, state: State, node: int, steps: int, seed: int) -> bool:
    before = state.node_of.copy()
    others = state.used
    others[node] = False
    waiting = sorted(state.on_node[node])
    for item in waiting:
        take(scene, state, item)
    left = Search(state, others, np.random.default_rng(seed)).run(waiting, steps + 2 * len(waiting))
    if left:
        for item in left:
            state.withdraw(item)
        restore(state, before)
        return False
    return True
