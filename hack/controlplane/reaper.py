"""Ends a control plane's processes when the process that owns them dies without a word, such as by kill -9.

PR_SET_PDEATHSIG would be shorter, but it fires when the starting *thread* ends, and clusters are started from threads.

    python -m controlplane.reaper FOLDER OWNER_PID OWNER_START
"""

import os
import select
import signal
import sys
import time
from pathlib import Path

from controlplane.pids import Identity, end_all

_GRACE_SECONDS = 0.5


def wait_for_end(owner: Identity) -> None:
    """Return when the process is gone.

    Args:
        owner: The process.
    """
    try:
        descriptor = os.pidfd_open(owner.pid)
    except OSError:  # gone already, or a kernel without pidfd
        while owner.alive():
            time.sleep(0.5)
        return
    if owner.alive():  # else the number was already somebody else's
        select.select([descriptor], [], [])
    os.close(descriptor)


def main(arguments: list[str]) -> None:
    """Wait for the owner's end, then end what it left.

    Args:
        arguments: Folder of pid files, the owner's pid, its start time.
    """
    folder = Path(arguments[0])
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    wait_for_end(Identity(int(arguments[1]), int(arguments[2])))
    end_all(folder, timeout=3.0)
    time.sleep(_GRACE_SECONDS)  # a child may have been between its fork and its pid file
    end_all(folder, timeout=3.0)


if __name__ == "__main__":
    main(sys.argv[1:])
