"""Hard topology spread, as the PodTopologySpread filter of kube-scheduler counts."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from yunchi_placement.check.sites import Site, selects, untolerated
from yunchi_placement.problem import Constraints, Item, Problem, Spread

Kind = tuple[Spread, frozenset[str], Constraints | None, Constraints | None]


@dataclass
class _Tally:
    """Members of the group per domain, on the nodes that are eligible for items of one kind."""

    spread: Spread
    eligible: frozenset[str]
    domains: int
    counts: Counter[str] = field(default_factory=Counter)
    domains_at: Counter[int] = field(default_factory=Counter)
    """How many domains hold so many members."""

    def __post_init__(self) -> None:
        self.domains_at[0] = self.domains

    def add(self, site: Site) -> None:
        if site.name not in self.eligible:
            return
        domain = site.labels[self.spread.key]
        self.domains_at[self.counts[domain]] -= 1
        self.counts[domain] += 1
        self.domains_at[self.counts[domain]] += 1

    def emptiest(self) -> int:
        if self.domains < self.spread.min_domains:
            return 0
        return min(count for count, domains in self.domains_at.items() if domains)


class Spreading:
    """Spread at the moment of placing: the order matters, because members may come later that bend the balance."""

    def __init__(self, problem: Problem, sites: Iterable[Site]) -> None:
        self._sites = list(sites)
        self._scopes: dict[object, tuple[frozenset[str], int]] = {}
        self._tallies: dict[Kind, _Tally] = {}
        self._by_group: defaultdict[str, list[_Tally]] = defaultdict(list)
        for item in problem.items:
            for spread in item.spread:
                self._open(item, spread)

    def objections(self, item: Item, site: Site) -> list[str]:
        """Where it would tip the balance."""
        wrong = []
        for spread in item.spread:
            if spread.key not in site.labels:
                wrong.append(f"the node has no label {spread.key} to spread over")
                continue
            tally = self._tallies[_kind(item, spread)]
            here = tally.counts[site.labels[spread.key]] + (spread.group in item.groups)
            wrong += skewed(spread, here, tally.emptiest())
        return wrong

    def put(self, item: Item, site: Site) -> None:
        """Count in the domains of the node."""
        for group in item.groups:
            for tally in self._by_group.get(group, ()):
                tally.add(site)

    def leniently(self, running: Iterable[tuple[Item, Site]], placed: list[tuple[Item, Site]]) -> list[str]:
        """What no order could mend, after all items were put.

        The last member of a kind finds in its domain at least what runs and the other members of its kind, and the
        emptiest domain never holds more than at the end. Any other member of the group may have come later.
        """
        runs: Counter[tuple[int, str]] = Counter()
        for item, site in running:
            for group in item.groups:
                for tally in self._by_group.get(group, ()):
                    if site.name in tally.eligible:
                        runs[id(tally), site.labels[tally.spread.key]] += 1
        known = [
            (item, site, tally, site.labels[tally.spread.key])
            for item, site in placed
            for tally in self._of(item, site)
        ]
        joins = Counter((id(tally), domain) for item, _, tally, domain in known if tally.spread.group in item.groups)
        wrong = [
            f"{item.name} on {site.name}: the node has no label {spread.key} to spread over"
            for item, site in placed
            for spread in item.spread
            if spread.key not in site.labels
        ]
        for item, site, tally, domain in known:
            here = runs[id(tally), domain]
            if tally.spread.group in item.groups:
                here += joins[id(tally), domain]
            wrong += [f"{item.name} on {site.name}: {text}" for text in skewed(tally.spread, here, tally.emptiest())]
        return wrong

    def _of(self, item: Item, site: Site) -> list[_Tally]:
        """The tallies that hold the item, where the node is in a domain."""
        spreads = [spread for spread in dict.fromkeys(item.spread) if spread.key in site.labels]
        return [self._tallies[_kind(item, spread)] for spread in spreads]

    def _open(self, item: Item, spread: Spread) -> None:
        kind = _kind(item, spread)
        if kind in self._tallies:
            return
        scope = (spread.key, *kind[1:])
        if scope not in self._scopes:
            eligible = _eligible(item.constraints, spread, kind[1], self._sites)
            domains = {site.labels[spread.key] for site in self._sites if site.name in eligible}
            self._scopes[scope] = (eligible, len(domains))
        tally = self._tallies[kind] = _Tally(spread, *self._scopes[scope])
        self._by_group[spread.group].append(tally)


def skewed(spread: Spread, here: int, emptiest: int) -> list[str]:
    """The complaint if a domain with `here` members is too full."""
    if here - emptiest <= spread.max_skew:
        return []
    return [f"its {spread.key} holds {here} of {spread.group}, the emptiest {emptiest}; max skew {spread.max_skew}"]


def _kind(item: Item, spread: Spread) -> Kind:
    """Items of one kind count the same members on the same nodes."""
    return (
        spread,
        frozenset(one.key for one in item.spread),
        Constraints(item.constraints.selector, item.constraints.required) if spread.honor_affinity else None,
        Constraints(tolerations=item.constraints.tolerations) if spread.honor_taints else None,
    )


def _eligible(constraints: Constraints, spread: Spread, keys: frozenset[str], sites: list[Site]) -> frozenset[str]:
    return frozenset(
        site.name
        for site in sites
        if keys <= site.labels.keys()
        and (not spread.honor_affinity or selects(constraints, site))
        and (not spread.honor_taints or not untolerated(constraints, site))
    )
