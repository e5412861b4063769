"""A change concerns the right other objects."""

from typing import Any

import pytest

from yunchi_operator.handlers.dependencies import concerned
from yunchi_operator.handlers.store import Key, Store

SPECS: dict[str, dict[str, Any]] = {
    "Division": {"code": "320102", "level": "County"},
    "Department": {"division": "320102", "namespaces": ["tax-a"]},
    "QuotaRequest": {"resources": {"cpu": 1}},
    "Approval": {
        "division": "320102",
        "approver": "wang",
        "decision": "Approve",
        "target": {"namespace": "tax-a", "name": "more", "generation": 1},
    },
    "CloudTenancy": {"division": "320102", "source": {}},
    "NodePool": {},
}
NAMES = {
    "Division": "320102",
    "Department": "tax",
    "QuotaRequest": "more",
    "Approval": "yes",
    "CloudTenancy": "nj",
    "NodePool": "ascend",
}
REQUEST, DEPARTMENT = Key("QuotaRequest", "tax-a", "more"), Key("Department", "", "tax")
APPROVAL = Key("Approval", "", "yes")


def raw(kind: str, version: int, generation: int = 1, status: dict[str, Any] | None = None) -> dict[str, Any]:
    metadata: dict[str, Any] = {"name": NAMES[kind], "uid": kind, "generation": generation}
    metadata["resourceVersion"] = str(version)
    if kind == "QuotaRequest":
        metadata["namespace"] = "tax-a"
    return {"metadata": metadata, "spec": SPECS[kind], "status": status or {}}


@pytest.fixture
def store() -> Store:
    made = Store()
    for kind in SPECS:
        made.take(kind, None, raw(kind, 1))
    return made


def after(store: Store, event: str, *arguments: Any, **options: Any) -> set[Key]:
    change = store.take(arguments[0], event, raw(*arguments, **options))
    assert change is not None
    return set(concerned(change, store))


def test_a_pool_s_accelerators_concern_every_department_and_its_sizes_nobody(store: Store) -> None:
    cards = {"allocatable": {"cpu": "8", "huawei.com/Ascend910": "8"}}
    assert after(store, "MODIFIED", "NodePool", 2, status=cards) == {DEPARTMENT}
    cards["allocatable"]["cpu"] = "16"
    assert after(store, "MODIFIED", "NodePool", 3, status=cards) == set()
    assert after(store, "DELETED", "NodePool", 4) == {DEPARTMENT}


def test_a_division_concerns_all_that_may_hang_on_it(store: Store) -> None:
    assert after(store, "MODIFIED", "Division", 2, 2) == {REQUEST, DEPARTMENT, Key("CloudTenancy", "", "nj")}
    assert after(store, "MODIFIED", "Division", 3, 2, status={"observedGeneration": 2}) == set()
    assert after(store, "DELETED", "Division", 4) == {REQUEST, DEPARTMENT, Key("CloudTenancy", "", "nj")}


def test_a_department_s_holdings_concern_the_requests_in_them(store: Store) -> None:
    assert after(store, "MODIFIED", "Department", 2, status={"namespaces": ["tax-a"]}) == {REQUEST}
    assert after(store, "DELETED", "Department", 3) == {REQUEST}


def test_a_grant_and_its_end_concern_the_department(store: Store) -> None:
    assert after(store, "MODIFIED", "QuotaRequest", 2, status={"granted": {"cpu": "1"}}) == {DEPARTMENT}
    edited = after(store, "MODIFIED", "QuotaRequest", 3, 2, status={"granted": {"cpu": "1"}})
    assert edited == {APPROVAL}
    assert after(store, "DELETED", "QuotaRequest", 4) == {DEPARTMENT, APPROVAL}


def test_an_approval_concerns_its_request(store: Store) -> None:
    assert after(store, "DELETED", "Approval", 2) == {REQUEST}
