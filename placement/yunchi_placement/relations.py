"""From the items' affinity, anti-affinity, spread and ports to numbers: groups by host, and tallies by domain."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from yunchi_placement.eligibility import Eligibility
from yunchi_placement.problem import Apart, Constraints, Item, Near, Spread
from yunchi_placement.rules import Layout, Skew, Ties, affinity_mask, port_groups

Ints = npt.NDArray[np.int64]


class Social(NamedTuple):
    """What a class has to do with others: groups by host (numbers), tallies, and caps."""

    groups: tuple[int, ...]
    avoids: tuple[int, ...]
    ties: Ties
    caps: tuple[int, ...]


class _Key(NamedTuple):
    """All of an item that concerns others. Constraints matter only to a spread's eligible nodes."""

    groups: frozenset[str]
    avoids: frozenset[str]
    near: tuple[Near, ...]
    apart: tuple[Apart, ...]
    spread: tuple[Spread, ...]
    constraints: Constraints | None


class Relations:
    """Reads all items once, then answers for each what concerns it; what nobody asks about is dropped."""

    def __init__(self, items: Iterable[Item], eligibility: Eligibility, cap_groups: Iterable[str]) -> None:
        self.layout = Layout()
        self._eligibility = eligibility
        self._avoiders: dict[str, list[int]] = {}
        self._memo: dict[_Key, Social] = {}
        self._caps = list(cap_groups)
        self._everyone = tuple(number for number, group in enumerate(self._caps) if not group)
        self._nobody = Social((), (), Ties(), self._everyone)
        keys = dict.fromkeys(key for item in items if (key := self._key(item)) is not None)
        avoided: set[str] = set()
        for key in keys:
            avoided |= key.avoids
            self._register(key)
        self._numbers = {group: number for number, group in enumerate(sorted(avoided))}

    def learn(self, item: Item) -> tuple[list[str], range]:
        """Take in the rules of a new item.

        Returns:
            The groups and the tallies that are new: members that run already have not been counted for them.
        """
        key = self._key(item)
        if key is None or key in self._memo:
            return [], range(0)
        fresh = sorted(key.avoids.difference(self._numbers))
        self._numbers |= {group: len(self._numbers) + number for number, group in enumerate(fresh)}
        before = len(self.layout.tallies)
        self._register(key)
        after = len(self.layout.tallies)
        if fresh or after > before:
            self._memo.clear()
        return fresh, range(before, after)

    def number(self, group: str) -> int:
        """The number of a group that some item avoids by host."""
        return self._numbers[group]

    def of(self, item: Item) -> Social:
        """What concerns an item."""
        key = self._key(item)
        if key is None:
            return self._nobody
        if key not in self._memo:
            self._memo[key] = self._resolve(key)
        return self._memo[key]

    def _key(self, item: Item) -> _Key | None:
        if not (item.groups or item.avoids or item.near or item.apart or item.spread or item.ports):
            return None
        groups, avoids = item.groups, item.avoids
        if item.ports:
            more, less = port_groups(item.ports)
            groups, avoids = groups | more, avoids | less
        by_host = frozenset(term.group for term in item.apart if self._is_host(term.key))
        apart = tuple(term for term in item.apart if not self._is_host(term.key))
        pending = item.node is None
        return _Key(
            groups,
            avoids | by_host,
            item.near if pending else (),
            apart,
            item.spread if pending else (),
            item.constraints if pending and item.spread else None,
        )

    def _is_host(self, key: str) -> bool:
        """Whether the label is on every node, with a value of its own."""
        column, codes = self._eligibility.labels.column(key)
        return len(codes) == len(column) and not (column < 0).any()

    def _register(self, key: _Key) -> None:
        for near in key.near:
            self.layout.members((near.key,), _sought(key), self._column(near.key))
        for apart in key.apart:
            self.layout.members((apart.key,), frozenset({apart.group}), self._column(apart.key))
            number = self.layout.avoiders((apart.key,), apart.group, self._column(apart.key))
            listed = self._avoiders.setdefault(apart.group, [])
            if number not in listed:
                listed.append(number)
        for spread in key.spread:
            self._spread_tally(key, spread)

    def _column(self, key: str) -> Ints:
        return self._eligibility.labels.column(key)[0]

    def _spread_tally(self, key: _Key, spread: Spread) -> int:
        """Counts over the eligible nodes only; which those are depends on the item's own constraints."""
        labels, constraints = self._eligibility.labels, key.constraints or Constraints()
        keys = tuple(sorted({other.key for other in key.spread}))
        eligible = np.ones(labels.count, dtype=np.bool_)
        for other in keys:
            eligible &= self._column(other) >= 0
        signature: tuple[object, ...] = (spread.key, keys)
        if spread.honor_affinity:
            eligible &= affinity_mask(labels, constraints)
            signature += (constraints.selector, constraints.required)
        if spread.honor_taints:
            eligible &= self._eligibility.taints.tolerated_mask(constraints.tolerations)
            signature += (constraints.tolerations,)
        column = np.where(eligible, self._column(spread.key), -1)
        return self.layout.members(signature, frozenset({spread.group}), column)

    def _resolve(self, key: _Key) -> Social:
        own = [self.layout.avoiders((term.key,), term.group, self._column(term.key)) for term in key.apart]
        against = [
            self.layout.members((term.key,), frozenset({term.group}), self._column(term.key)) for term in key.apart
        ]
        against += [number for group in sorted(key.groups) for number in self._avoiders.get(group, ())]
        ties = Ties(
            adds=(*self.layout.of_members(key.groups), *sorted(set(own))),
            apart=tuple(sorted(set(against))),
            near=tuple(self.layout.members((term.key,), _sought(key), self._column(term.key)) for term in key.near),
            starts=_sought(key) <= key.groups,
            spread=tuple(
                Skew(self._spread_tally(key, term), term.max_skew, term.min_domains, int(term.group in key.groups))
                for term in key.spread
            ),
        )
        caps = tuple(n for n, group in enumerate(self._caps) if not group or group in key.groups)
        return Social(self._ids(key.groups), self._ids(key.avoids), ties, caps)

    def _ids(self, names: Iterable[str]) -> tuple[int, ...]:
        return tuple(sorted(self._numbers[name] for name in names if name in self._numbers))

    def port_ids(self) -> frozenset[int]:
        """The group numbers that stand for host ports."""
        return frozenset(number for group, number in self._numbers.items() if group.startswith("host-port/"))


def _sought(key: _Key) -> frozenset[str]:
    """The groups of all affinity terms: only an item in all of them counts for any of them, as in Kubernetes."""
    return frozenset(term.group for term in key.near)
