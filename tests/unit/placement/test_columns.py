"""Column generation and exact small cells: the effort `best`."""

from __future__ import annotations

import numpy as np
import pytest

from yunchi_placement import Cards, Item, Node, Problem, solve
from yunchi_placement.canonical import canonicalise
from yunchi_placement.cells import close_in_cells
from yunchi_placement.check import violations
from yunchi_placement.columns.pool import pool_of, present_patterns
from yunchi_placement.columns.pricing import best_pattern
from yunchi_placement.complete import incumbent
from yunchi_placement.plan import Model
from yunchi_placement.state import State

RESOURCES = ("cpu", "gpu")


def card_problem(seed: int, nodes: int = 12, items: int = 40) -> Problem:
    rng = np.random.default_rng(seed)
    machines = tuple(
        Node(f"n{k:02d}", (64, 1000 * int(cards)), cost=int(cards) * 1_000_000)
        for k, cards in enumerate(rng.choice([2, 4, 8], nodes))
    )
    shares = rng.choice([250, 330, 470, 500, 810, 1000, 2000], items)
    cpus = rng.integers(1, 8, items)
    pods = tuple(Item(f"p{k:02d}", (int(cpu), int(gpu))) for k, (cpu, gpu) in enumerate(zip(cpus, shares, strict=True)))
    return Problem(RESOURCES, machines, pods, cards=(Cards("gpu", 1000),))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("objective", ["cost", "nodes"])
def test_best_is_valid_repeats_and_is_no_worse_than_balanced(seed: int, objective: str) -> None:
    problem = card_problem(seed)
    best = solve(problem, objective=objective, effort="best")
    balanced = solve(problem, objective=objective, effort="balanced")
    assert violations(problem, best) == []
    assert len(best.unplaced) <= len(balanced.unplaced)
    if len(best.unplaced) == len(balanced.unplaced):
        worth = (best.cost, balanced.cost) if objective == "cost" else (best.nodes_used, balanced.nodes_used)
        assert worth[0] <= worth[1]
    assert best == solve(problem, objective=objective, effort="best")


def test_a_pattern_seats_each_share_on_one_card() -> None:
    # Three cards of 1000: shares of 600 need a card each, and 400 fits beside; 3 x 600 + 3 x 400 fills all.
    nodes = (Node("n", (100, 3000)),)
    items = (*[Item(f"a{k}", (1, 600)) for k in range(4)], *[Item(f"b{k}", (1, 400)) for k in range(4)])
    problem = Problem(RESOURCES, nodes, items, cards=(Cards("gpu", 1000),))
    state = incumbent(canonicalise(problem), "cost", 0, 100)
    model = Model.of(state, steady=False)
    pool = pool_of(state, model, model.parts[0], "cost")
    assert pool is not None
    counts = best_pattern(pool, 0, np.array([float(job.request[1]) for job in pool.jobs]), 0, 1.0)
    assert counts is not None
    assert sorted(counts.tolist()) == [3, 3]
    assert len(present_patterns(state, pool)) == 1


def test_whole_cards_must_be_empty_in_a_pattern() -> None:
    nodes = (Node("n", (100, 2000)),)
    items = (Item("a", (1, 500)), Item("b", (1, 2000)))
    problem = Problem(RESOURCES, nodes, items, cards=(Cards("gpu", 1000),))
    state = incumbent(canonicalise(problem), "cost", 0, 100)
    model = Model.of(state, steady=False)
    pool = pool_of(state, model, model.parts[0], "cost")
    assert pool is not None
    # Only what is placed is in the pool; together they would not fit.
    assert sum(len(job.items) for job in pool.jobs) == 1


def test_a_small_cell_does_with_one_node_less() -> None:
    # 6+4, 5+5 and 7+3 fill three nodes exactly; a state on four is emptied by CP-SAT.
    nodes = tuple(Node(f"n{k}", (10, 0)) for k in range(4))
    items = tuple(Item(f"p{k}", (size, 0)) for k, size in enumerate((6, 4, 5, 5, 7, 3)))
    instance = canonicalise(Problem(RESOURCES, nodes, items))
    state = State.empty(instance)
    for item, node in zip(range(6), (0, 1, 1, 2, 3, 2), strict=True):
        state.place(item, node)
    better, emptied = close_in_cells(state, "nodes", 0, effort=1.0)
    assert emptied == 1
    assert better.value().nodes == 3
    assert not better.unplaced()
    assert (better.free >= 0).all()
    assert state.value().nodes == 4
