"""What every reconcile needs: memory, clients, time, and the few ways in which it may act on the world."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

import msgspec

from yunchi_operator.api.conditions import Verdict, find, merge
from yunchi_operator.api.kinds import Condition, Kind
from yunchi_operator.handlers.store import Store
from yunchi_operator.kube.apply import apply_object, apply_status
from yunchi_operator.kube.client import KubeClient
from yunchi_operator.kube.events import Event, EventRecorder, Regarding
from yunchi_operator.tenancy.tables import Tables


class NotLeaderError(Exception):
    """The Lease is not held at this moment: nothing may be written."""


class Notify(Protocol):
    """Takes news about an object that a write of ours brought."""

    def __call__(self, kind: str, raw: dict[str, Any]) -> None:
        """Take in the object as the server answered it."""


@dataclass(frozen=True, slots=True)
class Context:
    """Shared by all reconciles of a process.

    Attributes:
        client: of the API server.
        store: memory of our kinds.
        events: for people.
        namespace: the operator's own, where the sources of tenancies are.
        tables: of division codes.
        now: the time.
        may_write: whether the Lease is held.
        notify: takes the answers to our own writes.
    """

    client: KubeClient
    store: Store
    events: EventRecorder
    namespace: str
    tables: Tables
    now: Callable[[], datetime]
    may_write: Callable[[], bool]
    notify: Notify

    async def apply(self, manifest: dict[str, Any]) -> bool:
        """Server-side apply of an object; whether anything was written.

        Raises:
            NotLeaderError: when the Lease is not held.
            ApiError: when the server refuses or is not reached.
        """
        self._check()
        return await apply_object(self.client, manifest)

    def conditions(self, thing: Kind, verdicts: Sequence[Verdict]) -> tuple[Condition, ...]:
        """The object's conditions after this decision."""
        return merge(thing.status.conditions, verdicts, generation=thing.metadata.generation, now=self.now())

    async def write_status(self, thing: Kind, status: msgspec.Struct) -> None:
        """Write a status unless it is there already, and tell people when ``Ready`` has changed.

        Raises:
            NotLeaderError: when the Lease is not held.
            ApiError: when the server refuses or is not reached.
        """
        if status == thing.status:
            return
        self._check()
        kind, metadata = type(thing).__name__, thing.metadata
        plain = msgspec.to_builtins(status)
        raw = await apply_status(self.client, kind, metadata.namespace, metadata.name, plain, uid=metadata.uid)
        self.notify(kind, raw)
        self._tell(thing, find(thing.status.conditions, "Ready"), find(raw_conditions(status), "Ready"))

    def record(self, thing: Kind, verdict: str, reason: str, note: str) -> None:
        """Record an event about an object; ``verdict`` is the status of its ``Ready``: ``False`` makes a warning."""
        metadata = thing.metadata
        regarding = Regarding(
            type(thing).__name__, metadata.namespace, metadata.name, metadata.uid, metadata.resource_version
        )
        self.events.record(Event(regarding, "Warning" if verdict == "False" else "Normal", reason, "Reconcile", note))

    def _tell(self, thing: Kind, old: Condition | None, new: Condition | None) -> None:
        before = (old.status, old.reason) if old else None
        if new is not None and (new.status, new.reason) != before:
            self.record(thing, new.status, new.reason, new.message)

    def _check(self) -> None:
        if not self.may_write():
            raise NotLeaderError


def raw_conditions(status: msgspec.Struct) -> tuple[Condition, ...]:
    """The conditions of any of our statuses."""
    conditions: tuple[Condition, ...] = getattr(status, "conditions", ())
    return conditions
