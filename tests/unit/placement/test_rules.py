"""Each rule by example: one pod, one node, and whether they go together."""

from __future__ import annotations

import pytest

from yunchi_placement import (
    Constraints,
    Item,
    Node,
    NodeTerm,
    Problem,
    Requirement,
    Taint,
    Toleration,
    solve,
)

ANYWHERE = Constraints()
NODE = Node("n", (4000, 100), (("arch", "arm64"), ("cores", "64"), ("zone", "z1")))


def placed(item: Item, node: Node = NODE) -> bool:
    return solve(Problem(("cpu", "memory"), (node,), (item,))).assignment == (node.name,)


def item(constraints: Constraints = ANYWHERE, requests: tuple[int, int] = (1, 1)) -> Item:
    return Item("p", requests, constraints)


def affinity(*requirements: Requirement) -> Constraints:
    return Constraints(required=(NodeTerm(requirements),))


@pytest.mark.parametrize(
    ("requirement", "expected"),
    [
        (Requirement("arch", "In", ("amd64", "arm64")), True),
        (Requirement("arch", "In", ("amd64",)), False),
        (Requirement("missing", "In", ("x",)), False),
        (Requirement("arch", "NotIn", ("amd64",)), True),
        (Requirement("arch", "NotIn", ("arm64",)), False),
        (Requirement("missing", "NotIn", ("x",)), True),
        (Requirement("arch", "Exists"), True),
        (Requirement("missing", "Exists"), False),
        (Requirement("arch", "DoesNotExist"), False),
        (Requirement("missing", "DoesNotExist"), True),
        (Requirement("cores", "Gt", ("63",)), True),
        (Requirement("cores", "Gt", ("64",)), False),
        (Requirement("cores", "Lt", ("65",)), True),
        (Requirement("cores", "Lt", ("64",)), False),
        (Requirement("arch", "Gt", ("1",)), False),
        (Requirement("missing", "Lt", ("1",)), False),
    ],
)
def test_every_operator_of_node_affinity(requirement: Requirement, expected: bool) -> None:
    assert placed(item(affinity(requirement))) is expected


def test_terms_are_alternatives_and_requirements_are_joint() -> None:
    good, bad = Requirement("zone", "In", ("z1",)), Requirement("arch", "In", ("amd64",))
    assert not placed(item(affinity(good, bad)))
    assert placed(item(Constraints(required=(NodeTerm((bad,)), NodeTerm((good,))))))
    assert not placed(item(Constraints(required=())))
    assert not placed(item(Constraints(required=(NodeTerm(),))))


def test_metadata_name_is_a_field() -> None:
    here = NodeTerm(fields=(Requirement("metadata.name", "In", ("n",)),))
    there = NodeTerm(fields=(Requirement("metadata.name", "In", ("m",)),))
    assert placed(item(Constraints(required=(here,))))
    assert not placed(item(Constraints(required=(there,))))


def test_selector_and_affinity_must_both_hold() -> None:
    zone = NodeTerm((Requirement("zone", "In", ("z1",)),))
    assert placed(item(Constraints((("arch", "arm64"),), (zone,))))
    assert not placed(item(Constraints((("arch", "amd64"),), (zone,))))


@pytest.mark.parametrize(
    ("taint", "toleration", "expected"),
    [
        (Taint("k", "v", "NoSchedule"), None, False),
        (Taint("k", "v", "NoExecute"), None, False),
        (Taint("k", "v", "PreferNoSchedule"), None, True),
        (Taint("k", "v", "NoSchedule"), Toleration("k", "Equal", "v", "NoSchedule"), True),
        (Taint("k", "v", "NoSchedule"), Toleration("k", "Equal", "w", "NoSchedule"), False),
        (Taint("k", "v", "NoSchedule"), Toleration("k", "Equal", "v"), True),
        (Taint("k", "v", "NoSchedule"), Toleration("k", "Exists", "", "NoExecute"), False),
        (Taint("k", "v", "NoExecute"), Toleration("k", "Exists"), True),
        (Taint("k", "v", "NoExecute"), Toleration(None, "Exists"), True),
        (Taint("k", "v", "NoSchedule"), Toleration("other", "Exists"), False),
    ],
)
def test_taints_and_tolerations(taint: Taint, toleration: Toleration | None, expected: bool) -> None:
    tolerations = (toleration,) if toleration else ()
    node = Node("n", (1, 1), taints=(taint,))
    assert placed(item(Constraints(tolerations=tolerations)), node) is expected


