"""The loops that do the work: workers on two queues, and one resync pass for the whole process.

Looks at member clusters have a queue and workers of their own, so that a cloud that hangs holds up nothing else. The
resync reads all kinds anew: it corrects drift, and what a silently stalled watch has missed.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, Protocol

import msgspec

from yunchi_operator.handlers import approvals, departments, divisions, quota_requests, tenancies
from yunchi_operator.handlers.context import Context, NotLeaderError
from yunchi_operator.handlers.dependencies import concerned
from yunchi_operator.handlers.queue import WorkQueue
from yunchi_operator.handlers.store import Change, Key
from yunchi_operator.kube import paths
from yunchi_operator.kube.client import ApiError
from yunchi_operator.kube.lists import everything

log = logging.getLogger(__name__)
WORKERS: Final = 4
TENANCY_WORKERS: Final = 16
_LIMIT_SECONDS: Final = 120.0
"""Longest time for one reconcile; a request alone ends after 30 s."""

Reconcile = Callable[[Context, Key], Awaitable[float | None]]
RECONCILERS: Final[Mapping[str, Reconcile]] = {
    "Division": divisions.reconcile,
    "Department": departments.reconcile,
    "QuotaRequest": quota_requests.reconcile,
    "Approval": approvals.reconcile,
    "CloudTenancy": tenancies.reconcile,
}


class Meter(Protocol):
    """What is counted about the work."""

    def reconciled(self, kind: str, result: str, seconds: float) -> None:
        """One reconcile ended: ``success``, ``gone``, ``error`` or ``crash``."""

    def api_error(self, reason: str) -> None:
        """The API server refused or did not answer."""


class Reconciler:
    """Takes news in, works it off.

    Args:
        meter: counts the work.
        resync_seconds: time between two passes over everything.
        monotonic: clock for durations and ages.
    """

    def __init__(
        self, meter: Meter, *, resync_seconds: float = 60.0, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._meter = meter
        self._resync_seconds = resync_seconds
        self._monotonic = monotonic
        self._queue = WorkQueue()
        self._tenancies = WorkQueue()
        self._context: Context | None = None
        self._heard_at = monotonic()
        self.synced = False

    @property
    def context(self) -> Context:
        """What reconciles work with; to be set once before anything runs."""
        if self._context is None:
            raise RuntimeError("the reconciler has no context yet")
        return self._context

    @context.setter
    def context(self, context: Context) -> None:
        self._context = context

    @property
    def silence_seconds(self) -> float:
        """Time since the last watch event or resync pass, whichever came last."""
        return self._monotonic() - self._heard_at

    def take(self, kind: str, event: str | None, raw: Mapping[str, Any]) -> None:
        """Take in a watch event."""
        self._heard_at = self._monotonic()
        change = self.context.store.take(kind, event, raw)
        if change is not None:
            self._spread(change)

    def notify(self, kind: str, raw: dict[str, Any]) -> None:
        """Take in the answer to a write of our own: the object itself needs no other look, what hangs on it may."""
        change = self.context.store.take(kind, None, raw)
        if change is not None:
            self._spread(change, own=True)

    def enqueue(self, key: Key) -> None:
        """Mark an object dirty; kinds that are only read need no work of their own."""
        if key.kind in RECONCILERS:
            self._queue_of(key).add(key)

    async def first_sync(self) -> None:
        """Read all kinds, and try until that succeeds."""
        failures = 0
        while not await self._resync():
            failures += 1
            await asyncio.sleep(min(30.0, 2.0**failures))

    async def run(self) -> None:
        """Work until cancelled."""
        async with asyncio.TaskGroup() as group:
            for _ in range(WORKERS):
                group.create_task(self._work(self._queue))
            for _ in range(TENANCY_WORKERS):
                group.create_task(self._work(self._tenancies))
            group.create_task(self._resync_forever())

    def close(self) -> None:
        """Take no more work; what is under way may end."""
        self._queue.close()
        self._tenancies.close()

    async def drained(self) -> None:
        """Wait until no work is under way; call ``close`` before."""
        await self._queue.drained()
        await self._tenancies.drained()

    def _spread(self, change: Change, *, own: bool = False) -> None:
        if not own:
            self.enqueue(change.key)
        for key in concerned(change, self.context.store):
            self.enqueue(key)

    def _queue_of(self, key: Key) -> WorkQueue:
        return self._tenancies if key.kind == "CloudTenancy" else self._queue

    async def _resync_forever(self) -> None:
        while True:
            await asyncio.sleep(self._resync_seconds)
            await self._resync()

    async def _resync(self) -> bool:
        """One pass: read all kinds, mark everything dirty. Whether all kinds could be read."""
        complete = True
        for kind in self.context.store.kinds:
            try:
                items, version = await everything(self.context.client, paths.collection(kind))
            except (ApiError, msgspec.DecodeError) as error:
                complete = False
                refusal = error if isinstance(error, ApiError) else None
                self._meter.api_error(refusal.reason if refusal else "BadAnswer")
                hint = "; are the CRDs installed?" if refusal and refusal.status == 404 else ""
                log.warning("resync of %s failed: %s%s", kind, error, hint)
                continue
            for change in self.context.store.shelf(kind).replace(items, version):
                self._spread(change)
        for key in self.context.store.every_key():
            self.enqueue(key)
        self._heard_at = self._monotonic()
        self.synced = self.synced or complete
        return complete

    async def _work(self, queue: WorkQueue) -> None:
        while True:
            key = await queue.get()
            started = self._monotonic()
            try:
                result = await self._reconcile(queue, key)
            finally:
                queue.done(key)
            self._meter.reconciled(key.kind, result, self._monotonic() - started)

    async def _reconcile(self, queue: WorkQueue, key: Key) -> str:
        try:
            async with asyncio.timeout(_LIMIT_SECONDS):
                again = await RECONCILERS[key.kind](self.context, key)
        except ApiError as error:
            self._meter.api_error(error.reason)
            if error.status == 404:
                queue.forget(key)  # deleted meanwhile; its event is on the way
                return "gone"
            delay = queue.retry(key)
            log.warning("%s %s: %s; again in %.1f s", key.kind, _place(key), error, delay)
            return "error"
        except (NotLeaderError, TimeoutError) as error:
            delay = queue.retry(key)
            log.warning("%s %s: %s; again in %.1f s", key.kind, _place(key), type(error).__name__, delay)
            return "error"
        except Exception:
            # A fault in one object's handling must not end the loop for all others.
            queue.retry(key)
            log.exception("%s %s: fault in the operator", key.kind, _place(key))
            return "crash"
        queue.forget(key)
        if again is not None:
            queue.add_after(key, again)
        return "success"


def _place(key: Key) -> str:
    return f"{key.namespace}/{key.name}" if key.namespace else key.name
