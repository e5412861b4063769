"""One book per rule that looks at what is placed: it says what speaks against an item on a node, and takes notes."""

from __future__ import annotations

from collections import defaultdict
from typing import Protocol

from yunchi_placement.check.sites import Site
from yunchi_placement.problem import HostPort, Item, Problem


class Book(Protocol):
    """What a rule remembers of the items placed so far."""

    def objections(self, item: Item, site: Site) -> list[str]:
        """Why the item may not be placed there now."""
        ...

    def put(self, item: Item, site: Site) -> None:
        """Note that the item is there, whether it may be or not."""
        ...


class Room:
    """Capacity. A resource that the item does not ask for may be overfull."""

    def __init__(self, problem: Problem) -> None:
        self._resources = problem.resources
        self._used = {node.name: [0] * len(problem.resources) for node in problem.nodes}

    def objections(self, item: Item, site: Site) -> list[str]:
        """What would be overfull."""
        columns = zip(self._resources, item.requests, self._used[site.name], site.node.capacity, strict=True)
        return [
            f"{resource} holds {used + asked} of {capacity}"
            for resource, asked, used, capacity in columns
            if asked and used + asked > capacity
        ]

    def put(self, item: Item, site: Site) -> None:
        """Take room."""
        _add(self._used[site.name], item.requests)


class Company:
    """Avoided groups on the same node: neither may come to the other."""

    def __init__(self) -> None:
        self._members: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
        self._avoiders: defaultdict[tuple[str, str], list[str]] = defaultdict(list)

    def objections(self, item: Item, site: Site) -> list[str]:
        """Who is there that may not be met."""
        wrong = [
            f"{item.name} and {others[0]} may not share a node: it avoids {group}"
            for group in sorted(item.avoids)
            if (others := self._members.get((site.name, group)))
        ]
        wrong += [
            f"{item.name} and {others[0]} may not share a node: {others[0]} avoids {group}"
            for group in sorted(item.groups)
            if (others := self._avoiders.get((site.name, group)))
        ]
        return wrong

    def put(self, item: Item, site: Site) -> None:
        """Join the node."""
        for group in item.groups:
            self._members[site.name, group].append(item.name)
        for group in item.avoids:
            self._avoiders[site.name, group].append(item.name)


class Apartness:
    """Anti-affinity over domains, in both directions. A node without the label is in no domain."""

    def __init__(self, problem: Problem) -> None:
        self._keys: defaultdict[str, set[str]] = defaultdict(set)
        for item in problem.items:
            for term in item.apart:
                self._keys[term.group].add(term.key)
        self._members: defaultdict[tuple[str, str, str], list[str]] = defaultdict(list)
        self._refusers: defaultdict[tuple[str, str, str], list[str]] = defaultdict(list)

    def objections(self, item: Item, site: Site) -> list[str]:
        """Who is in the same domain that may not be."""
        wrong = [
            f"{others[0]} of {term.group} is in its {term.key}"
            for term in item.apart
            if term.key in site.labels and (others := self._members.get((term.key, site.labels[term.key], term.group)))
        ]
        wrong += [
            f"{others[0]} keeps {group} out of its {key}"
            for key, group in self._domains(item)
            if key in site.labels and (others := self._refusers.get((key, site.labels[key], group)))
        ]
        return wrong

    def put(self, item: Item, site: Site) -> None:
        """Join the domains of the node."""
        for key, group in self._domains(item):
            if key in site.labels:
                self._members[key, site.labels[key], group].append(item.name)
        for term in item.apart:
            if term.key in site.labels:
                self._refusers[term.key, site.labels[term.key], term.group].append(item.name)

    def _domains(self, item: Item) -> list[tuple[str, str]]:
        return [(key, group) for group in sorted(item.groups) for key in sorted(self._keys.get(group, ()))]


