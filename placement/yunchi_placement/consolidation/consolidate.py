"""The one entry of the package: from a problem with running items to a plan in waves."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from yunchi_placement.consolidation.answer import Consolidation, Limits, Move
from yunchi_placement.consolidation.choice import Choice, Chooser
from yunchi_placement.consolidation.curve import Chain, best_stages, chain_of, curve_of
from yunchi_placement.consolidation.curve import Stage as ChainStage
from yunchi_placement.consolidation.exact import exact
from yunchi_placement.consolidation.ideal import ideal
from yunchi_placement.consolidation.moving import restore
from yunchi_placement.consolidation.ordering import Ordered, order_moves
from yunchi_placement.consolidation.pending import Spots, fill_in, needs_solve, refused, solved
from yunchi_placement.consolidation.reasons import kept_nodes, move_reason
from yunchi_placement.consolidation.scene import Scene, scene_of, settled, shielded, starting_state
from yunchi_placement.consolidation.sweep import by_price, by_worth, empty_more, relieve
from yunchi_placement.consolidation.vacate import settle, vacate
from yunchi_placement.problem import Problem
from yunchi_placement.solution import Bound, Effort, Objective, Progress, Stage, Unplaced
from yunchi_placement.state import State, Value
from yunchi_placement.validate import validate

Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Settings:
    """How hard to try. All limits are counts, so that answers repeat.

    Attributes:
        fills: How full cells are planned, round by round; lowered where the last round fell short.
        enough: the rounds end when a packing needs no more than this part of extra nodes; 0 for all rounds.
        steps: search steps of one packing.
        tries: failed attempts to empty one more node after packing.
        small: up to so many nodes, nodes are also tried one by one from the start.
        exact_size: clusters with no more choices (item, node) than this are also solved by CP-SAT,
        exact_time: for so much deterministic time.
        orderings: placements tried, best first, until one can be reached in waves as it is.
    """

    fills: tuple[float, ...] = (0.985, 0.97)
    enough: float = 0.01
    steps: int = 8000
    tries: int = 4
    small: int = 150
    exact_size: int = 4000
    exact_time: float = 0.5
    orderings: int = 3
    mip_gap: float = 2e-3
    mip_nodes: int = 40


EFFORTS: dict[Effort, Settings] = {
    "fast": Settings(fills=(0.98,), steps=1000, tries=2, small=60, exact_size=1000, exact_time=0.1, orderings=2),
    "balanced": Settings(),
    "best": Settings(
        fills=(0.985, 0.995, 0.998, 0.999),
        enough=0.0,
        steps=40_000,
        tries=40,
        small=600,
        mip_nodes=400,
        exact_size=40_000,
        exact_time=10.0,
        orderings=8,
    ),
}
FEW_ARCS = 2000
"""Models with no more arcs than this tell sizes apart exactly; larger ones only shapes,"""
SHAPES = 4
"""in so many steps of each resource's part."""


def consolidate(
    problem: Problem,
    *,
    objective: Objective = "cost",
    effort: Effort = "balanced",
    seed: int = 0,
    limits: Limits = Limits(),  # noqa: B008 - frozen
    progress: Callable[[Progress], None] | None = None,
) -> Consolidation:
    """Plan how to empty nodes by moving running items, and place pending ones on the way.

    Args:
        problem: Nodes and items. An item with `node` set runs there and moves only if it is `movable` and no
            disruption budget of it stands at 0.
        objective: Save the cost of nodes, or their number.
        effort: How long to search; the answer depends on it, never on the clock.
        seed: Fixes every arbitrary choice.
        limits: How far the plan may go.
        progress: Called as stages end.

    Returns:
        A plan whose waves can run one after the other. Without a gain it has no moves, except those that relieve
        nodes that hold more than they can.

    Raises:
        InvalidProblem: the problem contradicts itself.
    """
    return _Run(problem, objective, effort, seed, limits, progress or (lambda _: None)).answer()


