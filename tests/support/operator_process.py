"""The real operator as a process of its own, with the token of the chart's ServiceAccount, and the people around it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from controlplane.cluster import ControlPlane
from controlplane.errors import ControlPlaneError
from support import charts
from support.charts import NAMESPACE

API = "yunchi.io/v1alpha1"
OPS = "ops-user"
_COMMAND = "from yunchi_operator.cli.main import main; main()"
_RBAC = "rbac.authorization.k8s.io"


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


class RunningOperator:
    """A started operator; use `start_operator`."""

    def __init__(self, plane: ControlPlane, folder: Path, name: str, resync_seconds: float) -> None:
        self.plane = plane
        self.address = f"127.0.0.1:{free_port()}"
        self.log = folder / f"{name}.log"
        kubeconfig = plane.service_account_kubeconfig(NAMESPACE, "yunchi-operator")
        command = [sys.executable, "-c", _COMMAND, "operator", "run", "--kubeconfig", str(kubeconfig)]
        command += ["--metrics-address", self.address, "--resync-interval", str(resync_seconds)]
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
        """Wait until it acts (a standby counts as ready, too, so also look at the Lease where that matters)."""
        eventually(self._is_ready, what=f"operator ready, see {self.log}")

    def _is_ready(self) -> bool:
        if self.process.poll() is not None:
            pytest.fail(f"the operator ended:\n{self.log.read_text()}")
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


@contextlib.contextmanager
def start_operator(
    plane: ControlPlane, folder: Path, *, name: str = "operator", resync_seconds: float = 2.0, wait: bool = True
) -> Iterator[RunningOperator]:
    """Start the operator against a control plane in which the chart is installed; it is stopped at the end.

    Args:
        plane: where it works.
        folder: for its log.
        name: of the log.
        resync_seconds: time between two passes over everything.
        wait: return only when it is ready.
    """
    running = RunningOperator(plane, folder, name, resync_seconds)
    try:
        if wait:
            running.wait_ready()
        yield running
    finally:
        running.stop()


@contextlib.contextmanager
def operated(plane: ControlPlane, folder: Path, **options: Any) -> Iterator[RunningOperator]:
    """Install the chart, make the ops persona, start the operator."""
    charts.install(plane)
    apply(plane, cluster_binding("yunchi-ops", OPS))
    with start_operator(plane, folder, **options) as running:
        yield running


# -- people and their objects -----------------------------------------------------------------------------------------


def apply(plane: ControlPlane, *items: dict[str, Any], user: str | None = None) -> None:
    """`kubectl apply` as a user (the administrator if left out)."""
    documents = json.dumps({"apiVersion": "v1", "kind": "List", "items": list(items)})
    kubeconfig = plane.user_kubeconfig(user) if user else None
    plane.kubectl("apply", "--filename=-", input=documents, kubeconfig=kubeconfig)


def get(plane: ControlPlane, *names: str) -> dict[str, Any]:
    """`kubectl get -o json` as the administrator."""
    found: dict[str, Any] = json.loads(plane.kubectl("get", *names, "--output=json").stdout)
    return found


def wait_ready(plane: ControlPlane, *names: str, status: str = "True", user: str | None = None) -> None:
    """`kubectl wait --for=condition=Ready` on objects."""
    kubeconfig = plane.user_kubeconfig(user) if user else None
    plane.kubectl("wait", f"--for=condition=Ready={status}", "--timeout=60s", *names, kubeconfig=kubeconfig, timeout=70)


def condition(plane: ControlPlane, *names: str, kind: str = "Ready") -> dict[str, Any]:
    """One condition of an object; empty when it has none."""
    conditions = get(plane, *names).get("status", {}).get("conditions", [])
    return next((one for one in conditions if one["type"] == kind), {})


def wait_reason(plane: ControlPlane, reason: str, *names: str, user_words: str = "") -> dict[str, Any]:
    """Wait until an object's `Ready` has this reason for its present generation; the condition."""

    def check() -> dict[str, Any] | None:
        thing = get(plane, *names)
        seen = next((c for c in thing.get("status", {}).get("conditions", []) if c["type"] == "Ready"), {})
        current = seen.get("observedGeneration") == thing["metadata"]["generation"]
        assert current, f"{names}: {seen}"
        assert seen.get("reason") == reason, f"{names}: {seen}"
        assert user_words in seen["message"], seen["message"]
        return seen

    found: dict[str, Any] = eventually(check, what=f"{names} {reason}")
    return found


def cluster_binding(role: str, user: str) -> dict[str, Any]:
    """Gives a user a ClusterRole everywhere."""
    return {
        "apiVersion": f"{_RBAC}/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": f"{role}-{user}"},
        "roleRef": {"apiGroup": _RBAC, "kind": "ClusterRole", "name": role},
        "subjects": [{"kind": "User", "apiGroup": _RBAC, "name": user}],
    }


def approver_of(division: str, user: str) -> list[dict[str, Any]]:
    """Makes a user an approver of a division, as operations would."""
    role = {
        "apiVersion": f"{_RBAC}/v1",
        "kind": "ClusterRole",
        "metadata": {"name": f"approve-{division}"},
        "rules": [
            {"apiGroups": ["yunchi.io"], "resources": ["divisions"], "resourceNames": [division], "verbs": ["approve"]}
        ],
    }
    return [role, cluster_binding(f"approve-{division}", user), cluster_binding("yunchi-approver", user)]


def division(code: str, level: str, parent: str | None = None, **up_to: str) -> dict[str, Any]:
    """A Division that may approve growth up to the given resources alone."""
    spec: dict[str, Any] = {"code": code, "level": level}
    if parent:
        spec["parent"] = parent
    if up_to:
        spec["approval"] = {"upTo": up_to}
    return {"apiVersion": API, "kind": "Division", "metadata": {"name": code}, "spec": spec}


def department(name: str, division_code: str, *namespaces: str, admin: str, **spec: Any) -> dict[str, Any]:
    """A Department with one admin."""
    body = {
        "division": division_code,
        "namespaces": list(namespaces),
        "mlpsLevel": 2,
        "admins": [{"kind": "User", "name": admin}],
    }
    return {"apiVersion": API, "kind": "Department", "metadata": {"name": name}, "spec": body | spec}


def quota_request(namespace: str, name: str, **spec: Any) -> dict[str, Any]:
    """A QuotaRequest; `resources` in the spec."""
    body = {"reason": "The half-yearly tax peak."} | spec
    return {"apiVersion": API, "kind": "QuotaRequest", "metadata": {"name": name, "namespace": namespace}, "spec": body}


def approval(name: str, division_code: str, approver: str, request: tuple[str, str], **spec: Any) -> dict[str, Any]:
    """An Approval of a request (namespace and name); `generation` and `decision` may be given."""
    generation = spec.pop("generation", 1)
    target = {"kind": "QuotaRequest", "namespace": request[0], "name": request[1], "generation": generation}
    body = {"division": division_code, "approver": approver, "target": target, "decision": "Approve"} | spec
    return {"apiVersion": API, "kind": "Approval", "metadata": {"name": name}, "spec": body}
