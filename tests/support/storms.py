"""Storms of pods under faults: schedulers that end and are started again, a witness of every binding, the verdict."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from controlplane.cluster import ControlPlane
from support.charts import NAMESPACE
from support.clusters import node_manifest, wait_until
from support.scheduler_process import make_nodes, node_of, ours, overcommitted, pods_of, scheduled_condition
from support.yunchi_process import RunningProcess, free_port

# As `yunchi`, but with a Lease that runs out sooner: no option of the command sets that.
_RUN = """
import sys
from yunchi_operator.cli.main import main
from yunchi_operator.kube import lease
timing = lease.LeaseTiming(*map(float, sys.argv.pop(1).split(",")))
lease.LeaseElector.__init__.__kwdefaults__["timing"] = timing
main()
"""
PATIENT = (15.0, 10.0, 2.0)
"""The Lease's duration, deadline of renewal and time between tries, as the scheduler has them."""
BRISK = (4.0, 2.5, 0.4)
HASTY = (1.0, 0.9, 0.1)


class StormScheduler(RunningProcess):
    """`yunchi scheduler run`, perhaps through a proxy and with another Lease timing."""

    def __init__(
        self,
        plane: ControlPlane,
        folder: Path,
        name: str,
        *options: str,
        kubeconfig: Path | None = None,
        lease: tuple[float, float, float] = PATIENT,
    ) -> None:
        self.plane, self.part = plane, "scheduler"
        self.address = f"127.0.0.1:{free_port()}"
        self.log = folder / f"{name}.log"
        chosen = kubeconfig or account(plane)
        command = [sys.executable, "-c", _RUN, ",".join(map(str, lease)), "scheduler", "run"]
        command += ["--kubeconfig", str(chosen), "--metrics-address", self.address, *options]
        environment = {"PATH": os.environ["PATH"], "HOME": str(folder)}
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment, start_new_session=True
            )

    @property
    def ended(self) -> bool:
        return self.process.poll() is not None

    @property
    def leads(self) -> bool:
        return not self.ended and self.metric("yunchi_lease_held") == 1.0

    @property
    def worker(self) -> int | None:
        """Process id of its solver, while there is one."""
        for child in Path(f"/proc/{self.process.pid}/task").glob("*/children"):
            for pid in child.read_text().split():
                if b"solver_worker" in Path(f"/proc/{pid}/cmdline").read_bytes():
                    return int(pid)
        return None

    def __enter__(self) -> Self:
        self.wait_ready()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.stop()
        else:
            self.kill()


def account(plane: ControlPlane) -> Path:
    """A kubeconfig of the chart's ServiceAccount."""
    return plane.service_account_kubeconfig(NAMESPACE, "yunchi-scheduler")


class Keeper:
    """Some replicas; whichever has ended is started again, as a kubelet would.

    Attributes:
        replicas: the present ones.
        starts: how many there were in all.
    """

    def __init__(self, start: Callable[[str], StormScheduler], replicas: int = 2) -> None:
        self.starts = 0
        self._start = start
        self.replicas = [self._new() for _ in range(replicas)]

    def _new(self) -> StormScheduler:
        self.starts += 1
        return self._start(f"replica-{self.starts:02}")

    def tend(self) -> None:
        """Start again what has ended."""
        for index, replica in enumerate(self.replicas):
            if replica.ended:
                self.replicas[index] = self._new()

    def leader(self, timeout: float = 30.0) -> StormScheduler:
        """Wait for one that holds the Lease."""

        def find() -> StormScheduler | None:
            self.tend()
            return next((replica for replica in self.replicas if replica.leads), None)

        found: StormScheduler = wait_until(find, "a leader", timeout)
        return found

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        for replica in self.replicas:
            replica.kill()


@dataclass(slots=True)
class _Seen:
    """The latest of a pod that the witness saw."""

    name: str
    node: str = ""
    message: str = ""
    gone: bool = False


