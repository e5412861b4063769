"""Preemption on a real API server, with the rights of the chart; and two schedulers on one node."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from controlplane.cluster import ControlPlane
from support import charts
from support.clusters import clean, node_manifest, pod_manifest
from support.scheduler_process import (
    RunningScheduler,
    make_nodes,
    node_of,
    ours,
    overcommitted,
    placed,
    pods_of,
    start_scheduler,
)
from support.yunchi_process import eventually

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(180)]

CLASSES = {"urgent": 1000, "low": -10}


@pytest.fixture(scope="module")
def plane(pool: ControlPlane) -> Iterator[ControlPlane]:
    clean(pool)
    charts.install(pool)
    for name, value in CLASSES.items():
        kind = {
            "apiVersion": "scheduling.k8s.io/v1",
            "kind": "PriorityClass",
            "metadata": {"name": name},
            "value": value,
        }
        pool.kubectl("apply", "-f", "-", input=json.dumps(kind))
    never = {"metadata": {"name": "patient"}, "value": 1000, "preemptionPolicy": "Never"}
    kind = {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass"} | never
    pool.kubectl("apply", "-f", "-", input=json.dumps(kind))
    yield pool
    pool.kubectl("delete", "priorityclass", "urgent", "low", "patient")


@pytest.fixture(scope="module")
def shared(plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningScheduler]:
    with start_scheduler(plane, tmp_path_factory.mktemp("scheduler")) as running:
        yield running


@pytest.fixture
def two_nodes(plane: ControlPlane, shared: RunningScheduler) -> Iterator[None]:
    shared.wait_leading()
    make_nodes(plane, node_manifest("n1", cpu="4"), node_manifest("n2", cpu="4"))
    yield
    plane.kubectl("delete", "pods", "--all", "--all-namespaces", "--grace-period=0", "--force", timeout=60)
    plane.kubectl("delete", "nodes", "--all", timeout=60)


def fill(plane: ControlPlane, namespace: str, cpu: str, count: int, **more: Any) -> dict[str, str]:
    assert plane.create_many([ours(f"low-{n}", namespace, cpu=cpu, **more) for n in range(count)]) == []
    return placed(plane, namespace, count)


@pytest.mark.usefixtures("two_nodes")
def test_the_fewest_and_lowest_make_room_for_a_batch(plane: ControlPlane, namespace: str) -> None:
    fill(plane, namespace, "1", 8, priorityClassName="low")
    urgent = [ours(f"urgent-{n}", namespace, cpu="2", priorityClassName="urgent") for n in range(2)]
    assert plane.create_many(urgent) == []

    def bound() -> bool:
        return all(node_of(pod) for pod in pods_of(plane, namespace) if pod["metadata"]["name"].startswith("urgent"))

    eventually(bound, "both urgent pods")
    left = [pod["metadata"]["name"] for pod in pods_of(plane, namespace)]
    assert sum(name.startswith("low") for name in left) == 4  # two for each, not one more
    assert overcommitted(plane) == {}
    events = plane.request("GET", f"/apis/events.k8s.io/v1/namespaces/{namespace}/events")[1]["items"]
    assert sum(event["reason"] == "Preempted" for event in events) == 4


@pytest.mark.usefixtures("two_nodes")
def test_a_budget_is_respected_while_there_is_another_way(plane: ControlPlane, namespace: str) -> None:
    spec = {"minAvailable": 1, "selector": {"matchLabels": {"app": "web"}}}
    budget = {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "web"}, "spec": spec}
    plane.kubectl("apply", "-n", namespace, "-f", "-", input=json.dumps(budget))
    pods = [
        ours("web", namespace, cpu="4", labels={"app": "web"}, priorityClassName="low"),
        ours("plain", namespace, cpu="4"),
    ]
    assert plane.create_many(pods) == []
    placed(plane, namespace, 2)

    def counted() -> bool:
        found = json.loads(plane.kubectl("get", "pdb", "web", "-n", namespace, "-o", "json").stdout)
        return bool(found["status"].get("expectedPods") == 1)

    eventually(counted, "the budget's status")
    assert plane.create_many([ours("urgent", namespace, cpu="4", priorityClassName="urgent")]) == []
    eventually(lambda: "urgent" in placed(plane, namespace, 2), "the urgent pod")
    assert {pod["metadata"]["name"] for pod in pods_of(plane, namespace)} == {"web", "urgent"}


@pytest.mark.usefixtures("two_nodes")
def test_who_may_never_preempt_waits_and_nobody_goes_in_vain(plane: ControlPlane, namespace: str) -> None:
    fill(plane, namespace, "4", 2, priorityClassName="low")
    pods = [
        ours("patient", namespace, cpu="1", priorityClassName="patient"),
        ours("too-large", namespace, cpu="5", priorityClassName="urgent"),
    ]
    assert plane.create_many(pods) == []

    def refused() -> bool:
        waiting = [pod for pod in pods_of(plane, namespace) if not node_of(pod)]
        told = [pod for pod in waiting for one in pod["status"].get("conditions", []) if one["type"] == "PodScheduled"]
        return len(told) == 2

    eventually(refused, "two refusals")
    assert sorted(placed(plane, namespace, 2)) == ["low-0", "low-1"]


@pytest.mark.usefixtures("two_nodes")
def test_a_node_filled_by_two_schedulers_at_once_gives_ours_back(plane: ControlPlane, namespace: str) -> None:
    fill(plane, namespace, "3", 1)
    (home,) = placed(plane, namespace, 1).values()
    foreign = pod_manifest("foreign", namespace, cpu="2", nodeName=home)
    assert plane.create_many([foreign]) == []
    eventually(lambda: [pod["metadata"]["name"] for pod in pods_of(plane, namespace)] == ["foreign"], "room again")
    assert overcommitted(plane) == {}
