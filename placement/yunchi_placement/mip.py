"""A thin door to OR-Tools' HiGHS: sparse arrays in, values and a proven bound out.

Limits are counts (nodes, relative gap), never seconds, so that answers repeat; the one time limit is far above
what a solve takes and only stops a hang. highspy must not be imported beside ortools: they clash in one process.
"""

from __future__ import annotations

import contextlib
import datetime
import os
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

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

    def add(self, lower: float, upper: float, columns: list[int], values: list[float]) -> None:
        """Add lower <= sum(values * columns) <= upper; columns must be distinct."""
        order = sorted((column, value) for column, value in zip(columns, values, strict=True) if value)
        self.row += [len(self.lower)] * len(order)
        self.column += [column for column, _ in order]
        self.value += [value for _, value in order]
        self.lower.append(lower)
        self.upper.append(upper)


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
    with _quiet():
        result = mathopt.solve(model, mathopt.SolverType.HIGHS, params=parameters)
    bound = float(result.termination.objective_bounds.dual_bound)
    values = None
    if result.has_primal_feasible_solution():
        values = np.array(result.variable_values(list(model.variables())))
    return Answer(values, bound if np.isfinite(bound) else 0.0)


_quiet_lock = threading.Lock()
_quiet_depth = 0
_quiet_kept = -1


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Send what HiGHS prints to standard error: standard output may carry a caller's answer.

    HiGHS 1.12 prints a stray line from C++ on rare repairs, whatever its settings say. Solves may overlap in
    threads, so the first one in redirects and the last one out restores.
    """
    global _quiet_depth, _quiet_kept  # noqa: PLW0603 - file descriptors belong to the process
    with _quiet_lock:
        if _quiet_depth == 0:
            with contextlib.suppress(OSError, ValueError):
                sys.stdout.flush()
                _quiet_kept = os.dup(1)
                os.dup2(2, 1)
        _quiet_depth += 1
    try:
        yield
    finally:
        with _quiet_lock:
            _quiet_depth -= 1
            if _quiet_depth == 0 and _quiet_kept >= 0:
                os.dup2(_quiet_kept, 1)
                os.close(_quiet_kept)
                _quiet_kept = -1


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
