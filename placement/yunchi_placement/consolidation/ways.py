"""The ways to fewer nodes that a consolidation considers: packed along a plan, node by node, within limits, exactly."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from yunchi_placement.consolidation.choice import Choice, Chooser
from yunchi_placement.consolidation.curve import Chain, best_stages, chain_of
from yunchi_placement.consolidation.efforts import Settings
from yunchi_placement.consolidation.exact import exact, small_enough
from yunchi_placement.consolidation.moving import restore
from yunchi_placement.consolidation.scene import Scene
from yunchi_placement.consolidation.sweep import by_price, by_worth, empty_more
from yunchi_placement.consolidation.vacate import settle, vacate
from yunchi_placement.solution import Objective
from yunchi_placement.state import State

Ints = npt.NDArray[np.int64]
Note = Callable[[str, State, str], None]
FEW_ARCS = 2000
"""Models with no more arcs than this tell sizes apart exactly; larger ones only shapes,"""
SHAPES = 4
"""in so many steps of each resource's part."""
MOST_FAILURES = 600
"""Nodes tried one by one are given up after so many that could not be emptied."""
SPARE = 10
"""Under limits one part in so many of a cell's free room stays free: packed tighter, items would have to make room."""


class Ways:
    """Finds placements with fewer nodes from one start."""

    def __init__(
        self,
        scene: Scene,
        start: State,
        objective: Objective,
        settings: Settings,
        seed: int,
        most_moves: int | None,
        most_nodes: int | None,
        note: Note,
    ) -> None:
        self._scene = scene
        self._start = start
        self._objective: Objective = objective
        self._settings = settings
        self._seed = seed
        self._most_moves = most_moves
        self._most_nodes = most_nodes
        self._note = note

    def rank(self, state: State) -> tuple[int, int]:
        """Value, then moves: less is better."""
        return state.value().of(self._objective), self._scene.moves(state.node_of)

    def chains(self) -> list[Chain]:
        """Ways from the start to placements with fewer nodes, the start itself first."""
        chains = [self._chain(self._start.node_of)]
        chains += [self._chain(state.node_of) for state in self._packings()]
        limited = self._limited(chains)
        if limited is not None:
            chains.append(self._chain(limited.node_of))
        for moves, nodes in dict.fromkeys(((None, None), (self._most_moves, self._most_nodes))):
            better = self._exact(chains, moves, nodes)
            if better is not None:
                chains.append(self._chain(better))
        return chains

    def _chain(self, end: Ints) -> Chain:
        return chain_of(self._scene, self._start, end)

    def _exact(self, chains: list[Chain], moves: int | None, nodes: int | None) -> Ints | None:
        """Small clusters exactly, within these limits."""
        if not small_enough(self._scene, self._settings.exact_size):
            return None
        chain, stage = best_stages(chains, moves, nodes)[0]
        hint = self._start.copy()
        restore(hint, chain.placement(stage))
        settings = self._settings
        found = exact(
            self._scene,
            self._start,
            hint,
            most_moves=moves,
            most_nodes=nodes,
            size=settings.exact_size,
            effort=settings.exact_time,
        )
        if found is not None:
            restore(hint, found)
            self._note("exact", hint, "")
        return found

    def _packings(self) -> list[State]:
        """Placements with fewer nodes, found in several ways."""
        found: list[State] = []
        best = self._planned()
        if best is not None:
            found.append(best)
        # A plan that no packing follows says nothing; then nodes are tried one by one at any size.
        if best is None or len(self._scene.price) <= self._settings.small:
            failures = min(len(self._scene.price), MOST_FAILURES)
            for order in (by_worth, by_price):
                state = self._start.copy()
                empty_more(self._scene, state, order(self._scene, state), failures, 200, self._seed)
                settle(self._scene, state)
                found.append(state)
                self._note("one by one", state, "")
        if found:
            last = min(found, key=self.rank)
            state = last.copy()
            nodes = by_price(self._scene, state)
            if empty_more(self._scene, state, nodes, self._settings.tries, self._settings.steps // 10, self._seed):
                settle(self._scene, state)
                found = [state if one is last else one for one in found]
            self._note("close nodes", state, "")
        return found

    def _planned(self) -> State | None:
        """The best packing along the plans, round by round."""
        instance = self._scene.instance
        exact = len(instance.classes) * instance.cells <= FEW_ARCS
        chooser = Chooser(self._scene, self._start, 0 if exact else SHAPES)
        best: State | None = None
        if not chooser.fits:
            return best
        offset = np.zeros(max(1, self._scene.instance.cells))
        for fill in self._settings.fills:
            choice = chooser.solve(
                fill - offset, gap=self._settings.mip_gap, nodes=self._settings.mip_nodes, seed=self._seed
            )
            if choice is None:
                offset += 0.01
                continue
            rng = np.random.default_rng(self._seed)
            packing = vacate(self._scene, self._start, choice, chooser, self._settings.steps, rng)
            if packing is None:
                offset += 0.01
                continue
            self._note("pack", packing.state, f"filled to {fill:.3f}")
            offset += np.where(packing.short, 0.006, 0.0)
            if best is None or self.rank(packing.state) < self.rank(best):
                best = packing.state
            if packing.extra <= self._settings.enough * int(choice.keep.sum()):
                break
        return best

    def _limited(self, chains: list[Chain]) -> State | None:
        """A placement made for limits that cut the full plan short: only what they allow is emptied at all."""
        moves, nodes = self._most_moves, self._most_nodes
        _, stage = best_stages(chains)[0]
        fits_moves = moves is None or stage.point.moves <= moves
        fits_nodes = nodes is None or stage.point.nodes_emptied <= nodes
        if fits_moves and fits_nodes:
            return None
        keep = self._start.used | self._scene.instance.in_use
        left_moves = None if moves is None else moves - chains[0].stages[0].point.moves
        # A few more than may go: what cannot be packed is then missing from these, and the chain stops at the limit.
        left_nodes = None if nodes is None else nodes + nodes // 50
        toll, room = self._tolls(), _Room(self._scene, self._start)
        for node in by_worth(self._scene, self._start) if moves is not None else self._dearest(toll):
            if left_nodes is not None and left_nodes <= 0:
                break
            if (left_moves is not None and toll[node] > left_moves) or not room.without(node):
                continue
            left_moves = None if left_moves is None else left_moves - int(toll[node])
            left_nodes = None if left_nodes is None else left_nodes - 1
            keep[node] = False
        rng = np.random.default_rng(self._seed)
        packing = vacate(self._scene, self._start, Choice(keep, {}), None, self._settings.steps, rng)
        return packing.state if packing else None

    def _tolls(self) -> Ints:
        """By node, what moving all its running items costs."""
        toll = np.zeros(len(self._scene.price), dtype=np.int64)
        running = self._scene.home >= 0
        np.add.at(toll, self._scene.home[running], self._scene.toll[running])
        return toll

    def _dearest(self, toll: Ints) -> list[int]:
        nodes = np.flatnonzero(self._start.used & ~self._scene.instance.in_use)
        return [int(node) for node in nodes[np.lexsort((nodes, toll[nodes], -self._scene.price[nodes]))]]


class _Room:
    """By volume, whether a cell's other nodes can take in what its emptied nodes hold."""

    def __init__(self, scene: Scene, start: State) -> None:
        instance = scene.instance
        self._cell_of = instance.cell_of
        self._load = instance.free - start.free
        self._free = np.maximum(start.free, 0)
        cells = max(1, instance.cells)
        self._left = np.zeros((cells, len(instance.resources)), dtype=np.int64)
        receives = start.used & ~np.array([node.unschedulable for node in instance.nodes], dtype=np.bool_)
        self._receives = receives
        np.add.at(self._left, instance.cell_of[receives], self._free[receives])
        self._spare = self._left // SPARE
        # An item larger than half a node fits on none that holds much, whatever the sum of the room.
        self._bulky = np.zeros(len(start.used), dtype=np.bool_)
        placed = np.flatnonzero(start.node_of >= 0)
        large = 2 * instance.requests[instance.class_of[placed]] > instance.free[start.node_of[placed]]
        self._bulky[start.node_of[placed][large.any(axis=1)]] = True

    def without(self, node: int) -> bool:
        """Whether a node can go too; counts it as gone if so."""
        cell = int(self._cell_of[node])
        left = self._left[cell] - self._load[node] - (self._free[node] if self._receives[node] else 0)
        if self._bulky[node] or (left < self._spare[cell]).any():
            return False
        self._left[cell] = left
        return True
