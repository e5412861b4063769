"""Cuts count what volumes cannot: large items and shares of cards."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from yunchi_placement import Cards, Item, Node, Problem, solve
from yunchi_placement.cuts import stepped


@given(st.lists(st.integers(0, 50), min_size=1, max_size=8), st.integers(1, 60), st.integers(2, 4))
def test_the_steps_of_parts_never_exceed_those_of_the_whole(parts: list[int], size: int, steps: int) -> None:
    whole = stepped(np.array([sum(parts)]), size, steps)[0]
    assert stepped(np.array(parts), size, steps).sum() <= whole


def test_two_items_over_half_a_node_do_not_share_it_in_the_bound() -> None:
    nodes = tuple(Node(f"n{k}", (10,)) for k in range(8))
    solution = solve(Problem(("cpu",), nodes, tuple(Item(f"p{k}", (6,)) for k in range(5))), objective="nodes")
    assert solution.nodes_used == 5
    # Greedy opens five; volume alone would prove three.
    assert solution.bound.nodes == 5


def test_shares_over_half_a_card_need_a_card_each_in_the_bound() -> None:
    nodes = tuple(Node(f"n{k}", (64, 2000)) for k in range(6))
    items = tuple(Item(f"p{k}", (1, 600)) for k in range(7))
    problem = Problem(("cpu", "gpu"), nodes, items, cards=(Cards("gpu", 1000),))
    solution = solve(problem, objective="nodes")
    assert solution.unplaced == ()
    assert solution.nodes_used == solution.bound.nodes == 4
