"""The health and metrics server says what the checks say."""

import asyncio
from typing import cast

import aiohttp
import pytest
from prometheus_client import CollectorRegistry, Gauge

from yunchi_operator.telemetry.server import BadAddressError, CheckResult, parse_address, serve


async def fetch(port: int, path: str) -> tuple[int, str]:
    async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{port}{path}") as answer:
        return answer.status, await answer.text()


async def test_endpoints_answer_for_their_own_checks() -> None:
    registry = CollectorRegistry()
    Gauge("yunchi_test", "Test.", registry=registry).set(7)
    healthy = True

    def broken() -> CheckResult:
        raise ZeroDivisionError

    checks = {
        "healthz/loop": lambda: CheckResult(healthy, "1 s"),
        "readyz/sync": lambda: CheckResult(ok=True),
        "readyz/broken": broken,
    }
    runner = await serve("127.0.0.1:0", registry, checks)
    try:
        port = cast("int", runner.addresses[0][1])
        assert await fetch(port, "/healthz") == (200, "[+]loop ok: 1 s\nhealthz check passed\n")
        healthy = False
        assert (await fetch(port, "/healthz"))[0] == 503
        status, text = await fetch(port, "/readyz")
        assert (status, "[+]sync ok" in text, "[-]broken failed" in text) == (503, True, True)
        status, text = await fetch(port, "/metrics")
        assert (status, "yunchi_test 7.0" in text) == (200, True)
        assert (await fetch(port, "/"))[0] == 404
    finally:
        await runner.cleanup()
    await asyncio.sleep(0)


@pytest.mark.parametrize(
    ("address", "expected"),
    [("0.0.0.0:8080", ("0.0.0.0", 8080)), ("[::1]:0", ("::1", 0)), ("localhost:65535", ("localhost", 65535))],
)
def test_addresses(address: str, expected: tuple[str, int]) -> None:
    assert parse_address(address) == expected


@pytest.mark.parametrize("address", ["8080", ":8080", "::1:8080", "host:", "host:x", "host:65536", "host:-1", ""])
def test_bad_addresses(address: str) -> None:
    with pytest.raises(BadAddressError, match="metrics address"):
        parse_address(address)


async def test_a_check_of_no_endpoint_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="check 'live/x'"):
        await serve("127.0.0.1:0", CollectorRegistry(), {"live/x": lambda: CheckResult(ok=True)})
