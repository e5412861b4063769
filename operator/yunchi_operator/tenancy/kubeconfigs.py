"""Reads a member cluster's kubeconfig without ever running a command or opening a file that it names.

Whoever may write the Secret is not trusted with this process's file system: only inline data is taken, and everything
that asks for more is refused by name with its remedy.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import yaml

SIZE_LIMIT = 256 * 1024
"""Characters; real ones have a few thousand."""

_REFUSED_USER = {
    "exec": "runs a command",
    "auth-provider": "runs a plugin",
    "tokenFile": "names a local file; put the token itself in 'token'",
    "client-certificate": "names a local file; use 'client-certificate-data'",
    "client-key": "names a local file; use 'client-key-data'",
    "username": "is basic authentication, which API servers no longer know; use a token",
    "password": "is basic authentication, which API servers no longer know; use a token",
    "as": "impersonates another account; give an account of its own",
}
_REFUSED_CLUSTER = {
    "certificate-authority": "names a local file; use 'certificate-authority-data'",
    "insecure-skip-tls-verify": "leaves the server unchecked; use 'certificate-authority-data'",
    "proxy-url": "leads the traffic elsewhere; give the server's own address",
}


class KubeconfigError(ValueError):
    """The kubeconfig cannot be used; the text names the field and the remedy, never a value."""


@dataclass(frozen=True, slots=True, repr=False)
class MemberAccess:
    """Access to a member cluster by plain values; has no repr, so that it cannot leak into a log.

    Attributes:
        server: ``https://`` address without a trailing slash.
        ca_pem: certificates that the server's must chain to.
        token: bearer token, or None.
        certificate_pem: client certificate, or None.
        key_pem: its key, or None.
        tls_server_name: name to expect in the server's certificate; None for that of the address.
    """

    server: str
    ca_pem: str
    token: str | None = None
    certificate_pem: str | None = None
    key_pem: str | None = None
    tls_server_name: str | None = None


def parse(text: str) -> MemberAccess:
    """Read the current context of a kubeconfig.

    Raises:
        KubeconfigError: when it is no kubeconfig, is incomplete, or asks for more than inline data.
    """
    config = _load(text)
    context = _named(config, "contexts", "context", config.get("current-context"), "current-context")
    cluster = _named(config, "clusters", "cluster", context.get("cluster"), "context.cluster")
    user = _named(config, "users", "user", context.get("user"), "context.user")
    _refuse(cluster, _REFUSED_CLUSTER, "cluster")
    _refuse(user, _REFUSED_USER, "user")
    token = user.get("token")
    certificate = _decoded(user, "client-certificate-data", "user")
    key = _decoded(user, "client-key-data", "user")
    if (certificate is None) != (key is None):
        raise KubeconfigError("user: 'client-certificate-data' and 'client-key-data' must be given together")
    if not token and certificate is None:
        raise KubeconfigError("user: no credentials; give 'token', or a client certificate with its key")
    if token and not (isinstance(token, str) and token.isascii() and token.isprintable()):
        raise KubeconfigError("user.token: is no printable ASCII text; copy it again without line breaks")
    name = cluster.get("tls-server-name")
    return MemberAccess(
        server=_server(cluster.get("server")),
        ca_pem=_decoded(cluster, "certificate-authority-data", "cluster") or _no_authority(),
        token=token.strip() if token else None,
        certificate_pem=certificate,
        key_pem=key,
        tls_server_name=name if isinstance(name, str) and name else None,
    )


def _load(text: str) -> dict[str, Any]:
    if len(text) > SIZE_LIMIT:
        raise KubeconfigError(f"longer than {SIZE_LIMIT} characters; keep only the one context that is needed")
    try:
        if any(isinstance(token, yaml.AliasToken) for token in yaml.scan(text, Loader=yaml.SafeLoader)):
            raise KubeconfigError("holds YAML aliases; write it out with 'kubectl config view --minify --raw'")
        config = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" at line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise KubeconfigError(f"is no YAML{where}") from None  # the parser quotes what it read
    except RecursionError:
        raise KubeconfigError("is nested too deeply for a kubeconfig") from None
    if not isinstance(config, dict):
        raise KubeconfigError("is no kubeconfig: expected a mapping with clusters, users and contexts")
    return config


def _named(config: dict[str, Any], many: str, one: str, name: object, where: str) -> dict[str, Any]:
    if not isinstance(name, str) or not name:
        raise KubeconfigError(f"{where}: is missing; name an entry of {many!r}")
    entries = config.get(many)
    for entry in entries if isinstance(entries, list) else []:
        if isinstance(entry, dict) and entry.get("name") == name and isinstance(entry.get(one), dict):
            found: dict[str, Any] = entry[one]
            return found
    raise KubeconfigError(f"{where}: names no entry of {many!r}")


def _refuse(part: dict[str, Any], refused: dict[str, str], where: str) -> None:
    for field, why in refused.items():
        if part.get(field):
            raise KubeconfigError(f"{where}.{field}: refused, because it {why}")


def _decoded(part: dict[str, Any], field: str, where: str) -> str | None:
    value = part.get(field)
    if not value:
        return None
    try:
        return base64.b64decode(str(value), validate=True).decode("ascii")
    except (binascii.Error, ValueError):
        raise KubeconfigError(f"{where}.{field}: is no base64 of a PEM text") from None


def _server(value: object) -> str:
    try:
        parts = urlsplit(value) if isinstance(value, str) else None
    except ValueError:  # an unfinished IPv6 address
        parts = None
    if parts is None or parts.scheme != "https" or not parts.hostname or parts.username or parts.query:
        raise KubeconfigError("cluster.server: must be an address such as https://10.0.0.1:6443")
    return parts.geturl().rstrip("/")


def _no_authority() -> str:
    raise KubeconfigError("cluster: 'certificate-authority-data' is missing; without it the server is not checked")
