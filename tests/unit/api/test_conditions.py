"""Conditions: idempotent, and their transition time moves with the status alone."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from yunchi_operator.api.conditions import MESSAGE_LIMIT, Truth, Verdict, find, merge, parse_timestamp, timestamp

NOW = datetime(2026, 6, 1, 12, 0, 0, tzinfo=UTC)
LATER = NOW + timedelta(hours=1)


def ready(status: Truth, reason: str = "Because", message: str = "so") -> Verdict:
    return Verdict("Ready", status, reason, message)


def test_the_first_verdict_starts_the_clock() -> None:
    (made,) = merge((), [ready("Unknown", "Pending")], generation=1, now=NOW)
    assert (made.last_transition_time, made.observed_generation) == ("2026-06-01T12:00:00Z", 1)


def test_reason_message_and_generation_change_without_a_transition() -> None:
    before = merge((), [ready("False", "A")], generation=1, now=NOW)
    (after,) = merge(before, [ready("False", "B", "other")], generation=2, now=LATER)
    assert (after.reason, after.observed_generation, after.last_transition_time) == ("B", 2, "2026-06-01T12:00:00Z")


def test_a_new_status_is_a_transition() -> None:
    before = merge((), [ready("False")], generation=1, now=NOW)
    (after,) = merge(before, [ready("True")], generation=1, now=LATER)
    assert after.last_transition_time == "2026-06-01T13:00:00Z"


def test_types_that_are_not_spoken_of_go() -> None:
    before = merge((), [ready("True"), Verdict("Reachable", "True", "Yes", "")], generation=1, now=NOW)
    after = merge(before, [ready("True")], generation=1, now=LATER)
    assert find(after, "Reachable") is None
    assert find(after, "Ready") == before[0]


def test_long_messages_are_cut() -> None:
    (made,) = merge((), [ready("True", message="云" * 10_000)], generation=1, now=NOW)
    assert len(made.message) == MESSAGE_LIMIT


VERDICTS = st.lists(
    st.builds(
        Verdict, st.sampled_from(("Ready", "Approved")), st.sampled_from(("True", "False")), st.just("R"), st.text()
    ),
    max_size=2,
    unique_by=lambda verdict: verdict.type,
)


@given(VERDICTS, st.integers(1, 3), st.datetimes(timezones=st.just(UTC)), st.datetimes(timezones=st.just(UTC)))
def test_saying_the_same_again_changes_nothing(
    verdicts: list[Verdict], generation: int, first: datetime, second: datetime
) -> None:
    once = merge((), verdicts, generation=generation, now=first)
    assert merge(once, verdicts, generation=generation, now=second) == once


@pytest.mark.parametrize("text", ["2026-06-01T20:00:00+08:00", "2026-06-01T12:00:00", "2026-06-01T12:00:00.000Z"])
def test_times_are_read_in_any_zone(text: str) -> None:
    assert timestamp(parse_timestamp(text)) == "2026-06-01T12:00:00Z"
