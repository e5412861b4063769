"""Runs plan, packing and repair, and keeps the best complete placement."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from yunchi_placement.bounds import volume_bound
from yunchi_placement.canonical import Instance
from yunchi_placement.greedy import prices
from yunchi_placement.pack import RULES, pack
from yunchi_placement.plan import RELAXES, Model, Plan, opened_nodes, uniform
from yunchi_placement.problem import Bound, Objective
from yunchi_placement.repair import close_nodes, complete
from yunchi_placement.search import Search
from yunchi_placement.state import State

Note = Callable[[str, State, str], None]


@dataclass(frozen=True, slots=True)
class Settings:
    """How hard to try. All limits are counts, so that answers repeat."""

    fills: tuple[float, ...] = (0.995,)
    plan_gap: float = 2e-3
    bound_gap: float = 1.2e-3
    mip_nodes: int = 40
    steps: int = 6000
    attempts: int = 40


BALANCED = Settings()
BEST = Settings(fills=(0.994, 0.9965), bound_gap=1e-4, mip_nodes=10_000, steps=20_000, attempts=200)


def place_rest(state: State, seed: int, steps: int = 2000) -> State:
    """Try to place what the greedy incumbent left over, by moving others; never unplaces anything."""
    instance = state.instance
    failed: set[int] = set()
    order = sorted(state.unplaced(), key=lambda item: (-state.class_at(item).priority, item))
    everywhere = np.ones(len(instance.nodes), dtype=np.bool_)
    for item in order:
        number = int(instance.class_of[item])
        if number in failed or len(failed) >= 40 or not instance.classes[number].allowed.any():
            continue
        trial = state.copy()
        if Search(trial, everywhere, np.random.default_rng(seed)).run([item], steps):
            failed.add(number)
        else:
            state = trial
    return state


def improve(incumbent: State, objective: Objective, settings: Settings, seed: int, note: Note) -> tuple[State, Bound]:
    """Find a cheaper placement of the items that the incumbent places, and a proven bound for them."""
    instance = incumbent.instance
    ground = Model.of(incumbent, guests=False)
    volume = volume_bound(incumbent)
    if not ground.fits:
        return incumbent, volume
    model = Model.of(incumbent, guests=True) if _has_guests(instance) else ground
    with ThreadPoolExecutor(max_workers=1) as pool:
        proof = pool.submit(_bound, ground, objective, settings, volume, seed)
        best = incumbent
        for fill in settings.fills:
            plan, _ = model.solve(
                objective, fill=uniform(instance, fill), gap=settings.plan_gap, nodes=settings.mip_nodes, seed=seed
            )
            if plan is None:
                continue
            found = _follow(incumbent, model, plan, objective, settings, seed)
            if found is not None and _better(found, best, objective):
                best = found
            note("pack", best, f"fill {fill}")
        price = prices(instance, objective)
        rng = np.random.default_rng(seed)
        opened = best.used.copy()
        best, closed = close_nodes(best, opened, price, settings.attempts, settings.steps // 10, rng)
        note("close nodes", best, f"{closed} closed or replaced")
        return best, proof.result()


def _has_guests(instance: Instance) -> bool:
    return any(not kind.keeps_node for kind in instance.classes)


def _better(one: State, other: State, objective: Objective) -> bool:
    first, second = one.value(), other.value()
    return (first.of(objective), first) < (second.of(objective), second)


def _follow(
    incumbent: State, model: Model, plan: Plan, objective: Objective, settings: Settings, seed: int
) -> State | None:
    """Pack what the incumbent places along the plan; None if something would be left over."""
    instance = incumbent.instance
    base = State.empty(instance)
    targets: set[int] = set()
    for item, node in enumerate(incumbent.node_of.tolist()):
        if node >= 0:
            if incumbent.class_at(item).keeps_node:
                targets.add(item)
            else:
                base.place(item, node)
    opened = np.zeros(len(instance.nodes), dtype=np.bool_)
    opened[opened_nodes(model, plan.opened)] = True
    state = pack(base, model, plan, opened, targets, RULES["cosine"])
    waiting = [item for item in sorted(targets) if state.node_of[item] < 0]
    price = prices(instance, objective)
    left = complete(state, opened, price, waiting, settings.steps, np.random.default_rng(seed))
    return None if left else state


def _bound(model: Model, objective: Objective, settings: Settings, volume: Bound, seed: int) -> Bound:
    """The plan's dual bound for the objective; arithmetic for the other measure."""
    instance = model.instance
    _, least = model.solve(
        objective, fill=uniform(instance, 1.0), gap=settings.bound_gap, nodes=settings.mip_nodes, seed=seed
    )
    if objective == "cost":
        cost = least + int(instance.cost[instance.in_use].sum())
        return Bound(volume.nodes, max(volume.cost, cost), RELAXES)
    nodes = least + int(instance.in_use.sum())
    return Bound(max(volume.nodes, nodes), volume.cost, RELAXES)
