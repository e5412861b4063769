"""S2: how many nodes of each type each cell opens, and which classes go to which cell.

The model relaxes the packing inside a node: a cell is one volume per resource. With a fill of 1 its optimum is a
proven lower bound; with a fill a little below 1 its solution is a plan that a real packing can follow. Cells that
share no class are solved apart: that is faster, and each part's bound is rounded up to what node prices can add up to.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from yunchi_placement.canonical import Instance, ItemClass
from yunchi_placement.formulation import CapLimit, Formulation, NodeType, Part
from yunchi_placement.mip import minimise, shadow_prices
from yunchi_placement.rules import fits_mask
from yunchi_placement.rules.caps import UNLIMITED
from yunchi_placement.solution import Objective
from yunchi_placement.state import State

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
FLOW_LIMIT = 400_000
RELAXES = (
    "for the items placed: an item may be split over the nodes of a cell (nodes that no item can tell apart), but for "
    "large items and card shares, which are counted; anti-affinity by host is counted per cell; affinity, spread and "
    "gangs are dropped; node counts are whole"
)


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """Nodes to open by type, and how many items of each flow go to each cell."""

    opened: Ints
    share: dict[tuple[int, int], float]  # (flow, cell) -> items


@dataclass(frozen=True, slots=True, eq=False)
class Model(Formulation):
    """The arrays that a plan is made of; built once, solved for several fills."""

    @classmethod
    def of(cls, state: State, *, steady: bool) -> Model:
        """Model the items that `state` places; the others are left out.

        Args:
            state: A placement.
            steady: Whether items that do not keep a node take room where `state` has them, and items with rules by
                domain go to the cells where `state` has them. A bound must not assume that; a plan should.
        """
        instance = state.instance
        free = free_of_guests(state) if steady else instance.free
        index: dict[tuple[bytes, int, tuple[int, ...], int], int] = {}
        flow_of_class = np.full(len(instance.classes), -1, dtype=np.int64)
        counts: list[int] = []
        leaders: list[int] = []
        for number, kind in enumerate(instance.classes):
            placed = int((state.node_of[list(kind.items)] >= 0).sum())
            if placed and kind.keeps_node:
                alone = number if steady and kind.ties else -1
                flow = index.setdefault((kind.request.tobytes(), kind.eligibility, kind.caps, alone), len(counts))
                if flow == len(counts):
                    counts.append(0)
                    leaders.append(number)
                counts[flow] += placed
                flow_of_class[number] = flow
        fixed = [_present_cells(state, instance.classes[number]) if steady else {} for number in leaders]
        cells = [
            list(inside) or _cells(instance, free, instance.classes[number])
            for number, inside in zip(leaders, fixed, strict=True)
        ]
        arcs = [(flow, cell) for flow, inside in enumerate(cells) for cell in inside]
        most = [fixed[flow].get(cell, counts[flow]) for flow, cell in arcs]
        types = _node_types(instance, free)
        return cls(
            instance=instance,
            types=types,
            flow_of_class=flow_of_class,
            requests=instance.requests[leaders],
            counts=np.array(counts, dtype=np.int64),
            arcs=arcs,
            most=np.array(most, dtype=np.float64),
            caps=_cap_rows(state, [instance.classes[number] for number in leaders]),
            spreads=_spreads(state, cells, flow_of_class),
            parts=_parts(instance, types, arcs, cells),
        )

    @property
    def fits(self) -> bool:
        """Whether the model is small enough to solve."""
        return 0 < len(self.arcs) <= FLOW_LIMIT

    def solve(
        self, objective: Objective, *, fill: Floats, gap: float, nodes: int, seed: int, tighten: bool = False
    ) -> tuple[Plan | None, int]:
        """Minimise; `fill` is by cell; `tighten` adds the cuts that the relaxation violates.

        Returns:
            The plan (None if there is none) and the proven least price of the objective, sunk costs left out
            (a bound for the problem itself only when every fill is 1).
        """
        opened = np.zeros(len(self.types), dtype=np.int64)
        share: dict[tuple[int, int], float] = {}
        total, complete = 0, True
        for part in self.parts:
            values, least = self._solve_part(part, objective, fill, gap=gap, nodes=nodes, seed=seed, tighten=tighten)
            total += least
            if values is None:
                complete = False
                continue
            width = len(part.types)
            opened[part.types] = np.rint(values[:width]).astype(np.int64)
            for arc, value in zip(part.arcs, values[width:].tolist(), strict=True):
                if value > 1e-7:
                    share[self.arcs[arc]] = value
        return Plan(opened, share) if complete else None, total

    def _solve_part(
        self, part: Part, objective: Objective, fill: Floats, *, gap: float, nodes: int, seed: int, tighten: bool
    ) -> tuple[Floats | None, int]:
        types = [self.types[number] for number in part.types]
        price = [0 if t.sunk else (t.price if objective == "cost" else 1) for t in types]
        grain = math.gcd(*price) or 1
        width = len(types)
        upper = [1.0 if t.sunk else float(len(t.nodes)) for t in types]
        upper += self.most[part.arcs].tolist()
        scaled = np.zeros(len(upper))
        scaled[:width] = np.array(price) / grain
        chunky = self.chunky()
        integer = np.array([True] * width + [bool(chunky[self.arcs[arc][0]]) for arc in part.arcs])
        rows, _, _ = self.rows(part, fill)
        if tighten:
            relaxed = minimise(scaled, np.array(upper), np.zeros_like(integer), rows, gap=gap, nodes=nodes, seed=seed)
            if relaxed.values is not None:
                self.add_violated_cuts(part, rows, relaxed.values)
        answer = minimise(scaled, np.array(upper), integer, rows, gap=gap, nodes=nodes, seed=seed)
        return answer.values, max(0, math.ceil(answer.bound * (1 - 1e-6) - 1e-6)) * grain

    def room_prices(self, objective: Objective) -> Floats:
        """By node and resource: what one unit of room is worth in the plan's relaxation, in micro-units (or nodes).

        These are the dual prices of the cells' capacities: zero where room is plenty.
        """
        worth = np.zeros(self.instance.free.shape)
        full = uniform(self.instance, 1.0)
        for part in self.parts:
            types = [self.types[number] for number in part.types]
            price = [0 if kind.sunk else (kind.price if objective == "cost" else 1) for kind in types]
            upper = [1.0 if kind.sunk else float(len(kind.nodes)) for kind in types] + self.most[part.arcs].tolist()
            rows, scale, capacity_rows = self.rows(part, full)
            padded = np.array(price + [0] * len(part.arcs), dtype=np.float64)
            duals = shadow_prices(padded, np.array(upper), rows)
            if duals is None:
                continue
            for (cell, resource), row in capacity_rows.items():
                worth[self.instance.cell_of == cell, resource] = max(0.0, -float(duals[row])) / scale[resource]
        return worth


def _present_cells(state: State, kind: ItemClass) -> dict[int, int]:
    """Items of a class with rules by domain, by the cell where they are; empty for other classes."""
    if not kind.ties:
        return {}
    nodes = state.node_of[list(kind.items)]
    cells, counts = np.unique(state.instance.cell_of[nodes[nodes >= 0]], return_counts=True)
    return dict(zip(cells.tolist(), counts.tolist(), strict=True))


def _cap_rows(state: State, leaders: list[ItemClass]) -> list[CapLimit]:
    """The limits that the flows could reach, one for each cap and resource."""
    instance = state.instance
    limits = []
    for number, cap in enumerate(instance.caps):
        flows = frozenset(flow for flow, kind in enumerate(leaders) if number in kind.caps)
        cells = frozenset(np.unique(instance.cell_of[cap.inside]).tolist())
        for resource, left in enumerate(instance.base.caps_left[number].tolist()):
            if flows and left < UNLIMITED:
                limits.append(CapLimit(flows, cells, resource, max(0, left)))
    return limits


def free_of_guests(state: State) -> Ints:
    """Room by node when the items that do not keep a node are in, and the others are not."""
    free = state.instance.free.copy()
    for kind in state.instance.classes:
        if not kind.keeps_node:
            for node in state.node_of[list(kind.items)].tolist():
                if node >= 0:
                    free[node] -= kind.request
    return free


def uniform(instance: Instance, fill: float) -> Floats:
    """The same fill for every cell."""
    return np.full(max(1, instance.cells), fill)


def opened_nodes(model: Model, opened: Sequence[int] | Ints) -> list[int]:
    """The nodes of a plan: the first ones of each type, and those in use anyway."""
    chosen: list[int] = []
    for kind, number in zip(model.types, opened, strict=True):
        chosen += kind.nodes if kind.sunk else kind.nodes[: int(number)]
    return chosen


def _cells(instance: Instance, free: Ints, kind: ItemClass) -> list[int]:
    """Cells with a node that could hold an item of the class by itself."""
    cells: list[int] = np.unique(instance.cell_of[kind.allowed & fits_mask(free, kind.request)]).tolist()
    return cells


def _node_types(instance: Instance, free: Ints) -> list[NodeType]:
    groups: dict[tuple[int, bytes, int], list[int]] = {}
    sunk: dict[int, list[int]] = {}
    for node, cell in enumerate(instance.cell_of.tolist()):
        if instance.in_use[node]:
            sunk.setdefault(cell, []).append(node)
        else:
            groups.setdefault((cell, free[node].tobytes(), int(instance.cost[node])), []).append(node)
    types = [
        NodeType(cell, tuple(nodes), free[nodes[0]], price, sunk=False) for (cell, _, price), nodes in groups.items()
    ]
    types += [NodeType(cell, tuple(nodes), free[nodes].sum(axis=0), 0, sunk=True) for cell, nodes in sunk.items()]
    return types


def _spreads(state: State, cells: list[list[int]], flow_of_class: Ints) -> dict[frozenset[int], int]:
    """Items that all avoid each other need a node each in the cells open to them."""
    sizes: dict[tuple[int, frozenset[int]], int] = {}
    for number, kind in enumerate(state.instance.classes):
        flow = int(flow_of_class[number])
        if flow < 0 or not kind.solitary:
            continue
        placed = int((state.node_of[list(kind.items)] >= 0).sum())
        for group in set(kind.groups) & set(kind.avoids):
            key = group, frozenset(cells[flow])
            sizes[key] = sizes.get(key, 0) + placed
    spreads: dict[frozenset[int], int] = {}
    for (_, inside), size in sizes.items():
        spreads[inside] = max(size, spreads.get(inside, 0))
    return spreads


def _parts(
    instance: Instance, types: list[NodeType], arcs: list[tuple[int, int]], cells: list[list[int]]
) -> list[Part]:
    """Cells joined by some flow belong together."""
    root = list(range(max(1, instance.cells)))

    def find(cell: int) -> int:
        while root[cell] != cell:
            root[cell] = root[root[cell]]
            cell = root[cell]
        return cell

    for inside in cells:
        for cell in inside[1:]:
            root[find(cell)] = find(inside[0])
    parts: dict[int, Part] = {}
    for number, (_, cell) in enumerate(arcs):
        parts.setdefault(find(cell), Part([], [])).arcs.append(number)
    for number, kind in enumerate(types):
        if find(kind.cell) in parts:
            parts[find(kind.cell)].types.append(number)
    return list(parts.values())
