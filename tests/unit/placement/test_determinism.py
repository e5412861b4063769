"""The same problem gives the same answer in another process, whatever the hash seed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from province import province

from yunchi_placement import solve
from yunchi_placement.check import value, violations

PROGRAM = """
import hashlib, sys
sys.path.insert(0, sys.argv[1])
from province import province
from yunchi_placement import solve
print(hashlib.sha256(repr(solve(province(80, 700, 5), seed=3)).encode()).hexdigest())
"""


def answer(hash_seed: str) -> str:
    bench = str(Path(sys.modules["province"].__file__ or "").parent)
    run = subprocess.run(
        [sys.executable, "-c", PROGRAM, bench],
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
        capture_output=True,
        text=True,
        check=True,
    )
    return run.stdout.strip()


def test_two_processes_agree() -> None:
    first = answer("1")
    assert len(first) == 64
    assert first == answer("2")


def test_the_province_is_packed_completely_and_close_to_its_bound() -> None:
    problem = province(100, 900, 1)
    solution = solve(problem)
    assert violations(problem, solution.assignment) == []
    assert solution.unplaced == ()
    assert value(problem, solution.assignment) == (solution.cost, solution.nodes_used)
    assert solution.bound.cost <= solution.cost
    assert solution.cost < solution.stages[0].cost
