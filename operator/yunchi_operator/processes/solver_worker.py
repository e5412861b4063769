"""The child process that solves: frames in on stdin, frames out on the former stdout, nothing else.

Run as ``python -m yunchi_operator.processes.solver_worker`` by :mod:`.solver` only. It ends when its input ends, so it
never outlives its parent by more than one solve.
"""

from __future__ import annotations

import os
import pickle
import signal
import struct
import sys
import traceback
from typing import BinaryIO

from yunchi_operator.scheduling.desk import Desk

FRAME = struct.Struct("!Q")


def read_frame(stream: BinaryIO) -> bytes | None:
    """One length-prefixed frame; None at the end of the stream."""
    head = stream.read(FRAME.size)
    if len(head) < FRAME.size:
        return None
    (length,) = FRAME.unpack(head)
    body = stream.read(length)
    return body if len(body) == length else None


def answer(desk: Desk, request: bytes) -> bytes:
    """Answer one pickled Question; what comes back is a pickled Answer, or text that says what failed."""
    try:
        question = pickle.loads(request)  # noqa: S301 - from our own parent over a private pipe
        return pickle.dumps(desk.answer(question), protocol=pickle.HIGHEST_PROTOCOL)
    except Exception:  # noqa: BLE001 - whatever it was, the parent logs it and goes on
        return pickle.dumps(traceback.format_exc(limit=8))


def main() -> None:
    """Answer requests until the input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent ends us in order
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # a solver library that prints must not break the frames
    desk = Desk()
    while (request := read_frame(sys.stdin.buffer)) is not None:
        body = answer(desk, request)
        try:
            out.write(FRAME.pack(len(body)) + body)
            out.flush()
        except BrokenPipeError:  # the parent was killed
            return


if __name__ == "__main__":
    main()
