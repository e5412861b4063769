"""The engine against plain schedulers, in one run: `python bench/placement.py --case province-5k --seeds 11 12`.

Each case prints one Markdown table. "gap %" is over the engine's proven bound for the same problem; a row that leaves
items out looks better than it is. Every answer of the engine goes through the independent checker; the bench ends
with exit code 1 if that finds anything. "after" lists when the engine's placement came to which gap.
"""

from __future__ import annotations

import argparse
import datetime
import os
import platform
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import replace

import baselines
import numpy as np
import openb
from baselines import Row
from province import province

from yunchi_placement import Problem, Progress, Solution, solve
from yunchi_placement.canonical import canonicalise
from yunchi_placement.check import violations
from yunchi_placement.consolidation import consolidate
from yunchi_placement.session import Session

HEAD = "| instance | method | cost | nodes | gap % | seconds | unplaced |"


def main() -> None:
    """Print the tables of the chosen cases."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--case", choices=[*CASES, "all"], default="province-5k")
    parser.add_argument("--seeds", type=int, nargs="+", default=[11, 12])
    parser.add_argument("--effort", choices=["fast", "balanced", "best"], default="balanced")
    arguments = parser.parse_args()
    today = datetime.datetime.now(tz=datetime.UTC).date()
    print(f"{today}, {os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}\n")
    for name in CASES if arguments.case == "all" else [arguments.case]:
        print(f"### {name}, effort {arguments.effort}")
        CASES[name](arguments.seeds, arguments.effort)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(f"\nPeak memory of this process so far, problem and baselines included: {peak:,.0f} MiB.\n", flush=True)


def engine(
    problem: Problem, objective: str, effort: str, scarce: int | None = None
) -> tuple[Row, Solution, list[tuple[float, Progress]]]:
    """Solve, check, and note when which placement was there."""
    course: list[tuple[float, Progress]] = []
    start = time.perf_counter()
    solution = solve(
        problem,
        objective=objective,
        effort=effort,
        progress=lambda now: course.append((time.perf_counter() - start, now)),
    )
    seconds = time.perf_counter() - start
    wrong = violations(problem, solution)
    if wrong:
        sys.exit(f"the checker found {len(wrong)} violations; the first: {wrong[0]}")
    waiting = [entry.item for entry in solution.unplaced]
    left = sum(problem.items[item].requests[scarce] for item in waiting) / 1000 if scarce is not None else 0.0
    row = Row(f"**Yunchi**, {effort}", solution.cost / 1e6, solution.nodes_used, seconds, len(waiting), left)
    return row, solution, course


def compare(label: str, problem: Problem, objective: str, effort: str, methods: list[str], scarce: int | None) -> None:
    """One instance: baselines, engine, time course."""
    rows = [baselines.run(problem, method, scarce) for method in methods]
    row, solution, course = engine(problem, objective, effort, scarce)
    bound = solution.bound.cost / 1e6 if objective == "cost" else solution.bound.nodes
    for number, one in enumerate([*rows, row]):
        worth = one.cost if objective == "cost" else one.nodes
        unplaced = f"{one.unplaced}" + (f" ({one.left:.0f} GPUs)" if scarce is not None else "")
        print(
            f"| {label if not number else ''} | {one.method} | {one.cost:,.0f} | {one.nodes:,} | "
            f"{(worth - bound) / bound * 100:.2f} | {one.seconds:.1f} | {unplaced} |"
        )
    steps = []
    for seconds, now in course:
        worth = now.cost / 1e6 if objective == "cost" else now.nodes_used
        steps.append(f"{(worth - bound) / bound * 100:.2f} % at {seconds:.1f} s ({now.stage})")
    print(f"| | bound {bound:,.0f} | after: {'; '.join(steps)} | | | | |", flush=True)


def table() -> None:
    """The head of a table."""
    print(f"\n{HEAD}\n|{'---|' * HEAD.count(' | ')}---|")


def provinces(nodes: int, pods: int, objective: str, methods: list[str]) -> Callable[[list[int], str], None]:
    """A case over seeds of the made-up province."""

    def case(seeds: list[int], effort: str) -> None:
        table()
        for seed in seeds:
            compare(f"{nodes:,}/{pods:,} s{seed}", province(nodes, pods, seed), objective, effort, methods, None)

    return case


def trace(label: str, phase: str) -> Callable[[list[int], str], None]:
    """A case on the openb trace; seeds do not matter."""

    def case(seeds: list[int], effort: str) -> None:
        del seeds
        table()
        methods = list(baselines.METHODS)
        compare(label, openb.problem(phase=phase), "nodes", effort, methods, openb.RESOURCES.index("gpu"))

    return case


def spread(problem: Problem) -> Problem:
    """The same items running where LeastAllocated puts them, all movable; those without room stay pending."""
    instance = canonicalise(problem)
    state = baselines.one_by_one(instance, baselines.arrival(instance), baselines.least_allocated)
    homes = {
        instance.items[item].name: instance.nodes[node].name
        for item, node in enumerate(state.node_of.tolist())
        if node >= 0
    }
    items = (replace(item, node=homes.get(item.name), movable=item.name in homes) for item in problem.items)
    return replace(problem, items=tuple(items))


def at_home(problem: Problem) -> Problem:
    """The same, but no item may leave its zone and architecture: what the cell-local bound is about."""
    by_name = {node.name: dict(node.labels) for node in problem.nodes}
    keys = ("topology.kubernetes.io/zone", "kubernetes.io/arch")
    items = []
    for item in problem.items:
        selector = tuple((key, by_name[item.node][key]) for key in keys) if item.node else item.constraints.selector
        items.append(replace(item, node=None, movable=False, constraints=replace(item.constraints, selector=selector)))
    return replace(problem, items=tuple(items))


def consolidations(seeds: list[int], effort: str) -> None:
    """From a spread cluster of 5,000 nodes to few."""
    print("\n| seed | nodes before | after | cell-local bound | gap % | proven bound | moved % | waves | seconds |")
    print(f"|{'---|' * 9}")
    for seed in seeds:
        problem = spread(province(5000, 50_000, seed))
        start = time.perf_counter()
        plan = consolidate(problem, objective="nodes", effort=effort)
        seconds = time.perf_counter() - start
        running = sum(item.node is not None for item in problem.items)
        running_only = replace(problem, items=tuple(item for item in problem.items if item.node))
        local = solve(at_home(running_only), objective="nodes", effort="balanced").bound.nodes
        print(
            f"| {seed} | {plan.present.nodes:,} | {plan.after.nodes:,} | {local:,} | "
            f"{(plan.after.nodes - local) / local * 100:.2f} | {plan.bound.nodes:,} | "
            f"{len(plan.moves) / running * 100:.1f} | {len(plan.waves)} | {seconds:.1f} |",
            flush=True,
        )


def sessions(seeds: list[int], effort: str) -> None:
    """Twenty arrivals of 100 pods on 5,000 nodes that run 30,000, with and without the plan's prices."""
    del effort
    print("\n| seed | guided | ms per arrival: median | most | unplaced | cost | bound of all |")
    print(f"|{'---|' * 7}")
    for seed in seeds:
        problem = province(5000, 50_000, seed)
        order = np.random.default_rng(seed).permutation(len(problem.items))
        chosen = [problem.items[number] for number in order[:32_000]]
        first, late = chosen[:30_000], chosen[30_000:]
        base = solve(replace(problem, items=tuple(first)))
        running = [replace(item, node=node) for item, node in zip(first, base.assignment, strict=True)]
        bound = solve(replace(problem, items=tuple(chosen)), effort="balanced").bound.cost
        for guided in (False, True):
            session = Session(replace(problem, items=tuple(running)))
            if guided:
                session.plan()
            times, unplaced = [], 0
            for number in range(0, len(late), 100):
                start = time.perf_counter()
                unplaced += len(session.place(late[number : number + 100]).unplaced)
                times.append((time.perf_counter() - start) * 1e3)
            print(
                f"| {seed} | {'yes' if guided else 'no'} | {np.median(times):.0f} | {max(times):.0f} | {unplaced} | "
                f"{session.cost / 1e6:,.0f} | {bound / 1e6:,.0f} |",
                flush=True,
            )


QUICK = ["first fit, arrival", "FFDSum", "MostAllocated, arrival"]
CASES: dict[str, Callable[[list[int], str], None]] = {
    "province-5k": provinces(5000, 50_000, "cost", list(baselines.METHODS)),
    "nodes-5k": provinces(5000, 50_000, "nodes", QUICK),
    "province-15k": provinces(15_000, 150_000, "cost", ["first fit, arrival"]),
    "openb-running": trace("openb Running", "Running"),
    "openb-full": trace("openb default, all", ""),
    "consolidate-5k": consolidations,
    "session-5k": sessions,
}


if __name__ == "__main__":
    main()
