"""Consolidation cases known from other systems, written from their data; see also test_consolidation.py."""

from __future__ import annotations

from dataclasses import replace

import pytest

from yunchi_placement import Budget, Constraints, Item, Node, Problem
from yunchi_placement.consolidation import Consolidation, Limits, consolidate, score

CPU = ("cpu",)
DESCHEDULER = ("cpu", "memory", "pods")


def on(node: str, name: str, *requests: int, **rest: object) -> Item:
    return replace(Item(name, requests, node=node, movable=True), **rest)  # type: ignore[arg-type]


def sources(plan: Consolidation) -> set[str]:
    return {move.source for move in plan.moves}


def two_nodes(**second: object) -> Problem:
    """C1: two nodes of 32 CPU, two pods on the first and one on the second."""
    items = (on("n1", "a", 1000), on("n1", "b", 1000), on("n2", "c", 1000, **second))
    return Problem(CPU, (Node("n1", (32_000,)), Node("n2", (32_000,))), items)


def test_c1_the_node_with_fewer_pods_is_emptied() -> None:
    plan = consolidate(two_nodes())
    assert plan.emptied == ("n2",)
    assert [kept.node for kept in plan.kept] == ["n1"]
    assert [(move.source, move.target) for move in plan.moves] == [("n2", "n1")]


def test_c2_a_budget_that_allows_nothing_turns_the_plan_around() -> None:
    problem = replace(two_nodes(budgets=frozenset({"web"})), budgets=(Budget("web", 0),))
    plan = consolidate(problem)
    assert plan.emptied == ("n1",)
    assert plan.kept[0].reason == "c: PodDisruptionBudget web allows no disruption"


def test_c3_pods_pinned_to_their_nodes_give_an_empty_plan() -> None:
    nodes = tuple(Node(f"n{k}", (32_000,), (("kubernetes.io/hostname", f"n{k}"),)) for k in range(3))
    items = tuple(
        on(f"n{k}", f"p{k}", 1000, constraints=Constraints((("kubernetes.io/hostname", f"n{k}"),))) for k in range(3)
    )
    plan = consolidate(Problem(CPU, nodes, items))
    assert plan.moves == plan.waves == plan.emptied == ()
    assert {kept.reason for kept in plan.kept} == {f"p{k}: may run on no other node" for k in range(3)}
    assert not plan.limited


def test_c4_a_pod_that_must_not_be_disturbed_keeps_its_node_until_that_ends() -> None:
    until = consolidate(two_nodes(movable=False, stays="yunchi.io/do-not-disrupt until 18:00"))
    assert "n2" not in sources(until)
    assert until.kept[0].reason == "c: yunchi.io/do-not-disrupt until 18:00"
    assert consolidate(two_nodes()).emptied == ("n2",)


@pytest.mark.parametrize(("most", "freed"), [(None, 9), (0.3, 3), (3, 3), (0, 0), (0.0, 0), (1.0, 9)])
def test_c6_a_node_budget(most: float | None, freed: int) -> None:
    nodes = tuple(Node(f"n{k}", (2000,)) for k in range(10))
    items = tuple(on(f"n{k}", f"p{k}", 100) for k in range(10))
    plan = consolidate(Problem(CPU, nodes, items), limits=Limits(most_nodes=most))
    assert len(plan.emptied) == freed
    assert len(plan.kept) == 10 - freed
    assert len(plan.moves) == freed
    assert plan.curve[-1].nodes_emptied == 9  # what could be had is shown whatever the budget
    assert plan.limited == (freed < 9)


def test_c10_a_pod_that_pends_for_ever_does_not_block_the_plan() -> None:
    problem = two_nodes()
    problem = replace(problem, items=(*problem.items, Item("huge", (64_000,))))
    plan = consolidate(problem)
    assert plan.emptied == ("n2",)
    assert [entry.item for entry in plan.unplaced] == [3]
    assert not plan.placements


@pytest.mark.parametrize(("saving", "disruption", "expected"), [(7.26, 4, 2.81), (4.84, 5, 1.50)])
def test_c14_the_score_weighs_saving_against_disruption(saving: float, disruption: float, expected: float) -> None:
    assert score(saving, 58.08, disruption, 90) == pytest.approx(expected, abs=0.005)


def test_c14_a_node_below_the_threshold_is_not_emptied() -> None:
    plan = consolidate(two_nodes(move_cost=50), objective="nodes", limits=Limits(threshold=0.6))
    # n2 scores (1/2)/(50/52) = 0.52, n1 (1/2)/(2/52) = 13.
    assert plan.emptied == ("n1",)
    assert "scores 0.52, below the threshold of 0.60" in plan.kept[0].reason
    assert not consolidate(two_nodes(), limits=Limits(threshold=20.0)).moves


def d0(cpu: int, counts: list[int], cordoned: int = -1) -> Problem:
    nodes = tuple(Node(f"n{k}", (cpu, 3000, 10), unschedulable=k == cordoned) for k in range(len(counts)))
    items = tuple(on(f"n{k}", f"p{k}-{i}", 400, 0, 1) for k, count in enumerate(counts) for i in range(count))
    return Problem(DESCHEDULER, nodes, items)


def test_d1_no_node_is_below_the_threshold() -> None:
    problem = d0(4000, [3, 3, 3])
    assert not consolidate(problem, limits=Limits(below=(("cpu", 0.2), ("pods", 0.2)))).moves
    assert len(consolidate(problem).emptied) == 2


def test_d3_room_for_one_pod_means_one_move() -> None:
    problem = d0(2000, [1, 4, 1], cordoned=2)
    plan = consolidate(problem, limits=Limits(below=(("cpu", 0.3), ("pods", 0.3))))
    assert len(plan.moves) == 1
    assert all(move.target != "n2" for move in plan.moves)


def test_d6_a_cluster_in_which_no_node_is_well_used_is_packed_all_the_same() -> None:
    plan = consolidate(d0(4000, [1, 1, 1, 1]), limits=Limits(below=(("cpu", 0.2), ("pods", 0.2))))
    assert len(plan.emptied) == 3


def test_v1_an_overfull_node_is_relieved_with_the_fewest_moves() -> None:
    # Six machines whose measured use is 5 of their 10: three fit on 16.
    nodes = tuple(Node(f"n{k}", (16,)) for k in range(4))
    plan = consolidate(Problem(CPU, nodes, tuple(on("n0", f"vm{k}", 5) for k in range(6))))
    assert len(plan.moves) == 3
    assert plan.emptied == ()
    assert {move.source for move in plan.moves} == {"n0"}
    assert len({move.target for move in plan.moves}) == 1


def test_v1_with_whole_sizes_all_but_one_leave() -> None:
    nodes = tuple(Node(f"n{k}", (16,)) for k in range(6))
    plan = consolidate(Problem(CPU, nodes, tuple(on("n0", f"vm{k}", 10) for k in range(6))))
    assert len(plan.moves) == 5
    assert "relieves n0" in plan.moves[0].reason


def test_v1_no_redundant_hops() -> None:
    # Emptying a into b and then b into c would be A -> B -> C; everything goes to c at once.
    nodes = tuple(Node(name, (16,)) for name in ("a", "b", "c"))
    items = (on("a", "one", 4), on("b", "two", 4), on("c", "three", 4), on("c", "four", 4))
    plan = consolidate(Problem(CPU, nodes, items))
    assert plan.emptied == ("a", "b")
    assert sorted((move.source, move.target) for move in plan.moves) == [("a", "c"), ("b", "c")]
