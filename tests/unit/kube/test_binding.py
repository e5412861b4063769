"""Bindings and what is said about pods, against a small real HTTP server."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from yunchi_operator.kube import binding
from yunchi_operator.kube import narrator as narrating
from yunchi_operator.kube.binding import Binder, Bound, Outcome, Target
from yunchi_operator.kube.client import KubeClient
from yunchi_operator.kube.narrator import Narrator, Note

NOW = "2026-11-20T08:00:00.123456Z"


def pod_answer(name: str, node: str = "", uid: str = "") -> web.Response:
    return web.json_response({"metadata": {"uid": uid or f"uid-{name}"}, "spec": {"nodeName": node} if node else {}})


class Server:
    """Answers bindings by the pod's name (``409-x`` with 409) and keeps everything that was sent."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, str, Any]] = []
        self.asked: list[str] = []
        self.found: list[web.Response] = []
        self.at_once = self.most_at_once = 0
        self.refuse_status = False
        self.port = 0

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        if request.method == "GET":
            self.asked.append(request.path)
            return self.found.pop(0) if self.found else pod_answer(request.path.split("/")[-1])
        self.sent.append((request.method, request.path, await request.json()))
        await asyncio.sleep(0.01)
        self.at_once -= 1
        name = request.path.split("/")[-2]
        if request.path.endswith("/binding") and name[:3].isdigit():
            reason = {"reason": "Told", "message": f"no to {name}"}
            return web.json_response(reason, status=int(name[:3]))
        if request.path.endswith("/status") and self.refuse_status:
            return web.json_response({}, status=500)
        return web.json_response({}, status=201)

    def paths(self, end: str) -> list[str]:
        return [path for _, path, _ in self.sent if path.endswith(end)]


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    fake = Server()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", fake.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    fake.port = runner.addresses[0][1]
    yield fake
    await runner.cleanup()


@pytest.fixture
async def client(server: Server, tmp_path: Path) -> AsyncIterator[KubeClient]:
    kubeconfig = tmp_path / "kubeconfig"
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": {"server": f"http://127.0.0.1:{server.port}"}}],
        "users": [{"name": "u", "user": {}}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "x",
    }
    kubeconfig.write_text(json.dumps(config))
    async with await KubeClient.connect(kubeconfig) as connection:
        yield connection


def target(name: str, node: str = "n1") -> Target:
    return Target("a", name, f"uid-{name}", node)


def narrator(client: KubeClient, **options: Any) -> Narrator:
    return Narrator(client, lambda: NOW, identity="me", **options)


def note(name: str, message: str = "0/1 nodes are available.", reason: str = "Unschedulable") -> Note:
    return Note(target(name, ""), reason, message)


async def test_bindings_name_pod_uid_and_node(server: Server, client: KubeClient) -> None:
    done: list[Bound] = []
    binder = Binder(client, done.append)
    binder.submit([target("web")])
    await binder.drain()
    assert [(one.target.key, one.outcome) for one in done] == [("a/web", Outcome.BOUND)]
    ((method, path, body),) = server.sent
    assert (method, path) == ("POST", "/api/v1/namespaces/a/pods/web/binding")
    assert body["metadata"] == {"name": "web", "namespace": "a", "uid": "uid-web"}
    assert body["target"]["name"] == "n1"


async def test_a_storm_never_has_more_posts_under_way_than_allowed(server: Server, client: KubeClient) -> None:
    done: list[Bound] = []
    binder = Binder(client, done.append, concurrency=8)
    binder.submit([target(f"p{n}") for n in range(60)])
    binder.submit([target(f"q{n}") for n in range(20)])
    await binder.drain()
    assert len(done) == 80
    assert server.most_at_once == 8
    assert not binder.busy


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        (404, Outcome.LOST),
        (409, Outcome.LOST),
        (403, Outcome.REFUSED),
        (422, Outcome.REFUSED),
        (429, Outcome.REFUSED),
        (408, Outcome.FAILED),
        (500, Outcome.FAILED),
        (503, Outcome.FAILED),
    ],
)
@pytest.mark.usefixtures("server")
async def test_each_way_to_fail_is_told_apart(client: KubeClient, status: int, outcome: Outcome) -> None:
    done: list[Bound] = []
    binder = Binder(client, done.append)
    binder.submit([target(f"{status}-pod"), target("fine")])
    await binder.drain()
    assert {one.target.name: one.outcome for one in done} == {f"{status}-pod": outcome, "fine": Outcome.BOUND}
    assert f"no to {status}-pod" in next(one.message for one in done if one.outcome is outcome)


