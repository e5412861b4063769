"""Which running pods may be moved, and why the others stay. Pure: the present time comes in as an argument."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Final

from yunchi_operator.api.core import Pod
from yunchi_operator.api.disruption import PodDisruptionBudget, scaled
from yunchi_operator.api.names import DO_NOT_DISRUPT
from yunchi_operator.api.volumes import PersistentVolume
from yunchi_operator.scheduling.facts import PodFacts
from yunchi_operator.scheduling.selectors import compiled, matches
from yunchi_placement import Budget

NO_CONTROLLER: Final = "no controller would recreate it"
OUTSIDE: Final = "outside Kubernetes"
"""In the place of a scheduler's name, for what runs on hosts of a host list."""


class Movability:
    """Judges the running pods of one moment.

    Args:
        pods: all pods of the cluster: what a budget allows depends on those that it covers.
        now: with time zone; a protection may end at a time.
        budgets: PodDisruptionBudgets.
        volumes: PersistentVolumes, of which the local ones tie pods to nodes.
        host_paths: by pod, the folder of its node that it mounts.
    """

    def __init__(
        self,
        pods: Iterable[Pod],
        now: datetime,
        budgets: Sequence[PodDisruptionBudget] = (),
        volumes: Sequence[PersistentVolume] = (),
        host_paths: Mapping[str, str] | None = None,
    ) -> None:
        self._now = now
        self._host_paths = host_paths or {}
        self._local = _local_claims(volumes)
        self._covered_by, self._allowed = coverage(pods, budgets)
        self.notes: list[str] = []

    @property
    def budgets(self) -> tuple[Budget, ...]:
        """The budgets for the engine."""
        return tuple(Budget(name, allowed) for name, allowed in sorted(self._allowed.items()))

    def budgets_of(self, pod: Pod) -> frozenset[str]:
        """Names of the budgets that cover a pod."""
        return frozenset(self._covered_by.get(pod.key, ()))

    def why_stays(self, facts: PodFacts) -> str | None:
        """Why a bound pod must stay where it is, or None when it may move."""
        pod = facts.pod
        if pod.metadata.deletion_timestamp:
            return "it is terminating"
        if protected := self._protection(pod):
            return protected
        return self._tied(facts) or self._budget_forbids(facts.key)

    def _tied(self, facts: PodFacts) -> str | None:
        """What it would lose, or what would be lost."""
        if owner_of(facts.pod) == "":
            return NO_CONTROLLER
        if path := self._host_paths.get(facts.key):
            return f"it uses the folder {path} of its node"
        if claim := next((one for one in _claims(facts.pod) if one in self._local), None):
            return f"its volume {self._local[claim]} is on its node's own disk"
        return unmodelled(facts.unsupported) if facts.unsupported else None

    def _protection(self, pod: Pod) -> str | None:
        """The annotation: ``"true"``, or a time until which it holds. Anything unclear protects, and is told."""
        value = pod.metadata.annotations.get(DO_NOT_DISRUPT, "")
        if value in ("", "false"):
            return None
        if value == "true":
            return f"annotation {DO_NOT_DISRUPT}"
        until = _time(value)
        if until is None:
            self.notes.append(
                f"pod {pod.key}: annotation {DO_NOT_DISRUPT}: {value[:40]!r} is neither true, false nor a time such "
                "as 2027-01-31T16:00:00Z: taken as true"
            )
            return f"annotation {DO_NOT_DISRUPT}"
        return f"annotation {DO_NOT_DISRUPT} until {value}" if until > self._now else None

    def _budget_forbids(self, key: str) -> str | None:
        names = self._covered_by.get(key, [])
        if len(names) > 1:
            return f"{len(names)} PodDisruptionBudgets cover it ({', '.join(names)}), and Kubernetes evicts no such pod"
        if names and self._allowed[names[0]] == 0:
            return f"PodDisruptionBudget {names[0]} allows no disruption now"
        return None


