"""S4: make a packing complete (across cells, then with one more node at a time), then close nodes again."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from yunchi_placement.search import Search
from yunchi_placement.state import State

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
FAILURES = 3
"""Closing stops after so many failures in a row: the picks only get worse."""


def complete(
    state: State,
    opened: Mask,
    price: Floats,
    waiting: list[int],
    rng: np.random.Generator,
    *,
    steps: int,
    patience: int,
    quick: bool = False,
) -> list[int]:
    """Place all waiting items, opening nodes where search alone does not do; changes `state` and `opened`.

    Args:
        state: A placement.
        opened: Nodes that may be used.
        price: By node.
        waiting: Unplaced items.
        rng: Decides which nodes the search looks at.
        steps: Search steps in all, before nodes are opened.
        patience: Search steps that a cell may take without coming to fewer waiting items.
        quick: After nodes were opened, try only items that may go there.

    Returns:
        Items that no unopened node could take either.
    """
    search = Search(state, opened, rng)
    waiting = search.run(waiting, steps, patience)
    while waiting:
        nodes = _nodes_for(state, opened, price, waiting)
        for node in nodes:
            search.open(node)
        before = len(waiting)
        if nodes:
            waiting = search.run(waiting, max(steps // 4, before), patience, nodes if quick else ())
        else:
            # No node is left for these; others must move away for them, if they can.
            waiting = search.run(waiting, steps // 4, 4 * patience)
            if len(waiting) >= before:
                return waiting
    return []


def _nodes_for(state: State, opened: Mask, price: Floats, waiting: list[int]) -> list[int]:
    """Unopened nodes for the largest sets of waiting items, each in a cell of its own.

    Half of the nodes that the waiting items would fill are opened at once: what they make room for often lets
    others move, so that fewer are needed in the end.
    """
    instance = state.instance
    volume: dict[int, float] = {}
    groups: dict[int, list[int]] = {}
    room = np.maximum(instance.free.max(axis=0, initial=1), 1)
    for item in waiting:
        kind = state.class_at(item)
        groups.setdefault(kind.eligibility, []).append(item)
        volume[kind.eligibility] = volume.get(kind.eligibility, 0.0) + float((kind.request / room).max())
    most = max(1, int(sum(volume.values()) / 2))
    chosen: dict[int, int] = {}
    for eligibility in sorted(groups, key=lambda number: (-volume[number], number)):
        node = _node_for(state, opened, price, groups[eligibility])
        if node >= 0:
            chosen.setdefault(int(instance.cell_of[node]), node)
        if len(chosen) == most:
            break
    return list(chosen.values())


def _node_for(state: State, opened: Mask, price: Floats, waiting: list[int]) -> int:
    """The unopened node that takes in the most of what waits for its price."""
    instance = state.instance
    scale = instance.free.sum(axis=0)
    weight = 1.0 / np.where(scale > 0, scale, np.inf)
    wanted = np.zeros((len(instance.nodes), len(instance.resources)))
    counted: dict[int, int] = {}
    first: dict[int, int] = {}
    for item in waiting:
        number = int(instance.class_of[item])
        first.setdefault(number, item)
        counted[number] = counted.get(number, 0) + 1
    for number, count in counted.items():
        kind = instance.classes[number]
        mask = ~opened & state.candidates(kind, first[number])
        wanted[mask] += kind.request * (1 if kind.solitary else count)
    useful = (np.minimum(wanted, state.free) * weight).sum(axis=1)
    useful[~wanted.any(axis=1)] = 0.0
    if not wanted.any():
        return _any_node(state, opened, price, waiting)
    return int(np.argmax(useful / (price + price.mean() * 1e-3 + 1e-9)))


def _any_node(state: State, opened: Mask, price: Floats, waiting: list[int]) -> int:
    """For items that ask for nothing: the cheapest node that they may go to."""
    for item in waiting:
        nodes = np.flatnonzero(state.candidates(state.class_at(item), item) & ~opened)
        if nodes.size:
            return int(nodes[price[nodes].argmin()])
    return -1


def close_nodes(
    state: State, opened: Mask, price: Floats, attempts: int, steps: int, rng: np.random.Generator
) -> tuple[State, int]:
    """Empty the least useful nodes, or replace one by a cheaper one of its kind, while that works.

    Returns:
        The improved state and how many nodes were closed or replaced; `opened` is updated.
    """
    closed, failures = 0, 0
    tried: set[tuple[int, int]] = set()
    for _ in range(attempts):
        pick = _pick(state, opened, price, tried)
        if pick is None or failures >= FAILURES:
            break
        tried.add(pick)
        node, instead = pick
        trial, allowed = state.copy(), opened.copy()
        allowed[node] = False
        if instead >= 0:
            allowed[instead] = True
        waiting = list(trial.on_node[node])
        for item in waiting:
            trial.remove(item)
        if not Search(trial, allowed, rng).run(waiting, steps + 4 * len(waiting)):
            state = trial
            opened[:] = allowed
            closed, failures = closed + 1, 0
        else:
            failures += 1
    return state, closed


def _pick(state: State, opened: Mask, price: Floats, tried: set[tuple[int, int]]) -> tuple[int, int] | None:
    """The most saving for the least volume that must find room elsewhere, where there is that much room."""
    instance = state.instance
    load = instance.free - state.free
    scale = instance.free.sum(axis=0)
    weight = 1.0 / np.where(scale > 0, scale, np.inf)
    best: tuple[float, int, int] | None = None
    slack = _slack(state, opened)
    for node in np.flatnonzero(opened & ~instance.in_use & (state.keepers > 0)).tolist():
        cell = int(instance.cell_of[node])
        for instead in (-1, _cheaper(state, opened, price, node)):
            if (node, instead) in tried or (instead == node):
                continue
            extra = state.free[instead] if instead >= 0 else 0
            saving = float(price[node] - (price[instead] if instead >= 0 else 0.0))
            short = load[node] - extra
            if saving <= 0 or (short > slack[cell] - state.free[node]).any():
                continue
            score = saving / (float((np.maximum(short, 0) * weight).sum()) + 1e-9)
            if best is None or score > best[0]:
                best = score, node, instead
    return (best[1], best[2]) if best else None


def _slack(state: State, opened: Mask) -> npt.NDArray[np.int64]:
    """Free room, by cell, that items of the cell may reach directly or by pushing free ones out."""
    free = state.free[opened].sum(axis=0)
    return np.tile(free, (max(1, state.instance.cells), 1))


def _cheaper(state: State, opened: Mask, price: Floats, node: int) -> int:
    """The roomiest unopened node of the same cell that costs less; the node itself if there is none."""
    instance = state.instance
    mask = ~opened & (instance.cell_of == instance.cell_of[node]) & (price < price[node])
    nodes = np.flatnonzero(mask)
    if not nodes.size:
        return node
    room = instance.free[nodes].astype(np.float64)
    share = (room / np.maximum(instance.free[node], 1)).min(axis=1, where=instance.free[node] > 0, initial=9.0)
    return int(nodes[share.argmax()])
