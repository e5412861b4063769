"""Who sits where: the sums that a cycle needs, kept up to date instead of counted anew.

Pure. Knows bound pods (told by the watch) and assumed ones (bound by us, not yet seen).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

NO_REQUESTS: Final[Mapping[str, int]] = {}


@dataclass(frozen=True, slots=True)
class Load:
    """What one pod means to its node.

    Attributes:
        requests: by resource: millicores, bytes, counts; ``pods`` is 1.
        keeps_node: False for DaemonSet and mirror pods: they do not make a node count as used.
    """

    requests: Mapping[str, int]
    keeps_node: bool = True


@dataclass(slots=True)
class Room:
    """One node's guests."""

    requested: dict[str, int] = field(default_factory=dict)
    keepers: int = 0
    guests: dict[str, None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Assumption:
    """A binding of ours that the watch has not shown yet; forgotten at ``until`` (seconds, the caller's clock)."""

    node: str
    until: float


class Ledger:
    """Seats by pod key and rooms by node name. A room may exist before its node is known, or outlive it."""

    def __init__(self) -> None:
        self._rooms: dict[str, Room] = {}
        self._seats: dict[str, tuple[str, Load]] = {}
        self._assumed: dict[str, Assumption] = {}

    def seat_of(self, key: str) -> str | None:
        """The node where a pod sits, for certain or assumed."""
        seat = self._seats.get(key)
        return seat[0] if seat else None

    def room(self, node: str) -> Room | None:
        """What sits on a node; None when nothing ever did."""
        return self._rooms.get(node)

    def requested(self, node: str) -> Mapping[str, int]:
        """Sum of the requests on a node by resource; treat as read only."""
        room = self._rooms.get(node)
        return room.requested if room else NO_REQUESTS

    def is_assumed(self, key: str) -> bool:
        """Whether a pod was bound by us and has not been seen bound yet."""
        return key in self._assumed

    @property
    def assumed(self) -> Iterator[str]:
        """Keys of the assumed pods."""
        return iter(self._assumed)

    def assume(self, key: str, node: str, load: Load, until: float) -> None:
        """Count a pod on the node that it is being bound to."""
        self._sit(key, node, load)
        self._assumed[key] = Assumption(node, until)

    def expect_by(self, key: str, until: float) -> None:
        """Shorten or lengthen the wait for an assumed pod's confirmation; nothing for any other pod."""
        seat = self._assumed.get(key)
        if seat is not None:
            self._assumed[key] = Assumption(seat.node, until)

    def confirm(self, key: str, node: str, load: Load) -> bool:
        """The watch shows a pod on a node. True when that is news."""
        self._assumed.pop(key, None)
        if self._seats.get(key) == (node, load):
            return False
        self._sit(key, node, load)
        return True

    def leave(self, key: str) -> str | None:
        """A pod is gone, finished, or its binding failed; returns the node that has room now."""
        self._assumed.pop(key, None)
        seat = self._seats.pop(key, None)
        if seat is None:
            return None
        node, load = seat
        room = self._rooms[node]
        del room.guests[key]
        room.keepers -= load.keeps_node
        for resource, amount in load.requests.items():
            room.requested[resource] -= amount
        if not room.guests:
            room.requested.clear()
        return node

    def expired(self, now: float) -> list[str]:
        """Assumed pods that should have been seen by now."""
        return [key for key, assumption in self._assumed.items() if assumption.until <= now]

    def _sit(self, key: str, node: str, load: Load) -> None:
        self.leave(key)
        self._seats[key] = (node, load)
        room = self._rooms.setdefault(node, Room())
        room.guests[key] = None
        room.keepers += load.keeps_node
        for resource, amount in load.requests.items():
            room.requested[resource] = room.requested.get(resource, 0) + amount
