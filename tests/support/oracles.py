"""Slow, plain placing for tests: first fit decreasing, and every placement there is. Built on the checker only."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from yunchi_placement import Item, Problem
from yunchi_placement.check import Board, value, violations

Measure = Callable[[Problem, Item], tuple[float, ...]]


def first_fit(problem: Problem, size: Measure) -> list[str | None]:
    """Each item on the first node that takes it; high priority first, then big ones. A gang that falls short stays out.

    Whether cards are left is asked of the checker, which seats new items on cards as it likes.
    """
    banned: set[str] = set()
    while True:
        answer = _one_pass(problem, size, banned)
        counts = {gang.name: 0 for gang in problem.gangs}
        for item, name in zip(problem.items, answer, strict=True):
            if name is not None and item.gang:
                counts[item.gang] += 1
        short = {gang.name for gang in problem.gangs if counts[gang.name] < gang.least} - banned
        if not short & {item.gang for item, name in zip(problem.items, answer, strict=True) if name and not item.node}:
            return answer
        banned |= short


def _one_pass(problem: Problem, size: Measure, banned: set[str]) -> list[str | None]:
    board, answer = _start(problem)
    seats = Seats(problem)
    pending = [index for index, item in enumerate(problem.items) if item.node is None and item.gang not in banned]
    pending.sort(key=lambda index: (-problem.items[index].priority, *(-x for x in size(problem, problem.items[index]))))
    for index in pending:
        for node in problem.nodes:
            if not board.objections(index, node.name) and seats.take(problem.items[index], node.name):
                board.put(index, node.name)
                answer[index] = node.name
                break
    return answer


def _start(problem: Problem) -> tuple[Board, list[str | None]]:
    board, there = Board(problem), {node.name for node in problem.nodes}
    answer = [item.node if item.node in there else None for item in problem.items]
    for index, name in enumerate(answer):
        if name is not None:
            board.put(index, name)
    return board, answer


class Seats:
    """Cards, each item on the first that has room. Running items of unknown seat sit down first."""

    def __init__(self, problem: Problem) -> None:
        self._kinds = [(problem.resources.index(kind.resource), kind.units) for kind in problem.cards]
        self._free = {
            (node.name, column): [units] * (node.capacity[column] // units)
            for node in problem.nodes
            for column, units in self._kinds
        }
        running = [item for item in problem.items if item.node in {node.name for node in problem.nodes}]
        for item in (one for one in running if one.cards):
            self._sit(item)
        for item in (one for one in running if not one.cards):
            self.take(item, item.node or "", forced=True)

    def _sit(self, item: Item) -> None:
        numbers = list(item.cards)
        for column, units in self._kinds:
            for _ in range(-(-item.requests[column] // units)):
                number, free = numbers.pop(0), self._free[item.node or "", column]
                if number < len(free):
                    free[number] = max(0, free[number] - item.requests[column])

    def take(self, item: Item, name: str, forced: bool = False) -> bool:
        """Sit down on the node, or say that there is no seat; `forced` takes what is left."""
        chosen = {}
        for column, units in self._kinds:
            asked = item.requests[column]
            share, count = min(asked, units), -(-asked // units)
            cards = [card for card, free in enumerate(self._free[name, column]) if asked and free >= share][:count]
            if len(cards) < count and not forced:
                return False
            chosen[column] = (cards, share)
        for column, (cards, share) in chosen.items():
            for card in cards:
                self._free[name, column][card] -= share
        return True


SIZES: Mapping[str, Measure] = {
    "sum": lambda problem, item: (sum(shares(problem, item)),),
    "largest": lambda problem, item: (max(shares(problem, item), default=0.0),),
    "lexicographic": lambda _, item: tuple(float(amount) for amount in item.requests),
    "backwards": lambda _, item: tuple(float(amount) for amount in reversed(item.requests)),
}


def shares(problem: Problem, item: Item) -> list[float]:
    """Requests as fractions of all capacity."""
    total = [sum(node.capacity[column] for node in problem.nodes) for column in range(len(problem.resources))]
    return [asked / (all_of_it or 1) for asked, all_of_it in zip(item.requests, total, strict=True)]


def tiers(problem: Problem, answer: list[str | None] | tuple[str | None, ...]) -> list[int]:
    """How many pending items are placed, by priority from the top."""
    counts: dict[int, int] = {}
    for item, name in zip(problem.items, answer, strict=True):
        if item.node is None:
            counts[item.priority] = counts.get(item.priority, 0) + (name is not None)
    return [counts[priority] for priority in sorted(counts, reverse=True)]


def every_placement(problem: Problem, placed: list[int]) -> Iterator[tuple[str | None, ...]]:
    """All valid ways to place exactly these pending items, each in some order that meets the rules at each step."""
    _, start = _start(problem)
    seen: set[tuple[str | None, ...]] = {tuple(start)}
    agenda: list[tuple[tuple[str | None, ...], tuple[int, ...]]] = [(tuple(start), ())]
    while agenda:
        answer, order = agenda.pop()
        left = [index for index in placed if answer[index] is None]
        if not left and not violations(problem, answer, order=order):
            yield answer
        board, _ = _start(problem)
        for index in order:
            board.put(index, answer[index] or "")
        for index in left:
            for node in problem.nodes:
                after = (*answer[:index], node.name, *answer[index + 1 :])
                if after not in seen and not board.objections(index, node.name):
                    seen.add(after)
                    agenda.append((after, (*order, index)))


def best_values(problem: Problem, placed: list[int]) -> tuple[int, int] | None:
    """Least cost and least nodes over all ways to place exactly these items; None if there is no way."""
    values = [value(problem, answer) for answer in every_placement(problem, placed)]
    return (min(cost for cost, _ in values), min(nodes for _, nodes in values)) if values else None
