"""Who acts in the demo: the two Yunchi processes, and people with kubectl and rights of their own."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Any

from controlplane.cluster import ControlPlane
from demo.console import DemoFailedError

START_SECONDS = 40.0
STOP_SECONDS = 20.0


class YunchiProcess:
    """`yunchi operator run` or `yunchi scheduler run` with its own ServiceAccount's token.

    Attributes:
        metrics_url: where its metrics are scraped.
    """

    def __init__(self, part: str, plane: ControlPlane, folder: Path) -> None:
        self._part = part
        self._log = folder / f"{part}.log"
        address = f"127.0.0.1:{_free_port()}"
        self.metrics_url = f"http://{address}/metrics"
        self._ready_url = f"http://{address}/readyz"
        kubeconfig = plane.service_account_kubeconfig("yunchi-system", f"yunchi-{part}")
        command = [sys.executable, "-m", "yunchi_operator.cli.main", part, "run"]
        options = ["--kubeconfig", str(kubeconfig), "--metrics-address", address]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen([*command, *options], stdout=log, stderr=subprocess.STDOUT)

    def wait_ready(self) -> None:
        """Wait until `/readyz` answers 200.

        Raises:
            DemoFailedError: when it does not in time, or the process ends; with the end of its log.
        """
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self._process.poll() is None:
            if fetch(self._ready_url) is not None:
                return
            time.sleep(0.1)
        raise DemoFailedError(f"yunchi {self._part} run is not ready; the end of {self._log}:\n{self._tail()}")

    def metrics(self) -> str:
        """The text that Prometheus would scrape."""
        text = fetch(self.metrics_url)
        if text is None:
            raise DemoFailedError(f"{self.metrics_url} does not answer; the end of {self._log}:\n{self._tail()}")
        return text

    def stop(self) -> None:
        """SIGTERM, and SIGKILL when it does not listen."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _tail(self) -> str:
        return "\n".join(self._log.read_text(errors="replace").splitlines()[-15:])


@contextmanager
def running(part: str, plane: ControlPlane, folder: Path) -> Iterator[YunchiProcess]:
    """A Yunchi process that is ready, stopped at the end."""
    process = YunchiProcess(part, plane, folder)
    try:
        process.wait_ready()
        yield process
    finally:
        process.stop()


def fetch(url: str) -> str | None:
    """The body of a loopback address that answers 200, else None."""
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310 - always http on loopback
            return str(answer.read().decode())
    except OSError:
        return None


def apply(plane: ControlPlane, manifests: Iterable[dict[str, Any]], *, kubeconfig: Path | None = None) -> None:
    """`kubectl apply --server-side` of many objects in one call."""
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": list(manifests)})
    plane.kubectl("apply", "--server-side", "-f", "-", input=text, kubeconfig=kubeconfig, timeout=120)


def get(plane: ControlPlane, path: str) -> list[dict[str, Any]]:
    """The objects of a list, from the API server's cache: cheap enough to poll.

    Args:
        plane: whose API server.
        path: of the list, such as ``/api/v1/pods``.
    """
    status, answer = plane.request("GET", f"{path}?resourceVersion=0")
    if status != HTTPStatus.OK:
        raise DemoFailedError(f"GET {path}: {status} {answer}")
    found: list[dict[str, Any]] = answer["items"]
    return found


def get_one(plane: ControlPlane, *what: str) -> dict[str, Any]:
    """`kubectl get … -o json` of one object."""
    found: dict[str, Any] = json.loads(plane.kubectl("get", *what, "-o", "json").stdout)
    return found


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def environment_without_kubeconfig() -> dict[str, str]:
    """The environment for child processes: never the user's own cluster."""
    return {key: value for key, value in os.environ.items() if key != "KUBECONFIG"}
