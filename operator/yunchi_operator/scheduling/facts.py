"""What placement needs to know of one pod, by itself: computed once per pod, whatever the cluster looks like."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from yunchi_operator.api.core import ContainerPort, Pod, SelectorRequirement, Toleration
from yunchi_operator.api.names import GANG_LABEL, GANG_MIN_LABEL
from yunchi_operator.api.volumes import InlineDisk, inline_disks
from yunchi_operator.scheduling import unsupported
from yunchi_operator.scheduling.requests import pod_requests
from yunchi_operator.scheduling.terms import (
    Liking,
    Profile,
    SpreadOver,
    Together,
    likings,
    profile_of,
    spreads,
    together,
)
from yunchi_placement import Constraints, HostPort, NodeTerm, Requirement, Wish
from yunchi_placement import Toleration as EngineToleration

MIRROR_ANNOTATION: Final = "kubernetes.io/config.mirror"
ANY_ADDRESS: Final = "0.0.0.0"  # noqa: S104 - compared, never bound
MOST_MEMBERS: Final = 1_000_000
SYSTEM_PRIORITIES: Final = {"system-cluster-critical": 2_000_000_000, "system-node-critical": 2_000_001_000}


@dataclass(frozen=True, slots=True)
class GangRef:
    """The gang that a pod belongs to, and the least number of members that it is worth starting with."""

    name: str
    least: int


@dataclass(frozen=True, slots=True)
class PodFacts:
    """A pod as placement sees it.

    Attributes:
        requests: effective requests by resource, in the engine's integers.
        near, apart: required affinity and anti-affinity.
        spread: hard topology spread.
        ports: what it takes on its host.
        belongs_to_node: made for its node (DaemonSet, mirror pod): never moved, does not make a node used.
        unsupported: the rule that keeps Yunchi from placing it, or None.
        profile: how others see it.
        gang: with whom it starts together.
        node_wishes, likings: what it would like: of nodes, and of other pods.
        disks: named in its volumes themselves; some may be on one node only once.
    """

    pod: Pod
    key: str
    requests: Mapping[str, int]
    constraints: Constraints
    near: tuple[Together, ...]
    apart: tuple[Together, ...]
    spread: tuple[SpreadOver, ...]
    ports: frozenset[HostPort]
    belongs_to_node: bool
    priority: int
    unsupported: str | None
    profile: Profile
    gang: GangRef | None = None
    disks: frozenset[InlineDisk] = frozenset()
    node_wishes: tuple[Wish, ...] = ()
    likings: tuple[Liking, ...] = ()

    @property
    def has_claims(self) -> bool:
        """Whether it uses PersistentVolumeClaims, its own ephemeral ones included."""
        return any(
            one.persistent_volume_claim is not None or one.ephemeral is not None for one in self.pod.spec.volumes
        )

    @property
    def disk_groups(self) -> frozenset[str]:
        """The disks, as groups for the engine."""
        return frozenset(f"disk:{disk.name}" for disk in self.disks)

    @property
    def disk_avoids(self) -> frozenset[str]:
        """The disks that nobody else on the node may use: all but those that are only read."""
        return frozenset(f"disk:{disk.name}" for disk in self.disks if not disk.read_only)

    @property
    def is_social(self) -> bool:
        """Whether it minds who else is where."""
        return bool(self.near or self.apart or self.spread or self.ports or self.disks)


def pod_facts(pod: Pod) -> PodFacts:
    """Read one pod.

    Raises:
        ValueError: a quantity cannot be read.
    """
    affinity = pod.spec.affinity
    return PodFacts(
        pod=pod,
        key=pod.key,
        requests=pod_requests(pod),
        constraints=constraints_of(pod),
        near=together(pod, affinity.pod_affinity.required),
        apart=together(pod, affinity.pod_anti_affinity.required),
        spread=spreads(pod, pod.spec.topology_spread_constraints),
        ports=frozenset(host_ports(pod)),
        belongs_to_node=belongs_to_node(pod),
        priority=_priority(pod),
        unsupported=unsupported.own_rule(pod),
        profile=profile_of(pod),
        gang=_gang(pod),
        node_wishes=tuple(_node_wishes(pod)),
        likings=tuple(likings(pod)),
        disks=frozenset(inline_disks(pod)) if pod.spec.volumes else frozenset(),
    )


def belongs_to_node(pod: Pod) -> bool:
    """Whether a pod is a DaemonSet's or a static pod's mirror."""
    if MIRROR_ANNOTATION in pod.metadata.annotations:
        return True
    return any(owner.kind == "DaemonSet" and owner.controller is not False for owner in pod.metadata.owner_references)


def _gang(pod: Pod) -> GangRef | None:
    """By the labels; a least number that cannot be read counts as 1: the pods go one by one rather than never."""
    name = pod.metadata.labels.get(GANG_LABEL)
    if not name:
        return None
    least = pod.metadata.labels.get(GANG_MIN_LABEL, "1")
    number = int(least) if least.isascii() and least.isdigit() else 1
    return GangRef(f"{pod.metadata.namespace or 'default'}/{name}", min(max(1, number), MOST_MEMBERS))


def _priority(pod: Pod) -> int:
    """The number that admission resolved; the two built-in classes are known by name."""
    if pod.spec.priority is not None:
        return pod.spec.priority
    return SYSTEM_PRIORITIES.get(pod.spec.priority_class_name, 0)


def constraints_of(pod: Pod) -> Constraints:
    """Where a pod may go by labels and taints."""
    spec = pod.spec
    required = spec.affinity.node_affinity.required
    terms = None
    if required is not None:
        terms = tuple(
            NodeTerm(tuple(_requirements(term.match_expressions)), tuple(_requirements(term.match_fields)))
            for term in required.node_selector_terms
        )
    return Constraints(
        selector=tuple(sorted(spec.node_selector.items())),
        required=terms,
        tolerations=tuple(_tolerations(spec.tolerations)),
    )


def _node_wishes(pod: Pod) -> Iterator[Wish]:
    """Preferred node affinity; an empty preference likes no node in particular."""
    for wish in pod.spec.affinity.node_affinity.preferred:
        labels, fields = wish.preference.match_expressions, wish.preference.match_fields
        if labels or fields:
            yield Wish(wish.weight, NodeTerm(tuple(_requirements(labels)), tuple(_requirements(fields))))


def _requirements(tests: Iterable[SelectorRequirement]) -> Iterator[Requirement]:
    return (Requirement(test.key, test.operator, test.values) for test in tests)


def _tolerations(tolerations: Iterable[Toleration]) -> Iterator[EngineToleration]:
    """An operator that this version does not know tolerates nothing: the safe side."""
    for one in tolerations:
        match one.operator:
            case "Exists":
                yield EngineToleration(one.key or None, "Exists", "", one.effect or None)
            case "Equal" | "":
                yield EngineToleration(one.key or None, "Equal", one.value, one.effect or None)


def host_ports(pod: Pod) -> Iterator[HostPort]:
    """What a pod takes on its host, as kube-scheduler's NodePorts filter reads it."""
    for port in _ports(pod):
        number = port.host_port or (port.container_port if pod.spec.host_network else 0)
        if number:
            yield HostPort(number, port.protocol or "TCP", port.host_ip or ANY_ADDRESS)


def _ports(pod: Pod) -> Iterator[ContainerPort]:
    """Ports of everything that runs for the pod's whole life."""
    for container in pod.spec.containers:
        yield from container.ports
    for container in pod.spec.init_containers:
        if container.restart_policy == "Always":
            yield from container.ports
