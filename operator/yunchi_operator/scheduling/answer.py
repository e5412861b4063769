"""What a plan says: the engine's solution in the words of the cluster. Pure and in a fixed order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from yunchi_operator.api.names import SCHEDULER_NAME
from yunchi_operator.scheduling.problem import Built
from yunchi_placement import Reason, Solution, Unplaced


@dataclass(frozen=True, slots=True)
class Move:
    """A bound pod that gets another node."""

    pod: str
    source: str
    target: str
    reason: str


@dataclass(frozen=True, slots=True)
class Waiting:
    """A pod without a node."""

    pod: str
    reasons: tuple[Reason, ...]
    fix: str


@dataclass(frozen=True, slots=True)
class Point:
    """What so many moves save: cost, or nodes, as the plan's objective is; and how many nodes they empty."""

    saving: int | float
    moves: int
    nodes: int


@dataclass(frozen=True, slots=True)
class Steps:
    """How a consolidation is carried out.

    Attributes:
        waves: pods that may move at the same time, wave by wave.
        curve: what can be saved for how many moves, up to the most, whatever the limits.
        limited: whether a limit on moves or nodes, not the cluster, ended the plan.
        cost_before, nodes_before: with the pending pods placed and nothing moved; cost in micro-units.
        staying: reasons, and how many pods may not move for each.
    """

    waves: tuple[tuple[str, ...], ...]
    curve: tuple[Point, ...]
    limited: bool
    cost_before: int
    nodes_before: int
    staying: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Answer:
    """A plan.

    Attributes:
        placements: pod and node, for every pod that was to be placed and has a node now.
        evictions: pod and reason, for pods that had a node and have none now.
        used_before: nodes that held pods (DaemonSets' and mirror pods aside) before; lost nodes are not among them.
        steps: of a consolidation: its waves and its trade-off; None for every other plan.
    """

    placements: tuple[tuple[str, str], ...]
    moves: tuple[Move, ...]
    evictions: tuple[tuple[str, str], ...]
    unplaced: tuple[Waiting, ...]
    emptied: tuple[str, ...]
    kept: tuple[tuple[str, str], ...]
    used_before: frozenset[str]
    used_after: frozenset[str]
    solution: Solution
    steps: Steps | None = None


def answer(built: Built, solution: Solution, lost: Mapping[str, str] | None = None) -> Answer:
    """Tell what a solution means.

    Args:
        built: the problem that was solved.
        solution: the engine's answer.
        lost: for a what-if, the lost node of each pod that lived on one.
    """
    homes = homes_of(built, lost or {})
    nodes = {built.problem.items[index].name: solution.assignment[index] for index in built.to_place}
    unplaced = waiting_pods(built, solution.unplaced)
    before, after = _used(built, homes, solution, lost or {})
    repacked = any(home for key, home in homes.items() if key not in (lost or {}))
    emptied = before - after if repacked else frozenset()
    return Answer(
        placements=tuple(sorted((key, node) for key, node in nodes.items() if node is not None)),
        moves=_moves(homes, nodes, emptied, lost or {}),
        evictions=evicted(unplaced, homes, lost or {}),
        unplaced=unplaced,
        emptied=tuple(sorted(emptied)),
        kept=_kept(built, before & after, nodes) if repacked else (),
        used_before=before,
        used_after=after,
        solution=solution,
    )


def as_document(plan: Answer, seconds: float) -> dict[str, Any]:
    """The published JSON form; the same plan gives the same document, but for ``seconds``."""
    solution = plan.solution
    document: dict[str, Any] = {
        "placements": [{"pod": pod, "node": node} for pod, node in plan.placements],
        "moves": [{"pod": m.pod, "from": m.source, "to": m.target, "reason": m.reason} for m in plan.moves],
        "evictions": [{"pod": pod, "reason": reason} for pod, reason in plan.evictions],
        "unplaced": [
            {
                "pod": one.pod,
                "reasons": [{"rule": reason.rule, "nodes": reason.nodes} for reason in one.reasons],
                "fix": one.fix,
            }
            for one in plan.unplaced
        ],
        "emptiedNodes": list(plan.emptied),
        "keptNodes": [{"node": node, "reason": reason} for node, reason in plan.kept],
        "nodesUsed": solution.nodes_used,
        "cost": plain_cost(solution.cost),
        "bound": {"nodes": solution.bound.nodes, "cost": plain_cost(solution.bound.cost)},
        "gap": round(solution.gap, 6),
        "seconds": round(seconds, 3),
        "stages": [
            {
                "name": stage.name,
                "placed": stage.placed,
                "nodesUsed": stage.nodes_used,
                "cost": plain_cost(stage.cost),
                "note": stage.note,
            }
            for stage in solution.stages
        ],
    }
    if plan.steps is not None:
        points = plan.steps.curve
        document["curve"] = [{"saving": one.saving, "moves": one.moves, "nodes": one.nodes} for one in points]
        document["waves"] = [list(wave) for wave in plan.steps.waves]
    return document


