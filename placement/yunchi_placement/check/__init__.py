"""An independent checker: slow, plain, and sharing no code with the solver."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from yunchi_placement.check.board import Board
from yunchi_placement.check.cards import card_violations
from yunchi_placement.check.orders import simple_order
from yunchi_placement.check.sites import Site, sites_of
from yunchi_placement.problem import Problem
from yunchi_placement.solution import Solution

__all__ = ["Board", "value", "violations"]


def violations(
    problem: Problem,
    answer: Solution | Sequence[str | None],
    order: Sequence[int] | None = None,
    cards: Sequence[tuple[int, tuple[int, ...]]] | None = None,
) -> list[str]:
    """Say what is wrong with a solution, or an assignment (node name by item index); nothing wrong, empty list.

    Running items must be where they are, and are held to no rule. The others are placed one after the other in
    `order`, and each must meet all rules at its time. Without an order, a simple one is made up for nearness, and
    Spread is only held to what no order could mend. Without cards, there must be some way to seat the items.
    """
    if isinstance(answer, Solution):
        order = answer.order if order is None else order
        cards = answer.cards if cards is None else cards
        answer = answer.assignment
    if len(answer) != len(problem.items):
        return [f"{len(answer)} answers for {len(problem.items)} items"]
    sites = sites_of(problem)
    places = {index: sites[name] for index, name in enumerate(answer) if name in sites}
    wrong = _misplaced(problem, answer, sites)
    if order is not None:
        new = [index for index, name in enumerate(answer) if name is not None and problem.items[index].node is None]
        wrong += _misordered(problem, new, order)
        newly = places.keys() & set(new)
        wrong += _replay(problem, places, [index for index in dict.fromkeys([*order, *new]) if index in newly])
    else:
        wrong += _replay(problem, places, simple_order(problem, places), lenient=True)
    if problem.cards or cards:
        placed = [None if index not in places else places[index].name for index in range(len(answer))]
        wrong += card_violations(problem, placed, cards)
    return wrong + _broken_gangs(problem, places)


def value(problem: Problem, assignment: Sequence[str | None]) -> tuple[int, int]:
    """Cost and number of the nodes in use by items that keep a node."""
    used = {name for item, name in zip(problem.items, assignment, strict=True) if name is not None and item.keeps_node}
    return sum(node.cost for node in problem.nodes if node.name in used), len(used)


def _misplaced(problem: Problem, answer: Sequence[str | None], sites: Mapping[str, Site]) -> list[str]:
    wrong = []
    for item, name in zip(problem.items, answer, strict=True):
        if item.node is not None and name != (item.node if item.node in sites else None):
            wrong.append(f"{item.name} is fixed to {item.node} and answered with {name}")
        elif name is not None and name not in sites:
            wrong.append(f"{item.name} is on {name}, which is no node")
    return wrong


def _misordered(problem: Problem, new: list[int], order: Sequence[int]) -> list[str]:
    """An order names each newly placed item once, and nothing else."""
    told, placed = Counter(order), set(new)
    wrong = [f"the order names {problem.items[index].name} {told[index]} times" for index in new if told[index] != 1]
    wrong += [f"the order names item {index}, which is not newly placed" for index in told if index not in placed]
    return wrong


def _replay(problem: Problem, places: Mapping[int, Site], order: Sequence[int], lenient: bool = False) -> list[str]:
    board = Board(problem, spread=not lenient)
    wrong = []
    for index, site in places.items():
        if problem.items[index].node is not None:
            board.put(index, site.name)
    for index in order:
        name = places[index].name
        wrong += [f"{problem.items[index].name} on {name}: {text}" for text in board.objections(index, name)]
        board.put(index, name)
    if lenient:
        wrong += board.spreading.leniently(
            [(item, places[index]) for index, item in enumerate(problem.items) if index in places and item.node],
            [(problem.items[index], places[index]) for index in order],
        )
    return wrong


def _broken_gangs(problem: Problem, places: Mapping[int, Site]) -> list[str]:
    """At least `least` members in all, or none that was pending."""
    there = Counter(problem.items[index].gang for index in places)
    new = Counter(problem.items[index].gang for index in places if problem.items[index].node is None)
    return [
        f"gang {gang.name}: {there[gang.name]} of at least {gang.least} are placed"
        for gang in problem.gangs
        if new[gang.name] and there[gang.name] < gang.least
    ]
