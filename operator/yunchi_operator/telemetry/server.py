"""One small HTTP server per process: ``/metrics``, ``/healthz``, ``/readyz``.

It binds to the given address only and serves nothing that names a secret. Checks run on each request and must not
block: they look at values that the process keeps anyway.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.aiohttp import make_aiohttp_handler

log = logging.getLogger(__name__)
ENDPOINTS = ("healthz", "readyz")


@dataclass(frozen=True, slots=True)
class CheckResult:
    """How one check came out.

    Attributes:
        ok: whether it passed.
        detail: one line for people: the value that was looked at.
    """

    ok: bool
    detail: str = ""


Check = Callable[[], CheckResult]


class BadAddressError(ValueError):
    """The metrics address is not ``HOST:PORT``."""


def parse_address(address: str) -> tuple[str, int]:
    """Split ``HOST:PORT``; IPv6 hosts stand in brackets, as in ``[::1]:8080``.

    Raises:
        BadAddressError: when there is no host, or the port is no number of 0 to 65535 (0: any free port).
    """
    host, colon, port = address.rpartition(":")
    bare = host.removeprefix("[").removesuffix("]")
    if not colon or not bare or (":" in bare and not host.startswith("[")):
        raise BadAddressError(f"metrics address {address!r}: write HOST:PORT, such as 127.0.0.1:8080 or [::]:8080")
    if not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise BadAddressError(f"metrics address {address!r}: the port is no number of 0 to 65535")
    return bare, int(port)


async def serve(address: str, registry: CollectorRegistry, checks: Mapping[str, Check]) -> web.AppRunner:
    """Start the server in the running loop; stop it with ``await runner.cleanup()``.

    Args:
        address: ``HOST:PORT``; the bound sockets are in ``runner.addresses``.
        registry: what ``/metrics`` shows.
        checks: by ``healthz/<name>`` or ``readyz/<name>`` (the name may be left out). An endpoint answers 200 when all
            of its checks pass and 503 otherwise, with a line for each, as Kubernetes components do.

    Raises:
        BadAddressError: when the address cannot be read.
        OSError: when it cannot be bound.
        ValueError: when a check belongs to no endpoint.
    """
    for name in checks:
        if name.split("/", 1)[0] not in ENDPOINTS:
            raise ValueError(f"check {name!r}: its name must start with one of {', '.join(ENDPOINTS)}")
    host, port = parse_address(address)
    application = web.Application()
    application.router.add_get("/metrics", make_aiohttp_handler(registry))
    for endpoint in ENDPOINTS:
        own = {name: check for name, check in checks.items() if name.split("/", 1)[0] == endpoint}
        application.router.add_get(f"/{endpoint}", _handler(endpoint, own))
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=1)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
    except OSError:
        await runner.cleanup()
        raise
    log.info("metrics and health served at %s", ", ".join(f"{a[0]}:{a[1]}" for a in runner.addresses))
    return runner


def _handler(endpoint: str, checks: Mapping[str, Check]) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def handle(_: web.Request) -> web.StreamResponse:
        results = {name: _run(name, check) for name, check in checks.items()}
        lines = [_line(name, result) for name, result in results.items()]
        passed = all(result.ok for result in results.values())
        lines.append(f"{endpoint} check {'passed' if passed else 'failed'}\n")
        return web.Response(text="\n".join(lines), status=200 if passed else 503)

    return handle


def _run(name: str, check: Check) -> CheckResult:
    try:
        return check()
    except Exception:
        # A broken check must answer as a failed one, or the probe reads a traceback page as a crash.
        log.exception("health check %s failed to run", name)
        return CheckResult(ok=False, detail="the check itself failed")


def _line(name: str, result: CheckResult) -> str:
    short = name.split("/", 1)[-1]
    mark, word = ("[+]", "ok") if result.ok else ("[-]", "failed")
    return f"{mark}{short} {word}" + (f": {result.detail}" if result.detail else "")