class Witness:
    """Watches a namespace's pods on a thread of its own, as an administrator, with no code that is under test.

    Attributes:
        nodes: every node that a pod's uid was ever seen on.
        pods: the latest of each uid.
    """

    def __init__(self, plane: ControlPlane, namespace: str) -> None:
        self.nodes: dict[str, set[str]] = defaultdict(set)
        self.pods: dict[str, _Seen] = {}
        self._plane = plane
        self._path = f"/api/v1/namespaces/{namespace}/pods"
        self._version = ""
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="witness", daemon=True)
        self._thread.start()

    @property
    def bound(self) -> int:
        return sum(bool(pod.node) and not pod.gone for pod in list(self.pods.values()))

    @property
    def refused(self) -> int:
        """Pods that wait and know why."""
        return sum(bool(pod.message) and not pod.node and not pod.gone for pod in list(self.pods.values()))

    def stop(self) -> None:
        self._over.set()
        self._thread.join(10)

    def _run(self) -> None:
        while not self._over.is_set():
            try:
                if not self._version:
                    self._list()
                self._watch()
            except (OSError, http.client.HTTPException, ValueError):
                time.sleep(0.05)

    def _list(self) -> None:
        status, body = self._plane.request("GET", self._path)
        if status != 200:
            raise ValueError(body)
        for uid in self.pods.keys() - {pod["metadata"]["uid"] for pod in body["items"]}:
            self.pods[uid].gone = True
        for pod in body["items"]:
            self._note(pod)
        self._version = body["metadata"]["resourceVersion"]

    def _watch(self) -> None:
        address = urlsplit(self._plane.url).netloc
        connection = http.client.HTTPSConnection(address, context=self._plane.tls, timeout=1.0)
        try:
            connection.request("GET", f"{self._path}?watch=true&resourceVersion={self._version}")
            answer = connection.getresponse()
            while answer.status == 200 and not self._over.is_set():
                line = answer.readline()
                if not line.endswith(b"\n"):
                    return
                self._take(json.loads(line))
            if answer.status == 410:
                self._version = ""
        finally:
            connection.close()

    def _take(self, event: dict[str, Any]) -> None:
        if event["type"] == "ERROR":
            self._version = ""
            raise ValueError(event)
        self._note(event["object"], gone=event["type"] == "DELETED")
        self._version = event["object"]["metadata"]["resourceVersion"]

    def _note(self, pod: dict[str, Any], *, gone: bool = False) -> None:
        uid, condition = pod["metadata"]["uid"], scheduled_condition(pod)
        message = condition.get("message", "") if condition.get("status") == "False" else ""
        self.pods[uid] = _Seen(pod["metadata"]["name"], node_of(pod), message, gone)
        if node_of(pod):
            self.nodes[uid].add(node_of(pod))


class Storm:
    """Nodes that offer just so much, pods that come in, and the verdict. Use as a context manager.

    Args:
        plane: where.
        namespace: of the pods; empty so far.
        nodes: how many; there must be no others.
        cpu: of each node.
    """

    def __init__(self, plane: ControlPlane, namespace: str, *, nodes: int, cpu: str = "16") -> None:
        self.plane, self.namespace = plane, namespace
        make_nodes(plane, *(node_manifest(f"n-{n:03}", cpu=cpu, memory="256Gi") for n in range(nodes)))
        self.witness = Witness(plane, namespace)
        self.expected: set[str] = set()
        self._creators: list[threading.Thread] = []
        self._refused: list[Any] = []

    def create(self, count: int, cpu: str, prefix: str = "p") -> None:
        """Have so many pods come in meanwhile."""
        pods = [ours(f"{prefix}-{n:04}", self.namespace, cpu=cpu) for n in range(count)]
        self.expected |= {pod["metadata"]["name"] for pod in pods}
        creator = threading.Thread(target=lambda: self._refused.extend(self.plane.create_many(pods, 16)))
        creator.start()
        self._creators.append(creator)

    def wait_bound(self, count: int, timeout: float = 30.0) -> None:
        deadline = time.monotonic() + timeout
        while self.witness.bound < count:
            assert time.monotonic() < deadline, f"{self.witness.bound} of {count} bound after {timeout:.0f} s"
            time.sleep(0.01)

    def settle(self, *, pending: int = 0, timeout: float = 40.0) -> None:
        """Wait until all are bound but for some that know why not, and judge."""
        for creator in self._creators:
            creator.join()
        assert self._refused == []
        self.wait_bound(len(self.expected) - pending, timeout)
        wait_until(lambda: self.witness.refused >= pending, f"{pending} honest refusals", 15.0)
        self.judge()

    def judge(self) -> None:
        """No pod lost, none on two nodes, none in the dark, no node too full."""
        pods = {pod["metadata"]["name"]: pod for pod in pods_of(self.plane, self.namespace)}
        assert set(pods) == self.expected
        for name, pod in pods.items():
            uid, node, condition = pod["metadata"]["uid"], node_of(pod), scheduled_condition(pod)
            told = condition.get("status") == "False" and bool(condition.get("message"))
            assert node or told, f"{name} waits and is not told why: {condition}"
            wait_until(lambda: uid in self.witness.pods, f"the witness to see {name}", 5.0)  # noqa: B023
            assert self.witness.nodes[uid] == ({node} if node else set()), name
        assert all(len(nodes) <= 1 for nodes in self.witness.nodes.values())
        assert overcommitted(self.plane) == {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        for creator in self._creators:
            creator.join()
        self.witness.stop()
        for path in (f"/api/v1/namespaces/{self.namespace}/pods?gracePeriodSeconds=0", "/api/v1/nodes"):
            self.plane.request("DELETE", path)
