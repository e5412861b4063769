"""A thin door to OR-Tools' HiGHS: sparse arrays in, values and a proven bound out.

Limits are counts (nodes, relative gap), never seconds, so that answers repeat; the one time limit is far above
what a solve takes and only stops a hang. highspy must not be imported beside ortools: they clash in one process.
"""

from __future__ import annotations

import contextlib
import datetime
import os
import sys
import tempfile
import threading
from dataclasses import dataclass, field
from typing import IO

import numpy as np
import numpy.typing as npt
from ortools.math_opt import model_pb2
from ortools.math_opt.python import mathopt

Floats = npt.NDArray[np.float64]
HANG_GUARD = datetime.timedelta(seconds=120)


@dataclass(slots=True)
class Rows:
    """Linear constraints under construction, as coordinates."""

    lower: list[float] = field(default_factory=list)
    upper: list[float] = field(default_factory=list)
    row: list[int] = field(default_factory=list)
    column: list[int] = field(default_factory=list)
    value: list[float] = field(default_factory=list)

    def add(self, lower: float, upper: float, columns: list[int], values: list[float]) -> int:
        """Add lower <= sum(values * columns) <= upper; columns must be distinct. Returns the row's number."""
        order = sorted((column, value) for column, value in zip(columns, values, strict=True) if value)
        self.row += [len(self.lower)] * len(order)
        self.column += [column for column, _ in order]
        self.value += [value for _, value in order]
        self.lower.append(lower)
        self.upper.append(upper)
        return len(self.lower) - 1


@dataclass(frozen=True, slots=True)
class Answer:
    """`values` is None when no solution was found; `bound` is proven in any case (0 if nothing is known)."""

    values: Floats | None
    bound: float


def minimise(
    price: Floats, upper: Floats, integer: npt.NDArray[np.bool_], rows: Rows, *, gap: float, nodes: int, seed: int
) -> Answer:
    """Minimise price @ x over 0 <= x <= upper and the rows."""
    model = mathopt.Model.from_model_proto(_proto(price, upper, integer, rows))
    parameters = mathopt.SolveParameters(
        relative_gap_tolerance=gap,
        node_limit=nodes,
        random_seed=seed % (1 << 31),
        time_limit=HANG_GUARD,
    )
    try:
        with _quiet:
            result = mathopt.solve(model, mathopt.SolverType.HIGHS, params=parameters)
    except (RuntimeError, ValueError, AttributeError):
        # A solver that gives up (bad numerics) costs the plan, not the answer. AttributeError is how OR-Tools
        # 9.15 fails to translate its own status.
        return Answer(None, 0.0)
    bound = float(result.termination.objective_bounds.dual_bound)
    values = None
    if result.has_primal_feasible_solution():
        values = np.array(result.variable_values(list(model.variables())))
    return Answer(values, bound if np.isfinite(bound) else 0.0)


def shadow_prices(price: Floats, upper: Floats, rows: Rows) -> Floats | None:
    """By row, how much the optimum of the relaxation rises per unit of the row's bounds; None without an optimum."""
    model = mathopt.Model.from_model_proto(_proto(price, upper, np.zeros(len(price), dtype=np.bool_), rows))
    try:
        with _quiet:
            parameters = mathopt.SolveParameters(time_limit=HANG_GUARD)
            result = mathopt.solve(model, mathopt.SolverType.GLOP, params=parameters)
    except (RuntimeError, ValueError, AttributeError):
        return None
    if not result.has_dual_feasible_solution():
        return None
    return np.array(result.dual_values(list(model.linear_constraints())))


class _Quiet:
    """Keeps what HiGHS prints off standard output, which may carry a caller's answer.

    HiGHS 1.12 prints a stray line from C++ on rare repairs, whatever its settings say. Standard output is held
    back in a file during solves and then written out without those lines, so nothing of anyone else's is lost.
    Solves may overlap in threads: the first one in holds back, the last one out writes.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._depth = 0
        self._kept = -1
        self._held: IO[bytes] | None = None

    def __enter__(self) -> None:
        with self._lock:
            self._depth += 1
            if self._depth == 1:
                with contextlib.suppress(OSError, ValueError):
                    sys.stdout.flush()
                    self._held = tempfile.TemporaryFile()
                    self._kept = os.dup(1)
                    os.dup2(self._held.fileno(), 1)

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._depth -= 1
            if self._depth or self._held is None:
                return
            if self._kept >= 0:
                os.dup2(self._kept, 1)
                self._held.seek(0)
                for line in self._held:
                    if not line.startswith(b"HighsMipSolverData::"):
                        os.write(self._kept, line)
                os.close(self._kept)
            self._held.close()
            self._held, self._kept = None, -1


_quiet = _Quiet()


def _proto(price: Floats, upper: Floats, integer: npt.NDArray[np.bool_], rows: Rows) -> model_pb2.ModelProto:
    proto = model_pb2.ModelProto()
    count = len(price)
    proto.variables.ids.extend(range(count))
    proto.variables.lower_bounds.extend([0.0] * count)
    proto.variables.upper_bounds.extend(upper.tolist())
    proto.variables.integers.extend(integer.tolist())
    priced = np.flatnonzero(price)
    proto.objective.linear_coefficients.ids.extend(priced.tolist())
    proto.objective.linear_coefficients.values.extend(price[priced].tolist())
    proto.linear_constraints.ids.extend(range(len(rows.lower)))
    proto.linear_constraints.lower_bounds.extend(rows.lower)
    proto.linear_constraints.upper_bounds.extend(rows.upper)
    proto.linear_constraint_matrix.row_ids.extend(rows.row)
    proto.linear_constraint_matrix.column_ids.extend(rows.column)
    proto.linear_constraint_matrix.coefficients.extend(rows.value)
    return proto
