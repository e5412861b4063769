"""How long pods wait, and how many nodes they take: Yunchi beside kube-scheduler (MostAllocated) in one run.

    python bench/live.py [--nodes 1000] [--pods 5000] [--rounds 1]

Each scheduler gets a fresh control plane with the same nodes and pods. "before": the pods are there when the scheduler
starts. "while": they are created while it runs. Seconds count from the scheduler's start, or from the first creation,
to the last binding; "binding" is from the first to the last binding. Run it on a quiet machine.
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
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "hack"), str(ROOT / "tests")]

from rich.console import Console  # noqa: E402
from rich.table import Table  # noqa: E402

from controlplane.binaries import ensure_binaries  # noqa: E402
from controlplane.cluster import ControlPlane, scheduler_configuration, start_control_plane  # noqa: E402
from support.clusters import node_manifest, pod_manifest, wait_nodes_ready  # noqa: E402
from yunchi_operator.kube.client import KubeClient  # noqa: E402
from yunchi_operator.kube.reflector import Reflector  # noqa: E402

NAMESPACE = "bench"
SHAPES = [("250m", "512Mi"), ("500m", "2Gi"), ("1", "1Gi"), ("1500m", "8Gi"), ("2", "4Gi"), ("3", "6Gi")]
LIMIT_SECONDS = 300


class Meta(msgspec.Struct):
    """As much of a pod's metadata as is counted."""

    name: str
    namespace: str = ""


class Spec(msgspec.Struct, rename="camel"):
    """Where a pod went."""

    node_name: str = ""


class BoundPod(msgspec.Struct):
    """A pod that has a node."""

    metadata: Meta
    spec: Spec


@dataclass(frozen=True)
class Result:
    """One measurement."""

    scheduler: str
    when: str
    seconds: float
    binding_seconds: float
    bound: int
    nodes: int


class Watcher:
    """Notes when each pod got its node, through a watch of its own."""

    def __init__(self, plane: ControlPlane) -> None:
        self._plane = plane
        self.first = self.last = 0.0
        self.nodes: set[str] = set()
        self.bound = 0

    def _tell(self, _: str, old: BoundPod | None, new: BoundPod | None) -> None:
        if old is None and new is not None:
            self.last = time.monotonic()
            self.first = self.first or self.last
            self.bound += 1
            self.nodes.add(new.spec.node_name)

    async def measure(self, count: int, act: Callable[[], None], alive: Callable[[], bool]) -> float:
        """Act once the watch stands, and wait until so many pods are bound; returns when the act began."""
        async with await KubeClient.connect(self._plane.kubeconfig) as client:
            path = f"/api/v1/namespaces/{NAMESPACE}/pods"
            reflector = Reflector(client, path, BoundPod, handler=self._tell, field_selector="spec.nodeName!=")
            watching = asyncio.create_task(reflector.run())
            await reflector.synced.wait()
            started = time.monotonic()
            await asyncio.to_thread(act)
            while self.bound < count and time.monotonic() - started < LIMIT_SECONDS:
                assert alive(), f"the scheduler has ended, see the logs in {self._plane.folder}"
                await asyncio.sleep(0.02)
            watching.cancel()
        return started


def pods(count: int, seed: int) -> list[dict[str, Any]]:
    """Pods of a few shapes, for the scheduler named yunchi, whichever answers to it."""
    chance = random.Random(seed)
    shapes = [chance.choice(SHAPES) for _ in range(count)]
    return [
        pod_manifest(f"pod-{number:05}", NAMESPACE, cpu=cpu, memory=memory, schedulerName="yunchi")
        for number, (cpu, memory) in enumerate(shapes)
    ]


@contextmanager
def kube_scheduler(plane: ControlPlane) -> Iterator[Callable[[], bool]]:
    """The baseline, answering to the name yunchi."""
    process = plane.start_kube_scheduler(scheduler_configuration("yunchi", fit_weight=10))
    try:
        yield lambda: process.running
    finally:
        process.stop()


@contextmanager
def yunchi(plane: ControlPlane) -> Iterator[Callable[[], bool]]:
    """Yunchi as a user starts it."""
    command = [sys.executable, "-m", "yunchi_operator.cli.main", "scheduler", "run"]
    with (plane.folder / "yunchi.log").open("a") as log:
        process = subprocess.Popen(
            [*command, "--kubeconfig", str(plane.kubeconfig), "--metrics-address", "127.0.0.1:0"], stderr=log
        )
        try:
            yield lambda: process.poll() is None
        finally:
            process.terminate()
            process.wait(30)


