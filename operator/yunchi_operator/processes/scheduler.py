"""``yunchi scheduler run``: wires Lease, watches, queue, solver, binder, pool status and metrics together.

Order of a start: watches and solver first, so that a standby takes over warm; then the Lease; then the loop. Order of
a stop: no new batches, unsent bindings taken back, answers awaited, solver ended, Lease released last.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from yunchi_operator.api import names
from yunchi_operator.api.core import Namespace, Node, Pod
from yunchi_operator.api.disruption import PodDisruptionBudget
from yunchi_operator.api.kinds import NodePool
from yunchi_operator.api.sharing import Sharing
from yunchi_operator.api.volumes import (
    CSIDriver,
    CSINode,
    CSIStorageCapacity,
    PersistentVolume,
    PersistentVolumeClaim,
    StorageClass,
)
from yunchi_operator.kube.binding import Binder
from yunchi_operator.kube.client import KubeClient
from yunchi_operator.kube.lease import LeaseElector, LeaseLostError
from yunchi_operator.kube.narrator import Narrator
from yunchi_operator.kube.reflector import Handler, Reflector
from yunchi_operator.processes.news import News
from yunchi_operator.processes.pool_writer import PoolWriter
from yunchi_operator.processes.preemptor import Preemptor
from yunchi_operator.processes.scheduler_metrics import PoolGauges, Reading, SchedulerMetrics
from yunchi_operator.processes.scheduling_loop import SchedulingLoop
from yunchi_operator.processes.solver import Solver, SolverError
from yunchi_operator.processes.thinking import Thinker
from yunchi_operator.processes.volume_binder import VolumeBinder
from yunchi_operator.processes.waiting_room import WaitingRoom
from yunchi_operator.scheduling.items import DEFAULT_WEIGHTS, Weights
from yunchi_operator.scheduling.mirror import Mirror
from yunchi_operator.scheduling.pool_status import observe
from yunchi_operator.scheduling.queue import PendingQueue, Settings
from yunchi_operator.scheduling.stating import PodGroup
from yunchi_operator.scheduling.view import View
from yunchi_operator.scheduling.volumes import Storage
from yunchi_operator.telemetry.server import Check, CheckResult, serve
from yunchi_placement import Objective

log = logging.getLogger(__name__)

LEASE_NAME = "yunchi-scheduler"
UNFINISHED = "status.phase!=Succeeded,status.phase!=Failed"
STALE_WATCH_SECONDS = 180.0
STUCK_SOLVE_SECONDS = 30.0
DRAIN_SECONDS = 20.0
CONNECTIONS = 100
MOST_PARTS = 200_000
"""Equal parts of pods that are kept once."""
OBJECTIVE: Final[Objective] = "cost"


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line says; see ``yunchi scheduler run --help``."""

    kubeconfig: Path | None = None
    context: str | None = None
    namespace: str = names.SYSTEM_NAMESPACE
    metrics_address: str = "0.0.0.0:8080"
    batch_window_max: float = 1.0
    solve_timeout: float = 60.0
    pool_status_interval: float = 15.0
    concurrency: int = 64
    weights: Weights = DEFAULT_WEIGHTS


