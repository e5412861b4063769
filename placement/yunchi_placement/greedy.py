"""S1: the incumbent. First fit decreasing, class by class, cost aware."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from yunchi_placement.canonical import Instance, ItemClass
from yunchi_placement.rules import fit_counts
from yunchi_placement.solution import Objective
from yunchi_placement.state import State

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


def greedy(instance: Instance, objective: Objective) -> State:
    """Place what fits: higher priority first, then rare resources, then few choices, then size."""
    state = State.empty(instance)
    rank = _node_order(instance, objective)
    for number in class_order(instance):
        _place_class(state, instance.classes[number], rank)
    return state


def weights(instance: Instance) -> Floats:
    """What one unit of each resource is worth: the share of all that is free."""
    total = instance.free.sum(axis=0).astype(np.float64)
    return 1.0 / np.where(total > 0, total, np.inf)


def prices(instance: Instance, objective: Objective) -> Floats:
    """What using each node costs under the objective, sunk costs left out."""
    price = instance.cost.astype(np.float64) if objective == "cost" else np.ones(len(instance.nodes))
    return np.where(instance.in_use, 0.0, price)


def _node_order(instance: Instance, objective: Objective) -> Ints:
    """Nodes by price per room; room counts only what is asked for, the scarcer the dearer."""
    demand = np.zeros(len(instance.resources))
    for kind in instance.classes:
        demand += kind.request * float(len(kind.items))
    total = instance.free.sum(axis=0).astype(np.float64)
    scarcity = np.divide(demand, total, out=np.zeros_like(total), where=total > 0) * weights(instance)
    room = instance.free @ scarcity
    ratio = np.divide(prices(instance, objective), room, out=np.full(len(room), np.inf), where=room > 0)
    ratio[instance.in_use] = -1.0
    # Among nodes in use the fullest first, so that the roomy ones stay whole; among the others the roomiest.
    return np.lexsort((np.arange(len(ratio)), np.where(instance.in_use, room, -room), ratio))


def class_order(instance: Instance) -> list[int]:
    """Classes in the order in which a careful packer would take them."""
    have = (instance.free > 0).sum(axis=0) / max(1, len(instance.nodes))
    weight = weights(instance)
    keys = []
    for number, kind in enumerate(instance.classes):
        asked = np.flatnonzero(kind.request)
        rarity = float(have[asked].min()) if asked.size else 1.0
        choices = int(kind.allowed.sum())
        capacity = instance.free[kind.allowed].max(axis=0) if choices else np.ones_like(kind.request)
        size = float((kind.request / np.maximum(capacity, 1)).max()) if asked.size else 0.0
        volume = float(kind.request @ weight)
        half = 0 if size > 0.5 else 1
        keys.append((-kind.priority, kind.keeps_node, round(rarity, 6), choices, half, -size, -volume, number))
    return [key[-1] for key in sorted(keys)]


def _place_class(state: State, kind: ItemClass, rank: Ints) -> None:
    mask = state.candidates(kind)
    order = rank[mask[rank]]
    if not order.size:
        return
    is_open = state.keepers[order] > 0
    order = np.concatenate((order[is_open], order[~is_open]))
    counts = fit_counts(state.free[order], kind.request, 1 if kind.solitary else len(kind.items))
    before = np.cumsum(counts) - counts
    counts = np.minimum(counts, np.maximum(len(kind.items) - before, 0))
    some = np.flatnonzero(counts)
    place_many(state, kind, list(kind.items), order[some], counts[some])


def place_many(state: State, kind: ItemClass, items: list[int], nodes: Ints, counts: Ints) -> None:
    """Put `counts[k]` of the items on `nodes[k]`, in order; the caller has checked the room."""
    targets = np.repeat(nodes, counts)
    chosen = items[: len(targets)]
    state.node_of[chosen] = targets
    state.free[nodes] -= counts[:, None] * kind.request
    if kind.keeps_node:
        state.keepers[nodes] += counts
    for item, node in zip(chosen, targets.tolist(), strict=True):
        state.on_node[node].append(item)
        if kind.social:
            state.conflicts.add(node, kind.groups, kind.avoids)
