"""Quota: asked for by a department, decided by its divisions, in force in its namespace; each acts in person."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from controlplane.cluster import ControlPlane
from support.operator_process import (
    OPS,
    RunningOperator,
    apply,
    approval,
    approver_of,
    condition,
    department,
    division,
    get,
    operated,
    quota_request,
    start_operator,
    wait_ready,
    wait_reason,
)
from support.yunchi_process import eventually

pytestmark = pytest.mark.cluster
PROVINCE, PREFECTURE, COUNTY = "440000", "440100", "440105"
HEAD, CITY, DISTRICT = "guangdong-chief", "guangzhou-chief", "haizhu-chief"
ADMIN = "haizhu-admin"


@pytest.fixture(scope="module")
def operator(pool: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningOperator]:
    with operated(pool, tmp_path_factory.mktemp("quota")) as running:
        apply(
            pool,
            division(PROVINCE, "Province"),
            division(PREFECTURE, "Prefecture", PROVINCE, cpu="16", memory="64Gi"),
            division(COUNTY, "County", PREFECTURE, cpu="4", memory="8Gi"),
            user=OPS,
        )
        for code, user in ((PROVINCE, HEAD), (PREFECTURE, CITY), (COUNTY, DISTRICT), (COUNTY, ADMIN)):
            apply(pool, *approver_of(code, user))
        apply(pool, *approver_of(COUNTY, DISTRICT))
        yield running


@pytest.fixture
def space(pool: ControlPlane, operator: RunningOperator, request: pytest.FixtureRequest) -> str:
    """A department's namespace for this test alone."""
    name = "q-" + request.node.name.removeprefix("test_").replace("_", "-")[:40].strip("-")
    apply(pool, department(name, COUNTY, name, admin=ADMIN), user=OPS)
    wait_ready(pool, f"department/{name}")
    return name


def hard(plane: ControlPlane, namespace: str) -> dict[str, str]:
    found: dict[str, str] = get(plane, "resourcequota/yunchi-quota", "--namespace", namespace)["spec"]["hard"]
    return found


def ask(plane: ControlPlane, namespace: str, name: str, **spec: Any) -> tuple[str, str]:
    apply(plane, quota_request(namespace, name, **spec), user=ADMIN)
    return (f"quotarequest/{name}", f"--namespace={namespace}")


def approve(plane: ControlPlane, code: str, user: str, request: tuple[str, str], **spec: Any) -> str:
    name = f"{request[0]}-{request[1]}-{code}-{spec.get('generation', 1)}-{spec.get('decision', 'approve').lower()}"
    apply(plane, approval(name, code, user, request, **spec), user=user)
    return f"approval/{name}"


def eventually_hard(plane: ControlPlane, namespace: str, resource: str, quantity: str) -> None:
    def check() -> bool:
        seen = hard(plane, namespace)
        assert seen.get(resource) == quantity, seen
        return True

    eventually(check, what=f"{resource} {quantity} in {namespace}")


