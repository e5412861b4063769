"""S5: small cells, exactly: CP-SAT tries to do with one node less, from the present packing as a hint.

Only cells whose free room could make up for a node are tried, which few are after a good packing: what gap is left
lies mostly between cells. Deterministic time limits the search, so that answers repeat.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from ortools.sat.python import cp_model

from yunchi_placement.order import prices
from yunchi_placement.solution import Objective
from yunchi_placement.state import State

Ints = npt.NDArray[np.int64]
MOST_NODES, MOST_ITEMS = 60, 1000


def close_in_cells(state: State, objective: Objective, seed: int, *, effort: float) -> tuple[State, int]:
    """Empty one node after the other in small cells while CP-SAT finds a way.

    Args:
        state: A placement; it is not changed.
        objective: Says which node is worth emptying first.
        seed: Of CP-SAT.
        effort: Deterministic time for one try.

    Returns:
        The better placement, and how many nodes were emptied.
    """
    price = prices(state.instance, objective)
    emptied = 0
    for cell in range(state.instance.cells):
        while True:
            found = _without_one(state, cell, price, seed, effort)
            if found is None:
                break
            state, emptied = found, emptied + 1
    return state, emptied


def _without_one(state: State, cell: int, price: npt.NDArray[np.float64], seed: int, effort: float) -> State | None:
    """The same items of a cell on one node less; None if the cell is unfit for it or no way was found."""
    instance = state.instance
    nodes = np.flatnonzero((instance.cell_of == cell) & (state.keepers > 0))
    items = [item for node in nodes.tolist() for item in state.on_node[node]]
    spare = [node for node in nodes.tolist() if not instance.in_use[node] and price[node] > 0]
    if not spare or not 1 < len(nodes) <= MOST_NODES or not 0 < len(items) <= MOST_ITEMS:
        return None
    kinds = {int(instance.class_of[item]) for item in items}
    if any(_entangled(state, number) for number in kinds):
        return None
    slack = state.free[nodes].sum(axis=0)
    victims = [node for node in spare if (slack - state.free[node] >= instance.free[node] - state.free[node]).all()]
    if not victims:
        return None
    victim = max(victims, key=lambda node: (price[node], -len(state.on_node[node]), -node))
    kept = [node for node in nodes.tolist() if node != victim]
    counts = _pack(state, kept, items, seed, effort)
    return None if counts is None else _rebuilt(state, items, counts)


def _entangled(state: State, number: int) -> bool:
    kind = state.instance.classes[number]
    return bool(kind.ties or kind.social or kind.caps or kind.cards or not kind.keeps_node)


def _pack(
    state: State, nodes: list[int], items: list[int], seed: int, effort: float
) -> dict[tuple[int, int], int] | None:
    """How many items of each class go to each node, or None."""
    instance = state.instance
    numbers, demand = np.unique(instance.class_of[items], return_counts=True)
    room = {node: state.free[node] + _load(state, node) for node in nodes}
    model = cp_model.CpModel()
    count: dict[tuple[int, int], cp_model.IntVar] = {}
    for number, total in zip(numbers.tolist(), demand.tolist(), strict=True):
        kind = instance.classes[number]
        for node in nodes:
            if kind.allowed[node]:
                count[number, node] = model.new_int_var(0, total, f"c{number}n{node}")
                present = sum(int(instance.class_of[item]) == number for item in state.on_node[node])
                model.add_hint(count[number, node], present)
        model.add(sum(count[number, node] for node in nodes if (number, node) in count) == total)
    for node in nodes:
        for resource in range(len(instance.resources)):
            terms = [
                variable * int(instance.requests[number, resource])
                for (number, where), variable in count.items()
                if where == node and instance.requests[number, resource]
            ]
            if terms:
                model.add(sum(terms) <= int(room[node][resource]))
    solver = cp_model.CpSolver()
    solver.parameters.num_workers = 1
    solver.parameters.random_seed = seed % (1 << 31)
    solver.parameters.max_deterministic_time = effort
    if solver.solve(model) not in (cp_model.OPTIMAL, cp_model.FEASIBLE):
        return None
    return {key: solver.value(variable) for key, variable in count.items()}


def _load(state: State, node: int) -> Ints:
    """What the placed items on a node ask for."""
    inside = state.instance.class_of[state.on_node[node]]
    return np.asarray(state.instance.requests[inside].sum(axis=0))


def _rebuilt(state: State, items: list[int], counts: dict[tuple[int, int], int]) -> State:
    found = state.copy()
    waiting: dict[int, list[int]] = {}
    for item in sorted(items, reverse=True):
        found.remove(item)
        waiting.setdefault(int(state.instance.class_of[item]), []).append(item)
    for (number, node), times in counts.items():
        for _ in range(times):
            found.place(waiting[number].pop(), node)
    return found
