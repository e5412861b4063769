"""What the scheduler writes about pods: bindings, PodScheduled=False conditions, events.

Bindings come first: they have their own connections' worth of concurrency, while conditions and events share a small
rest, are dropped rather than queued without limit, and never delay a binding.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import msgspec

from yunchi_operator.api.names import FIELD_MANAGER_SCHEDULER, SCHEDULER_NAME
from yunchi_operator.kube.client import STRATEGIC_MERGE_PATCH, ApiError, KubeClient

log = logging.getLogger(__name__)

BIND_TIMEOUT_SECONDS = 15.0
PAUSE_SECONDS = 0.1
ASK_AGAIN_SECONDS = 0.5
MOST_QUESTIONS = 60
TRY_AGAIN_SECONDS = 0.2  # the first time; doubling
TRIES = 4
REWRITE_SECONDS = 1.0
PREEMPTED = "Preempted"
MESSAGE_LIMIT = 1024  # characters; the API's own limit of an event's note


class Outcome(StrEnum):
    """How a binding ended; the values are those of the metric's ``result`` label."""

    BOUND = "bound"
    LOST = "lost"
    """The pod is gone, or was bound by somebody else (404, 409), or it was not sent for being out of date."""
    REFUSED = "refused"
    """The server says no (4xx): try again later, something about the pod or our rights must change."""
    FAILED = "failed"
    """No answer, or a server error, and the pod was not bound when asked for: it may yet be; try again later."""


@dataclass(frozen=True, slots=True)
class Target:
    """A pod and the node chosen for it. The uid keeps a successor of the same name from being bound."""

    namespace: str
    name: str
    uid: str
    node: str

    @property
    def key(self) -> str:
        """``namespace/name``."""
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True)
class Bound:
    """One finished binding."""

    target: Target
    outcome: Outcome
    message: str
    seconds: float


