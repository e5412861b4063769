"""The placement loop: watch events in, bindings out. All state here can be lost: a restart rebuilds it from listings.

Handlers only note what changed; one task takes batches, has them solved in the worker process, checks the answer
against what the watch has brought meanwhile, and hands bindings to the binder without waiting for them.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from yunchi_operator.api.conditions import parse_timestamp
from yunchi_operator.api.core import Namespace, Node, Pod
from yunchi_operator.kube.binding import Binder, Bound, Narrator, Note, Outcome, Target
from yunchi_operator.processes.scheduler_metrics import SchedulerMetrics
from yunchi_operator.processes.solver import Solver, SolverError
from yunchi_operator.scheduling import cycle
from yunchi_operator.scheduling.cycle import Bind, Planned, Retry, Unfit, View
from yunchi_operator.scheduling.queue import Batch, PendingQueue
from yunchi_placement import Effort, Objective, Solution

log = logging.getLogger(__name__)

CONFIRM_SECONDS = 30.0
"""A binding that was answered well but is not seen by then is given up: the watch has lost it."""
UNSURE_SECONDS = 5.0
"""The same for a binding without an answer."""
TICK_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class LoopSettings:
    """How to solve.

    Attributes:
        objective: ``cost`` or ``nodes``.
        solve_timeout_seconds: the worker is killed after this long.
        fast_below: batches of fewer pods are solved with effort ``fast``; a lone pod shall not wait for a plan.
    """

    objective: Objective = "cost"
    solve_timeout_seconds: float = 60.0
    fast_below: int = 50


class SchedulingLoop:
    """Queue, ledger and solver around one :class:`View` of the cluster."""

    def __init__(
        self,
        view: View,
        *,
        queue: PendingQueue,
        solver: Solver,
        narrator: Narrator,
        metrics: SchedulerMetrics,
        settings: LoopSettings,
        now: Callable[[], float],
    ) -> None:
        self.view = view
        self.queue = queue
        self.binder: Binder | None = None
        self.last_solved: float | None = None
        self.solving_since: float | None = None
        self.failed_solves = 0
        self._solver = solver
        self._narrator = narrator
        self._metrics = metrics
        self._settings = settings
        self._now = now
        self._changed = asyncio.Event()
        self._rules: dict[str, tuple[str, ...]] = {}

    # -- what the watches tell ----------------------------------------------------------------------------------------

    def on_node(self, key: str, old: Node | None, new: Node | None) -> None:
        """A node came, changed or went."""
        if not cycle.node_differs(old, new):
            return
        self.view.ledger.touch(key)
        if cycle.node_may_help(old, new):
            self._wake()

    def on_pod(self, key: str, old: Pod | None, new: Pod | None) -> None:
        """A pod came, changed, was bound, finished or went; finished ones leave the selected set."""
        if new is None or (old is not None and old.metadata.uid != new.metadata.uid):
            self._forget(key)
        if new is None:
            return
        if new.spec.node_name:
            self._seated(key, new)
        elif cycle.is_ours(new):
            self._waiting(key, new)
        else:
            self._forget(key)

    def on_namespace(self, key: str, old: Namespace | None, new: Namespace | None) -> None:
        """A namespace's labels came or changed: its pods' rules about neighbours may read differently now."""
        if old is not None and new is not None and old.metadata.labels != new.metadata.labels:
            self._wake()

    def _seated(self, key: str, pod: Pod) -> None:
        try:
            load = self.view.load_of(pod)
        except ValueError as error:
            log.error("%s", error)  # noqa: TRY400 - the API server lets no such pod in
            return
        if self.view.ledger.seat_of(key) not in {None, pod.spec.node_name}:
            log.warning("%s: bound to %s by somebody else", key, pod.spec.node_name)
        self.view.ledger.confirm(key, pod.spec.node_name, load)
        if key in self.queue:
            self._settle(key)

    def _waiting(self, key: str, pod: Pod) -> None:
        gated = bool(pod.spec.scheduling_gates)
        self.queue.add(
            key,
            now=self._now(),
            priority=pod.spec.priority or 0,
            department=self.view.department_of(pod),
            gated=gated,
        )
        if gated:
            text = "Scheduling is blocked due to non-empty scheduling gates"
            self._narrator.unschedulable(Note(_target(pod), "SchedulingGated", text))
        self._changed.set()

    def _forget(self, key: str) -> None:
        """A pod is gone: its room may be what others wait for."""
        self._settle(key)
        self.view.facts.forget(key)
        if self.view.ledger.leave(key) is not None:
            self._wake()

    def _settle(self, key: str) -> None:
        self.queue.remove(key)
        self._rules.pop(key, None)
        self._narrator.forget(key)

    def _wake(self) -> None:
        if self.queue.wake(self._now()):
            self._changed.set()

    # -- cycles -------------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Take batches for ever; ends by cancellation only."""
        while True:
            await self._until_due()
            batch = self.queue.take(self._now())
            if batch.keys:
                await self._cycle(batch)

    async def tick(self) -> None:
        """Once a second: give up bindings that were never confirmed, and let waiting events out."""
        while True:
            await asyncio.sleep(TICK_SECONDS)
            self._narrator.resume()
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

    async def _cycle(self, batch: Batch) -> None:
        decided: set[str] = set()
        try:
            planned = cycle.plan(self.view, batch.keys)
            solution = await self._solve(planned)
            if solution is not None:
                decided = self._act(planned, solution, batch)
        except ValueError:
            log.exception("%d pods could not be stated as a problem", len(batch.keys))
        for key in batch.keys:
            if key not in decided:  # nothing for those that are bound or gone by now
                self.queue.retry(key, self._now(), delay=True)

    async def _solve(self, planned: Planned) -> Solution | None:
        """The engine's answer; None when there is none this time."""
        objective, effort = self._settings.objective, self._effort(len(planned.items))
        self.solving_since = started = self._now()
        try:
            solution = await self._solver.solve(
                planned.problem,
                objective=objective,
                effort=effort,
                timeout_seconds=self._settings.solve_timeout_seconds,
            )
        except SolverError as error:
            log.error("%d pods not solved: %s", len(planned.items), error)  # noqa: TRY400 - foreseen, told in full
            self._metrics.solves.labels(objective, error.status).inc()
            self.failed_solves += 1
            return None
        finally:
            self._metrics.solve_seconds.observe(self._now() - started)
            self.solving_since = None
        self.last_solved = self._now()
        self.failed_solves = 0
        self._metrics.gap.set(solution.gap)
        self._metrics.solves.labels(objective, "partial" if solution.unplaced else "complete").inc()
        return solution

    def _effort(self, pods: int) -> Effort:
        """A few pods are placed at once; a storm deserves a plan, unless the last plan failed."""
        if pods < self._settings.fast_below or self.failed_solves:
            return "fast"
        return "balanced"

    def _act(self, planned: Planned, solution: Solution, batch: Batch) -> set[str]:
        """Carry out what was decided; returns the keys of the pods that it was decided about."""
        assert self.binder is not None  # noqa: S101 - set before the loop starts
        decided = cycle.decide(self.view, planned, solution)
        targets = []
        now = self._now()
        for action in decided:
            if isinstance(action, Bind):
                self.view.ledger.assume(action.pod.key, action.node, action.load, now + CONFIRM_SECONDS)
                targets.append(_target(action.pod, action.node))
            elif isinstance(action, Retry):
                self.queue.retry(action.key, now)
            else:
                self._unfit(action, batch)
        self.binder.submit(targets)
        log.info(
            "%d pods: %d to bind, %d waiting for room; %d nodes in use, gap %.4f",
            len(planned.items),
            len(targets),
            sum(isinstance(action, Unfit) for action in decided),
            solution.nodes_used,
            solution.gap,
        )
        return {action.key if isinstance(action, Retry) else action.pod.key for action in decided}

    def _unfit(self, action: Unfit, batch: Batch) -> None:
        self.queue.unschedulable(action.pod.key, batch, self._now())
        self._rules[action.pod.key] = action.rules
        self._narrator.unschedulable(Note(_target(action.pod), "Unschedulable", action.message))

    # -- what became of bindings --------------------------------------------------------------------------------------

    def on_bound(self, bound: Bound) -> None:
        """The binder's answer for one pod."""
        key = bound.target.key
        self._metrics.binds.labels(bound.outcome.value).inc()
        self._metrics.bind_seconds.observe(bound.seconds)
        if bound.outcome is Outcome.BOUND:
            self._rules.pop(key, None)
            self._note_wait(key)
            text = f"Successfully assigned {key} to {bound.target.node}"
            self._narrator.scheduled(Note(bound.target, "", text))
        elif bound.outcome is Outcome.FAILED:
            self.view.ledger.expect_by(key, self._now() + UNSURE_SECONDS)
            log.warning("%s: binding unanswered: %s", key, bound.message)
        elif self.view.ledger.is_assumed(key):
            log.warning("%s: not bound to %s: %s", key, bound.target.node, bound.message)
            self._unseat(key, delay=True)

    def withdraw(self) -> None:
        """Take back bindings that were not sent: the process is about to stop."""
        if self.binder is not None:
            for target in self.binder.withdraw():
                self._unseat(target.key, delay=False)

    def _unseat(self, key: str, *, delay: bool) -> None:
        self.view.ledger.leave(key)
        self.queue.retry(key, self._now(), delay=delay)
        self._wake()
        self._changed.set()

    def _note_wait(self, key: str) -> None:
        pod = self.view.pods.get(key)
        if pod is not None and pod.metadata.creation_timestamp:
            created = parse_timestamp(pod.metadata.creation_timestamp).timestamp()
            self._metrics.pod_seconds.observe(max(0.0, time.time() - created))

    @property
    def unplaceable(self) -> Mapping[str, int]:
        """How many waiting pods each rule keeps from some node."""
        return Counter(rule for rules in self._rules.values() for rule in rules)


def _target(pod: Pod, node: str = "") -> Target:
    return Target(pod.metadata.namespace, pod.metadata.name, pod.metadata.uid, node)
