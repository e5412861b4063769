"""Packing cases known from other schedulers, and what the solution says about itself."""

from __future__ import annotations

from collections import Counter

import pytest

from yunchi_placement import (
    Constraints,
    InvalidProblem,
    Item,
    Node,
    NodeTerm,
    Problem,
    Reason,
    Requirement,
    Taint,
    Toleration,
    solve,
    validate,
)
from yunchi_placement.check import violations

RESOURCES = ("cpu", "memory")


def cluster(*capacities: tuple[int, int]) -> tuple[Node, ...]:
    return tuple(Node(f"n{index}", capacity) for index, capacity in enumerate(capacities))


def pods(*requests: tuple[int, int]) -> tuple[Item, ...]:
    return tuple(Item(f"p{index}", request) for index, request in enumerate(requests))


def test_five_full_pods_take_a_node_each() -> None:
    solution = solve(Problem(RESOURCES, cluster(*[(10, 10)] * 5), pods(*[(10, 10)] * 5)))
    assert sorted(name or "" for name in solution.assignment) == ["n0", "n1", "n2", "n3", "n4"]


def test_a_pod_larger_than_any_node_is_the_only_one_left() -> None:
    solution = solve(
        Problem(RESOURCES, cluster(*[(10, 10)] * 5), pods((10, 10), (10, 10), (11, 10), (10, 10), (10, 10)))
    )
    assert [entry.item for entry in solution.unplaced] == [2]
    assert solution.unplaced[0].reasons == (Reason("resources:cpu", 5),)
    assert solution.unplaced[0].fix.startswith("needs 1m more cpu on node ")


def test_the_small_node_gets_nothing() -> None:
    nodes = cluster((10, 20), (10, 20), (1, 20), (10, 20), (10, 20))
    solution = solve(Problem(RESOURCES, nodes, pods((5, 10), (5, 10), (10, 10), (10, 10), (10, 10))))
    assert not solution.unplaced
    assert "n2" not in solution.assignment


def test_all_go_to_the_one_node_with_memory() -> None:
    solution = solve(Problem(RESOURCES, cluster((10, 1), (10, 1), (10, 1), (10, 50), (10, 1)), pods(*[(0, 10)] * 5)))
    assert set(solution.assignment) == {"n3"}


def test_a_pod_goes_where_it_fills_most() -> None:
    nodes = cluster((4000, 10000), (6000, 10000))
    running = (Item("r0", (1, 1), node="n0"), Item("r1", (1, 1), node="n1"))
    solution = solve(Problem(RESOURCES, nodes, (*running, Item("p", (3000, 5000)))))
    assert solution.assignment[2] == "n0"


def test_packing_closes_what_greedy_leaves_open() -> None:
    # First fit decreasing fills 6+3 and 5+... and needs a third node; 6+4 and 5+3+2 need two.
    nodes = cluster(*[(10, 10)] * 4)
    solution = solve(Problem(RESOURCES, nodes, pods((4, 0), (4, 0), (4, 0), (3, 0), (3, 0), (2, 0))))
    assert solution.nodes_used == solution.bound.nodes == 2
    assert solution.gap == 0.0


def test_reasons_count_each_node_once_in_filter_order() -> None:
    nodes = (
        Node("cordoned", (1, 1), unschedulable=True),
        Node("tainted", (10, 10), (("zone", "z"),), (Taint("k", "v"), Taint("l"))),
        Node("elsewhere", (10, 10)),
        Node("small", (1, 10), (("zone", "z"),)),
        Node("tight", (1, 1), (("zone", "z"),)),
        Node("shared", (10, 10), (("zone", "z"),)),
    )
    neighbour = Item("r", (1, 1), node="shared", groups=frozenset({"g"}))
    pod = Item("p", (5, 5), Constraints(selector=(("zone", "z"),)), avoids=frozenset({"g"}))
    solution = solve(Problem(RESOURCES, nodes, (neighbour, pod)))
    assert solution.unplaced[0].reasons == (
        Reason("unschedulable", 1),
        Reason("taint:k", 1),
        Reason("node-affinity", 1),
        Reason("resources:cpu", 2),
        Reason("anti-affinity", 1),
    )


@pytest.mark.parametrize(
    ("node", "item", "fix"),
    [
        (
            Node("n", (9, 9), (("kubernetes.io/arch", "arm64"),)),
            Item("p", (1, 1), Constraints(selector=(("kubernetes.io/arch", "loong64"),))),
            "no node has architecture label kubernetes.io/arch in (loong64)",
        ),
        (
            Node("n", (9, 9), taints=(Taint("k", "v"),)),
            Item("p", (1, 1)),
            "tolerate taint k=v:NoSchedule (1 node would fit)",
        ),
        (Node("n", (9, 9), unschedulable=True), Item("p", (1, 1)), "uncordon node n"),
        (Node("n", (9, 3 << 20)), Item("p", (1, 5 << 20)), "needs 2Mi more memory on node n"),
        (
            Node("n", (9, 9), (("zone", "a"),)),
            Item("p", (1, 1), Constraints(required=(NodeTerm((Requirement("zone", "Gt", ("3",)),)),))),
            "no node has label zone > 3",
        ),
        (
            Node("n", (0, 9), taints=(Taint("k", "v"),)),
            Item("p", (1, 1)),
            "no single change is enough (taints, free room all stand in the way); add a node that fits it",
        ),
    ],
)
def test_the_smallest_change_is_named(node: Node, item: Item, fix: str) -> None:
    assert solve(Problem(RESOURCES, (node,), (item,))).unplaced[0].fix == fix


