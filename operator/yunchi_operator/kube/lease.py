"""Leader election on a ``coordination.k8s.io/v1`` Lease: at most one process of a name acts.

The rules are those of client-go: a Lease is free when its holder has not renewed it for the whole duration *as seen by
our own clock*, never by comparing the holder's clock with ours. Who cannot renew within the deadline has lost it, and
the process must exit: another may already be acting, and old state must never be resumed.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime

import msgspec

from yunchi_operator.kube.client import ApiError, KubeClient

log = logging.getLogger(__name__)


class LeaseLostError(Exception):
    """The Lease could not be renewed in time, or somebody else holds it: exit now."""


@dataclass(frozen=True, slots=True)
class LeaseTiming:
    """Seconds; the deadline lies below the duration, or two processes could act at once."""

    duration_seconds: float = 15.0
    renew_deadline_seconds: float = 10.0
    retry_seconds: float = 2.0
    jitter: float = 0.2


class LeaseSpec(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """The record that a holder leaves."""

    holder_identity: str | None = None
    lease_duration_seconds: int | None = None
    acquire_time: str | None = None
    renew_time: str | None = None
    lease_transitions: int | None = None


class _Metadata(msgspec.Struct, frozen=True, rename="camel"):
    name: str
    namespace: str
    resource_version: str = ""


class Lease(msgspec.Struct, frozen=True, rename="camel"):
    """A Lease as read from the server."""

    metadata: _Metadata
    spec: LeaseSpec = LeaseSpec()


def _utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Clock:
    """Time and chance, injected so that tests need not wait."""

    monotonic: Callable[[], float] = time.monotonic
    now: Callable[[], datetime] = _utc_now
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    uniform: Callable[[float, float], float] = random.uniform


class LeaseElector:
    """One process's part in the election for one Lease."""

    def __init__(
        self,
        client: KubeClient,
        *,
        namespace: str,
        name: str,
        identity: str,
        timing: LeaseTiming = LeaseTiming(),
        clock: Clock = Clock(),
    ) -> None:
        self._client = client
        self._namespace = namespace
        self._name = name
        self._identity = identity
        self._timing = timing
        self._clock = clock
        self._seen: LeaseSpec | None = None
        self._seen_at = 0.0
        self._renewed_at: float | None = None

    @property
    def held(self) -> bool:
        """Whether this process may act now; turns false by itself when renewals fall behind."""
        if self._renewed_at is None:
            return False
        return self._clock.monotonic() - self._renewed_at < self._timing.renew_deadline_seconds

    @property
    def holder(self) -> str | None:
        """Who held it when it was last read."""
        return self._seen.holder_identity if self._seen else None

    async def acquire(self) -> None:
        """Wait, as a standby, until the Lease is ours."""
        told: str | None = None
        while not await self._attempt():
            if self.holder != told:
                told = self.holder
                log.info("standby: lease %s/%s is held by %s", self._namespace, self._name, told)
            await self._clock.sleep(self._pause())
        log.info("lease %s/%s acquired by %s", self._namespace, self._name, self._identity)

    async def hold(self) -> None:
        """Renew for as long as possible; never returns.

        Raises:
            LeaseLostError: when the deadline passed without a renewal, or another holder appeared.
        """
        while True:
            await self._clock.sleep(self._timing.retry_seconds)
            if self.held and not await self._attempt() and not self._mine():
                raise self._lost(f"it is held by {self.holder}")
            if not self.held:
                raise self._lost(f"not renewed within {self._timing.renew_deadline_seconds:g} s")

    async def release(self) -> None:
        """Give the Lease up, so that a standby takes over at once. Never raises: the process is on its way out."""
        if self._renewed_at is None:
            return
        self._renewed_at = None
        try:
            lease = await self._read()
            if lease is not None and lease.spec.holder_identity == self._identity:
                await self._write(lease, self._record(lease.spec, holder=""))
                log.info("lease %s/%s released", self._namespace, self._name)
        except (ApiError, msgspec.DecodeError) as error:
            log.warning("lease %s/%s not released: %s", self._namespace, self._name, error)

    async def _attempt(self) -> bool:
        """One try to acquire or renew; False when that failed or the Lease is another's."""
        started = self._clock.monotonic()
        try:
            lease = await self._read()
            if lease is None:
                await self._create()
            elif self._may_take(lease.spec):
                self._observe((await self._write(lease, self._record(lease.spec, self._identity))).spec)
            else:
                return False
        except (ApiError, msgspec.DecodeError) as error:  # a proxy on the way may answer with anything
            log.warning("lease %s/%s: %s", self._namespace, self._name, error)
            return False
        # The time before the request, as the server may have taken it in at once and answered late.
        self._renewed_at = started
        return True

    def _may_take(self, spec: LeaseSpec) -> bool:
        self._observe(spec)
        if not spec.holder_identity or spec.holder_identity == self._identity:
            return True
        duration = spec.lease_duration_seconds or self._timing.duration_seconds
        return self._clock.monotonic() - self._seen_at >= duration

    def _observe(self, spec: LeaseSpec) -> None:
        if spec != self._seen:
            self._seen = spec
            self._seen_at = self._clock.monotonic()

    def _mine(self) -> bool:
        return self._seen is None or self._seen.holder_identity == self._identity

    def _lost(self, why: str) -> LeaseLostError:
        self._renewed_at = None
        return LeaseLostError(f"lease {self._namespace}/{self._name} lost: {why}")

    def _pause(self) -> float:
        retry = self._timing.retry_seconds
        return retry + self._clock.uniform(0.0, self._timing.jitter * retry)

    def _record(self, before: LeaseSpec, holder: str) -> LeaseSpec:
        now = self._clock.now().astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        kept = before.holder_identity == self._identity
        # A released Lease is given a second's duration, as client-go does: nobody must wait for it.
        return LeaseSpec(
            holder_identity=holder,
            lease_duration_seconds=round(self._timing.duration_seconds) if holder else 1,
            acquire_time=before.acquire_time if kept and before.acquire_time else now,
            renew_time=now,
            lease_transitions=(before.lease_transitions or 0) + (0 if kept else 1),
        )

    @property
    def _collection(self) -> str:
        return f"/apis/coordination.k8s.io/v1/namespaces/{self._namespace}/leases"

    @property
    def _request_seconds(self) -> float:
        return self._timing.renew_deadline_seconds / 2

    async def _read(self) -> Lease | None:
        path = f"{self._collection}/{self._name}"
        try:
            body = await self._client.request("GET", path, timeout_seconds=self._request_seconds)
        except ApiError as error:
            if error.status == 404:
                return None
            raise
        return msgspec.json.decode(body, type=Lease)

    async def _create(self) -> None:
        first = self._record(LeaseSpec(lease_transitions=-1), self._identity)
        await self._send("POST", self._collection, "", first)
        self._observe(first)

    async def _write(self, lease: Lease, spec: LeaseSpec) -> Lease:
        # A plain PUT with the version that was read: of two processes that try at once, one is refused.
        path = f"{self._collection}/{self._name}"
        return await self._send("PUT", path, lease.metadata.resource_version, spec)

    async def _send(self, method: str, path: str, version: str, spec: LeaseSpec) -> Lease:
        lease = Lease(_Metadata(self._name, self._namespace, version), spec)
        body = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", **msgspec.to_builtins(lease)}
        if not version:
            del body["metadata"]["resourceVersion"]
        answer = await self._client.request(method, path, body=body, timeout_seconds=self._request_seconds)
        return msgspec.json.decode(answer, type=Lease)
