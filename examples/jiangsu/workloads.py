"""The workloads of the Jiangsu example: Deployments as departments write them, and Suzhou's own cluster."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Mapping

from cast import MEMBER, Manifest, Unit

SYSTEMS = (
    "portal", "approval", "archive", "gateway", "ledger", "mobile", "open-data", "payments", "records", "registry",
    "report", "search", "survey", "workflow",
)  # fmt: skip
# (CPU in cores, memory in GiB): shapes of government workloads, from small services to databases and analytics.
SHAPES = (
    (1, 2),
    (1, 4),
    (2, 4),
    (2, 8),
    (2, 16),
    (4, 8),
    (4, 16),
    (4, 32),
    (8, 16),
    (8, 32),
    (8, 64),
    (16, 64),
    (24, 96),
)
SHAPE_WEIGHTS = (9, 8, 12, 12, 6, 10, 12, 5, 7, 6, 3, 3, 1)

ARM64: Manifest = {"nodeSelector": {"kubernetes.io/arch": "arm64"}}
_AMD64: Manifest = {"nodeSelector": {"kubernetes.io/arch": "amd64"}}
_LOONG64: Manifest = {"nodeSelector": {"kubernetes.io/arch": "loong64"}}


def _any_of(*arches: str) -> Manifest:
    expression = {"key": "kubernetes.io/arch", "operator": "In", "values": list(arches)}
    term = {"nodeSelectorTerms": [{"matchExpressions": [expression]}]}
    return {"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": term}}}


def arches_by_zone(nodes: list[Manifest]) -> dict[str, set[str]]:
    """The architectures that each prefecture owns."""
    found: dict[str, set[str]] = {}
    for node in nodes:
        labels = node["metadata"]["labels"]
        found.setdefault(labels["topology.kubernetes.io/zone"], set()).add(labels["kubernetes.io/arch"])
    return found


def deployments(rng: random.Random, unit: Unit, arches: set[str]) -> Iterator[Manifest]:
    """Some six systems for architectures that the prefecture owns: most run on one only, a third must stay there."""
    kinds = [(ARM64, "arm64", 50), (_AMD64, "amd64", 25), (_LOONG64, "loong64", 5)]
    choices = [(placement, weight) for placement, arch, weight in kinds if arch in arches]
    choices.append((_any_of("arm64", "amd64"), 20))
    big = unit.prefecture.hosts >= 20
    for system in rng.sample(SYSTEMS, 8 if big else 6):
        arch = rng.choices([placement for placement, _ in choices], [weight for _, weight in choices])[0]
        shape = rng.choices(SHAPES, SHAPE_WEIGHTS)[0]
        if arch is _LOONG64:
            shape = rng.choice(SHAPES[:6])
        pinned = unit.prefecture.code if arch in (ARM64, _AMD64) and rng.random() < 0.35 else None
        spread = arch is ARM64 and rng.random() < 0.25
        replicas = rng.randint(2, 3) if spread or pinned else rng.randint(2, 7)
        yield deployment(unit, system, replicas, shape, arch, zone=pinned, spread=spread)
    if big and unit.name.endswith(("-health", "-ga", "-data")):
        yield deployment(unit, "vision", 3, (8, 64), ARM64, cards=2)


def deployment(
    unit: Unit,
    system: str,
    replicas: int,
    shape: tuple[int, int],
    placement: Manifest,
    *,
    zone: str | None = None,
    spread: bool = False,
    cards: int = 0,
) -> Manifest:
    """One system: `replicas` pods of a shape (cores, GiB), where `placement` and the zone allow."""
    labels = {"app.kubernetes.io/name": system}
    requests = {"cpu": str(shape[0]), "memory": f"{shape[1]}Gi"}
    if cards:
        requests["huawei.com/Ascend910"] = str(cards)
    resources: Manifest = {"requests": requests, "limits": requests}
    container = {
        "name": "main",
        "image": f"registry.js.example/{unit.name}/{system}:1.0",
        "resources": resources,
    }
    spec: Manifest = {"containers": [container]} | json.loads(json.dumps(placement))
    if zone:
        spec.setdefault("nodeSelector", {})["topology.kubernetes.io/zone"] = zone
    if spread:
        term = {"labelSelector": {"matchLabels": labels}, "topologyKey": "kubernetes.io/hostname"}
        spec.setdefault("affinity", {})["podAntiAffinity"] = {"requiredDuringSchedulingIgnoredDuringExecution": [term]}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": system, "namespace": unit.namespace, "labels": labels},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": spec},
        },
    }


def member_cluster(nodes: list[Manifest], units: list[Unit], workloads: Mapping[str, list[Manifest]]) -> list[Manifest]:
    """Suzhou's own cluster before it joins: its hosts without the pool's taint, its departments' workloads."""
    own = [node for node in nodes if node["metadata"]["labels"]["topology.kubernetes.io/zone"] == MEMBER]
    objects: list[Manifest] = [node | {"spec": {}} for node in own]
    for unit in units:
        objects.append({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": unit.namespace}})
        objects += workloads[unit.name]
    return objects


def pods_of(deployments: list[Manifest]) -> list[Manifest]:
    """The pods that a cluster would make of Deployments, pending: input for ``yunchi plan`` without a cluster."""
    pods = []
    for deployment in deployments:
        meta = deployment["metadata"]
        for index in range(deployment["spec"]["replicas"]):
            template = deployment["spec"]["template"]
            tolerations = [{"key": "yunchi.io/pool", "operator": "Exists"}]
            spec = template["spec"] | {"schedulerName": "yunchi", "tolerations": tolerations}
            name = f"{meta['name']}-{index}"
            metadata = {
                "name": name,
                "namespace": meta["namespace"],
                "labels": template["metadata"]["labels"],
            }
            pods.append({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
    return pods
