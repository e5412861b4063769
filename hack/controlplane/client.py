"""A few plain requests to an API server, for waiting and for tests."""

import http.client
import json
import ssl
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from controlplane.certificates import KeyPair


def tls_context(ca: Path, pair: KeyPair) -> ssl.SSLContext:
    """TLS with a client certificate.

    Args:
        ca: Certificate of the authority that signed the server's.
        pair: The client's.
    """
    context = ssl.create_default_context(cafile=str(ca))
    context.load_cert_chain(pair.certificate, pair.key)
    return context


def request(
    url: str, context: ssl.SSLContext, method: str, path: str, body: Any = None, timeout: float = 30.0
) -> tuple[int, Any]:
    """One request; the answer's status and body, decoded if it is JSON.

    Args:
        url: Of the API server.
        context: TLS context with a client certificate.
        method: HTTP method.
        path: Path and query.
        body: Sent as JSON.
        timeout: Seconds for connecting and for each read.
    """
    connection = http.client.HTTPSConnection(urlsplit(url).netloc, context=context, timeout=timeout)
    kind = "application/merge-patch+json" if method == "PATCH" else "application/json"
    try:
        data = None if body is None else json.dumps(body)
        connection.request(method, path, body=data, headers={"Content-Type": kind, "Accept": "application/json"})
        answer = connection.getresponse()
        text = answer.read().decode()
        is_json = answer.headers.get_content_type() == "application/json"
        return answer.status, json.loads(text) if is_json else text
    finally:
        connection.close()
