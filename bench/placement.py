"""The engine against plain schedulers, in one run: `python bench/placement.py --case province-5k --seeds 11 12`.

Each case prints one Markdown table. "gap %" is over the engine's proven bound for the same problem; a row that leaves
items out looks better than it is. Every placement, the baselines' too, goes through the independent checker; the bench
ends with exit code 1 if that finds anything. "after" lists when the engine's placement came to which gap.

The engine solves in a fresh process each time, and its peak memory is that process's: problem and solve, no baselines
and no checker. `--nodes`, `--pods` and `--share` make trial runs small.
"""

from __future__ import annotations

import argparse
import datetime
import os
import platform
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

import baselines
import numpy as np
import openb
from baselines import Row
from province import province

from yunchi_placement import Effort, Item, Objective, Problem, Progress, Solution, solve
from yunchi_placement.canonical import canonicalise
from yunchi_placement.consolidation import Consolidation, consolidate
from yunchi_placement.session import Session

HEAD = ("instance", "method", "cost", "nodes", "gap %", "seconds", "unplaced")
LEFT_OUT = 0.01
"""A baseline that leaves out more than this share of the items is not called the best."""


class Options(NamedTuple):
    """What the command line asks for."""

    seeds: list[int]
    effort: Effort
    nodes: int | None
    pods: int | None
    share: float

    def sizes(self, nodes: int, pods: int) -> tuple[int, int]:
        """A case's sizes, unless the command line says otherwise."""
        return self.nodes or nodes, self.pods or pods


def main() -> None:
    """Print the tables of the chosen cases."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--case", choices=[*CASES, "all"], default="province-5k")
    parser.add_argument("--seeds", type=int, nargs="+", default=[11, 12])
    parser.add_argument("--effort", choices=["fast", "balanced", "best"], default="balanced")
    parser.add_argument("--nodes", type=int, help="nodes of the province, for trial runs")
    parser.add_argument("--pods", type=int, help="pods of the province, for trial runs")
    parser.add_argument("--share", type=float, default=1.0, help="part of the openb trace, for trial runs")
    chosen = parser.parse_args()
    options = Options(chosen.seeds, chosen.effort, chosen.nodes, chosen.pods, chosen.share)
    print(f"{machine()}\n")
    for name in CASES if chosen.case == "all" else [chosen.case]:
        print(f"### {name}, effort {options.effort}, {datetime.datetime.now(tz=datetime.UTC).date()}")
        CASES[name](options)
        print(flush=True)


def machine() -> str:
    """Date and machine, for the head."""
    today = datetime.datetime.now(tz=datetime.UTC).date()
    models = [line.split(":")[1].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    cores = f"{os.cpu_count()} cores ({models[0] if models else platform.machine()})"
    return f"{today}, {cores}, {memory:.0f} GiB, {platform.system()}, Python {platform.python_version()}"


def table(*columns: str) -> None:
    """The head of a table."""
    print(f"\n| {' | '.join(columns)} |\n|{'---|' * len(columns)}")


def _lines(path: str) -> list[str]:
    return Path(path).read_text().splitlines()


def peak_mib() -> float:
    """Most memory that this process ever held.

    Not ru_maxrss: that is handed down over fork and exec, so a child would report what its parent held.
    """
    return next(int(line.split()[1]) for line in _lines("/proc/self/status") if line.startswith("VmHWM")) / 1024


@dataclass(frozen=True)
class Run:
    """One solve of the engine: its row, its bound, when which placement was there, and the process's peak."""

    row: Row
    bound: float
    course: list[tuple[float, Progress]]
    peak: float


