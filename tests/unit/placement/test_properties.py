"""What must hold for every problem, tried on many small random ones. YUNCHI_HUNT=20 tries many more."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from support.oracles import SIZES, best_values, first_fit, tiers
from support.problems import FEATURES, RESOURCES, Size, examples, last_arrivals, only_on, problems, scaled, shuffled
from yunchi_placement import Problem, Solution, solve
from yunchi_placement.canonical import canonicalise
from yunchi_placement.check import value, violations
from yunchi_placement.greedy import greedy
from yunchi_placement.validate import validate

OBJECTIVES = st.sampled_from(["cost", "nodes"])
RULES = [feature for feature in FEATURES if feature not in ("running", "tiers")]
EFFORTS = st.sampled_from(["fast", "balanced"])


@given(problems())
@examples(50)
def test_the_problems_tried_are_sound(problem: Problem) -> None:
    validate(problem)


@given(problems(), OBJECTIVES, EFFORTS)
@examples(150)
def test_solutions_meet_all_rules(problem: Problem, objective: str, effort: str) -> None:
    solution = solve(problem, objective=objective, effort=effort)
    assert violations(problem, solution) == []
    assert violations(problem, solution.assignment) == []


@pytest.mark.parametrize("feature", RULES)
def test_solutions_meet_each_rule_alone(feature: str) -> None:
    """One rule on most items finds what the crowd of rules hides."""

    @given(problems(Size(4, 10, 3), (feature, "running"), every=True), EFFORTS)
    @examples(40)
    def attempt(problem: Problem, effort: str) -> None:
        assert violations(problem, solve(problem, effort=effort)) == []

    attempt()


@pytest.mark.parametrize("features", [(feature,) for feature in RULES] + list(pairwise(RULES)))
def test_an_item_is_placed_just_where_the_rules_allow(features: tuple[str, ...]) -> None:
    """One item arrives where others run: the engine and the checker agree on each node."""

    @given(last_arrivals(features))
    @examples(60)
    def attempt(problem: Problem) -> None:
        running, index = [item.node for item in problem.items[:-1]], len(problem.items) - 1
        for node in problem.nodes:
            one = only_on(problem, node.name)
            wrong = violations(one, (*[name if name != "gone" else None for name in running], node.name), order=[index])
            assert (solve(one, effort="fast").assignment[index] == node.name) == (wrong == []), wrong

    attempt()


@given(problems(), OBJECTIVES, EFFORTS)
@examples(50)
def test_solutions_tell_the_truth_about_themselves(problem: Problem, objective: str, effort: str) -> None:
    solution = solve(problem, objective=objective, effort=effort)
    assert value(problem, solution.assignment) == (solution.cost, solution.nodes_used)
    without = [index for index, name in enumerate(solution.assignment) if name is None]
    assert sorted(entry.item for entry in solution.unplaced) == without
    for entry in solution.unplaced:
        assert entry.fix
        assert entry.reasons or not problem.nodes
        assert all(reason.nodes > 0 for reason in entry.reasons)
    assert solution.gap >= 0.0
    assert solution.bound.cost <= solution.cost
    assert solution.bound.nodes <= solution.nodes_used


@given(problems(), OBJECTIVES, EFFORTS)
@examples(50)
def test_solutions_place_as_much_as_first_fit(problem: Problem, objective: str, effort: str) -> None:
    solution = solve(problem, objective=objective, effort=effort)
    ours = tiers(problem, solution.assignment)
    for name, size in SIZES.items():
        assert ours >= tiers(problem, first_fit(problem, size)), name


@given(problems(), OBJECTIVES, EFFORTS)
@examples(50)
def test_solutions_are_no_worse_than_greedy(problem: Problem, objective: str, effort: str) -> None:
    solution = solve(problem, objective=objective, effort=effort)
    incumbent = greedy(canonicalise(problem), objective)
    ours, theirs = tuple(tiers(problem, solution.assignment)), tuple(incumbent.placed_by_tier())
    assert ours >= theirs
    if ours == theirs:
        assert worth(solution, objective) <= incumbent.value().of(objective)


@given(problems(Size(3, 4, 2)), OBJECTIVES, EFFORTS)
@examples(150)
def test_the_bound_is_below_the_optimum(problem: Problem, objective: str, effort: str) -> None:
    solution = solve(problem, objective=objective, effort=effort)
    placed = [index for index in solution.order if solution.assignment[index] is not None]
    best = best_values(problem, placed)
    assert best is not None, "the answer itself is no valid placement"
    assert solution.bound.cost <= best[0]
    assert solution.bound.nodes <= best[1]


@given(problems(), st.integers(0, 1 << 30), OBJECTIVES)
@examples(30)
def test_the_order_of_the_input_does_not_matter(problem: Problem, seed: int, objective: str) -> None:
    first, second = solve(problem, objective=objective), solve(shuffled(problem, seed), objective=objective)
    assert (first.cost, first.nodes_used, first.bound) == (second.cost, second.nodes_used, second.bound)
    assert len(first.unplaced) == len(second.unplaced)


@given(problems(), st.integers(0, len(RESOURCES) - 1), st.sampled_from([2, 10, 1 << 30]), OBJECTIVES)
@examples(30)
def test_the_unit_of_a_resource_does_not_matter(problem: Problem, column: int, factor: int, objective: str) -> None:
    first, second = solve(problem, objective=objective), solve(scaled(problem, column, factor), objective=objective)
    assert (first.cost, first.nodes_used) == (second.cost, second.nodes_used)
    assert len(first.unplaced) == len(second.unplaced)


@given(problems(), OBJECTIVES, EFFORTS)
@examples(20)
def test_the_same_question_gets_the_same_answer(problem: Problem, objective: str, effort: str) -> None:
    assert solve(problem, objective=objective, effort=effort) == solve(problem, objective=objective, effort=effort)


@given(problems(features=()))
@examples(30)
def test_an_item_alone_is_placed_if_it_fits(problem: Problem) -> None:
    """Nothing stands in the way but room."""
    assume(problem.items and problem.nodes)
    alone = replace(problem, items=problem.items[:1])
    fits = any(
        all(asked <= room for asked, room in zip(alone.items[0].requests, node.capacity, strict=True))
        for node in alone.nodes
    )
    assert (solve(alone).assignment[0] is not None) == fits


def worth(solution: Solution, objective: str) -> int:
    return solution.cost if objective == "cost" else solution.nodes_used
