"""An HTTP proxy in front of a real API server that breaks requests and watches by a seeded plan, and records them.

The client speaks plain HTTP to it, the proxy speaks TLS to the server; credentials pass through. Each decision hangs on
the seed, the request and how often it was sent, not on the order in which parallel requests happen to arrive.
"""

from __future__ import annotations

import asyncio
import json
import random
import ssl
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import aiohttp
import yaml
from aiohttp import web

from controlplane.cluster import ControlPlane

_HOP_BY_HOP = {"host", "connection", "transfer-encoding", "content-length", "keep-alive"}
_GONE = json.dumps(
    {"type": "ERROR", "object": {"kind": "Status", "status": "Failure", "reason": "Expired", "code": 410}}
).encode()
_TORN = b'{"type": "MODIFIED", "object": {"metadata"'


@dataclass(frozen=True, slots=True)
class Profile:
    """What goes wrong; probabilities per request unless said otherwise.

    Attributes:
        delay: least and most seconds before a request is passed on.
        drop_before: the connection breaks before the server has seen the request.
        drop_after: it breaks after the server has answered: done, but the client sees an error.
        statuses: answers of the proxy's own, by status.
        conflict: 409 for a binding that the server never saw.
        cut_answer: an error status whose body breaks off.
        watch_gone: a watch is answered 410 at once.
        watch_life: least and most seconds until a watch is cut, each time in another way; None for never.
        lease: whether requests about Leases suffer, too.
    """

    delay: tuple[float, float] = (0.0, 0.0)
    drop_before: float = 0.0
    drop_after: float = 0.0
    statuses: tuple[tuple[int, float], ...] = ()
    conflict: float = 0.0
    cut_answer: float = 0.0
    watch_gone: float = 0.0
    watch_life: tuple[float, float] | None = None
    lease: bool = False


@dataclass(slots=True)
class Call:
    """One request as the proxy saw it; times are of `time.monotonic()`.

    Attributes:
        at: when it had been read.
        method: HTTP verb.
        path: without query.
        body: decoded; None when there was none.
        watch: whether it is a watch.
        fault: what was done to it; empty when nothing was.
        status: the server's own answer; 0 when it was not asked, or has not answered.
        passed_at: when it was passed on to the server.
    """

    at: float
    method: str
    path: str
    body: Any = None
    watch: bool = False
    fault: str = ""
    status: int = 0
    passed_at: float = 0.0

    @property
    def is_binding(self) -> bool:
        return self.method == "POST" and self.path.endswith("/binding")

    @property
    def uid(self) -> str:
        """Of the pod that a binding is for."""
        return str(self.body["metadata"]["uid"])

    @property
    def node(self) -> str:
        """Where a binding binds to."""
        return str(self.body["target"]["name"])


