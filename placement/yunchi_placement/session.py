"""A live problem: items come and go, and each call answers from what the last ones left.

Placing arrivals costs what the arrivals cost, not what the cluster does: nodes, rules, masks and counts stay. Online
choices follow the dual prices of the last plan (as in bid-price control, Talluri and van Ryzin 1998), so that an item
with a choice goes where room is worth least. `resolve` packs anew only the cells whose content changed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from yunchi_placement.bounds import volume_bound
from yunchi_placement.canonical import canonicalise, cells_of, instance_of
from yunchi_placement.complete import place_rest
from yunchi_placement.explain import explain
from yunchi_placement.greedy import Builder, greedy
from yunchi_placement.order import class_order, node_order, tiers
from yunchi_placement.plan import Model
from yunchi_placement.problem import Gang, InvalidProblem, Item, Node, Problem
from yunchi_placement.solution import Bound, Effort, Objective, Reason, Solution
from yunchi_placement.solve import order_of, pursue, solve
from yunchi_placement.state import State
from yunchi_placement.validate import validate
from yunchi_placement.wishes import grant
from yunchi_placement.world import Base, World

Floats = npt.NDArray[np.float64]
STEPS = 400
"""Search steps for arrivals that found no room."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """Where arrivals went: node by item name; for the others, why not and what would help.

    Attributes:
        placed: in an order in which each item meets all rules when it is placed.
        bound: for what the nodes in use must cost with these items; None where none was looked for.
    """

    placed: tuple[tuple[str, str], ...]
    unplaced: tuple[tuple[str, tuple[Reason, ...], str], ...]
    bound: Bound | None = None


@dataclass(frozen=True, slots=True)
class Resolved:
    """What packing anew changed: (item, from, to); from is None for items that waited.

    Attributes:
        cells: cells that were packed anew.
        kept: cells that were not, because nothing had changed in them.
    """

    moves: tuple[tuple[str, str | None, str], ...]
    cells: int
    kept: int


class Session:
    """Keeps a problem's arrays between calls.

    Pending items of the problem wait for the first `resolve`. Items that the session placed may be moved by a later
    one; those that ran before it stay.

    Raises:
        InvalidProblem: the problem, or an arrival, contradicts itself.
    """

    def __init__(self, problem: Problem, *, objective: Objective = "cost", seed: int = 0) -> None:
        validate(problem)
        self._problem = problem
        self._objective = objective
        self._seed = seed
        self._running = {item.name: item for item in problem.items if item.node is not None}
        self._waiting = {item.name: item for item in problem.items if item.node is None}
        self._mine: set[str] = set()
        self._worth: Floats | None = None
        self._build()

    def _build(self) -> None:
        items = (*self._running.values(), *self._waiting.values())
        self._world = World.of(replace(self._problem, items=items))
        for item in self._waiting.values():
            self._world.eligibility.of(item.constraints)
        self._touched = np.ones(len(self._problem.nodes), dtype=np.bool_)

    @property
    def assignment(self) -> dict[str, str | None]:
        """Node by item name, None for those that wait."""
        placed: dict[str, str | None] = {name: item.node for name, item in self._running.items()}
        return placed | dict.fromkeys(self._waiting)

    @property
    def cost(self) -> int:
        """What the nodes in use cost, in micro-units."""
        return int(self._world.cost[self._world.base.in_use].sum())

    @property
    def nodes_used(self) -> int:
        """Nodes in use."""
        return int(self._world.base.in_use.sum())

    def plan(self) -> None:
        """Find what room is worth in each cell, as if everything were packed anew; guides `place` from now on."""
        items = [replace(item, node=None, cards=()) for item in (*self._running.values(), *self._waiting.values())]
        state = greedy(canonicalise(replace(self._problem, items=tuple(items))), self._objective)
        model = Model.of(state, steady=False)
        self._worth = model.room_prices(self._objective) if model.fits else None

    def place(self, items: Sequence[Item], effort: Effort = "fast") -> Arrival:
        """Place arrivals beside what runs, in the order of their priority; what finds no room waits.

        Args:
            items: Pending items with names that the session does not know.
            effort: As for `solve`, among the arrivals: what runs stays.
        """
        self._admit(items)
        arrivals = sorted(items, key=lambda item: item.name)
        cells = np.zeros(len(self._world.nodes), dtype=np.int64) if effort == "fast" else None
        instance = instance_of(self._world, arrivals, range(len(arrivals)), cell_of=cells)
        builder = Builder(State.empty(instance), node_order(instance, self._objective), worth=self._worth)
        for tier in tiers(instance, class_order(instance)):
            builder.place_units(tier)
        state, bound = place_rest(builder.state, self._seed, STEPS), None
        if effort != "fast":
            state, bound = pursue(state, volume_bound(state), self._objective, effort, self._seed)
        grant(state, self._running.values())
        self._keep(state)
        return Arrival(
            placed=tuple((arrivals[one].name, instance.nodes[int(state.node_of[one])].name) for one in order_of(state)),
            unplaced=tuple((arrivals[one.item].name, one.reasons, one.fix) for one in explain(state)),
            bound=bound,
        )

    def observe(self, items: Sequence[Item]) -> None:
        """Take in items that run without the session's doing, or that have changed; cards held are kept.

        Args:
            items: Running items. Those whose node the session does not know count nowhere.
        """
        validate(replace(self._problem, caps=(), headroom=(), items=tuple(items)))
        known = {item.name: self._running[item.name] for item in items if item.name in self._running}
        self.remove([item.name for item in items])
        kept = []
        for item in items:
            old = known.get(item.name)
            same = old is not None and (old.node, old.requests) == (item.node, item.requests) and not item.cards
            kept.append(replace(item, cards=old.cards) if old is not None and same else item)
        self._world.learn(kept, self._running.values())
        self._running |= {item.name: item for item in kept}
        inside = [item for item in kept if item.node in self._world.position]
        self._world.add(inside)
        self._touched[[self._world.position[item.node or ""] for item in inside]] = True

    def stated(self, items: Sequence[Item] = ()) -> Problem:
        """The problem as it is now: what runs, and these items waiting beside it."""
        return replace(self._problem, items=(*self._running.values(), *items))

    def renew(self, nodes: Sequence[Node] | None = None, gangs: Sequence[Gang] | None = None) -> None:
        """Go on with other nodes or gangs; what runs is counted anew."""
        changed = replace(
            self._problem,
            nodes=self._problem.nodes if nodes is None else tuple(nodes),
            gangs=self._problem.gangs if gangs is None else tuple(gangs),
        )
        validate(replace(changed, items=(*self._running.values(), *self._waiting.values())))
        self._problem, self._worth = replace(changed, items=()), None
        self._build()

    def remove(self, names: Iterable[str]) -> None:
        """Forget items that ended; unknown names are ignored."""
        for name in names:
            self._waiting.pop(name, None)
            self._mine.discard(name)
            item = self._running.pop(name, None)
            row = self._world.position.get(item.node or "", -1) if item else -1
            if item and row >= 0:
                self._touched[row] = True
                self._world.remove(item)

    def resolve(self, effort: Effort = "balanced") -> Resolved:
        """Pack the session's items anew in the cells that changed, and what waits; all else stays.

        The new packing is taken only if it places more, or as many for less.
        """
        cells = cells_of(self._world)
        changed = np.isin(cells, cells[self._touched])
        position = self._world.position
        freed = {
            name: replace(self._running[name], node=None, cards=())
            for name in sorted(self._mine)
            if changed[position[self._running[name].node or ""]]
        }
        fixed = [item for name, item in self._running.items() if name not in freed]
        items = (*fixed, *freed.values(), *self._waiting.values())
        problem = replace(self._problem, items=items)
        solution = solve(problem, objective=self._objective, effort=effort, seed=self._seed)
        moves = self._adopt(problem, solution) if self._better(solution, len(fixed) + len(freed)) else ()
        packed = int(np.unique(cells[changed]).size)
        self._touched[:] = False
        return Resolved(moves, packed, int(np.unique(cells).size) - packed)

    def _admit(self, items: Sequence[Item]) -> None:
        for item in items:
            if item.name in self._running or item.name in self._waiting:
                raise InvalidProblem(f"item {item.name}: the session has an item of that name; remove it first")
            if item.node is not None:
                raise InvalidProblem(f"item {item.name}: node is set; an arrival must be pending")
        validate(replace(self._problem, nodes=(), caps=(), headroom=(), items=tuple(items)))
        self._world.learn(items, self._running.values())
        self._waiting |= {item.name: item for item in items}

    def _keep(self, state: State) -> None:
        """Take the arrivals in: what the state counted is the new base."""
        base = self._world.base
        free = base.free
        np.subtract(free, state.instance.free - state.free, out=free)
        self._world.rebase(
            Base(free, state.keepers, state.conflicts, state.counts, state.caps_left, state.cards, state.gang_needs)
        )
        for position, node in enumerate(state.node_of.tolist()):
            if node >= 0:
                item = state.instance.items[position]
                self._settle(item, state.instance.nodes[node].name, state.cards_of(position))

    def _settle(self, item: Item, node: str, cards: tuple[int, ...]) -> None:
        self._waiting.pop(item.name, None)
        self._running[item.name] = replace(item, node=node, cards=cards)
        self._mine.add(item.name)
        self._touched[self._world.position[node]] = True

    def _better(self, solution: Solution, before: int) -> bool:
        placed = sum(node is not None for node in solution.assignment)
        worth = (solution.cost, self.cost) if self._objective == "cost" else (solution.nodes_used, self.nodes_used)
        return placed > before or (placed == before and worth[0] < worth[1])

    def _adopt(self, problem: Problem, solution: Solution) -> tuple[tuple[str, str | None, str], ...]:
        cards = dict(solution.cards)
        moves = []
        settled = []
        for index in sorted(solution.order):
            item, node = problem.items[index], solution.assignment[index] or ""
            old = self._running.get(item.name)
            if old is not None:
                self._world.remove(old)
            if old is None or old.node != node:
                moves.append((item.name, old.node if old else None, node))
            self._settle(item, node, cards.get(index, ()))
            settled.append(self._running[item.name])
        self._world.add(settled)
        return tuple(sorted(moves))
