"""What a pod asks of its neighbours: affinity, anti-affinity and spread as values, resolved as Kubernetes does."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from yunchi_operator.api.core import Pod, PodAffinityTerm, TopologySpreadConstraint
from yunchi_operator.api.kinds import LabelSelector
from yunchi_operator.scheduling.selectors import Selector, compiled, matches

SOFT_SPREAD: Final = 10
"""What a pod more in a domain weighs beside preferred terms, which weigh 1 to 100."""


@dataclass(frozen=True, slots=True)
class Profile:
    """All that other pods' terms can see of a pod; pods of one workload share it.

    Attributes:
        labels: sorted pairs.
        leaving: whether it is terminating: topology spread does not count it any more, affinity does.
    """

    namespace: str
    labels: tuple[tuple[str, str], ...]
    leaving: bool = False


@dataclass(frozen=True, slots=True)
class Term:
    """A selection of pods; equal selections are equal values.

    Attributes:
        selector: tests of the pod's labels; None selects no pod.
        namespaces: where the pod may live, by name.
        namespace_selector: where it may live by namespace labels; None adds no namespace, () adds all.
        staying: whether pods that are terminating are left out.
    """

    selector: Selector | None
    namespaces: tuple[str, ...]
    namespace_selector: Selector | None = None
    staying: bool = False

    def selects(self, profile: Profile, namespace_labels: Mapping[str, str]) -> bool:
        """Whether a pod of this profile is meant."""
        if self.selector is None or (self.staying and profile.leaving):
            return False
        if profile.namespace not in self.namespaces and (
            self.namespace_selector is None or not matches(self.namespace_selector, namespace_labels)
        ):
            return False
        return matches(self.selector, dict(profile.labels))


@dataclass(frozen=True, slots=True)
class Together:
    """One required affinity or anti-affinity term: the pods meant, and the node label that says what near is."""

    topology_key: str
    term: Term


@dataclass(frozen=True, slots=True)
class SpreadOver:
    """One hard topology spread constraint."""

    topology_key: str
    term: Term
    max_skew: int
    min_domains: int
    honor_affinity: bool
    honor_taints: bool


@dataclass(frozen=True, slots=True)
class Liking:
    """A preferred term, or a soft spread constraint: what a pod would like near, by its weight, or away (below 0)."""

    weight: int
    near: Together


def likings(pod: Pod) -> Iterator[Liking]:
    """A pod's wishes about others, with the weights that it states; spread counts ``SOFT_SPREAD`` for each pod."""
    affinity = pod.spec.affinity
    for sign, wishes in ((1, affinity.pod_affinity.preferred), (-1, affinity.pod_anti_affinity.preferred)):
        for wish in wishes:
            term = wish.pod_affinity_term
            yield Liking(sign * wish.weight, Together(term.topology_key, _term(pod, term)))
    for one in pod.spec.topology_spread_constraints:
        if one.when_unsatisfiable == "ScheduleAnyway":
            selector = _keyed(pod, one.label_selector, one.match_label_keys)
            near = Term(selector, (pod.metadata.namespace or "default",), staying=True)
            yield Liking(-SOFT_SPREAD, Together(one.topology_key, near))


def profile_of(pod: Pod) -> Profile:
    """How others see a pod."""
    meta = pod.metadata
    return Profile(
        meta.namespace or "default", tuple(sorted(meta.labels.items())), leaving=meta.deletion_timestamp is not None
    )


def together(pod: Pod, terms: Iterable[PodAffinityTerm]) -> tuple[Together, ...]:
    """A pod's required terms of one kind."""
    return tuple(Together(term.topology_key, _term(pod, term)) for term in terms)


def spreads(pod: Pod, constraints: Iterable[TopologySpreadConstraint]) -> tuple[SpreadOver, ...]:
    """A pod's hard spread constraints; soft ones (ScheduleAnyway) forbid nothing."""
    home = (pod.metadata.namespace or "default",)
    return tuple(
        SpreadOver(
            topology_key=one.topology_key,
            term=Term(_keyed(pod, one.label_selector, one.match_label_keys), home, staying=True),
            max_skew=one.max_skew,
            min_domains=one.min_domains or 1,
            honor_affinity=one.node_affinity_policy != "Ignore",
            honor_taints=one.node_taints_policy == "Honor",
        )
        for one in constraints
        if one.when_unsatisfiable != "ScheduleAnyway"
    )


def _term(pod: Pod, term: PodAffinityTerm) -> Term:
    own_only = not term.namespaces and term.namespace_selector is None
    return Term(
        selector=_keyed(pod, term.label_selector, term.match_label_keys, term.mismatch_label_keys),
        namespaces=(pod.metadata.namespace or "default",) if own_only else tuple(sorted(set(term.namespaces))),
        namespace_selector=None if term.namespace_selector is None else compiled(term.namespace_selector),
    )


def _keyed(
    pod: Pod, selector: LabelSelector | None, match: Sequence[str], mismatch: Sequence[str] = ()
) -> Selector | None:
    """A selector with the tests that matchLabelKeys stand for.

    The API server has merged them into the selector already, with the labels that the pod had when it was made; only
    a manifest that never saw a server lacks them.
    """
    if selector is None:
        return None
    tests, labels = set(compiled(selector)), pod.metadata.labels
    for keys, operator in ((match, "In"), (mismatch, "NotIn")):
        merged = {key for key, known, _ in tests if known == operator}
        tests |= {(key, operator, (labels[key],)) for key in keys if key in labels and key not in merged}
    return tuple(sorted(tests))
