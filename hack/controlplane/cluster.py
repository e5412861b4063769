"""A running control plane: started in a folder, used through kubeconfigs, stopped without traces."""

import fcntl
import hashlib
import os
import re
import ssl
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TextIO

import yaml

from controlplane import client, components, kubeconfig, launch
from controlplane.binaries import Binaries
from controlplane.bulk import BulkCreator, CreateError
from controlplane.certificates import write_private
from controlplane.components import DEFAULT_COMPONENTS, scheduler_configuration
from controlplane.errors import ControlPlaneError
from controlplane.pids import Identity, end_all
from controlplane.processes import Process, minimal_environment, start, start_reaper

__all__ = ["DEFAULT_COMPONENTS", "ControlPlane", "scheduler_configuration", "start_control_plane"]

_STOP_SECONDS = 5.0  # an API server would wait a minute for its watchers to go
_STOP_ORDER_LAST = (components.API_SERVER, components.ETCD)


def start_control_plane(
    binaries: Binaries, folder: Path, *, name: str = "yunchi", components: Sequence[str] = DEFAULT_COMPONENTS
) -> "ControlPlane":
    """Start a fresh control plane and return when it serves; what an earlier one left in the folder goes first.

    Args:
        binaries: From `ensure_binaries()`.
        folder: Holds everything it writes: data, certificates, logs, kubeconfigs.
        name: Shown in certificates and messages.
        components: Which parts run; etcd and kube-apiserver always do.

    Raises:
        ControlPlaneError: It did not come up (with the end of the log), or the folder's one runs already.
    """
    plane = ControlPlane(binaries, folder.absolute(), name)
    try:
        plane.start(components)
    except BaseException:
        plane.stop()
        raise
    return plane


