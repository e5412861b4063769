"""The state of a quota request follows from its spec, the approvals and the time alone."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.tenants import approval, department, division, request
from yunchi_operator.api.kinds import Approval, QuotaRequest
from yunchi_operator.quota import requests
from yunchi_operator.quota.requests import RequestState

NOW = datetime(2026, 6, 1, tzinfo=UTC)
DIVISIONS = {
    "320000": division("320000", level="Province"),
    "320100": division("320100", "320000", "Prefecture", cpu="16", memory="64Gi"),
    "320102": division("320102", "320100", cpu="4", memory="8Gi"),
}


def decide(one: QuotaRequest, *approvals: Approval, now: datetime = NOW, **options: Any) -> RequestState:
    holder = options.get("holder", department("tax-a"))
    return requests.decide(one, holder, options.get("divisions", DIVISIONS), approvals, now)


def reason(state: RequestState) -> str:
    return state.verdicts[0].reason


def test_small_growth_needs_the_own_division_only() -> None:
    state = decide(request({"cpu": "4", "memory": "8Gi"}))
    assert (reason(state), state.required, state.grant.resources) == ("WaitingForApproval", ("320102",), {})


def test_each_tier_that_is_too_small_adds_the_one_above() -> None:
    assert decide(request({"cpu": "5"})).required == ("320102", "320100")
    assert decide(request({"cpu": "17"})).required == ("320102", "320100", "320000")
    assert decide(request({"huawei.com/Ascend910": 1})).required == ("320102", "320100", "320000")


def test_all_tiers_grant_in_any_order() -> None:
    state = decide(request({"cpu": "5"}), approval("320100"), approval("320102"))
    assert (reason(state), state.grant.resources, state.grant.generation) == ("Granted", {"cpu": "5"}, 1)
    assert [yes.division for yes in state.approved_by] == ["320102", "320100"]
    assert [verdict.status for verdict in state.verdicts] == ["True", "True"]


def test_waiting_names_the_next_division_and_the_verb() -> None:
    state = decide(request({"cpu": "5"}), approval("320102"))
    message = state.verdicts[0].message
    assert "waiting for division 320100 (1 of 2 have approved)" in message
    assert "verb approve on divisions/320100" in message


def test_one_no_decides_and_withdraws_what_the_same_generation_was_granted() -> None:
    granted = request({"cpu": "4"}, granted={"cpu": "4"}, granted_generation=1)
    no = approval("320102", decision="Reject", comment="not now")
    state = decide(granted, approval("320102"), no)
    assert (reason(state), state.grant.resources) == ("Rejected", {})
    assert "not now" in state.verdicts[0].message


def test_a_no_to_an_edit_leaves_the_former_grant() -> None:
    edited = request({"cpu": "4"}, generation=2, granted={"cpu": "2"}, granted_generation=1)
    state = decide(edited, approval("320102", decision="Reject", generation=2))
    assert (reason(state), state.grant.resources) == ("Rejected", {"cpu": "2"})


def test_a_grant_stays_when_the_approvals_are_tidied_away() -> None:
    state = decide(request({"cpu": "4"}, granted={"cpu": "4"}, granted_generation=1))
    assert (reason(state), state.grant.resources) == ("Granted", {"cpu": "4"})


def test_an_edit_waits_and_keeps_the_former_grant_up_to_its_own_end() -> None:
    edited = request(
        {"cpu": "4"}, generation=2, granted={"cpu": "2"}, granted_generation=1, granted_until="2026-07-01T00:00:00Z"
    )
    state = decide(edited, approval("320102"))
    assert (reason(state), state.grant.resources) == ("WaitingForApproval", {"cpu": "2"})
    assert state.changes_at == datetime(2026, 7, 1, tzinfo=UTC)
    later = decide(edited, approval("320102"), now=datetime(2026, 7, 1, tzinfo=UTC))
    assert (later.grant.resources, later.changes_at) == ({}, None)


def test_expiry_is_told_ahead_and_grants_nothing_from_that_moment() -> None:
    one = request({"cpu": "4"}, until="2026-06-01T00:00:10+00:00")
    state = decide(one, approval("320102"))
    assert (reason(state), state.changes_at) == ("Granted", datetime(2026, 6, 1, 0, 0, 10, tzinfo=UTC))
    over = decide(one, approval("320102"), now=datetime(2026, 6, 1, 0, 0, 10, tzinfo=UTC))
    assert (reason(over), over.grant.resources) == ("Expired", {})


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"holder": None}, "NotADepartmentNamespace"),
        ({"divisions": {}}, "DivisionNotFound"),
        ({"divisions": {"320102": DIVISIONS["320102"]}}, "DivisionNotFound"),
    ],
)
def test_what_is_missing_around_it_is_told(options: dict[str, Any], expected: str) -> None:
    assert reason(decide(request({"cpu": "5"}), **options)) == expected


def test_a_missing_division_takes_no_grant_away() -> None:
    granted = request({"cpu": "5"}, granted={"cpu": "5"}, granted_generation=1)
    assert decide(granted, divisions={}).grant.resources == {"cpu": "5"}


def test_without_a_known_requester_nothing_is_granted() -> None:
    state = decide(request({"cpu": "1"}, requester=""), approval("320102"))
    assert (reason(state), state.verdicts[0].status, state.grant.resources) == ("Pending", "Unknown", {})


def test_a_circle_of_parents_ends() -> None:
    circle = {"320102": division("320102", "320100"), "320100": division("320100", "320102")}
    assert reason(decide(request({"cpu": "5"}), divisions=circle)) == "DivisionNotFound"


@given(st.integers(0, 40_000), st.integers(0, 40_000))
def test_a_larger_request_never_needs_fewer_tiers(one: int, other: int) -> None:
    small, large = sorted((one, other))
    fewer = decide(request({"cpu": f"{small}m"})).required
    more = decide(request({"cpu": f"{large}m"})).required
    assert more[: len(fewer)] == fewer


CODES = ("320102", "320100", "320000")
MANY_APPROVALS = st.lists(
    st.builds(
        lambda code, approver, generation, decision: approval(
            code, approver=approver, generation=generation, decision=decision
        ),
        st.sampled_from(CODES),
        st.sampled_from(("li", "wang", "zhao")),
        st.integers(1, 3),
        st.sampled_from(("Approve", "Approve", "Approve", "Reject")),
    ),
    max_size=8,
)


@given(MANY_APPROVALS, st.integers(0, 2), st.booleans())
def test_nothing_is_granted_without_a_yes_of_each_tier_by_somebody_else(
    approvals: list[Approval], size: int, edited: bool
) -> None:
    one = request({"cpu": ("4", "16", "32")[size]}, generation=2 if edited else 1)
    state = decide(one, *approvals)
    counting = [a for a in approvals if a.spec.approver != "li" and a.spec.target.generation == one.metadata.generation]
    said_yes = {a.spec.division for a in counting if a.spec.decision == "Approve"}
    said_no = {a.spec.division for a in counting if a.spec.decision == "Reject"}
    due = set(state.required) <= said_yes and not said_no & set(state.required)
    assert (state.grant.resources != {}) == due
    assert state == decide(one, *reversed(approvals))
