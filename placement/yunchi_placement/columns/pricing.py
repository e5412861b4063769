"""The best way to fill one node of a kind at given prices, by CP-SAT."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from ortools.sat.python import cp_model

from yunchi_placement.columns.pool import Kind, Pool

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
SCALE = 1_000_000
"""Prices become integers of this many parts of the kind's own price scale."""


def best_pattern(pool: Pool, number: int, prices: Floats, seed: int, effort: float) -> Ints | None:
    """Fill one node with the jobs that are worth the most together; None if nothing was found.

    Args:
        pool: Jobs and units of cards.
        number: The kind of node.
        prices: What covering one item of each job is worth; zero or more.
        seed: Of the search.
        effort: Deterministic time (CP-SAT's unit, about seconds), so that the answer repeats.
    """
    kind = pool.kinds[number]
    useful = [j for j, job in enumerate(pool.jobs) if job.allowed[number] and prices[j] > 0 and _most(kind, pool, j)]
    if not useful:
        return None
    scale = SCALE / float(prices[useful].max())
    model = cp_model.CpModel()
    count = {j: model.new_int_var(0, _most(kind, pool, j), f"job{j}") for j in useful}
    for resource in range(len(kind.room)):
        asked = {j: int(pool.jobs[j].request[resource]) for j in useful if pool.jobs[j].request[resource]}
        if asked:
            model.add(sum(count[j] * amount for j, amount in asked.items()) <= int(kind.room[resource]))
    for table, free in enumerate(kind.cards):
        _seat(model, pool, count, table, free)
    worth = {j: int(prices[j] * scale) for j in useful}
    model.maximize(sum(count[j] * value for j, value in worth.items()))
    solver = cp_model.CpSolver()
    solver.parameters.num_workers = 1
    solver.parameters.random_seed = seed % (1 << 31)
    solver.parameters.max_deterministic_time = effort
    if solver.solve(model) not in (cp_model.OPTIMAL, cp_model.FEASIBLE):
        return None
    counts = np.zeros(len(pool.jobs), dtype=np.int64)
    for j in useful:
        counts[j] = solver.value(count[j])
    return counts


def _most(kind: Kind, pool: Pool, number: int) -> int:
    """How many items of a job one node could hold, resource by resource and card by card."""
    job = pool.jobs[number]
    asked = job.request > 0
    most = int((kind.room[asked] // job.request[asked]).min(initial=len(job.items)))
    for table, amount in job.cards:
        units, free = pool.units[table], kind.cards[table]
        whole = int((free == units).sum()) * units // amount
        most = min(most, whole if amount >= units else int((free // amount).sum()))
    return min(most, len(job.items))


def _seat(model: cp_model.CpModel, pool: Pool, count: dict[int, cp_model.IntVar], table: int, free: Ints) -> None:
    """Shares sit on single cards; whole cards must be empty."""
    units = pool.units[table]
    asked = {j: amount for j in count for t, amount in pool.jobs[j].cards if t == table}
    shares = {j: amount for j, amount in asked.items() if amount < units}
    whole = {j: amount // units for j, amount in asked.items() if amount >= units}
    if not asked:
        return
    taken = [model.new_bool_var(f"card{table}-{card}") for card in range(len(free))]
    seats: dict[int, list[cp_model.IntVar]] = {j: [] for j in shares}
    for card, room in enumerate(free.tolist()):
        load: list[cp_model.LinearExpr] = []
        for j, amount in shares.items():
            seat = model.new_int_var(0, max(0, room) // amount, f"seat{table}-{card}-{j}")
            seats[j].append(seat)
            load.append(seat * amount)
        if room == units:
            model.add(sum(load) + taken[card] * units <= units)
        else:
            model.add(taken[card] == 0)
            model.add(sum(load) <= max(0, room))
    for j, listed in seats.items():
        model.add(sum(listed) == count[j])
    model.add(sum(count[j] * cards for j, cards in whole.items()) <= sum(taken))
