"""The pods that wait for a node: when to solve, for whom, and when to try again.

Pure: every call gets the time. A lone pod waits milliseconds; while more arrive the window stays open, so that a storm
is solved jointly. A pod without a place sleeps until something happens that may help it, and never spins.
"""

from __future__ import annotations

import heapq
import math
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    """Where a waiting pod stands; the values are those of the metric's ``state`` label."""

    ACTIVE = "active"
    BACKOFF = "backoff"
    UNSCHEDULABLE = "unschedulable"
    GATED = "gated"


@dataclass(frozen=True, slots=True)
class Settings:
    """All in seconds, but for ``batch_max``."""

    quiet: float = 0.005
    """A single pod is solved after this long without another arrival."""
    calm: float = 10.0
    """So many recent arrivals are no storm: they come one by one, and none shall wait for the next."""
    quiet_per_pod: float = 0.005
    """Each further one lengthens the quiet asked for, so that a storm is not cut up at each of its small gaps."""
    recent: float = 1.0
    """Time in which an arrival's weight falls to a third."""
    quiet_max: float = 0.25
    window_max: float = 1.0
    """No pod waits longer than this for others to arrive."""
    backoff: float = 1.0
    backoff_max: float = 30.0
    flush: float = 300.0
    """A sleeping pod is tried again after this long even if nothing seemed to help."""
    batch_max: int = 60_000


@dataclass(frozen=True, slots=True)
class Batch:
    """Pods taken out to be solved together, best first.

    Attributes:
        keys: ``namespace/name``, by priority, then round-robin over departments.
    """

    keys: tuple[str, ...]


@dataclass(slots=True)
class _Entry:
    """One waiting pod."""

    priority: int
    department: str
    order: int
    state: State = State.ACTIVE
    attempts: int = 0
    ready_at: float = 0.0
    flush_at: float = 0.0


