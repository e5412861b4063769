"""Makes room for pods of higher priority: asks whom to evict, keeps the room for the claimant, deletes the victims."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterable, Sequence
from typing import Any

from yunchi_operator.api.core import Pod
from yunchi_operator.kube import evictions
from yunchi_operator.kube.binding import Target
from yunchi_operator.kube.client import ApiError, KubeClient
from yunchi_operator.kube.narrator import PREEMPTED, Narrator, Note
from yunchi_operator.processes.scheduler_metrics import SchedulerMetrics
from yunchi_operator.processes.solver import Solver, SolverError
from yunchi_operator.scheduling.claims_to_room import claimants, victims_of
from yunchi_operator.scheduling.cycle import Unfit
from yunchi_operator.scheduling.desk import Eviction
from yunchi_operator.scheduling.mirror import Mirror
from yunchi_operator.scheduling.view import View

log = logging.getLogger(__name__)


class Preemptor:
    """Answers what nobody's free room could."""

    def __init__(
        self,
        client: KubeClient,
        view: View,
        *,
        mirror: Mirror,
        solver: Solver,
        narrator: Narrator,
        metrics: SchedulerMetrics,
        now: Callable[[], str],
        allowed: Callable[[], bool],
        timeout_seconds: float,
    ) -> None:
        """Put the parts together.

        Args:
            client: connection to the API server.
            view: of the cluster.
            mirror: what the solver knows.
            solver: finds the victims.
            narrator: tells users.
            metrics: told of evictions.
            now: the present time, RFC 3339 with microseconds.
            allowed: asked before each write; while false nothing is sent (the Lease may be another's).
            timeout_seconds: of the solver.
        """
        self._client = client
        self._view = view
        self._mirror = mirror
        self._solver = solver
        self._narrator = narrator
        self._metrics = metrics
        self._now = now
        self._allowed = allowed
        self._timeout_seconds = timeout_seconds
        self._tasks: set[asyncio.Task[None]] = set()

    async def make_room(self, unfit: Sequence[Unfit]) -> None:
        """Evict the fewest and lowest so that these fit, if that can be; the rest happens in the background."""
        pods, victims = claimants(self._view, unfit)
        if not pods:
            return
        question = self._mirror.ask_to_evict(pods, victims)
        try:
            answer = await self._solver.ask(question, timeout_seconds=self._timeout_seconds)
        except SolverError as error:
            self._mirror.reset()
            log.error("no room made for %d pods: %s", len(pods), error)  # noqa: TRY400 - foreseen, told in full
            return
        except BaseException:
            self._mirror.reset()
            raise
        for eviction in answer.evictions:
            self._nominate(eviction)
        self._mirror.release_batch()

    def take_back(self, victims: Iterable[Pod], node: str, foreign: str) -> None:
        """Two schedulers have filled a node beyond its end: ours go, before the kubelet turns somebody away."""
        for victim in victims:
            log.warning("%s: taken back from %s, which %s has filled at the same time", victim.key, node, foreign)
            self._run(self._delete(_target(victim, node), f"Node {node} was filled by pod {foreign} at the same time"))

    def settle(self, key: str) -> None:
        """A pod is bound or gone: no room is kept for it any more."""
        if self._view.nominations.pop(key, None) is not None:
            self._mirror.touch(key)

    def stop(self) -> None:
        """Write no more."""
        for task in self._tasks:
            task.cancel()

    def _nominate(self, eviction: Eviction) -> None:
        pod = self._view.pods.get(eviction.name)
        if pod is None or not self._view.waits(eviction.name):
            return
        victims = victims_of(self._view, eviction.victims)
        news = self._view.nominations.get(eviction.name) != eviction.node
        self._view.nominations[eviction.name] = eviction.node
        log.info("%s: room on %s, %d to evict", eviction.name, eviction.node, len(victims))
        self._run(self._carry_out(pod, eviction.node, victims, news=news))

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _carry_out(self, pod: Pod, node: str, victims: Iterable[Pod], *, news: bool) -> None:
        """First the claim is written, then the victims go: a successor of this process finds both."""
        try:
            if news and self._allowed():
                await evictions.nominate(self._client, _target(pod, node))
        except ApiError as error:
            log.warning("%s: not nominated: %s", pod.key, error)
            self.settle(pod.key)
            return
        for victim in victims:
            if self._allowed():
                await self._evict(victim, pod, node)

    async def _evict(self, victim: Pod, claimant: Pod, node: str) -> None:
        target = _target(victim, node)
        try:
            await evictions.announce_preemption(self._client, target, f"{self._now()[:19]}Z")
        except ApiError as error:
            log.debug("%s: preemption not announced: %s", victim.key, error)
        await self._delete(target, f"Preempted by {claimant.key} on node {node}")

    async def _delete(self, target: Target, why: str) -> None:
        if not self._allowed():
            return
        try:
            await evictions.delete(self._client, target)
        except ApiError as error:
            if error.status not in {404, 409}:
                log.warning("%s: not evicted: %s", target.key, error)
            return
        self._metrics.preemptions.inc()
        self._narrator.preempted(Note(target, PREEMPTED, why))


def _target(pod: Pod, node: str) -> Target:
    return Target(pod.metadata.namespace, pod.metadata.name, pod.metadata.uid, node)
