"""What must hold for every consolidation, tried on many small random clusters."""

from __future__ import annotations

import random
from dataclasses import replace
from itertools import pairwise

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from yunchi_placement import Budget, Constraints, Item, Node, Problem, Taint, Toleration
from yunchi_placement.consolidation import Consolidation, Limits, consolidate

RESOURCES = ("cpu", "memory")
QUIET = (HealthCheck.too_slow,)
GROUPS = st.frozensets(st.sampled_from(["g", "h"]), max_size=2)
BUDGETS = ("loose", "tight", "shut")


@st.composite
def clusters(draw: st.DrawFn, *, overfull: bool = False) -> Problem:
    """Nodes with running items that fit (unless `overfull`), some of which may move, and some pending ones."""
    nodes = tuple(
        Node(
            f"n{index}",
            (draw(st.integers(2, 12)), draw(st.integers(2, 12))),
            (("zone", draw(st.sampled_from(["a", "b"]))),),
            draw(st.sampled_from([(), (), (), (Taint("t", "v"),)])),
            unschedulable=draw(st.sampled_from([False, False, False, True])),
            cost=draw(st.integers(0, 5)) * 500_000,
            pool=draw(st.sampled_from(["", "p"])),
        )
        for index in range(draw(st.integers(1, 6)))
    )
    free = {node.name: list(node.capacity) for node in nodes}
    avoided: dict[str, list[Item]] = {node.name: [] for node in nodes}
    items = []
    for index in range(draw(st.integers(0, 14))):
        request = (draw(st.integers(0, 5)), draw(st.integers(0, 5)))
        item = Item(
            f"p{index}",
            request,
            draw(st.sampled_from([Constraints(), Constraints((("zone", "a"),), None, (Toleration(None, "Exists"),))])),
            node=draw(st.sampled_from([None, *free])),
            movable=draw(st.sampled_from([True, True, True, False])),
            keeps_node=draw(st.sampled_from([True, True, True, False])),
            groups=draw(GROUPS),
            avoids=draw(st.one_of(st.just(frozenset()), GROUPS)),
            budgets=draw(st.frozensets(st.sampled_from(BUDGETS), max_size=2)),
            move_cost=draw(st.integers(0, 3)),
        )
        if item.node is not None:
            room, others = free[item.node], avoided[item.node]
            quarrel = any(item.avoids & other.groups or other.avoids & item.groups for other in others)
            full = any(have < want for have, want in zip(room, request, strict=True))
            if quarrel or (full and not overfull):
                item = replace(item, node=None)
            else:
                free[item.node] = [have - want for have, want in zip(room, request, strict=True)]
                others.append(item)
        items.append(item)
    budgets = (Budget("loose", 2), Budget("tight", 1), Budget("shut", 0))
    return Problem(RESOURCES, nodes, tuple(items), budgets=budgets)


def loads(problem: Problem, where: dict[int, list[str]]) -> dict[str, list[int]]:
    """Requested amounts by node, when each item counts on all the nodes given for it."""
    load = {node.name: [0] * len(problem.resources) for node in problem.nodes}
    for index, names in where.items():
        for name in names:
            load[name] = [have + want for have, want in zip(load[name], problem.items[index].requests, strict=True)]
    return load


def replay(problem: Problem, plan: Consolidation) -> dict[int, str]:
    """Carry out the waves, checking room, rules and budgets at every moment; returns where items end."""
    capacity = {node.name: node.capacity for node in problem.nodes}
    allowed = {budget.name: budget.allowed for budget in problem.budgets}
    where = {index: item.node for index, item in enumerate(problem.items) if item.node is not None}
    seen: set[int] = set()
    for wave in plan.waves:
        assert wave
        before = loads(problem, {index: [name] for index, name in where.items()})
        both: dict[int, list[str]] = {index: [name] for index, name in where.items()}
        for number in wave:
            move = plan.moves[number]
            assert move.item not in seen
            seen.add(move.item)
            assert problem.items[move.item].movable
            assert problem.items[move.item].keeps_node
            assert where[move.item] == move.source != move.target
            both[move.item] = [move.source, move.target]
        load = loads(problem, both)
        targets = {plan.moves[number].target for number in wave}
        for name in targets:
            for most, held, now in zip(capacity[name], load[name], before[name], strict=True):
                assert held <= max(most, now), f"{name} is overfull during a wave"
        for name, most in allowed.items():
            assert sum(name in problem.items[plan.moves[n].item].budgets for n in wave) <= most
        for number in wave:
            move = plan.moves[number]
            for index, names in both.items():
                one, other = problem.items[move.item], problem.items[index]
                if index != move.item and move.target in names:
                    assert not one.avoids & other.groups
                    assert not other.avoids & one.groups
            where[move.item] = move.target
    assert len(seen) == len(plan.moves)
    return where


