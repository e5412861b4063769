"""The worker process: answers, and what happens when it hangs, dies, fails or chatters."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from yunchi_operator.processes.solver import Solver, SolverError, warm_up_question
from yunchi_operator.scheduling.desk import Answer, Question

TIMEOUT_SECONDS = 60.0


async def ask(solver: Solver, question: Question | None = None, timeout_seconds: float = TIMEOUT_SECONDS) -> Answer:
    return await solver.ask(question or warm_up_question(), timeout_seconds=timeout_seconds)


@pytest.fixture
async def solver() -> AsyncIterator[Solver]:
    real = Solver()
    yield real
    await real.stop()


@pytest.fixture
async def odd_solver(tmp_path: Path) -> AsyncIterator[Callable[[str], Solver]]:
    """A solver whose worker runs the given lines before it starts to answer."""
    made = []

    def make(code: str) -> Solver:
        script = tmp_path / f"worker{len(made)}.py"
        script.write_text(
            f"import os, sys, time\nfrom yunchi_operator.processes import solver_worker\n{code}\nsolver_worker.main()\n"
        )
        made.append(Solver(command=(sys.executable, str(script))))
        return made[-1]

    yield make
    for one in made:
        await one.stop()


async def test_it_solves_and_stays_for_the_next_question(solver: Solver) -> None:
    first = await ask(solver)
    pid = solver.pid
    second = await ask(solver)
    assert first == second
    assert first.unplaced == ()
    assert solver.pid == pid


async def test_a_worker_that_was_killed_is_replaced(solver: Solver) -> None:
    await solver.warm_up()
    assert solver.pid is not None
    os.kill(solver.pid, signal.SIGKILL)
    with pytest.raises(SolverError) as caught:
        await ask(solver)
    assert caught.value.status == "died"
    assert (await ask(solver)).unplaced == ()
    assert solver.restarts == 1


async def test_a_worker_that_hangs_is_killed(odd_solver: Callable[[str], Solver]) -> None:
    solver = odd_solver("time.sleep(600)")
    with pytest.raises(SolverError) as caught:
        await ask(solver, timeout_seconds=0.2)
    assert caught.value.status == "timeout"
    assert solver.pid is None


async def test_what_a_library_prints_does_not_break_the_answer(odd_solver: Callable[[str], Solver]) -> None:
    noisy = (
        "class Loud(solver_worker.Desk):\n"
        "    def answer(self, question):\n"
        "        os.write(1, b'Running HiGHS'); return super().answer(question)\n"
        "solver_worker.Desk = Loud"
    )
    assert (await ask(odd_solver(noisy))).unplaced == ()


async def test_a_failing_engine_is_told_apart_and_the_worker_lives_on(solver: Solver) -> None:
    good = warm_up_question().problem
    assert good is not None
    twice = Question((), problem=replace(good, nodes=good.nodes + good.nodes[:1]))
    with pytest.raises(SolverError, match="InvalidProblem") as caught:
        await ask(solver, twice)
    assert caught.value.status == "error"
    pid = solver.pid
    assert (await ask(solver)).unplaced == ()
    assert solver.pid == pid


async def test_a_new_worker_says_that_it_knows_nothing(solver: Solver) -> None:
    with pytest.raises(SolverError, match="NothingKnown"):
        await ask(solver, Question(()))


async def test_the_worker_ends_with_its_parent(solver: Solver) -> None:
    await solver.warm_up()
    process = solver._process
    assert process is not None
    assert process.stdin is not None
    process.stdin.close()  # what the kernel does when the parent dies
    assert await process.wait() == 0
