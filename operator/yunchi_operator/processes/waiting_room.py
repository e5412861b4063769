"""The waiting pods of one scheduler: who is next, who sleeps and what would wake them, and who belongs together."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence

from yunchi_operator.api.core import Pod
from yunchi_operator.scheduling.cycle import Unfit
from yunchi_operator.scheduling.queue import PendingQueue
from yunchi_operator.scheduling.view import View
from yunchi_operator.scheduling.wakeups import Event, Refusals

UNREADABLE = ("unreadable",)
"""The rules of a pod that cannot be stated as a problem."""


class WaitingRoom:
    """Queue, refusals and gangs, kept in step.

    Attributes:
        queue: of the waiting pods.
        changed: set when there may be something to take.
    """

    def __init__(self, view: View, queue: PendingQueue, now: Callable[[], float]) -> None:
        self.queue = queue
        self.changed = asyncio.Event()
        self._view = view
        self._now = now
        self._refusals = Refusals()
        self._gangs: dict[str, set[str]] = defaultdict(set)
        self._gang_of: dict[str, str] = {}
        self._meanwhile: list[Event] | None = None  # since the batch in flight was taken

    def __contains__(self, key: object) -> bool:
        return key in self.queue

    def add(self, pod: Pod) -> None:
        """Take in a waiting pod, or news of it."""
        self.queue.add(
            pod.key,
            now=self._now(),
            priority=pod.spec.priority or 0,
            department=self._view.department_of(pod),
            gated=bool(pod.spec.scheduling_gates),
        )
        self._join_gang(pod)
        self.changed.set()

    def remove(self, key: str) -> None:
        """A pod is bound or gone."""
        self.queue.remove(key)
        self._refusals.discard(key)
        gang = self._gang_of.pop(key, None)
        if gang is not None:
            self._gangs[gang].discard(key)
            if not self._gangs[gang]:
                del self._gangs[gang]

    def wake(self, event: Event) -> None:
        """Something happened: wake those whom it may help, also those in flight if they come back refused."""
        if self._meanwhile is not None and event not in self._meanwhile[-1:]:
            self._meanwhile.append(event)
        if self.queue.wake(self._refusals.helped_by([event]), self._now()):
            self.changed.set()

    def wake_one(self, key: str) -> None:
        """A waiting pod has changed itself, such as by a toleration."""
        if self.queue.wake([key], self._now()):
            self.changed.set()

    def retry(self, key: str, *, delay: bool = False) -> None:
        """Place a pod anew."""
        self.queue.retry(key, self._now(), delay=delay)
        self.changed.set()

    def refuse(self, unfit: Sequence[Unfit]) -> None:
        """These found no place; whoever was helped meanwhile is tried again soon."""
        for action in unfit:
            facts = self._view.facts.of(action.pod) if action.rules != UNREADABLE else None
            self._refusals.add(action.pod.key, facts, action.rules)
        helped = self._refusals.helped_by(self._meanwhile or ())
        for action in unfit:
            self.queue.unschedulable(action.pod.key, self._now(), helped=action.pod.key in helped)

    def forgive(self, key: str) -> None:
        """A pod that was refused has a place after all."""
        self._refusals.discard(key)

    def is_fresh(self, key: str) -> bool:
        """Whether a pod has not been refused yet."""
        return key not in self._refusals

    async def until_due(self) -> None:
        """Wait until there is a batch to take."""
        while True:
            self.changed.clear()
            wait = self.queue.seconds_until_due(self._now())
            if wait is not None and wait <= 0:
                return
            try:
                await asyncio.wait_for(self.changed.wait(), wait)
            except TimeoutError:
                continue

    def take(self) -> tuple[str, ...]:
        """A batch, best first, with whoever must be looked at together with it; now in flight."""
        keys = self.queue.take(self._now()).keys
        self._meanwhile = []
        return keys + tuple(self.queue.enlist(self._mates(keys) | self._outranked(keys)))

    def land(self) -> None:
        """The batch has been decided about."""
        self._meanwhile = None

    def counts_by_rule(self) -> Mapping[str, int]:
        """How many waiting pods each rule keeps from some node."""
        return self._refusals.counts()

    def _join_gang(self, pod: Pod) -> None:
        try:
            gang = self._view.gang_of(pod)
        except ValueError:
            return  # told when the pod's turn comes
        if gang:
            self._gangs[gang].add(pod.key)
            self._gang_of[pod.key] = gang

    def _mates(self, keys: Iterable[str]) -> set[str]:
        """Whoever waits in the gangs of these pods: a gang is looked at as a whole."""
        gangs = {self._gang_of[key] for key in keys if key in self._gang_of}
        return {mate for gang in gangs for mate in self._gangs[gang]}

    def _outranked(self, keys: Iterable[str]) -> set[str]:
        """Waiting pods for which room is kept that a pod of higher priority may want: they are placed together."""
        if not self._view.nominations:
            return set()
        batch = [self._view.pods[key] for key in keys if key in self._view.pods]
        most = max((pod.spec.priority or 0 for pod in batch), default=0)
        kept = (self._view.pods.get(key) for key in self._view.nominations)
        return {pod.key for pod in kept if pod is not None and (pod.spec.priority or 0) < most}