@pytest.mark.parametrize(
    ("found", "outcome"),
    [
        ([pod_answer("500-x", "n1")], Outcome.BOUND),
        ([pod_answer("500-x")], Outcome.FAILED),
        ([pod_answer("500-x", "n2")], Outcome.LOST),
        ([pod_answer("500-x", "n1", uid="another")], Outcome.LOST),
        ([web.Response(status=404)], Outcome.LOST),
        ([web.Response(status=403)], Outcome.FAILED),
        ([web.Response(status=429), web.Response(text="<html>"), pod_answer("500-x", "n1")], Outcome.BOUND),
    ],
)
async def test_what_became_of_a_binding_without_an_answer_is_found_out(
    server: Server,
    client: KubeClient,
    monkeypatch: pytest.MonkeyPatch,
    found: list[web.Response],
    outcome: Outcome,
) -> None:
    monkeypatch.setattr(binding, "ASK_AGAIN_SECONDS", 0.01)
    monkeypatch.setattr(binding, "TRIES", 1)
    done: list[Bound] = []
    server.found = list(found)
    binder = Binder(client, done.append)
    binder.submit([target("500-x")])
    await binder.drain()
    assert [one.outcome for one in done] == [outcome]
    assert server.asked == ["/api/v1/namespaces/a/pods/500-x"] * len(found)


