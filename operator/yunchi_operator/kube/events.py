"""Events for people: what was decided about an object, once, without ever holding up the work.

Posting is a side effect that may fail: events wait in a short queue, the oldest are dropped when it is full, and the
same words about the same object are not repeated within the quiet time.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from yunchi_operator.api.names import API_VERSION
from yunchi_operator.kube.client import ApiError, KubeClient

log = logging.getLogger(__name__)
QUEUE_LIMIT = 1000
MEMORY_LIMIT = 10_000
QUIET_SECONDS = 600.0
NOTE_LIMIT = 1024  # the API server refuses longer notes
_CLUSTER_NAMESPACE = "default"  # where Kubernetes keeps events about cluster-wide objects


@dataclass(frozen=True, slots=True)
class Regarding:
    """The object that an event is about; one of our kinds."""

    kind: str
    namespace: str
    name: str
    uid: str
    resource_version: str = ""


@dataclass(frozen=True, slots=True)
class Event:
    """What happened.

    Attributes:
        regarding: the object.
        type: ``Normal`` or ``Warning``.
        reason: one CamelCase word, stable.
        action: what the operator was doing, one CamelCase word.
        note: for people.
    """

    regarding: Regarding
    type: Literal["Normal", "Warning"]
    reason: str
    action: str
    note: str


class EventRecorder:
    """Takes events at once and posts them later, from one task."""

    def __init__(
        self,
        client: KubeClient,
        *,
        component: str,
        instance: str,
        monotonic: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._client = client
        self._component = component
        self._instance = instance
        self._monotonic = monotonic
        self._now = now
        self._queue: asyncio.Queue[Event] = asyncio.Queue(QUEUE_LIMIT)
        self._told: OrderedDict[tuple[str, str, str], float] = OrderedDict()
        self._count = 0
        self.dropped = 0

    def record(self, event: Event) -> None:
        """Take an event; never blocks and never raises."""
        if self._is_repeat(event):
            return
        if self._queue.full():
            self._queue.get_nowait()
            self.dropped += 1
        self._queue.put_nowait(event)

    async def run(self) -> None:
        """Post what is recorded, until cancelled."""
        while True:
            event = await self._queue.get()
            try:
                await self._post(event)
            except ApiError as error:
                self.dropped += 1
                log.warning("event %s of %s not posted: %s", event.reason, event.regarding.name, error)

    async def drain(self) -> None:
        """Post what still waits, at the end; gives up at the first failure."""
        try:
            while not self._queue.empty():
                await self._post(self._queue.get_nowait())
        except ApiError as error:
            log.warning("%d events not posted: %s", self._queue.qsize() + 1, error)

    def _is_repeat(self, event: Event) -> bool:
        key = (event.regarding.uid, event.reason, event.note)
        now = self._monotonic()
        last = self._told.get(key)
        if last is not None and now - last < QUIET_SECONDS:
            return True
        self._told[key] = now
        self._told.move_to_end(key)
        while len(self._told) > MEMORY_LIMIT:
            self._told.popitem(last=False)
        return False

    async def _post(self, event: Event) -> None:
        namespace = event.regarding.namespace or _CLUSTER_NAMESPACE
        path = f"/apis/events.k8s.io/v1/namespaces/{namespace}/events"
        await self._client.request("POST", path, body=self._body(event, namespace), timeout_seconds=10)

    def _body(self, event: Event, namespace: str) -> dict[str, Any]:
        self._count += 1
        now = self._now().astimezone(UTC)
        about = event.regarding
        regarding = {"apiVersion": API_VERSION, "kind": about.kind, "name": about.name, "uid": about.uid}
        if about.namespace:
            regarding["namespace"] = about.namespace
        if about.resource_version:
            regarding["resourceVersion"] = about.resource_version
        return {
            "apiVersion": "events.k8s.io/v1",
            "kind": "Event",
            "metadata": {
                # Unique over restarts and replicas, as client-go does it: the time in hexadecimal.
                "name": f"{about.name[:200]}.{int(now.timestamp() * 1e6):x}{self._count:x}",
                "namespace": namespace,
            },
            "eventTime": now.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            "type": event.type,
            "reason": event.reason,
            "action": event.action,
            "note": event.note if len(event.note) <= NOTE_LIMIT else event.note[: NOTE_LIMIT - 1] + "…",
            "regarding": regarding,
            "reportingController": self._component,
            "reportingInstance": self._instance,
        }