def plain_cost(micro: int) -> int | float:
    """Micro-units as the number that people wrote in ``spec.cost``."""
    return micro // 1_000_000 if micro % 1_000_000 == 0 else micro / 1_000_000


def homes_of(built: Built, lost: Mapping[str, str]) -> dict[str, str]:
    """Where the pods to place lived before, if anywhere."""
    homes = {built.pods[index].key: built.pods[index].spec.node_name for index in built.to_place}
    homes |= {left.pod.key: "" for left in built.left_out}
    return {key: lost.get(key, home) for key, home in homes.items() if home or key in lost}


def waiting_pods(built: Built, unplaced: Iterable[Unplaced]) -> tuple[Waiting, ...]:
    """Pods without a node: those that the engine found none for, and those that it was not asked about."""
    total = len(built.problem.nodes)
    waiting = [Waiting(built.problem.items[one.item].name, one.reasons, one.fix) for one in unplaced]
    waiting += [Waiting(left.pod.key, (Reason(left.rule, total),), left.fix) for left in built.left_out]
    return tuple(sorted(waiting, key=lambda one: one.pod))


def evicted(
    unplaced: Iterable[Waiting], homes: Mapping[str, str], lost: Mapping[str, str]
) -> tuple[tuple[str, str], ...]:
    """Pods that had a node and have none now, with the reason."""
    return tuple(
        (one.pod, f"node {homes[one.pod]} is lost" if one.pod in lost else "no room in the new packing")
        for one in unplaced
        if one.pod in homes
    )


def _used(
    built: Built, homes: Mapping[str, str], solution: Solution, lost: Mapping[str, str]
) -> tuple[frozenset[str], frozenset[str]]:
    """Nodes in use before and after."""
    before = {item.node for item in built.problem.items if item.node and item.keeps_node}
    before |= {home for key, home in homes.items() if key not in lost}
    after = {
        node for item, node in zip(built.problem.items, solution.assignment, strict=True) if node and item.keeps_node
    }
    return frozenset(before), frozenset(after)


def _moves(
    homes: Mapping[str, str], nodes: Mapping[str, str | None], emptied: frozenset[str], lost: Mapping[str, str]
) -> tuple[Move, ...]:
    moves = []
    for pod, home in sorted(homes.items()):
        node = nodes.get(pod)
        if node is None or node == home:
            continue
        if pod in lost:
            reason = f"node {home} is lost"
        else:
            reason = f"empties node {home}" if home in emptied else "packs nodes tighter"
        moves.append(Move(pod, home, node, reason))
    return tuple(moves)


def _kept(built: Built, still_used: frozenset[str], nodes: Mapping[str, str | None]) -> tuple[tuple[str, str], ...]:
    """Why each node that was in use stays so: what cannot move first, else what the packing put there."""
    reasons = dict(built.kept)
    anchored: dict[str, str] = {}
    for item, pod in zip(built.problem.items, built.pods, strict=True):
        if item.node and item.keeps_node:
            other = pod.spec.scheduler_name != SCHEDULER_NAME
            why = reasons.get(item.name) or (f"scheduler {pod.spec.scheduler_name}" if other else "not to be moved")
            text = f"{item.name} stays: {why}"
            anchored[item.node] = min(anchored.get(item.node, text), text)
    packed = Counter(node for node in nodes.values() if node)
    return tuple((node, anchored.get(node) or _packed(packed[node])) for node in sorted(still_used))


def _packed(count: int) -> str:
    return f"holds {count} {'pod' if count == 1 else 'pods'} of the new packing"
