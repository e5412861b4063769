"""A running ``yunchi scheduler run``, with the rights of the chart's ServiceAccount, and a check of what it did."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from controlplane.cluster import ControlPlane
from support.charts import NAMESPACE
from support.clusters import pod_manifest, wait_nodes_ready
from support.operator_process import eventually, free_port
from yunchi_operator.api.core import decode_pod_list
from yunchi_operator.api.quantities import scaled_list
from yunchi_operator.scheduling.requests import pod_requests


class RunningScheduler:
    """A started scheduler; use `start_scheduler`."""

    def __init__(self, plane: ControlPlane, folder: Path, name: str) -> None:
        self.address = f"127.0.0.1:{free_port()}"
        self.log = folder / f"{name}.log"
        kubeconfig = plane.service_account_kubeconfig(NAMESPACE, "yunchi-scheduler")
        command = [sys.executable, "-m", "yunchi_operator.cli.main", "scheduler", "run"]
        command += ["--kubeconfig", str(kubeconfig), "--metrics-address", self.address, "--pool-status-interval", "0.5"]
        environment = {"PATH": os.environ["PATH"], "HOME": str(folder)}
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment, start_new_session=True
            )

    def get(self, path: str) -> tuple[int, str]:
        """Status and text of a page of its server; status 0 when it does not listen."""
        try:
            with urllib.request.urlopen(f"http://{self.address}{path}", timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError as error:
            return 0, str(error)

    def metric(self, series: str) -> float | None:
        """The value of one series, named with its labels as `/metrics` spells them; None when there is none."""
        for line in self.get("/metrics")[1].splitlines():
            if line.startswith(series + " "):
                return float(line.rsplit(" ", 1)[1])
        return None

    def wait_ready(self) -> None:
        """Wait until it is ready; a standby is, too."""
        eventually(self._is_ready, what=f"scheduler ready, see {self.log}")

    def wait_leading(self) -> None:
        """Wait until it holds the Lease."""
        eventually(lambda: self.metric("yunchi_lease_held") == 1.0, what=f"the Lease, see {self.log}")

    def _is_ready(self) -> bool:
        if self.process.poll() is not None:
            pytest.fail(f"the scheduler ended:\n{self.log.read_text()}")
        return self.get("/readyz")[0] == 200

    def kill(self) -> None:
        """End it without a chance to tidy up."""
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        """End it by SIGTERM, and its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(timeout=40)
        except subprocess.TimeoutExpired:
            self.kill()
            raise


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