async def test_a_server_at_a_loss_is_tried_again_a_few_times(
    server: Server, client: KubeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(binding, "TRY_AGAIN_SECONDS", 0.001)
    done: list[Bound] = []
    binder = Binder(client, done.append)
    binder.submit([target("500-x"), target("429-x"), target("403-x")])
    await binder.drain()
    assert {one.target.name: one.outcome for one in done} == {
        "500-x": Outcome.FAILED,
        "429-x": Outcome.REFUSED,
        "403-x": Outcome.REFUSED,
    }
    tries = [path.split("/")[-2] for method, path, _ in server.sent if method == "POST"]
    assert (tries.count("500-x"), tries.count("429-x"), tries.count("403-x")) == (4, 4, 1)


async def test_nobody_goes_on_asking_once_the_lease_is_another_s(
    server: Server, client: KubeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(binding, "TRIES", 1)
    done: list[Bound] = []
    server.found = [web.Response(status=500) for _ in range(50)]
    binder = Binder(client, done.append, allowed=lambda: not server.asked)
    binder.submit([target("500-x")])
    await binder.drain()
    assert [one.outcome for one in done] == [Outcome.FAILED]
    assert len(server.asked) == 1


async def test_nothing_is_sent_once_the_lease_is_another_s(server: Server, client: KubeClient) -> None:
    done: list[Bound] = []
    binder = Binder(client, done.append, allowed=lambda: len(done) < 5, concurrency=1)
    binder.submit([target(f"p{n}") for n in range(20)])
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(binder.drain(), 0.4)
    assert len(server.paths("/binding")) == 5
    assert [one.name for one in binder.withdraw()] == [f"p{n}" for n in range(5, 20)]
    assert binder.withdraw() == []
    await binder.drain()
    assert len(server.paths("/binding")) == 5


async def test_a_lease_that_is_renewed_late_only_delays_what_waits(server: Server, client: KubeClient) -> None:
    held = [True]
    done: list[Bound] = []

    def count(bound: Bound) -> None:
        done.append(bound)
        held[0] = len(done) != 5

    binder = Binder(client, count, allowed=lambda: held[0], concurrency=1)
    binder.submit([target(f"p{n}") for n in range(20)])
    await asyncio.sleep(0.3)
    assert len(done) == 5
    held[0] = True
    await binder.drain()
    assert [one.target.name for one in done] == [f"p{n}" for n in range(20)]
    assert len(server.paths("/binding")) == 20


async def test_what_became_out_of_date_while_it_waited_is_not_sent(server: Server, client: KubeClient) -> None:
    done: list[Bound] = []
    gone: set[str] = set()

    def look(bound: Bound) -> None:
        done.append(bound)
        gone.add("n2")

    binder = Binder(client, look, doubt=lambda one: f"node {one.node} is gone" * (one.node in gone), concurrency=1)
    binder.submit([target("a", "n1"), target("b", "n2"), target("c", "n1")])
    assert ("a/a" in binder, "a/c" in binder, "a/d" in binder) == (True, True, False)
    await binder.drain()
    assert [(one.target.name, one.outcome, one.message) for one in done] == [
        ("a", Outcome.BOUND, ""),
        ("b", Outcome.LOST, "node n2 is gone"),
        ("c", Outcome.BOUND, ""),
    ]
    assert len(server.paths("/binding")) == 2
    assert "a/c" not in binder


async def test_what_was_withdrawn_is_no_longer_under_way(client: KubeClient) -> None:
    binder = Binder(client, lambda bound: None, allowed=lambda: False)
    binder.submit([target("a"), target("a", "n2")])
    assert "a/a" in binder
    assert len(binder.withdraw()) == 2
    assert "a/a" not in binder
    await binder.drain()


async def test_the_same_words_are_written_once_and_new_ones_again(server: Server, client: KubeClient) -> None:
    said = narrator(client)
    for message in ("full", "full", "full", "fuller"):
        said.unschedulable(note("p", message))
        await said.close()
    conditions = [body["status"]["conditions"][0] for method, _, body in server.sent if method == "PATCH"]
    assert [one["message"] for one in conditions] == ["full", "fuller"]
    assert {one["type"] for one in conditions} == {"PodScheduled"}
    assert {one["status"] for one in conditions} == {"False"}
    assert {one["reason"] for one in conditions} == {"Unschedulable"}
    assert conditions[0]["lastTransitionTime"] == "2026-11-20T08:00:00Z"
    assert len(server.paths("/events")) == 2


async def test_a_condition_that_was_not_written_is_written_next_time(server: Server, client: KubeClient) -> None:
    said = narrator(client)
    server.refuse_status = True
    said.unschedulable(note("p"))
    await said.close()
    server.refuse_status = False
    said.unschedulable(note("p"))
    await said.close()
    assert len(server.paths("/pods/p/status")) == 2


async def test_a_condition_that_was_not_written_is_written_without_being_asked_for_again(
    server: Server, client: KubeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(narrating, "REWRITE_SECONDS", 0.05)
    said = narrator(client)
    server.refuse_status = True
    for name in ("waits", "bound", "changed"):
        said.unschedulable(note(name))
    await said.close()
    server.refuse_status = False
    said.forget("a/bound")
    said.unschedulable(note("changed", "other words"))
    await said.close()
    await asyncio.sleep(0.06)
    said.resume()
    await said.close()
    assert len(server.paths("/pods/waits/status")) == 2
    assert len(server.paths("/pods/bound/status")) == 1
    told = [body for method, path, body in server.sent if method == "PATCH" and "/changed/" in path]
    assert [one["status"]["conditions"][0]["message"] for one in told][1:] == ["other words"]
    said.unschedulable(note("waits"))  # has been said
    await said.close()
    assert len(server.paths("/pods/waits/status")) == 2


async def test_a_pod_that_is_bound_while_its_condition_fails_is_not_called_unschedulable_later(
    server: Server, client: KubeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(narrating, "REWRITE_SECONDS", 0.0)
    said = narrator(client)
    server.refuse_status = True
    said.unschedulable(note("p"))
    await asyncio.sleep(0.005)
    said.forget("a/p")
    await said.close()
    said.resume()
    await said.close()
    assert len(server.paths("/pods/p/status")) == 1


async def test_only_the_newest_of_waiting_conditions_is_written(server: Server, client: KubeClient) -> None:
    said = narrator(client)
    for count in range(10):
        said.unschedulable(note("p", f"{count} of 10"))
    await said.close()
    (patch,) = [body for method, _, body in server.sent if method == "PATCH"]
    assert patch["status"]["conditions"][0]["message"] == "9 of 10"
    assert patch["metadata"] == {"uid": "uid-p"}


async def test_events_wait_while_bindings_are_under_way_and_conditions_do_not(
    server: Server, client: KubeClient
) -> None:
    quiet = False
    said = narrator(client, quiet=lambda: quiet)
    said.scheduled(Note(target("bound"), "", "assigned"))
    said.unschedulable(note("waiting"))
    await said.close()
    assert Counter(method for method, _, _ in server.sent) == {"PATCH": 1}
    quiet = True
    said.resume()
    await said.close()
    events = [body for _, path, body in server.sent if path.endswith("/events")]
    assert {(one["reason"], one["type"]) for one in events} == {
        ("Scheduled", "Normal"),
        ("FailedScheduling", "Warning"),
    }
    assert {one["regarding"]["uid"] for one in events} == {"uid-bound", "uid-waiting"}


async def test_too_many_events_are_dropped_and_counted(server: Server, client: KubeClient) -> None:
    dropped: list[None] = []
    said = narrator(client, event_backlog=10, quiet=lambda: True, count_dropped=lambda: dropped.append(None))
    for number in range(100):
        said.scheduled(Note(target(f"p{number}"), "", "assigned"))
    await said.close()
    assert len(server.paths("/events")) + len(dropped) == 100
    assert len(server.paths("/events")) == 10


async def test_a_pod_that_was_bound_meanwhile_is_no_longer_called_unschedulable(
    server: Server, client: KubeClient
) -> None:
    said = narrator(client, quiet=lambda: False)
    said.unschedulable(note("p"))
    said.forget("a/p")
    await said.close()
    assert server.paths("/pods/p/status") == []
