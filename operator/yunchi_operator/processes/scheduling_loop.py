"""The placement loop: watch events in, bindings out. All state here can be lost: a restart rebuilds it from listings.

Handlers only note what changed; one task takes batches, has them placed, checks the answer against what the watch has
brought meanwhile, and hands bindings to the binder without waiting for them.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence

from yunchi_operator.api.conditions import parse_timestamp
from yunchi_operator.api.core import Namespace, Node, Pod
from yunchi_operator.api.kinds import NodePool
from yunchi_operator.api.names import SCHEDULER_NAME
from yunchi_operator.kube.binding import Binder, Bound, Narrator, Note, Outcome, Target
from yunchi_operator.processes.preemptor import Preemptor
from yunchi_operator.processes.scheduler_metrics import SchedulerMetrics
from yunchi_operator.processes.thinking import Thinker, Thought
from yunchi_operator.processes.volume_binder import BOUND_WITHIN_SECONDS, VolumeBinder
from yunchi_operator.scheduling import cycle
from yunchi_operator.scheduling.claims_to_room import too_many
from yunchi_operator.scheduling.cycle import Bind, Retry, Unfit
from yunchi_operator.scheduling.messages import unreadable_message
from yunchi_operator.scheduling.mirror import Mirror
from yunchi_operator.scheduling.nodes import allocatable
from yunchi_operator.scheduling.queue import PendingQueue
from yunchi_operator.scheduling.stating import PodGroup
from yunchi_operator.scheduling.view import View, is_ours
from yunchi_operator.scheduling.wakeups import Event, NodeCame, PodCame, PodLeft, Refusals, RulesChanged, StorageChanged
from yunchi_placement import Effort

log = logging.getLogger(__name__)

CONFIRM_SECONDS = 30.0
"""A binding that was answered well but is not seen by then is given up: the watch has lost it."""
UNSURE_SECONDS = 5.0
"""The same for a binding without an answer."""
LATELY_SECONDS = 10.0
"""In which two schedulers can have chosen the same room without knowing."""
TICK_SECONDS = 1.0
UNREADABLE = ("unreadable",)


class SchedulingLoop:
    """Queue, mirror and thinker around one :class:`View` of the cluster."""

    def __init__(
        self,
        view: View,
        *,
        queue: PendingQueue,
        mirror: Mirror,
        thinker: Thinker,
        narrator: Narrator,
        metrics: SchedulerMetrics,
        now: Callable[[], float],
        fast_below: int = 50,
    ) -> None:
        """Put the parts together; ``binder``, ``volume_binder`` and ``preemptor`` are set before it runs.

        Args:
            view: of the cluster.
            queue: of waiting pods.
            mirror: what the solver knows.
            thinker: asks the solver.
            narrator: tells users.
            metrics: told of what happens.
            now: seconds, monotonic.
            fast_below: batches of fewer pods are placed with effort ``fast``; a lone pod shall not wait for a plan.
        """
        self.view = view
        self.queue = queue
        self.binder: Binder | None = None
        self.volume_binder: VolumeBinder | None = None
        self.preemptor: Preemptor | None = None
        self._mirror = mirror
        self._thinker = thinker
        self._narrator = narrator
        self._metrics = metrics
        self._now = now
        self._fast_below = fast_below
        self._changed = asyncio.Event()
        self._refusals = Refusals()
        self._gangs: dict[str, set[str]] = defaultdict(set)
        self._gang_of: dict[str, str] = {}
        self._lately: dict[str, float] = {}  # bound by us, and when
        self._meanwhile: list[Event] | None = None  # since the batch in flight was taken

    # -- what the watches tell ----------------------------------------------------------------------------------------

    def on_node(self, key: str, old: Node | None, new: Node | None) -> None:
        """A node came, changed or went."""
        del key
        if not cycle.node_differs(old, new):
            return
        self._mirror.touch_nodes()
        if new is not None and cycle.node_may_help(old, new):
            self._wake(NodeCame(new))

    def on_pod(self, key: str, old: Pod | None, new: Pod | None) -> None:
        """A pod came, changed, was bound, finished or went; finished ones leave the selected set."""
        if new is None or (old is not None and old.metadata.uid != new.metadata.uid):
            self._forget(key)
        if new is None:
            return
        if new.spec.node_name:
            self._seated(key, new)
        elif is_ours(new):
            self._waiting(key, new)
            if old is not None and (old.spec, old.metadata.labels) != (new.spec, new.metadata.labels):
                self.queue.wake([key], self._now())  # such as a toleration added to what waits
        else:
            self._forget(key)

    def on_namespace(self, key: str, old: Namespace | None, new: Namespace | None) -> None:
        """A namespace's labels came or changed: rules about neighbours may read differently now."""
        del key
        before, after = (one.metadata.labels if one else {} for one in (old, new))
        if before != after:
            self._mirror.reset()
            self._wake(RulesChanged())

    def on_pool(self, key: str, old: NodePool | None, new: NodePool | None) -> None:
        """A pool's nodes or their cost may have changed; its status, which we write, does not matter."""
        del key
        if old is None or new is None or old.spec != new.spec:
            self._mirror.touch_nodes()

    def on_storage(self, key: str, old: object, new: object) -> None:
        """A claim, a volume or anything else of storage came, changed or went."""
        del key, old
        if self.volume_binder is not None:
            self.volume_binder.review()
        if new is not None:
            self._wake(StorageChanged())

    def on_pod_group(self, key: str, old: PodGroup | None, new: PodGroup | None) -> None:
        """A PodGroup came, changed or went: its members' gang is another."""
        del key
        if old is None or new is None or old.spec != new.spec:
            self._mirror.reset()
            self._wake(RulesChanged())

    def _seated(self, key: str, pod: Pod) -> None:
        try:
            load = self.view.load_of(pod)
        except ValueError as error:
            log.error("%s", error)  # noqa: TRY400 - the API server lets no such pod in
            return
        if self.view.ledger.seat_of(key) not in {None, pod.spec.node_name}:
            log.warning("%s: bound to %s by somebody else", key, pod.spec.node_name)
        self._mirror.touch(key)
        if self.view.ledger.confirm(key, pod.spec.node_name, load):
            self._wake(PodCame())
            self._look_for_excess(pod)
        if key in self.queue:
            self._settle(key)

    def _look_for_excess(self, pod: Pod) -> None:
        """Another scheduler may have bound a pod to the room that we were giving away."""
        if pod.spec.scheduler_name == SCHEDULER_NAME or self.preemptor is None:
            return
        victims = too_many(self.view, pod.spec.node_name, self._lately)
        self.preemptor.take_back(victims, pod.spec.node_name, pod.key)

    def _waiting(self, key: str, pod: Pod) -> None:
        gated = bool(pod.spec.scheduling_gates)
        self.queue.add(
            key,
            now=self._now(),
            priority=pod.spec.priority or 0,
            department=self.view.department_of(pod),
            gated=gated,
        )
        self._join_gang(key, pod)
        if pod.status.nominated_node_name and key not in self.view.nominations:
            self.view.nominations[key] = pod.status.nominated_node_name  # a predecessor of ours was making room
            self._mirror.touch(key)
        if gated:
            text = "Scheduling is blocked due to non-empty scheduling gates"
            self._narrator.unschedulable(Note(_target(pod), "SchedulingGated", text))
        self._changed.set()

    def _join_gang(self, key: str, pod: Pod) -> None:
        try:
            gang = self.view.facts.of(pod).gang
        except ValueError:
            return  # told when the pod's turn comes
        if gang:
            self._gangs[gang.name].add(key)
            self._gang_of[key] = gang.name

    def _forget(self, key: str) -> None:
        """A pod is gone: its room may be what others wait for."""
        self._settle(key)
        if self.volume_binder is not None:
            self.volume_binder.forget(key)
        self._mirror.touch(key)
        self.view.facts.forget(key)
        self._leave(key)

    def _leave(self, key: str) -> None:
        node = self.view.ledger.leave(key)
        if node is not None:
            self._wake(PodLeft(self._free(node)))

    def _free(self, name: str) -> Mapping[str, int]:
        node = self.view.nodes.get(name)
        taken = self.view.ledger.requested(name)
        return {r: amount - taken.get(r, 0) for r, amount in allocatable(node).items()} if node else {}

    def _settle(self, key: str) -> None:
        self.queue.remove(key)
        self._refusals.discard(key)
        self._narrator.forget(key)
        if self.preemptor is not None:
            self.preemptor.settle(key)
        gang = self._gang_of.pop(key, None)
        if gang is not None:
            self._gangs[gang].discard(key)
            if not self._gangs[gang]:
                del self._gangs[gang]

    def _wake(self, event: Event) -> None:
        if self._meanwhile is not None and event not in self._meanwhile[-1:]:
            self._meanwhile.append(event)
        if self.queue.wake(self._refusals.helped_by([event]), self._now()):
            self._changed.set()

    # -- cycles -------------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Take batches for ever; ends by cancellation only."""
        while True:
            await self._until_due()
            keys = self.queue.take(self._now()).keys
            keys += tuple(self.queue.enlist(self._gang_mates(keys) | self._outranked(keys)))
            if keys:
                self._meanwhile = []
                await self._cycle(keys)
                self._meanwhile = None

    async def tick(self) -> None:
        """Once a second: give up bindings that were never confirmed, and let waiting events out."""
        while True:
            await asyncio.sleep(TICK_SECONDS)
            self._narrator.resume()
            horizon = self._now() - LATELY_SECONDS
            self._lately = {key: at for key, at in self._lately.items() if at > horizon}
            for key in self.view.ledger.expired(self._now()):
                log.warning("%s: its binding was not confirmed in time, trying again", key)
                self._unseat(key, delay=True)

    async def _until_due(self) -> None:
        while True:
            self._changed.clear()
            wait = self.queue.seconds_until_due(self._now())
            if wait is not None and wait <= 0:
                return
            try:
                await asyncio.wait_for(self._changed.wait(), wait)
            except TimeoutError:
                continue

    def _gang_mates(self, keys: Iterable[str]) -> set[str]:
        """Whoever waits in the gangs of these pods: a gang is looked at as a whole."""
        gangs = {self._gang_of[key] for key in keys if key in self._gang_of}
        return {mate for gang in gangs for mate in self._gangs[gang]}

    def _outranked(self, keys: Iterable[str]) -> set[str]:
        """Waiting pods for which room is kept that a pod of higher priority may want: they are placed together."""
        if not self.view.nominations:
            return set()
        batch = [self.view.pods[key] for key in keys if key in self.view.pods]
        most = max((pod.spec.priority or 0 for pod in batch), default=0)
        kept = (self.view.pods.get(key) for key in self.view.nominations)
        return {pod.key for pod in kept if pod is not None and (pod.spec.priority or 0) < most}

    async def _cycle(self, keys: Sequence[str]) -> None:
        """Place a batch. If it cannot be stated, halves of it can, but for the pod at fault, which is told so."""
        decided: set[str] = set()
        try:
            thought = await self._thinker.think(keys, self._effort(keys))
            decided, unfit = self._act(thought)
            if self.preemptor is not None and unfit:
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
                self.queue.retry(key, self._now(), delay=True)

    def _effort(self, keys: Iterable[str]) -> Effort:
        """A few pods are placed at once, and so are those that found no room before; a storm deserves a plan."""
        fresh = sum(key not in self._refusals for key in keys)
        return "fast" if fresh < self._fast_below else "balanced"

    def _act(self, thought: Thought) -> tuple[set[str], list[Unfit]]:
        """Carry out what was decided; the keys of the pods that it was decided about, and the refused ones."""
        assert self.binder is not None  # noqa: S101 - set before the loop starts
        assert self.volume_binder is not None  # noqa: S101
        decided = cycle.decide(self.view, thought.asked, thought.answer, stirred=thought.stirred)
        targets = []
        for action in decided:
            if isinstance(action, Bind) and action.volumes is not None:
                self.view.ledger.assume(action.pod.key, action.node, action.load, self._now() + BOUND_WITHIN_SECONDS)
                target, labels = _target(action.pod, action.node), self.view.nodes[action.node].metadata.labels
                self.volume_binder.start(target, action.pod, action.volumes, labels)
            elif isinstance(action, Bind):
                # How long it waits for its turn is not known; the binder's answer starts the clock.
                self.view.ledger.assume(action.pod.key, action.node, action.load, math.inf)
                targets.append(_target(action.pod, action.node))
            elif isinstance(action, Retry):
                self.queue.retry(action.key, self._now())
        unfit = [action for action in decided if isinstance(action, Unfit)]
        self._refuse(unfit)
        self.binder.submit(targets)
        if targets:
            self._wake(PodCame())
        log.info(
            "%d to bind, %d waiting for room; %d nodes in use", len(targets), len(unfit), thought.answer.nodes_used
        )
        return {action.key if isinstance(action, Retry) else action.pod.key for action in decided}, unfit

    def _refuse(self, unfit: Sequence[Unfit]) -> None:
        for action in unfit:
            readable = action.rules != UNREADABLE
            facts = self.view.facts.of(action.pod) if readable else None
            self._refusals.add(action.pod.key, facts, action.rules)
        helped = self._refusals.helped_by(self._meanwhile or ())
        for action in unfit:
            key = action.pod.key
            self.queue.unschedulable(key, self._now(), helped=key in helped)
            self._narrator.unschedulable(Note(_target(action.pod), "Unschedulable", action.message))

    def _tell_unreadable(self, key: str, error: ValueError) -> set[str]:
        """One pod cannot be stated as a problem: it waits with the reason, and only it."""
        log.error("%s: %s", key, error)
        pod = self.view.pods.get(key)
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
        now = self.view.pods.get(key)
        if now is not None and now.metadata.uid != bound.target.uid:
            return  # a namesake has taken its place meanwhile, with a binding of its own
        if bound.outcome is Outcome.BOUND:
            self.view.ledger.expect_by(key, self._now() + CONFIRM_SECONDS)
            self._refusals.discard(key)
            self._lately[key] = self._now()
            self._note_wait(key)
            text = f"Successfully assigned {key} to {bound.target.node}"
            self._narrator.scheduled(Note(bound.target, "", text))
        elif bound.outcome is Outcome.FAILED:
            self.view.ledger.expect_by(key, self._now() + UNSURE_SECONDS)
            log.warning("%s: binding unanswered: %s", key, bound.message)
        elif self.view.ledger.is_assumed(key):
            log.warning("%s: not bound to %s: %s", key, bound.target.node, bound.message)
            self._unseat(key, delay=True)

    def doubt(self, target: Target) -> str:
        """Why a binding that waits to be sent is out of date; empty when it is not."""
        pod = self.view.pods.get(target.key)
        if pod is None or pod.metadata.uid != target.uid:
            return "the pod is gone"
        return "" if target.node in self.view.nodes else f"node {target.node} is gone"

    def on_volumes_ready(self, target: Target) -> None:
        """All claims of a pod are bound: it can be."""
        assert self.binder is not None  # noqa: S101
        self.view.ledger.expect_by(target.key, math.inf)
        self.binder.submit([target])

    def on_volumes_failed(self, key: str, why: str) -> None:
        """A pod's claims will not be bound where it was to go."""
        log.warning("%s: %s, trying again", key, why)
        self._unseat(key, delay=True)

    def withdraw(self) -> None:
        """Take back bindings that were not sent: the process is about to stop."""
        if self.binder is not None:
            for target in self.binder.withdraw():
                self._unseat(target.key, delay=False)

    def _unseat(self, key: str, *, delay: bool) -> None:
        self._mirror.touch(key)
        if self.volume_binder is not None:
            self.volume_binder.forget(key)
        self.queue.retry(key, self._now(), delay=delay)
        self._leave(key)
        self._changed.set()

    def _note_wait(self, key: str) -> None:
        pod = self.view.pods.get(key)
        if pod is not None and pod.metadata.creation_timestamp:
            created = parse_timestamp(pod.metadata.creation_timestamp).timestamp()
            self._metrics.pod_seconds.observe(max(0.0, time.time() - created))

    @property
    def unplaceable(self) -> Mapping[str, int]:
        """How many waiting pods each rule keeps from some node."""
        return self._refusals.counts()


def _target(pod: Pod, node: str = "") -> Target:
    return Target(pod.metadata.namespace, pod.metadata.name, pod.metadata.uid, node)
