"""What a look at a cloud came to, as conditions and status."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from yunchi_operator.api.conditions import Truth, Verdict, find, parse_timestamp
from yunchi_operator.api.kinds import CloudTenancy, Inventory
from yunchi_operator.tenancy.hosts import Problem

PROBLEMS_SHOWN = 10


class LookFailedError(Exception):
    """A look at a cloud failed.

    Attributes:
        reason: of the ``Ready`` condition.
        message: object, field and remedy.
        reachable: of the ``Reachable`` condition.
    """

    def __init__(self, reason: str, message: str, reachable: Truth = "Unknown") -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.reachable: Truth = reachable


def due_in_seconds(tenancy: CloudTenancy, now: datetime) -> float:
    """Seconds until the next look; zero when the last was no success, or about another spec."""
    ready = find(tenancy.status.conditions, "Ready")
    last = tenancy.status.last_observed_time
    if ready is None or ready.status != "True" or last is None:
        return 0.0
    if ready.observed_generation != tenancy.metadata.generation:
        return 0.0
    seen = parse_timestamp(last)
    if seen > now:  # a clock went wrong somewhere; look rather than wait for years
        return 0.0
    return max(0.0, (seen + timedelta(seconds=tenancy.spec.interval_seconds) - now).total_seconds())


def good(inventory: Inventory) -> tuple[Verdict, Verdict]:
    """The conditions after a successful look."""
    message = (
        f"{inventory.nodes} nodes, {inventory.cpu} cores, {inventory.memory} memory, {inventory.workloads} workloads"
    )
    return Verdict("Ready", "True", "Observed", message), Verdict(
        "Reachable", "True", "Observed", "the source answered"
    )


def bad(failure: LookFailedError, *, has_inventory: bool) -> tuple[Verdict, Verdict]:
    """The conditions after a failed look."""
    kept = "; the former inventory is kept" if has_inventory else ""
    message = failure.message + kept
    return (
        Verdict("Ready", "False", failure.reason, message),
        Verdict("Reachable", failure.reachable, failure.reason, failure.message),
    )


def describe(problems: Sequence[Problem]) -> str:
    """The errors of a host list in one message; at most ten are spelled out."""
    shown = " | ".join(str(problem) for problem in problems[:PROBLEMS_SHOWN])
    more = len(problems) - PROBLEMS_SHOWN
    return shown + (f" | and {more} more" if more > 0 else "")
