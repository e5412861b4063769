"""The placement loop: batches in, bindings out. All state here can be lost: a restart rebuilds it from listings.

One task takes batches, has them placed, checks the answer against what the watches have brought meanwhile, and hands
bindings to the binder without waiting for them. What the watches tell is noted in :mod:`.news`.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Callable, Iterable, Sequence

from yunchi_operator.api.conditions import parse_timestamp
from yunchi_operator.api.core import Pod
from yunchi_operator.kube.binding import Binder, Bound, Outcome, Target
from yunchi_operator.kube.narrator import Narrator, Note
from yunchi_operator.processes.news import News
from yunchi_operator.processes.preemptor import Preemptor
from yunchi_operator.processes.scheduler_metrics import SchedulerMetrics
from yunchi_operator.processes.thinking import Thinker, Thought
from yunchi_operator.processes.volume_binder import BOUND_WITHIN_SECONDS, VolumeBinder
from yunchi_operator.processes.waiting_room import UNREADABLE, WaitingRoom
from yunchi_operator.scheduling import cycle
from yunchi_operator.scheduling.cycle import Bind, Retry, Unfit
from yunchi_operator.scheduling.messages import unreadable_message
from yunchi_operator.scheduling.view import View
from yunchi_operator.scheduling.wakeups import PodCame
from yunchi_placement import Effort

log = logging.getLogger(__name__)

UNSURE_SECONDS = 5.0
"""A binding without an answer that is not seen by then is given up."""
TICK_SECONDS = 1.0


class SchedulingLoop:
    """Waiting room, thinker and writers around one :class:`View` of the cluster."""

    def __init__(
        self,
        view: View,
        *,
        room: WaitingRoom,
        news: News,
        thinker: Thinker,
        narrator: Narrator,
        metrics: SchedulerMetrics,
        now: Callable[[], float],
        fast_below: int = 50,
    ) -> None:
        """Put the parts together; ``binder``, ``volume_binder`` and ``preemptor`` are set before it runs.

        Args:
            view: of the cluster.
            room: of the waiting pods.
            news: notes who leaves a node.
            thinker: asks the solver.
            narrator: tells users.
            metrics: told of what happens.
            now: seconds, monotonic.
            fast_below: batches of fewer pods are placed with effort ``fast``; a lone pod shall not wait for a plan.
        """
        self.binder: Binder
        self.volume_binder: VolumeBinder
        self.preemptor: Preemptor
        self._view = view
        self._room = room
        self._news = news
        self._thinker = thinker
        self._narrator = narrator
        self._metrics = metrics
        self._now = now
        self._fast_below = fast_below

    async def run(self) -> None:
        """Take batches for ever; ends by cancellation only."""
        while True:
            await self._room.until_due()
            keys = self._room.take()
            if keys:
                await self._cycle(keys)
            self._room.land()

    async def tick(self) -> None:
        """Once a second: give up bindings that were never confirmed, and let waiting events out."""
        while True:
            await asyncio.sleep(TICK_SECONDS)
            self._narrator.resume()
            self._news.tidy()
            for key in self._view.ledger.expired(self._now()):
                log.warning("%s: its binding was not confirmed in time, trying again", key)
                self._unseat(key, delay=True)

    async def _cycle(self, keys: Sequence[str]) -> None:
        """Place a batch. If it cannot be stated, halves of it can, but for the pod at fault, which is told so."""
        decided: set[str] = set()
        try:
            thought = await self._thinker.think(keys, self._effort(keys))
            decided, unfit = self._act(thought)
            if unfit:
                await self.preemptor.make_room(unfit)
        except ValueError as error:
            if len(keys) > 1:
                middle = len(keys) // 2
                await self._cycle(keys[:middle])
                await self._cycle(keys[middle:])
                return
            decided = self._tell_unreadable(keys[0], error)
        for key in keys:
            if key not in decided:  # nothing for those that are bound or gone by now
                self._room.retry(key, delay=True)

    def _effort(self, keys: Iterable[str]) -> Effort:
        """A few pods are placed at once, and so are those that found no room before; a storm deserves a plan."""
        fresh = sum(map(self._room.is_fresh, keys))
        return "fast" if fresh < self._fast_below else "balanced"

    def _act(self, thought: Thought) -> tuple[set[str], list[Unfit]]:
        """Carry out what was decided; the keys of the pods that it was decided about, and the refused ones."""
        decided = cycle.decide(self._view, thought.asked, thought.answer, stirred=thought.stirred)
        targets = []
        for action in decided:
            if isinstance(action, Bind) and action.volumes is not None:
                self._view.ledger.assume(action.pod.key, action.node, action.load, self._now() + BOUND_WITHIN_SECONDS)
                target, labels = _target(action.pod, action.node), self._view.nodes[action.node].metadata.labels
                self.volume_binder.start(target, action.pod, action.volumes, labels)
            elif isinstance(action, Bind):
                # How long it waits for its turn is not known; the binder's answer starts the clock.
                self._view.ledger.assume(action.pod.key, action.node, action.load, math.inf)
                targets.append(_target(action.pod, action.node))
            elif isinstance(action, Retry):
                self._room.retry(action.key)
        unfit = [action for action in decided if isinstance(action, Unfit)]
        self._refuse(unfit)
        self.binder.submit(targets)
        if targets:
            self._room.wake(PodCame())
        log.info(
            "%d to bind, %d waiting for room; %d nodes in use", len(targets), len(unfit), thought.answer.nodes_used
        )
        return {action.key if isinstance(action, Retry) else action.pod.key for action in decided}, unfit

    def _refuse(self, unfit: Sequence[Unfit]) -> None:
        self._room.refuse(unfit)
        for action in unfit:
            self._narrator.unschedulable(Note(_target(action.pod), "Unschedulable", action.message))

    def _tell_unreadable(self, key: str, error: ValueError) -> set[str]:
        """One pod cannot be stated as a problem: it waits with the reason, and only it."""
        log.error("%s: %s", key, error)
        pod = self._view.pods.get(key)
        if pod is None:
            return set()
        self._refuse([Unfit(pod, unreadable_message(str(error)), UNREADABLE)])
        return {key}

    # -- what became of bindings --------------------------------------------------------------------------------------

    def on_bound(self, bound: Bound) -> None:
        """The binder's answer for one pod."""
        key = bound.target.key
        self._metrics.binds.labels(bound.outcome.value).inc()
        self._metrics.bind_seconds.observe(bound.seconds)
        now = self._view.pods.get(key)
        if now is not None and now.metadata.uid != bound.target.uid:
            return  # a namesake has taken its place meanwhile, with a binding of its own
        if bound.outcome is Outcome.BOUND:
            # It is done, however long the watch is silent: its deletion will be seen, too.
            self._view.ledger.expect_by(key, math.inf)
            self._room.forgive(key)
            self._news.on_bound_by_us(key)
            self._note_wait(key)
            text = f"Successfully assigned {key} to {bound.target.node}"
            self._narrator.scheduled(Note(bound.target, "", text))
        elif bound.outcome is Outcome.FAILED:
            self._view.ledger.expect_by(key, self._now() + UNSURE_SECONDS)
            log.warning("%s: binding unanswered: %s", key, bound.message)
        elif self._view.ledger.is_assumed(key):
            log.warning("%s: not bound to %s: %s", key, bound.target.node, bound.message)
            self._unseat(key, delay=True)

    def doubt(self, target: Target) -> str:
        """Why a binding that waits to be sent is out of date; empty when it is not."""
        pod = self._view.pods.get(target.key)
        if pod is None or pod.metadata.uid != target.uid:
            return "the pod is gone"
        return "" if target.node in self._view.nodes else f"node {target.node} is gone"

    def on_volumes_ready(self, target: Target) -> None:
        """All claims of a pod are bound: it can be."""
        self._view.ledger.expect_by(target.key, math.inf)
        self.binder.submit([target])

    def on_volumes_failed(self, key: str, why: str) -> None:
        """A pod's claims will not be bound where it was to go."""
        log.warning("%s: %s, trying again", key, why)
        self._unseat(key, delay=True)

    def withdraw(self) -> None:
        """Take back bindings that were not sent: the process is about to stop."""
        for target in self.binder.withdraw():
            self._unseat(target.key, delay=False)

    def _unseat(self, key: str, *, delay: bool) -> None:
        self._room.retry(key, delay=delay)
        self._news.leave(key)

    def _note_wait(self, key: str) -> None:
        pod = self._view.pods.get(key)
        if pod is not None and pod.metadata.creation_timestamp:
            created = parse_timestamp(pod.metadata.creation_timestamp).timestamp()
            self._metrics.pod_seconds.observe(max(0.0, time.time() - created))


def _target(pod: Pod, node: str = "") -> Target:
    return Target(pod.metadata.namespace, pod.metadata.name, pod.metadata.uid, node)
