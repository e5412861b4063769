"""What must hold for every problem, tried on many small random ones."""

from __future__ import annotations

import itertools
import random

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from yunchi_placement import Constraints, Item, Node, NodeTerm, Problem, Requirement, Taint, Toleration, solve
from yunchi_placement.canonical import canonicalise
from yunchi_placement.check import value, violations
from yunchi_placement.greedy import greedy

RESOURCES = ("cpu", "memory", "gpu")
QUIET = (HealthCheck.too_slow,)
KEYS, VALUES = st.sampled_from(["zone", "arch"]), st.sampled_from(["a", "b", "1", "2"])
GROUPS = st.frozensets(st.sampled_from(["g", "h"]), max_size=2)

requirements = st.one_of(
    st.builds(
        Requirement,
        KEYS,
        st.sampled_from(["In", "NotIn"]),
        st.lists(VALUES, min_size=1, max_size=2).map(tuple),
    ),
    st.builds(Requirement, KEYS, st.sampled_from(["Exists", "DoesNotExist"])),
    st.builds(Requirement, KEYS, st.sampled_from(["Gt", "Lt"]), st.just(("1",))),
)
terms = st.builds(
    NodeTerm,
    st.lists(requirements, max_size=2).map(tuple),
    st.one_of(st.just(()), st.just((Requirement("metadata.name", "In", ("n0", "n1")),))),
)
constraints = st.one_of(
    st.just(Constraints()),
    st.builds(
        Constraints,
        st.one_of(st.just(()), st.tuples(st.tuples(KEYS, VALUES))),
        st.one_of(st.none(), st.lists(terms, max_size=2).map(tuple)),
        st.sampled_from([(), (Toleration("t", "Exists"),), (Toleration(None, "Exists"),)]),
    ),
)
taints = st.sampled_from([(), (), (), (Taint("t", "v"),), (Taint("t", "v", "PreferNoSchedule"),)])


@st.composite
def problems(draw: st.DrawFn, nodes: int = 6, items: int = 14) -> Problem:
    machines = []
    for index in range(draw(st.integers(0, nodes))):
        labels = draw(st.dictionaries(KEYS, VALUES, max_size=2))
        capacity = (draw(st.integers(0, 12)), draw(st.integers(0, 12)), draw(st.sampled_from([0, 0, 4])))
        machines.append(
            Node(
                f"n{index}",
                capacity,
                tuple(sorted(labels.items())),
                draw(taints),
                unschedulable=draw(st.sampled_from([False, False, False, True])),
                cost=draw(st.integers(0, 5)) * 500_000,
            )
        )
    pods = []
    for index in range(draw(st.integers(0, items))):
        fixed = draw(st.sampled_from([None, None, None, *[node.name for node in machines]]))
        pods.append(
            Item(
                f"p{index}",
                (draw(st.integers(0, 6)), draw(st.integers(0, 6)), draw(st.sampled_from([0, 0, 0, 1]))),
                draw(constraints),
                node=fixed,
                keeps_node=draw(st.sampled_from([True, True, True, False])),
                priority=draw(st.sampled_from([0, 0, 5])),
                groups=draw(GROUPS),
                avoids=draw(st.one_of(st.just(frozenset()), GROUPS)),
            )
        )
    return Problem(RESOURCES, tuple(machines), tuple(pods))


@given(problems(), st.sampled_from(["cost", "nodes"]), st.sampled_from(["fast", "balanced"]))
@settings(max_examples=120, deadline=None, suppress_health_check=QUIET)
def test_solutions_are_valid_and_no_worse_than_greedy(problem: Problem, objective: str, effort: str) -> None:
    solution = solve(problem, objective=objective, effort=effort)
    assert violations(problem, solution.assignment) == []
    assert value(problem, solution.assignment) == (solution.cost, solution.nodes_used)
    incumbent = greedy(canonicalise(problem), objective)
    tiers: dict[int, list[int]] = {}
    for item, name in zip(problem.items, solution.assignment, strict=True):
        if item.node is None:
            tiers.setdefault(item.priority, []).append(int(name is not None))
    ours = tuple(sum(tiers[priority]) for priority in sorted(tiers, reverse=True))
    theirs = incumbent.placed_by_tier()
    assert all(a >= b for a, b in zip(ours, theirs, strict=True))
    if ours == theirs:
        worth = solution.cost if objective == "cost" else solution.nodes_used
        assert worth <= incumbent.value().of(objective)
    assert {entry.item for entry in solution.unplaced} == {
        index for index, name in enumerate(solution.assignment) if name is None
    }
    for entry in solution.unplaced:
        assert entry.fix
        assert sum(reason.nodes for reason in entry.reasons) == len(problem.nodes)


@given(problems(nodes=3, items=5), st.sampled_from(["cost", "nodes"]), st.sampled_from(["fast", "balanced"]))
@settings(max_examples=120, deadline=None, suppress_health_check=QUIET)
def test_the_bound_is_below_the_optimum(problem: Problem, objective: str, effort: str) -> None:
    solution = solve(problem, objective=objective, effort=effort)
    least_cost, least_nodes = best_by_trying_all(problem, solution.assignment)
    assert solution.bound.cost <= least_cost
    assert solution.bound.nodes <= least_nodes


def best_by_trying_all(problem: Problem, answer: tuple[str | None, ...]) -> tuple[int, int]:
    """Least cost and least nodes over all valid placements of the items that the answer places."""
    names = [node.name for node in problem.nodes]
    open_choices = [
        [answer[index]] if item.node is not None or answer[index] is None else names
        for index, item in enumerate(problem.items)
    ]
    values = [value(problem, choice) for choice in itertools.product(*open_choices) if not violations(problem, choice)]
    return min(cost for cost, _ in values), min(count for _, count in values)


@given(problems(), st.integers(0, 1 << 30))
@settings(max_examples=40, deadline=None, suppress_health_check=QUIET)
def test_the_order_of_the_input_does_not_matter(problem: Problem, shuffle: int) -> None:
    rng = random.Random(shuffle)
    nodes, items = list(problem.nodes), list(problem.items)
    rng.shuffle(nodes)
    rng.shuffle(items)
    other = Problem(problem.resources, tuple(nodes), tuple(items))
    first, second = solve(problem), solve(other)
    assert (first.cost, first.nodes_used, first.bound) == (second.cost, second.nodes_used, second.bound)
    assert first == solve(problem)
