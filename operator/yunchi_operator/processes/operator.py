"""``yunchi operator run``: wires Lease, Kopf, reconciler and metrics together.

Order of a start: metrics, Lease, first listing, work and watches. Order of a stop: intake, work under way, events,
Lease. A lost Lease ends the process at once: another may be acting already, and old state is never resumed.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import uuid
from collections.abc import Coroutine, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from yunchi_operator.api import names
from yunchi_operator.api.kinds import Kind
from yunchi_operator.handlers.context import Context
from yunchi_operator.handlers.feed import KopfFeed
from yunchi_operator.handlers.reconciler import Reconciler
from yunchi_operator.handlers.store import Store
from yunchi_operator.kube.client import KubeClient
from yunchi_operator.kube.events import EventRecorder
from yunchi_operator.kube.lease import LeaseElector, LeaseLostError
from yunchi_operator.telemetry.operator_metrics import OperatorMetrics, Pulse
from yunchi_operator.telemetry.server import Check, CheckResult, serve
from yunchi_operator.tenancy import tables

log = logging.getLogger(__name__)
LEASE_NAME = "yunchi-operator"
DRAIN_SECONDS = 10.0
"""For work under way at a stop; together with Kopf's end it lies below the pod's grace period of 30 s."""
SILENCE_PASSES = 3
"""After so many resync intervals without a sign of life the process counts as dead."""


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line says; see ``yunchi operator run --help``."""

    kubeconfig: Path | None = None
    context: str | None = None
    namespace: str = names.SYSTEM_NAMESPACE
    metrics_address: str = "0.0.0.0:8080"
    resync_seconds: float = 60.0


class OperatorProcess:
    """All parts of one process."""

    def __init__(self, client: KubeClient, options: Options) -> None:
        self._client = client
        self._options = options
        identity = f"{socket.gethostname()}_{uuid.uuid4()}"
        self._lease = LeaseElector(client, namespace=options.namespace, name=LEASE_NAME, identity=identity)
        self._events = EventRecorder(client, component="yunchi-operator", instance=identity[:128])
        self._store = Store()
        self._leading = False
        self._metrics = OperatorMetrics(self._objects, self._pulse)
        self._reconciler = Reconciler(self._metrics, resync_seconds=options.resync_seconds)
        self._reconciler.context = Context(
            client=client,
            store=self._store,
            events=self._events,
            namespace=options.namespace,
            tables=tables.shipped(),
            now=lambda: datetime.now(UTC),
            may_write=lambda: self._lease.held,
            notify=self._reconciler.notify,
        )
        self._feed = KopfFeed(self._store.kinds, self._reconciler.take, client.connection)

    async def run(self, stop: asyncio.Event) -> None:
        """Run until told to stop.

        Raises:
            LeaseLostError: another replica may be acting; the process must end.
            RuntimeError: when Kopf ended by itself.
        """
        server = await serve(self._options.metrics_address, self._metrics.registry, self._checks())
        try:
            if await _first_of(self._lease.acquire(), stop):
                await self._lead(stop)
        finally:
            await self._lease.release()
            await server.cleanup()

    async def _lead(self, stop: asyncio.Event) -> None:
        self._leading = True
        async with asyncio.TaskGroup() as holding:
            holder = holding.create_task(self._lease.hold(), name="lease")
            if await _first_of(self._reconciler.first_sync(), stop):
                log.info("%d objects listed", len(self._store.every_key()))
                await self._work(stop)
            holder.cancel()

    async def _work(self, stop: asyncio.Event) -> None:
        """Reconcile until told to stop; then let what is under way end."""
        async with asyncio.TaskGroup() as acting:
            tasks = [
                acting.create_task(self._reconciler.run(), name="reconciler"),
                acting.create_task(self._feed.run(), name="kopf"),
                acting.create_task(self._events.run(), name="events"),
            ]
            await stop.wait()
            log.info("stopping")
            self._reconciler.close()
            await self._feed.stop(DRAIN_SECONDS)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(DRAIN_SECONDS):
                    await self._reconciler.drained()
                    await self._events.drain()
            for task in tasks:
                task.cancel()

    # -- what monitoring sees -----------------------------------------------------------------------------------------

    def _objects(self) -> Iterator[Kind]:
        return (one for _, one in self._store.objects())

    def _pulse(self) -> Pulse:
        return Pulse(self._reconciler.silence_seconds, self._lease.held, self._events.dropped)

    def _checks(self) -> dict[str, Check]:
        return {"healthz/loop": self._check_loop, "readyz/sync": self._check_sync, "readyz/lease": self._check_lease}

    def _check_loop(self) -> CheckResult:
        if not self._leading:
            return CheckResult(ok=True, detail="standby")
        silence = self._reconciler.silence_seconds
        limit = SILENCE_PASSES * self._options.resync_seconds + DRAIN_SECONDS * 6
        return CheckResult(silence <= limit, f"last event or resync {silence:.0f} s ago")

    def _check_sync(self) -> CheckResult:
        if not self._leading:
            return CheckResult(ok=True, detail="standby")
        return CheckResult(self._reconciler.synced, "all kinds listed" if self._reconciler.synced else "not listed yet")

    def _check_lease(self) -> CheckResult:
        if not self._leading:
            return CheckResult(self._lease.holder is not None, f"standby, held by {self._lease.holder}")
        return CheckResult(self._lease.held, "held" if self._lease.held else "lost")


async def _first_of(work: Coroutine[None, None, None], stop: asyncio.Event) -> bool:
    """Whether the work ended before the order to stop, which cancels it."""
    task = asyncio.create_task(work)
    stopped = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait([task, stopped], return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            return False
        task.result()
        return True
    finally:
        for one in (task, stopped):
            one.cancel()
        await asyncio.gather(task, stopped, return_exceptions=True)


async def run(options: Options) -> int:
    """Run the operator until SIGTERM or SIGINT; a second signal ends it at once.

    Returns:
        Exit code: 0 after a signal, 1 when the Lease was lost or Kopf ended.

    Raises:
        ApiError: reason ``BadKubeconfig``.
        OSError: when the metrics address cannot be bound.
        BadAddressError: when it cannot be read.
    """
    loop, stop = asyncio.get_running_loop(), asyncio.Event()

    def order() -> None:
        if stop.is_set():
            log.warning("second signal: leaving at once")
            os._exit(130)
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, order)
    failed = False
    async with await KubeClient.connect(options.kubeconfig, options.context) as client:
        try:
            await OperatorProcess(client, options).run(stop)
        except* (LeaseLostError, RuntimeError) as group:
            log.error("leaving: %s", _first(group))  # noqa: TRY400 - foreseen; the text says it all
            failed = True
    return int(failed)


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    inner = group.exceptions[0]
    return _first(inner) if isinstance(inner, BaseExceptionGroup) else inner