def test_two_tiers_approve_and_the_quota_rises(pool: ControlPlane, operator: RunningOperator, space: str) -> None:
    more = ask(pool, space, "more", resources={"cpu": "8", "memory": "16Gi", "huawei.com/Ascend910": 0})
    told = wait_reason(pool, "WaitingForApproval", *more)
    assert f"division {COUNTY}" in told["message"]
    assert "verb approve" in told["message"]
    # Ascend is named in no upTo, so the province must say yes, too.
    assert get(pool, *more)["status"]["requiredDivisions"] == [COUNTY, PREFECTURE, PROVINCE]
    pool.kubectl("delete", *more, kubeconfig=pool.user_kubeconfig(ADMIN))

    more = ask(pool, space, "fewer", resources={"cpu": "8", "memory": "16Gi"})
    wait_reason(pool, "WaitingForApproval", *more)
    assert get(pool, *more)["status"]["requiredDivisions"] == [COUNTY, PREFECTURE]
    assert hard(pool, space)["requests.cpu"] == "2"

    first = approve(pool, COUNTY, DISTRICT, (space, "fewer"))
    wait_ready(pool, first, user=DISTRICT)
    told = wait_reason(pool, "WaitingForApproval", *more, user_words=f"division {PREFECTURE}")
    assert "1 of 2" in told["message"]
    assert hard(pool, space)["requests.cpu"] == "2"

    approve(pool, PREFECTURE, CITY, (space, "fewer"))
    wait_ready(pool, *more, user=ADMIN)
    eventually_hard(pool, space, "requests.cpu", "10")
    assert hard(pool, space)["requests.memory"] == "20Gi"
    status = get(pool, *more)["status"]
    assert [entry["approver"] for entry in status["approvedBy"]] == [DISTRICT, CITY]
    assert (status["granted"], status["grantedGeneration"]) == ({"cpu": "8", "memory": "16Gi"}, 1)
    granted = f'yunchi_quota_granted{{department="{space}",resource="cpu"}}'
    assert eventually(lambda: operator.metric(granted) == 8, what=granted)
    assert condition(pool, *more, kind="Approved")["status"] == "True"


def test_one_s_own_approval_is_void(pool: ControlPlane, space: str) -> None:
    more = ask(pool, space, "own", resources={"cpu": "1"})
    own = approve(pool, COUNTY, ADMIN, (space, "own"))
    told = wait_reason(pool, "OwnRequest", own)
    assert ADMIN in told["message"]
    wait_reason(pool, "WaitingForApproval", *more)
    assert hard(pool, space)["requests.cpu"] == "2"


def test_void_approvals_say_why(pool: ControlPlane, space: str) -> None:
    early = approval(f"{space}-early", COUNTY, DISTRICT, (space, "void"))
    apply(pool, early, user=DISTRICT)
    wait_reason(pool, "TargetNotFound", f"approval/{space}-early")
    # Times have whole seconds: the request must be visibly younger than the approval.
    created = datetime.fromisoformat(get(pool, f"approval/{space}-early")["metadata"]["creationTimestamp"])
    eventually(lambda: datetime.now(UTC) >= created + timedelta(seconds=1), what="the next second")
    more = ask(pool, space, "void", resources={"cpu": "1"})
    wait_reason(pool, "OlderThanTarget", f"approval/{space}-early")
    wait_reason(pool, "NotRequired", approve(pool, PROVINCE, HEAD, (space, "void")))
    wait_reason(pool, "StaleGeneration", approve(pool, COUNTY, DISTRICT, (space, "void"), generation=7))
    wait_reason(pool, "WaitingForApproval", *more)

    good = approve(pool, COUNTY, DISTRICT, (space, "void"))
    wait_ready(pool, good, "--timeout=60s")
    wait_ready(pool, *more)
    pool.kubectl("delete", *more, kubeconfig=pool.user_kubeconfig(ADMIN))
    wait_reason(pool, "TargetNotFound", good)
    again = ask(pool, space, "void", resources={"cpu": "4"})
    wait_reason(pool, "WrongTarget", good)
    wait_reason(pool, "WaitingForApproval", *again)


def test_a_no_decides(pool: ControlPlane, space: str) -> None:
    more = ask(pool, space, "no", resources={"cpu": "8"})
    approve(pool, COUNTY, DISTRICT, (space, "no"))
    approve(pool, PREFECTURE, CITY, (space, "no"), decision="Reject", comment="use what you have")
    told = wait_reason(pool, "Rejected", *more)
    assert "use what you have" in told["message"]
    assert hard(pool, space)["requests.cpu"] == "2"


