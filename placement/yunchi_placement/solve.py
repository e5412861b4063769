"""The engine's one entry: runs the stages and keeps the best placement."""

from __future__ import annotations

from collections.abc import Callable

from yunchi_placement.bounds import volume_bound
from yunchi_placement.canonical import Instance, canonicalise
from yunchi_placement.explain import explain
from yunchi_placement.greedy import greedy
from yunchi_placement.improve import BALANCED, BEST, improve, place_rest
from yunchi_placement.problem import Problem
from yunchi_placement.solution import Bound, Effort, Objective, Progress, Solution, Stage
from yunchi_placement.state import State
from yunchi_placement.validate import validate


def solve(
    problem: Problem,
    *,
    objective: Objective = "cost",
    effort: Effort = "balanced",
    seed: int = 0,
    progress: Callable[[Progress], None] | None = None,
) -> Solution:
    """Place the pending items of a problem.

    Args:
        problem: Nodes and items; items with `node` set stay there.
        objective: Minimise the cost of the nodes in use, or their number.
        effort: "fast" answers greedily with an arithmetic bound; "balanced" plans and packs; "best" tries longer.
        seed: Fixes every arbitrary choice; same problem, options and seed give the same answer.
        progress: Called as stages end.

    Returns:
        The placement with its proven bound. It never places fewer items of any priority than the greedy
        incumbent does, and with as many placed never costs more.

    Raises:
        InvalidProblem: the problem contradicts itself.
    """
    validate(problem)
    instance = canonicalise(problem)
    run = _Run(instance, objective, progress or (lambda _: None))
    state = greedy(instance, objective)
    run.stage("greedy", state)
    steps = 600 if effort == "fast" else 6000
    if state.unplaced():
        state = place_rest(state, seed, steps)
        run.stage("place rest", state)
    bound = volume_bound(state)
    if effort != "fast" and state.value().of(objective) > (bound.cost if objective == "cost" else bound.nodes):
        state, bound = improve(state, objective, BEST if effort == "best" else BALANCED, seed, run.stage)
        if state.unplaced():
            # A tighter packing may have freed whole nodes. The bound stays proven: more items need no less.
            state = place_rest(state, seed, steps)
            run.stage("place rest", state)
    return _solution(problem, state, bound, objective, run.stages)


class _Run:
    """Notes the stages of one solve."""

    def __init__(self, instance: Instance, objective: Objective, progress: Callable[[Progress], None]) -> None:
        self.instance = instance
        self.objective = objective
        self.stages: list[Stage] = []
        self._progress = progress

    def stage(self, name: str, state: State, note: str = "") -> None:
        value = state.value()
        placed = len(state.node_of) - len(state.unplaced())
        self.stages.append(Stage(name, placed, value.nodes, value.cost, note))
        self._progress(Progress(name, 1.0, placed, value.nodes, value.cost))


def _solution(problem: Problem, state: State, bound: Bound, objective: Objective, stages: list[Stage]) -> Solution:
    assignment: list[str | None] = [item.node for item in problem.items]
    for index in state.instance.gone:
        assignment[index] = None
    for position, node in enumerate(state.node_of.tolist()):
        assignment[state.instance.item_index[position]] = state.instance.nodes[node].name if node >= 0 else None
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
        stages=tuple(stages),
    )
