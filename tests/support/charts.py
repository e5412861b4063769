"""Installing the chart into a running control plane as an administrator would, and waiting until its policies bite."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

from controlplane.cluster import ControlPlane
from support.clusters import wait_until

CHART = Path(__file__).parents[2] / "charts" / "yunchi"
NAMESPACE = "yunchi-system"

PROBE = "policy-probe"
REQUEST = {
    "apiVersion": "yunchi.io/v1alpha1",
    "kind": "QuotaRequest",
    "metadata": {"name": PROBE, "namespace": "default"},
    "spec": {"resources": {"cpu": 1}, "reason": "Do the policies work yet?", "requester": "nobody"},
}
APPROVAL = {
    "apiVersion": "yunchi.io/v1alpha1",
    "kind": "Approval",
    "metadata": {"name": PROBE},
    "spec": {
        "division": "990000",
        "approver": "nobody",
        "target": {"kind": "QuotaRequest", "namespace": "default", "name": PROBE, "generation": 1},
        "decision": "Reject",
    },
}


def helm(plane: ControlPlane, *arguments: str | Path, timeout: float = 120.0) -> str:
    """Runs the real helm against a control plane and gives its output.

    Raises:
        AssertionError: it failed; with what it said.
    """
    environment = {"PATH": os.environ["PATH"], "HOME": str(plane.folder), "KUBECONFIG": str(plane.kubeconfig)}
    command = [str(plane.binaries.helm), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False, env=environment)
    assert done.returncode == 0, f"{command}: {done.stderr}"
    return done.stdout


def install(plane: ControlPlane, *arguments: str) -> None:
    """Installs the chart without running processes, and returns when its policies are in force.

    May be called again on the same control plane.

    Args:
        plane: where to.
        *arguments: for helm, such as ``--set``.
    """
    replicas = "operator.replicas=0,scheduler.replicas=0"
    command: list[str | Path] = [
        "upgrade",
        "--install",
        "yunchi",
        CHART,
        "--namespace",
        NAMESPACE,
        "--create-namespace",
    ]
    helm(plane, *command, "--take-ownership", "--set", replicas, *arguments)
    wait_until(lambda: _stamps(plane) and _refuses(plane), "the policies to be in force")


def _stamps(plane: ControlPlane) -> bool:
    answer = dry_run(plane, REQUEST)
    return answer.returncode == 0 and json.loads(answer.stdout)["spec"]["requester"] != "nobody"


def _refuses(plane: ControlPlane) -> bool:
    return "in one's own name" in dry_run(plane, APPROVAL).stderr


def dry_run(plane: ControlPlane, item: dict[str, Any], **options: Any) -> subprocess.CompletedProcess[str]:
    """What the API server would answer to creating an object: all of admission, nothing stored."""
    command = ["create", "--dry-run=server", "--output=json", "--filename=-"]
    return plane.kubectl(*command, input=json.dumps(item), check=False, **options)