class ControlPlane:
    """One control plane. Use `start_control_plane`, and as a context manager or with `stop()`.

    Args:
        binaries: The executables.
        folder: Its folder.
        name: Its name.

    Attributes:
        kubeconfig: Kubeconfig of an administrator (system:masters).
        url: Of the API server.
        processes: The running parts by name.
    """

    def __init__(self, binaries: Binaries, folder: Path, name: str) -> None:
        self.binaries = binaries
        self.folder = folder
        self.name = name
        self.kubeconfig = folder / "admin.kubeconfig"
        self.url = ""
        self.processes: dict[str, Process] = {}
        self._commands: dict[str, list[str]] = {}
        self._reaper: Process | None = None
        self._lock: TextIO | None = None

    def start(self, parts: Sequence[str]) -> None:
        """Start the parts; called by `start_control_plane`.

        Args:
            parts: Their names.
        """
        self._claim_folder()
        launch.clear(self.folder)
        self._reaper = start_reaper(self.folder)
        self.authority = launch.make_authority(self.folder, self.name)
        self.credentials = components.Credentials.make(self.authority)
        controllers = components.CONTROLLER_MANAGER in parts
        served = launch.start_api_server(self.binaries, self.credentials, self.folder, service_accounts=controllers)
        self.url = served.url
        self.processes |= served.processes
        self._commands |= served.commands
        pair = kubeconfig.certificate_credentials(self.credentials.admin)
        self._write_kubeconfig(self.kubeconfig, "admin", pair, None)
        if controllers:
            command = components.controller_manager_command(self.binaries, self.credentials, self.kubeconfig)
            self._start(components.CONTROLLER_MANAGER, command)
        if components.KWOK in parts:
            self._start(components.KWOK, components.kwok_command(self.binaries, self.kubeconfig))
        if components.SCHEDULER in parts:
            self.start_kube_scheduler()
        if controllers:
            self._wait_for_service_account("default")

    @property
    def ca_file(self) -> Path:
        """Certificate of the authority that signed the API server's certificate."""
        return self.credentials.ca

    @cached_property
    def tls(self) -> ssl.SSLContext:
        """TLS context of an administrator."""
        return client.tls_context(self.ca_file, self.credentials.admin)

    def request(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """One request as an administrator: status and decoded body.

        Args:
            method: HTTP method; PATCH sends a merge patch.
            path: Path and query.
            body: Sent as JSON.
        """
        return client.request(self.url, self.tls, method, path, body)

    def user_kubeconfig(self, name: str, groups: Sequence[str] = (), namespace: str | None = None) -> Path:
        """A kubeconfig with a client certificate for a user who may do only what RBAC gives them.

        Args:
            name: User name.
            groups: Their groups.
            namespace: Default namespace.
        """
        stem = _stem(name, *groups, namespace or "")
        pair = self.authority.client(name, tuple(groups), stem)
        path = self.folder / "kubeconfigs" / f"{stem}.kubeconfig"
        return self._write_kubeconfig(path, name, kubeconfig.certificate_credentials(pair), namespace)

    def service_account_kubeconfig(self, namespace: str, name: str, duration_seconds: int = 3600) -> Path:
        """A kubeconfig with a token for a service account that exists.

        Args:
            namespace: Its namespace.
            name: Its name.
            duration_seconds: How long the token is good for, at least 600.
        """
        duration = f"--duration={duration_seconds}s"
        token = self.kubectl("create", "token", name, "--namespace", namespace, duration).stdout.strip()
        path = self.folder / "kubeconfigs" / f"{_stem('sa', namespace, name)}.kubeconfig"
        return self._write_kubeconfig(path, name, {"token": token}, namespace)

    def kubectl(
        self,
        *args: str,
        input: str | None = None,  # noqa: A002
        kubeconfig: Path | None = None,
        check: bool = True,
        timeout: float = 60.0,
    ) -> subprocess.CompletedProcess[str]:
        """Run kubectl against this control plane, away from the user's own configuration.

        Args:
            *args: Its arguments.
            input: Its standard input.
            kubeconfig: Whose; the administrator's if left out.
            check: Raise when it fails.
            timeout: Seconds it may take.

        Raises:
            ControlPlaneError: It failed (with what it said), or took too long.
        """
        environment = minimal_environment(self.folder) | {"KUBECONFIG": str(kubeconfig or self.kubeconfig)}
        command, shown = [str(self.binaries.kubectl), *args], " ".join(["kubectl", *args])
        standard_input: dict[str, Any] = {"stdin": subprocess.DEVNULL} if input is None else {"input": input}
        try:
            run = subprocess.run(
                command, capture_output=True, text=True, timeout=timeout, env=environment, check=False, **standard_input
            )
        except subprocess.TimeoutExpired:
            raise ControlPlaneError(f"{shown}: no end after {timeout:.0f} s") from None
        if check and run.returncode:
            raise ControlPlaneError(f"{shown}: exit {run.returncode}\n{run.stderr or run.stdout}")
        return run

    def create_many(self, objects: Iterable[Mapping[str, Any]], connections: int = 48) -> list[CreateError]:
        """Create objects over many connections; what was refused comes back, nothing is raised for it.

        Args:
            objects: Manifests with apiVersion and kind. Parents such as namespaces belong into an earlier call.
            connections: Requests under way at once.
        """
        return BulkCreator(self.url, self.tls, connections).create(objects)

    def create_namespace(self, name: str, labels: Mapping[str, str] | None = None) -> None:
        """Create a namespace and wait until pods can be created in it.

        Args:
            name: Its name.
            labels: Its labels.
        """
        metadata = {"name": name, "labels": dict(labels or {})}
        body = {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}
        status, answer = self.request("POST", "/api/v1/namespaces", body)
        if status not in {201, 409}:
            raise ControlPlaneError(f"namespace {name}: {answer}")
        if components.CONTROLLER_MANAGER in self.processes:
            self._wait_for_service_account(name)

    def start_kube_scheduler(self, config: str | None = None, name: str = components.SCHEDULER) -> Process:
        """Start a kube-scheduler; its `stop()` ends it, and so does the control plane's.

        Args:
            config: KubeSchedulerConfiguration as YAML, `scheduler_configuration()` if left out.
            name: Name of the process; a second one needs its own.
        """
        document = yaml.safe_load(config or scheduler_configuration())
        document["clientConnection"] = document.get("clientConnection", {}) | {"kubeconfig": str(self.kubeconfig)}
        path = self.folder / f"{name}.yaml"
        write_private(path, yaml.safe_dump(document).encode())
        return self._start(name, components.scheduler_command(self.binaries, path))

    def restart(self, name: str) -> Process:
        """Stop a part and start it again on the same ports with the same data.

        Args:
            name: Such as `kube-apiserver`; `processes[name].kill()` before it makes an outage of any length.
        """
        self.processes.pop(name).stop(_STOP_SECONDS)
        process = self._start(name, self._commands[name])
        if name == components.API_SERVER:
            launch.wait_ready(self.url, self.tls, [process])
        return process

    def stop(self) -> None:
        """Stop everything and wait until it is gone; the folder can be removed then. May be called again."""
        clients = [name for name in self.processes if name not in _STOP_ORDER_LAST]
        for name in clients:
            self.processes[name].terminate()
        for name in [*clients, *_STOP_ORDER_LAST]:
            if name in self.processes:
                self.processes.pop(name).stop(_STOP_SECONDS)
        if self._reaper is not None:
            end_all(self.folder / "run")  # a part that failed half-way through its start
            self._reaper.stop()
            self._reaper = None
        if self._lock is not None:
            (self.folder / "owner").unlink(missing_ok=True)
            self._lock.close()
            self._lock = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _claim_folder(self) -> None:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = (self.folder / "lock").open("a")
        try:
            fcntl.flock(lock.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            message = f"A control plane runs in {self.folder} already: `python -m controlplane down`, or another folder"
            raise ControlPlaneError(message) from None
        self._lock = lock
        owner = Identity.of(os.getpid())
        if owner is not None:
            (self.folder / "owner").write_text(f"{owner.pid} {owner.start}\n", encoding="utf-8")

    def _start(self, name: str, command: list[str]) -> Process:
        if name in self.processes and self.processes[name].running:
            raise ControlPlaneError(f"{name} runs already in {self.folder}: give the second one another name")
        self._commands[name] = command
        self.processes[name] = start(name, command, self.folder)
        return self.processes[name]

    def _wait_for_service_account(self, namespace: str) -> None:
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts/default"
        watched = [self.processes[components.API_SERVER], self.processes[components.CONTROLLER_MANAGER]]
        what = f"the default service account of namespace {namespace}"
        launch.wait_for(lambda: self.request("GET", path)[0] == 200, watched, what)

    def _write_kubeconfig(self, path: Path, user: str, credentials: dict[str, str], namespace: str | None) -> Path:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        ca = self.ca_file
        return kubeconfig.write(path, url=self.url, ca=ca, user=user, credentials=credentials, namespace=namespace)


def _stem(*parts: str) -> str:
    digest = hashlib.sha256("\0".join(parts).encode()).hexdigest()[:8]
    return re.sub(r"[^A-Za-z0-9.-]+", "-", "-".join(filter(None, parts)))[:80] + f"-{digest}"