class FaultProxy:
    """The proxy, on a thread with a loop of its own. Use as a context manager.

    Args:
        plane: behind it.
        profile: what goes wrong.
        seed: of all decisions.

    Attributes:
        profile: may be exchanged at any time.
        calls: all requests, in order.
        pace: more seconds before a request is passed on, as a test likes.
    """

    def __init__(self, plane: ControlPlane, profile: Profile = Profile(), seed: int = 0) -> None:
        self.profile = profile
        self.calls: list[Call] = []
        self.pace: Callable[[Call], float] = lambda call: 0.0
        self.url = ""
        self._server = plane.url
        self._tls = ssl.create_default_context(cafile=str(plane.ca_file))
        self._seed = seed
        self._sent: Counter[tuple[str, str]] = Counter()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="fault-proxy", daemon=True)
        self._session: aiohttp.ClientSession | None = None
        self._runner: web.AppRunner | None = None
        self._loud = asyncio.Event()

    def kubeconfig(self, original: Path, path: Path) -> Path:
        """A kubeconfig like the original, which must hold a token, that leads through the proxy."""
        document = yaml.safe_load(original.read_text())
        document["clusters"][0]["cluster"] = {"server": self.url}
        path.write_text(yaml.safe_dump(document))
        return path

    def mute_watches(self, mute: bool) -> None:
        """Hold back what watches tell, without breaking them; later they tell it."""
        self._loop.call_soon_threadsafe(self._loud.clear if mute else self._loud.set)

    @property
    def bindings(self) -> list[Call]:
        return [call for call in list(self.calls) if call.is_binding]

    @property
    def faults(self) -> Counter[str]:
        """How often each thing went wrong."""
        return Counter(call.fault for call in list(self.calls) if call.fault)

    def __enter__(self) -> Self:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._start(), self._loop).result(10)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result(20)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    async def _start(self) -> None:
        self._loud.set()
        connector = aiohttp.TCPConnector(limit=0, ssl=self._tls)
        limit = aiohttp.ClientTimeout(total=None, sock_connect=10)
        self._session = aiohttp.ClientSession(connector=connector, timeout=limit, trust_env=False)
        application = web.Application(client_max_size=1 << 26)
        application.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1, handler_cancellation=True)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0, backlog=512).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"

    async def _stop(self) -> None:
        assert self._runner is not None
        assert self._session is not None
        await self._runner.cleanup()
        await self._session.close()
        await asyncio.sleep(0.05)  # for TLS to say goodbye
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    # -- one request --------------------------------------------------------------------------------------------------

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        data = await request.read()
        call = Call(time.monotonic(), request.method, request.path, watch=request.query.get("watch") == "true")
        call.body = json.loads(data) if data else None
        self.calls.append(call)
        times = self._sent[request.method, request.path_qs]
        self._sent[request.method, request.path_qs] += 1
        chance = random.Random(f"{self._seed}|{request.method}|{request.path_qs}|{times}")
        profile = self.profile if self.profile.lease or "/leases" not in call.path else Profile()
        await asyncio.sleep(chance.uniform(*profile.delay) + self.pace(call))
        call.fault = _draw(profile, call, chance)
        if call.fault == "drop before":
            return _hang_up(request)
        if call.fault.isdigit():
            return _refusal(int(call.fault))
        if call.fault == "cut answer":
            return await _cut_answer(request)
        return await self._pass_on(request, call, data, profile, chance)

    async def _pass_on(
        self, request: web.Request, call: Call, data: bytes, profile: Profile, chance: random.Random
    ) -> web.StreamResponse:
        assert self._session is not None
        headers = {name: value for name, value in request.headers.items() if name.lower() not in _HOP_BY_HOP}
        call.passed_at = time.monotonic()
        try:
            async with self._session.request(
                request.method, self._server + request.path_qs, data=data or None, headers=headers
            ) as answer:
                call.status = answer.status
                if call.watch and answer.status == 200:
                    return await self._watch(request, call, answer, profile, chance)
                body = await answer.read()
        except (aiohttp.ClientError, TimeoutError, ConnectionError):
            call.fault = call.fault or "server away"
            return _hang_up(request)
        if call.fault == "drop after":
            return _hang_up(request)
        return web.Response(status=call.status, body=body, content_type=answer.content_type)

    async def _watch(
        self, request: web.Request, call: Call, answer: aiohttp.ClientResponse, profile: Profile, chance: random.Random
    ) -> web.StreamResponse:
        stream = web.StreamResponse(headers={"Content-Type": "application/json"})
        await stream.prepare(request)
        life = chance.uniform(*profile.watch_life) if profile.watch_life else None
        pieces = answer.content.iter_any()
        try:
            async with asyncio.timeout(life):
                await self._relay(stream, pieces)
        except TimeoutError:
            call.fault = chance.choice(["torn line, hung up", "torn line, ended", "gone in mid-watch", "hung up"])
        if call.fault.startswith("torn line"):
            try:
                async with asyncio.timeout(1.0):
                    piece = await anext(pieces, _TORN)
            except TimeoutError:
                piece = _TORN
            await stream.write(piece[: max(1, len(piece) * 2 // 3)].removesuffix(b"\n"))
        if call.fault == "gone in mid-watch":
            await stream.write(_GONE + b"\n")
        if call.fault.endswith("hung up"):
            await asyncio.sleep(0.01)
            _hang_up(request)
        else:
            await stream.write_eof()
        return stream

    async def _relay(self, stream: web.StreamResponse, pieces: AsyncIterator[bytes]) -> None:
        async for piece in pieces:
            await self._loud.wait()
            await asyncio.shield(stream.write(piece))  # the time is up between pieces, not within one


def _draw(profile: Profile, call: Call, chance: random.Random) -> str:
    """What happens to a request; empty for nothing."""
    if call.watch:
        return "410" if chance.random() < profile.watch_gone else ""
    odds = [
        ("drop before", profile.drop_before),
        ("drop after", profile.drop_after),
        ("409", profile.conflict if call.is_binding else 0.0),
        ("cut answer", profile.cut_answer),
        *((str(status), odds) for status, odds in profile.statuses),
    ]
    left = chance.random()
    for fault, share in odds:
        left -= share
        if left < 0:
            return fault
    return ""


def _refusal(status: int) -> web.Response:
    body = {"kind": "Status", "status": "Failure", "code": status, "reason": "Injected", "message": "by the test"}
    return web.json_response(body, status=status, headers={"Retry-After": "1"} if status in {429, 503} else {})


def _hang_up(request: web.Request) -> web.StreamResponse:
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=502)  # nobody reads it


async def _cut_answer(request: web.Request) -> web.StreamResponse:
    stream = web.StreamResponse(status=500, headers={"Content-Type": "application/json", "Content-Length": "100"})
    await stream.prepare(request)
    await stream.write(b'{"kind": "Status", "mess')
    await asyncio.sleep(0.01)
    return _hang_up(request) if request.transport else stream
