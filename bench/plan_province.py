"""Engine against plain schedulers' rules on the made-up province, in one run: `python bench/plan_province.py`.

Baselines place pods one by one and look at no cost: first fit and MostAllocated (kube-scheduler's bin-packing
score) in arrival order, and first fit by decreasing size. "gap %" is over the engine's proven bound for the same
problem; a row with unplaced pods is flattered by it, since the bound includes those pods.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from province import province

from yunchi_placement import Problem, solve
from yunchi_placement.canonical import Instance, canonicalise
from yunchi_placement.check import violations
from yunchi_placement.state import State

Score = Callable[[State, np.ndarray, np.ndarray], int]


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    method: str
    cost: int
    nodes: int
    seconds: float
    unplaced: int


def first_fit(state: State, nodes: np.ndarray, request: np.ndarray) -> int:
    """The first node with room."""
    del state, request
    return int(nodes[0])


def most_allocated(state: State, nodes: np.ndarray, request: np.ndarray) -> int:
    """The node whose CPU and memory would be fullest, equal weights."""
    capacity = state.instance.capacity[nodes, :2]
    used = capacity - state.free[nodes, :2] + request[:2]
    return int(nodes[(used / capacity).sum(axis=1).argmax()])


def one_by_one(instance: Instance, order: list[int], score: Score) -> State:
    """Place items in an order, each on the node that the score picks."""
    state = State.empty(instance)
    for item in order:
        kind = state.class_at(item)
        nodes = np.flatnonzero(state.candidates(kind))
        if nodes.size:
            state.place(item, score(state, nodes, kind.request))
    return state


def decreasing(instance: Instance) -> list[int]:
    """Items by the sum of their shares of all capacity, accelerators first."""
    share = instance.requests / np.maximum(instance.capacity.sum(axis=0), 1)
    cards = instance.requests[:, 3:].sum(axis=1) > 0
    size = (share.sum(axis=1) + 1e3 * cards)[instance.class_of]
    return [int(item) for item in np.argsort(-size, kind="stable")]


def baseline(method: str, problem: Problem, score: Score, *, sort: bool = False) -> Row:
    """Run one baseline, setup included in its time."""
    start = time.perf_counter()
    instance = canonicalise(problem)
    order = decreasing(instance) if sort else list(range(len(instance.items)))
    state = one_by_one(instance, order, score)
    value = state.value()
    return Row(method, value.cost, value.nodes, time.perf_counter() - start, len(state.unplaced()))


def main() -> None:
    """Print one table per seed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nodes", type=int, default=1000)
    parser.add_argument("--pods", type=int, default=10_000)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--objective", choices=["cost", "nodes"], default="cost")
    parser.add_argument("--effort", choices=["fast", "balanced", "best"], default="balanced")
    arguments = parser.parse_args()
    for seed in arguments.seeds:
        problem = province(arguments.nodes, arguments.pods, seed)
        start = time.perf_counter()
        solution = solve(problem, objective=arguments.objective, effort=arguments.effort)
        seconds = time.perf_counter() - start
        wrong = violations(problem, solution.assignment)
        if wrong:
            raise SystemExit(f"the checker found {len(wrong)} violations; the first: {wrong[0]}")
        rows = [
            baseline("first fit, arrival", problem, first_fit),
            baseline("MostAllocated, arrival", problem, most_allocated),
            baseline("first fit decreasing", problem, first_fit, sort=True),
            Row(f"yunchi {arguments.effort}", solution.cost, solution.nodes_used, seconds, len(solution.unplaced)),
        ]
        by_cost = arguments.objective == "cost"
        bound = solution.bound.cost if by_cost else solution.bound.nodes
        print(f"\n{arguments.nodes} nodes, {arguments.pods} pods, seed {seed}, objective {arguments.objective}")
        print(f"proven bound: {bound / 1e6:,.0f} cost" if by_cost else f"proven bound: {bound} nodes")
        print(f"{'method':<24}{'cost':>10}{'nodes':>8}{'gap %':>9}{'seconds':>9}{'unplaced':>10}")
        for row in rows:
            gap = ((row.cost if by_cost else row.nodes) - bound) / bound * 100
            cells = f"{row.cost / 1e6:>10,.0f}{row.nodes:>8}{gap:>9.2f}{row.seconds:>9.1f}{row.unplaced:>10}"
            print(f"{row.method:<24}{cells}")


if __name__ == "__main__":
    main()
