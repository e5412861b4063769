"""A local copy of one kind of object, kept fresh by list and watch.

Pages are decoded by msgspec into the few fields that the caller's struct names; no client model in between (ADR 0003).
A watch that breaks resumes where it stopped; only 410 Gone costs a new listing. Handlers run on the event loop and
must not block.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeAlias, TypeVar

import msgspec

from yunchi_operator.kube.client import ApiError, KubeClient

log = logging.getLogger(__name__)

GONE = 410
FORBIDDEN_STATUSES = (401, 403)
LIST_TIMEOUT_SECONDS = 60.0
RELIST_AFTER_FAILURES = 5


class Named(Protocol):
    """Any object with Kubernetes metadata; its ``namespace`` may be missing for cluster-wide kinds."""

    @property
    def metadata(self) -> Any:
        """Something with a ``name``."""


T = TypeVar("T", bound=Named)

Handler: TypeAlias = Callable[[str, T | None, T | None], None]
"""Called on the loop after the store has changed, with the key, the former and the present object.

Exactly one of the two may be None: the object has just come, or has gone.
"""


@dataclass(frozen=True, slots=True)
class Timing:
    """How patient a reflector is; all in seconds."""

    idle: float = 90.0
    """Silence after which a watch counts as dead; servers send a bookmark about once a minute."""
    watch: float = 300.0
    """The server is asked to end a watch after this long, give or take a tenth, so that reconnections spread."""
    backoff: float = 0.5
    backoff_max: float = 30.0


class _ListMeta(msgspec.Struct):
    resourceVersion: str = ""  # noqa: N815 - the API's own name
    continue_: str = msgspec.field(default="", name="continue")


class _RawPage(msgspec.Struct):
    metadata: _ListMeta
    items: list[msgspec.Raw] | None = None


class _Event(msgspec.Struct):
    type: str
    object: msgspec.Raw


class _VersionMeta(msgspec.Struct):
    resourceVersion: str = ""  # noqa: N815


class _Versioned(msgspec.Struct):
    metadata: _VersionMeta


class _Failure(msgspec.Struct):
    code: int = 0
    reason: str = ""
    message: str = ""


class _NameMeta(msgspec.Struct):
    name: str = ""
    namespace: str = ""


class _NamedObject(msgspec.Struct):
    metadata: _NameMeta


_decode_named = msgspec.json.Decoder(_NamedObject).decode
_decode_page = msgspec.json.Decoder(_RawPage).decode
_decode_event = msgspec.json.Decoder(_Event).decode
_decode_versioned = msgspec.json.Decoder(_Versioned).decode


def key_of(item: Named) -> str:
    """``namespace/name``, or just the name of a cluster-wide object."""
    namespace = getattr(item.metadata, "namespace", "")
    return f"{namespace}/{item.metadata.name}" if namespace else str(item.metadata.name)


class Reflector(Generic[T]):
    """One kind, listed in pages and then watched.

    Attributes:
        items: the store, by key; read only for everyone else.
        synced: set once the first listing is complete.
    """

    def __init__(
        self,
        client: KubeClient,
        path: str,
        struct: type[T],
        *,
        handler: Handler[T] | None = None,
        field_selector: str = "",
        label_selector: str = "",
        page_size: int = 1000,
        optional: bool = False,
        prepare: Callable[[T], None] = lambda _: None,
        timing: Timing = Timing(),
    ) -> None:
        """Describe what to mirror.

        Args:
            client: connection to the API server.
            path: of the collection, such as ``/api/v1/pods``.
            struct: msgspec type of one object; unknown fields are skipped unread.
            handler: told of each change; None when the store is enough.
            field_selector: the API's field selector.
            label_selector: the API's label selector.
            page_size: objects per page of a listing.
            optional: a server that does not know the kind (404) counts as one that has none of it.
            prepare: what to do with each object before anybody sees it.
            timing: patience.
        """
        self.items: dict[str, T] = {}
        self.synced = asyncio.Event()
        self.listings = 0
        self._client = client
        self._path = path
        self._decode = msgspec.json.Decoder(struct).decode
        self._handler = handler
        selectors = {"fieldSelector": field_selector, "labelSelector": label_selector}
        self._query = {key: value for key, value in selectors.items() if value}
        self._page_size = page_size
        self._optional = optional
        self._prepare = prepare
        self._timing = timing
        self._version = ""
        self._last_object: msgspec.Raw | None = None
        self._heard: float | None = None
        self._failures = 0

    @property
    def last_event_age_seconds(self) -> float | None:
        """Seconds since the server was last heard (listing, event or bookmark); None when it never was."""
        return None if self._heard is None else asyncio.get_running_loop().time() - self._heard

    async def run(self) -> None:
        """Mirror for ever; ends only by cancellation. Failures are logged and retried with growing pauses."""
        while True:
            try:
                if not self._version:
                    await self._list()
                await self._watch()
            except ApiError as error:
                await self._after(error)

    async def _after(self, error: ApiError) -> None:
        """Decide what a failure means, and wait."""
        self._failures += 1
        if error.status == GONE:
            log.info("%s: watch expired, listing again", self._path)
            self._forget_version()
        elif error.status == 404 and self._optional:
            self._forget_version()
            self._hear()
            self._replace({})
        elif error.status in FORBIDDEN_STATUSES:
            log.error("%s: %s; check the ServiceAccount's ClusterRole", self._path, error.message)
        else:
            log.warning("%s: %s", self._path, error)
        if self._failures >= RELIST_AFTER_FAILURES:  # such as a version from before a restored backup
            self._forget_version()
        await asyncio.sleep(self._pause())

    def _forget_version(self) -> None:
        """Make the next attempt start with a listing."""
        self._version, self._last_object = "", None

    def _pause(self) -> float:
        """Seconds to wait after the n-th failure in a row: doubling, capped, with jitter so that clients spread."""
        longest = min(self._timing.backoff_max, self._timing.backoff * 2.0 ** min(self._failures - 1, 16))
        return longest * random.uniform(0.5, 1.0)  # noqa: S311 - no secret depends on it

    async def _list(self) -> None:
        """Read all pages, then replace the store; readers never see half a listing.

        The server prepares the next page while this one is read.
        """
        found: dict[str, T] = {}
        coming: asyncio.Task[bytes] | None = asyncio.create_task(self._page(""))
        try:
            while coming is not None:
                page = self._parse(_decode_page, await coming)
                token = page.metadata.continue_
                coming = asyncio.create_task(self._page(token)) if token else None
                await asyncio.sleep(0)  # or it would only be sent when all here is read
                for raw in page.items or ():
                    item = self._item(raw)
                    if item is not None:
                        found[key_of(item)] = item
                self._hear()
        finally:
            if coming is not None:
                coming.cancel()
        self._replace(found)
        self._version, self._last_object = page.metadata.resourceVersion, None

    async def _page(self, token: str) -> bytes:
        query = self._query | {"limit": str(self._page_size)} | ({"continue": token} if token else {})
        return await self._client.request("GET", self._path, query=query, timeout_seconds=LIST_TIMEOUT_SECONDS)

    def _replace(self, found: dict[str, T]) -> None:
        """Make the store equal to a listing and tell the differences."""
        self.listings += 1
        gone = [key for key in self.items if key not in found]
        for key in gone:
            self._remove(key)
        for key, item in found.items():
            self._put(key, item)
        self.synced.set()

    async def _watch(self) -> None:
        """Follow changes from the last known version until the server ends the watch.

        Raises:
            ApiError: also when the watch ends without a word, so that a broken proxy is not hammered.
        """
        spread = random.uniform(0.9, 1.1)  # noqa: S311
        query = self._query | {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": self._resume_version(),
            "timeoutSeconds": str(max(1, round(self._timing.watch * spread))),
        }
        async with self._client.stream(self._path, query, idle_timeout_seconds=self._timing.idle) as lines:
            silent = True
            async for line in lines:
                self._hear()
                self._apply(self._parse(_decode_event, line))
                self._failures, silent = 0, False
        if silent:
            raise ApiError(0, "Silent", f"{self._path}: the watch ended without any event")

    def _resume_version(self) -> str:
        """The version of the last event; decoded only here, not for each event."""
        if self._last_object is not None:
            self._version = _decode_versioned(self._last_object).metadata.resourceVersion
            self._last_object = None
        return self._version

    def _apply(self, event: _Event) -> None:
        """Bring one watch event into the store.

        Raises:
            ApiError: for an ERROR event, with the server's code.
        """
        if event.type == "ERROR":
            failure = msgspec.json.decode(event.object, type=_Failure)
            raise ApiError(failure.code, failure.reason or "WatchError", failure.message)
        self._last_object = event.object
        if event.type == "BOOKMARK":
            return
        item = self._item(event.object)
        if item is None:
            return
        if event.type == "DELETED":
            self._remove(key_of(item))
        else:
            self._put(key_of(item), item)

    def _item(self, raw: msgspec.Raw) -> T | None:
        """Decode one object; one that does not fit its struct is logged and skipped, the others go on."""
        try:
            item = self._decode(raw)
        except msgspec.DecodeError as error:
            who = _decode_named(raw).metadata  # never the body: a pod's environment may hold secrets
            log.warning("%s: skipped %s/%s, it cannot be read: %s", self._path, who.namespace, who.name, error)
            return None
        self._prepare(item)
        return item

    def _parse(self, decode: Callable[[bytes], Any], body: bytes) -> Any:
        """Decode a page or an event.

        Raises:
            ApiError: reason ``BadAnswer``, when the body is no such thing (a proxy's page, a cut line).
        """
        try:
            return decode(body)
        except msgspec.DecodeError as error:
            raise ApiError(0, "BadAnswer", f"{self._path}: {error}") from error

    def _put(self, key: str, item: T) -> None:
        old = self.items.get(key)
        self.items[key] = item
        if self._handler and old != item:
            self._handler(key, old, item)

    def _remove(self, key: str) -> None:
        old = self.items.pop(key, None)
        if self._handler and old is not None:
            self._handler(key, old, None)

    def _hear(self) -> None:
        self._heard = asyncio.get_running_loop().time()