def engine(make: Callable[[], Problem], objective: Objective, effort: Effort, scarce: int | None) -> Run:
    """Solve and check, in a fresh process."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as fresh:
        return fresh.submit(_engine, make, objective, effort, scarce).result()


def _engine(make: Callable[[], Problem], objective: Objective, effort: Effort, scarce: int | None) -> Run:
    problem = make()
    course: list[tuple[float, Progress]] = []
    start = time.perf_counter()
    solution = solve(
        problem,
        objective=objective,
        effort=effort,
        progress=lambda now: course.append((time.perf_counter() - start, now)),
    )
    seconds, peak = time.perf_counter() - start, peak_mib()
    check(problem, solution)
    waiting = [entry.item for entry in solution.unplaced]
    left = baselines.asked(problem, waiting, scarce)
    row = Row(f"**Yunchi**, {effort}", solution.cost / 1e6, solution.nodes_used, seconds, len(waiting), left)
    bound = solution.bound.cost / 1e6 if objective == "cost" else solution.bound.nodes
    return Run(row, bound, course, peak)


def check(problem: Problem, solution: Solution) -> None:
    """End the bench if the checker finds fault with an answer of the engine."""
    baselines.checked("Yunchi", problem, solution, worth=(solution.cost, solution.nodes_used))


def percent(worth: float, bound: float) -> str:
    """The gap over a bound, in per cent."""
    return f"{(worth - bound) / bound * 100:.2f}"


def compare(
    label: str,
    make: Callable[[], Problem],
    objective: Objective,
    effort: Effort,
    methods: list[str],
    scarce: int | None = None,
) -> None:
    """One instance: baselines, engine, time course, ratios."""
    problem = make()
    rows = [baselines.run(problem, method, scarce) for method in methods]
    run = engine(make, objective, effort, scarce)
    for number, one in enumerate([*rows, run.row]):
        unplaced = f"{one.unplaced}" + (f" ({one.left:.0f} GPUs)" if scarce is not None else "")
        print(
            f"| {label if not number else ''} | {one.method} | {one.cost:,.0f} | {one.nodes:,} | "
            f"{percent(_worth(one, objective), run.bound)} | {one.seconds:.1f} | {unplaced} |"
        )
    items = len(problem.items)
    print(f"| | bound {run.bound:,.0f} | after: {_course(run, objective, items)} | | | | |")
    print(f"| | peak memory of a fresh process | {run.peak:,.0f} MiB | | | | |")
    print(f"| | against the best baseline | {_ratio(rows, run.row, objective, items)} | | | | |", flush=True)


def _worth(row: Row, objective: Objective) -> float:
    return row.cost if objective == "cost" else row.nodes


def _course(run: Run, objective: Objective, items: int) -> str:
    """The gap after each stage; a stage that leaves items out says so, for its gap is flattered."""
    steps = []
    for seconds, now in run.course:
        gap = percent(now.cost / 1e6 if objective == "cost" else now.nodes_used, run.bound)
        out = f", {items - now.placed} out" if now.placed < items else ""
        steps.append(f"{gap} % at {seconds:.1f} s ({now.stage}{out})")
    return "; ".join(steps)


def _ratio(rows: list[Row], mine: Row, objective: Objective, items: int) -> str:
    """Against the cheapest baseline that leaves out next to nothing, or else the one that leaves out least."""
    most = max(LEFT_OUT * items, min(row.unplaced for row in rows))
    best = min((row for row in rows if row.unplaced <= most), key=lambda row: (_worth(row, objective), row.unplaced))
    ratio = _worth(mine, objective) / _worth(best, objective)
    left = f"leaves out {mine.unplaced} against {best.unplaced}"
    return f"{best.method}: {objective} × {ratio:.3f}, seconds × {mine.seconds / best.seconds:.1f}, {left}"


def provinces(
    nodes: int, pods: int, objective: Objective, methods: list[str], note: str = ""
) -> Callable[[Options], None]:
    """A case over seeds of the made-up province."""

    def case(options: Options) -> None:
        size = options.sizes(nodes, pods)
        table(*HEAD)
        for seed in options.seeds:
            make = partial(province, *size, seed)
            compare(f"{size[0]:,}/{size[1]:,} s{seed}", make, objective, options.effort, methods)
        if note:
            print(f"\n{note}")

    return case


def trace(label: str, phase: str) -> Callable[[Options], None]:
    """A case on the openb trace; seeds do not matter."""

    def case(options: Options) -> None:
        table(*HEAD)
        name = label if options.share == 1 else f"{label}, {options.share:.0%} of the pods"
        make = partial(openb.problem, phase=phase, share=options.share)
        compare(name, make, "nodes", options.effort, list(baselines.METHODS), openb.RESOURCES.index("gpu"))

    return case


def spread(problem: Problem) -> Problem:
    """The same items running where LeastAllocated puts them, all movable; those without room stay pending."""
    instance = canonicalise(problem)
    state = baselines.one_by_one(instance, baselines.arrival(instance), baselines.least_allocated)
    assignment, order, cards = baselines.answer(problem, state)
    baselines.checked("start", problem, assignment, order, cards, worth=state.value())
    pairs = zip(problem.items, assignment, strict=True)
    return replace(problem, items=tuple(replace(item, node=node, movable=node is not None) for item, node in pairs))


CELL = ("topology.kubernetes.io/zone", "kubernetes.io/arch")


def crossing(problem: Problem, plan: Consolidation) -> float:
    """The share of the moves that leave their zone or architecture."""
    labels = {node.name: dict(node.labels) for node in problem.nodes}
    across = sum(any(labels[move.source][key] != labels[move.target][key] for key in CELL) for move in plan.moves)
    return across / max(len(plan.moves), 1)


def at_home(problem: Problem) -> Problem:
    """The same, but no item may leave its zone and architecture: what the cell-local bound is about."""
    by_name = {node.name: dict(node.labels) for node in problem.nodes}
    items = []
    for item in problem.items:
        selector = tuple((key, by_name[item.node][key]) for key in CELL) if item.node else item.constraints.selector
        items.append(replace(item, node=None, movable=False, constraints=replace(item.constraints, selector=selector)))
    return replace(problem, items=tuple(items))


def pending(problem: Problem) -> Problem:
    """The same with nothing running, so that the checker holds every item to the rules."""
    return replace(problem, items=tuple(replace(item, node=None, cards=(), movable=False) for item in problem.items))


def check_waves(problem: Problem, plan: Consolidation) -> None:
    """Carry the waves out: room while a moving item counts on both of its nodes, and all rules at the end."""
    row = {node.name: number for number, node in enumerate(problem.nodes)}
    load = -np.array([node.capacity for node in problem.nodes], dtype=np.int64)
    where = [item.node for item in problem.items]
    requests = np.array([item.requests for item in problem.items], dtype=np.int64)
    for item, node in enumerate(where):
        if node is not None:
            load[row[node]] += requests[item]
    for wave in plan.waves:
        moves = [plan.moves[number] for number in wave]
        for move in moves:
            if where[move.item] != move.source:
                sys.exit(f"{problem.items[move.item].name} is on {where[move.item]}, not on {move.source}")
            load[row[move.target]] += requests[move.item]
            where[move.item] = move.target
        if (load > 0).any():
            sys.exit(f"{(load > 0).any(axis=1).sum()} nodes are overfull during a wave")
        for move in moves:
            load[row[move.source]] -= requests[move.item]
    if sum(map(len, plan.waves)) != len(plan.moves):
        sys.exit(f"{sum(map(len, plan.waves))} of {len(plan.moves)} moves are in waves")
    for item, node in plan.placements:
        where[item] = node
    baselines.checked("consolidation", pending(problem), where, worth=plan.after)


def consolidations(options: Options) -> None:
    """From a spread cluster to few nodes.

    The cell-local bound holds for plans that keep every pod in its zone and architecture. This plan may cross them, so
    what it is over that bound is no gap, and may be negative; the gap is over the bound with zones free.
    """
    columns = ("seed", "nodes before", "after", "cell-local bound", "over it %", "proven bound, zones free", "gap %")
    table(*columns, "moved %", "of these across cells %", "waves", "unplaced", "seconds")
    for seed in options.seeds:
        problem = spread(province(*options.sizes(5000, 50_000), seed))
        start = time.perf_counter()
        plan = consolidate(problem, objective="nodes", effort=options.effort)
        seconds = time.perf_counter() - start
        check_waves(problem, plan)
        running = [item for item in problem.items if item.node]
        home = at_home(replace(problem, items=tuple(running)))
        local = solve(home, objective="nodes", effort="balanced").bound.nodes
        after = plan.after.nodes
        print(
            f"| {seed} | {plan.present.nodes:,} | {after:,} | {local:,} | {percent(after, local)} | "
            f"{plan.bound.nodes:,} | {percent(after, plan.bound.nodes)} | {len(plan.moves) / len(running) * 100:.1f} | "
            f"{crossing(problem, plan) * 100:.1f} | {len(plan.waves)} | {len(plan.unplaced)} | {seconds:.1f} |",
            flush=True,
        )


def sessions(options: Options) -> None:
    """Twenty arrivals on a running cluster, with and without the plan's prices, and all of it solved offline.

    Six tenths of the pods run, packed tightly, or nine tenths, placed greedily.
    """
    columns = ("seed", "running", "guided", "plan ms", "ms per arrival: median", "most", "unplaced", "cost", "gap %")
    table(*columns, "bound of all", "offline cost", "gap %", "unplaced", "seconds")
    nodes, pods = options.sizes(5000, 50_000)
    for seed in options.seeds:
        problem = province(nodes, pods, seed)
        order = np.random.default_rng(seed).permutation(len(problem.items))
        for tenths, effort in SESSIONS:
            first = pods * tenths // 10
            chosen = [problem.items[number] for number in order[: first + pods // 25]]
            _session(seed, replace(problem, items=tuple(chosen)), first, effort, options.effort)


def _session(seed: int, problem: Problem, first: int, start: Effort, effort: Effort) -> None:
    """The rows of one cluster: its first items run, the others arrive."""
    began = replace(problem, items=problem.items[:first])
    base = solve(began, effort=start)
    check(began, base)
    pairs = zip(began.items, base.assignment, strict=True)
    running = replace(problem, items=tuple(replace(item, node=node) for item, node in pairs))
    clock = time.perf_counter()
    offline = solve(problem, effort=effort)
    seconds = time.perf_counter() - clock
    check(problem, offline)
    bound = offline.bound.cost
    for guided in (False, True):
        session = Session(running)
        clock = time.perf_counter()
        if guided:
            session.plan()
        plan = f"{(time.perf_counter() - clock) * 1e3:,.0f}" if guided else ""
        times = _arrivals(session, problem.items[first:])
        assignment = [session.assignment[name] for name in (item.name for item in problem.items)]
        baselines.checked("session", problem, assignment, worth=(session.cost, session.nodes_used))
        print(
            f"| {seed} | {first:,}, {start} | {'yes' if guided else 'no'} | {plan} | {np.median(times):.0f} | "
            f"{max(times):.0f} | {assignment.count(None)} | {session.cost / 1e6:,.0f} | "
            f"{percent(session.cost, bound)} | {bound / 1e6:,.0f} | {offline.cost / 1e6:,.0f} | "
            f"{percent(offline.cost, bound)} | {len(offline.unplaced)} | {seconds:.1f} |",
            flush=True,
        )


def _arrivals(session: Session, items: tuple[Item, ...]) -> list[float]:
    """Place them in twenty batches; milliseconds of each."""
    times = []
    size = max(len(items) // 20, 1)
    for number in range(0, len(items), size):
        start = time.perf_counter()
        session.place(items[number : number + size])
        times.append((time.perf_counter() - start) * 1e3)
    return times


SESSIONS: tuple[tuple[int, Effort], ...] = ((6, "balanced"), (9, "fast"))
LARGE = ["first fit, arrival", "first fit, nodes shuffled", "MostAllocated, arrival"]
CASES: dict[str, Callable[[Options], None]] = {
    "province-5k": provinces(5000, 50_000, "cost", list(baselines.METHODS)),
    "nodes-5k": provinces(5000, 50_000, "nodes", list(baselines.METHODS)),
    "province-15k": provinces(
        15_000, 150_000, "cost", LARGE, f"Baselines at this size, to save time, only: {'; '.join(LARGE)}."
    ),
    "openb-running": trace("openb Running", "Running"),
    "openb-full": trace("openb default, all", ""),
    "consolidate-5k": consolidations,
    "session-5k": sessions,
}


if __name__ == "__main__":
    main()
