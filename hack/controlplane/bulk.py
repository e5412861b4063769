"""Create thousands of objects over many connections at once."""

import asyncio
import ssl
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp

from controlplane.errors import ControlPlaneError

_RETRIES = 8
_RETRIED = {429, 500, 502, 503, 504}
_TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=30, sock_read=120)


@dataclass(frozen=True)
class CreateError:
    """An object that the API server refused.

    Attributes:
        kind: Its kind.
        namespace: Its namespace, empty for cluster-wide kinds.
        name: Its name.
        status: HTTP status, 0 if no answer came.
        message: What the API server said.
    """

    kind: str
    namespace: str
    name: str
    status: int
    message: str


@dataclass(frozen=True)
class _Resource:
    plural: str
    namespaced: bool


class BulkCreator:
    """Posts objects to one API server.

    Args:
        url: Of the API server.
        context: TLS context with a client certificate.
        connections: How many requests are under way at once.
    """

    def __init__(self, url: str, context: ssl.SSLContext, connections: int = 48) -> None:
        self._url = url
        self._context = context
        self._connections = connections
        self._resources: dict[str, dict[str, _Resource]] = {}

    def create(self, objects: Iterable[Mapping[str, Any]]) -> list[CreateError]:
        """Create objects from ordinary code; works inside a running event loop too, which it blocks.

        Args:
            objects: Manifests with apiVersion and kind.
        """
        result: list[CreateError] = []
        failure: list[BaseException] = []

        def work() -> None:
            try:
                result.extend(asyncio.run(self.create_async(objects)))
            except BaseException as error:  # noqa: BLE001  handed to the caller's thread
                failure.append(error)

        thread = threading.Thread(target=work, name="bulk-create")
        thread.start()
        thread.join()
        if failure:
            raise failure[0]
        return result

    async def create_async(self, objects: Iterable[Mapping[str, Any]]) -> list[CreateError]:
        """Create objects in their order (as far as many connections keep one), and report what was refused.

        Args:
            objects: Manifests with apiVersion and kind.
        """
        errors: list[CreateError] = []
        connector = aiohttp.TCPConnector(limit=self._connections, ssl=self._context)
        pending = iter(objects)
        async with aiohttp.ClientSession(self._url, connector=connector, timeout=_TIMEOUT, trust_env=False) as session:
            try:
                async with asyncio.TaskGroup() as tasks:
                    for _ in range(self._connections):
                        tasks.create_task(self._worker(session, pending, errors))
            except* ControlPlaneError as group:
                raise group.exceptions[0] from None
        return errors

    async def _worker(self, session: aiohttp.ClientSession, pending: Any, errors: list[CreateError]) -> None:
        for item in pending:  # one iterator, shared by all workers
            error = await self._post(session, item)
            if error is not None:
                errors.append(error)

    async def _post(self, session: aiohttp.ClientSession, item: Mapping[str, Any]) -> CreateError | None:
        metadata, kind = item["metadata"], str(item["kind"])
        resource = await self._resource(session, str(item["apiVersion"]), kind)
        namespace = str(metadata.get("namespace") or "default") if resource.namespaced else ""
        place = f"/namespaces/{namespace}" if namespace else ""
        path = f"{_prefix(str(item['apiVersion']))}{place}/{resource.plural}"
        status, message, lost = 0, "", False
        for attempt in range(_RETRIES):
            status, message = await _send(session, path, item)
            if 200 <= status < 300 or (status == 409 and lost):
                return None
            lost |= not status  # no answer: it may have been created all the same
            if status and status not in _RETRIED:
                break
            await asyncio.sleep(min(0.05 * 2**attempt, 2.0))
        return CreateError(kind, namespace, str(metadata.get("name", "")), status, message)

    async def _resource(self, session: aiohttp.ClientSession, api_version: str, kind: str) -> _Resource:
        if kind not in self._resources.get(api_version, {}):
            async with session.get(_prefix(api_version)) as response:
                body = await response.json() if response.status == 200 else {}
            self._resources[api_version] = {
                entry["kind"]: _Resource(entry["name"], entry["namespaced"])
                for entry in body.get("resources", [])
                if "/" not in entry["name"]
            }
        try:
            return self._resources[api_version][kind]
        except KeyError:
            raise ControlPlaneError(f"The API server serves no {kind} of {api_version}: is its CRD applied?") from None


async def _send(session: aiohttp.ClientSession, path: str, item: Mapping[str, Any]) -> tuple[int, str]:
    try:
        async with session.post(path, json=item) as response:
            text = await response.text() if response.status >= 300 else ""
            await response.read()
            return response.status, text
    except (aiohttp.ClientError, TimeoutError) as error:
        return 0, f"{type(error).__name__}: {error}"


def _prefix(api_version: str) -> str:
    return f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"
