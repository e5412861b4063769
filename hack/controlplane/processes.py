"""Children of a control plane: started with a log file, recorded, stopped in order."""

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from controlplane.errors import ControlPlaneError
from controlplane.pids import Identity

_TAIL_LINES = 25
# The child writes its own /proc stat line before it becomes the program: no moment when it runs unrecorded.
_RECORD_AND_RUN = 'read -r line </proc/self/stat && echo "$line" >"$0.new" && mv "$0.new" "$0" && exec "$@"'


@dataclass
class Process:
    """A running child.

    Attributes:
        name: Its name within the control plane.
        log: File with all it printed.
        pid_file: Where its identity is recorded.
        popen: The child itself.
    """

    name: str
    log: Path
    pid_file: Path
    popen: subprocess.Popen[bytes]

    @property
    def pid(self) -> int:
        """Its process number."""
        return self.popen.pid

    @property
    def running(self) -> bool:
        """Whether it still runs."""
        return self.popen.poll() is None

    def tail(self) -> str:
        """The end of its log."""
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
        return "\n".join(lines[-_TAIL_LINES:])

    def log_text(self) -> str:
        """All of its log."""
        return self.log.read_text(encoding="utf-8", errors="replace")

    def terminate(self) -> None:
        """Ask it to end, without waiting."""
        if self.running:
            self._signal(signal.SIGTERM)

    def stop(self, timeout: float = 15.0) -> None:
        """End it by SIGTERM, and by SIGKILL if it does not go; return when it is gone.

        Args:
            timeout: Seconds before SIGKILL.
        """
        self.terminate()
        if self.running:
            try:
                self.popen.wait(timeout)
            except subprocess.TimeoutExpired:
                self._signal(signal.SIGKILL)
                self.popen.wait(30)
        self.pid_file.unlink(missing_ok=True)

    def kill(self) -> None:
        """End it at once, as a crash would."""
        if self.running:
            self._signal(signal.SIGKILL)
            self.popen.wait(30)
        self.pid_file.unlink(missing_ok=True)

    def _signal(self, number: signal.Signals) -> None:
        identity = Identity.of(self.pid)  # our own unwaited child: the number cannot be anybody else's
        if identity is not None:
            identity.signal(number)


def start(name: str, command: Sequence[str | Path], folder: Path, environment: dict[str, str] | None = None) -> Process:
    """Start a child in a session of its own, with `logs/NAME.log` and `run/NAME.pid` in the folder.

    Args:
        name: Name of the process within the folder.
        command: Program and arguments.
        folder: The control plane's folder.
        environment: Its environment; a minimal one if left out.
    """
    logs, run = folder / "logs", folder / "run"
    for path in (logs, run):
        path.mkdir(parents=True, exist_ok=True)
    log, pid_file = logs / f"{name}.log", run / f"{name}.pid"
    with log.open("ab") as output:
        popen = subprocess.Popen(
            ["/bin/sh", "-c", _RECORD_AND_RUN, str(pid_file), *map(str, command)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            cwd=folder,
            env=environment if environment is not None else minimal_environment(folder),
        )
    return Process(name, log, pid_file, popen)


def minimal_environment(folder: Path) -> dict[str, str]:
    """An environment without the user's kubeconfig, home folder and proxies.

    Args:
        folder: Stands in for the home folder.
    """
    kept = {key: os.environ[key] for key in ("PATH", "TMPDIR", "LANG", "TZ") if key in os.environ}
    return {"PATH": os.defpath} | kept | {"HOME": str(folder), "NO_PROXY": "*"}


def start_reaper(folder: Path) -> Process:
    """Start the process that cleans up should this one be killed.

    Args:
        folder: The control plane's folder.
    """
    owner = Identity.of(os.getpid())
    if owner is None:
        raise ControlPlaneError("No /proc here: control planes need Linux")
    environment = minimal_environment(folder) | {"PYTHONPATH": str(Path(__file__).parent.parent)}
    arguments = [str(folder / "run"), str(owner.pid), str(owner.start)]
    return start("reaper", [sys.executable, "-m", "controlplane.reaper", *arguments], folder, environment)
