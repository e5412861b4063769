"""The engine's one entry: runs the stages and keeps the best placement."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from yunchi_placement import complete
from yunchi_placement.bounds import tighter, volume_bound
from yunchi_placement.canonical import canonicalise
from yunchi_placement.explain import explain
from yunchi_placement.improve import BALANCED, BEST, improve
from yunchi_placement.problem import Problem
from yunchi_placement.solution import Bound, Effort, Objective, Progress, Solution, Stage
from yunchi_placement.state import State
from yunchi_placement.validate import validate
from yunchi_placement.wishes import grant

STEPS_FAST, STEPS = 600, 6000
"""Search steps for items that the greedy stage left over."""
PRESS = 1000
"""Patience of the search for items that are left over."""


def solve(
    problem: Problem,
    *,
    objective: Objective = "cost",
    effort: Effort = "balanced",
    seed: int = 0,
    progress: Callable[[Progress], None] | None = None,
    incumbent: Callable[[Solution], None] | None = None,
) -> Solution:
    """Place the pending items of a problem.

    Args:
        problem: Nodes and items; items with `node` set stay there.
        objective: Minimise the cost of the nodes in use, or their number.
        effort: "fast" answers greedily with an arithmetic bound; "balanced" plans and packs; "best" tries longer.
        seed: Fixes every arbitrary choice; same problem, options and seed give the same answer.
        progress: Called as stages end.
        incumbent: Called with each answer that is better than the last, the first one within a fraction of a
            second: a caller whose time is up uses the last one and stops waiting.

    Returns:
        The placement with its proven bound. It never places fewer items of any priority than the greedy
        incumbent does, and with as many placed never costs more.

    Raises:
        InvalidProblem: the problem contradicts itself.
    """
    validate(problem)
    instance = canonicalise(problem)
    run = _Run(problem, objective, progress, incumbent)
    state = complete.incumbent(instance, objective, seed, STEPS_FAST if effort == "fast" else STEPS)
    bound = volume_bound(state)
    run.stage("greedy", state, bound=bound)
    if effort != "fast":
        state, bound = pursue(state, bound, objective, effort, seed, run.stage)
    grant(state, (item for item in problem.items if item.node is not None))
    return solution_of(problem, state, bound, objective, tuple(run.stages))


def pursue(
    state: State,
    bound: Bound,
    objective: Objective,
    effort: Effort,
    seed: int,
    stage: Callable[..., None] = lambda *_, **__: None,
) -> tuple[State, Bound]:
    """Improve a first placement by plan, packing and search; `stage` is told of each step.

    Returns:
        A placement that is no worse, and the tightest bound found.
    """
    if state.value().of(objective) <= (bound.cost if objective == "cost" else bound.nodes):
        return state, bound
    settings = BEST if effort == "best" else BALANCED
    for _ in range(settings.refills + 1):
        state, bound = improve(state, bound, objective, settings, seed, stage)
        # A tighter packing may have freed whole nodes.
        fuller = complete.press(complete.place_rest(state, seed, STEPS), seed, settings.steps, PRESS)
        if len(fuller.unplaced()) == len(state.unplaced()):
            break
        # More items need no less, so the old bound holds as well as the new one.
        state, bound = fuller, tighter(bound, volume_bound(fuller))
        stage("place rest", state)
    return state, bound


class _Run:
    """Notes the stages of one solve, and hands out better answers as they come."""

    def __init__(
        self,
        problem: Problem,
        objective: Objective,
        progress: Callable[[Progress], None] | None,
        incumbent: Callable[[Solution], None] | None,
    ) -> None:
        self.problem = problem
        self.objective = objective
        self.stages: list[Stage] = []
        self._progress = progress
        self._incumbent = incumbent

    def stage(self, name: str, state: State, note: str = "", bound: Bound | None = None) -> None:
        value = state.value()
        placed = len(state.node_of) - len(state.unplaced())
        self.stages.append(Stage(name, placed, value.nodes, value.cost, note))
        if self._progress:
            self._progress(Progress(name, 1.0, placed, value.nodes, value.cost))
        if self._incumbent and bound:
            self._incumbent(solution_of(self.problem, state, bound, self.objective, tuple(self.stages)))


def solution_of(
    problem: Problem, state: State, bound: Bound, objective: Objective, stages: tuple[Stage, ...]
) -> Solution:
    """A finished placement in the terms of the problem."""
    index = state.instance.item_index
    assignment: list[str | None] = [item.node for item in problem.items]
    for gone in state.instance.gone:
        assignment[gone] = None
    for position, node in enumerate(state.node_of.tolist()):
        assignment[index[position]] = state.instance.nodes[node].name if node >= 0 else None
    value = state.value()
    least = bound.cost if objective == "cost" else bound.nodes
    worth = value.of(objective)
    gap = (worth - least) / least if least else float(worth > 0)
    return Solution(
        assignment=tuple(assignment),
        unplaced=explain(state),
        nodes_used=value.nodes,
        cost=value.cost,
        bound=bound,
        gap=gap,
        stages=stages,
        order=tuple(index[item] for item in order_of(state)),
        cards=_cards(state),
    )


def _cards(state: State) -> tuple[tuple[int, tuple[int, ...]], ...]:
    """Card numbers by item, one kind of cards after the other."""
    index = state.instance.item_index
    return tuple(sorted((index[item], state.cards_of(item)) for item in {item for item, _ in state.held}))


def order_of(state: State) -> tuple[int, ...]:
    """The placed items in an order in which each one is allowed when its turn comes: those with ties as logged."""
    untied = [item for item in np.flatnonzero(state.node_of >= 0).tolist() if not state.class_at(item).ties]
    return (*(item for item in state.log if state.node_of[item] >= 0), *untied)
