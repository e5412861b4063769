"""Where objects live on an API server."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

from yunchi_operator.api.kinds import NAMESPACED, PLURALS
from yunchi_operator.api.names import GROUP, VERSION

_BUILTINS: Final[dict[tuple[str, str], tuple[str, bool]]] = {
    ("v1", "Namespace"): ("/api/v1/namespaces", False),
    ("v1", "ConfigMap"): ("configmaps", True),
    ("v1", "Secret"): ("secrets", True),
    ("v1", "LimitRange"): ("limitranges", True),
    ("v1", "ResourceQuota"): ("resourcequotas", True),
    ("networking.k8s.io/v1", "NetworkPolicy"): ("networkpolicies", True),
    ("rbac.authorization.k8s.io/v1", "RoleBinding"): ("rolebindings", True),
}


def collection(kind: str) -> str:
    """The URL path that lists all objects of one of our kinds."""
    return f"/apis/{GROUP}/{VERSION}/{PLURALS[kind]}"


def ours(kind: str, namespace: str, name: str) -> str:
    """The URL path of an object of one of our kinds; the namespace is not used for cluster-wide ones."""
    middle = f"namespaces/{quote(namespace, safe='')}/" if kind in NAMESPACED else ""
    return f"/apis/{GROUP}/{VERSION}/{middle}{PLURALS[kind]}/{quote(name, safe='')}"


def builtin(api_version: str, kind: str, namespace: str, name: str) -> str:
    """The URL path of an object of Kubernetes' own kinds that Yunchi uses.

    Raises:
        KeyError: for any other kind.
    """
    plural, namespaced = _BUILTINS[api_version, kind]
    if not namespaced:
        return f"{plural}/{quote(name, safe='')}"
    root = f"/api/{api_version}" if "/" not in api_version else f"/apis/{api_version}"
    return f"{root}/namespaces/{quote(namespace, safe='')}/{plural}/{quote(name, safe='')}"


def of_object(thing: Mapping[str, Any]) -> str:
    """The URL path of an object of Kubernetes' own kinds, from its manifest."""
    metadata = thing["metadata"]
    return builtin(thing["apiVersion"], thing["kind"], metadata.get("namespace", ""), metadata["name"])
