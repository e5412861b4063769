"""Which items sit on which cards, and whether those without a known card can be seated at all."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

from yunchi_placement.problem import Cards, Item, Node, Problem

PATIENCE = 20_000
"""Steps of a search for seats before it gives up and finds nothing wrong."""


def card_violations(
    problem: Problem, assignment: Sequence[str | None], cards: Sequence[tuple[int, tuple[int, ...]]] | None
) -> list[str]:
    """Say what is wrong with the cards; without `cards`, whether there is any way to seat the items.

    Running items whose cards are not known may sit on any. Where not even they find seats, nothing is said of
    items without known cards: nobody knows what is free.
    """
    wrong, held = _held(problem, assignment, cards)
    guests: defaultdict[str, list[int]] = defaultdict(list)
    for index, name in enumerate(assignment):
        if name is not None:
            guests[name].append(index)
    for node in problem.nodes:
        if any(problem.items[index].node is None for index in guests[node.name]):
            wrong += _on_node(problem, node, guests[node.name], held, strict=cards is not None)
    return wrong


def _held(
    problem: Problem, assignment: Sequence[str | None], cards: Sequence[tuple[int, tuple[int, ...]]] | None
) -> tuple[list[str], dict[int, tuple[int, ...]]]:
    """The cards of each item, as far as they are known. An item with cards of two kinds may be told twice."""
    wrong = []
    told: dict[int, tuple[int, ...]] = {}
    for index, numbers in cards or ():
        told[index] = told.get(index, ()) + numbers
    held = {index: item.cards for index, item in enumerate(problem.items) if item.node is not None and item.cards}
    for index, numbers in told.items():
        if not 0 <= index < len(problem.items) or assignment[index] is None:
            wrong.append(f"cards are told for item {index}, which is not placed")
            continue
        name = problem.items[index].name
        if held.get(index, numbers) != numbers:
            wrong.append(f"{name} holds cards {held[index]} and is answered with {numbers}")
        elif not sum(_needs(problem, problem.items[index])):
            wrong.append(f"{name} is given cards {numbers} and asks for none")
        held[index] = numbers
    return wrong, held


def _needs(problem: Problem, item: Item) -> list[int]:
    """How many cards the item sits on, kind by kind; its card numbers come in the same order."""
    return [-(-item.requests[problem.resources.index(kind.resource)] // kind.units) for kind in problem.cards]


def _on_node(
    problem: Problem, node: Node, guests: list[int], held: Mapping[int, tuple[int, ...]], strict: bool
) -> list[str]:
    wrong = []
    start: Counter[int] = Counter()
    for position, kind in enumerate(problem.cards):
        column = problem.resources.index(kind.resource)
        seated: dict[int, tuple[int, ...]] = {}
        waiting: list[int] = []
        for index in guests:
            item = problem.items[index]
            needs = _needs(problem, item)
            if not needs[position]:
                continue
            if index in held:
                seated[index] = held[index][start[index] : start[index] + needs[position]]
                start[index] += needs[position]
            elif strict and item.node is None:
                wrong.append(f"{item.name} on {node.name} asks for {kind.resource} and is given no card")
            else:
                waiting.append(index)
        wrong += _Bench(problem, node, kind, column).complaints(seated, waiting)
    wrong += [
        f"{problem.items[index].name} on {node.name} is given {len(held[index])} cards instead of {used}"
        for index, used in start.items()
        if len(held[index]) > used
    ]
    return wrong


class _Bench:
    """The cards of one kind on one node."""

    def __init__(self, problem: Problem, node: Node, kind: Cards, column: int) -> None:
        self._items, self._node, self._units, self._column = problem.items, node, kind.units, column
        self._count = node.capacity[column] // kind.units

    def complaints(self, seated: Mapping[int, tuple[int, ...]], waiting: list[int]) -> list[str]:
        wrong = []
        for index, numbers in seated.items():
            if self._items[index].node is None:
                wrong += self._misseated(index, numbers)
        loads, shared = self._loads(seated)
        wrong += [
            f"{self._node.name}: card {card} holds {load} of {self._units}"
            for card, load in enumerate(loads)
            if load > self._units and card in shared
        ]
        if not wrong and not self._seats_for(loads, waiting):
            before, _ = self._loads({index: seated[index] for index in seated if self._items[index].node is not None})
            running = [index for index in waiting if self._items[index].node is not None]
            if self._seats_for(before, running):
                wrong.append(f"{self._node.name}: its cards have no seats for all")
        return wrong

    def _misseated(self, index: int, numbers: tuple[int, ...]) -> list[str]:
        item = self._items[index]
        needed = -(-item.requests[self._column] // self._units)
        if len(numbers) != needed or len(set(numbers)) != needed:
            return [f"{item.name} on {self._node.name} is given cards {numbers}; it needs {needed}"]
        if not all(0 <= number < self._count for number in numbers):
            return [f"{item.name} is given cards {numbers}; {self._node.name} has {self._count}, from 0"]
        return []

    def _loads(self, seated: Mapping[int, tuple[int, ...]]) -> tuple[list[int], set[int]]:
        """Units in use per card, and the cards that a new item sits on."""
        loads, shared = [0] * self._count, set()
        for index, numbers in seated.items():
            for number in set(numbers):
                if 0 <= number < self._count:
                    loads[number] += min(self._units, self._items[index].requests[self._column])
                    if self._items[index].node is None:
                        shared.add(number)
        return loads, shared

    def _seats_for(self, loads: list[int], waiting: list[int]) -> bool:
        asked = [self._items[index].requests[self._column] for index in waiting]
        whole = sum(amount // self._units for amount in asked if amount >= self._units)
        empty = [card for card, load in enumerate(loads) if not load]
        if whole > len(empty):
            return False
        taken = set(empty[:whole])  # empty cards are all alike
        free = [self._units - load for card, load in enumerate(loads) if card not in taken]
        shares = sorted((amount for amount in asked if amount < self._units), reverse=True)
        return _seat(shares, free, [PATIENCE])


def _seat(shares: list[int], free: list[int], patience: list[int]) -> bool:
    """Whether every share finds room on one card; True as well when the search takes too long."""
    if not shares:
        return True
    patience[0] -= 1
    if patience[0] < 0:
        return True
    for room in sorted({room for room in free if room >= shares[0]}):
        rest = free.copy()
        rest[rest.index(room)] -= shares[0]
        if _seat(shares[1:], rest, patience):
            return True
    return False
