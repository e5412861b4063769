"""The completion guard: what any plain first fit decreasing would place is placed here too.

Left-over items are first tried one by one, moving others (ejection). If some are still left, plain first fit
decreasing by several sizes starts anew, and the placement that serves the highest tiers best wins.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from yunchi_placement.canonical import Instance
from yunchi_placement.greedy import Builder, construct
from yunchi_placement.order import class_order, node_order, tiers
from yunchi_placement.rules import fits_mask
from yunchi_placement.search import Search
from yunchi_placement.solution import Objective
from yunchi_placement.state import State

Floats = npt.NDArray[np.float64]
TRY = 200
"""Search steps for one left-over item."""


def incumbent(instance: Instance, objective: Objective, seed: int, steps: int) -> State:
    """A placement that no plain first fit decreasing beats, tier by tier, in the number of items placed."""
    rank = node_order(instance, objective)

    def rest(state: State, priority: int) -> State:
        return place_rest(state, seed, steps, priority)

    tiered = len({kind.priority for kind in instance.classes}) > 1
    best = construct(instance, class_order(instance), rank, rest=rest if tiered else None)
    if not _hopeful(best):
        return best
    by_name = np.arange(len(instance.nodes))
    for size in _sizes(instance):
        plain = construct(instance, _decreasing(instance, size), by_name, first_fit=True)
        if _better(plain, best, objective):
            best = plain
        if not best.unplaced():
            return best
    return press(place_rest(best, seed, steps), seed, steps, TRY)


def _hopeful(state: State) -> bool:
    """Whether something waits that might find room yet."""
    numbers = {int(state.instance.class_of[item]) for item in state.unplaced()}
    return any(_conceivable(state, number) for number in numbers)


def _better(one: State, other: State, objective: Objective) -> bool:
    first, second = one.placed_by_tier(), other.placed_by_tier()
    return first > second or (first == second and one.value().of(objective) < other.value().of(objective))


def _sizes(instance: Instance) -> Iterator[Floats]:
    """What "decreasing" may mean, by class: sums and maxima of shares, each resource alone, rare resources first."""
    requests = instance.requests.astype(np.float64)
    total = np.maximum(instance.capacity.sum(axis=0), 1)
    largest = np.maximum(instance.capacity.max(axis=0, initial=1), 1)
    have = (instance.capacity > 0).sum(axis=0) / max(1, len(instance.nodes))
    rare = np.where(requests > 0, 1.0 - have, 0.0).max(axis=1, initial=0.0)
    of_all, of_one = requests / total, requests / largest
    yield rare * 1e3 + of_all.sum(axis=1)
    yield of_all.sum(axis=1)
    yield of_one.sum(axis=1)
    yield of_one.max(axis=1, initial=0.0)
    for resource in np.flatnonzero(requests.any(axis=0)).tolist():
        yield of_one[:, resource]


def _decreasing(instance: Instance, size: Floats) -> list[int]:
    choices = [int(kind.allowed.sum()) for kind in instance.classes]
    return sorted(range(len(size)), key=lambda number: (-float(size[number]), choices[number], number))


def place_rest(state: State, seed: int, steps: int, least_priority: int | None = None) -> State:
    """Try to place what was left over, by moving others; never unplaces anything.

    Args:
        state: A placement; it is not changed.
        seed: Fixes the search.
        steps: Search steps in all; a failed try costs TRY of them, and stops tries for its class or gang.
        least_priority: Leave items below this priority waiting.
    """
    instance = state.instance
    if not state.unplaced():
        return state
    state = state.copy()
    builder = Builder(state, np.arange(len(instance.nodes)))
    for tier in tiers(instance, range(len(instance.classes))):
        urgency = max(instance.classes[number].priority for _, classes in tier for number in classes)
        if least_priority is None or urgency >= least_priority:
            builder.place_units(tier)
    failed: set[tuple[int, int]] = set()
    everywhere = np.ones(len(instance.nodes), dtype=np.bool_)
    for item in sorted(state.unplaced(), key=lambda item: (-state.class_at(item).priority, item)):
        number = int(instance.class_of[item])
        kind = instance.classes[number]
        together = kind.gang if kind.gang >= 0 and state.gang_needs[kind.gang] > 0 else -1
        unit = (together, -1 if together >= 0 else number)
        if least_priority is not None and kind.priority < least_priority:
            break
        if steps <= 0 or unit in failed or state.node_of[item] >= 0 or not _conceivable(state, number):
            continue
        trial = state
        for member in [item] if together < 0 else _waiting(state, together):
            attempt = trial.copy()
            if not Search(attempt, everywhere, np.random.default_rng(seed)).run([member], TRY):
                trial = attempt
        if trial is state or (together >= 0 and trial.gang_needs[together] > 0):
            failed.add(unit)
            steps -= TRY
        else:
            state = trial
            steps -= TRY // 10
    return state


def press(state: State, seed: int, steps: int, patience: int) -> State:
    """Try to place all that waits at once, pushing others out; the result counts only if more are placed.

    Args:
        state: A placement; it is not changed.
        seed: Fixes the search.
        steps: Search steps in all.
        patience: Steps that a cell may take without coming to fewer waiting items.
    """
    classes = state.instance.class_of
    waiting = [item for item in state.unplaced() if _conceivable(state, int(classes[item]))]
    waiting = [item for item in waiting if state.class_at(item).gang < 0]
    if not waiting:
        return state
    trial = state.copy()
    everywhere = np.ones(len(state.instance.nodes), dtype=np.bool_)
    Search(trial, everywhere, np.random.default_rng(seed)).run(waiting, steps, patience)
    # An item with ties that lost its node still counts for others: such a result is not one.
    whole = not trial.lifted and all(
        trial.gang_needs[kind.gang] <= 0 for kind in map(trial.class_at, trial.unplaced()) if kind.gang >= 0
    )
    return trial if whole and trial.placed_by_tier() > state.placed_by_tier() else state


def _waiting(state: State, gang: int) -> list[int]:
    return [item for item in state.unplaced() if state.class_at(item).gang == gang]


def _conceivable(state: State, number: int) -> bool:
    """Whether some node is large enough, and the free room of all together."""
    instance, kind = state.instance, state.instance.classes[number]
    fits = kind.allowed & fits_mask(instance.free, kind.request)
    return bool(fits.any()) and bool((state.free[kind.allowed].sum(axis=0) >= kind.request).all())