def test_an_item_bound_to_a_vanished_node_is_reported_as_gone() -> None:
    solution = solve(Problem(RESOURCES, cluster((1, 1)), (Item("p", (1, 1), node="old"),)))
    assert solution.assignment == (None,)
    assert solution.unplaced[0].reasons == (Reason("gone", 1),)


def test_no_nodes_and_no_items() -> None:
    assert solve(Problem(RESOURCES, (), ())).assignment == ()
    assert "add one" in solve(Problem(RESOURCES, (), pods((1, 1)))).unplaced[0].fix
    assert solve(Problem((), cluster(), ())).gap == 0.0


@pytest.mark.parametrize(
    ("problem", "message"),
    [
        (Problem(("cpu",), (Node("n", (1, 2)),), ()), "node n: capacity has 2 amounts for 1 resources"),
        (Problem(("cpu",), (Node("n", (-1,)),), ()), "node n: capacity holds the negative amount -1"),
        (Problem(("cpu",), (Node("n", (1,)), Node("n", (1,))), ()), "node n: the name occurs more than once"),
        (Problem(("cpu",), (), (Item("p", (1 << 62,)),)), "resource cpu: amounts add up beyond 2^62"),
        (
            Problem(
                ("cpu",), (), (Item("p", (1,), Constraints(required=(NodeTerm((Requirement("k", "Gt", ("x",)),)),))),)
            ),
            "item p: requirement on k: Gt needs exactly one integer",
        ),
        (Problem(("cpu",), (Node("n", (1,), taints=(Taint("k", "", "Never"),)),), ()), "unknown effect 'Never'"),
    ],
)
def test_contradictions_are_named(problem: Problem, message: str) -> None:
    with pytest.raises(InvalidProblem) as caught:
        validate(problem)
    assert message in str(caught.value)


def test_pods_pinned_to_hosts_do_not_blow_up() -> None:
    nodes = tuple(Node(f"n{k:04d}", (4, 4), (("kubernetes.io/hostname", f"n{k:04d}"),)) for k in range(400))
    pinned = tuple(
        Item(
            f"a{k}",
            (1, 1),
            Constraints(required=(NodeTerm(fields=(Requirement("metadata.name", "In", (f"n{k:04d}",)),)),)),
        )
        for k in range(200)
    ) + tuple(
        Item(f"b{k}", (1, 1), Constraints(selector=(("kubernetes.io/hostname", f"n{k:04d}"),))) for k in range(200)
    )
    problem = Problem(RESOURCES, nodes, pinned)
    solution = solve(problem)
    assert violations(problem, solution.assignment) == []
    assert Counter(solution.assignment) == {f"n{k:04d}": 2 for k in range(200)}


def test_the_checker_sees_each_kind_of_violation() -> None:
    nodes = (Node("n", (2, 2), (("a", "b"),)), Node("t", (9, 9), taints=(Taint("k"),), unschedulable=True))
    apart = frozenset({"g"})
    items = (
        Item("x", (2, 1), Constraints(selector=(("a", "c"),)), groups=apart, avoids=apart),
        Item("y", (1, 1), groups=apart, avoids=apart),
        Item("z", (1, 1), Constraints(tolerations=(Toleration("other", "Exists"),))),
        Item("fixed", (0, 0), node="n"),
    )
    found = "\n".join(violations(Problem(RESOURCES, nodes, items), ("n", "n", "t", "t")))
    for text in ("selector a=c", "cpu holds 3 of 2", "may not share", "cordoned", "taint k", "fixed to n"):
        assert text in found


def test_an_overfull_cluster_places_what_it_can_and_counts_the_rest() -> None:
    nodes = cluster(*[(10, 10)] * 20)
    problem = Problem(RESOURCES, nodes, pods(*[(4, 1)] * 30, *[(3, 2)] * 40))
    solution = solve(problem)
    assert violations(problem, solution.assignment) == []
    # Twenty nodes of 3 + 3 + 4: no way leaves fewer than ten.
    assert len(solution.unplaced) == 10
    assert solution.bound.nodes == solution.nodes_used == 20


def test_a_solver_that_gives_up_costs_the_plan_and_not_the_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    from yunchi_placement import mip

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("numerical trouble")

    monkeypatch.setattr(mip.mathopt, "solve", fail)
    problem = Problem(RESOURCES, cluster(*[(10, 10)] * 4), pods((6, 1), (6, 1), (5, 1), (4, 1), (4, 1)))
    solution = solve(problem)
    assert violations(problem, solution.assignment) == []
    assert solution.unplaced == ()
    assert 0 < solution.bound.cost <= solution.cost


def test_nothing_is_printed_by_a_solve(capfd: pytest.CaptureFixture[str]) -> None:
    solution = solve(Problem(RESOURCES, cluster(*[(10, 10)] * 4), pods((6, 1), (6, 1), (5, 1), (4, 1), (4, 1))))
    assert solution.unplaced == ()
    assert capfd.readouterr() == ("", "")
