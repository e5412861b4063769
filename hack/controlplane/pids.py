"""Who a process is: its pid together with its start time, so that a recycled pid is never killed.

Only the standard library: the reaper runs this too.
"""

import contextlib
import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Identity:
    """A process that lives, lived, or whose number somebody else has by now.

    Attributes:
        pid: Its number.
        start: Its start time in clock ticks since boot, field 22 of /proc/PID/stat.
    """

    pid: int
    start: int

    @classmethod
    def of(cls, pid: int) -> "Identity | None":
        """Identity of a running process, or None if there is none (a zombie counts as none).

        Args:
            pid: Its number.
        """
        try:
            line = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        except (FileNotFoundError, ProcessLookupError):
            return None
        return None if state(line) in {"Z", "X"} else cls.parse(line)

    @classmethod
    def parse(cls, line: str) -> "Identity | None":
        """Identity from a line of /proc/PID/stat, or None if it is cut short.

        Args:
            line: The line; the command in it may hold spaces and brackets.
        """
        try:
            return cls(int(line.split(" ", 1)[0]), int(line.rpartition(")")[2].split()[19]))
        except (ValueError, IndexError):
            return None

    def alive(self) -> bool:
        """Whether this very process still runs."""
        return Identity.of(self.pid) == self

    def signal(self, number: signal.Signals) -> None:
        """Signal the process group it leads, and nobody if the process is gone.

        Args:
            number: The signal.
        """
        if not self.alive():
            return
        with contextlib.suppress(ProcessLookupError):
            if os.getpgid(self.pid) == self.pid:
                os.killpg(self.pid, number)
            else:
                os.kill(self.pid, number)


def state(line: str) -> str:
    """State letter in a line of /proc/PID/stat, `X` if it holds none.

    Args:
        line: The line.
    """
    fields = line.rpartition(")")[2].split()
    return fields[0] if fields else "X"


def recorded(folder: Path) -> dict[str, Identity]:
    """Processes that a control plane's folder says were started, by name.

    Args:
        folder: The folder of `NAME.pid` files.
    """
    found = {path.stem: Identity.parse(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.pid"))}
    return {name: identity for name, identity in found.items() if identity is not None}


def end_all(folder: Path, timeout: float = 10.0) -> list[str]:
    """End every recorded process that still runs (but for the caller), and forget them all.

    Args:
        folder: The folder of `NAME.pid` files.
        timeout: Seconds to wait after SIGTERM before SIGKILL.

    Returns:
        Names of those that were still running.
    """
    running = {name: identity for name, identity in recorded(folder).items() if identity.alive()}
    running = {name: identity for name, identity in running.items() if identity.pid != os.getpid()}
    for number in (signal.SIGTERM, signal.SIGKILL):
        for identity in running.values():
            identity.signal(number)
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline and any(identity.alive() for identity in running.values()):
            time.sleep(0.02)
    for path in folder.glob("*.pid"):
        path.unlink(missing_ok=True)
    return sorted(running)
