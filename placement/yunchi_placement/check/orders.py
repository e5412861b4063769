"""An order of placing for an answer that came without one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from yunchi_placement.check.books import Nearness, wanted
from yunchi_placement.check.sites import Site
from yunchi_placement.problem import Item, Problem


def simple_order(problem: Problem, places: Mapping[int, Site]) -> list[int]:
    """Newly placed items, those with a rule of nearness as late as it takes.

    The first of a set may need to come before everything that would count for it: if items are stuck, one of each
    kind is put at the very start, and the rest follows again. Items that remain stuck come last. This is no full
    search: an answer with knotty affinities may have an order that this does not find.
    """
    starters: list[int] = []
    tried: set[object] = set()
    while True:
        order, stuck = _settle(problem, places, starters)
        more = []
        for index in stuck:
            item = problem.items[index]
            if wanted(item) <= item.groups and item.near not in tried:
                tried.add(item.near)
                more.append(index)
        if not more:
            return order + stuck
        starters = more + starters


def _settle(problem: Problem, places: Mapping[int, Site], starters: list[int]) -> tuple[list[int], list[int]]:
    """Starters, then those who seek nothing, then the others as they find what they seek; and who does not."""
    book, early = Nearness(problem), set(starters)
    order: list[int] = []
    rest: dict[bool, list[int]] = {True: [], False: []}
    for index, site in places.items():
        if problem.items[index].node is not None:
            book.put(problem.items[index], site)
        elif index not in early:
            rest[bool(problem.items[index].near)].append(index)
    stuck = _seek(problem.items, places, book, starters, order)
    for index in rest[False]:
        book.put(problem.items[index], places[index])
        order.append(index)
    return order, _seek(problem.items, places, book, [*stuck, *rest[True]], order)


def _seek(
    items: tuple[Item, ...], places: Mapping[int, Site], book: Nearness, waiting: Iterable[int], order: list[int]
) -> list[int]:
    """Place what can be placed, first beside others, then as the first of its set, until nothing moves."""
    stuck, may_start = list(waiting), False
    while True:
        left = []
        for index in stuck:
            if book.objections(items[index], places[index], may_start=may_start):
                left.append(index)
            else:
                book.put(items[index], places[index])
                order.append(index)
        moved = len(left) < len(stuck)
        stuck = left
        if not stuck or (may_start and not moved):
            return stuck
        may_start = not moved
