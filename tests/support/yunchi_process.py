"""A real Yunchi process with the token of the chart's ServiceAccount: started, asked, stopped or killed."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from controlplane.cluster import ControlPlane
from controlplane.errors import ControlPlaneError
from support.charts import NAMESPACE


def eventually(check: Callable[[], Any], what: str, timeout: float = 60.0) -> Any:
    """Poll until the check is truthy; an assertion that fails, or an object that is missing, counts as not yet."""
    deadline = time.monotonic() + timeout
    while True:
        try:
            seen: Any = check()
        except (AssertionError, ControlPlaneError) as error:
            seen, trouble = None, str(error)
        else:
            trouble = repr(seen)
        if seen:
            return seen
        assert time.monotonic() < deadline, f"waited {timeout:.0f} s for {what}; last seen: {trouble}"
        time.sleep(0.1)


def free_port() -> int:
    """A loopback port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class RunningProcess:
    """`yunchi PART run` as a child.

    Args:
        part: ``operator`` or ``scheduler``.
        plane: the control plane that it works on; the chart is installed there.
        folder: for its log.
        name: of the log.
        options: further options.
    """

    def __init__(self, part: str, plane: ControlPlane, folder: Path, name: str, *options: str) -> None:
        self.plane = plane
        self.part = part
        self.address = f"127.0.0.1:{free_port()}"
        self.log = folder / f"{name}.log"
        kubeconfig = plane.service_account_kubeconfig(NAMESPACE, f"yunchi-{part}")
        command = [sys.executable, "-m", "yunchi_operator.cli.main", part, "run", "--kubeconfig", str(kubeconfig)]
        command += ["--metrics-address", self.address, *options]
        environment = {"PATH": os.environ["PATH"], "HOME": str(folder)}
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment, start_new_session=True
            )

    def get(self, path: str) -> tuple[int, str]:
        """Status and text of a page of its server; status 0 when it does not listen."""
        try:
            with urllib.request.urlopen(f"http://{self.address}{path}", timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError as error:
            return 0, str(error)

    def metric(self, series: str) -> float | None:
        """The value of one series, named with its labels as `/metrics` spells them; None when there is none."""
        for line in self.get("/metrics")[1].splitlines():
            if line.startswith(series + " "):
                return float(line.rsplit(" ", 1)[1])
        return None

    def wait_ready(self) -> None:
        """Wait until it is ready; a standby is, too, so also look at the Lease where that matters."""
        eventually(self._is_ready, what=f"{self.part} ready, see {self.log}")

    def wait_leading(self) -> None:
        """Wait until it holds the Lease."""
        eventually(lambda: self.metric("yunchi_lease_held") == 1.0, what=f"the Lease, see {self.log}")

    def _is_ready(self) -> bool:
        if self.process.poll() is not None:
            pytest.fail(f"the {self.part} ended:\n{self.log.read_text()}")
        return self.get("/readyz")[0] == 200

    def kill(self) -> None:
        """End it without a chance to tidy up."""
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        """End it by SIGTERM, and its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(timeout=40)
        except subprocess.TimeoutExpired:
            self.kill()
            raise
