"""Standard conditions as values: what is to be said now, merged with what was said before."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

import msgspec

from yunchi_operator.api.kinds import Condition

Truth = Literal["True", "False", "Unknown"]
MESSAGE_LIMIT = 4096
"""Characters; longer messages are cut, so that a status write is never refused for its size."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a decision says about one condition type.

    Attributes:
        type: such as ``Ready``.
        status: ``True``, ``False`` or ``Unknown``.
        reason: one CamelCase word, stable across versions.
        message: for people: object, field and remedy.
    """

    type: str
    status: Truth
    reason: str
    message: str


def timestamp(now: datetime) -> str:
    """RFC 3339 in UTC with whole seconds, as Kubernetes writes times."""
    return now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def parse_timestamp(text: str) -> datetime:
    """Read an RFC 3339 time; one without a zone counts as UTC.

    Raises:
        ValueError: when the text is no time.
    """
    told = datetime.fromisoformat(text)
    return told if told.tzinfo else told.replace(tzinfo=UTC)


def merge(
    before: Sequence[Condition], verdicts: Iterable[Verdict], *, generation: int, now: datetime
) -> tuple[Condition, ...]:
    """The conditions after this decision.

    ``lastTransitionTime`` moves only when a status changes. Types that are not spoken of are dropped: whoever decides
    says everything it knows.

    Args:
        before: conditions of the object as it is.
        verdicts: one per condition type, in the order they shall have.
        generation: of the spec that was decided about.
        now: time of the decision.
    """
    known = {condition.type: condition for condition in before}
    merged = []
    for verdict in verdicts:
        old = known.get(verdict.type)
        same = old is not None and old.status == verdict.status and old.last_transition_time
        merged.append(
            Condition(
                type=verdict.type,
                status=verdict.status,
                reason=verdict.reason,
                message=_cut(verdict.message),
                last_transition_time=old.last_transition_time if old and same else timestamp(now),
                observed_generation=generation,
            )
        )
    return tuple(merged)


def find(conditions: Iterable[Condition], kind: str) -> Condition | None:
    """The condition of that type, or None."""
    return next((condition for condition in conditions if condition.type == kind), None)


def to_plain(conditions: Iterable[Condition]) -> list[dict[str, Any]]:
    """The conditions as a JSON-ready list for a status."""
    return [msgspec.to_builtins(condition) for condition in conditions]


def _cut(message: str) -> str:
    return message if len(message) <= MESSAGE_LIMIT else message[: MESSAGE_LIMIT - 1] + "…"
