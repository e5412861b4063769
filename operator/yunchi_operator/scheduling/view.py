"""What the watches have brought, and what was read of each pod."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

import msgspec

from yunchi_operator.api import names
from yunchi_operator.api.core import Namespace, Node, Pod
from yunchi_operator.api.disruption import PodDisruptionBudget
from yunchi_operator.api.kinds import NodePool
from yunchi_operator.scheduling.facts import PodFacts
from yunchi_operator.scheduling.ledger import Ledger, Load
from yunchi_operator.scheduling.replicas import Replicas
from yunchi_operator.scheduling.roles import Role, role_of
from yunchi_operator.scheduling.stating import PodGroup, Surroundings, in_group
from yunchi_operator.scheduling.volume_claims import users_of_claims
from yunchi_operator.scheduling.volumes import Storage

MOST_READINGS: Final = 100_000
"""Kinds of pods; of a cluster's pods most are replicas of others."""


class Facts:
    """Remembers what was read of each pod, as long as the watch shows the same object."""

    def __init__(self) -> None:
        self._known: dict[str, PodFacts] = {}
        self._read = Replicas(MOST_READINGS)

    def of(self, pod: Pod) -> PodFacts:
        """Facts of a pod, computed at most once per version of it.

        Raises:
            ValueError: a quantity cannot be read.
        """
        known = self._known.get(pod.key)
        if known is None or known.pod is not pod:
            known = self._known[pod.key] = self._read(pod)
        return known

    def forget(self, key: str) -> None:
        """The pod is gone."""
        self._known.pop(key, None)


@dataclass(frozen=True, slots=True)
class View:
    """The cluster, live: the mappings are the reflectors' own stores.

    Attributes:
        nominations: the nodes where room is being made, or kept, for waiting pods.
    """

    nodes: Mapping[str, Node]
    pods: Mapping[str, Pod]
    namespaces: Mapping[str, Namespace] = field(default_factory=dict)
    pools: Mapping[str, NodePool] = field(default_factory=dict)
    storage: Storage = field(default_factory=Storage)
    pod_groups: Mapping[str, PodGroup] = field(default_factory=dict)
    budgets: Mapping[str, PodDisruptionBudget] = field(default_factory=dict)
    ledger: Ledger = field(default_factory=Ledger)
    facts: Facts = field(default_factory=Facts)
    nominations: dict[str, str] = field(default_factory=dict)

    def department_of(self, pod: Pod) -> str:
        """Whose pod it is: the department of its namespace, or the namespace itself where it has none."""
        namespace = self.namespaces.get(pod.metadata.namespace)
        labels = namespace.metadata.labels if namespace else {}
        return labels.get(names.DEPARTMENT_LABEL) or f"namespace/{pod.metadata.namespace}"

    def gang_of(self, pod: Pod) -> str:
        """The name of the gang that a pod starts with, by label or PodGroup; "" for none.

        Raises:
            ValueError: a quantity cannot be read.
        """
        facts = in_group(self.facts.of(pod), self.pod_groups)
        return facts.gang.name if facts is not None and facts.gang else ""

    def load_of(self, pod: Pod) -> Load:
        """What a pod takes where it sits.

        Raises:
            ValueError: a quantity cannot be read.
        """
        facts = self.facts.of(pod)
        return Load(facts.requests, keeps_node=not facts.belongs_to_node)

    def surroundings(self, batch: Iterable[PodFacts]) -> Surroundings:
        """What the pods of a batch may refer to; who uses which claim is only looked up if one of them has claims."""
        if not any(facts.has_claims for facts in batch):
            return Surroundings(self.storage, self.pod_groups)
        return Surroundings(
            self.storage,
            self.pod_groups,
            users=users_of_claims(self._seated()),
            nodes={name: node.metadata.labels for name, node in self.nodes.items()},
        )

    def _seated(self) -> Iterator[Pod]:
        """Pods with claims that have a node, or will have: the ledger knows of bindings before the watch does."""
        for key, pod in self.pods.items():
            if pod.spec.volumes and (node := self.ledger.seat_of(key)) is not None:
                yield msgspec.structs.replace(pod, spec=msgspec.structs.replace(pod.spec, node_name=node))

    def waits(self, key: str) -> bool:
        """Whether a pod still waits: there, not gated, not bound by anybody, not assumed bound by us."""
        pod = self.pods.get(key)
        return pod is not None and self.ledger.seat_of(key) is None and role_of(pod) is Role.WANTED


def is_ours(pod: Pod) -> bool:
    """Whether the pod waits, gated or not, for this scheduler."""
    return role_of(pod) in {Role.WANTED, Role.GATED}
