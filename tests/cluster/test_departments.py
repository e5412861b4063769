"""Departments: what ops apply becomes namespaces in which the department can work, and stays so."""

from __future__ import annotations

import json
from collections.abc import Iterator

import msgspec
import pytest

from controlplane.cluster import ControlPlane
from support.operator_process import (
    OPS,
    RunningOperator,
    apply,
    condition,
    department,
    division,
    get,
    operated,
    start_operator,
    wait_ready,
    wait_reason,
)
from support.yunchi_process import eventually
from yunchi_operator.api.kinds import Department
from yunchi_operator.kube.apply import apply_object
from yunchi_operator.kube.client import KubeClient
from yunchi_operator.quota.ledger import hard
from yunchi_operator.tenancy.departments import contents, namespace

pytestmark = pytest.mark.cluster
PROVINCE = division("330000", "Province")
PREFECTURE = division("330100", "Prefecture", "330000")


@pytest.fixture(scope="module")
def operator(pool: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningOperator]:
    with operated(pool, tmp_path_factory.mktemp("departments")) as running:
        apply(pool, PROVINCE, PREFECTURE, user=OPS)
        yield running


def versions(plane: ControlPlane, namespace: str) -> dict[str, str]:
    """resourceVersions of all that the operator keeps in a namespace, and of all of our objects."""
    kinds = "resourcequota,limitrange,networkpolicy,rolebinding"
    items = get(plane, kinds, "--namespace", namespace)["items"]
    items += get(plane, "divisions,departments,quotarequests,approvals,cloudtenancies", "--all-namespaces")["items"]
    items.append(get(plane, "namespace", namespace))
    return {
        f"{item['kind']}/{item['metadata'].get('namespace', '')}/{item['metadata']['name']}": item["metadata"][
            "resourceVersion"
        ]
        for item in items
    }


def test_a_department_gets_its_namespaces_with_access_limits_quota_and_a_closed_network(
    pool: ControlPlane, operator: RunningOperator
) -> None:
    apply(pool, department("hz-tax", "330100", "hz-tax-a", "hz-tax-b", admin="zhao"), user=OPS)
    wait_ready(pool, "department/hz-tax", user=OPS)

    assert get(pool, "department/hz-tax")["status"]["namespaces"] == ["hz-tax-a", "hz-tax-b"]
    labels = get(pool, "namespace/hz-tax-a")["metadata"]["labels"]
    assert (labels["yunchi.io/department"], labels["yunchi.io/division"]) == ("hz-tax", "330100")
    where = ("--namespace", "hz-tax-b")
    hard = get(pool, "resourcequota/yunchi-quota", *where)["spec"]["hard"]
    assert hard == {"pods": "20", "requests.cpu": "2", "requests.memory": "4Gi"}
    assert get(pool, "limitrange/yunchi-defaults", *where)["spec"]["limits"][0]["defaultRequest"]["cpu"] == "100m"
    policy = get(pool, "networkpolicy/yunchi-default-deny", *where)["spec"]
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    assert policy["ingress"] == [{"from": [{"podSelector": {}}]}]

    zhao = pool.user_kubeconfig("zhao")
    pool.kubectl("create", "configmap", "mine", *where, kubeconfig=zhao)
    foreign = pool.kubectl("get", "pods", "--namespace", "default", kubeconfig=zhao, check=False)
    assert "forbidden" in foreign.stderr
    raised = pool.kubectl(
        "patch", "resourcequota", "yunchi-quota", *where, "--patch", '{"spec":{"hard":{"pods":"999"}}}',
        kubeconfig=zhao, check=False,
    )  # fmt: skip
    assert "forbidden" in raised.stderr


def test_what_was_changed_or_deleted_by_hand_is_put_right_at_the_next_resync(
    pool: ControlPlane, operator: RunningOperator
) -> None:
    apply(pool, department("hz-drift", "330100", "hz-drift", admin="qian"), user=OPS)
    wait_ready(pool, "department/hz-drift")
    where = ("--namespace", "hz-drift")
    more = json.dumps({"spec": {"hard": {"requests.cpu": "64"}}})
    pool.kubectl("patch", "resourcequota", "yunchi-quota", *where, "--type=merge", "--patch", more)
    opened = json.dumps({"spec": {"ingress": [{}]}})
    pool.kubectl("patch", "networkpolicy", "yunchi-default-deny", *where, "--type=merge", "--patch", opened)
    intruder = json.dumps([{"op": "replace", "path": "/subjects/0/name", "value": "intruder"}])
    pool.kubectl("patch", "rolebinding", "yunchi-department", *where, "--type=json", "--patch", intruder)
    pool.kubectl("delete", "limitrange", "yunchi-defaults", *where)

    def restored() -> bool:
        quota = get(pool, "resourcequota/yunchi-quota", *where)["spec"]["hard"]
        policy = get(pool, "networkpolicy/yunchi-default-deny", *where)["spec"]
        subjects = get(pool, "rolebinding/yunchi-department", *where)["subjects"]
        limits = get(pool, "limitrange", *where)["items"]
        return (quota["requests.cpu"], policy["ingress"], subjects[0]["name"], len(limits)) == (
            "2",
            [{"from": [{"podSelector": {}}]}],
            "qian",
            1,
        )

    assert eventually(restored, what="everything as it was")


