"""A queue of keys that need work: duplicates merge, a key is never worked on twice at once, failures wait longer."""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Callable

from yunchi_operator.handlers.store import Key

FIRST_DELAY_SECONDS = 0.5
LONGEST_DELAY_SECONDS = 120.0


def backoff(failures: int, uniform: Callable[[float, float], float]) -> float:
    """Seconds to wait after that many failures in a row: doubling, capped, with jitter of half."""
    delay: float = min(LONGEST_DELAY_SECONDS, FIRST_DELAY_SECONDS * 2.0 ** min(failures - 1, 20))
    return delay * uniform(0.5, 1.0)


class WorkQueue:
    """Used from one event loop only.

    Args:
        uniform: source of jitter.
    """

    def __init__(self, uniform: Callable[[float, float], float] = random.uniform) -> None:
        self._uniform = uniform
        self._ready: deque[Key] = deque()
        self._dirty: set[Key] = set()
        self._working: set[Key] = set()
        self._failures: dict[Key, int] = {}
        self._timers: dict[Key, asyncio.TimerHandle] = {}
        self._wake = asyncio.Event()
        self._quiet = asyncio.Event()
        self._quiet.set()
        self._closed = False

    def __len__(self) -> int:
        return len(self._dirty)

    def add(self, key: Key) -> None:
        """Mark a key dirty; one that is being worked on comes again when that is done."""
        if key in self._dirty or self._closed:
            return
        self._dirty.add(key)
        if key not in self._working:
            self._ready.append(key)
            self._wake.set()

    def add_after(self, key: Key, seconds: float) -> None:
        """Mark a key dirty later; of several times the earliest counts."""
        if self._closed:
            return
        loop = asyncio.get_running_loop()
        at = loop.time() + max(0.0, seconds)
        timer = self._timers.get(key)
        if timer is not None and timer.when() <= at:
            return
        if timer is not None:
            timer.cancel()
        self._timers[key] = loop.call_at(at, self._due, key)

    def retry(self, key: Key) -> float:
        """Mark a key dirty after its backoff, whose seconds are returned."""
        self._failures[key] = self._failures.get(key, 0) + 1
        delay = backoff(self._failures[key], self._uniform)
        self.add_after(key, delay)
        return delay

    def forget(self, key: Key) -> None:
        """The key's work succeeded: its backoff starts anew."""
        self._failures.pop(key, None)

    async def get(self) -> Key:
        """Wait for a key to work on; call ``done`` afterwards."""
        while not self._ready:
            self._wake.clear()
            await self._wake.wait()
        key = self._ready.popleft()
        self._dirty.discard(key)
        self._working.add(key)
        self._quiet.clear()
        return key

    def done(self, key: Key) -> None:
        """The work on a key is over, however it ended."""
        self._working.discard(key)
        if not self._working:
            self._quiet.set()
        if key in self._dirty:
            self._ready.append(key)
            self._wake.set()

    def close(self) -> None:
        """Take nothing more: what waits is dropped, what is being worked on may end."""
        self._closed = True
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        self._ready.clear()
        self._dirty.clear()

    async def drained(self) -> None:
        """Wait until no key is being worked on."""
        await self._quiet.wait()

    def _due(self, key: Key) -> None:
        self._timers.pop(key, None)
        self.add(key)
