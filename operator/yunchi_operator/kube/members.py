"""Clients of member clusters, made of plain values that a kubeconfig held inline.

Danger: the address and the credentials are somebody else's. Answers are bounded, redirects and proxies are ignored, and
no error text repeats key material.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from kubernetes.aio.client import ApiClient, Configuration

from yunchi_operator.kube.client import UNTRUSTED_ENVIRONMENT, ApiError, KubeClient
from yunchi_operator.tenancy.kubeconfigs import MemberAccess

BODY_LIMIT_BYTES = 64 * 2**20
CONNECTIONS = 4


def connect_member(access: MemberAccess) -> KubeClient:
    """A client of a member cluster; nothing is sent yet.

    Raises:
        ApiError: reason ``BadKubeconfig``, when a certificate or key is no valid PEM.
    """
    configuration = Configuration()
    configuration.host = access.server
    configuration.ca_cert_data = access.ca_pem
    configuration.tls_server_name = access.tls_server_name
    configuration.connection_pool_maxsize = CONNECTIONS
    configuration.client_session_kwargs = UNTRUSTED_ENVIRONMENT
    configuration.proxy = None
    if access.token:
        configuration.api_key = {"BearerToken": f"Bearer {access.token}"}
    try:
        with _as_files(access) as (certificate, key):
            configuration.cert_file, configuration.key_file = certificate, key
            api = ApiClient(configuration)
    except (OSError, ValueError):  # ssl.SSLError is an OSError
        # Not chained: the library's words could quote the material.
        message = "a certificate or key in it is no valid PEM, or they do not belong together"
        raise ApiError(0, "BadKubeconfig", message) from None
    return KubeClient(api, body_limit_bytes=BODY_LIMIT_BYTES)


@contextlib.contextmanager
def _as_files(access: MemberAccess) -> Iterator[tuple[str | None, str | None]]:
    """Client certificate and key as short-lived private files: Python's TLS reads them from nowhere else."""
    if access.certificate_pem is None or access.key_pem is None:
        yield None, None
        return
    with tempfile.TemporaryDirectory(prefix="yunchi-") as folder:  # mode 0700
        names = [str(Path(folder, name)) for name in ("certificate", "key")]
        for name, text in zip(names, (access.certificate_pem, access.key_pem), strict=True):
            descriptor = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w") as file:
                file.write(text)
        yield names[0], names[1]
