"""Kubeconfig files that hold all they need inside, so that they can be copied away."""

import base64
from pathlib import Path
from typing import Any

import yaml

from controlplane.certificates import KeyPair, write_private


def write(path: Path, *, url: str, ca: Path, user: str, credentials: dict[str, str], namespace: str | None) -> Path:
    """Write a kubeconfig with mode 0600.

    Args:
        path: Where.
        url: Of the API server.
        ca: Certificate that it is trusted by.
        user: Name of the user entry.
        credentials: From `certificate_credentials`, or `{"token": ...}`.
        namespace: Default namespace.
    """
    context: dict[str, Any] = {"cluster": "yunchi", "user": user}
    if namespace:
        context["namespace"] = namespace
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "yunchi", "cluster": {"server": url, "certificate-authority-data": _encode(ca)}}],
        "users": [{"name": user, "user": credentials}],
        "contexts": [{"name": "yunchi", "context": context}],
        "current-context": "yunchi",
    }
    write_private(path, yaml.safe_dump(document).encode())
    return path


def certificate_credentials(pair: KeyPair) -> dict[str, str]:
    """The user entry of a kubeconfig for a client certificate.

    Args:
        pair: Its files.
    """
    return {"client-certificate-data": _encode(pair.certificate), "client-key-data": _encode(pair.key)}


def _encode(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()