class SchedulerProcess:
    """All parts of one process, made by :meth:`run`."""

    def __init__(self, client: KubeClient, options: Options) -> None:
        self._options = options
        self._now = asyncio.get_running_loop().time
        identity = f"{socket.gethostname()}_{uuid.uuid4()}"
        self._lease = LeaseElector(client, namespace=options.namespace, name=LEASE_NAME, identity=identity)
        self._solver = Solver()
        self._warm = False
        self._metrics = SchedulerMetrics(self._read)
        self._narrator = Narrator(
            client,
            _utc_now,
            identity=identity,
            quiet=lambda: not self._binder.busy,
            count_dropped=self._metrics.dropped_events.inc,
        )
        self._nodes = Reflector(client, "/api/v1/nodes", Node, handler=self._on_node)
        share = Sharing(MOST_PARTS).pod
        self._pods = Reflector(
            client, "/api/v1/pods", Pod, handler=self._on_pod, field_selector=UNFINISHED, prepare=share
        )
        self._namespaces = Reflector(client, "/api/v1/namespaces", Namespace, handler=self._on_namespace)
        pools = f"/apis/{names.API_VERSION}/nodepools"
        self._pools = Reflector(client, pools, NodePool, handler=self._on_pool, optional=True)
        self._stores = _storage_reflectors(client, self._on_storage)
        groups = "/apis/scheduling.k8s.io/v1alpha2/podgroups"
        self._pod_groups = Reflector(client, groups, PodGroup, handler=self._on_pod_group, optional=True)
        storage = Storage(**{name: reflector.items for name, reflector in self._stores.items()})
        self._budgets = Reflector(client, "/apis/policy/v1/poddisruptionbudgets", PodDisruptionBudget)
        self._view = View(
            self._nodes.items,
            self._pods.items,
            self._namespaces.items,
            self._pools.items,
            storage,
            self._pod_groups.items,
            self._budgets.items,
        )
        mirror = Mirror(self._view, OBJECTIVE, options.weights)
        self._thinker = Thinker(
            mirror,
            self._solver,
            self._metrics,
            objective=OBJECTIVE,
            timeout_seconds=options.solve_timeout,
            now=self._now,
        )
        self._room = WaitingRoom(self._view, PendingQueue(Settings(window_max=options.batch_window_max)), self._now)
        self._news = News(self._view, room=self._room, mirror=mirror, narrator=self._narrator, now=self._now)
        self._loop = SchedulingLoop(
            self._view,
            room=self._room,
            news=self._news,
            thinker=self._thinker,
            narrator=self._narrator,
            metrics=self._metrics,
            now=self._now,
        )
        self._binder = Binder(
            client,
            self._loop.on_bound,
            allowed=lambda: self._lease.held,
            doubt=self._loop.doubt,
            concurrency=options.concurrency,
        )
        self._loop.binder = self._binder
        self._volume_binder = VolumeBinder(
            client,
            storage,
            ready=self._loop.on_volumes_ready,
            failed=self._loop.on_volumes_failed,
            allowed=lambda: self._lease.held,
        )
        self._loop.volume_binder = self._news.volume_binder = self._volume_binder
        self._preemptor = Preemptor(
            client,
            self._view,
            mirror=mirror,
            solver=self._solver,
            narrator=self._narrator,
            metrics=self._metrics,
            now=_utc_now,
            allowed=lambda: self._lease.held,
            timeout_seconds=options.solve_timeout,
        )
        self._loop.preemptor = self._news.preemptor = self._preemptor
        self._pool_writer = PoolWriter(client, self._view, options.pool_status_interval)

    # Handlers are bound late: the loop needs the reflectors' stores, and they need its handlers.

    def _on_node(self, key: str, old: Node | None, new: Node | None) -> None:
        self._news.on_node(key, old, new)

    def _on_pod(self, key: str, old: Pod | None, new: Pod | None) -> None:
        self._news.on_pod(key, old, new)

    def _on_pool(self, key: str, old: NodePool | None, new: NodePool | None) -> None:
        self._news.on_pool(key, old, new)

    def _on_storage(self, key: str, old: object, new: object) -> None:
        self._news.on_storage(key, old, new)

    def _on_pod_group(self, key: str, old: PodGroup | None, new: PodGroup | None) -> None:
        self._news.on_pod_group(key, old, new)

    def _on_namespace(self, key: str, old: Namespace | None, new: Namespace | None) -> None:
        self._news.on_namespace(key, old, new)

    @property
    def _reflectors(self) -> dict[str, Reflector[Any]]:
        return {
            "namespaces": self._namespaces,
            "nodes": self._nodes,
            "pods": self._pods,
            "nodepools": self._pools,
            "podgroups": self._pod_groups,
            "poddisruptionbudgets": self._budgets,
            **self._stores,
        }

    async def run(self) -> None:
        """Run until cancelled.

        Raises:
            LeaseLostError: another replica may be acting; the process must end.
        """
        server = await serve(self._options.metrics_address, self._metrics.registry, self._checks())
        try:
            async with self._watching():
                await self._warm_up()
                await self._lease.acquire()
                await self._lead()
        finally:
            await self._solver.stop()
            await self._lease.release()
            await server.cleanup()

    @contextlib.asynccontextmanager
    async def _watching(self) -> AsyncIterator[None]:
        """Mirror the cluster; a reflector that ends, which none should, ends the process."""
        async with asyncio.TaskGroup() as group:
            tasks = []
            for name, reflector in self._reflectors.items():
                tasks.append(group.create_task(reflector.run(), name=f"watch {name}"))
                await reflector.synced.wait()
                log.info("%s: %d listed", name, len(reflector.items))
            yield
            for task in tasks:
                task.cancel()

    async def _warm_up(self) -> None:
        """Load the engine before the first pod needs it."""
        try:
            await self._solver.warm_up()
        except SolverError as error:
            log.error("the solver does not start: %s", error)  # noqa: TRY400 - each solve will try again
        else:
            self._warm = True

    async def _lead(self) -> None:
        """Act, for as long as the Lease is held."""
        async with asyncio.TaskGroup() as holding:
            holder = holding.create_task(self._lease.hold(), name="lease")
            try:
                async with asyncio.TaskGroup() as acting:
                    acting.create_task(self._loop.run(), name="placement")
                    acting.create_task(self._loop.tick(), name="confirmations")
                    acting.create_task(self._pool_writer.run(), name="pool status")
            finally:
                await self._drain()
                holder.cancel()

    async def _drain(self) -> None:
        """Take back what was not sent and wait for the answers of what was."""
        self._loop.withdraw()
        self._volume_binder.stop()
        self._preemptor.stop()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(DRAIN_SECONDS if self._lease.held else 0):
                await self._binder.drain()
                await self._narrator.close()

    # -- what monitoring sees -----------------------------------------------------------------------------------------

    def _checks(self) -> dict[str, Check]:
        checks: dict[str, Check] = {"healthz/solve": self._check_solve, "readyz/solver": self._check_solver}
        for name, reflector in self._reflectors.items():
            checks[f"readyz/watch-{name}"] = _WatchCheck(reflector)
        return checks

    def _check_solve(self) -> CheckResult:
        since = self._thinker.solving_since
        age = 0.0 if since is None else self._now() - since
        limit = self._options.solve_timeout + STUCK_SOLVE_SECONDS
        return CheckResult(age <= limit, f"present solve runs for {age:.1f} s")

    def _check_solver(self) -> CheckResult:
        if not self._warm and self._thinker.last_solved is None:
            return CheckResult(ok=False, detail="the solver has not answered yet")
        failed = self._thinker.failures
        return CheckResult(failed < 3, f"{failed} failures in a row")

    def _read(self) -> Reading:
        solved = self._thinker.last_solved
        ages = {name: reflector.last_event_age_seconds for name, reflector in self._reflectors.items()}
        usages = observe(self._view.pools.values(), self._view.nodes.values(), self._view.ledger)
        return Reading(
            pending={state.value: count for state, count in self._room.queue.counts().items()},
            unplaceable=self._room.counts_by_rule(),
            pools={
                name: PoolGauges(_base_units(usage.allocatable), _base_units(usage.requested), usage.states)
                for name, usage in usages.items()
            },
            watch_ages={name: age for name, age in ages.items() if age is not None},
            lease_held=self._lease.held,
            left_to_others=sum(
                bool(pod.spec.resource_claims) and pod.spec.scheduler_name != names.SCHEDULER_NAME
                for pod in self._pods.items.values()
            ),
            solver_age=None if solved is None else self._now() - solved,
        )