class _Run:
    """One consolidation, stage by stage."""

    def __init__(
        self,
        problem: Problem,
        objective: Objective,
        effort: Effort,
        seed: int,
        limits: Limits,
        progress: Callable[[Progress], None],
    ) -> None:
        self.objective: Objective = objective
        self.effort: Effort = effort
        self.settings = EFFORTS[effort]
        self.seed = seed
        self.limits = limits
        self._progress = progress
        self._stages: list[Stage] = []
        self._refused: tuple[Unplaced, ...] = ()
        self.shields: dict[int, str] = {}
        self._set_up(problem)
        self._most_nodes = limits.nodes_of(len(self.scene.price))
        self._note("start", self.start)

    def _set_up(self, problem: Problem) -> None:
        """The scene, the present placement, and the start: pending items placed, overfull nodes relieved."""
        nowhere: Spots = [None] * len(problem.items)
        spots = nowhere
        solves = needs_solve(problem)
        if solves:
            spots, self._refused = solved(problem, self.objective, self.seed)
        else:
            validate(problem)
        self._free_scene, self.present = self._stage(problem, spots)
        self.start = self.present.copy()
        if not solves:
            if fill_in(self.scene, self.start):
                self._refused = refused(self.scene, self.start)
            else:
                spots, self._refused = solved(problem, self.objective, self.seed)
        if spots is not nowhere:
            self.start = starting_state(self.scene, spots)
        relieve(self.scene, self.start, self.limits.most_moves)

    def _stage(self, problem: Problem, spots: Spots) -> tuple[Scene, State]:
        """Sets the scene to work on; returns the one without thresholds, and the present placement."""
        nowhere: Spots = [None] * len(problem.items)
        scene = scene_of(problem, spots, self.objective)
        present = starting_state(scene, nowhere)
        self.shields = shielded(scene, present, self.limits)
        self.scene = settled(scene, _mask(len(scene.price), self.shields)) if self.shields else scene
        return scene, starting_state(self.scene, nowhere) if self.shields else present

    def answer(self) -> Consolidation:
        """Run all stages."""
        with ThreadPoolExecutor(max_workers=1) as pool:
            proof = pool.submit(ideal, self._free_scene, self.start, self.objective, self.effort, self.seed)
            chains = self._chains()
            end, ordered = self._ordered(best_stages(chains, self.limits.most_moves, self._most_nodes))
            self._place_late(end)
            self._note("waves", end, f"{len(ordered.waves)} waves")
            return self._result(end, ordered, chains, best_stages(chains)[0][0], proof.result())

    def _ordered(self, picks: list[tuple[Chain, ChainStage]]) -> tuple[State, Ordered]:
        """The best placement that can be reached wave by wave, and the waves; the start can always be reached."""
        found: list[tuple[tuple[int, int], int, State, Ordered]] = []
        for number, (chain, stage) in enumerate(picks):
            wanted = self.start.value().of(self.objective) - stage.point.saving, stage.point.moves
            if found and (number >= self.settings.orderings or min(found)[0] <= wanted):
                break
            end = self.start.copy()
            restore(end, chain.placement(stage))
            settle(self.scene, end)
            ordered = order_moves(self.scene, self.present, end, chain.order)
            found.append((self._rank(end), number, end, ordered))
        rank, _, end, ordered = min(found, key=lambda one: one[:2])
        if rank[0] > self.start.value().of(self.objective):
            # Dropping moves cost more than it left: relieve what is overfull, and leave the rest alone.
            end = self.start.copy()
            ordered = order_moves(self.scene, self.present, end, np.zeros(0, dtype=np.int64))
        return end, ordered

    def _chains(self) -> list[Chain]:
        """Ways from the start to placements with fewer nodes, the start itself first."""
        chains = [self._chain(self.start.node_of)]
        chains += [self._chain(state.node_of) for state in self._packings()]
        limited = self._limited(chains)
        if limited is not None:
            chains.append(self._chain(limited.node_of))
        for moves, nodes in dict.fromkeys(((None, None), (self.limits.most_moves, self._most_nodes))):
            better = self._exact(chains, moves, nodes)
            if better is not None:
                chains.append(self._chain(better))
        return chains

    def _chain(self, end: Ints) -> Chain:
        return chain_of(self.scene, self.start, end)

    def _exact(self, chains: list[Chain], moves: int | None, nodes: int | None) -> Ints | None:
        """Small clusters exactly, within these limits."""
        if self.settings.exact_time <= 0:
            return None
        chain, stage = best_stages(chains, moves, nodes)[0]
        hint = self.start.copy()
        restore(hint, chain.placement(stage))
        settings = self.settings
        found = exact(
            self.scene,
            self.start,
            hint,
            most_moves=moves,
            most_nodes=nodes,
            size=settings.exact_size,
            effort=settings.exact_time,
        )
        if found is not None:
            restore(hint, found)
            self._note("exact", hint)
        return found

    def _packings(self) -> list[State]:
        """Placements with fewer nodes, found in several ways."""
        found: list[State] = []
        best = self._planned()
        if best is not None:
            found.append(best)
        if len(self.scene.price) <= self.settings.small:
            for order in (by_worth, by_price):
                state = self.start.copy()
                empty_more(self.scene, state, order(self.scene, state), len(state.keepers), 200, self.seed)
                settle(self.scene, state)
                found.append(state)
                self._note("one by one", state)
        if found:
            state = min(found, key=self._rank).copy()
            nodes = by_price(self.scene, state)
            if empty_more(self.scene, state, nodes, self.settings.tries, self.settings.steps // 10, self.seed):
                settle(self.scene, state)
                found.append(state)
            self._note("close nodes", state)
        return found

    def _planned(self) -> State | None:
        """The best packing along the plans, round by round."""
        instance = self.scene.instance
        exact = len(instance.classes) * instance.cells <= FEW_ARCS
        chooser = Chooser(self.scene, self.start, 0 if exact else SHAPES)
        best: State | None = None
        if not chooser.fits:
            return best
        offset = np.zeros(max(1, self.scene.instance.cells))
        for fill in self.settings.fills:
            choice = chooser.solve(
                fill - offset, gap=self.settings.mip_gap, nodes=self.settings.mip_nodes, seed=self.seed
            )
            if choice is None:
                offset += 0.01
                continue
            rng = np.random.default_rng(self.seed)
            packing = vacate(self.scene, self.start, choice, chooser, self.settings.steps, rng)
            if packing is None:
                offset += 0.01
                continue
            self._note("pack", packing.state, f"filled to {fill:.3f}")
            offset += np.where(packing.short, 0.006, 0.0)
            if best is None or self._rank(packing.state) < self._rank(best):
                best = packing.state
            if packing.extra <= self.settings.enough * int(choice.keep.sum()):
                break
        return best

    def _limited(self, chains: list[Chain]) -> State | None:
        """A placement made for limits that cut the full plan short: only what they allow is emptied at all."""
        moves, nodes = self.limits.most_moves, self._most_nodes
        _, stage = best_stages(chains)[0]
        fits_moves = moves is None or stage.point.moves <= moves
        fits_nodes = nodes is None or stage.point.nodes_emptied <= nodes
        if fits_moves and fits_nodes:
            return None
        keep = self.start.used | self.scene.instance.in_use
        toll = np.zeros(len(keep), dtype=np.int64)
        np.add.at(toll, self.scene.home[self.scene.home >= 0], self.scene.toll[self.scene.home >= 0])
        left_moves = None if moves is None else moves - chains[0].stages[0].point.moves
        left_nodes = nodes
        order = by_worth(self.scene, self.start) if moves is not None else self._dearest(toll)
        for node in order:
            if left_nodes is not None and left_nodes <= 0:
                break
            if left_moves is not None:
                if toll[node] > left_moves:
                    continue
                left_moves -= int(toll[node])
            left_nodes = None if left_nodes is None else left_nodes - 1
            keep[node] = False
        rng = np.random.default_rng(self.seed)
        packing = vacate(self.scene, self.start, Choice(keep, {}), None, self.settings.steps, rng)
        return packing.state if packing else None

    def _dearest(self, toll: Ints) -> list[int]:
        nodes = np.flatnonzero(self.start.used & ~self.scene.instance.in_use)
        return [int(node) for node in nodes[np.lexsort((nodes, toll[nodes], -self.scene.price[nodes]))]]

    def _place_late(self, end: State) -> None:
        """Pending items that found no place before: the moves may have made one."""
        gangs = {item.name for item in self.scene.problem.items if item.gang}
        for item in end.unplaced():
            if self.scene.home[item] < 0 and self.scene.instance.items[item].name not in gangs:
                nodes = np.flatnonzero(end.candidates(end.class_at(item)) & end.used)
                if nodes.size:
                    end.place(item, int(nodes[(end.free[nodes] @ self.scene.scale).argmin()]))

    def _rank(self, state: State) -> tuple[int, int]:
        return state.value().of(self.objective), self.scene.moves(state.node_of)

    def _note(self, name: str, state: State, note: str = "") -> None:
        value = state.value()
        placed = int((state.node_of >= 0).sum())
        self._stages.append(Stage(name, placed, value.nodes, value.cost, note))
        self._progress(Progress(name, 1.0, placed, value.nodes, value.cost))

    def _result(self, end: State, ordered: Ordered, chains: list[Chain], full: Chain, bound: Bound) -> Consolidation:
        scene, nodes = self.scene, self.scene.instance.nodes
        after, before = end.value(), self.start.value()
        emptied = scene.present & (end.keepers == 0)
        cut = self._cut(end, full)
        order = [item for wave in ordered.waves for item in wave]
        moves = tuple(
            Move(
                scene.instance.item_index[item],
                nodes[scene.home[item]].name,
                nodes[end.node_of[item]].name,
                move_reason(scene, self.present, end, item),
            )
            for item in order
        )
        starts = np.cumsum([0, *[len(wave) for wave in ordered.waves]]).tolist()
        least = bound.cost if self.objective == "cost" else bound.nodes
        worth = after.of(self.objective)
        placed = [(index, nodes[node].name) for index, node in self._placements(end)]
        reached = {index for index, _ in placed}
        return Consolidation(
            moves=moves,
            placements=tuple(placed),
            unplaced=tuple(entry for entry in self._refused if entry.item not in reached),
            emptied=tuple(nodes[node].name for node in np.flatnonzero(emptied).tolist()),
            kept=kept_nodes(scene, end, self.limits, self.shields, cut, ordered.unordered),
            curve=curve_of(chains),
            waves=tuple(tuple(range(a, b)) for a, b in pairwise(starts)),
            limited=bool(cut),
            present=_present_value(scene),
            before=before,
            after=after,
            bound=bound,
            gap=(worth - least) / least if least else float(worth > 0),
            stages=tuple(self._stages),
            unmovable=scene.unmovable,
        )

    def _cut(self, end: State, full: Chain) -> set[int]:
        """Nodes in use at the end that the plan without limits by count would empty."""
        if self.limits.most_moves is None and self.limits.most_nodes is None:
            return set()
        left = self.start.copy()
        restore(left, full.end)
        return {int(node) for node in np.flatnonzero(end.used & (left.keepers == 0))}

    def _placements(self, end: State) -> list[tuple[int, int]]:
        """(item index, node) of every pending item that got a place, guests included."""
        scene = self.scene
        spots = [
            (scene.instance.item_index[item], int(end.node_of[item]))
            for item in np.flatnonzero((scene.home < 0) & (end.node_of >= 0)).tolist()
        ]
        return sorted([*spots, *scene.guests])


def _mask(size: int, nodes: dict[int, str]) -> Mask:
    mask = np.zeros(size, dtype=np.bool_)
    mask[list(nodes)] = True
    return mask


def _present_value(scene: Scene) -> Value:
    return Value(int(scene.instance.cost[scene.present].sum()), int(scene.present.sum()))
