"""From a batch to an answer: the worker is asked, and if it fails, a greedy answer is found beside the watch loop."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from yunchi_operator.processes.scheduler_metrics import SchedulerMetrics
from yunchi_operator.processes.solver import Solver, SolverError
from yunchi_operator.scheduling.desk import Answer, Desk
from yunchi_operator.scheduling.mirror import Asked, Mirror
from yunchi_placement import Effort, Objective

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Thought:
    """An answer with its question.

    Attributes:
        stirred: whether meanwhile something came, went or changed that other pods may mind.
    """

    asked: Asked
    answer: Answer
    stirred: bool


class Thinker:
    """Asks the solver, measured and limited in time.

    Attributes:
        solving_since: when the present question was asked; None while there is none.
        last_solved: when the worker last answered.
        failures: in a row.
    """

    def __init__(
        self,
        mirror: Mirror,
        solver: Solver,
        metrics: SchedulerMetrics,
        *,
        objective: Objective,
        timeout_seconds: float,
        now: Callable[[], float],
    ) -> None:
        self.solving_since: float | None = None
        self.last_solved: float | None = None
        self.failures = 0
        self._mirror = mirror
        self._solver = solver
        self._metrics = metrics
        self._objective = objective
        self._timeout_seconds = timeout_seconds
        self._now = now

    async def think(self, keys: Sequence[str], effort: Effort) -> Thought:
        """Have a batch placed.

        Raises:
            ValueError: the batch, or something that runs, cannot be stated as a problem.
        """
        self.solving_since = started = self._now()
        try:
            asked, answer = await self._ask(keys, effort)
        finally:
            self._metrics.solve_seconds.observe(self._now() - started)
            self.solving_since = None
        stirred = self._mirror.stirred()
        self._mirror.took(asked, answer)
        if answer.gap is not None:
            self._metrics.gap.set(answer.gap)
        return Thought(asked, answer, stirred)

    async def _ask(self, keys: Sequence[str], effort: Effort) -> tuple[Asked, Answer]:
        # After a failure less is asked for: a plan may be what was too much.
        asked = self._mirror.ask(keys, "fast" if self.failures else effort)
        try:
            answer = await self._solver.ask(asked.question, timeout_seconds=self._timeout_seconds)
        except SolverError as error:
            self._mirror.reset()
            self.failures += 1
            self._metrics.solves.labels(self._objective, error.status).inc()
            log.error("%d pods: %s; answering greedily", len(asked.pods), error)  # noqa: TRY400 - foreseen, told in full
            return await self._without_worker(keys)
        except BaseException:
            self._mirror.reset()
            raise
        self.last_solved, self.failures = self._now(), 0
        self._metrics.solves.labels(self._objective, "partial" if answer.unplaced else "complete").inc()
        return asked, answer

    async def _without_worker(self, keys: Sequence[str]) -> tuple[Asked, Answer]:
        """The greedy answer, from everything anew; the next worker will be told everything, too."""
        asked = self._mirror.ask(keys, "fast")
        try:
            answer = await asyncio.to_thread(Desk().answer, asked.question)
        except BaseException:
            self._mirror.reset()
            raise
        self._mirror.forget_worker()
        self._metrics.solves.labels(self._objective, "greedy").inc()
        return asked, answer
