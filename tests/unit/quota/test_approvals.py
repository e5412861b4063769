"""Each void approval says why."""

import pytest

from support.tenants import approval, request
from yunchi_operator.api.kinds import Approval, QuotaRequest
from yunchi_operator.quota.approvals import bind, count, judge

REQUIRED = ("320102", "320100")


@pytest.mark.parametrize(
    ("given", "about", "expected"),
    [
        (approval("320102"), request(), "Counted"),
        (approval("320102", decision="Reject"), request(), "Counted"),
        (approval("320102"), None, "TargetNotFound"),
        (approval("320102", approver="li"), request(), "OwnRequest"),
        (approval("320102", generation=1), request(generation=2), "StaleGeneration"),
        (approval("320102", generation=3), request(generation=2), "StaleGeneration"),
        (approval("320000"), request(), "NotRequired"),
        (approval("320102", created="2025-12-31T23:59:59Z"), request(), "OlderThanTarget"),
        (approval("320102", bound="u0"), request(uid="u1"), "WrongTarget"),
        (approval("320102", bound="u1"), request(uid="u1"), "Counted"),
    ],
)
def test_reasons(given: Approval, about: QuotaRequest | None, expected: str) -> None:
    verdict = judge(given, about, REQUIRED)
    assert verdict.reason == expected
    assert (verdict.status == "True") == (expected == "Counted")
    assert "tax-a/more" in verdict.message


def test_one_person_is_one_tier() -> None:
    county = approval("320102", approver="wang", name="a")
    city = approval("320100", approver="wang", name="b")
    assert judge(county, request(), REQUIRED, [county, city]).reason == "Counted"
    void = judge(city, request(), REQUIRED, [county, city])
    assert (void.status, void.reason) == ("False", "SameApprover")
    assert "somebody else must decide for division 320100" in void.message
    assert [yes.division for yes in count([city, county], request(), REQUIRED).approved_by] == ["320102"]
    # A void first yes takes nothing away, and anybody may say no for each tier that they hold.
    stale = approval("320102", approver="wang", name="a", generation=7)
    assert judge(city, request(), REQUIRED, [stale, city]).reason == "Counted"
    no = approval("320100", approver="wang", name="c", decision="Reject")
    assert judge(no, request(), REQUIRED, [county, no]).reason == "Counted"


def test_an_approval_is_bound_to_the_first_object_that_it_was_really_about() -> None:
    assert bind(approval("320102"), None) is None
    assert bind(approval("320102", created="2025-12-31T23:59:59Z"), request()) is None
    assert bind(approval("320102"), request(uid="u1")) == "u1"
    assert bind(approval("320102", bound="u1"), request(uid="u2")) == "u1"