def test_accelerators_of_the_pools_are_closed_until_they_are_granted(
    pool: ControlPlane, operator: RunningOperator
) -> None:
    apply(pool, department("hz-cards", "330100", "hz-cards", admin="zhou"), user=OPS)
    wait_ready(pool, "department/hz-cards")
    cards = {"apiVersion": "yunchi.io/v1alpha1", "kind": "NodePool", "metadata": {"name": "cards"}}
    apply(pool, cards | {"spec": {"nodeSelector": {"matchLabels": {"cards": "yes"}}}}, user=OPS)
    status = json.dumps({"status": {"allocatable": {"cpu": "8", "example.com/card": "8"}}})
    pool.kubectl("patch", "nodepool", "cards", "--subresource=status", "--type=merge", "--patch", status)

    where = ("--namespace", "hz-cards")
    quota = ("resourcequota/yunchi-quota", *where)
    assert eventually(lambda: get(pool, *quota)["spec"]["hard"].get("requests.example.com/card") == "0", what="closed")
    eventually(lambda: "requests.example.com/card" in get(pool, *quota)["status"]["hard"], what="quota in force")
    limits = json.dumps({"spec": {"containers": [
        {"name": "main", "image": "main", "resources": {"limits": {"example.com/card": "1"}}}
    ]}})  # fmt: skip
    taken = pool.kubectl(
        "run", "thief", "--image=main", *where, f"--overrides={limits}", "--override-type=strategic",
        kubeconfig=pool.user_kubeconfig("zhou"), check=False,
    )  # fmt: skip
    assert "exceeded quota" in taken.stderr
    pool.kubectl("delete", "nodepool", "cards")
    assert eventually(lambda: "requests.example.com/card" not in get(pool, *quota)["spec"]["hard"], what="gone")


def test_an_admin_who_leaves_loses_access(pool: ControlPlane, operator: RunningOperator) -> None:
    apply(pool, department("hz-staff", "330100", "hz-staff", admin="sun"), user=OPS)
    wait_ready(pool, "department/hz-staff")
    apply(pool, department("hz-staff", "330100", "hz-staff", admin="li") | {}, user=OPS)

    def changed() -> bool:
        subjects = get(pool, "rolebinding/yunchi-department", "--namespace=hz-staff")["subjects"]
        return [subject["name"] for subject in subjects] == ["li"]

    assert eventually(changed, what="li alone")
    gone = json.dumps({"spec": {"admins": []}})
    pool.kubectl("patch", "department", "hz-staff", "--type=merge", "--patch", gone)
    assert eventually(
        lambda: not get(pool, "rolebinding/yunchi-department", "--namespace=hz-staff").get("subjects"), what="nobody"
    )


def test_a_namespace_of_somebody_else_is_not_taken_over_and_the_others_are_done(
    pool: ControlPlane, operator: RunningOperator
) -> None:
    pool.kubectl("create", "namespace", "hz-foreign")
    apply(pool, department("hz-greedy", "330100", "hz-foreign", "hz-greedy", admin="wu"), user=OPS)
    told = wait_reason(pool, "NamespaceConflict", "department/hz-greedy")
    assert "hz-foreign exists and is not of Yunchi" in told["message"]
    assert get(pool, "department/hz-greedy")["status"]["namespaces"] == ["hz-greedy"]
    assert get(pool, "resourcequota/yunchi-quota", "--namespace=hz-greedy")["spec"]["hard"]["pods"] == "20"
    assert "yunchi.io/department" not in get(pool, "namespace/hz-foreign")["metadata"]["labels"]

    apply(pool, department("hz-thief", "330100", "hz-greedy", admin="zheng"), user=OPS)
    told = wait_reason(pool, "NamespaceConflict", "department/hz-thief")
    assert "belongs to another department" in told["message"]
    assert "hz-greedy " not in told["message"].replace("hz-greedy belongs", "")

    pool.kubectl("delete", "namespace", "hz-foreign")
    wait_ready(pool, "department/hz-greedy")


def test_unknown_divisions_are_told_with_the_nearest_codes(pool: ControlPlane, operator: RunningOperator) -> None:
    apply(pool, division("331900", "Prefecture", "330000"), division("330101", "Prefecture", "330000"), user=OPS)
    told = wait_reason(pool, "UnknownCode", "division/331900")
    assert "331100 (丽水市)" in told["message"]
    wait_reason(pool, "LevelMismatch", "division/330101")
    apply(pool, division("441302", "County", "441300"), user=OPS)
    told = wait_reason(pool, "ParentNotFound", "division/441302")
    assert "441300" in told["message"]
    apply(pool, division("440000", "Province"), division("441300", "Prefecture", "440000"), user=OPS)
    wait_ready(pool, "division/441302", "division/441300")

    apply(pool, department("lost", "441900", "lost-a", admin="feng"), user=OPS)
    told = wait_reason(pool, "DivisionNotFound", "department/lost")
    assert "spec.division 441900" in told["message"]
    apply(pool, division("441900", "Prefecture", "440000"), user=OPS)
    wait_ready(pool, "department/lost")


