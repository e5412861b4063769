"""Kopf as the source of events: it watches our kinds in a thread and loop of its own and hands each event over.

Only ``on.event`` handlers are used: they leave no finalizer and no annotation, and the first listing comes through them
too. Danger: Kopf ends all tasks that start after it in its loop, hence the loop of its own.
"""

from __future__ import annotations

import asyncio
import logging
import random
import threading
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import kopf

from yunchi_operator.api.kinds import PLURALS
from yunchi_operator.api.names import GROUP, VERSION
from yunchi_operator.kube.client import Connection

log = logging.getLogger(__name__)
Take = Callable[[str, str | None, dict[str, Any]], None]
_PURPOSE = f"operator.{GROUP}"


class KopfFeed:
    """One run of Kopf.

    Args:
        kinds: names of the kinds to watch.
        take: called in the loop that started the feed, with kind, event type and object.
        connect: gives the present address and credentials, in that same loop.
    """

    def __init__(self, kinds: Iterable[str], take: Take, connect: Callable[[], Awaitable[Connection]]) -> None:
        self._kinds = tuple(kinds)
        self._take = take
        self._connect = connect
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="kopf", daemon=True)
        self._ended: asyncio.Future[None] | None = None

    async def run(self) -> None:
        """Watch until stopped.

        Raises:
            RuntimeError: when Kopf ends by itself, which it never should; the process then exits.
        """
        self._loop = asyncio.get_running_loop()
        self._ended = self._loop.create_future()
        self._thread.start()
        try:
            await asyncio.shield(self._ended)
        finally:
            self._stop.set()

    async def stop(self, seconds: float) -> None:
        """End the watches and wait for that, at most so long."""
        self._stop.set()
        if self._ended is not None:
            await asyncio.wait([self._ended], timeout=seconds)

    def _run(self) -> None:
        try:
            asyncio.run(self._operate())
        except Exception as error:  # handed over to the loop that waits for it
            log.exception("kopf failed")
            self._end(RuntimeError(f"kopf failed: {error}"))
        else:
            self._end(None if self._stop.is_set() else RuntimeError("kopf ended by itself"))

    def _end(self, error: Exception | None) -> None:
        def resolve() -> None:
            if self._ended is None or self._ended.done():
                return
            if error is None:
                self._ended.set_result(None)
            else:
                self._ended.set_exception(error)

        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(resolve)

    async def _operate(self) -> None:
        await kopf.operator(
            registry=self._registry(),
            settings=settings(),
            standalone=True,
            clusterwide=True,
            stop_flag=self._stop,
        )

    def _registry(self) -> kopf.OperatorRegistry:
        registry = kopf.OperatorRegistry()
        kopf.on.login(id="login", registry=registry)(self._login)
        for kind in self._kinds:
            kopf.on.event(GROUP, VERSION, PLURALS[kind], id=kind.lower(), registry=registry)(self._handler(kind))
        return registry

    def _handler(self, kind: str) -> Callable[..., Awaitable[None]]:
        async def hand_over(event: kopf.RawEvent, **_: Any) -> None:
            self._loop.call_soon_threadsafe(self._take, kind, event["type"], dict(event["object"]))

        return hand_over

    async def _login(self, **_: Any) -> kopf.ConnectionInfo:
        asked = asyncio.run_coroutine_threadsafe(_coroutine(self._connect), self._loop)
        told = await asyncio.wrap_future(asked)
        return kopf.ConnectionInfo(
            server=told.server,
            ca_path=told.ca_path,
            scheme="Bearer" if told.token else None,
            token=told.token,
            certificate_path=told.certificate_path,
            private_key_path=told.key_path,
        )


async def _coroutine(connect: Callable[[], Awaitable[Connection]]) -> Connection:
    return await connect()


def settings() -> kopf.OperatorSettings:
    """Kopf's settings for production; each differs from its default for a reason."""
    made = kopf.OperatorSettings()
    made.peering.standalone = True  # the Lease is the lock
    made.watching.server_timeout = 300  # the server ends a watch first, so that a dead one is noticed
    made.watching.client_timeout = 330
    made.watching.connect_timeout = 10
    made.watching.reconnect_backoff = 1
    made.watching.inactivity_timeout = 70  # a bookmark comes each minute
    made.watching.chunk_size = 500
    made.networking.request_timeout = 60
    made.networking.connect_timeout = 10
    # In sum longer than an API server's restart; jitter keeps replicas apart.
    made.networking.error_backoffs = [delay * random.uniform(0.8, 1.2) for delay in (1, 1, 2, 3, 5, 8, 13, 21, 34)]  # noqa: S311
    made.networking.trust_env = False  # proxy variables must not capture API traffic
    made.queueing.worker_limit = None
    made.execution.default_backoff = 30
    made.execution.max_workers = 2
    made.posting.level = logging.WARNING
    made.posting.loggers = False  # log lines must not flood Events
    made.posting.worker_limit = 4
    made.posting.reporting_component = "yunchi-operator"
    made.posting.event_name_prefix = "yunchi-"
    # Never used, as there are event handlers only; set so that no foreign name could ever appear on an object.
    made.persistence.finalizer = f"{GROUP}/operator"
    made.persistence.progress_storage = kopf.AnnotationsProgressStorage(prefix=_PURPOSE, v1=False)
    made.persistence.diffbase_storage = kopf.AnnotationsDiffBaseStorage(prefix=_PURPOSE, v1=False)
    made.process.ultimate_exiting_timeout = 20  # below the pod's grace period
    return made
