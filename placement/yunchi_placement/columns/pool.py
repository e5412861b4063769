"""A part of a placement as kinds of nodes and jobs, without names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from yunchi_placement.formulation import Part
from yunchi_placement.plan import Model
from yunchi_placement.solution import Objective
from yunchi_placement.state import State

Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
MOST_KINDS, MOST_JOBS = 64, 400
Key = tuple[bytes, tuple[bytes, ...], int, int]


@dataclass(frozen=True, slots=True, eq=False)
class Kind:
    """Equal nodes: room by resource, free units by card of each card table, price (0 if in use anyway)."""

    nodes: tuple[int, ...]
    room: Ints
    cards: tuple[Ints, ...]
    price: int


@dataclass(frozen=True, slots=True, eq=False)
class Job:
    """Equal items: request, amounts by card table, the kinds that may take it, and its items."""

    request: Ints
    cards: tuple[tuple[int, int], ...]
    allowed: Mask
    items: tuple[int, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Pool:
    """Kinds and jobs that concern each other, and the units of a card by card table."""

    kinds: tuple[Kind, ...]
    jobs: tuple[Job, ...]
    units: tuple[int, ...]

    @property
    def demand(self) -> Ints:
        """Items by job."""
        return np.array([len(job.items) for job in self.jobs], dtype=np.int64)


def pool_of(state: State, model: Model, part: Part, objective: Objective) -> Pool | None:
    """The part of a placement that a plan's part stands for; None if rules or size speak against columns.

    Only placed items that keep a node are in it, and only if no other item's place matters to them.
    """
    instance = state.instance
    flows = {model.arcs[arc][0] for arc in part.arcs}
    numbers = [n for n, flow in enumerate(model.flow_of_class.tolist()) if flow in flows]
    classes = [instance.classes[number] for number in numbers]
    if any(kind.ties or kind.social or kind.caps for kind in classes):
        return None
    nodes = sorted(node for number in part.types for node in model.types[number].nodes)
    kinds = _kinds(state, nodes, {item for kind in classes for item in kind.items}, objective)
    if not 0 < len(kinds) <= MOST_KINDS:
        return None
    jobs: dict[tuple[bytes, bytes], list[int]] = {}
    masks: dict[tuple[bytes, bytes], tuple[int, Mask]] = {}
    for number, kind in zip(numbers, classes, strict=True):
        allowed = np.array([bool(kind.allowed[one.nodes[0]]) for one in kinds], dtype=np.bool_)
        key = kind.request.tobytes(), allowed.tobytes()
        jobs.setdefault(key, []).extend(item for item in kind.items if state.node_of[item] >= 0)
        masks[key] = number, allowed
    listed = tuple(
        Job(instance.classes[number].request, instance.classes[number].cards, allowed, tuple(sorted(jobs[key])))
        for key, (number, allowed) in masks.items()
        if jobs[key]
    )
    units = tuple(table.units for table in state.cards)
    return Pool(kinds, listed, units) if 0 < len(listed) <= MOST_JOBS else None


def _kinds(state: State, nodes: Sequence[int], inside: set[int], objective: Objective) -> tuple[Kind, ...]:
    """Group nodes that are equal once the items `inside` are gone. A kind's nodes must be open to the same classes."""
    empty = state.copy()
    for node in nodes:
        for item in [item for item in empty.on_node[node] if item in inside]:
            empty.remove(item)
    cost, cell_of = state.instance.cost, state.instance.cell_of
    groups: dict[Key, list[int]] = {}
    cards: dict[Key, tuple[Ints, ...]] = {}
    for node in nodes:
        price = 0 if empty.keepers[node] else int(cost[node]) if objective == "cost" else 1
        rows = tuple(np.sort(table.free[node][table.free[node] >= 0])[::-1] for table in empty.cards)
        key = empty.free[node].tobytes(), tuple(row.tobytes() for row in rows), price, int(cell_of[node])
        groups.setdefault(key, []).append(node)
        cards[key] = rows
    return tuple(
        Kind(tuple(members), np.maximum(empty.free[members[0]], 0), cards[key], key[2])
        for key, members in groups.items()
    )


def present_patterns(state: State, pool: Pool) -> list[tuple[int, Ints]]:
    """How the placement fills its nodes now: (kind, count by job), each once."""
    job_of = {item: number for number, job in enumerate(pool.jobs) for item in job.items}
    found: dict[tuple[int, bytes], tuple[int, Ints]] = {}
    for number, kind in enumerate(pool.kinds):
        for node in kind.nodes:
            jobs = [job_of[item] for item in state.on_node[node] if item in job_of]
            if jobs:
                counts = np.bincount(jobs, minlength=len(pool.jobs)).astype(np.int64)
                found.setdefault((number, counts.tobytes()), (number, counts))
    return list(found.values())
