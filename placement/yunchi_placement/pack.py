"""S3: follow a plan: send items to their cells, biggest first, and pick nodes by one of several rules."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from yunchi_placement.canonical import Instance, ItemClass
from yunchi_placement.greedy import place_many
from yunchi_placement.order import weights
from yunchi_placement.plan import Model, Plan
from yunchi_placement.rules import fit_counts, fits_mask
from yunchi_placement.rules.caps import slack
from yunchi_placement.state import State

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
Rule = Callable[[Floats, Floats, float], Floats]
"""Scores nodes from (room @ request, room @ room, request @ request): each rule needs no more, and a placing changes
these by simple arithmetic."""


def _snug(dot: Floats, square: Floats, own: float) -> Floats:
    """Least room left, each resource by its share: best fit."""
    return 2.0 * dot - square - own


def _cosine(dot: Floats, square: Floats, own: float) -> Floats:
    """Room of the shape of the request: keeps nodes balanced."""
    del own
    return dot / (np.sqrt(np.maximum(square, 0.0)) + 1e-12)


def pack(base: State, model: Model, plan: Plan, opened: Mask, targets: set[int], tied: list[tuple[int, int]]) -> State:
    """Place the `targets` on opened nodes, starting from `base`; what does not fit stays unplaced.

    `tied` are the targets with rules by domain, each with the node that the incumbent gave it, in the order in which
    that one placed them. They come first, in the same domains where there is room: then nobody sees a difference.
    """
    state = base.copy()
    instance = state.instance
    scale = scale_of(instance)
    for item, node in tied:
        _place_tied(state, item, node, opened, scale)
    jobs = _jobs(instance, model, plan, targets)
    everywhere = np.flatnonzero(opened)
    by_cell = {cell: everywhere[instance.cell_of[everywhere] == cell] for cell in {cell for _, _, cell in jobs}}
    rest: list[tuple[ItemClass, list[int]]] = []
    for kind, items, cell in jobs:
        left = _place(state, kind, items, by_cell[cell], _cosine, scale)
        if left:
            rest.append((kind, left))
    for kind, items in rest:
        _place(state, kind, items, everywhere, _snug, scale)
    return state


def _place_tied(state: State, item: int, home: int, opened: Mask, scale: Floats) -> None:
    """On the opened node of the same domains that it fills best, else on any opened one that takes it."""
    kind = state.class_at(item)
    nodes = np.flatnonzero(opened & state.candidates(kind))
    if not nodes.size:
        return
    same = nodes
    for number in kind.ties.tallies():
        column = state.instance.tallies[number].column
        same = same[column[same] == column[home]]
    nodes = same if same.size else nodes
    room, request = state.free[nodes] * scale, kind.request * scale
    score = _cosine(room @ request, np.einsum("ij,ij->i", room, room), float(request @ request))
    state.place(item, int(nodes[score.argmax()]))


def scale_of(instance: Instance) -> Floats:
    """Amounts as shares of a typical node, resource by resource."""
    weight = weights(instance) * max(1, len(instance.nodes))
    asked = instance.requests.any(axis=0) if len(instance.requests) else np.ones(len(weight), dtype=np.bool_)
    return np.where(asked, weight, 0.0)


def _jobs(instance: Instance, model: Model, plan: Plan, targets: set[int]) -> list[tuple[ItemClass, list[int], int]]:
    """Split each class over cells as the plan says, in whole items; the biggest and most bound first."""
    queues: dict[int, list[tuple[int, int]]] = {}
    by_flow: dict[int, list[tuple[int, float]]] = {}
    for (flow, cell), amount in plan.share.items():
        by_flow.setdefault(flow, []).append((cell, amount))
    for flow, shares in by_flow.items():
        queues[flow] = _whole(shares, int(model.counts[flow]))
    jobs = []
    for number, kind in enumerate(instance.classes):
        flow = int(model.flow_of_class[number])
        items = [item for item in kind.items if item in targets]
        if flow < 0 or not items or kind.ties:
            continue
        queue = queues[flow]
        while items and queue:
            cell, amount = queue[0]
            part, items = items[:amount], items[amount:]
            jobs.append((kind, part, cell))
            queue[0] = (cell, amount - len(part))
            if not queue[0][1]:
                queue.pop(0)
    weight = scale_of(instance)
    return sorted(jobs, key=lambda job: -_size(job[0], weight))


def _size(kind: ItemClass, weight: Floats) -> float:
    return float((kind.request * weight).max())


def _whole(shares: list[tuple[int, float]], count: int) -> list[tuple[int, int]]:
    """Round shares to whole items that sum to `count`, by largest remainder."""
    parts = [int(amount + 1e-9) for _, amount in shares]
    order = sorted(range(len(shares)), key=lambda k: (parts[k] - shares[k][1], shares[k][0]))
    for k in order[: count - sum(parts)]:
        parts[k] += 1
    return [(cell, part) for (cell, _), part in zip(shares, parts, strict=True) if part]


def _place(state: State, kind: ItemClass, items: list[int], nodes: Ints, rule: Rule, scale: Floats) -> list[int]:
    """Place items of one class one by one on the best node each time; returns those left."""
    nodes = nodes[kind.allowed[nodes]]
    watched = kind.social or kind.caps or kind.cards
    nodes = nodes[state.candidates(kind)[nodes] if watched else fits_mask(state.free[nodes], kind.request)]
    if not nodes.size:
        return items
    if kind.cards or any(not slack(state.caps_left[cap], kind.request, len(items)) for cap in kind.caps):
        return _place_carefully(state, kind, items, nodes, rule, scale)
    most = fit_counts(state.free[nodes], kind.request, 1 if kind.solitary else len(items))
    taken = _choose(state.free[nodes] * scale, kind.request * scale, most, len(items), rule)
    some = np.flatnonzero(taken)
    place_many(state, kind, items, nodes[some], taken[some])
    return items[int(taken.sum()) :]


def _choose(room: Floats, request: Floats, most: Ints, count: int, rule: Rule) -> Ints:
    """By row of `room`: how many of `count` equal items it takes, each item on the best row at its time."""
    own = float(request @ request)
    dot, square = room @ request, np.einsum("ij,ij->i", room, room)
    score = rule(dot, square, own)
    taken = np.zeros(len(room), dtype=np.int64)
    for _ in range(count):
        best = int(score.argmax())
        if score[best] == -np.inf:
            break
        taken[best] += 1
        if taken[best] == most[best]:
            score[best] = -np.inf
        else:
            square[best] += own - 2.0 * dot[best]
            dot[best] -= own
            score[best] = rule(dot[best], square[best], own)
    return taken


def _place_carefully(
    state: State, kind: ItemClass, items: list[int], nodes: Ints, rule: Rule, scale: Floats
) -> list[int]:
    """For classes with cards or under a cap that could bind: each placing may rule out other nodes."""
    request = kind.request * scale
    for done, item in enumerate(items):
        nodes = nodes[state.candidates(kind)[nodes]]
        if not nodes.size:
            return items[done:]
        room = state.free[nodes] * scale
        score = rule(room @ request, np.einsum("ij,ij->i", room, room), float(request @ request))
        state.place(item, int(nodes[score.argmax()]))
    return []
