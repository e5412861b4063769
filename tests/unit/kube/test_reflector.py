"""The reflector against a small real HTTP server: what it keeps, and how it survives what API servers do."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Self

import msgspec
import pytest
from aiohttp import web

from yunchi_operator.kube.client import KubeClient
from yunchi_operator.kube.reflector import Reflector, Timing

TIMING = Timing(idle=0.3, watch=30, backoff=0.01, backoff_max=0.05)
PATIENCE_SECONDS = 10


class Meta(msgspec.Struct, frozen=True):
    name: str
    namespace: str = ""


class Thing(msgspec.Struct, frozen=True):
    metadata: Meta
    size: int = 0


def thing(name: str, version: int, size: object = 0) -> dict[str, object]:
    return {"metadata": {"name": name, "resourceVersion": str(version)}, "size": size, "unused": [1, 2]}


def event(kind: str, name: str, version: int, size: object = 0) -> bytes:
    return json.dumps({"type": kind, "object": thing(name, version, size)}).encode() + b"\n"


Script = Callable[[web.StreamResponse], Awaitable[None]]


class Server:
    """Answers listings from ``things`` in pages, and the n-th watch by the n-th script."""

    def __init__(self) -> None:
        self.things: list[dict[str, object]] = []
        self.version = 100
        self.page_size_seen: list[str] = []
        self.watched_from: list[str] = []
        self.queries: list[dict[str, str]] = []
        self.scripts: list[Script] = []
        self.list_failures: list[web.Response] = []
        self.list_count = 0
        self.torn_refusals = 0

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.queries.append(dict(request.query))
        return await (self._watch(request) if request.query.get("watch") else self._list(request))

    async def _list(self, request: web.Request) -> web.StreamResponse:
        if self.list_failures:
            return self.list_failures.pop(0)
        start = int(request.query.get("continue", "0"))
        size = int(request.query["limit"])
        self.list_count += start == 0
        more = start + size < len(self.things)
        meta = {"resourceVersion": str(self.version)} | ({"continue": str(start + size)} if more else {})
        return web.json_response({"metadata": meta, "items": self.things[start : start + size]})

    async def _watch(self, request: web.Request) -> web.StreamResponse:
        self.watched_from.append(request.query["resourceVersion"])
        if self.torn_refusals:
            self.torn_refusals -= 1
            return await self._refuse_in_part(request)
        response = web.StreamResponse()
        await response.prepare(request)
        if self.scripts:
            await self.scripts.pop(0)(response)
        else:
            await asyncio.sleep(60)
        return response

    async def _refuse_in_part(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(status=500, headers={"Content-Length": "100"})
        await response.prepare(request)
        await response.write(b'{"kind": "Sta')
        assert request.transport is not None
        request.transport.close()
        return response


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    fake = Server()
    app = web.Application()
    app.router.add_get("/things", fake.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    fake.port = runner.addresses[0][1]  # type: ignore[attr-defined]
    yield fake
    await runner.cleanup()


@pytest.fixture
async def client(server: Server, tmp_path: Path) -> AsyncIterator[KubeClient]:
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(
        json.dumps(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "clusters": [{"name": "c", "cluster": {"server": f"http://127.0.0.1:{server.port}"}}],  # type: ignore[attr-defined]
                "users": [{"name": "u", "user": {}}],
                "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
                "current-context": "x",
            }
        )
    )
    async with await KubeClient.connect(kubeconfig) as connection:
        yield connection


class Recorder:
    """Runs a reflector and remembers what its handler was told."""

    def __init__(self, client: KubeClient, **options: object) -> None:
        self.told: list[tuple[str, int | None, int | None]] = []
        self.changed = asyncio.Event()
        self.reflector = Reflector(
            client,
            "/things",
            Thing,
            handler=self._tell,
            timing=TIMING,
            **options,  # type: ignore[arg-type]
        )

    def _tell(self, key: str, old: Thing | None, new: Thing | None) -> None:
        self.told.append((key, old and old.size, new and new.size))
        self.changed.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not condition():  # noqa: ASYNC110 - conditions of many kinds
                await asyncio.sleep(0.005)

    async def __aenter__(self) -> Self:
        self.task = asyncio.create_task(self.reflector.run())
        return self

    async def __aexit__(self, *_: object) -> None:
        self.task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await self.task


def says(*lines: bytes, then_hang: bool = True) -> Script:
    async def script(response: web.StreamResponse) -> None:
        for line in lines:
            await response.write(line)
        if then_hang:
            await asyncio.sleep(60)

    return script


async def test_listing_comes_in_pages_and_the_watch_starts_where_it_ended(server: Server, client: KubeClient) -> None:
    server.things = [thing(f"t{number}", number, number) for number in range(25)]
    async with Recorder(client, page_size=10, field_selector="status.phase!=Succeeded") as recorder:
        await recorder.reflector.synced.wait()
        await recorder.until(lambda: bool(server.watched_from))
        assert {name: item.size for name, item in recorder.reflector.items.items()} == {
            f"t{number}": number for number in range(25)
        }
    lists = [query for query in server.queries if "watch" not in query]
    assert [(query["limit"], query.get("continue")) for query in lists] == [
        ("10", None),
        ("10", "10"),
        ("10", "20"),
    ]
    assert {query["fieldSelector"] for query in server.queries} == {"status.phase!=Succeeded"}
    assert server.watched_from == ["100"]


async def test_watch_events_change_the_store_and_a_mere_heartbeat_tells_nobody(
    server: Server, client: KubeClient
) -> None:
    server.things = [thing("a", 1, 1), thing("b", 2, 2)]
    server.scripts = [
        says(
            event("MODIFIED", "a", 101, 1),  # only fields that nobody decodes have changed
            event("ADDED", "c", 102, 3),
            event("MODIFIED", "b", 103, 20),
            event("DELETED", "a", 104, 1),
        )
    ]
    async with Recorder(client) as recorder:
        await recorder.until(lambda: len(recorder.told) == 5)
    assert recorder.told == [("a", None, 1), ("b", None, 2), ("c", None, 3), ("b", 2, 20), ("a", 1, None)]
    assert sorted(recorder.reflector.items) == ["b", "c"]


async def test_a_cut_watch_resumes_after_its_last_event_without_a_new_listing(
    server: Server, client: KubeClient
) -> None:
    async def cut(response: web.StreamResponse) -> None:
        await response.write(event("ADDED", "a", 107) + b'{"type":"ADDED","object":{"meta')
        assert response._req is not None
        assert response._req.transport is not None
        response._req.transport.abort()

    bookmark = b'{"type":"BOOKMARK","object":{"metadata":{"resourceVersion":"150"}}}\n'
    server.scripts = [cut, says(bookmark, then_hang=False)]
    async with Recorder(client) as recorder:
        await recorder.until(lambda: len(server.watched_from) == 3)
    assert server.watched_from == ["100", "107", "150"]
    assert server.list_count == 1


@pytest.mark.parametrize("inside", [True, False], ids=["as an event", "as the answer"])
async def test_an_expired_version_costs_a_listing_whose_differences_are_told(
    server: Server, client: KubeClient, inside: bool
) -> None:
    gone = {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old"}

    async def expire(response: web.StreamResponse) -> None:
        server.things = [thing("b", 201, 5), thing("c", 202)]
        server.version = 300
        await response.write(json.dumps({"type": "ERROR", "object": gone}).encode() + b"\n")

    server.things = [thing("a", 1), thing("b", 2)]
    server.scripts = [expire]
    if not inside:
        server.scripts = []

        async def refuse(request: web.Request) -> web.StreamResponse:
            server.watched_from.append(request.query["resourceVersion"])
            server.things, server.version = [thing("b", 201, 5), thing("c", 202)], 300
            del server._watch  # type: ignore[attr-defined]
            return web.json_response(gone, status=410)

        server._watch = refuse  # type: ignore[method-assign]
    async with Recorder(client) as recorder:
        await recorder.until(lambda: len(server.watched_from) == 2)
    assert server.watched_from == ["100", "300"]
    assert sorted(recorder.told[2:]) == [("a", 0, None), ("b", 0, 5), ("c", None, 0)]


async def test_a_silent_watch_is_given_up_and_opened_again(server: Server, client: KubeClient) -> None:
    server.scripts = [says(event("ADDED", "a", 111))]
    async with Recorder(client) as recorder:
        await recorder.until(lambda: len(server.watched_from) >= 2)
        age = recorder.reflector.last_event_age_seconds
    assert server.watched_from[:2] == ["100", "111"]
    assert age is not None
    assert age >= TIMING.idle


async def test_errors_of_the_server_are_outlasted(server: Server, client: KubeClient) -> None:
    forbidden = {"kind": "Status", "reason": "Forbidden", "message": "nodes is forbidden"}
    server.things = [thing("a", 1)]
    server.list_failures = [
        web.json_response(forbidden, status=403),
        web.Response(text="<html>proxy error</html>", status=502),
        web.Response(text="<html>all is well</html>", status=200),
        web.json_response({"reason": "TooManyRequests"}, status=429),
    ]
    async with Recorder(client) as recorder:
        assert recorder.reflector.last_event_age_seconds is None
        await asyncio.wait_for(recorder.reflector.synced.wait(), PATIENCE_SECONDS)
    assert list(recorder.reflector.items) == ["a"]
    assert server.list_failures == []


async def test_a_refused_watch_whose_answer_breaks_off_is_outlasted(server: Server, client: KubeClient) -> None:
    server.things = [thing("a", 1)]
    server.torn_refusals = 2
    async with Recorder(client) as recorder:
        await recorder.until(lambda: len(server.watched_from) == 3)
    assert server.torn_refusals == 0


async def test_a_version_that_never_works_again_is_forgotten(server: Server, client: KubeClient) -> None:
    """After a restored backup the server may know no version as new as ours, and says so with 500 or silence."""

    async def hang_up(_: web.StreamResponse) -> None:
        return

    server.scripts = [hang_up] * 5
    async with Recorder(client) as recorder:
        await recorder.until(lambda: server.list_count == 2)
    assert len(server.watched_from) >= 5


async def test_an_unreadable_object_is_skipped_and_the_others_are_kept(
    server: Server, client: KubeClient, caplog: pytest.LogCaptureFixture
) -> None:
    server.things = [thing("a", 1), thing("bad", 2, "secret-value"), thing("c", 3)]
    server.scripts = [says(event("ADDED", "worse", 104, []), event("ADDED", "d", 105))]
    async with Recorder(client) as recorder:
        await recorder.until(lambda: "d" in recorder.reflector.items)
    assert sorted(recorder.reflector.items) == ["a", "c", "d"]
    assert "bad" in caplog.text
    assert "secret-value" not in caplog.text


async def test_an_optional_kind_that_the_server_does_not_know_counts_as_none(
    server: Server, client: KubeClient
) -> None:
    server.list_failures = [web.Response(text="404 page not found", status=404)]
    server.things = [thing("late", 1)]
    async with Recorder(client, optional=True) as recorder:
        await asyncio.wait_for(recorder.reflector.synced.wait(), PATIENCE_SECONDS)
        await recorder.until(lambda: "late" in recorder.reflector.items)  # once its CRD is installed
    assert recorder.reflector.listings == 2
