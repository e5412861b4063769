"""Bring up etcd and the API server on free ports, and wait for them."""

import shutil
import ssl
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from controlplane import client, components
from controlplane.binaries import Binaries
from controlplane.certificates import Authority
from controlplane.errors import ControlPlaneError
from controlplane.pids import end_all
from controlplane.ports import free_ports
from controlplane.processes import Process, start

_PORT_TRIES = 5
_READY_TIMEOUT_SECONDS = 120.0
_TAKEN = "address already in use"


class ExitedError(ControlPlaneError):
    """A process ended while it was waited for."""


@dataclass(frozen=True)
class Served:
    """An API server that answers.

    Attributes:
        url: Where.
        processes: It and its etcd.
        commands: Their command lines.
    """

    url: str
    processes: dict[str, Process]
    commands: dict[str, list[str]]


def clear(folder: Path) -> None:
    """End what a crashed owner left running, then remove what it left lying.

    Args:
        folder: The control plane's folder.
    """
    end_all(folder / "run", timeout=3.0)  # an API server without its etcd does not go by itself
    for name in ("data", "certificates", "kubeconfigs", "logs", "run"):
        shutil.rmtree(folder / name, ignore_errors=True)
    (folder / "run").mkdir()


def make_authority(folder: Path, name: str) -> Authority:
    """The control plane's certificate authority.

    Args:
        folder: The control plane's folder.
        name: The control plane's name.
    """
    return Authority(folder / "certificates", name)


def start_api_server(
    binaries: Binaries, credentials: components.Credentials, folder: Path, *, service_accounts: bool
) -> Served:
    """Start etcd and the API server, on other ports if somebody takes one in between.

    Args:
        binaries: The executables.
        credentials: Their certificates.
        folder: The control plane's folder.
        service_accounts: Whether pods need their namespace's service account.
    """
    for _ in range(_PORT_TRIES):
        port, etcd_port, peer_port = free_ports(3)
        etcd = components.etcd_command(binaries, credentials, folder, etcd_port, peer_port)
        api = components.api_server_command(binaries, credentials, port, etcd_port, service_accounts=service_accounts)
        commands = {components.ETCD: etcd, components.API_SERVER: api}
        processes = {name: start(name, command, folder) for name, command in commands.items()}
        url = f"https://127.0.0.1:{port}"
        try:
            wait_ready(url, client.tls_context(credentials.ca, credentials.admin), list(processes.values()))
        except BaseException as error:
            lost_port = any(_TAKEN in process.log_text() for process in processes.values())
            for process in processes.values():
                process.kill()
            if isinstance(error, ExitedError) and lost_port:
                shutil.rmtree(folder / "data", ignore_errors=True)
                shutil.rmtree(folder / "logs", ignore_errors=True)
                continue
            raise
        return Served(url, processes, commands)
    raise ControlPlaneError(f"Ports were taken by others {_PORT_TRIES} times over; is something scanning them?")


def wait_ready(url: str, context: ssl.SSLContext, processes: Sequence[Process]) -> None:
    """Wait until the API server says it is ready.

    Args:
        url: Where it serves.
        context: TLS context of an administrator.
        processes: Whose end or log explains a failure.
    """
    wait_for(lambda: client.request(url, context, "GET", "/readyz", timeout=5)[0] == 200, processes, f"{url}/readyz")


def wait_for(
    condition: Callable[[], bool], processes: Sequence[Process], what: str, timeout: float = _READY_TIMEOUT_SECONDS
) -> None:
    """Poll until a condition holds, as long as the processes live.

    Args:
        condition: A refused connection counts as no.
        processes: Whose end or log explains a failure.
        what: Named in the message.
        timeout: Seconds.
    """
    deadline = time.monotonic() + timeout
    while True:
        try:
            if condition():
                return
        except OSError:  # not listening yet
            pass
        for process in processes:
            if not process.running:
                code = process.popen.returncode
                raise ExitedError(f"{process.name} ended ({code}) before {what} was there:\n{process.tail()}")
        if time.monotonic() >= deadline:
            tails = "\n".join(f"--- {process.log}\n{process.tail()}" for process in processes)
            raise ControlPlaneError(f"No {what} after {timeout:.0f} s:\n{tails}")
        time.sleep(0.05)
