"""A running ``yunchi scheduler run``, with the rights of the chart's ServiceAccount, and a check of what it did."""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from controlplane.cluster import ControlPlane
from support.clusters import pod_manifest, wait_nodes_ready
from support.yunchi_process import RunningProcess, eventually
from yunchi_operator.api.core import decode_pod_list
from yunchi_operator.api.quantities import scaled_list
from yunchi_operator.scheduling.requests import pod_requests


class RunningScheduler(RunningProcess):
    """A started scheduler; use `start_scheduler`."""

    def __init__(self, plane: ControlPlane, folder: Path, name: str) -> None:
        super().__init__("scheduler", plane, folder, name, "--pool-status-interval", "0.5")


@contextlib.contextmanager
def start_scheduler(
    plane: ControlPlane, folder: Path, *, name: str = "scheduler", leading: bool = True
) -> Iterator[RunningScheduler]:
    """Start a scheduler against a control plane in which the chart is installed; it is stopped at the end."""
    running = RunningScheduler(plane, folder, name)
    try:
        running.wait_ready()
        if leading:
            running.wait_leading()
        yield running
    finally:
        running.stop()


def pods_of(plane: ControlPlane, namespace: str) -> list[dict[str, Any]]:
    """All pods of a namespace."""
    status, body = plane.request("GET", f"/api/v1/namespaces/{namespace}/pods")
    assert status == 200, body
    found: list[dict[str, Any]] = body["items"]
    return found


def node_of(pod: dict[str, Any]) -> str:
    """Where a pod is; empty while it waits."""
    return str(pod["spec"].get("nodeName", ""))


def scheduled_condition(pod: dict[str, Any]) -> dict[str, Any]:
    """The PodScheduled condition; empty when there is none."""
    conditions = pod.get("status", {}).get("conditions", [])
    return next((one for one in conditions if one["type"] == "PodScheduled"), {})


def overcommitted(plane: ControlPlane) -> dict[str, dict[str, tuple[int, int]]]:
    """Nodes that hold more than they offer: resource to (requested, allocatable), counted from API objects alone."""
    status, nodes = plane.request("GET", "/api/v1/nodes")
    assert status == 200
    selector = "fieldSelector=status.phase!=Succeeded,status.phase!=Failed,spec.nodeName!="
    listed = plane.kubectl("get", "--raw", f"/api/v1/pods?{selector}").stdout
    requested: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for pod in decode_pod_list(listed.encode()).items:
        for resource, amount in pod_requests(pod).items():
            requested[pod.spec.node_name][resource] += amount
    found: dict[str, dict[str, tuple[int, int]]] = {}
    for node in nodes["items"]:
        name, offered = node["metadata"]["name"], scaled_list(node["status"]["allocatable"])
        over = {r: (n, offered.get(r, 0)) for r, n in requested.get(name, {}).items() if n > offered.get(r, 0)}
        if over:
            found[name] = over
    return found


def make_nodes(plane: ControlPlane, *manifests: dict[str, Any]) -> None:
    """Create nodes and wait until they take pods; there must be no others."""
    assert plane.create_many(manifests) == []
    wait_nodes_ready(plane, len(manifests))


def ours(name: str, namespace: str, **options: Any) -> dict[str, Any]:
    """A pod that is ours to place."""
    return pod_manifest(name, namespace, schedulerName="yunchi", **options)


def placed(plane: ControlPlane, namespace: str, count: int) -> dict[str, str]:
    """Wait until so many pods have a node; name to node."""

    def bound() -> dict[str, str]:
        return {pod["metadata"]["name"]: node_of(pod) for pod in pods_of(plane, namespace) if node_of(pod)}

    eventually(lambda: len(bound()) >= count, f"{count} bound pods in {namespace}")
    return bound()
