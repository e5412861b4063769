"""Runs plan, packing and repair, and keeps the best complete placement."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from yunchi_placement import columns
from yunchi_placement.cells import close_in_cells
from yunchi_placement.columns import repack
from yunchi_placement.order import prices
from yunchi_placement.pack import pack
from yunchi_placement.plan import RELAXES, Model, Plan, opened_nodes, uniform
from yunchi_placement.repair import close_nodes, complete
from yunchi_placement.solution import Bound, Objective
from yunchi_placement.state import State

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
QUICK = 100
"""With no more patience than this a round is for a fast first answer."""
LEAST_FILL, MOST_FILL = 0.97, 0.999
Note = Callable[[str, State, str], None]


@dataclass(frozen=True, slots=True)
class Settings:
    """How hard to try. All limits are counts, so that answers repeat.

    Attributes:
        waste: room that the first plan leaves free for the packing, in items of mean size per node.
        raise_by, lower_by: how a cell's fill changes after a packing that had enough nodes there, or too few.
        patience: by round of plan and packing, search steps that a cell may take without coming to fewer waiting
            items; `steps` is the most of a round.
        attempts: nodes that are tried to close at the end.
        refills: how often the nodes that a packing freed are given to items left over, and all packed again.
        exact: CP-SAT's deterministic time for one small cell; 0 leaves out small cells and column generation.
    """

    waste: float = 0.04
    raise_by: float = 0.0015
    lower_by: float = 0.004
    plan_gap: float = 5e-4
    plan_nodes: int = 20
    bound_gap: float = 2e-4
    bound_nodes: int = 60
    patience: tuple[int, ...] = (QUICK, 300)
    steps: int = 30_000
    attempts: int = 40
    refills: int = 1
    exact: float = 0.0


BALANCED = Settings()
BEST = Settings(
    plan_gap=1e-4,
    plan_nodes=200,
    bound_gap=1e-5,
    bound_nodes=2000,
    patience=(400, 1000, 1000, 2000, 2000),
    steps=200_000,
    attempts=200,
    refills=5,
    exact=2.0,
)


def improve(
    incumbent: State, volume: Bound, objective: Objective, settings: Settings, seed: int, note: Note
) -> tuple[State, Bound]:
    """Find a cheaper placement of the items that the incumbent places, and a proven bound for them.

    `volume` is their bound by arithmetic.
    """
    instance = incumbent.instance
    ground = Model.of(incumbent, steady=False)
    if not ground.fits:
        return incumbent, volume
    steady = any(not kind.keeps_node or kind.ties for kind in instance.classes)
    model = Model.of(incumbent, steady=True) if steady else ground
    with ThreadPoolExecutor(max_workers=1) as pool:
        proof = pool.submit(_bound, ground, objective, settings, volume, seed)
        best = incumbent
        fill = first_fill(incumbent, settings.waste)
        for patience in settings.patience:
            best, short = _round(best, incumbent, model, objective, fill, settings, patience, seed)
            note("pack", best, f"fill {fill.min():.4f}..{fill.max():.4f}")
            fill = np.minimum(fill + np.where(short, -settings.lower_by, settings.raise_by), MOST_FILL)
        price = prices(instance, objective)
        rng = np.random.default_rng(seed)
        opened = best.used.copy()
        best, closed = close_nodes(best, opened, price, settings.attempts, settings.steps // 10, rng)
        note("close nodes", best, f"{closed} closed or replaced")
        if settings.exact:
            best, emptied = close_in_cells(best, objective, seed, effort=settings.exact)
            note("small cells", best, f"{emptied} emptied")
            best = repack(best, ground, objective, seed, columns.Settings())
            note("columns", best, "")
        return best, proof.result()


def first_fill(state: State, waste: float) -> Floats:
    """By cell: how full a packing can make nodes. The fewer items a node holds, the more room stays unused."""
    instance = state.instance
    cells = max(1, instance.cells)
    items = np.bincount(instance.cell_of[state.node_of[state.node_of >= 0]], minlength=cells)
    nodes = np.bincount(instance.cell_of[state.used], minlength=cells)
    return np.clip(1.0 - waste * nodes / np.maximum(items, 1), LEAST_FILL, MOST_FILL)


def _round(
    best: State,
    incumbent: State,
    model: Model,
    objective: Objective,
    fill: Floats,
    settings: Settings,
    patience: int,
    seed: int,
) -> tuple[State, Mask]:
    """Plan at these fills and pack; the better state, and the cells where the plan's nodes were too few."""
    everywhere = np.ones(len(fill), dtype=np.bool_)
    plan, _ = model.solve(objective, fill=fill, gap=settings.plan_gap, nodes=settings.plan_nodes, seed=seed)
    if plan is None:
        return best, everywhere
    found = _follow(incumbent, model, plan, objective, settings, patience, seed)
    if found is None:
        return best, everywhere
    extra = found.used
    extra[opened_nodes(model, plan.opened)] = False
    short = np.zeros(len(fill), dtype=np.bool_)
    short[model.instance.cell_of[extra]] = True
    return (found if _better(found, best, objective) else best), short


def _better(one: State, other: State, objective: Objective) -> bool:
    first, second = one.value(), other.value()
    return (first.of(objective), first) < (second.of(objective), second)


def _follow(
    incumbent: State,
    model: Model,
    plan: Plan,
    objective: Objective,
    settings: Settings,
    patience: int,
    seed: int,
) -> State | None:
    """Pack what the incumbent places along the plan; None if something would be left over."""
    instance = incumbent.instance
    base = State.empty(instance)
    targets: set[int] = set()
    tied = [(item, int(incumbent.node_of[item])) for item in incumbent.log if incumbent.class_at(item).keeps_node]
    for item, node in enumerate(incumbent.node_of.tolist()):
        if node >= 0:
            if incumbent.class_at(item).keeps_node:
                targets.add(item)
            else:
                base.place(item, node)
    opened = np.zeros(len(instance.nodes), dtype=np.bool_)
    opened[opened_nodes(model, plan.opened)] = True
    state = pack(base, model, plan, opened, targets, tied)
    waiting = [item for item in sorted(targets) if state.node_of[item] < 0]
    price = prices(instance, objective)
    quick = patience <= QUICK
    left = complete(
        state, opened, price, waiting, np.random.default_rng(seed), steps=settings.steps, patience=patience, quick=quick
    )
    return None if left else state


def _bound(model: Model, objective: Objective, settings: Settings, volume: Bound, seed: int) -> Bound:
    """The plan's dual bound for the objective; arithmetic for the other measure."""
    instance = model.instance
    _, least = model.solve(
        objective,
        fill=uniform(instance, 1.0),
        gap=settings.bound_gap,
        nodes=settings.bound_nodes,
        seed=seed,
        tighten=True,
    )
    if objective == "cost":
        cost = least + int(instance.cost[instance.in_use].sum())
        return Bound(volume.nodes, max(volume.cost, cost), RELAXES)
    nodes = least + int(instance.in_use.sum())
    return Bound(max(volume.nodes, nodes), volume.cost, RELAXES)