def owner_of(pod: Pod) -> str:
    """The workload that would recreate a pod, such as ``tax/ReplicaSet/ledger-5d8f``, or ""."""
    for owner in pod.metadata.owner_references:
        if owner.controller:
            return f"{pod.metadata.namespace or 'default'}/{owner.kind}/{owner.name}"
    return ""


def foreign(pod: Pod) -> str:
    """Why a pod stays that is not Yunchi's."""
    if pod.spec.scheduler_name == OUTSIDE:
        return f"it runs {OUTSIDE}"
    return f"scheduler {pod.spec.scheduler_name} looks after it"


def unmodelled(rule: str) -> str:
    """Why a pod stays that has a rule which is not stated to the engine."""
    return f"Yunchi does not model its {rule.replace('-', ' ')} yet"


def _time(text: str) -> datetime | None:
    """An RFC 3339 time; one without a zone is no such time."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo is not None and "T" in text.upper() else None


def _claims(pod: Pod) -> list[str]:
    """The claims that a pod uses, as ``namespace/name``; an ephemeral one is named after pod and volume."""
    namespace = pod.metadata.namespace or "default"
    claims = []
    for volume in pod.spec.volumes:
        if volume.persistent_volume_claim is not None:
            claims.append(f"{namespace}/{volume.persistent_volume_claim.claim_name}")
        elif volume.ephemeral is not None:
            claims.append(f"{namespace}/{pod.metadata.name}-{volume.name}")
    return claims


def _local_claims(volumes: Iterable[PersistentVolume]) -> dict[str, str]:
    """Name of the local volume by the claim that it is bound to."""
    found = {}
    for volume in volumes:
        claim = volume.spec.claim_ref
        if volume.is_local and claim is not None:
            found[f"{claim.namespace or 'default'}/{claim.name}"] = volume.metadata.name
    return found


def coverage(
    pods: Iterable[Pod], budgets: Sequence[PodDisruptionBudget]
) -> tuple[dict[str, list[str]], dict[str, int]]:
    """Budgets (by key) by pod, for pods that run, and how many disruptions each budget allows."""
    by_namespace: dict[str, list[PodDisruptionBudget]] = defaultdict(list)
    for budget in sorted(budgets, key=lambda one: one.key):
        by_namespace[budget.metadata.namespace or "default"].append(budget)
    selectors = {one.key: None if one.spec.selector is None else compiled(one.spec.selector) for one in budgets}
    covered_by: dict[str, list[str]] = {}
    covered: dict[str, list[Pod]] = {one.key: [] for one in budgets}
    for pod in pods if budgets else ():
        if not pod.spec.node_name or pod.status.phase in ("Succeeded", "Failed"):
            continue
        for budget in by_namespace.get(pod.metadata.namespace or "default", ()):
            selector = selectors[budget.key]
            if selector is not None and matches(selector, pod.metadata.labels):
                covered_by.setdefault(pod.key, []).append(budget.key)
                covered[budget.key].append(pod)
    return covered_by, {one.key: _allowed(one, covered[one.key]) for one in budgets}


def _allowed(budget: PodDisruptionBudget, pods: Sequence[Pod]) -> int:
    """What the controller found, else what it would find with these pods as all that are expected."""
    if budget.status.disruptions_allowed is not None:
        return max(0, budget.status.disruptions_allowed)
    spec, total = budget.spec, len(pods)
    healthy = sum(_is_healthy(pod) for pod in pods)
    if spec.max_unavailable is not None:
        return max(0, healthy - max(0, total - scaled(spec.max_unavailable, total)))
    if spec.min_available is not None:
        return max(0, healthy - scaled(spec.min_available, total))
    return 0  # as the disruption controller has it


def _is_healthy(pod: Pod) -> bool:
    """Ready, or without conditions, as in manifests that people write; a terminating pod is not counted."""
    ready = next((one.status for one in pod.status.conditions if one.type == "Ready"), "True")
    return ready == "True" and not pod.metadata.deletion_timestamp
