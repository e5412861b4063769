"""From terms about pods to the engine's groups: a group is named after the term that selects its members.

Terms and profiles come and go in any order, and each meets each other once: a cluster has thousands of both, but nearly
every term names a label and its value, by which it is found.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Final

from yunchi_operator.scheduling.facts import PodFacts
from yunchi_operator.scheduling.selectors import Selector
from yunchi_operator.scheduling.terms import Profile, Term
from yunchi_placement import Apart, Near, Spread, Wish

NAME_LABEL: Final = "kubernetes.io/metadata.name"
NamespaceLabels = Mapping[str, Mapping[str, str]]
Label = tuple[str, str]
_ANY: Final[Label] = ("", "")
"""Where terms are kept that name no label and value."""


class Groups:
    """Which groups each profile is in.

    Args:
        namespaces: labels by namespace; None when they are not known.
    """

    def __init__(self, namespaces: NamespaceLabels | None) -> None:
        self._namespaces = namespaces
        self._names: dict[Term, str] = {}
        self._terms: dict[Label, list[Term]] = defaultdict(list)
        self._profiles: dict[Label, dict[Profile, None]] = defaultdict(dict)
        self._groups: dict[Profile, frozenset[str]] = {}

    def of(self, profile: Profile) -> frozenset[str]:
        """The groups that a pod of this profile is in, of the terms known so far."""
        known = self._groups.get(profile)
        if known is None:
            labels = self._labels_of(profile.namespace)
            terms = [term for label in (_ANY, *profile.labels) for term in self._terms.get(label, ())]
            known = frozenset(self._names[term] for term in terms if term.selects(profile, labels))
            self._groups[profile] = known
            for label in (_ANY, *profile.labels):
                self._profiles[label][profile] = None
        return known

    def learn(self, facts: PodFacts, *, placed: bool) -> set[Profile]:
        """Take in a pod's terms. What a placed pod wants near does not matter any more; what it keeps away does.

        Returns:
            The profiles that are in more groups now.
        """
        changed: set[Profile] = set()
        for one in facts.apart:
            changed |= self._learn(one.term)
        if not placed:
            for near in facts.near:
                changed |= self._learn(near.term)
            for spread in facts.spread:
                changed |= self._learn(spread.term)
            for liking in facts.likings:
                changed |= self._learn(liking.near.term)
        return changed

    def near(self, facts: PodFacts) -> tuple[Near, ...]:
        """A pod's affinity, for the engine."""
        return tuple(Near(one.topology_key, self._names[one.term]) for one in facts.near)

    def apart(self, facts: PodFacts) -> tuple[Apart, ...]:
        """A pod's anti-affinity, for the engine."""
        return tuple(Apart(one.topology_key, self._names[one.term]) for one in facts.apart)

    def spread(self, facts: PodFacts) -> tuple[Spread, ...]:
        """A pod's hard spread constraints, for the engine."""
        return tuple(
            Spread(
                key=one.topology_key,
                group=self._names[one.term],
                max_skew=one.max_skew,
                min_domains=one.min_domains,
                honor_affinity=one.honor_affinity,
                honor_taints=one.honor_taints,
            )
            for one in facts.spread
        )

    def wishes(self, facts: PodFacts) -> tuple[Wish, ...]:
        """What a pod would like near or away, for the engine."""
        return tuple(
            Wish(one.weight, near=Near(one.near.topology_key, self._names[one.near.term])) for one in facts.likings
        )

    def is_vague(self, term: Term) -> bool:
        """Whether namespace labels are needed and not known; every namespace is then taken as meant."""
        selector = term.namespace_selector
        return bool(selector) and self._namespaces is None and any(key != NAME_LABEL for key, _, _ in selector or ())

    def _learn(self, term: Term) -> set[Profile]:
        if term in self._names:
            return set()
        self._names[term] = name_of(term)
        if self.is_vague(term):
            term = self._loosened(term)
        label = _handle(term.selector)
        self._terms[label].append(term)
        changed = set()
        for profile in self._profiles.get(label, ()):
            if term.selects(profile, self._labels_of(profile.namespace)):
                self._groups[profile] |= {self._names[term]}
                changed.add(profile)
        return changed

    def _loosened(self, term: Term) -> Term:
        """A vague term as one that means all namespaces, under the same name."""
        loose = Term(term.selector, term.namespaces, (), staying=term.staying)
        self._names.setdefault(loose, name_of(loose))
        self._names[term] = self._names[loose]
        return loose

    def _labels_of(self, namespace: str) -> Mapping[str, str]:
        known = (self._namespaces or {}).get(namespace, {})
        return {NAME_LABEL: namespace, **known}


def name_of(term: Term) -> str:
    """The group's name: the same for equal terms, and different for others, whatever stands in a label."""
    kind = "staying" if term.staying else "pods"
    return f"{kind} {term.namespaces!r} {term.namespace_selector!r} {term.selector!r}"


def _handle(selector: Selector | None) -> Label:
    """A label and value that every selected pod has, if the selector names one."""
    for key, operator, values in selector or ():
        if operator == "In" and len(values) == 1:
            return key, values[0]
    return _ANY
