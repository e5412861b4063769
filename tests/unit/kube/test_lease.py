"""Leader election against a Lease in memory, on a clock that the test turns."""

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest

from yunchi_operator.kube.client import ApiError, KubeClient
from yunchi_operator.kube.lease import Clock, LeaseElector, LeaseLostError


@dataclass
class Time:
    seconds: float = 0.0

    async def sleep(self, seconds: float) -> None:
        self.seconds += seconds

    def clock(self) -> Clock:
        start = datetime(2026, 1, 1, tzinfo=UTC)
        return Clock(
            monotonic=lambda: self.seconds,
            now=lambda: start + timedelta(seconds=self.seconds),
            sleep=self.sleep,
            uniform=lambda low, high: low,
        )


@dataclass
class Server:
    """Keeps one Lease with optimistic concurrency, as an API server does."""

    lease: dict[str, Any] | None = None
    version: int = 0
    down: bool = False
    writes: list[str] = field(default_factory=list)

    async def request(self, method: str, path: str, *, body: Any = None, timeout_seconds: float = 0) -> bytes:
        if self.down:
            raise ApiError(0, "Unreachable", "down")
        assert timeout_seconds == 5.0
        if method == "GET":
            if self.lease is None:
                raise ApiError(404, "NotFound", path)
            return json.dumps(self.lease).encode()
        if method == "PUT" and body["metadata"]["resourceVersion"] != str(self.version):
            raise ApiError(409, "Conflict", path)
        self.version += 1
        self.lease = json.loads(json.dumps(body))
        assert self.lease is not None
        self.lease["metadata"]["resourceVersion"] = str(self.version)
        self.writes.append(self.lease["spec"]["holderIdentity"])
        return json.dumps(self.lease).encode()


def elector(server: Server, time: Time, identity: str) -> LeaseElector:
    client = cast("KubeClient", server)
    return LeaseElector(client, namespace="yunchi-system", name="x", identity=identity, clock=time.clock())


async def test_the_first_creates_it_and_the_second_waits_for_its_whole_duration() -> None:
    server, time = Server(), Time()
    first, second = elector(server, time, "a"), elector(server, time, "b")
    await first.acquire()
    assert first.held
    assert server.lease is not None
    assert server.lease["spec"]["leaseTransitions"] == 0
    await second.acquire()  # the first never renews
    assert time.seconds >= 15
    assert not first.held
    assert (second.held, server.lease["spec"]["leaseTransitions"]) == (True, 1)


async def test_a_released_lease_is_taken_at_once() -> None:
    server, time = Server(), Time()
    first, second = elector(server, time, "a"), elector(server, time, "b")
    await first.acquire()
    await first.release()
    assert not first.held
    await second.acquire()
    assert (time.seconds, second.held) == (0.0, True)


async def test_it_is_held_as_long_as_it_is_renewed() -> None:
    server, time = Server(), Time()
    one = elector(server, time, "a")
    await one.acquire()
    renewals = 0

    async def sleep(seconds: float) -> None:
        nonlocal renewals
        renewals += 1
        assert one.held
        time.seconds += seconds
        if renewals == 20:
            server.down = True

    object.__setattr__(one._clock, "sleep", sleep)
    with pytest.raises(LeaseLostError, match="not renewed within 10 s"):
        await one.hold()
    assert not one.held
    assert 20 < renewals < 26


async def test_held_turns_false_by_itself_when_the_process_hangs() -> None:
    server, time = Server(), Time()
    one = elector(server, time, "a")
    await one.acquire()
    time.seconds += 10
    assert not one.held
    with pytest.raises(LeaseLostError):
        await one.hold()


async def test_another_holder_ends_it() -> None:
    server, time = Server(), Time()
    one = elector(server, time, "a")
    await one.acquire()
    assert server.lease is not None
    server.lease["spec"]["holderIdentity"] = "b"
    with pytest.raises(LeaseLostError, match="held by b"):
        await one.hold()
    assert not one.held
    await one.release()
    assert server.lease["spec"]["holderIdentity"] == "b"


async def test_the_holder_s_clock_does_not_matter() -> None:
    server, time = Server(), Time(1_000_000.0)
    await elector(server, time, "a").acquire()
    slow = Time(0.0)
    second = elector(server, slow, "b")
    assert await second._attempt() is False
    slow.seconds = 14.9
    assert await second._attempt() is False
    slow.seconds = 15.0
    assert await second._attempt() is True


async def test_of_two_that_try_at_once_one_is_refused() -> None:
    server, time = Server(), Time()
    first, second = elector(server, time, "a"), elector(server, time, "b")
    await first.acquire()
    await first.release()
    seen = await second._read()
    assert seen is not None
    await first.acquire()
    with pytest.raises(ApiError, match="Conflict"):
        await second._write(seen, second._record(seen.spec, "b"))