def _storage_reflectors(client: KubeClient, handler: Handler[Any]) -> dict[str, Reflector[Any]]:
    """All that is known of storage, by the names of :class:`Storage`."""
    group = "/apis/storage.k8s.io/v1"
    paths: dict[str, tuple[str, type[Any]]] = {
        "claims": ("/api/v1/persistentvolumeclaims", PersistentVolumeClaim),
        "volumes": ("/api/v1/persistentvolumes", PersistentVolume),
        "classes": (f"{group}/storageclasses", StorageClass),
        "csi_nodes": (f"{group}/csinodes", CSINode),
        "drivers": (f"{group}/csidrivers", CSIDriver),
        "capacities": (f"{group}/csistoragecapacities", CSIStorageCapacity),
    }
    return {name: Reflector(client, path, kind, handler=handler) for name, (path, kind) in paths.items()}


@dataclass(frozen=True, slots=True)
class _WatchCheck:
    """Ready means: listed once, and the server was heard not long ago."""

    reflector: Reflector[Any]

    def __call__(self) -> CheckResult:
        age = self.reflector.last_event_age_seconds
        if age is None or not self.reflector.synced.is_set():
            return CheckResult(ok=False, detail="not listed yet")
        return CheckResult(age < STALE_WATCH_SECONDS, f"last heard {age:.0f} s ago")


def _base_units(amounts: dict[str, int]) -> dict[str, float]:
    """Cores instead of millicores; everything else is in base units already."""
    return {resource: amount / 1000 if resource == "cpu" else amount for resource, amount in amounts.items()}


def _utc_now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


async def run(options: Options) -> int:
    """Run the scheduler until SIGTERM or SIGINT.

    Returns:
        Exit code: 0 after a signal, 1 when the Lease was lost.

    Raises:
        ApiError: reason ``BadKubeconfig``.
        OSError: when the metrics address cannot be bound.
    """
    loop, main = asyncio.get_running_loop(), asyncio.current_task()
    assert main is not None  # noqa: S101 - a coroutine runs in a task
    stopped = asyncio.Event()

    def stop() -> None:
        if stopped.is_set():
            log.warning("second signal: leaving at once")
            os._exit(130)
        stopped.set()
        main.cancel()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    try:
        return await _run_until_lost(options)
    except asyncio.CancelledError:
        if not stopped.is_set():
            raise
        main.uncancel()
        log.info("stopped")
        return 0


async def _run_until_lost(options: Options) -> int:
    """Run; 1 when the Lease was lost, which is foreseen and no traceback."""
    lost = False
    async with await KubeClient.connect(options.kubeconfig, options.context, connections=CONNECTIONS) as client:
        try:
            await SchedulerProcess(client, options).run()
        except* LeaseLostError as group:
            log.error("leaving: %s", _first(group))  # noqa: TRY400
            lost = True
    return int(lost)


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    inner = group.exceptions[0]
    return _first(inner) if isinstance(inner, BaseExceptionGroup) else inner