def test_a_cordoned_node_takes_only_what_tolerates_the_cordon() -> None:
    node = Node("n", (1, 1), unschedulable=True)
    tolerant = Constraints(tolerations=(Toleration("node.kubernetes.io/unschedulable", "Exists"),))
    assert not placed(item(), node)
    assert placed(item(tolerant), node)


def test_requests_count_in_every_resource() -> None:
    assert placed(item(requests=(4000, 100)))
    assert not placed(item(requests=(4001, 1)))
    assert not placed(item(requests=(1, 101)))


def test_a_request_of_zero_fits_an_overfull_node() -> None:
    fixed = Item("f", (5000, 1), node="n")
    pending = Item("p", (0, 1))
    solution = solve(Problem(("cpu", "memory"), (NODE,), (fixed, pending)))
    assert solution.assignment == ("n", "n")
    assert solve(Problem(("cpu", "memory"), (NODE,), (fixed, Item("p", (1, 0))))).assignment == ("n", None)


A = frozenset({"a"})


@pytest.mark.parametrize(
    ("first", "second", "together"),
    [
        (Item("f", (1, 1), groups=A, avoids=A), Item("s", (1, 1), groups=A, avoids=A), False),
        (Item("f", (1, 1), avoids=A), Item("s", (1, 1), groups=A), False),
        (Item("f", (1, 1), groups=A), Item("s", (1, 1), avoids=A), False),
        (Item("f", (1, 1), groups=A), Item("s", (1, 1), groups=A), True),
        (Item("f", (1, 1), avoids=A), Item("s", (1, 1), avoids=A), True),
    ],
)
@pytest.mark.parametrize("fixed", [False, True])
def test_anti_affinity_holds_in_both_directions(first: Item, second: Item, together: bool, fixed: bool) -> None:
    if fixed:
        first = Item("f", (1, 1), node="n", groups=first.groups, avoids=first.avoids)
    solution = solve(Problem(("cpu", "memory"), (NODE,), (first, second)))
    assert solution.assignment.count("n") == (2 if together else 1)


def test_a_cheap_node_is_preferred_and_sunk_cost_is_free() -> None:
    dear, cheap = Node("dear", (10,), cost=5_000_000), Node("cheap", (10,), cost=1_000_000)
    pending = Item("p", (5,))
    assert solve(Problem(("cpu",), (dear, cheap), (pending,))).assignment == ("cheap",)
    running = Item("r", (5,), node="dear")
    solution = solve(Problem(("cpu",), (dear, cheap), (running, pending)))
    assert solution.assignment == ("dear", "dear")
    assert (solution.cost, solution.nodes_used, solution.gap) == (5_000_000, 1, 0.0)


def test_an_item_that_does_not_keep_its_node_makes_none_used() -> None:
    agent = Item("agent", (1,), keeps_node=False)
    solution = solve(Problem(("cpu",), (Node("n", (1,)),), (agent,)))
    assert solution.assignment == ("n",)
    assert (solution.nodes_used, solution.cost) == (0, 0)


def test_a_higher_priority_goes_first() -> None:
    low, high = Item("a-low", (3,), priority=1), Item("b-high", (2,), priority=9)
    assert solve(Problem(("cpu",), (Node("n", (3,)),), (low, high))).assignment == (None, "n")
