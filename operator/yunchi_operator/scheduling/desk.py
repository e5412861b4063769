"""Where questions are answered: an engine's session and the changes that keep it like the cluster.

Pure, and the same in the worker process and, when that has failed, beside the watch loop.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from yunchi_placement import Budget, Effort, Gang, Item, Node, Objective, Problem, Reason
from yunchi_placement.preemption import Victim, preempt
from yunchi_placement.session import Session


@dataclass(frozen=True, slots=True)
class Claimants:
    """Items that found no room and may take that of items of lower priority.

    Attributes:
        items: the claimants.
        evictable: by name, when a running item started (seconds), and the disruption budgets that cover it.
        leaving: names of running items that are on their way out already.
        allowed: by budget, how many more of its items may be disrupted.
    """

    items: tuple[Item, ...]
    evictable: Mapping[str, tuple[float, frozenset[str]]]
    leaving: frozenset[str] = frozenset()
    allowed: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Eviction:
    """A claimant, the node that it will get, and who must go for it; those that are leaving anyway are not named."""

    name: str
    node: str
    victims: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Question:
    """What to place, and what has changed since the last question.

    Attributes:
        items: to place.
        problem: everything anew: nodes and what runs; None to go on from the last question.
        nodes, gangs: all of them, where any has changed.
        removed: names of items that have left.
        observed: items that run and were not there, or were otherwise.
        claimants: who may have others evicted.
    """

    items: tuple[Item, ...]
    effort: Effort = "fast"
    objective: Objective = "cost"
    problem: Problem | None = None
    nodes: tuple[Node, ...] | None = None
    gangs: tuple[Gang, ...] | None = None
    removed: tuple[str, ...] = ()
    observed: tuple[Item, ...] = ()
    claimants: Claimants | None = None


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
        evictions: for the claimants that can be helped.
    """

    placed: tuple[tuple[str, str], ...]
    unplaced: tuple[Unplaced, ...]
    nodes_used: int
    gap: float | None = None
    evictions: tuple[Eviction, ...] = ()


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
            evictions=_evictions(session, question.claimants) if question.claimants else (),
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


def _evictions(session: Session, claimants: Claimants) -> tuple[Eviction, ...]:
    """Who must go so that the claimants fit."""
    plain = session.stated(claimants.items)
    items = tuple(
        replace(item, budgets=claimants.evictable[item.name][1]) if item.name in claimants.evictable else item
        for item in plain.items
    )
    budgets = tuple(Budget(name, allowed) for name, allowed in sorted(claimants.allowed.items()))
    problem = replace(plain, items=items, budgets=budgets)
    first = len(items) - len(claimants.items)
    found = preempt(
        problem,
        range(first, len(items)),
        evictable={name: Victim(since) for name, (since, _) in claimants.evictable.items()},
        leaving=claimants.leaving,
    )
    return tuple(Eviction(items[one.item].name, one.node, one.victims) for one in found)
