"""What preemption is told of running items, and what it answers: frozen values."""

from __future__ import annotations

from dataclasses import dataclass

from yunchi_placement.problem import Item


@dataclass(frozen=True, slots=True)
class Victim:
    """A running item that may be evicted. Its budgets are those of the item and of the problem.

    Attributes:
        since: when it started, in seconds of any clock; of equals, those that started later are evicted first.
    """

    since: float


@dataclass(frozen=True, slots=True)
class Nomination:
    """An item and the node on which it will fit once the victims of all nominations and what is leaving are gone.

    Attributes:
        item: position in `Problem.items`.
        node: the node's name.
        victims: names of the running items to evict for it, all on this node, the most important first.
        violations: by how much these victims go beyond disruption budgets, earlier nominations' victims counted.
    """

    item: int
    node: str
    victims: tuple[str, ...] = ()
    violations: int = 0


@dataclass(frozen=True, slots=True)
class Choice:
    """A claimant, the node that it is to get, and whom that node loses."""

    item: Item
    node: str
    victims: tuple[str, ...]
