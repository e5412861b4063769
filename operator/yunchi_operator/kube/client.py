"""One small asynchronous client: raw bytes in and out of an API server.

Configuration, authentication and TLS come from the official package; bodies are decoded by msgspec where they are
used, because typed client models cost a hundred times the time and memory (ADR 0003).
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlencode

import aiohttp
import msgspec
from kubernetes.aio.client import ApiClient, Configuration
from kubernetes.aio.config import ConfigException, load_incluster_config, load_kube_config

JSON = "application/json"
MERGE_PATCH = "application/merge-patch+json"
STRATEGIC_MERGE_PATCH = "application/strategic-merge-patch+json"
APPLY_PATCH = "application/apply-patch+yaml"  # JSON is valid YAML
READ_TIMEOUT_SECONDS = 30.0
UNTRUSTED_ENVIRONMENT = {"trust_env": False}
"""Session option: proxy variables and ``.netrc`` must not capture API traffic."""


class ApiError(Exception):
    """An API server's answer that is no success, or no answer at all.

    Attributes:
        status: HTTP status code; 0 when the server could not be reached.
        reason: the Status object's reason, such as ``NotFound``, or ``Unreachable`` or ``Timeout``.
        message: the server's words.
    """

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(f"{reason} ({status}): {message}")
        self.status = status
        self.reason = reason
        self.message = message


class _Status(msgspec.Struct):
    """The part of a Kubernetes ``Status`` object that tells what went wrong."""

    message: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Connection:
    """How an API server is reached, for a library that opens connections of its own."""

    server: str
    ca_path: str | None
    token: str | None
    certificate_path: str | None
    key_path: str | None


class KubeClient:
    """A connection pool to one API server."""

    def __init__(self, api: ApiClient, *, body_limit_bytes: int | None = None) -> None:
        self._api = api
        self._body_limit_bytes = body_limit_bytes

    @classmethod
    async def connect(
        cls, kubeconfig: Path | None = None, context: str | None = None, *, connections: int = 100
    ) -> Self:
        """Read a kubeconfig (default: ``$KUBECONFIG``, ``~/.kube/config``, then the pod's own account).

        Args:
            kubeconfig: file to read; None for the usual places.
            context: context of that file; None for its current one.
            connections: most parallel connections of the pool.

        Raises:
            ApiError: reason ``BadKubeconfig``, when no usable configuration is found.
        """
        configuration = Configuration()
        try:
            await load_kube_config(
                config_file=str(kubeconfig) if kubeconfig else None,
                context=context,
                client_configuration=configuration,
                persist_config=False,
            )
        except (ConfigException, OSError, ValueError, KeyError, TypeError) as error:
            if kubeconfig or context:
                told = str(error) if isinstance(error, ConfigException | OSError) else "is no kubeconfig"
                raise ApiError(0, "BadKubeconfig", f"{kubeconfig or 'kubeconfig'}: {told}") from error
            try:
                load_incluster_config(client_configuration=configuration)
            except ConfigException as nested:
                raise ApiError(0, "BadKubeconfig", f"no kubeconfig and not in a pod: {nested}") from error
        configuration.connection_pool_maxsize = connections
        configuration.client_session_kwargs = UNTRUSTED_ENVIRONMENT
        return cls(ApiClient(configuration))

    async def connection(self) -> Connection:
        """The present address and credentials (a token may have been renewed since the last call)."""
        configuration = self._api.configuration
        headers: dict[str, str] = {}
        await self._api.update_params_for_auth(headers, [], ["BearerToken"], "/", "GET", None)
        told = {name.lower(): value for name, value in headers.items()}.get("authorization", "")
        return Connection(
            server=self.host,
            ca_path=configuration.ssl_ca_cert,
            token=told.removeprefix("Bearer ") or None,
            certificate_path=configuration.cert_file,
            key_path=configuration.key_file,
        )

    async def close(self) -> None:
        """Close every connection."""
        await self._api.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @property
    def host(self) -> str:
        """The API server's address."""
        return str(self._api.configuration.host)

    async def request(
        self,
        method: str,
        path: str,
        *,
        body: Any = None,
        query: Mapping[str, str] | None = None,
        content_type: str = JSON,
        timeout_seconds: float = READ_TIMEOUT_SECONDS,
    ) -> bytes:
        """Send one request and return the body of the answer.

        Args:
            method: HTTP verb.
            path: from the root of the server, such as ``/api/v1/nodes``; already percent-encoded.
            body: anything msgspec encodes to JSON; None for no body.
            query: query parameters.
            content_type: of the body.
            timeout_seconds: for the whole exchange.

        Raises:
            ApiError: for any answer of 300 or more, for a time-out, and when the server is unreachable.
        """
        limit = aiohttp.ClientTimeout(total=timeout_seconds)
        response = await self._send(method, path, body, query, content_type, limit)
        try:
            data = await self._whole(response)
        finally:
            response.release()
        if response.status >= 300:
            raise _as_error(response.status, data)
        return data

    @contextlib.asynccontextmanager
    async def stream(
        self, path: str, query: Mapping[str, str], *, idle_timeout_seconds: float = 90.0
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        """Open a watch: yields an iterator over the lines of the answer.

        Raises:
            ApiError: when the watch cannot be opened, or is silent for longer than the idle time-out.
        """
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=idle_timeout_seconds)
        response = await self._send("GET", path, None, query, JSON, timeout)
        try:
            if response.status >= 300:
                raise _as_error(response.status, await self._whole(response))
            yield self._lines(response)
        finally:
            response.close()

    async def _lines(self, response: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
        """The lines of a streamed answer, without a limit on their length."""
        pending = b""
        try:
            async for chunk in response.content.iter_any():
                *lines, pending = (pending + chunk).split(b"\n")
                for line in lines:
                    if line:
                        yield line
        except (aiohttp.ClientError, TimeoutError) as error:
            raise self._no_answer(error) from error

    async def _whole(self, response: aiohttp.ClientResponse) -> bytes:
        """The body.

        Raises:
            ApiError: it broke off, or took too long.
        """
        try:
            return await self._read(response)
        except (aiohttp.ClientError, TimeoutError) as error:
            raise self._no_answer(error) from error

    async def _read(self, response: aiohttp.ClientResponse) -> bytes:
        """The whole body, or as much as the limit allows plus the news that it was longer."""
        if self._body_limit_bytes is None:
            return await response.read()
        chunks: list[bytes] = []
        size = 0
        async for chunk in response.content.iter_any():
            size += len(chunk)
            if size > self._body_limit_bytes:
                response.close()
                raise ApiError(0, "TooLarge", f"{self.host}: answer of over {self._body_limit_bytes} bytes")
            chunks.append(chunk)
        return b"".join(chunks)

    def _no_answer(self, error: Exception) -> ApiError:
        reason = "Timeout" if isinstance(error, TimeoutError) else "Unreachable"
        return ApiError(0, reason, f"{self.host}: {_cause(error)}")

    async def _send(
        self,
        method: str,
        path: str,
        body: Any,
        query: Mapping[str, str] | None,
        content_type: str,
        limit: aiohttp.ClientTimeout,
    ) -> aiohttp.ClientResponse:
        """Send through the official package's session, with its authentication and TLS."""
        api = self._api
        # Within a data centre packing a list of 50,000 pods takes longer than sending it.
        asked = {"Accept": JSON, "Accept-Encoding": "identity", "Content-Type": content_type}
        headers = dict(api.default_headers) | asked
        await api.update_params_for_auth(headers, [], ["BearerToken"], path, method, body)
        rest = api.rest_client
        if rest.pool_manager is None:
            rest.pool_manager = rest._create_pool_manager()  # noqa: SLF001 - the package's own factory hook
        url = self.host + path + (f"?{urlencode(query)}" if query else "")
        data = None if body is None else msgspec.json.encode(body)
        try:
            response: aiohttp.ClientResponse = await rest.pool_manager.request(
                method,
                url,
                data=data,
                headers=headers,
                timeout=limit,
                allow_redirects=False,  # an API server sends none; a forged one must not lead credentials astray
                server_hostname=api.configuration.tls_server_name,
            )
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise self._no_answer(error) from error
        return response


def _cause(error: Exception) -> str:
    """What went wrong, in words that stay the same from try to try: aiohttp's own hold memory addresses."""
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return str(error.certificate_error)
    if isinstance(error, aiohttp.ClientConnectorError):
        number = error.os_error.errno
        return os.strerror(number) if number and number > 0 else str(error.os_error)
    return str(error) or type(error).__name__


def _as_error(status: int, body: bytes) -> ApiError:
    """Read a Status object; servers and proxies on the way may answer with plain text instead."""
    try:
        told = msgspec.json.decode(body, type=_Status)
    except msgspec.DecodeError:
        told = _Status(message=body.decode(errors="replace")[:500])
    return ApiError(status, told.reason or "Unknown", told.message or "no message")
