"""Small builders of typed nodes, pods and pools, with the defaults that make a test one line."""

from __future__ import annotations

from typing import Any

import msgspec

from yunchi_operator.api.core import Node, Pod
from yunchi_operator.api.kinds import NodePool

HOST = "kubernetes.io/hostname"
ZONE = "topology.kubernetes.io/zone"
REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"


def node(
    name: str,
    *,
    cpu: str = "8",
    memory: str = "32Gi",
    zone: str | None = None,
    labels: dict[str, str] | None = None,
    spec: dict[str, Any] | None = None,
    **status: Any,
) -> Node:
    """A node that is ready, labelled with its own hostname."""
    found = {HOST: name} | ({ZONE: zone} if zone else {}) | (labels or {})
    body = {"allocatable": {"cpu": cpu, "memory": memory, "pods": "110"}} | status
    return msgspec.convert({"metadata": {"name": name, "labels": found}, "spec": spec or {}, "status": body}, Node)


def pod(
    name: str,
    *,
    cpu: str = "1",
    namespace: str = "default",
    on: str = "",
    labels: dict[str, str] | None = None,
    meta: dict[str, Any] | None = None,
    status: dict[str, Any] | None = None,
    **spec: Any,
) -> Pod:
    """A pod of scheduler yunchi with one container; ``on`` binds it."""
    metadata = {"name": name, "namespace": namespace, "labels": labels or {}} | (meta or {})
    containers = [{"name": "main", "resources": {"requests": {"cpu": cpu}}}]
    body = {"schedulerName": "yunchi", "nodeName": on, "containers": containers} | spec
    return msgspec.convert({"metadata": metadata, "spec": body, "status": status or {}}, Pod)


def anti_affinity(
    match: dict[str, str] | None, *, key: str = HOST, kind: str = "podAntiAffinity", **more: Any
) -> dict[str, Any]:
    """An ``affinity`` with one required term; ``match`` None means no labelSelector at all."""
    selector = {} if match is None else {"labelSelector": {"matchLabels": match}}
    return {kind: {REQUIRED: [{"topologyKey": key} | selector | more]}}


def pool(name: str, *, cost: str = "1", match: dict[str, str] | None = None, **spec: Any) -> NodePool:
    """A NodePool over the nodes with these labels."""
    body = {"cost": cost, "nodeSelector": {"matchLabels": match or {}}} | spec
    return msgspec.convert({"metadata": {"name": name}, "spec": body}, NodePool)
