"""Which nodes to keep: one MIP over node types and flows that knows that items on kept nodes stay.

A cell is one volume per resource, as in the engine's plan. New here: what runs on a kept node is not there to be
sent elsewhere. An average node of a type carries its share of each flow, and keeping the node keeps that share in
the cell. Only the rest, which must move anyway, is free to go to any cell.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from yunchi_placement.canonical import ItemClass
from yunchi_placement.consolidation.scene import Scene
from yunchi_placement.mip import Rows, minimise
from yunchi_placement.rules import fits_mask
from yunchi_placement.state import State

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
FLOW_LIMIT = 200_000
COUNTED = 256
"""A resource of which no node has more units is filled exactly: no fill factor, and large items stay whole."""
TINY = 1e-8


@dataclass(frozen=True, slots=True, eq=False)
class Choice:
    """Nodes to keep, and how many items of each flow each cell should end with."""

    keep: Mask
    share: dict[tuple[int, int], float]


@dataclass(frozen=True, slots=True, eq=False)
class _Part:
    """Cells that share flows: their node types, free arcs (flow, cell), and what is bound to its cell."""

    types: list[int]
    cells: list[int]
    arcs: list[int]


class Chooser:
    """The model of one starting state; built once, solved for several fills."""

    def __init__(self, scene: Scene, state: State, steps: int) -> None:
        self.scene = scene
        self.instance = scene.instance
        self.flow_of_class, leaders = _flows(scene, steps)
        self.whole = _chunky(scene)[leaders]
        placed = np.flatnonzero(state.node_of >= 0)
        kinds = self.instance.class_of[placed]
        flow = self.flow_of_class[kinds]
        self.counts = np.bincount(flow, minlength=len(leaders)).astype(np.int64)
        total = np.zeros((len(leaders), len(self.instance.resources)))
        np.add.at(total, flow, self.instance.requests[kinds].astype(np.float64))
        self.requests: Floats = total / np.maximum(self.counts, 1)[:, None]
        # Items of a flow may differ in size: they count as so many average ones.
        size = (self.instance.requests * scene.scale).sum(axis=1)
        mean = (self.requests * scene.scale).sum(axis=1)
        self.weight = np.where(mean[self.flow_of_class] > 0, size / np.maximum(mean[self.flow_of_class], 1e-12), 1.0)
        self.load = self.instance.free - state.free
        self._start = state.node_of.copy()
        self.types, type_of = _node_types(scene)
        cells = max(1, self.instance.cells)
        spots = state.node_of[placed]
        self._here = _pairs(flow, self.instance.cell_of[spots], self.weight[kinds], cells)
        stays = scene.home[placed] == spots
        self._stays = _pairs(flow[stays], type_of[spots[stays]], self.weight[kinds[stays]], len(self.types) + cells)
        self._set_arcs(leaders)
        self.parts = self._split()

    @property
    def fits(self) -> bool:
        """Whether the model is small enough to solve."""
        return len(self.arcs) <= FLOW_LIMIT

    def solve(self, fill: Floats, *, gap: float, nodes: int, seed: int) -> Choice | None:
        """Choose for these fills (by cell); None if some part has no solution."""
        opened = np.zeros(len(self.types), dtype=np.int64)
        share = dict(self._bound)
        for part in self.parts:
            values = self._solve_part(part, fill, gap=gap, nodes=nodes, seed=seed)
            if values is None:
                return None
            width = len(part.types)
            opened[part.types] = np.ceil(values[:width] - 1e-6).astype(np.int64)
            for arc, value in zip(part.arcs, values[width:].tolist(), strict=True):
                if value > 1e-7:
                    share[self.arcs[arc]] = value
        return Choice(self._kept(opened), share)

    def _kept(self, opened: Ints) -> Mask:
        """Of each type the nodes that are dearest to empty, those with very large items first.

        An item larger than half a node fits on no node that keeps anything much: where it is it needs no room.
        """
        scene, keep = self.scene, self.instance.in_use.copy()
        bulky = np.zeros(len(keep), dtype=np.int64)
        placed = np.flatnonzero(self._start >= 0)
        requests = self.instance.requests[self.instance.class_of[placed]]
        large = (2 * requests > self.instance.free[self._start[placed]]).any(axis=1)
        np.add.at(bulky, self._start[placed][large], 1)
        toll = np.zeros(len(keep), dtype=np.int64)
        running = scene.home >= 0
        np.add.at(toll, scene.home[running], scene.toll[running])
        fullness = self.load @ scene.scale
        for kind, number in zip(self.types, opened.tolist(), strict=True):
            order = np.lexsort((np.arange(len(kind)), -fullness[kind], -toll[kind], -bulky[kind]))
            keep[kind[order[:number]]] = True
        return keep

    def _set_arcs(self, leaders: list[int]) -> None:
        """Flows with one cell are bound to it; the others get an arc for each cell."""
        self.arcs: list[tuple[int, int]] = []
        self.most: list[float] = []
        self._bound: dict[tuple[int, int], float] = {}
        for flow, number in enumerate(leaders):
            total = int(self.counts[flow])
            if not total:
                continue
            here = self._here.get(flow, {})
            kind = self.instance.classes[number]
            free_cells = set() if _settled(kind) else self._cells(kind)
            if not free_cells or (len(here) == 1 and free_cells <= set(here)):
                self._bound.update({(flow, cell): amount for cell, amount in here.items()})
                continue
            for cell in sorted(free_cells | set(here)):
                self.arcs.append((flow, cell))
                self.most.append(float(total if cell in free_cells else here[cell]))

    def _cells(self, kind: ItemClass) -> set[int]:
        fits = kind.allowed & fits_mask(self.instance.free, kind.request)
        return set(np.unique(self.instance.cell_of[fits]).tolist())

    def _split(self) -> list[_Part]:
        root = list(range(max(1, self.instance.cells)))

        def find(cell: int) -> int:
            while root[cell] != cell:
                root[cell] = root[root[cell]]
                cell = root[cell]
            return cell

        first: dict[int, int] = {}
        for flow, cell in self.arcs:
            root[find(cell)] = find(first.setdefault(flow, cell))
        parts: dict[int, _Part] = {}
        for cell in range(len(root)):
            parts.setdefault(find(cell), _Part([], [], [])).cells.append(cell)
        for number, (_, cell) in enumerate(self.arcs):
            parts[find(cell)].arcs.append(number)
        for number, kind in enumerate(self.types):
            parts[find(int(self.instance.cell_of[kind[0]]))].types.append(number)
        return list(parts.values())

    def _solve_part(self, part: _Part, fill: Floats, *, gap: float, nodes: int, seed: int) -> Floats | None:
        if not part.types:
            return self._spread(part)
        price = [float(self.scene.price[self.types[number][0]]) for number in part.types]
        grain = float(max(price) or 1.0)
        width = len(part.types)
        scaled = np.zeros(width + len(part.arcs))
        scaled[:width] = np.array(price) / grain
        upper = [float(len(self.types[number])) for number in part.types] + [self.most[arc] for arc in part.arcs]
        whole = [True] * width + [bool(self.whole[self.arcs[arc][0]]) for arc in part.arcs]
        rows = self._rows(part, fill)
        return minimise(scaled, np.array(upper), np.array(whole), rows, gap=gap, nodes=nodes, seed=seed).values

    def _spread(self, part: _Part) -> Floats:
        """Cells without a node to choose: everything stays where it is."""
        ends = [self.arcs[arc] for arc in part.arcs]
        return np.array([self._here.get(flow, {}).get(cell, 0.0) for flow, cell in ends])

    def _rows(self, part: _Part, fill: Floats) -> Rows:
        rows, width = Rows(), len(part.types)
        by_flow: dict[int, list[int]] = {}
        by_cell: dict[int, list[int]] = {cell: [] for cell in part.cells}
        for column, arc in enumerate(part.arcs):
            flow, cell = self.arcs[arc]
            by_flow.setdefault(flow, []).append(width + column)
            by_cell[cell].append(column)
        for flow, columns in by_flow.items():
            rows.add(float(self.counts[flow]), float(self.counts[flow]), columns, [1.0] * len(columns))
        for cell, inside in by_cell.items():
            kinds = [k for k, number in enumerate(part.types) if self.instance.cell_of[self.types[number][0]] == cell]
            self._room_rows(rows, part, cell, inside, kinds, float(fill[cell]))
            self._stay_rows(rows, part, cell, inside, kinds)
        return rows

    def _room_rows(self, rows: Rows, part: _Part, cell: int, inside: list[int], kinds: list[int], fill: float) -> None:
        width = len(part.types)
        flows = [self.arcs[part.arcs[column]][0] for column in inside]
        bound = sum(
            (self.requests[flow] * amount for (flow, where), amount in self._bound.items() if where == cell),
            np.zeros(self.requests.shape[1], dtype=np.float64),
        )
        sunk = self.instance.free[(self.instance.cell_of == cell) & self.instance.in_use].sum(axis=0)
        scale = np.maximum(self.requests.max(axis=0, initial=1), 1).astype(np.float64)
        columns = [width + column for column in inside] + kinds
        for resource in range(len(scale)):
            asked = (self.requests[flows, resource] / scale[resource]).tolist()
            need = float(bound[resource]) / scale[resource]
            if not any(asked) and not need:
                continue
            part_fill = 1.0 if int(self.instance.capacity[:, resource].max(initial=0)) <= COUNTED else fill
            room = [float(self.instance.free[self.types[part.types[k]][0], resource]) / scale[resource] for k in kinds]
            limit = float(sunk[resource]) / scale[resource] * part_fill - need
            if not kinds:
                # Fixed nodes only: what is there now fits, whatever the fill says.
                limit = max(limit, float(self._now(cell, resource)) / scale[resource] - need)
            rows.add(-math.inf, limit, columns, [*asked, *[-max(r * part_fill, TINY) if r else 0.0 for r in room]])

    def _now(self, cell: int, resource: int) -> int:
        return int(self.load[self.instance.cell_of == cell, resource].sum())

    def _stay_rows(self, rows: Rows, part: _Part, cell: int, inside: list[int], kinds: list[int]) -> None:
        """On kept nodes items stay: an average node of the type carries its part of the flow."""
        width = len(part.types)
        for column in inside:
            flow = self.arcs[part.arcs[column]][0]
            here = self._stays.get(flow, {})
            sunk = float(here.get(len(self.types) + cell, 0))
            shares = [-here.get(part.types[k], 0) / len(self.types[part.types[k]]) for k in kinds]
            if sunk or any(shares):
                rows.add(sunk - 1e-6, math.inf, [width + column, *kinds], [1.0, *shares])


def _flows(scene: Scene, steps: int) -> tuple[Ints, list[int]]:
    """Classes that the model need not tell apart share a flow; those with rules by domain or caps do not.

    `steps` is how finely shapes (the mix of resources) are told apart; 0 means exactly, sizes included.
    """
    instance = scene.instance
    size = instance.requests * scene.scale
    shape = size / np.maximum(size.sum(axis=1, keepdims=True), 1e-12)
    coarse = np.rint(shape * steps).astype(np.int64)
    whole = _chunky(scene)
    index: dict[tuple[bytes, int, int], int] = {}
    flow_of_class = np.zeros(len(instance.classes), dtype=np.int64)
    leaders: list[int] = []
    for number, kind in enumerate(instance.classes):
        exact = not steps or bool(whole[number])
        key = kind.request.tobytes() if exact else coarse[number].tobytes()
        flow = index.setdefault((key, kind.eligibility, number if _settled(kind) else -1), len(leaders))
        if flow == len(leaders):
            leaders.append(number)
        flow_of_class[number] = flow
    return flow_of_class, leaders


def _chunky(scene: Scene) -> Mask:
    """By class: whether an item takes a large part of a node's few units; such items are not split."""
    requests, most = scene.instance.requests, scene.instance.capacity.max(axis=0, initial=1)
    large = (requests > 0) & (requests * 16 >= most) & (most <= COUNTED)
    return np.asarray(large.any(axis=1))


