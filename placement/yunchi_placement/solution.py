"""What the engine answers: frozen values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Objective = Literal["cost", "nodes"]
Effort = Literal["fast", "balanced", "best"]


@dataclass(frozen=True, slots=True)
class Reason:
    """How many nodes fail first at this rule."""

    rule: str
    nodes: int


@dataclass(frozen=True, slots=True)
class Unplaced:
    """An item without a node: its index, the counted reasons and the smallest change that would help."""

    item: int
    reasons: tuple[Reason, ...]
    fix: str


@dataclass(frozen=True, slots=True)
class Bound:
    """Proven: no placement of the same items uses fewer nodes, or costs less. `relaxes` says what was dropped."""

    nodes: int
    cost: int
    relaxes: str


@dataclass(frozen=True, slots=True)
class Stage:
    """The best placement after a stage: items placed of those asked for, nodes in use, cost in micro-units."""

    name: str
    placed: int
    nodes_used: int
    cost: int
    note: str = ""


@dataclass(frozen=True, slots=True)
class Progress:
    """Told to the caller while solving: the stage and how far the solve is (0..1)."""

    stage: str
    fraction: float
    placed: int = 0
    nodes_used: int = 0
    cost: int = 0


@dataclass(frozen=True, slots=True)
class Solution:
    """A placement by item index, with its value, its bound and the gap (value - bound) / bound of the objective.

    Attributes:
        order: the newly placed items, in an order in which each one meets all rules when it is placed.
        cards: for newly placed items that hold cards, item and card numbers on its node, kind by kind in the order
            of `Problem.cards`.
    """

    assignment: tuple[str | None, ...]
    unplaced: tuple[Unplaced, ...]
    nodes_used: int
    cost: int
    bound: Bound
    gap: float
    stages: tuple[Stage, ...]
    order: tuple[int, ...] = ()
    cards: tuple[tuple[int, tuple[int, ...]], ...] = ()
