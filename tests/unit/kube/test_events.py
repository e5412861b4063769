"""Events never hold anything up: repeats are swallowed, a full queue drops, a refusal is counted."""

import asyncio
from typing import Any, cast

from yunchi_operator.kube import events
from yunchi_operator.kube.client import ApiError, KubeClient
from yunchi_operator.kube.events import Event, EventRecorder, Regarding


class Server:
    def __init__(self) -> None:
        self.posted: list[tuple[str, dict[str, Any]]] = []
        self.refuses = False

    async def request(self, method: str, path: str, *, body: Any, timeout_seconds: float) -> bytes:
        if self.refuses:
            raise ApiError(403, "Forbidden", "no")
        self.posted.append((path, body))
        return b"{}"


class Fixture:
    def __init__(self) -> None:
        self.server = Server()
        self.seconds = 0.0
        client = cast("KubeClient", self.server)
        self.recorder = EventRecorder(client, component="yunchi-operator", instance="i", monotonic=lambda: self.seconds)

    def tell(self, note: str = "granted", namespace: str = "", name: str = "x") -> None:
        about = Regarding("QuotaRequest", namespace, name, "uid-" + name)
        self.recorder.record(Event(about, "Normal", "Granted", "Reconcile", note))


async def test_repeats_are_told_again_only_after_the_quiet_time() -> None:
    fixture = Fixture()
    fixture.tell()
    fixture.tell()
    fixture.tell(note="other words")
    fixture.seconds = events.QUIET_SECONDS
    fixture.tell()
    await fixture.recorder.drain()
    assert [body["note"] for _, body in fixture.server.posted] == ["granted", "other words", "granted"]
    assert len({body["metadata"]["name"] for _, body in fixture.server.posted}) == 3


async def test_events_stand_beside_their_object_or_in_default() -> None:
    fixture = Fixture()
    fixture.tell(namespace="tax-a")
    fixture.tell(name="320000", note="云" * 2000)
    await fixture.recorder.drain()
    (first, inside), (second, outside) = fixture.server.posted
    assert first.endswith("/namespaces/tax-a/events")
    assert inside["regarding"]["namespace"] == "tax-a"
    assert second.endswith("/namespaces/default/events")
    assert "namespace" not in outside["regarding"]
    assert len(outside["note"]) == events.NOTE_LIMIT


async def test_a_full_queue_drops_the_oldest_and_counts() -> None:
    fixture = Fixture()
    for number in range(events.QUEUE_LIMIT + 5):
        fixture.tell(note=str(number))
    assert fixture.recorder.dropped == 5
    await fixture.recorder.drain()
    assert fixture.server.posted[0][1]["note"] == "5"


async def test_a_refusal_does_not_end_the_poster() -> None:
    fixture = Fixture()
    fixture.server.refuses = True
    task = asyncio.ensure_future(fixture.recorder.run())
    fixture.tell()
    for _ in range(10):
        await asyncio.sleep(0)
    assert fixture.recorder.dropped == 1
    fixture.server.refuses = False
    fixture.tell(note="again")
    for _ in range(10):
        await asyncio.sleep(0)
    task.cancel()
    assert fixture.server.posted[0][1]["note"] == "again"
