"""What placement needs to know of one pod, by itself: computed once per pod, whatever the cluster looks like."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from yunchi_operator.api.core import ContainerPort, Pod, PodAffinityTerm, SelectorRequirement, Toleration
from yunchi_operator.scheduling import unsupported
from yunchi_operator.scheduling.requests import pod_requests
from yunchi_operator.scheduling.selectors import Selector, compiled
from yunchi_placement import Constraints, NodeTerm, Requirement
from yunchi_placement import Toleration as EngineToleration

MIRROR_ANNOTATION: Final = "kubernetes.io/config.mirror"
ANY_ADDRESS: Final = "0.0.0.0"  # noqa: S104 - compared, never bound
SYSTEM_PRIORITIES: Final = {"system-cluster-critical": 2_000_000_000, "system-node-critical": 2_000_001_000}


@dataclass(frozen=True, slots=True)
class Term:
    """A required anti-affinity term, resolved as far as the pod alone allows; equal terms are equal values.

    Attributes:
        topology_key: the node label that says what "together" means.
        selector: tests of the other pod's labels; None matches no pod.
        namespaces: where the other pod may live by name.
        namespace_selector: where it may live by namespace labels; None adds no namespace, () adds all.
    """

    topology_key: str
    selector: Selector | None
    namespaces: tuple[str, ...]
    namespace_selector: Selector | None


@dataclass(frozen=True, slots=True)
class PodFacts:
    """A pod as placement sees it.

    Attributes:
        requests: effective requests by resource, in the engine's integers.
        terms: its required anti-affinity.
        port_groups: host ports it holds, and `port_avoids` those it cannot share a node with.
        belongs_to_node: made for its node (DaemonSet, mirror pod): never moved, does not make a node used.
        unsupported: the rule that keeps Yunchi from placing it, or None.
    """

    pod: Pod
    key: str
    requests: Mapping[str, int]
    constraints: Constraints
    terms: tuple[Term, ...]
    port_groups: frozenset[str]
    port_avoids: frozenset[str]
    belongs_to_node: bool
    priority: int
    unsupported: str | None
    profile: tuple[str, tuple[tuple[str, str], ...]] = field(default=("", ()))
    """Namespace and sorted labels: all that others' selectors can see of it."""


def pod_facts(pod: Pod) -> PodFacts:
    """Read one pod.

    Raises:
        ValueError: a quantity cannot be read.
    """
    groups, avoids = host_ports(pod)
    return PodFacts(
        pod=pod,
        key=pod.key,
        requests=pod_requests(pod),
        constraints=constraints_of(pod),
        terms=tuple(_term(pod, term) for term in pod.spec.affinity.pod_anti_affinity.required),
        port_groups=groups,
        port_avoids=avoids,
        belongs_to_node=belongs_to_node(pod),
        priority=_priority(pod),
        unsupported=unsupported.own_rule(pod),
        profile=(pod.metadata.namespace or "default", tuple(sorted(pod.metadata.labels.items()))),
    )


def belongs_to_node(pod: Pod) -> bool:
    """Whether a pod is a DaemonSet's or a static pod's mirror."""
    if MIRROR_ANNOTATION in pod.metadata.annotations:
        return True
    return any(owner.kind == "DaemonSet" and owner.controller is not False for owner in pod.metadata.owner_references)


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


def _term(pod: Pod, term: PodAffinityTerm) -> Term:
    """Resolve namespaces and matchLabelKeys the way the API server and the scheduler do."""
    selector = None
    if term.label_selector is not None:
        labels = pod.metadata.labels
        keyed = [(key, "In", (labels[key],)) for key in term.match_label_keys if key in labels]
        keyed += [(key, "NotIn", (labels[key],)) for key in term.mismatch_label_keys if key in labels]
        selector = tuple(sorted({*compiled(term.label_selector), *keyed}))
    own_only = not term.namespaces and term.namespace_selector is None
    return Term(
        topology_key=term.topology_key,
        selector=selector,
        namespaces=(pod.metadata.namespace or "default",) if own_only else tuple(sorted(set(term.namespaces))),
        namespace_selector=None if term.namespace_selector is None else compiled(term.namespace_selector),
    )


def host_ports(pod: Pod) -> tuple[frozenset[str], frozenset[str]]:
    """Groups and avoids that make two pods conflict exactly when kube-scheduler's NodePorts filter says so.

    Each port is held under its address and under "any"; the wildcard address avoids "any", another address avoids
    itself and the wildcard.
    """
    groups: set[str] = set()
    avoids: set[str] = set()
    for port in _ports(pod):
        number = port.host_port or (port.container_port if pod.spec.host_network else 0)
        if not number:
            continue
        address = port.host_ip or ANY_ADDRESS
        name = f"port:{port.protocol or 'TCP'}/{number}"
        groups |= {f"{name}@{address}", f"{name}@any"}
        avoids |= {f"{name}@any"} if address == ANY_ADDRESS else {f"{name}@{address}", f"{name}@{ANY_ADDRESS}"}
    return frozenset(groups), frozenset(avoids)


def _ports(pod: Pod) -> Iterator[ContainerPort]:
    """Ports of everything that runs for the pod's whole life."""
    for container in pod.spec.containers:
        yield from container.ports
    for container in pod.spec.init_containers:
        if container.restart_policy == "Always":
            yield from container.ports
