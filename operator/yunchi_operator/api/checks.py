"""What an API server would refuse in a Node, Pod or NodePool, as far as placement depends on it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from yunchi_operator.api.core import (
    Affinity,
    ContainerPort,
    Node,
    Pod,
    PodAffinityTerm,
    SelectorRequirement,
    TopologySpreadConstraint,
)
from yunchi_operator.api.fields import Path
from yunchi_operator.api.kinds import LabelSelector, NodePool
from yunchi_operator.api.quantities import micro, parse

NODE_OPERATORS: Final = ("In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt")
LABEL_OPERATORS: Final = ("In", "NotIn", "Exists", "DoesNotExist")
EFFECTS: Final = ("NoSchedule", "PreferNoSchedule", "NoExecute")
_REQUIRED: Final = "requiredDuringSchedulingIgnoredDuringExecution"
_PREFERRED: Final = "preferredDuringSchedulingIgnoredDuringExecution"


@dataclass(frozen=True, slots=True)
class Finding:
    """A fault at a field of one object."""

    path: Path
    message: str


def node(decoded: Node, raw: Mapping[str, Any]) -> Iterator[Finding]:
    """Faults of a node."""
    for name, amounts in (("allocatable", decoded.status.allocatable), ("capacity", decoded.status.capacity)):
        yield from _quantities(amounts, ("status", name))
    for index, taint in enumerate(decoded.spec.taints):
        if taint.effect not in EFFECTS:
            yield _one_of(("spec", "taints", index, "effect"), taint.effect, EFFECTS)
    if "status" not in raw:
        yield Finding(("status",), "a node needs status.allocatable, or nothing fits on it")


def pool(decoded: NodePool, raw: Mapping[str, Any]) -> Iterator[Finding]:
    """Faults of a NodePool."""
    del raw
    try:
        micro(decoded.spec.cost)
    except ValueError as error:
        yield Finding(("spec", "cost"), str(error))
    yield from _label_selector(decoded.spec.node_selector, ("spec", "nodeSelector"))


def pod(decoded: Pod, raw: Mapping[str, Any]) -> Iterator[Finding]:
    """Faults of a pod."""
    del raw
    spec = decoded.spec
    if not spec.containers:
        yield Finding(("spec", "containers"), "a pod needs at least one container")
    for name, containers in (("containers", spec.containers), ("initContainers", spec.init_containers)):
        for index, container in enumerate(containers):
            at: Path = ("spec", name, index, "resources")
            yield from _quantities(container.resources.requests, (*at, "requests"))
            yield from _quantities(container.resources.limits, (*at, "limits"))
            for number, port in enumerate(container.ports):
                yield from _port(port, ("spec", name, index, "ports", number))
    yield from _quantities(spec.overhead, ("spec", "overhead"))
    yield from _quantities(spec.resources.requests, ("spec", "resources", "requests"))
    yield from _quantities(spec.resources.limits, ("spec", "resources", "limits"))
    for index, toleration in enumerate(spec.tolerations):
        if toleration.effect and toleration.effect not in EFFECTS:
            yield _one_of(("spec", "tolerations", index, "effect"), toleration.effect, EFFECTS)
        if toleration.operator not in ("Exists", "Equal", ""):
            yield _one_of(("spec", "tolerations", index, "operator"), toleration.operator, ("Exists", "Equal"))
    for index, spread in enumerate(spec.topology_spread_constraints):
        yield from _spread(spread, ("spec", "topologySpreadConstraints", index))
        if spread.when_unsatisfiable not in ("DoNotSchedule", "ScheduleAnyway"):
            path = ("spec", "topologySpreadConstraints", index, "whenUnsatisfiable")
            yield _one_of(path, spread.when_unsatisfiable, ("DoNotSchedule", "ScheduleAnyway"))
    if spec.affinity != _NO_AFFINITY:
        yield from _affinity(spec.affinity)


def _port(port: ContainerPort, at: Path) -> Iterator[Finding]:
    for name, number in (("containerPort", port.container_port), ("hostPort", port.host_port)):
        if not 0 <= number <= 65535:
            yield Finding((*at, name), f"{number} is no port; use 1 to 65535")
    if port.protocol not in ("", "TCP", "UDP", "SCTP"):
        yield _one_of((*at, "protocol"), port.protocol, ("TCP", "UDP", "SCTP"))


def _spread(spread: TopologySpreadConstraint, at: Path) -> Iterator[Finding]:
    if not spread.topology_key:
        yield Finding((*at, "topologyKey"), "is required; kubernetes.io/hostname means per node")
    if spread.max_skew < 1:
        yield Finding((*at, "maxSkew"), f"{spread.max_skew} is less than 1")
    if spread.min_domains is not None and spread.min_domains < 1:
        yield Finding((*at, "minDomains"), f"{spread.min_domains} is less than 1")
    for name, policy in (
        ("nodeAffinityPolicy", spread.node_affinity_policy),
        ("nodeTaintsPolicy", spread.node_taints_policy),
    ):
        if policy not in ("Honor", "Ignore"):
            yield _one_of((*at, name), policy, ("Honor", "Ignore"))
    if spread.label_selector is not None:
        yield from _label_selector(spread.label_selector, (*at, "labelSelector"))


_NO_AFFINITY: Final = Affinity()


def _affinity(affinity: Affinity) -> Iterator[Finding]:
    required = affinity.node_affinity.required
    at: Path = ("spec", "affinity", "nodeAffinity", _REQUIRED, "nodeSelectorTerms")
    if required is not None and not required.node_selector_terms:
        yield Finding(at, "needs at least one term")
    for index, term in enumerate(required.node_selector_terms if required else ()):
        yield from _node_tests(term.match_expressions, (*at, index, "matchExpressions"))
        yield from _field_tests(term.match_fields, (*at, index, "matchFields"))
    for index, liked in enumerate(affinity.node_affinity.preferred):
        where: Path = ("spec", "affinity", "nodeAffinity", _PREFERRED, index)
        yield from _weight(liked.weight, where)
        yield from _node_tests(liked.preference.match_expressions, (*where, "preference", "matchExpressions"))
        yield from _field_tests(liked.preference.match_fields, (*where, "preference", "matchFields"))
    for name, wishes in (
        ("podAffinity", affinity.pod_affinity.preferred),
        ("podAntiAffinity", affinity.pod_anti_affinity.preferred),
    ):
        for index, wish in enumerate(wishes):
            where = ("spec", "affinity", name, _PREFERRED, index)
            yield from _weight(wish.weight, where)
            yield from _pod_term(wish.pod_affinity_term, (*where, "podAffinityTerm"))
    for name, terms in (
        ("podAffinity", affinity.pod_affinity.required),
        ("podAntiAffinity", affinity.pod_anti_affinity.required),
    ):
        for index, one in enumerate(terms):
            yield from _pod_term(one, ("spec", "affinity", name, _REQUIRED, index))


def _field_tests(tests: Iterable[SelectorRequirement], at: Path) -> Iterator[Finding]:
    yield from _node_tests(tests, at)
    for index, test in enumerate(tests):
        if test.key != "metadata.name":
            yield _one_of((*at, index, "key"), test.key, ("metadata.name",))


def _weight(weight: int, at: Path) -> Iterator[Finding]:
    if not 1 <= weight <= 100:
        yield Finding((*at, "weight"), f"{weight} is not within 1 and 100")


def _pod_term(term: PodAffinityTerm, at: Path) -> Iterator[Finding]:
    if not term.topology_key:
        yield Finding((*at, "topologyKey"), "is required; kubernetes.io/hostname means per node")
    for name, selector in (("labelSelector", term.label_selector), ("namespaceSelector", term.namespace_selector)):
        if selector is not None:
            yield from _label_selector(selector, (*at, name))


def _node_tests(tests: Iterable[SelectorRequirement], at: Path) -> Iterator[Finding]:
    for index, test in enumerate(tests):
        if test.operator not in NODE_OPERATORS:
            yield _one_of((*at, index, "operator"), test.operator, NODE_OPERATORS)
        elif test.operator in ("In", "NotIn") and not test.values:
            yield Finding((*at, index, "values"), f"{test.operator} needs at least one value")
        elif test.operator in ("Gt", "Lt") and not (len(test.values) == 1 and _is_integer(test.values[0])):
            yield Finding((*at, index, "values"), f"{test.operator} needs exactly one integer")


def _label_selector(selector: LabelSelector, at: Path) -> Iterator[Finding]:
    for index, test in enumerate(selector.match_expressions):
        path: Path = (*at, "matchExpressions", index)
        if test.operator not in LABEL_OPERATORS:
            yield _one_of((*path, "operator"), test.operator, LABEL_OPERATORS)
        elif test.operator in ("In", "NotIn") and not test.values:
            yield Finding((*path, "values"), f"{test.operator} needs at least one value")


def _is_integer(text: str) -> bool:
    digits = text[1:] if text[:1] in ("+", "-") else text
    return digits.isascii() and digits.isdigit() and -(1 << 63) <= int(text) < 1 << 63


def _quantities(amounts: Mapping[str, str | int | float], at: Path) -> Iterator[Finding]:
    for resource, text in amounts.items():
        try:
            if parse(text) < 0:
                yield Finding((*at, resource), f"{text!r} is negative")
        except ValueError as error:
            yield Finding((*at, resource), str(error))


def _one_of(path: Path, value: str, legal: tuple[str, ...]) -> Finding:
    return Finding(path, f"{value!r} is not one of {', '.join(legal)}")
