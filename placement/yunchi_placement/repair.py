"""S4: make a packing complete (across cells, then with one more node at a time), then close nodes again."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from yunchi_placement.search import Search
from yunchi_placement.state import State

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
PATIENCE = 3
"""Closing stops after so many failures in a row: the picks only get worse."""


def complete(
    state: State, opened: Mask, price: Floats, waiting: list[int], steps: int, rng: np.random.Generator
) -> list[int]:
    """Place all waiting items, opening nodes where search alone does not do; changes `state` and `opened`.

    Returns:
        Items that no unopened node could take either.
    """
    search = Search(state, opened, rng)
    waiting = search.run(waiting, steps)
    while waiting:
        node = _node_for(state, opened, price, waiting)
        if node < 0:
            return waiting
        opened[node] = True
        waiting = search.run(waiting, max(steps // 20, 4 * len(waiting)))
    return []


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
        if pick is None or failures >= PATIENCE:
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
