"""Counting items by topology domain: what pod affinity, anti-affinity and spread are all made of.

A tally counts one thing (members of a group, or items that avoid it) over the domains of a label key, maybe on a
part of the nodes only. All counts of a placement live in one flat array, so that copying a placement is cheap.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Tally:
    """One tally: `column[node]` is the position in the flat counts for a node, or -1 for none.

    `members` says whether it counts the items that are in all of the groups, or the items that avoid them.
    """

    column: Ints
    start: int
    stop: int
    groups: frozenset[str]
    members: bool


@dataclass(frozen=True, slots=True)
class Skew:
    """One spread constraint of a class: `own` is 1 if the class is in the group that it spreads over."""

    tally: int
    max_skew: int
    min_domains: int
    own: int


@dataclass(frozen=True, slots=True)
class Ties:
    """What a class has to do with tallies: where it counts, and what it asks of the counts.

    Attributes:
        adds: tallies that count it.
        apart: tallies that must be zero in the node's domain.
        near: tallies that must be positive there; `starts` if the class may be the first of its set.
        spread: limits on the difference between domains.
    """

    adds: tuple[int, ...] = ()
    apart: tuple[int, ...] = ()
    near: tuple[int, ...] = ()
    starts: bool = False
    spread: tuple[Skew, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.adds or self.apart or self.near or self.spread)

    def tallies(self) -> tuple[int, ...]:
        """All tallies that concern the class."""
        return (*self.adds, *self.apart, *self.near, *(skew.tally for skew in self.spread))


class Layout:
    """Hands out tallies; equal questions share one."""

    def __init__(self) -> None:
        self.tallies: list[Tally] = []
        self.size = 0
        self._numbers: dict[tuple[object, ...], int] = {}
        self._of_group: dict[str, list[int]] = {}

    def members(self, key: tuple[object, ...], groups: frozenset[str], column: Ints) -> int:
        """The tally of the items in all of the groups over a column; `key` identifies the column."""
        number = self._number(groups, key, column, members=True)
        listed = self._of_group.setdefault(min(groups), [])
        if number not in listed:
            listed.append(number)
        return number

    def avoiders(self, key: tuple[object, ...], group: str, column: Ints) -> int:
        """The tally of the items that avoid a group over a column."""
        return self._number(frozenset({group}), key, column, members=False)

    def of_members(self, groups: frozenset[str]) -> tuple[int, ...]:
        """The tallies that count an item of these groups."""
        listed = {number for group in groups for number in self._of_group.get(group, ())}
        return tuple(sorted(number for number in listed if self.tallies[number].groups <= groups))

    def _number(self, groups: frozenset[str], key: tuple[object, ...], column: Ints, *, members: bool) -> int:
        key = (members, groups, *key)
        if key not in self._numbers:
            self._numbers[key] = len(self.tallies)
            domains, dense = np.unique(column, return_inverse=True)
            missing = int(domains.size > 0 and domains[0] < 0)
            placed = np.where(column >= 0, dense - missing + self.size, -1)
            count = int(domains.size) - missing
            self.tallies.append(Tally(placed.astype(np.int64), self.size, self.size + count, groups, members))
            self.size += count
        return self._numbers[key]


def count(counts: Ints, tallies: list[Tally], ties: Ties, node: int, step: int) -> None:
    """Note an item on a node (step 1), or forget it (step -1)."""
    for number in ties.adds:
        position = tallies[number].column[node]
        if position >= 0:
            counts[position] += step


def at_nodes(counts: Ints, tally: Tally) -> Ints:
    """The count in each node's domain; 0 for nodes in none."""
    if tally.start == tally.stop:
        return np.zeros(len(tally.column), dtype=np.int64)
    return np.where(tally.column >= 0, counts[tally.column], 0)