class Binder:
    """Posts bindings with bounded concurrency: a fixed set of workers, not a task per pod."""

    def __init__(
        self,
        client: KubeClient,
        done: Callable[[Bound], None],
        *,
        allowed: Callable[[], bool] = lambda: True,
        doubt: Callable[[Target], str] = lambda target: "",
        concurrency: int = 64,
    ) -> None:
        """Describe where to post and whom to tell.

        Args:
            client: connection to the API server; its pool must hold at least ``concurrency`` connections.
            done: called on the loop with each result; must not block.
            allowed: asked before each post; while false nothing is sent (the Lease may be another's). What waits goes
                on waiting until it is allowed again, or withdrawn.
            doubt: asked before each post why it is out of date, such as a node that is gone by now; empty when it is
                not. A storm's last binding may be sent a minute after it was decided.
            concurrency: parallel posts.
        """
        self._client = client
        self._done = done
        self._allowed = allowed
        self._doubt = doubt
        self._concurrency = concurrency
        self._waiting: deque[Target] = deque()
        self._held: Counter[str] = Counter()  # keys that wait or are on their way
        self._workers: set[asyncio.Task[None]] = set()

    def __contains__(self, key: object) -> bool:
        """Whether a pod's binding is waiting or on its way: it has been neither done nor refused yet."""
        return key in self._held

    @property
    def busy(self) -> bool:
        """Whether any binding is waiting or on its way."""
        return bool(self._workers)

    def submit(self, targets: Iterable[Target]) -> None:
        """Queue bindings, in order."""
        for target in targets:
            self._waiting.append(target)
            self._held[target.key] += 1
        missing = min(len(self._waiting), self._concurrency - len(self._workers))
        for _ in range(missing):
            worker = asyncio.create_task(self._work())
            self._workers.add(worker)
            worker.add_done_callback(self._workers.discard)

    def withdraw(self) -> list[Target]:
        """Take back what has not been sent yet, for instance when the Lease is lost."""
        withdrawn = list(self._waiting)
        self._waiting.clear()
        for target in withdrawn:
            self._release(target)
        return withdrawn

    async def drain(self) -> None:
        """Wait until everything submitted has been answered."""
        while self._workers:
            await asyncio.wait(self._workers)

    async def _work(self) -> None:
        clock = asyncio.get_running_loop().time
        while self._waiting:
            if not self._allowed():  # renewals of the Lease fell behind: they catch up, or the process ends
                await asyncio.sleep(PAUSE_SECONDS)
                continue
            target = self._waiting.popleft()
            started = clock()
            why = self._doubt(target)
            outcome, message = (Outcome.LOST, why) if why else await self._bind(target)
            self._release(target)
            self._done(Bound(target, outcome, message, clock() - started))

    def _release(self, target: Target) -> None:
        self._held[target.key] -= 1
        if not self._held[target.key]:
            del self._held[target.key]

    async def _bind(self, target: Target) -> tuple[Outcome, str]:
        """Try, and try again a few times where the server is at a loss: a pod must not go to the end of the queue."""
        outcome, message, pause = Outcome.FAILED, "", TRY_AGAIN_SECONDS
        for _ in range(TRIES):
            outcome, message, passing = await self._try(target)
            if not passing or not self._allowed():
                break
            await asyncio.sleep(pause)
            pause *= 2
            if why := self._doubt(target):
                return Outcome.LOST, why
        return outcome, message

    async def _try(self, target: Target) -> tuple[Outcome, str, bool]:
        """Post once; whether it may work another time."""
        body = {
            "apiVersion": "v1",
            "kind": "Binding",
            "metadata": {"name": target.name, "namespace": target.namespace, "uid": target.uid},
            "target": {"apiVersion": "v1", "kind": "Node", "name": target.node},
        }
        path = f"/api/v1/namespaces/{target.namespace}/pods/{target.name}/binding"
        try:
            await self._client.request("POST", path, body=body, timeout_seconds=BIND_TIMEOUT_SECONDS)
        except ApiError as error:
            outcome = _judge(error)
            if outcome is not Outcome.FAILED:
                return outcome, str(error), error.status == 429
            outcome, message = await self._find_out(target, error)
            return outcome, message, outcome is Outcome.FAILED
        return Outcome.BOUND, "", False

    async def _find_out(self, target: Target, trouble: ApiError) -> tuple[Outcome, str]:
        """Ask what became of a binding without an answer: if it was done, its room must not be given away.

        The watch may tell much later, for it suffers from the same network.
        """
        path = f"/api/v1/namespaces/{target.namespace}/pods/{target.name}"
        for _ in range(MOST_QUESTIONS):
            if not self._allowed():
                break
            try:
                body = await self._client.request("GET", path, timeout_seconds=BIND_TIMEOUT_SECONDS)
                pod = msgspec.json.decode(body, type=_Pod)
            except (ApiError, msgspec.DecodeError) as error:
                if isinstance(error, ApiError) and error.status in {403, 404}:
                    return (Outcome.LOST if error.status == 404 else Outcome.FAILED), f"{trouble}; {error}"
                await asyncio.sleep(ASK_AGAIN_SECONDS)
                continue
            if pod.metadata.uid != target.uid:
                return Outcome.LOST, f"{trouble}; the pod has been replaced"
            if pod.spec.nodeName == target.node:
                return Outcome.BOUND, ""
            return (Outcome.LOST if pod.spec.nodeName else Outcome.FAILED), str(trouble)
        return Outcome.FAILED, str(trouble)


class _PodMetadata(msgspec.Struct):
    uid: str = ""


class _PodSpec(msgspec.Struct):
    nodeName: str = ""  # noqa: N815 - the API's own name


class _Pod(msgspec.Struct):
    """What a binding changes."""

    metadata: _PodMetadata
    spec: _PodSpec


def _judge(error: ApiError) -> Outcome:
    """Sort the ways in which a binding can fail."""
    if error.status in {404, 409}:
        return Outcome.LOST
    if 400 <= error.status < 500 and error.status != 408:  # 429 too: it was turned away, there is no doubt about it
        return Outcome.REFUSED
    return Outcome.FAILED


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