class PendingQueue:
    """The waiting pods. A pod that was taken stays known as in flight until its outcome is told."""

    def __init__(self, settings: Settings = Settings()) -> None:
        self._settings = settings
        self._entries: dict[str, _Entry] = {}
        self._active: dict[str, None] = {}
        self._asleep: set[str] = set()  # exactly the UNSCHEDULABLE ones
        self._in_flight: set[str] = set()
        self._timers: list[tuple[float, str]] = []  # a heap; may hold outdated ones
        self._first_arrival = 0.0
        self._last_arrival = 0.0
        self._arrivals = 0
        self._rush = 0.0  # recent arrivals, fading

    def __contains__(self, key: object) -> bool:
        return key in self._entries

    def add(self, key: str, *, now: float, priority: int = 0, department: str = "", gated: bool = False) -> None:
        """Take in a new pod, or news of a known one (its gates lifted, its priority resolved)."""
        entry = self._entries.get(key)
        if entry is None:
            self._entries[key] = entry = _Entry(priority, department, self._arrivals)
            self._arrivals += 1
            entry.state = State.GATED if gated else State.ACTIVE
            if not gated:
                self._activate(key, now)
            return
        entry.priority, entry.department = priority, department
        if gated and key not in self._in_flight:
            self._active.pop(key, None)
            entry.state = State.GATED
        elif entry.state is State.GATED and not gated:
            self._activate(key, now)

    def remove(self, key: str) -> None:
        """Forget a pod: bound, deleted or finished. Unknown keys are fine."""
        self._entries.pop(key, None)
        self._active.pop(key, None)
        self._asleep.discard(key)
        self._in_flight.discard(key)

    def seconds_until_due(self, now: float) -> float | None:
        """When to call :meth:`take`: 0 for now, None when nothing waits (ask again after the next change)."""
        self._promote(now)
        if self._active:
            return max(0.0, self._closes_at() - now)
        return self._timers[0][0] - now if self._timers else None

    def take(self, now: float) -> Batch:
        """Move the active pods, best first, into flight."""
        self._promote(now)
        keys = tuple(_fair(self._active, self._entries))[: self._settings.batch_max]
        for key in keys:
            del self._active[key]
        self._in_flight.update(keys)
        self._first_arrival = now  # of what the size limit left behind
        return Batch(keys)

    def unschedulable(self, key: str, now: float, *, helped: bool = False) -> None:
        """No node fits: sleep. If something that may help happened meanwhile (``helped``), only back off."""
        entry = self._land(key)
        if entry is None:
            return
        self._delay(entry, now)
        if helped:
            self._back_off(key, entry)
            return
        entry.state = State.UNSCHEDULABLE
        entry.flush_at = now + self._settings.flush
        self._asleep.add(key)
        heapq.heappush(self._timers, (entry.flush_at, key))

    def retry(self, key: str, now: float, *, delay: bool = False) -> None:
        """Try again: at once after a lost race, or (``delay``) with backoff after a failing API server."""
        entry = self._land(key)
        if entry is None:
            return
        if delay:
            self._delay(entry, now)
            self._back_off(key, entry)
        else:
            self._activate(key, now)

    def wake(self, keys: Iterable[str], now: float) -> int:
        """Something happened that may help these.

        Returns:
            How many of them slept.
        """
        sleepers = sorted(self._asleep.intersection(keys), key=lambda key: self._entries[key].order)
        for key in sleepers:
            entry = self._entries[key]
            if entry.ready_at <= now:
                self._activate(key, now)
            else:
                self._back_off(key, entry)
        return len(sleepers)

    def enlist(self, keys: Iterable[str]) -> list[str]:
        """Take these into flight, too, wherever they wait: they belong to a batch that was just taken.

        Returns:
            Those that were not in flight already, nor gated, nor gone; in order of arrival.
        """
        waiting = {State.ACTIVE, State.UNSCHEDULABLE, State.BACKOFF}
        found = [
            key
            for key in keys
            if key in self._entries and key not in self._in_flight and self._entries[key].state in waiting
        ]
        for key in found:
            self._active.pop(key, None)
            self._asleep.discard(key)
            self._entries[key].state = State.ACTIVE
        self._in_flight.update(found)
        return sorted(found, key=lambda key: self._entries[key].order)

    def counts(self) -> dict[State, int]:
        """Number of pods by state; those in flight count as active."""
        found = dict.fromkeys(State, 0)
        for entry in self._entries.values():
            found[entry.state] += 1
        return found

    def _activate(self, key: str, now: float) -> None:
        if not self._active:
            self._first_arrival = now
        self._rush = 1.0 + self._rush * math.exp((self._last_arrival - now) / self._settings.recent)
        self._last_arrival = now
        self._active[key] = None
        self._asleep.discard(key)
        self._entries[key].state = State.ACTIVE

    def _back_off(self, key: str, entry: _Entry) -> None:
        self._asleep.discard(key)
        entry.state = State.BACKOFF
        heapq.heappush(self._timers, (entry.ready_at, key))

    def _land(self, key: str) -> _Entry | None:
        """Take a pod out of flight; None when it was removed meanwhile."""
        self._in_flight.discard(key)
        return self._entries.get(key)

    def _delay(self, entry: _Entry, now: float) -> None:
        """Exponential backoff from the moment of failure."""
        entry.attempts += 1
        longest = self._settings.backoff * 2.0 ** min(entry.attempts - 1, 30)
        entry.ready_at = now + min(longest, self._settings.backoff_max)

    def _promote(self, now: float) -> None:
        """Activate what has waited long enough; drop outdated timers on the way."""
        while self._timers and (self._timers[0][0] <= now or not self._current(*self._timers[0])):
            at, key = heapq.heappop(self._timers)
            if self._current(at, key):
                self._activate(key, now)

    def _current(self, at: float, key: str) -> bool:
        """Whether a timer still means something."""
        entry = self._entries.get(key)
        if entry is None:
            return False
        if entry.state is State.BACKOFF:
            return entry.ready_at == at
        return entry.state is State.UNSCHEDULABLE and entry.flush_at == at

    def _closes_at(self) -> float:
        """When the present window ends: calm, or the longest wait, or a full batch."""
        settings = self._settings
        if len(self._active) >= settings.batch_max:
            return self._first_arrival
        storm = max(0.0, self._rush - settings.calm)
        quiet = min(settings.quiet + settings.quiet_per_pod * storm, settings.quiet_max)
        return min(self._last_arrival + quiet, self._first_arrival + settings.window_max)


def _fair(keys: Iterable[str], entries: dict[str, _Entry]) -> Iterator[str]:
    """Order by priority; within one priority departments take turns, each in order of arrival."""
    lines: dict[int, dict[str, deque[str]]] = defaultdict(lambda: defaultdict(deque))
    for key in sorted(keys, key=lambda key: entries[key].order):
        entry = entries[key]
        lines[entry.priority][entry.department].append(key)
    for priority in sorted(lines, reverse=True):
        turns = deque(lines[priority].values())
        while turns:
            line = turns.popleft()
            yield line.popleft()
            if line:
                turns.append(line)
