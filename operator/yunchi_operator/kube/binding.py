"""Posts bindings, and finds out what became of those that got no answer."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum

import msgspec

from yunchi_operator.kube.client import ApiError, KubeClient

log = logging.getLogger(__name__)

BIND_TIMEOUT_SECONDS = 15.0
PAUSE_SECONDS = 0.1
ASK_AGAIN_SECONDS = 0.5
MOST_QUESTIONS = 1200
TRY_AGAIN_SECONDS = 0.2  # the first time; doubling
TRIES = 4


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
                # What was posted may land all the same, unless it was turned away.
                return (outcome if outcome is Outcome.FAILED else Outcome.LOST), why
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