def test_deleting_a_department_leaves_its_namespaces(pool: ControlPlane, operator: RunningOperator) -> None:
    apply(pool, department("hz-gone", "330100", "hz-gone", admin="chen"), user=OPS)
    wait_ready(pool, "department/hz-gone")
    name = 'yunchi_condition{kind="Department",name="hz-gone",namespace="",reason="Applied",status="True",type="Ready"}'
    assert operator.metric(name) == 1
    pool.kubectl("delete", "department", "hz-gone", kubeconfig=pool.user_kubeconfig(OPS))
    assert eventually(lambda: operator.metric(name) is None, what="series gone")
    assert get(pool, "namespace/hz-gone")["status"]["phase"] == "Active"


def test_events_tell_people_what_was_done(pool: ControlPlane, operator: RunningOperator) -> None:
    apply(pool, department("hz-event", "330100", "hz-event", admin="wei"), user=OPS)
    wait_ready(pool, "department/hz-event")

    def told() -> set[str]:
        items = get(pool, "events.events.k8s.io", "--namespace=default")["items"]
        return {item["reason"] for item in items if item["regarding"].get("name") == "hz-event"}

    assert eventually(lambda: "Applied" in told(), what="event")


async def test_an_apply_that_would_change_nothing_is_not_sent(pool: ControlPlane, operator: RunningOperator) -> None:
    apply(pool, department("hz-calm", "330100", "hz-calm", admin="shen"), user=OPS)
    wait_ready(pool, "department/hz-calm")
    calm = msgspec.convert(get(pool, "department/hz-calm"), type=Department)
    limits = hard(calm.spec.base_quota, [])
    manifests = (namespace(calm, "hz-calm"), *contents(calm, "hz-calm", limits))
    async with await KubeClient.connect(pool.kubeconfig) as client:
        assert [await apply_object(client, manifest) for manifest in manifests] == [False] * 5
        more = contents(calm, "hz-calm", limits | {"requests.nvidia.com/gpu": "1"})
        assert [await apply_object(client, manifest) for manifest in more] == [True, False, False, False]

    def without_gpu() -> bool:
        return get(pool, "resourcequota/yunchi-quota", "--namespace=hz-calm")["spec"]["hard"] == limits

    assert eventually(without_gpu, what="the resource that nobody wants any more is gone")


def test_killed_and_started_again_it_changes_nothing_and_only_one_of_two_acts(
    pool: ControlPlane, operator: RunningOperator, tmp_path_factory: pytest.TempPathFactory
) -> None:
    apply(pool, department("hz-still", "330100", "hz-still", admin="jiang"), user=OPS)
    wait_ready(pool, "department/hz-still")
    held = {"yunchi_lease_held": operator.metric("yunchi_lease_held")}
    assert held == {"yunchi_lease_held": 1}
    before = versions(pool, "hz-still")
    with start_operator(pool, tmp_path_factory.mktemp("second"), name="second", wait=False) as second:
        assert eventually(lambda: second.get("/readyz")[0] == 200, what="a standby is ready")
        assert second.metric("yunchi_lease_held") == 0
        operator.kill()
        assert eventually(lambda: second.metric("yunchi_lease_held") == 1, what="the standby took over")
        listed = 'yunchi_reconcile_total{kind="Department",result="success"}'
        count = len(get(pool, "departments")["items"])
        assert eventually(lambda: (second.metric(listed) or 0) >= 2 * count, what="two passes")
        assert versions(pool, "hz-still") == before
        pool.kubectl("delete", "networkpolicy", "yunchi-default-deny", "--namespace=hz-still")
        assert eventually(
            lambda: get(pool, "networkpolicy", "--namespace=hz-still")["items"], what="the second one works"
        )
        assert condition(pool, "department/hz-still")["status"] == "True"
        assert second.stop() == 0
    assert get(pool, "lease/yunchi-operator", "--namespace=yunchi-system")["spec"]["holderIdentity"] == ""


def test_who_loses_the_lease_ends_at_once(
    pool: ControlPlane, operator: RunningOperator, tmp_path_factory: pytest.TempPathFactory
) -> None:
    where = ("lease", "yunchi-operator", "--namespace=yunchi-system")
    operator.kill()
    with start_operator(pool, tmp_path_factory.mktemp("loser"), name="loser") as loser:
        assert eventually(lambda: loser.metric("yunchi_lease_held") == 1, what="it acts")
        thief = json.dumps({"spec": {"holderIdentity": "thief", "leaseDurationSeconds": 1}})
        pool.kubectl("patch", *where, "--type=merge", "--patch", thief)
        assert loser.process.wait(timeout=60) == 1
        assert "held by thief" in loser.log.read_text()
