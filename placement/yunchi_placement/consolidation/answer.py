"""What a consolidation is told and what it answers: frozen values."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

from yunchi_placement.solution import Bound, Stage, Unplaced
from yunchi_placement.state import Value


@dataclass(frozen=True, slots=True)
class Limits:
    """How far a plan may go; None means no limit.

    Attributes:
        most_moves: sum of `Item.move_cost` over the moved items. Relieving overfull nodes counts first.
        most_nodes: nodes to empty; an int is a count, a float (0..1) a share of all nodes, rounded up as Karpenter
            does for its budgets (30 % of ten nodes are 3, and 10 % of five nodes are 1).
        threshold: least score of a node, (saving / pool's cost) / (move cost / pool's move cost); a node below it is
            not emptied. Pools are the nodes' `pool`; the saving is by objective.
        below: (resource, share) pairs: only nodes whose requested share is below all of them are emptied. Any node
            may receive.
    """

    most_moves: int | None = None
    most_nodes: int | float | None = None
    threshold: float | None = None
    below: tuple[tuple[str, float], ...] = ()

    def nodes_of(self, total: int) -> int | None:
        """The node budget as a count, of `total` nodes."""
        if self.most_nodes is None or isinstance(self.most_nodes, int):
            return self.most_nodes
        # The shortest decimal that reads as this float is what the person wrote: 0.1 of 30 is 3, not a hair more.
        return math.ceil(Fraction(repr(self.most_nodes)) * total)


@dataclass(frozen=True, slots=True)
class Move:
    """A running item, by its index in the problem, goes from a node to another; the reason is for people."""

    item: int
    source: str
    target: str
    reason: str


@dataclass(frozen=True, slots=True)
class Kept:
    """A node that stays in use, and why."""

    node: str
    reason: str


@dataclass(frozen=True, slots=True)
class Point:
    """A stage of the trade-off: saving (micro-units, or nodes) for a sum of move costs."""

    saving: int
    moves: int
    nodes_emptied: int


@dataclass(frozen=True, slots=True)
class Unmovable:
    """How many running items may not be moved for one reason."""

    reason: str
    items: int


@dataclass(frozen=True, slots=True)
class Consolidation:
    """A plan that can be carried out wave by wave.

    Attributes:
        moves: at most one per item, never back to where it was.
        placements: (item index, node) of pending items; bind them when the waves are through.
        unplaced: pending items without a place. They never hold the rest back.
        emptied: nodes in use now and not at the end.
        kept: every node in use at the end, with the reason.
        curve: what can be saved for how many moves, limits by count aside, from (0, ...) up to the most.
        waves: indexes into `moves`. Within a wave moves may run at once: a moving item counts on both of its nodes.
        limited: whether a limit by count, not the cluster, ended the plan: with nothing planned it does not mean
            that there is nothing to do.
        present: nodes in use by running items now.
        before: the same after pending items are placed and overfull nodes are relieved, nothing else moved. The
            savings of the curve count from here.
        after: at the end of the plan.
        bound: proven for the items placed, if all movable ones were free to go where they may.
        gap: (after - bound) / bound of the objective.
    """

    moves: tuple[Move, ...]
    placements: tuple[tuple[int, str], ...]
    unplaced: tuple[Unplaced, ...]
    emptied: tuple[str, ...]
    kept: tuple[Kept, ...]
    curve: tuple[Point, ...]
    waves: tuple[tuple[int, ...], ...]
    limited: bool
    present: Value
    before: Value
    after: Value
    bound: Bound
    gap: float
    stages: tuple[Stage, ...]
    unmovable: tuple[Unmovable, ...]