SCHEDULERS = {"kube-scheduler": kube_scheduler, "yunchi": yunchi}


def run(scheduler: str, plane: ControlPlane, nodes: int, count: int, seed: int) -> Iterator[Result]:
    """Both measurements of one scheduler on a fresh control plane."""
    plane.create_namespace("yunchi-system")
    plane.create_namespace(NAMESPACE)
    failed = plane.create_many([node_manifest(f"node-{n:04}", cpu="16", memory="64Gi") for n in range(nodes)])
    failed += plane.create_many(pods(count, seed))
    assert not failed, failed[:3]
    wait_nodes_ready(plane, nodes)
    watcher = Watcher(plane)
    with ExitStack() as stack:
        alive: list[Callable[[], bool]] = []
        started = asyncio.run(
            watcher.measure(
                count,
                lambda: alive.append(stack.enter_context(SCHEDULERS[scheduler](plane))),
                lambda: all(check() for check in alive),
            )
        )
        yield result(scheduler, "before", watcher, started)
        remove_pods(plane)
        watcher = Watcher(plane)
        started = asyncio.run(watcher.measure(count, lambda: create(plane, pods(count, seed)), alive[0]))
        yield result(scheduler, "while", watcher, started)


def remove_pods(plane: ControlPlane) -> None:
    """Remove all pods at once, and let everybody hear of it."""
    path = f"/api/v1/namespaces/{NAMESPACE}/pods"
    while plane.request("GET", f"{path}?limit=1")[1]["items"]:
        with suppress(TimeoutError):  # the server stops when its client leaves: ask again
            plane.request("DELETE", f"{path}?gracePeriodSeconds=0")
    time.sleep(3)


def create(plane: ControlPlane, manifests: list[dict[str, Any]]) -> None:
    """Create all or fail."""
    failed = plane.create_many(manifests)
    assert not failed, failed[:3]


def result(scheduler: str, when: str, watcher: Watcher, started: float) -> Result:
    """What a watcher saw."""
    binding = watcher.last - watcher.first
    return Result(scheduler, when, watcher.last - started, binding, watcher.bound, len(watcher.nodes))


def least_nodes(count: int, seed: int) -> int:
    """The volume bound: no packing takes fewer nodes of 16 cores and 64 GiB."""
    chance = random.Random(seed)
    shapes = [chance.choice(SHAPES) for _ in range(count)]
    milli = sum(int(cpu[:-1]) if cpu.endswith("m") else 1000 * int(cpu) for cpu, _ in shapes)
    mebi = sum(int(memory[:-2]) * (1024 if memory.endswith("Gi") else 1) for _, memory in shapes)
    return max(-(-milli // 16_000), -(-mebi // (64 * 1024)))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--nodes", type=int, default=1000)
    parser.add_argument("--pods", type=int, default=5000)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--only", choices=sorted(SCHEDULERS))
    parser.add_argument("--keep-logs", type=Path, help="copy the control planes' logs there")
    options = parser.parse_args()
    console = Console()
    binaries = ensure_binaries(lambda message: Console(stderr=True).print(message))
    table = Table("scheduler", "pods come", "seconds", "binding", "pods/s", "bound", "nodes used")
    for number in range(options.rounds):
        for scheduler in [options.only] if options.only else list(SCHEDULERS):
            with tempfile.TemporaryDirectory(prefix="yunchi-live-") as folder:
                with start_control_plane(binaries, Path(folder) / "plane", name="live") as plane:
                    for one in run(scheduler, plane, options.nodes, options.pods, seed=number):
                        rate = one.bound / one.seconds if one.seconds else 0.0
                        figures = (f"{one.seconds:.1f}", f"{one.binding_seconds:.1f}", f"{rate:.0f}")
                        table.add_row(one.scheduler, one.when, *figures, str(one.bound), str(one.nodes))
                if options.keep_logs:
                    shutil.copytree(folder, options.keep_logs / f"{scheduler}-{number}", ignore=_no_data)
    console.print(table)
    console.print(f"Volume bound: {least_nodes(options.pods, 0)} nodes (seed 0).")


def _no_data(_: str, names: list[str]) -> list[str]:
    """Everything but logs stays behind: keys and data are nobody's business."""
    return [name for name in names if "." in name and not name.endswith(".log")] + ["data"]


if __name__ == "__main__":
    main()
