"""What the scheduler tells users about pods: PodScheduled=False conditions and events.

These share a small concurrency beside the bindings', are dropped rather than queued without limit, and never delay a
binding.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from yunchi_operator.api.names import FIELD_MANAGER_SCHEDULER, SCHEDULER_NAME
from yunchi_operator.kube.binding import Target
from yunchi_operator.kube.client import STRATEGIC_MERGE_PATCH, ApiError, KubeClient

log = logging.getLogger(__name__)

REWRITE_SECONDS = 1.0
PREEMPTED = "Preempted"
MESSAGE_LIMIT = 1024  # characters; the API's own limit of an event's note


@dataclass(frozen=True, slots=True)
class Note:
    """Something to tell about one pod, in its condition and in an event.

    Attributes:
        target: the pod; its ``node`` is empty when there is none.
        reason: of the condition: ``Unschedulable`` or ``SchedulingGated``; empty for a bound pod and ``Preempted``
            for an evicted one (event only).
        message: for people.
    """

    target: Target
    reason: str
    message: str

    @property
    def said(self) -> tuple[str, str, str]:
        """What tells it from others about pods of its name."""
        return self.target.uid, self.reason, self.message


class Narrator:
    """Writes conditions and events with a small concurrency; merges, and drops events first under pressure."""

    def __init__(
        self,
        client: KubeClient,
        now: Callable[[], str],
        *,
        identity: str,
        quiet: Callable[[], bool] = lambda: True,
        count_dropped: Callable[[], None] = lambda: None,
        concurrency: int = 8,
        event_backlog: int = 500,
    ) -> None:
        """Describe where to write.

        Args:
            client: connection to the API server.
            now: the present time as RFC 3339 with microseconds.
            identity: this replica, for the events' reportingInstance.
            quiet: whether events may be written now; false while bindings are on their way.
            count_dropped: called for each event that is dropped.
            concurrency: parallel writes.
            event_backlog: most events that may wait; more are dropped and counted, for they only repeat what the
                pods' conditions say.
        """
        self._client = client
        self._now = now
        self._identity = identity
        self._conditions: dict[str, Note] = {}
        self._unwritten: dict[str, Note] = {}  # the server would not take these; again after a while
        self._rewrite_at = 0.0
        self._said: dict[str, tuple[str, str, str]] = {}
        self._events: deque[Note] = deque()
        self._quiet = quiet
        self._count_dropped = count_dropped
        self._event_backlog = event_backlog
        self._concurrency = concurrency
        self._workers: set[asyncio.Task[None]] = set()

    def unschedulable(self, note: Note) -> None:
        """Write the condition, unless the pod already says just this; then an event."""
        if self._said.get(note.target.key) == note.said:
            return
        self._said[note.target.key] = note.said
        self._conditions[note.target.key] = note
        self._unwritten.pop(note.target.key, None)
        self._add_event(note)
        self.resume()

    def scheduled(self, note: Note) -> None:
        """Tell of a binding by an event; the API server itself writes the condition."""
        self.forget(note.target.key)
        self._add_event(note)
        self.resume()

    def preempted(self, note: Note) -> None:
        """Tell a pod that it had to go, by an event."""
        self._add_event(note)
        self.resume()

    def forget(self, key: str) -> None:
        """The pod is bound or gone: drop what waits to be said about it."""
        self._said.pop(key, None)
        self._conditions.pop(key, None)
        self._unwritten.pop(key, None)

    async def close(self) -> None:
        """Write what waits, conditions and events alike."""
        self.resume()
        while self._workers:
            await asyncio.wait(self._workers)

    def _add_event(self, note: Note) -> None:
        if len(self._events) >= self._event_backlog:
            self._count_dropped()
        else:
            self._events.append(note)

    def resume(self) -> None:
        """Go on writing, if there is anything that may be written now."""
        if self._unwritten and asyncio.get_running_loop().time() >= self._rewrite_at:
            self._said.update((key, note.said) for key, note in self._unwritten.items())
            self._conditions = self._unwritten | self._conditions
            self._unwritten = {}
        waiting = len(self._conditions) + (len(self._events) if self._quiet() else 0)
        for _ in range(min(waiting, self._concurrency - len(self._workers))):
            worker = asyncio.create_task(self._work())
            self._workers.add(worker)
            worker.add_done_callback(self._workers.discard)

    async def _work(self) -> None:
        while True:
            if self._conditions:
                key = next(iter(self._conditions))
                await self._write_condition(self._conditions.pop(key))
            elif self._events and self._quiet():
                await self._write_event(self._events.popleft())
            else:
                return

    async def _write_condition(self, note: Note) -> None:
        pod = note.target
        condition = {
            "type": "PodScheduled",
            "status": "False",
            "reason": note.reason,
            "message": note.message[:MESSAGE_LIMIT],
            "lastTransitionTime": self._now()[:19] + "Z",
        }
        # The uid makes the server refuse the patch when a new pod has taken the name.
        body = {"metadata": {"uid": pod.uid}, "status": {"conditions": [condition]}}
        path = f"/api/v1/namespaces/{pod.namespace}/pods/{pod.name}/status"
        try:
            await self._client.request(
                "PATCH",
                path,
                body=body,
                query={"fieldManager": FIELD_MANAGER_SCHEDULER},
                content_type=STRATEGIC_MERGE_PATCH,
            )
        except ApiError as error:
            wanted = self._said.get(pod.key) == note.said
            self._said.pop(pod.key, None)  # say it again next time
            if error.status not in {404, 409}:
                if wanted:  # still so: say it again without a next time, or the pod's user is left in the dark
                    self._unwritten[pod.key] = note
                    self._rewrite_at = asyncio.get_running_loop().time() + REWRITE_SECONDS
                log.warning("%s: condition not written: %s", pod.key, error)

    async def _write_event(self, note: Note) -> None:
        path = f"/apis/events.k8s.io/v1/namespaces/{note.target.namespace}/events"
        try:
            await self._client.request("POST", path, body=self._event(note))
        except ApiError as error:
            # A namespace that is going away refuses events; only our own faults are worth a line.
            level = logging.WARNING if error.status in {400, 422} else logging.DEBUG
            log.log(level, "%s: event not written: %s", note.target.key, error)

    def _event(self, note: Note) -> dict[str, Any]:
        """An events.k8s.io/v1 Event as kube-scheduler writes it."""
        pod = note.target
        failed = bool(note.reason) and note.reason != PREEMPTED
        reason, action = ("FailedScheduling", "Scheduling") if failed else ("Scheduled", "Binding")
        if note.reason == PREEMPTED:
            reason, action = PREEMPTED, "Preempting"
        return {
            "apiVersion": "events.k8s.io/v1",
            "kind": "Event",
            "metadata": {"generateName": f"{pod.name[:200]}-", "namespace": pod.namespace},
            "eventTime": self._now(),
            "type": "Warning" if failed else "Normal",
            "reason": reason,
            "action": action,
            "note": note.message[:MESSAGE_LIMIT],
            "reportingController": SCHEDULER_NAME,
            "reportingInstance": self._identity[:128],
            "regarding": {
                "apiVersion": "v1",
                "kind": "Pod",
                "namespace": pod.namespace,
                "name": pod.name,
                "uid": pod.uid,
            },
        }
