"""Column generation over one pool, and the placement that its patterns give."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from yunchi_placement.columns.master import Master
from yunchi_placement.columns.pool import Pool, pool_of, present_patterns
from yunchi_placement.columns.pricing import best_pattern
from yunchi_placement.formulation import Part
from yunchi_placement.order import prices
from yunchi_placement.plan import Model
from yunchi_placement.repair import complete
from yunchi_placement.solution import Objective
from yunchi_placement.state import State

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Settings:
    """Limits, all of them counts: rounds of pricing, CP-SAT's deterministic time for one, nodes of the master.

    `patience` and `steps` are those of the search that seats what the chosen patterns leave over.
    """

    rounds: int = 8
    effort: float = 0.3
    gap: float = 1e-4
    nodes: int = 500
    patience: int = 2000
    steps: int = 100_000


def repack(state: State, model: Model, objective: Objective, seed: int, settings: Settings) -> State:
    """Fill the accelerator pools of a placement anew by patterns.

    Args:
        state: A placement; it is not changed.
        model: The plan's model of the same items; each of its parts with cards is a pool.
        objective: What is minimised.
        seed: Fixes every arbitrary choice.
        settings: How hard to try.

    Returns:
        The same items, placed no worse.
    """
    for part in model.parts:
        pool = pool_of(state, model, part, objective) if _has_cards(state, model, part) else None
        if pool is None:
            continue
        master = generate(pool, present_patterns(state, pool), seed, settings)
        chosen = master.choose(settings.gap, settings.nodes, seed)
        found = None if chosen is None else _apply(state, pool, master, chosen, objective, seed, settings)
        if found is not None and found.value().of(objective) < state.value().of(objective):
            state = found
    return state


def _has_cards(state: State, model: Model, part: Part) -> bool:
    flows = {model.arcs[arc][0] for arc in part.arcs}
    return any(bool(model.requests[sorted(flows), table.resource].any()) for table in state.cards)


def generate(pool: Pool, patterns: list[tuple[int, Ints]], seed: int, settings: Settings) -> Master:
    """Add patterns until none is worth more than its node, or the rounds are used up."""
    master = Master(pool, list(patterns))
    for _ in range(settings.rounds):
        worth = master.prices()
        if worth is None:
            break
        added = False
        for number, kind in enumerate(pool.kinds):
            counts = best_pattern(pool, number, worth, seed, settings.effort)
            if counts is not None and float(worth @ counts) > kind.price * (1 + 1e-6) + 1e-6:
                added |= master.add(number, counts)
        if not added:
            break
    return master


def _apply(
    state: State, pool: Pool, master: Master, chosen: Ints, objective: Objective, seed: int, settings: Settings
) -> State | None:
    """Place the pool's items as the chosen patterns say, and what they leave over by search; None if some stay out."""
    found = state.copy()
    for job in pool.jobs:
        for item in job.items:
            found.remove(item)
    waiting = [list(job.items) for job in pool.jobs]
    spare = [list(kind.nodes) for kind in pool.kinds]
    opened = found.used
    for (kind, counts), times in zip(master.patterns, chosen.tolist(), strict=True):
        for _ in range(times):
            if not spare[kind]:
                break
            node = spare[kind].pop(0)
            if _fill(found, pool, waiting, counts, node):
                opened[node] = True
    rest = sorted(item for items in waiting for item in items)
    rng = np.random.default_rng(seed)
    price = prices(state.instance, objective)
    left = complete(found, opened, price, rest, rng, steps=settings.steps, patience=settings.patience)
    return None if left else found


def _fill(state: State, pool: Pool, waiting: list[list[int]], counts: Ints, node: int) -> bool:
    """Put a pattern's items on a node, whole cards and large shares first; True if any was placed."""
    jobs = [job for job in np.flatnonzero(counts).tolist() if waiting[job]]
    any_placed = False
    for job in sorted(jobs, key=lambda number: [-amount for _, amount in pool.jobs[number].cards] or [0]):
        for _ in range(min(int(counts[job]), len(waiting[job]))):
            item = waiting[job][-1]
            if state.candidates(state.class_at(item))[node]:
                state.place(waiting[job].pop(), node)
                any_placed = True
    return any_placed