def test_an_edit_needs_fresh_approval_and_the_old_grant_stays_till_then(
    pool: ControlPlane, operator: RunningOperator, space: str
) -> None:
    more = ask(pool, space, "edit", resources={"cpu": "2"})
    approve(pool, COUNTY, DISTRICT, (space, "edit"))
    wait_ready(pool, *more)
    eventually_hard(pool, space, "requests.cpu", "4")

    ask(pool, space, "edit", resources={"cpu": "3"})
    told = wait_reason(pool, "WaitingForApproval", *more)
    assert "generation 2" in told["message"]
    assert get(pool, *more)["status"]["granted"] == {"cpu": "2"}
    assert hard(pool, space)["requests.cpu"] == "4"

    approve(pool, COUNTY, DISTRICT, (space, "edit"), generation=2)
    wait_ready(pool, *more)
    eventually_hard(pool, space, "requests.cpu", "5")
    state = 'yunchi_quota_requests{state="Granted"}'
    assert eventually(lambda: (operator.metric(state) or 0) >= 1, what=state)


def test_deletion_lowers_the_quota(pool: ControlPlane, space: str) -> None:
    more = ask(pool, space, "short", resources={"cpu": "1", "pods": 5})
    approve(pool, COUNTY, DISTRICT, (space, "short"))
    # pods are named in no upTo of the two lower divisions
    approve(pool, PREFECTURE, CITY, (space, "short"))
    approve(pool, PROVINCE, HEAD, (space, "short"))
    wait_ready(pool, *more)
    eventually_hard(pool, space, "pods", "25")
    pool.kubectl("delete", *more, kubeconfig=pool.user_kubeconfig(ADMIN))
    eventually_hard(pool, space, "pods", "20")
    assert hard(pool, space)["requests.cpu"] == "2"


def test_expiry_lowers_the_quota(pool: ControlPlane, space: str) -> None:
    ends = datetime.now(UTC) + timedelta(seconds=12)
    more = ask(pool, space, "until", resources={"cpu": "1"}, until=ends.strftime("%Y-%m-%dT%H:%M:%SZ"))
    approve(pool, COUNTY, DISTRICT, (space, "until"))
    eventually_hard(pool, space, "requests.cpu", "3")
    # An edit that would last longer, without approval, does not prolong what was granted.
    ask(pool, space, "until", resources={"cpu": "1"}, until="2099-01-01T00:00:00Z")
    eventually_hard(pool, space, "requests.cpu", "2")
    told = wait_reason(pool, "WaitingForApproval", *more)
    assert "stays" not in told["message"]
    assert datetime.now(UTC) >= ends - timedelta(seconds=1)

    past = ask(pool, space, "past", resources={"cpu": "1"}, until="2020-01-01T00:00:00Z")
    wait_reason(pool, "Expired", *past)


def test_a_request_outside_a_department_is_told_so(pool: ControlPlane, operator: RunningOperator) -> None:
    apply(pool, quota_request("default", "nowhere", resources={"cpu": "1"}))
    told = wait_reason(pool, "NotADepartmentNamespace", "quotarequest/nowhere", "--namespace=default")
    assert "namespace default" in told["message"]
    pool.kubectl("delete", "quotarequest", "nowhere", "--namespace=default")


def test_a_kill_between_decision_and_quota_is_made_good(
    pool: ControlPlane, operator: RunningOperator, space: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The state that a kill right after the status write leaves: granted in status, quota not yet raised."""
    more = ask(pool, space, "torn", resources={"cpu": "2"})
    wait_reason(pool, "WaitingForApproval", *more)
    operator.kill()
    approve(pool, COUNTY, DISTRICT, (space, "torn"))
    status = get(pool, *more)["status"] | {"granted": {"cpu": "2"}, "grantedGeneration": 1}
    body = json.dumps({"status": status})
    pool.kubectl("patch", *more, "--subresource=status", "--type=merge", "--patch", body)
    assert hard(pool, space)["requests.cpu"] == "2"
    with start_operator(pool, tmp_path_factory.mktemp("again"), name="again"):
        wait_ready(pool, *more)
        eventually_hard(pool, space, "requests.cpu", "4")
        before = get(pool, *more)["metadata"]["resourceVersion"]
        wait_ready(pool, f"department/{space}")
        assert get(pool, *more)["metadata"]["resourceVersion"] == before