class Nearness:
    """Affinity over domains: what counts is an item in all groups that the asking one wants to be near."""

    def __init__(self, problem: Problem) -> None:
        self._keys: defaultdict[frozenset[str], set[str]] = defaultdict(set)
        for item in problem.items:
            if item.near:
                self._keys[wanted(item)] |= {term.key for term in item.near}
        self._by_group: defaultdict[str, list[frozenset[str]]] = defaultdict(list)
        for groups in self._keys:
            self._by_group[min(groups)].append(groups)
        self._domains: set[tuple[frozenset[str], str, str]] = set()
        self._anywhere: set[tuple[frozenset[str], str]] = set()

    def objections(self, item: Item, site: Site, may_start: bool = True) -> list[str]:
        """Whom it does not find; with `may_start` it may be the first of its set."""
        if not item.near:
            return []
        lacking = sorted({term.key for term in item.near} - site.labels.keys())
        if lacking:
            return [f"the node has no label {lacking[0]} to be near on"]
        groups = wanted(item)
        if all((groups, term.key, site.labels[term.key]) in self._domains for term in item.near):
            return []
        first = not any((groups, term.key) in self._anywhere for term in item.near)
        if may_start and first and groups <= item.groups:
            return []
        return [f"nothing of {', '.join(sorted(groups))} is in its {', '.join(term.key for term in item.near)}"]

    def put(self, item: Item, site: Site) -> None:
        """Be there for others to seek."""
        for group in item.groups:
            for groups in self._by_group.get(group, ()):
                if groups <= item.groups:
                    for key in self._keys[groups] & site.labels.keys():
                        self._domains.add((groups, key, site.labels[key]))
                        self._anywhere.add((groups, key))


def wanted(item: Item) -> frozenset[str]:
    """All groups that the item wants to be near."""
    return frozenset(term.group for term in item.near)


class Ports:
    """Host ports: the same port and protocol, on the same address or on all of them."""

    def __init__(self) -> None:
        self._taken: defaultdict[str, list[tuple[HostPort, str]]] = defaultdict(list)

    def objections(self, item: Item, site: Site) -> list[str]:
        """Which ports are taken, and by whom."""
        return [
            f"host port {mine.port}/{mine.protocol} is taken by {other}"
            for mine in item.ports
            for theirs, other in self._taken.get(site.name, ())
            if _collide(mine, theirs)
        ]

    def put(self, item: Item, site: Site) -> None:
        """Take the ports."""
        if item.ports:
            self._taken[site.name] += [(port, item.name) for port in item.ports]


def _collide(one: HostPort, other: HostPort) -> bool:
    if (one.port, one.protocol) != (other.port, other.protocol):
        return False
    return one.ip == other.ip or "0.0.0.0" in (one.ip, other.ip)  # noqa: S104 - a name to compare with


class Limits:
    """Caps and headroom. Like capacity, they hold an item only to the resources that it asks for."""

    def __init__(self, problem: Problem) -> None:
        self._resources = problem.resources
        self._caps = [(cap, [0] * len(problem.resources)) for cap in problem.caps]
        self._headroom = problem.headroom
        self._free = {one.pool: [0] * len(problem.resources) for one in problem.headroom}
        for node in problem.nodes:
            if node.pool in self._free and not node.unschedulable:
                _add(self._free[node.pool], node.capacity)

    def objections(self, item: Item, site: Site) -> list[str]:
        """Which limits would be passed."""
        wrong = []
        for cap, used in self._caps:
            if (not cap.group or cap.group in item.groups) and cap.pool in ("", site.node.pool):
                for resource, limit, before, asked in zip(
                    self._resources, cap.amounts, used, item.requests, strict=True
                ):
                    if asked and limit is not None and before + asked > limit:
                        wrong.append(f"cap {cap.name}: {resource} holds {before + asked} of {limit}")
        for one in self._headroom:
            if one.pool == site.node.pool and not site.node.unschedulable:
                columns = zip(self._resources, self._free[one.pool], item.requests, one.amounts, strict=True)
                wrong += [
                    f"headroom of {one.pool}: {free - asked} of {resource} stays free instead of {amount}"
                    for resource, free, asked, amount in columns
                    if asked and free - asked < amount
                ]
        return wrong

    def put(self, item: Item, site: Site) -> None:
        """Count towards the limits."""
        for cap, used in self._caps:
            if (not cap.group or cap.group in item.groups) and cap.pool in ("", site.node.pool):
                _add(used, item.requests)
        if site.node.pool in self._free and not site.node.unschedulable:
            _add(self._free[site.node.pool], [-asked for asked in item.requests])


def _add(total: list[int], amounts: tuple[int, ...] | list[int]) -> None:
    for index, amount in enumerate(amounts):
        total[index] += amount