def _settled(kind: ItemClass) -> bool:
    """Whether the model leaves the class in its cells."""
    return bool(kind.ties or kind.caps)


def _node_types(scene: Scene) -> tuple[list[Ints], Ints]:
    """Nodes that may close, in groups of one cell, room and price; the nodes in use for good of a cell come last."""
    instance = scene.instance
    groups: dict[tuple[int, bytes, int], list[int]] = {}
    for node in np.flatnonzero(~instance.in_use).tolist():
        key = int(instance.cell_of[node]), instance.free[node].tobytes(), int(scene.price[node])
        groups.setdefault(key, []).append(node)
    types = [np.array(nodes, dtype=np.int64) for nodes in groups.values()]
    type_of = len(types) + instance.cell_of
    for number, nodes in enumerate(types):
        type_of[nodes] = number
    return types, type_of


def _pairs(first: Ints, second: Ints, weight: Floats, width: int) -> dict[int, dict[int, float]]:
    """Add up weights by pair: {first: {second: sum}}."""
    table: dict[int, dict[int, float]] = {}
    codes, inverse = np.unique(first * width + second, return_inverse=True)
    sums = np.bincount(inverse, weights=weight, minlength=len(codes))
    for code, amount in zip(codes.tolist(), sums.tolist(), strict=True):
        table.setdefault(code // width, {})[code % width] = amount
    return table
