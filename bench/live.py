"""How long pods wait, and what their nodes cost: Yunchi beside kube-scheduler (MostAllocated) in one run.

    python bench/live.py [--nodes 1000] [--pods 10000] [--seed 1] [--only yunchi]

Each scheduler gets a fresh control plane with the same made-up province (`province.py`), and goes through the same day:

storm    all pods are there when the scheduler starts; seconds from its start to the last binding
lone     100 small pods, one at a time
churn    for 30 s as many pods come as go
restart  the scheduler is killed, and started again with one pod waiting; seconds to its binding

Waiting times are from the watch's news of a pod to its news of the binding, by one watcher. CPU and memory are
the scheduler's with its children. Run it on a quiet machine.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "hack"), str(ROOT / "tests")]

from plan_cli import node_manifest, pod_manifest, pools  # noqa: E402
from province import province  # noqa: E402
from rich.console import Console  # noqa: E402
from rich.table import Table  # noqa: E402

from controlplane.binaries import ensure_binaries  # noqa: E402
from controlplane.cluster import ControlPlane, scheduler_configuration, start_control_plane  # noqa: E402
from support import clusters  # noqa: E402
from yunchi_operator.kube.client import KubeClient  # noqa: E402
from yunchi_operator.kube.reflector import Reflector  # noqa: E402
from yunchi_placement import Problem  # noqa: E402

NAMESPACE = "bench"
LONE, CHURN_SECONDS, CHURN_PER_SECOND = 100, 30, 20
LIMIT_SECONDS = 900
SETTLE_SECONDS = 5.0
"""Nobody has been bound for so long: what is left has no room."""


class Meta(msgspec.Struct):
    """As much of a pod's metadata as is counted."""

    name: str
    namespace: str = ""


class Spec(msgspec.Struct, rename="camel"):
    """Where a pod went."""

    node_name: str = ""


class BoundPod(msgspec.Struct):
    """A pod, with or without a node."""

    metadata: Meta
    spec: Spec


@dataclass
class Usage:
    """What a process and its children have used: CPU seconds, and MiB of memory now."""

    cpu: float
    memory: float


@dataclass
class Watcher:
    """Notes when each pod came and when it got its node, through a watch of its own."""

    came: dict[str, float] = field(default_factory=dict)
    bound: dict[str, float] = field(default_factory=dict)
    nodes: dict[str, str] = field(default_factory=dict)
    last: float = 0.0

    def tell(self, _: str, old: BoundPod | None, new: BoundPod | None) -> None:
        """The reflector's handler."""
        now = time.monotonic()
        if new is None:
            if old is not None:
                self.nodes.pop(old.metadata.name, None)
            return
        name = new.metadata.name
        self.came.setdefault(name, now)
        if new.spec.node_name and name not in self.bound:
            self.bound[name] = self.last = now
            self.nodes[name] = new.spec.node_name

    def waits(self, names: list[str]) -> np.ndarray:
        """Seconds that these waited, as far as they are bound."""
        return np.array([self.bound[name] - self.came[name] for name in names if name in self.bound])


class Process:
    """A scheduler that can be started and stopped again."""

    def __init__(self, plane: ControlPlane, kind: str) -> None:
        self.plane, self.kind = plane, kind
        self._running: Any = None

    def start(self) -> None:
        """Start it; returns at once."""
        if self.kind == "kube-scheduler":
            config = scheduler_configuration("yunchi", fit_weight=10)
            self._running = self.plane.start_kube_scheduler(config, name=f"kube-scheduler-{time.monotonic_ns()}")
            return
        command = [sys.executable, "-m", "yunchi_operator.cli.main", "scheduler", "run", "--metrics-address"]
        with (self.plane.folder / "yunchi.log").open("a") as log:
            self._running = subprocess.Popen(
                [*command, "127.0.0.1:0", "--kubeconfig", str(self.plane.kubeconfig)], stderr=log
            )

    def stop(self) -> None:
        """Stop it and wait for its end."""
        if isinstance(self._running, subprocess.Popen):
            self._running.terminate()
            self._running.wait(60)
        elif self._running is not None:
            self._running.stop()

    @property
    def pid(self) -> int:
        """Of the process itself."""
        return int(self._running.pid)

    def usage(self) -> Usage:
        """Of the process and its children."""
        family = [self.pid, *_children(self.pid)]
        ticks = [Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split() for pid in family]
        pages = [int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in family]
        return Usage(sum(int(one[11]) + int(one[12]) for one in ticks) / 100, sum(pages) * 4096 / 2**20)


def _children(pid: int) -> list[int]:
    found = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (int(text) for text in (task / "children").read_text().split()):
            found += [child, *_children(child)]
    return found


@contextmanager
def prepared(binaries: Any, problem: Problem, logs: Path | None, kind: str) -> Iterator[ControlPlane]:
    """A control plane with the province's nodes, pools and pods."""
    with (
        tempfile.TemporaryDirectory(prefix="yunchi-live-") as folder,
        start_control_plane(binaries, Path(folder) / "plane", name="live") as plane,
    ):
        plane.create_namespace("yunchi-system")
        plane.create_namespace(NAMESPACE)
        plane.kubectl("apply", "-f", str(ROOT / "crds"))
        plane.kubectl("wait", "--for=condition=Established", "crd", "--all")
        create(plane, [node_manifest(node) for node in problem.nodes])
        clusters.wait_nodes_ready(plane, len(problem.nodes), timeout=600)
        create(plane, pools(problem))
        create(plane, [pod_manifest(item) for item in problem.items])
        try:
            yield plane
        finally:
            if logs:
                shutil.copytree(plane.folder, logs / kind, ignore=_no_data, dirs_exist_ok=True)


