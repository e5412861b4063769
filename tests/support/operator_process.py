"""The real operator as a process of its own, with the token of the chart's ServiceAccount, and the people around it."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from controlplane.cluster import ControlPlane
from support import charts
from support.yunchi_process import RunningProcess, eventually

API = "yunchi.io/v1alpha1"
OPS = "ops-user"
_RBAC = "rbac.authorization.k8s.io"


class RunningOperator(RunningProcess):
    """A started operator; use `start_operator`."""

    def __init__(self, plane: ControlPlane, folder: Path, name: str, resync_seconds: float) -> None:
        super().__init__("operator", plane, folder, name, "--resync-interval", str(resync_seconds))


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
