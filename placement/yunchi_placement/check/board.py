"""All rules together, at one moment of placing."""

from __future__ import annotations

from yunchi_placement.check.books import Apartness, Book, Company, Limits, Nearness, Ports, Room
from yunchi_placement.check.sites import refusals, sites_of
from yunchi_placement.check.spreads import Spreading
from yunchi_placement.problem import Problem


class Board:
    """Items are put on nodes one by one; ask before each what speaks against it.

    Cards and gangs are not here: they are judged when all is placed.
    """

    def __init__(self, problem: Problem, spread: bool = True) -> None:
        self._items = problem.items
        self._sites = sites_of(problem)
        self.spreading = Spreading(problem, self._sites.values())
        self._kept: list[Book] = [
            Room(problem),
            Company(),
            Apartness(problem),
            Nearness(problem),
            Ports(),
            Limits(problem),
            self.spreading,
        ]
        self._asked = self._kept if spread else self._kept[:-1]

    def objections(self, index: int, name: str) -> list[str]:
        """Why the item may not come to the node now; an empty list if it may."""
        item, site = self._items[index], self._sites[name]
        wrong = refusals(item.constraints, site)
        for book in self._asked:
            wrong += book.objections(item, site)
        return wrong

    def put(self, index: int, name: str) -> None:
        """The item is on the node from now on."""
        for book in self._kept:
            book.put(self._items[index], self._sites[name])