def _no_data(_: str, names: list[str]) -> list[str]:
    """Everything but logs stays behind: keys and data are nobody's business."""
    return [name for name in names if "." in name and not name.endswith(".log")] + ["data"]


def create(plane: ControlPlane, manifests: list[dict[str, Any]]) -> None:
    """Create all or fail."""
    failed = plane.create_many(manifests)
    assert not failed, failed[:3]


def small(name: str) -> dict[str, Any]:
    """A pod that fits anywhere."""
    return clusters.pod_manifest(name, NAMESPACE, cpu="50m", memory="64Mi", schedulerName="yunchi")


async def until(check: Callable[[], bool], seconds: float = LIMIT_SECONDS) -> None:
    """Wait, but not for ever."""
    deadline = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < deadline, "no end in sight; see the logs with --keep-logs"
        await asyncio.sleep(0.02)


class Day:
    """One scheduler's day."""

    def __init__(self, plane: ControlPlane, problem: Problem, kind: str) -> None:
        self.plane, self.problem = plane, problem
        self.process, self.watcher = Process(plane, kind), Watcher()
        self.rows: list[tuple[str, ...]] = []

    async def live(self) -> None:
        """All of it."""
        async with await KubeClient.connect(self.plane.kubeconfig) as client:
            path = f"/api/v1/namespaces/{NAMESPACE}/pods"
            reflector = Reflector(client, path, BoundPod, handler=self.watcher.tell, page_size=5000)
            watching = asyncio.create_task(reflector.run())
            await reflector.synced.wait()
            try:
                for act in (self.storm, self.lone, self.churn, self.restart):
                    await act()
            finally:
                watching.cancel()
                await asyncio.to_thread(self.process.stop)

    async def storm(self) -> None:
        """All pods wait when the scheduler starts."""
        started = time.monotonic()
        self.process.start()
        everyone = len(self.problem.items)
        with suppress(AssertionError):  # then what was bound within the limit is the result
            await until(lambda: len(self.watcher.bound) >= everyone or self._settled(), LIMIT_SECONDS)
        seconds = self.watcher.last - started
        used = set(self.watcher.nodes.values())
        cost = sum(node.cost for node in self.problem.nodes if node.name in used) / 1e6
        bound = len(self.watcher.bound)
        figures = f"{bound} of {everyone} bound, {len(used)} nodes, cost {cost:,.0f}"
        self._row("storm", f"{seconds:.1f} s, {bound / seconds:.0f} pods/s", figures)

    async def lone(self) -> None:
        """One pod at a time."""
        names = [f"lone-{number}" for number in range(LONE)]
        for name in names:
            await asyncio.to_thread(create, self.plane, [small(name)])
            await until(lambda name=name: name in self.watcher.bound, 60)  # type: ignore[misc]
        self._waited("lone", names)

    async def churn(self) -> None:
        """As many come as go."""
        chance, names = random.Random(0), []
        for second in range(CHURN_SECONDS):
            began = time.monotonic()
            batch = [f"churn-{second}-{number}" for number in range(CHURN_PER_SECOND)]
            names += batch
            await asyncio.to_thread(create, self.plane, [small(name) for name in batch])
            for name in chance.sample(sorted(self.watcher.nodes), CHURN_PER_SECOND):
                path = f"/api/v1/namespaces/{NAMESPACE}/pods/{name}?gracePeriodSeconds=0"
                await asyncio.to_thread(self.plane.request, "DELETE", path)
            await asyncio.sleep(max(0.0, 1.0 - (time.monotonic() - began)))
        await asyncio.sleep(2.0)
        self._waited("churn", names)

    async def restart(self) -> None:
        """The scheduler comes back to a full cluster."""
        await asyncio.to_thread(self.process.stop)
        await asyncio.to_thread(create, self.plane, [small("after-restart")])
        started = time.monotonic()
        self.process.start()
        await until(lambda: "after-restart" in self.watcher.bound, 120)
        self._row("restart", f"{self.watcher.bound['after-restart'] - started:.1f} s", "")

    def _settled(self) -> bool:
        return bool(self.watcher.last) and time.monotonic() - self.watcher.last > SETTLE_SECONDS * 6

    def _waited(self, what: str, names: list[str]) -> None:
        waits = 1000 * self.watcher.waits(names)
        half, most = np.percentile(waits, [50, 99])
        self._row(what, f"p50 {half:.0f} ms, p99 {most:.0f} ms", f"{len(waits)} of {len(names)} bound")

    def _row(self, what: str, speed: str, result: str) -> None:
        usage = self.process.usage()
        self.rows.append((self.process.kind, what, speed, result, f"{usage.cpu:.0f} s", f"{usage.memory:.0f} MiB"))
        print(*self.rows[-1], sep=" | ", flush=True)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--nodes", type=int, default=1000)
    parser.add_argument("--pods", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", choices=["kube-scheduler", "yunchi"])
    parser.add_argument("--keep-logs", type=Path, help="copy the control planes' logs there")
    options = parser.parse_args()
    binaries = ensure_binaries(lambda message: Console(stderr=True).print(message))
    problem = province(options.nodes, options.pods, options.seed)
    table = Table("scheduler", "part", "time", "result", "CPU", "memory")
    for kind in [options.only] if options.only else ["kube-scheduler", "yunchi"]:
        with prepared(binaries, problem, options.keep_logs, kind) as plane:
            day = Day(plane, problem, kind)
            asyncio.run(day.live())
            for row in day.rows:
                table.add_row(*row)
    Console(width=140).print(table)


if __name__ == "__main__":
    main()
