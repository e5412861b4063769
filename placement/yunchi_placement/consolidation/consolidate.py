"""The one entry of the package: from a problem with running items to a plan in waves."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from yunchi_placement.consolidation.answer import Consolidation, Limits, Move
from yunchi_placement.consolidation.curve import Chain, best_stages, curve_of
from yunchi_placement.consolidation.curve import Stage as ChainStage
from yunchi_placement.consolidation.efforts import EFFORTS
from yunchi_placement.consolidation.ideal import ideal
from yunchi_placement.consolidation.moving import restore
from yunchi_placement.consolidation.ordering import Ordered, order_moves
from yunchi_placement.consolidation.pending import Spots, fill_in, needs_solve, refused, solved
from yunchi_placement.consolidation.reasons import kept_nodes, move_reason
from yunchi_placement.consolidation.scene import Scene, scene_of, settled, shielded, starting_state
from yunchi_placement.consolidation.sweep import relieve
from yunchi_placement.consolidation.vacate import settle
from yunchi_placement.consolidation.ways import Ways
from yunchi_placement.problem import Problem
from yunchi_placement.solution import Bound, Effort, Objective, Progress, Stage, Unplaced
from yunchi_placement.state import State, Value
from yunchi_placement.validate import validate

Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


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
        self._ways = Ways(
            self.scene,
            self.start,
            objective,
            self.settings,
            seed,
            limits.most_moves,
            self._most_nodes,
            self._note,
        )
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
            chains = self._ways.chains()
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
            ordered = order_moves(self.scene, self.present, end, chain.order, self.settings.patience)
            found.append((self._ways.rank(end), number, end, ordered))
        rank, _, end, ordered = min(found, key=lambda one: one[:2])
        if rank[0] > self.start.value().of(self.objective):
            # Dropping moves cost more than it left: relieve what is overfull, and leave the rest alone.
            end = self.start.copy()
            ordered = order_moves(self.scene, self.present, end, np.zeros(0, dtype=np.int64), self.settings.patience)
        return end, ordered

    def _place_late(self, end: State) -> None:
        """Pending items that found no place before: the moves may have made one."""
        gangs = {item.name for item in self.scene.problem.items if item.gang}
        for item in end.unplaced():
            if self.scene.home[item] < 0 and self.scene.instance.items[item].name not in gangs:
                nodes = np.flatnonzero(end.candidates(end.class_at(item)) & end.used)
                if nodes.size:
                    end.place(item, int(nodes[(end.free[nodes] @ self.scene.scale).argmin()]))

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
