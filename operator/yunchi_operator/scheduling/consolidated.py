"""What a consolidation says, in the words of the cluster. Pure and in a fixed order."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from yunchi_operator.scheduling.answer import (
    Answer,
    Move,
    Point,
    Steps,
    evicted,
    homes_of,
    plain_cost,
    waiting_pods,
)
from yunchi_operator.scheduling.problem import Built
from yunchi_placement import Objective, Solution
from yunchi_placement.consolidation import Consolidation

_ITEM: Final = re.compile(r"(?<![\w./-])(?:(a)n )?item(s?)(?![\w./-])")
"""The engine's word for a pod, where it is not part of a name."""


def consolidated(
    built: Built, plan: Consolidation, objective: Objective, lost: Mapping[str, str] | None = None
) -> Answer:
    """Tell what a consolidation means.

    Args:
        built: the problem that was solved.
        plan: the engine's answer.
        objective: what the savings of the curve count.
        lost: for a what-if, the lost node of each pod that lived on one.
    """
    homes = homes_of(built, lost or {})
    items = built.problem.items
    moves = tuple(Move(items[one.item].name, one.source, one.target, _of_pods(one.reason)) for one in plan.moves)
    placed = tuple(sorted((items[index].name, node) for index, node in plan.placements))
    found = tuple(Move(pod, homes[pod], node, f"node {homes[pod]} is lost") for pod, node in placed if pod in homes)
    unplaced = waiting_pods(built, plan.unplaced)
    solution = _solution(built, plan)
    return Answer(
        placements=placed,
        moves=found + moves,
        evictions=evicted(unplaced, homes, lost or {}),
        unplaced=unplaced,
        emptied=tuple(sorted(plan.emptied)),
        kept=tuple(sorted((one.node, _of_pods(one.reason)) for one in plan.kept)),
        used_before=frozenset(item.node for item in items if item.node and item.keeps_node),
        used_after=frozenset(
            node for item, node in zip(items, solution.assignment, strict=True) if node and item.keeps_node
        ),
        solution=solution,
        steps=_steps(plan, moves, objective),
    )


def _of_pods(reason: str) -> str:
    return _ITEM.sub(lambda found: f"{'a ' if found[1] else ''}pod{found[2]}", reason)


def _steps(plan: Consolidation, moves: tuple[Move, ...], objective: Objective) -> Steps:
    curve = tuple(
        Point(plain_cost(one.saving) if objective == "cost" else one.saving, one.moves, one.nodes_emptied)
        for one in plan.curve
    )
    waves = tuple(tuple(moves[index].pod for index in wave) for wave in plan.waves)
    staying = tuple((_of_pods(one.reason), one.items) for one in plan.unmovable)
    return Steps(waves, curve, plan.limited, plan.before.cost, plan.before.nodes, staying)


def _solution(built: Built, plan: Consolidation) -> Solution:
    """The end of the plan as a placement."""
    assignment = [item.node for item in built.problem.items]
    for move in plan.moves:
        assignment[move.item] = move.target
    for index, node in plan.placements:
        assignment[index] = node
    return Solution(
        assignment=tuple(assignment),
        unplaced=plan.unplaced,
        nodes_used=plan.after.nodes,
        cost=plan.after.cost,
        bound=plan.bound,
        gap=plan.gap,
        stages=plan.stages,
    )
