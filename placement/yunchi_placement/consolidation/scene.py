"""The cluster as it runs, as a placement whose movable items are free to go: what the other modules work on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from operator import attrgetter

import numpy as np
import numpy.typing as npt

from yunchi_placement.canonical import Instance, ItemClass, canonicalise
from yunchi_placement.consolidation.answer import Limits, Unmovable
from yunchi_placement.eligibility import Eligibility
from yunchi_placement.problem import Budget, Cap, Headroom, Item, Problem
from yunchi_placement.solution import Objective
from yunchi_placement.state import State

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
_NAMES = [field.name for field in fields(Item)]
_NODE = _NAMES.index("node")
_VALUES = attrgetter(*_NAMES)
"""Reads an item in one go: `dataclasses.replace` takes twice as long, and there are many items."""
MAY_NOT = "it may not be moved"


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """A consolidation question in positions: nodes and items by name order, as in `Instance`.

    Attributes:
        instance: running items that may move and pending ones are its items; everything else is fixed.
        home: by item, the node where it runs, or -1 for a pending one.
        toll: by item, what moving it away from home costs.
        plain: by class, whether no rule but the room on a node connects it with other items.
        wanted: by class, whether other items must be near it: it stays in their domains, or they would be left alone.
        stuck: by node, the items that keep it and may not move, with their reasons (name, reason).
        present: by node, whether running items use it now.
        price: by node, what the objective counts.
        scale: by resource, what turns amounts into shares of a typical node; 0 for what nobody asks for.
        guests: (item index, node) of pending items that belong to their node; they are fixed there.
    """

    problem: Problem
    instance: Instance
    home: Ints
    toll: Ints
    plain: Mask
    wanted: Mask
    stuck: dict[int, list[tuple[str, str]]]
    present: Mask
    price: Ints
    unmovable: tuple[Unmovable, ...]
    scale: Floats
    guests: tuple[tuple[int, int], ...]

    def is_plain(self, item: int) -> bool:
        """Whether only room matters to an item."""
        return bool(self.plain[self.instance.class_of[item]])

    def is_wanted(self, item: int) -> bool:
        """Whether others must be near an item."""
        return bool(self.wanted[self.instance.class_of[item]])

    def moved(self, node_of: Ints) -> Mask:
        """Which items are not where they run."""
        moved: Mask = (self.home >= 0) & (node_of != self.home)
        return moved

    def moves(self, node_of: Ints) -> int:
        """The sum of move costs of a placement."""
        return int(self.toll[self.moved(node_of)].sum())


def scene_of(problem: Problem, pending: Sequence[str | None], objective: Objective) -> Scene:
    """Set the scene.

    Args:
        problem: A validated problem.
        pending: By item, the node that a pending item gets if nothing moves (None for no node).
        objective: Says what nodes cost.
    """
    names = {node.name for node in problem.nodes}
    reasons = _reasons(problem, names)
    pairs = zip(problem.items, reasons, strict=True)
    free = [item.node is None or (item.node in names and not reason) for item, reason in pairs]
    items = tuple(_freed(item, spot) if f else item for item, spot, f in zip(problem.items, pending, free, strict=True))
    caps, headroom = _lenient(problem)
    instance = canonicalise(
        replace(problem, items=tuple(_ungang(item) for item in items), gangs=(), caps=caps, headroom=headroom)
    )
    position = {node.name: index for index, node in enumerate(instance.nodes)}
    originals = [problem.items[index] for index in instance.item_index]
    present = np.zeros(len(position), dtype=np.bool_)
    stuck: dict[int, list[tuple[str, str]]] = {}
    for item, reason in zip(problem.items, reasons, strict=True):
        if item.node in names and item.keeps_node:
            present[position[item.node or ""]] = True
            if reason:
                stuck.setdefault(position[item.node or ""], []).append((item.name, reason))
    counted = Counter(reason for item, reason in zip(problem.items, reasons, strict=True) if reason and item.keeps_node)
    costs = instance.cost if objective == "cost" else np.ones(len(position), dtype=np.int64)
    return Scene(
        problem=problem,
        instance=instance,
        home=np.array([position[item.node] if item.node else -1 for item in originals], dtype=np.int64),
        toll=np.array([item.move_cost for item in originals], dtype=np.int64),
        plain=np.array([_is_plain(kind) for kind in instance.classes], dtype=np.bool_),
        wanted=_wanted(problem, instance),
        stuck={node: sorted(inside) for node, inside in stuck.items()},
        present=present,
        price=costs,
        unmovable=tuple(Unmovable(reason, count) for reason, count in sorted(counted.items())),
        scale=_scale(instance),
        guests=tuple(
            (index, position[spot])
            for index, (item, spot) in enumerate(zip(problem.items, pending, strict=True))
            if item.node is None and not item.keeps_node and spot is not None
        ),
    )


def starting_state(scene: Scene, pending: Sequence[str | None]) -> State:
    """Running items at home, pending ones where they go if nothing moves."""
    instance = scene.instance
    position = {node.name: index for index, node in enumerate(instance.nodes)}
    state = State.empty(instance)
    for item, home in enumerate(scene.home.tolist()):
        if home >= 0:
            state.place(item, home)
    for item in np.flatnonzero(scene.home < 0).tolist():
        spot = pending[instance.item_index[item]]
        if spot is not None:
            state.place(item, position[spot])
    return state


def settled(scene: Scene, nodes: Mask) -> Scene:
    """The same scene with some nodes in use for good, as if an item that may not move ran on each."""
    world = scene.instance.world
    base = replace(world.base, keepers=world.base.keepers + nodes)
    world = replace(world, base=base)
    return replace(scene, instance=replace(scene.instance, world=world, in_use=base.in_use))


def shielded(scene: Scene, state: State, limits: Limits) -> dict[int, str]:
    """Nodes that a threshold says not to empty, with the reason."""
    reasons: dict[int, str] = {}
    if limits.below:
        share = _shares(scene, state)
        index = {name: column for column, name in enumerate(scene.instance.resources)}
        for name, least in limits.below:
            column = index.get(name)
            if column is not None:
                for node in np.flatnonzero(share[:, column] >= least).tolist():
                    reasons[node] = f"its use of {name} is not below the threshold of {least:.0%}"
    if limits.threshold is not None:
        for node, value in enumerate(_scores(scene, state)):
            if value is not None and value < limits.threshold:
                text = f"emptying it scores {value:.2f}, below the threshold of {limits.threshold:.2f}"
                reasons.setdefault(node, text)
    return reasons


def score(saving: float, pool_cost: float, disruption: float, pool_disruption: float) -> float:
    """What emptying is worth: the share of the pool's cost that it saves per share of the pool's items it disturbs."""
    if disruption <= 0 or pool_disruption <= 0:
        return float("inf")
    return (saving / pool_cost) / (disruption / pool_disruption) if pool_cost > 0 else 0.0


def _scores(scene: Scene, state: State) -> list[float | None]:
    """By node, the score of emptying it; None for nodes that are not in use."""
    nodes = scene.instance.nodes
    disruption = np.zeros(len(nodes), dtype=np.int64)
    running = scene.home >= 0
    np.add.at(disruption, scene.home[running], scene.toll[running])
    used = state.used
    cost: Counter[str] = Counter()
    moves: Counter[str] = Counter()
    for node, pool in enumerate(node.pool for node in nodes):
        if used[node]:
            cost[pool] += int(scene.price[node])
            moves[pool] += int(disruption[node])
    return [
        score(float(scene.price[n]), cost[node.pool], float(disruption[n]), moves[node.pool]) if used[n] else None
        for n, node in enumerate(nodes)
    ]


def _shares(scene: Scene, state: State) -> Floats:
    """By node and resource, the requested part of the capacity; 0 where there is none."""
    capacity = scene.instance.capacity
    asked = capacity - state.free
    shares: Floats = np.where(capacity > 0, asked / np.maximum(capacity, 1), 0.0)
    return shares


def _reasons(problem: Problem, names: set[str]) -> list[str | None]:
    """By item, why it may not move, if it runs; None if it may, or does not run here."""
    eligibility = Eligibility(sorted(problem.nodes, key=lambda node: node.name))
    position = {node.name: index for index, node in enumerate(eligibility.nodes)}
    reasons: list[str | None] = []
    choices: dict[int, int] = {}
    for item in problem.items:
        reason = _reason(item, problem.budgets) if item.node in names else None
        if item.node in names and reason is None:
            number = eligibility.of(item.constraints)
            if number not in choices:
                choices[number] = int(eligibility.masks[number].sum())
            elsewhere = choices[number] - int(eligibility.masks[number][position[item.node or ""]])
            reason = None if elsewhere else "may run on no other node"
        reasons.append(reason)
    return reasons


def _reason(item: Item, budgets: Sequence[Budget]) -> str | None:
    """Why a running item may not move, or None."""
    if not item.keeps_node:
        return "it belongs to its node"
    if not item.movable:
        return item.stays or MAY_NOT
    for budget in budgets:
        if budget.allowed <= 0 and budget.name in item.budgets:
            return f"PodDisruptionBudget {budget.name} allows no disruption"
    return None


def _wanted(problem: Problem, instance: Instance) -> Mask:
    groups = frozenset(term.group for item in problem.items for term in item.near)
    leaders = (instance.items[kind.items[0]] for kind in instance.classes)
    return np.array([not groups.isdisjoint(item.groups) for item in leaders], dtype=np.bool_)


def _scale(instance: Instance) -> Floats:
    total = instance.capacity.sum(axis=0)
    asked = instance.requests.any(axis=0) & (total > 0)
    return np.where(asked, len(instance.nodes) / np.maximum(total, 1), 0.0)


def _freed(item: Item, spot: str | None) -> Item:
    """A movable item without its node; a pending one that belongs to its node (a DaemonSet's) stays where it goes."""
    if item.node is None and (item.keeps_node or spot is None):
        return item
    values = list(_VALUES(item))
    values[_NODE] = None if item.keeps_node else spot
    return Item(*values)


def _ungang(item: Item) -> Item:
    """Gangs are settled when their items are placed; after that each item moves by itself."""
    return replace(item, gang="") if item.gang else item


def _lenient(problem: Problem) -> tuple[tuple[Cap, ...], tuple[Headroom, ...]]:
    """Caps and headroom that the present placement meets: what is passed already must not pin every item."""
    pool = {node.name: node.pool for node in problem.nodes}
    running = [item for item in problem.items if item.node in pool]
    caps = []
    for cap in problem.caps:
        inside = [
            item.requests
            for item in running
            if cap.group in ("", *item.groups) and cap.pool in ("", pool[item.node or ""])
        ]
        used: list[int] = _total(inside, len(cap.amounts)).tolist()
        raised = (None if most is None else max(most, have) for most, have in zip(cap.amounts, used, strict=True))
        caps.append(replace(cap, amounts=tuple(raised)))
    headroom = []
    for room in problem.headroom:
        nodes = {node.name: node for node in problem.nodes if room.pool in ("", node.pool) and not node.unschedulable}
        left = _total([node.capacity for node in nodes.values()], len(room.amounts))
        left -= _total([item.requests for item in running if item.node in nodes], len(room.amounts))
        amounts = [max(0, min(want, have)) for want, have in zip(room.amounts, left.tolist(), strict=True)]
        headroom.append(replace(room, amounts=tuple(amounts)))
    return tuple(caps), tuple(headroom)


def _total(rows: Sequence[tuple[int, ...]], width: int) -> Ints:
    total: Ints = np.array(rows, dtype=np.int64).reshape(len(rows), width).sum(axis=0)
    return total


def _is_plain(kind: ItemClass) -> bool:
    return not (kind.social or kind.ties or kind.caps or kind.cards)
