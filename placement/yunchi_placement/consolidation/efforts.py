"""How hard to try, by effort. All limits are counts, so that answers repeat."""

from __future__ import annotations

from dataclasses import dataclass

from yunchi_placement.solution import Effort


@dataclass(frozen=True, slots=True)
class Settings:
    """Limits of the stages.

    Attributes:
        fills: How full cells are planned, round by round; lowered where the last round fell short.
        enough: the rounds end when a packing needs no more than this part of extra nodes; 0 for all rounds.
        steps: search steps of one packing.
        tries: failed attempts to empty one more node after packing.
        small: up to so many nodes, nodes are also tried one by one from the start.
        exact_size: clusters with no more choices (item, node) than this are also solved by CP-SAT,
        exact_time: for so much deterministic time.
        patience: how thin a wave may get before a node more is kept to break up chains of moves.
        orderings: placements tried, best first, until one can be reached in waves as it is.
    """

    fills: tuple[float, ...] = (0.985, 0.97)
    enough: float = 0.01
    steps: int = 8000
    tries: int = 4
    small: int = 150
    exact_size: int = 4000
    exact_time: float = 0.5
    orderings: int = 3
    patience: int = 8
    mip_gap: float = 2e-3
    mip_nodes: int = 40


EFFORTS: dict[Effort, Settings] = {
    "fast": Settings(fills=(0.98,), steps=1000, tries=2, small=60, exact_size=1000, exact_time=0.1, orderings=2),
    "balanced": Settings(),
    "best": Settings(
        fills=(0.985, 0.995, 0.998, 0.999),
        enough=0.0,
        steps=40_000,
        tries=40,
        small=600,
        mip_nodes=400,
        exact_size=40_000,
        exact_time=10.0,
        orderings=8,
        patience=32,
    ),
}
