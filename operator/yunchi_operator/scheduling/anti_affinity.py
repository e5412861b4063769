"""Required pod anti-affinity, in both directions, turned into what the engine understands.

By host it becomes groups and avoids, exactly. By any other node label (a zone, say) it becomes node requirements
against the pods that are fixed, exactly too: a node without the label is no conflict. Only between two pods that are
both to be placed is there no way to say it yet; the pod that holds such a term is then reported as unsupported.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from yunchi_operator.api.names import HOSTNAME_LABEL
from yunchi_operator.scheduling.facts import PodFacts, Term
from yunchi_operator.scheduling.selectors import Selector, matches
from yunchi_placement import Constraints, NodeTerm, Requirement

NAME_LABEL: Final = "kubernetes.io/metadata.name"
Profile = tuple[str, tuple[tuple[str, str], ...]]
NamespaceLabels = Mapping[str, Mapping[str, str]]
Bans = dict[str, set[str]]
"""Label key to the values that a pod may not land on."""


@dataclass(frozen=True, slots=True)
class Topology:
    """Node labels, and whether the hostname label tells all nodes apart (else it is treated like a zone)."""

    labels: Mapping[str, Mapping[str, str]]
    by_host: bool

    @classmethod
    def of(cls, labels: Mapping[str, Mapping[str, str]]) -> Topology:
        """Look at the labels by node name."""
        hosts = [one[HOSTNAME_LABEL] for one in labels.values() if HOSTNAME_LABEL in one]
        return cls(labels, len(set(hosts)) == len(hosts))

    def is_host(self, term: Term) -> bool:
        """Whether a term means "not on the same node"."""
        return self.by_host and term.topology_key == HOSTNAME_LABEL


class Matcher:
    """Answers which pods a term selects; every pair of term and label set is looked at once."""

    def __init__(self, pods: Iterable[PodFacts], namespaces: NamespaceLabels | None) -> None:
        self._namespaces = namespaces
        self._by_namespace: dict[str, list[Profile]] = defaultdict(list)
        for profile in dict.fromkeys(facts.profile for facts in pods):
            self._by_namespace[profile[0]].append(profile)
        self._memo: dict[Term, frozenset[Profile]] = {}

    def selected(self, term: Term) -> frozenset[Profile]:
        """The namespace-and-labels that a term selects among the known pods."""
        if term not in self._memo:
            self._memo[term] = frozenset(self._select(term))
        return self._memo[term]

    def is_vague(self, term: Term) -> bool:
        """Whether namespace labels are needed and not known; `selected` then errs on the side of a conflict."""
        selector = term.namespace_selector
        return bool(selector) and self._namespaces is None and any(key != NAME_LABEL for key, _, _ in selector or ())

    def _select(self, term: Term) -> Iterable[Profile]:
        if term.selector is None:
            return
        for namespace, profiles in self._by_namespace.items():
            if namespace in term.namespaces or self._in_scope(term, namespace):
                yield from (profile for profile in profiles if matches(term.selector, dict(profile[1])))

    def _in_scope(self, term: Term, namespace: str) -> bool:
        if term.namespace_selector is None:
            return False
        return self.is_vague(term) or matches(term.namespace_selector, self._labels_of(namespace))

    def _labels_of(self, namespace: str) -> Mapping[str, str]:
        known = (self._namespaces or {}).get(namespace, {})
        return {NAME_LABEL: namespace, **known}


def entangled(term: Term, holder: PodFacts, matcher: Matcher, to_place: Mapping[Profile, int]) -> bool:
    """Whether a term selects another pod that is to be placed, besides its holder."""
    selected = matcher.selected(term)
    others = sum(to_place.get(profile, 0) for profile in selected)
    return others - (holder.profile in selected) > 0


@dataclass(frozen=True, slots=True)
class Placed:
    """A pod that is on a node and stays there."""

    facts: PodFacts
    node: str


class Rules:
    """Groups, avoids and node bans for every pod, given who is fixed where and who is to be placed."""

    def __init__(
        self, fixed: Sequence[Placed], to_place: Sequence[PodFacts], topology: Topology, matcher: Matcher
    ) -> None:
        self._topology = topology
        self._matcher = matcher
        self._groups: dict[Profile, set[str]] = defaultdict(set)
        self._bans: dict[Profile, Bans] = defaultdict(lambda: defaultdict(set))
        self._nodes_of: dict[Profile, set[str]] = defaultdict(set)
        for placed in fixed:
            self._nodes_of[placed.facts.profile].add(placed.node)
            self._repel(placed)
        for term in {term for facts in to_place for term in facts.terms if topology.is_host(term)}:
            self._group(term)

    def groups(self, facts: PodFacts) -> frozenset[str]:
        """What the pod is to others."""
        return facts.port_groups | self._groups.get(facts.profile, frozenset())

    def avoids(self, facts: PodFacts) -> frozenset[str]:
        """What the pod will not share a node with."""
        terms = {_group_name(term) for term in facts.terms if self._topology.is_host(term)}
        return facts.port_avoids | terms

    def constraints(self, facts: PodFacts) -> Constraints:
        """The pod's constraints, with the places closed to it by anti-affinity wider than a host."""
        bans: Bans = defaultdict(set)
        for key, values in self._bans.get(facts.profile, {}).items():
            bans[key] |= values
        for term in facts.terms:
            if not self._topology.is_host(term):
                for profile in self._matcher.selected(term):
                    for node in self._nodes_of.get(profile, ()):
                        self._ban(bans, term.topology_key, node)
        return _restricted(facts.constraints, bans) if bans else facts.constraints

    def _group(self, term: Term) -> None:
        name = _group_name(term)
        for profile in self._matcher.selected(term):
            self._groups[profile].add(name)

    def _repel(self, placed: Placed) -> None:
        """A fixed pod's own terms, against those to come."""
        for term in placed.facts.terms:
            if self._topology.is_host(term):
                self._group(term)
                continue
            for profile in self._matcher.selected(term):
                self._ban(self._bans[profile], term.topology_key, placed.node)

    def _ban(self, bans: Bans, key: str, node: str) -> None:
        value = self._topology.labels.get(node, {}).get(key)
        if value is not None:
            bans[key].add(value)


def _group_name(term: Term) -> str:
    places = ",".join(term.namespaces)
    return f"anti:{places}|{_shown(term.namespace_selector)}|{_shown(term.selector)}"


def _shown(selector: Selector | None) -> str:
    if selector is None:
        return "-"
    return ";".join(f"{key} {operator} {','.join(values)}" for key, operator, values in selector)


def _restricted(constraints: Constraints, bans: Bans) -> Constraints:
    """Add the bans to every alternative. NotIn also holds on a node without the label, as anti-affinity does."""
    extra = tuple(Requirement(key, "NotIn", tuple(sorted(values))) for key, values in sorted(bans.items()) if values)
    if not extra:
        return constraints
    if constraints.required is None:
        return replace(constraints, required=(NodeTerm(labels=extra),))
    alternatives = tuple(
        replace(term, labels=term.labels + extra) for term in constraints.required if term.labels or term.fields
    )
    return replace(constraints, required=alternatives)
