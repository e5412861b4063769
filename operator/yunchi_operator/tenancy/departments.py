"""What a department has in the cluster: its namespaces and what stands in each of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from yunchi_operator.api.conditions import Verdict
from yunchi_operator.api.kinds import Department, ResourceList
from yunchi_operator.api.names import DEPARTMENT_LABEL, DIVISION_LABEL, FIELD_MANAGER_OPERATOR, QUOTA_NAME

ROLE: Final = "yunchi-department"
LIMITS: Final = "yunchi-defaults"
NETWORK_POLICY: Final = "yunchi-default-deny"
MANAGED_BY: Final = {"app.kubernetes.io/managed-by": FIELD_MANAGER_OPERATOR}
DEFAULT_REQUESTS: Final = {"cpu": "100m", "memory": "128Mi"}
"""Of a container that asks for nothing: without them the quota would refuse it."""
Manifest = dict[str, Any]


@dataclass(frozen=True, slots=True)
class ObservedNamespace:
    """A namespace as it is.

    Attributes:
        labels: its labels.
        terminating: whether it is being deleted.
    """

    labels: Mapping[str, str]
    terminating: bool = False


@dataclass(frozen=True, slots=True)
class DepartmentPlan:
    """What is to be done for a department.

    Attributes:
        verdict: its ``Ready`` condition.
        namespaces: those it holds or shall get, in the order of its spec.
    """

    verdict: Verdict
    namespaces: tuple[str, ...]


def decide(
    department: Department, observed: Mapping[str, ObservedNamespace | None], *, division_exists: bool
) -> DepartmentPlan:
    """Which namespaces are the department's, and what is to be said about the others.

    Args:
        department: as read.
        observed: the namespaces of its spec, None where there is none yet.
        division_exists: whether there is a Division of its code.
    """
    spec = department.spec
    if not division_exists:
        message = f"spec.division {spec.division}: there is no Division of that name; create it first"
        return DepartmentPlan(Verdict("Ready", "False", "DivisionNotFound", message), department.status.namespaces)
    owned = tuple(name for name in spec.namespaces if _may_hold(department, observed.get(name)))
    conflicts = [name for name in spec.namespaces if name not in owned]
    ending = [name for name in owned if (seen := observed.get(name)) is not None and seen.terminating]
    if conflicts:
        message = f"spec.namespaces: {_why(conflicts, observed)}; choose other names, or have ops label them as yours"
        verdict = Verdict("Ready", "False", "NamespaceConflict", message)
    elif ending:
        message = f"spec.namespaces: {', '.join(ending)} is being deleted; it is made anew once it is gone"
        verdict = Verdict("Ready", "False", "NamespaceTerminating", message)
    else:
        verdict = Verdict("Ready", "True", "Applied", f"holds {len(owned)} of {len(spec.namespaces)} namespaces")
    return DepartmentPlan(verdict, tuple(name for name in owned if name not in ending))


def _may_hold(department: Department, seen: ObservedNamespace | None) -> bool:
    return seen is None or seen.labels.get(DEPARTMENT_LABEL) == department.metadata.name


def _why(conflicts: list[str], observed: Mapping[str, ObservedNamespace | None]) -> str:
    # Another department's name is not told: requests for quota and their size are nobody else's business.
    parts = []
    for name in conflicts:
        seen = observed.get(name)
        other = seen is not None and DEPARTMENT_LABEL in seen.labels
        parts.append(f"{name} {'belongs to another department' if other else 'exists and is not of Yunchi'}")
    return ", ".join(parts)


def namespace(department: Department, name: str) -> Manifest:
    """The Namespace; its labels say whose it is, and what pods may not do in it."""
    labels = MANAGED_BY | {
        DEPARTMENT_LABEL: department.metadata.name,
        DIVISION_LABEL: department.spec.division,
        "pod-security.kubernetes.io/enforce": "baseline",
        "pod-security.kubernetes.io/warn": "restricted",
    }
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}


def contents(department: Department, name: str, hard: ResourceList) -> tuple[Manifest, ...]:
    """What stands in a namespace of the department.

    Args:
        department: the owner.
        name: of the namespace.
        hard: limits of its ResourceQuota, by Kubernetes' quota names.
    """
    return (
        _in(name, "v1", "ResourceQuota", QUOTA_NAME, {"spec": {"hard": hard}}),
        _in(name, "v1", "LimitRange", LIMITS, {"spec": {"limits": [_default_limits()]}}),
        _in(name, "networking.k8s.io/v1", "NetworkPolicy", NETWORK_POLICY, {"spec": _closed_network()}),
        _in(name, "rbac.authorization.k8s.io/v1", "RoleBinding", ROLE, _binding(department)),
    )


def _in(namespace_name: str, api_version: str, kind: str, name: str, body: Manifest) -> Manifest:
    metadata = {"name": name, "namespace": namespace_name, "labels": MANAGED_BY}
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata, **body}


def _default_limits() -> Manifest:
    return {"type": "Container", "defaultRequest": DEFAULT_REQUESTS}


def _closed_network() -> Manifest:
    """Nothing in or out but within the namespace, and name resolution."""
    within: Manifest = {"podSelector": {}}
    dns = {
        "to": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}}}],
        "ports": [{"protocol": "UDP", "port": 53}, {"protocol": "TCP", "port": 53}],
    }
    return {
        "podSelector": {},
        "policyTypes": ["Ingress", "Egress"],
        "ingress": [{"from": [within]}],
        "egress": [{"to": [within]}, dns],
    }


def _binding(department: Department) -> Manifest:
    api_group = "rbac.authorization.k8s.io"
    subjects = [{"kind": a.kind, "name": a.name, "apiGroup": api_group} for a in department.spec.admins]
    return {"roleRef": {"apiGroup": api_group, "kind": "ClusterRole", "name": ROLE}, "subjects": subjects}
