"""Where questions are answered: an engine's session and the changes that keep it like the cluster.

Pure, and the same in the worker process and, when that has failed, beside the watch loop.
"""

from __future__ import annotations

from dataclasses import dataclass

from yunchi_placement import Effort, Gang, Item, Node, Objective, Problem, Reason
from yunchi_placement.session import Session


@dataclass(frozen=True, slots=True)
class Question:
    """What to place, and what has changed since the last question.

    Attributes:
        items: to place.
        problem: everything anew: nodes and what runs; None to go on from the last question.
        nodes, gangs: all of them, where any has changed.
        removed: names of items that have left.
        observed: items that run and were not there, or were otherwise.
    """

    items: tuple[Item, ...]
    effort: Effort = "fast"
    objective: Objective = "cost"
    problem: Problem | None = None
    nodes: tuple[Node, ...] | None = None
    gangs: tuple[Gang, ...] | None = None
    removed: tuple[str, ...] = ()
    observed: tuple[Item, ...] = ()


@dataclass(frozen=True, slots=True)
class Unplaced:
    """An item without a node: nodes counted by their first failing rule, and the smallest change that would help."""

    name: str
    reasons: tuple[Reason, ...]
    fix: str


@dataclass(frozen=True, slots=True)
class Answer:
    """Where the items went.

    Attributes:
        placed: (item, node), in an order in which each one is allowed when its turn comes.
        nodes_used: by everything that runs, these included.
        gap: of the cost to its proven bound, as a fraction; None where no bound was looked for.
    """

    placed: tuple[tuple[str, str], ...]
    unplaced: tuple[Unplaced, ...]
    nodes_used: int
    gap: float | None = None


class NothingKnown(Exception):  # noqa: N818 - a fact about this desk, such as after a restart
    """A question that goes on from one which this desk has not seen."""


class Desk:
    """Answers questions, one after the other. What it places, it takes for running from then on."""

    def __init__(self) -> None:
        self._session: Session | None = None

    def answer(self, question: Question) -> Answer:
        """Bring the session up to date and place the items.

        Raises:
            NothingKnown: the question needs an earlier one.
            InvalidProblem: something contradicts itself. The session may be half changed: ask everything anew.
        """
        session = self._updated(question)
        arrival = session.place(question.items, question.effort)
        session.remove([name for name, _, _ in arrival.unplaced])
        gap = None
        if arrival.bound is not None and arrival.bound.cost:
            gap = (session.cost - arrival.bound.cost) / arrival.bound.cost
        return Answer(
            placed=arrival.placed,
            unplaced=tuple(Unplaced(*one) for one in arrival.unplaced),
            nodes_used=session.nodes_used,
            gap=gap,
        )

    def _updated(self, question: Question) -> Session:
        if question.problem is not None:
            self._session = Session(question.problem, objective=question.objective)
        if self._session is None:
            raise NothingKnown("no earlier question; state the whole problem")
        session = self._session
        session.remove(question.removed)
        if question.nodes is not None or question.gangs is not None:
            session.renew(question.nodes, question.gangs)
        if question.observed:
            session.observe(question.observed)
        return session