def used(problem: Problem, where: dict[int, str]) -> set[str]:
    return {name for index, name in where.items() if problem.items[index].keeps_node}


@given(clusters(), st.sampled_from(["cost", "nodes"]))
@settings(max_examples=80, deadline=None, suppress_health_check=QUIET)
def test_waves_can_be_carried_out_and_end_where_the_plan_says(problem: Problem, objective: str) -> None:
    plan = consolidate(problem, objective=objective)  # type: ignore[arg-type]
    where = replay(problem, plan)
    running = used(problem, where)
    where |= dict(plan.placements)
    at_end = used(problem, where)
    assert {kept.node for kept in plan.kept} == at_end
    assert set(plan.emptied) == {item.node for item in problem.items if item.node and item.keeps_node} - at_end
    assert plan.after == (sum(n.cost for n in problem.nodes if n.name in at_end), len(at_end))
    load = loads(problem, {index: [name] for index, name in where.items()})
    for node in problem.nodes:
        assert all(held <= most for held, most in zip(load[node.name], node.capacity, strict=True))
    assert running <= at_end
    assert plan.after.of(objective) <= plan.before.of(objective)  # type: ignore[arg-type]
    assert plan.bound.nodes <= plan.after.nodes
    assert plan.bound.cost <= plan.after.cost
    assert all(problem.items[index].node is None for index, _ in plan.placements)
    for move in plan.moves:
        target = next(node for node in problem.nodes if node.name == move.target)
        tolerant = problem.items[move.item].constraints.tolerations
        assert tolerant or not (target.unschedulable or target.taints)


@given(clusters(overfull=True))
@settings(max_examples=50, deadline=None, suppress_health_check=QUIET)
def test_overfull_nodes_only_get_emptier(problem: Problem) -> None:
    replay(problem, consolidate(problem))


@given(clusters(), st.integers(0, 6), st.integers(0, 3))
@settings(max_examples=50, deadline=None, suppress_health_check=QUIET)
def test_limits_are_kept(problem: Problem, most_moves: int, most_nodes: int) -> None:
    plan = consolidate(problem, objective="nodes", limits=Limits(most_moves=most_moves, most_nodes=most_nodes))
    replay(problem, plan)
    assert sum(problem.items[move.item].move_cost for move in plan.moves) <= most_moves
    assert len(plan.emptied) <= most_nodes


@given(clusters(), st.randoms(use_true_random=False))
@settings(max_examples=30, deadline=None, suppress_health_check=QUIET)
def test_the_answer_does_not_depend_on_the_order_of_the_input(problem: Problem, rng: random.Random) -> None:
    plan = consolidate(problem)
    assert consolidate(problem) == plan
    order = list(range(len(problem.items)))
    rng.shuffle(order)
    nodes = list(problem.nodes)
    rng.shuffle(nodes)
    other = consolidate(replace(problem, nodes=tuple(nodes), items=tuple(problem.items[index] for index in order)))
    assert [(order[m.item], m.source, m.target) for m in other.moves] == [
        (m.item, m.source, m.target) for m in plan.moves
    ]
    assert other.waves == plan.waves
    assert {(order[index], node) for index, node in other.placements} == set(plan.placements)


@given(clusters())
@settings(max_examples=30, deadline=None, suppress_health_check=QUIET)
def test_the_curve_starts_at_nothing_and_only_rises(problem: Problem) -> None:
    curve = consolidate(problem).curve
    assert curve[0].saving == 0
    assert all(a.saving < b.saving and a.moves <= b.moves for a, b in pairwise(curve))
