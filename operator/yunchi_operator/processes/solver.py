"""The parent's side of the solver: a worker process, watched, limited in time, started again when it dies.

The solver's C++ code holds no lock of ours and may crash or run long; the watch loop goes on in any case.
"""

from __future__ import annotations

import asyncio
import logging
import pickle
import sys
from asyncio.subprocess import PIPE, Process
from typing import Any

from yunchi_operator.processes.solver_worker import FRAME
from yunchi_operator.scheduling.desk import Answer, Question
from yunchi_placement import Item, Node, Problem

log = logging.getLogger(__name__)

WORKER = "yunchi_operator.processes.solver_worker"


class SolverError(Exception):
    """No answer from the solver.

    Attributes:
        status: ``timeout``, ``died`` or ``error``; the metric's ``status`` label.
    """

    def __init__(self, status: str, message: str) -> None:
        super().__init__(message)
        self.status = status


def warm_up_question() -> Question:
    """A question that touches every stage of the engine, so that the first storm finds it loaded."""
    nodes = tuple(Node(f"node-{n}", (4000, 1 << 33, 110), cost=1_000_000 + n % 2) for n in range(8))
    items = tuple(Item(f"pod-{n}", (500 + n, 1 << 28, 1)) for n in range(20))
    return Question(items, "balanced", problem=Problem(("cpu", "memory", "pods"), nodes, ()))


class Solver:
    """One worker process; one solve at a time."""

    def __init__(self, *, command: tuple[str, ...] = (sys.executable, "-m", WORKER)) -> None:
        self._command = command
        self._process: Process | None = None
        self._turn = asyncio.Lock()
        self.restarts = 0

    @property
    def pid(self) -> int | None:
        """The worker's process id, while there is one."""
        return self._process.pid if self._process else None

    async def ask(self, question: Question, *, timeout_seconds: float) -> Answer:
        """Have a question answered by the worker.

        After a failure the worker knows nothing any more: the next question must state everything.

        Args:
            question: what to place.
            timeout_seconds: after which the worker is killed; the next question starts a new one.

        Raises:
            SolverError: when there is no answer in time, the worker dies, or the engine fails.
        """
        async with self._turn:
            # Pickling thousands of items takes tens of milliseconds: not on the loop.
            request = await asyncio.to_thread(_pickle, question)
            body = await self._ask(request, timeout_seconds)
            found = await asyncio.to_thread(pickle.loads, body)
        if isinstance(found, Answer):
            return found
        raise SolverError("error", f"the engine failed: {found}")

    async def warm_up(self, timeout_seconds: float = 60.0) -> None:
        """Start the worker and let it load everything.

        Raises:
            SolverError: as :meth:`ask`.
        """
        await self.ask(warm_up_question(), timeout_seconds=timeout_seconds)

    async def stop(self) -> None:
        """End the worker, whatever it is doing."""
        process, self._process = self._process, None
        if process is None:
            return
        if process.returncode is None:
            process.kill()
        await process.wait()
        if process.stdin is not None:
            process.stdin.close()

    async def _ask(self, request: bytes, timeout_seconds: float) -> bytes:
        try:
            async with asyncio.timeout(timeout_seconds):
                return await self._exchange(request)
        except TimeoutError as error:
            await self._fail()
            raise SolverError("timeout", f"no solution within {timeout_seconds:g} s") from error
        except (asyncio.IncompleteReadError, OSError) as error:
            code = await self._fail()
            raise SolverError("died", f"the solver process ended with code {code}") from error
        except asyncio.CancelledError:
            await self.stop()  # or its late answer would be taken for the next question's
            raise

    async def _exchange(self, request: bytes) -> bytes:
        process = await self._running()
        assert process.stdin is not None  # noqa: S101 - given by PIPE
        assert process.stdout is not None  # noqa: S101
        process.stdin.write(FRAME.pack(len(request)))
        process.stdin.write(request)
        await process.stdin.drain()
        (length,) = FRAME.unpack(await process.stdout.readexactly(FRAME.size))
        return await process.stdout.readexactly(length)

    async def _running(self) -> Process:
        if self._process is None or self._process.returncode is not None:
            self._process = await asyncio.create_subprocess_exec(*self._command, stdin=PIPE, stdout=PIPE, limit=1 << 24)
        return self._process

    async def _fail(self) -> int | None:
        process = self._process
        self.restarts += 1
        await self.stop()
        return process.returncode if process else None


def _pickle(value: Any) -> bytes:
    return pickle.dumps(value, protocol=pickle.HIGHEST_PROTOCOL)
