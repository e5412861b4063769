"""The constraints of a plan: flows of items into cells, and nodes opened there."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from yunchi_placement.canonical import Instance
from yunchi_placement.cuts import card_cuts, node_cuts, stepped
from yunchi_placement.mip import Rows

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
COUNTED = 256
VIOLATED = 1e-6
TINY = 1e-8
"""HiGHS drops smaller coefficients. Dropping a request only relaxes; dropping a node's room would not."""


@dataclass(frozen=True, slots=True, eq=False)
class NodeType:
    """Unused nodes of one cell with equal room and cost; or all used nodes of a cell (price 0, `sunk`)."""

    cell: int
    nodes: tuple[int, ...]
    room: Ints
    price: int
    sunk: bool


@dataclass(frozen=True, slots=True, eq=False)
class CapLimit:
    """What flows may ask for together in some cells, of one resource."""

    flows: frozenset[int]
    cells: frozenset[int]
    resource: int
    left: int


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """Types and arcs that concern each other, by position."""

    types: list[int]
    arcs: list[int]


@dataclass(frozen=True, slots=True, eq=False)
class Formulation:
    """The arrays that a plan is made of. Columns of a part: its node types, then its arcs."""

    instance: Instance
    types: list[NodeType]
    flow_of_class: Ints
    requests: Ints  # by flow
    counts: Ints  # by flow
    arcs: list[tuple[int, int]]  # (flow, cell)
    most: Floats  # by arc: items
    caps: list[CapLimit]
    spreads: dict[frozenset[int], int]  # cells -> nodes that they must open together, for anti-affinity
    parts: list[Part]

    def _counted(self, resource: int) -> bool:
        """Whether nodes hold few units of the resource (cards, pod slots), so that they can be filled exactly."""
        card = any(table.resource == resource for table in self.instance.base.cards)
        return card or int(self.instance.free[:, resource].max(initial=0)) <= COUNTED

    def chunky(self) -> npt.NDArray[np.bool_]:
        """By flow: whether an item takes a large part of a node's few units; such items are not split."""
        most = self.instance.free.max(axis=0, initial=1)
        counted = np.array([self._counted(resource) for resource in range(len(most))], dtype=np.bool_)
        large = (self.requests > 0) & (self.requests * 16 >= most) & (most > 0)
        return np.asarray((large & counted).any(axis=1))

    def rows(self, part: Part, fill: Floats) -> tuple[Rows, Floats, dict[tuple[int, int], int]]:
        """The constraints, the unit of each resource in them, and the row of each cell's capacity by resource."""
        rows = Rows()
        capacity_rows: dict[tuple[int, int], int] = {}
        width = len(part.types)
        by_flow: dict[int, list[int]] = {}
        by_cell: dict[int, list[int]] = {}
        for column, arc in enumerate(part.arcs):
            flow, cell = self.arcs[arc]
            by_flow.setdefault(flow, []).append(width + column)
            by_cell.setdefault(cell, []).append(column)
        for flow, columns in by_flow.items():
            rows.add(float(self.counts[flow]), float(self.counts[flow]), columns, [1.0] * len(columns))
        scale = np.maximum(self.requests.max(axis=0), 1).astype(np.float64)
        for cell, inside in by_cell.items():
            flows = np.array([self.arcs[part.arcs[column]][0] for column in inside])
            kinds = [position for position, number in enumerate(part.types) if self.types[number].cell == cell]
            columns = [width + column for column in inside] + kinds
            for resource in range(len(self.instance.resources)):
                asked = self.requests[flows, resource] / scale[resource]
                if asked.any():
                    room = [float(self.types[part.types[k]].room[resource]) / scale[resource] for k in kinds]
                    part_fill = 1.0 if self._counted(resource) else float(fill[cell])
                    values = [*asked.tolist(), *[-max(r * part_fill, TINY) if r else 0.0 for r in room]]
                    capacity_rows[cell, resource] = rows.add(-math.inf, 0.0, columns, values)
        self._spread_rows(part, rows)
        self._cap_rows(part, rows, scale)
        return rows, scale, capacity_rows

    def _cap_rows(self, part: Part, rows: Rows, scale: Floats) -> None:
        width = len(part.types)
        for cap in self.caps:
            columns = [
                (width + column, self.arcs[arc][0])
                for column, arc in enumerate(part.arcs)
                if self.arcs[arc][0] in cap.flows and self.arcs[arc][1] in cap.cells
            ]
            asked = self.requests[[flow for _, flow in columns], cap.resource] / scale[cap.resource]
            if asked.any():
                limit = cap.left / float(scale[cap.resource])
                rows.add(-math.inf, limit, [column for column, _ in columns], asked.tolist())

    def _spread_rows(self, part: Part, rows: Rows) -> None:
        for cells, least in self.spreads.items():
            inside = [k for k, number in enumerate(part.types) if self.types[number].cell in cells]
            sunk = sum(len(self.types[part.types[k]].nodes) for k in inside if self.types[part.types[k]].sunk)
            columns = [k for k in inside if not self.types[part.types[k]].sunk]
            if columns and least > sunk:
                rows.add(float(least - sunk), math.inf, columns, [1.0] * len(columns))

    def add_violated_cuts(self, part: Part, rows: Rows, values: Floats) -> int:
        """Add the cuts that a solution of the relaxation violates; returns their number."""
        width, added = len(part.types), 0
        by_cell: dict[int, list[int]] = {}
        for column, arc in enumerate(part.arcs):
            by_cell.setdefault(self.arcs[arc][1], []).append(column)
        for cell, inside in by_cell.items():
            flows = np.array([self.arcs[part.arcs[column]][0] for column in inside])
            kinds = [position for position, number in enumerate(part.types) if self.types[number].cell == cell]
            columns = [width + column for column in inside] + kinds
            for cut in self._cuts(part, flows, kinds):
                if float(np.array(cut) @ values[columns]) > VIOLATED:
                    rows.add(-math.inf, 0.0, columns, cut)
                    added += 1
        return added

    def _cuts(self, part: Part, flows: Ints, kinds: list[int]) -> Iterator[list[float]]:
        """Coefficients (flows, then types) of the rows that count large items in one cell."""
        types = [self.types[part.types[k]] for k in kinds]
        cards = {table.resource for table in self.instance.base.cards}
        for resource in range(len(self.instance.resources)):
            asked = self.requests[flows, resource]
            if resource not in cards and asked.any():
                rooms = [self.instance.free[list(t.nodes if t.sunk else t.nodes[:1]), resource] for t in types]
                for values, limits in node_cuts(asked, rooms):
                    yield [*values.astype(float).tolist(), *(-limits).astype(float).tolist()]
        for table in self.instance.base.cards:
            asked = self.requests[flows, table.resource]
            for parts, values in card_cuts(asked, table.units):
                by_node = stepped(np.maximum(table.free, 0), table.units, parts).sum(axis=1)
                rooms = [by_node[list(t.nodes)] for t in types]
                most = [float(room.sum() if t.sunk else room.max()) for t, room in zip(types, rooms, strict=True)]
                yield [*values.astype(float).tolist(), *[-value for value in most]]
