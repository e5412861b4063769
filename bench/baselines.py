"""What plain schedulers would do, item by item; they honour the same rules, through the same state."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from yunchi_placement import Problem
from yunchi_placement.canonical import Instance, canonicalise
from yunchi_placement.check import value, violations
from yunchi_placement.solution import Solution
from yunchi_placement.state import State

Score = Callable[[State, np.ndarray, np.ndarray], int]


@dataclass(frozen=True)
class Row:
    """One line of a table; `cost` in units, `left` is what the unplaced items ask of the case's scarce resource."""

    method: str
    cost: float
    nodes: int
    seconds: float
    unplaced: int
    left: float = 0.0


def first_fit(state: State, nodes: np.ndarray, request: np.ndarray) -> int:
    """The first node with room."""
    del state, request
    return int(nodes[0])


def first_fit_shuffled(state: State, nodes: np.ndarray, request: np.ndarray) -> int:
    """The first node with room, nodes in a fixed random order.

    Nodes are sorted by name, and so by zone: by name, free items fill the first zone, and those pinned there starve.
    """
    del request
    return int(nodes[_shuffled(len(state.instance.nodes))[nodes].argmin()])


@lru_cache(maxsize=1)
def _shuffled(nodes: int) -> np.ndarray:
    return np.random.default_rng(0).permutation(nodes)


def _filled(state: State, nodes: np.ndarray, request: np.ndarray) -> np.ndarray:
    """How full CPU and memory would be, in shares."""
    capacity = np.maximum(state.instance.capacity[nodes, :2], 1)
    return ((capacity - state.free[nodes, :2] + request[:2]) / capacity).sum(axis=1)


def most_allocated(state: State, nodes: np.ndarray, request: np.ndarray) -> int:
    """kube-scheduler's bin packing: the node whose CPU and memory would be fullest, equal weights."""
    return int(nodes[_filled(state, nodes, request).argmax()])


def least_allocated(state: State, nodes: np.ndarray, request: np.ndarray) -> int:
    """kube-scheduler's default: the node whose CPU and memory would be emptiest."""
    return int(nodes[_filled(state, nodes, request).argmin()])


def dot_product(state: State, nodes: np.ndarray, request: np.ndarray) -> int:
    """Among nodes in use, the one whose room is most of the shape of the request; else the first."""
    used = nodes[state.keepers[nodes] > 0]
    if not used.size:
        return int(nodes[0])
    capacity = np.maximum(state.instance.capacity.max(axis=0), 1)
    room = state.free[used] / capacity
    length = np.sqrt((room**2).sum(axis=1)) + 1e-12
    return int(used[((room @ (request / capacity)) / length).argmax()])


def arrival(instance: Instance) -> list[int]:
    """Items as they came."""
    return list(range(len(instance.items)))


def decreasing(instance: Instance) -> list[int]:
    """Items by the sum of their shares of all capacity (FFDSum), rare resources first."""
    share = instance.requests / np.maximum(instance.capacity.sum(axis=0), 1)
    have = (instance.capacity > 0).mean(axis=0)
    rare = np.where(instance.requests > 0, 1.0 - have, 0.0).max(axis=1)
    size = (share.sum(axis=1) + 1e3 * rare)[instance.class_of]
    return [int(item) for item in np.argsort(-size, kind="stable")]


def one_by_one(instance: Instance, order: list[int], score: Score) -> State:
    """Place items in an order, each on the node that the score picks."""
    state = State.empty(instance)
    for item in order:
        kind = state.class_at(item)
        nodes = np.flatnonzero(state.candidates(kind))
        if nodes.size:
            state.place(item, score(state, nodes, kind.request))
    return state


METHODS: dict[str, tuple[Callable[[Instance], list[int]], Score]] = {
    "LeastAllocated, arrival": (arrival, least_allocated),
    "MostAllocated, arrival": (arrival, most_allocated),
    "first fit, arrival": (arrival, first_fit),
    "first fit, nodes shuffled": (arrival, first_fit_shuffled),
    "FFDSum": (decreasing, first_fit),
    "FFDSum, nodes shuffled": (decreasing, first_fit_shuffled),
    "best fit decreasing, dot": (decreasing, dot_product),
}


def run(problem: Problem, method: str, scarce: int | None = None) -> Row:
    """Run one baseline; its time includes reading the problem, not the checker."""
    start = time.perf_counter()
    instance = canonicalise(problem)
    order, score = METHODS[method]
    state = one_by_one(instance, order(instance), score)
    seconds = time.perf_counter() - start
    worth = state.value()
    index = instance.item_index
    waiting = [index[item] for item in state.unplaced()]
    checked(method, problem, *answer(problem, state), worth=worth)
    return Row(method, worth.cost / 1e6, worth.nodes, seconds, len(waiting), asked(problem, waiting, scarce))


def asked(problem: Problem, items: list[int], scarce: int | None) -> float:
    """What items ask of the scarce resource, given in thousandths."""
    return sum(problem.items[item].requests[scarce] for item in items) / 1000 if scarce is not None else 0.0


Cards = tuple[tuple[int, tuple[int, ...]], ...]


def answer(problem: Problem, state: State) -> tuple[list[str | None], list[int], Cards]:
    """Node by item, the order of placing, and the cards held, by positions in the problem."""
    instance = state.instance
    assignment: list[str | None] = [item.node for item in problem.items]
    for item, node in enumerate(state.node_of.tolist()):
        assignment[instance.item_index[item]] = instance.nodes[node].name if node >= 0 else None
    tied = set(state.log)
    order = [*state.log, *(item for item in np.flatnonzero(state.node_of >= 0).tolist() if item not in tied)]
    held = sorted({item for item, _ in state.held})
    cards = sorted((instance.item_index[item], state.cards_of(item)) for item in held)
    return assignment, [instance.item_index[item] for item in order], tuple(cards)


def checked(
    label: str,
    problem: Problem,
    found: Solution | list[str | None],
    order: list[int] | None = None,
    cards: Cards | None = None,
    *,
    worth: tuple[int, int],
) -> None:
    """Have a placement and its claimed (cost, nodes) checked independently; end the bench with 1 if they are wrong."""
    wrong = violations(problem, found, order, cards)
    told = value(problem, found.assignment if isinstance(found, Solution) else found)
    if told != worth:
        wrong.append(f"cost and nodes are {told}, claimed are {tuple(worth)}")
    if wrong:
        sys.exit(f"{label}: the checker found {len(wrong)} violations; the first: {wrong[0]}")
