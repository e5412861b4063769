"""Control planes for tests: preparing the binaries once, and small helpers to use a cluster."""

import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from controlplane.binaries import Binaries, ensure_binaries
from controlplane.cluster import ControlPlane
from controlplane.errors import ControlPlaneError

PREPARED = pytest.StashKey[Binaries | str]()
CLUSTER_FIXTURES = frozenset({"binaries", "pool", "clean_pool", "namespace", "control_plane_factory"})
_KEPT_NAMESPACES = ("default", "kube-system", "kube-public", "kube-node-lease")


def prepare_binaries(tell: Callable[[str], None]) -> Binaries | str:
    """The binaries, built if need be, or the reason why there are none."""
    if not Path("/proc/self/stat").exists():
        return "control planes need Linux (/proc)"
    try:
        return ensure_binaries(lambda message: tell(f"controlplane: {message}"))
    except ControlPlaneError as error:
        return str(error)


def give_up(reason: str) -> None:
    """Without a control plane: fail where a machine checks, skip with the reason where a person does."""
    message = f"no control plane: {reason}"
    if os.environ.get("CI", "").lower() in {"1", "true"}:
        pytest.fail(message)
    pytest.skip(message)


def wait_until(condition: Callable[[], Any], what: str, timeout: float = 60.0) -> Any:
    """Poll until the condition is truthy; its value. Fails the test, naming what was waited for and last seen."""
    deadline = time.monotonic() + timeout
    while True:
        seen = condition()
        if seen:
            return seen
        if time.monotonic() >= deadline:
            pytest.fail(f"waited {timeout:.0f} s for {what}; last seen: {seen!r}")
        time.sleep(0.1)


def clean(plane: ControlPlane) -> None:
    """Remove the nodes and namespaces that earlier tests left."""
    status, body = plane.request("GET", "/api/v1/namespaces")
    assert status == 200, body
    names = [item["metadata"]["name"] for item in body["items"]]
    extra = [name for name in names if name not in _KEPT_NAMESPACES]
    # Pods first and at once: a namespace that still meets terminating ones waits five seconds more.
    owners = "deployments,statefulsets,replicasets,daemonsets,jobs,poddisruptionbudgets"
    plane.kubectl("delete", owners, "--all", "--all-namespaces", timeout=120)
    for name in names:
        remove_pods(plane, name)
    if extra:
        plane.kubectl("delete", "namespace", "--wait=true", "--ignore-not-found", *extra, timeout=180)
    plane.kubectl("delete", "nodes", "--all", timeout=120)


def remove_pods(plane: ControlPlane, namespace: str, timeout: float = 120.0) -> None:
    """Delete all pods of a namespace at once; kubectl would ask for thousands of them one by one."""
    path, deadline = f"/api/v1/namespaces/{namespace}/pods", time.monotonic() + timeout
    while plane.request("GET", f"{path}?limit=1")[1]["items"]:
        assert time.monotonic() < deadline, f"pods of {namespace} do not go"
        with suppress(TimeoutError):  # the server stops when its client leaves: ask again
            plane.request("DELETE", f"{path}?gracePeriodSeconds=0")


def node_manifest(
    name: str,
    *,
    cpu: str = "8",
    memory: str = "32Gi",
    pods: str = "110",
    labels: dict[str, str] | None = None,
    architecture: str = "arm64",
    extended: dict[str, str] | None = None,
    taints: list[dict[str, str]] | None = None,
) -> dict[str, Any]:
    """A Node that kwok brings to life."""
    resources = {"cpu": cpu, "memory": memory, "pods": pods} | (extended or {})
    well_known = {"kubernetes.io/arch": architecture, "kubernetes.io/hostname": name, "kubernetes.io/os": "linux"}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": well_known | (labels or {})},
        "spec": {"taints": taints} if taints else {},
        "status": {
            "capacity": resources,
            "allocatable": resources,
            "nodeInfo": {"architecture": architecture, "operatingSystem": "linux"},
        },
    }


def pod_manifest(
    name: str,
    namespace: str,
    *,
    cpu: str = "100m",
    memory: str = "128Mi",
    labels: dict[str, str] | None = None,
    **spec: Any,
) -> dict[str, Any]:
    """A pod of one container; further keywords go into its spec."""
    container = {"name": "main", "image": "example.invalid/app:1"}
    resources = {"requests": {"cpu": cpu, "memory": memory}}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "labels": labels or {}},
        "spec": {"containers": [container | {"resources": resources}]} | spec,
    }


def node_ready(node: dict[str, Any]) -> bool:
    """Whether a node is Ready and free of the taints that keep pods off a new node."""
    conditions = {item["type"]: item["status"] for item in node["status"].get("conditions", [])}
    taints = [taint["key"] for taint in node["spec"].get("taints", [])]
    return conditions.get("Ready") == "True" and not any(key.startswith("node.kubernetes.io/") for key in taints)


def wait_nodes_ready(plane: ControlPlane, count: int, timeout: float = 90.0) -> None:
    """Wait until so many nodes take pods."""

    def ready() -> bool:
        nodes = plane.request("GET", "/api/v1/nodes")[1]["items"]
        return sum(map(node_ready, nodes)) >= count

    wait_until(ready, f"{count} ready nodes", timeout)
