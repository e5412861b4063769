"""The master problem: which patterns to use, and how often."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from yunchi_placement.columns.pool import Pool
from yunchi_placement.mip import Rows, minimise, shadow_prices

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass(slots=True, eq=False)
class Master:
    """Patterns so far, as (kind, count by job)."""

    pool: Pool
    patterns: list[tuple[int, Ints]]

    def add(self, kind: int, counts: Ints) -> bool:
        """Add a pattern; False if it is there already."""
        if any(k == kind and np.array_equal(c, counts) for k, c in self.patterns):
            return False
        self.patterns.append((kind, counts))
        return True

    def _columns(self) -> tuple[Floats, Floats, Rows, float]:
        """Prices, upper limits and rows, jobs first, then kinds; and the unit of the prices."""
        pool = self.pool
        unit = float(math.gcd(*[kind.price for kind in pool.kinds]) or 1)
        price = np.array([pool.kinds[kind].price / unit for kind, _ in self.patterns])
        upper = np.array([float(len(pool.kinds[kind].nodes)) for kind, _ in self.patterns])
        rows = Rows()
        for job, demand in enumerate(pool.demand.tolist()):
            columns = [number for number, (_, counts) in enumerate(self.patterns) if counts[job]]
            values = [float(self.patterns[number][1][job]) for number in columns]
            rows.add(float(demand), math.inf, columns, values)
        for kind, one in enumerate(pool.kinds):
            columns = [number for number, (k, _) in enumerate(self.patterns) if k == kind]
            rows.add(-math.inf, float(len(one.nodes)), columns, [1.0] * len(columns))
        return price, upper, rows, unit

    def prices(self) -> Floats | None:
        """What covering one more item of each job is worth; None if the patterns cannot cover all."""
        price, upper, rows, unit = self._columns()
        duals = shadow_prices(price, np.full(len(upper), math.inf), rows)
        return None if duals is None else np.maximum(duals[: len(self.pool.jobs)], 0.0) * unit

    def choose(self, gap: float, nodes: int, seed: int) -> Ints | None:
        """How often to use each pattern, in whole numbers."""
        price, upper, rows, _ = self._columns()
        integer = np.ones(len(price), dtype=np.bool_)
        values = minimise(price, upper, integer, rows, gap=gap, nodes=nodes, seed=seed).values
        return None if values is None else np.rint(values).astype(np.int64)
