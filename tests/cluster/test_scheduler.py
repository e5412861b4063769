"""The scheduler process on a real API server, with the rights that the chart gives it; kwok plays the kubelets."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest

from controlplane.cluster import ControlPlane, scheduler_configuration
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
    scheduled_condition,
    start_scheduler,
)
from support.yunchi_process import eventually

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]

POOL_TAINT = {"key": "yunchi.io/pool", "effect": "NoSchedule"}


@pytest.fixture(scope="module")
def plane(pool: ControlPlane) -> ControlPlane:
    clean(pool)
    charts.install(pool)
    return pool


@pytest.fixture(scope="module")
def shared(plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningScheduler]:
    with start_scheduler(plane, tmp_path_factory.mktemp("scheduler")) as running:
        yield running


@pytest.fixture
def scheduler(shared: RunningScheduler) -> RunningScheduler:
    shared.wait_leading()
    return shared


@pytest.fixture
def nodes(plane: ControlPlane) -> Iterator[None]:
    """Nodes go after each test; pods do with their namespace."""
    yield
    plane.kubectl("delete", "nodes", "--all", timeout=120)


def waiting_message(plane: ControlPlane, namespace: str, name: str) -> str:
    def message() -> str:
        pod = plane.request("GET", f"/api/v1/namespaces/{namespace}/pods/{name}")[1]
        condition = scheduled_condition(pod)
        return str(condition["message"]) if condition.get("status") == "False" else ""

    return str(eventually(message, f"a PodScheduled=False condition of {name}"))


@pytest.mark.usefixtures("scheduler", "nodes")
def test_a_departments_deployment_runs_on_pooled_nodes_of_its_architecture(plane: ControlPlane) -> None:
    make_nodes(
        plane,
        node_manifest("arm-1", taints=[POOL_TAINT]),
        node_manifest("arm-2", taints=[POOL_TAINT]),
        node_manifest("amd-1", architecture="amd64", taints=[POOL_TAINT]),
    )
    namespace = "health"
    plane.create_namespace(namespace, {"yunchi.io/department": "health-commission", "yunchi.io/division": "320100"})
    binding = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": {"name": "yunchi-department", "namespace": namespace},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "yunchi-department"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "wang"}],
    }
    plane.kubectl("apply", "-f", "-", input=json.dumps(binding))
    template = pod_manifest("unused", namespace, cpu="1", nodeSelector={"kubernetes.io/arch": "arm64"})["spec"]
    deployment = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "namespace": namespace},
        "spec": {
            "replicas": 6,
            "selector": {"matchLabels": {"app": "web"}},
            "template": {"metadata": {"labels": {"app": "web"}}, "spec": template},
        },
    }
    wang = plane.user_kubeconfig("wang")
    plane.kubectl("apply", "-f", "-", input=json.dumps(deployment), kubeconfig=wang)
    plane.kubectl("rollout", "status", "deployment/web", "-n", namespace, "--timeout=60s", kubeconfig=wang, timeout=70)
    pods = pods_of(plane, namespace)
    assert [pod["spec"]["schedulerName"] for pod in pods] == ["yunchi"] * 6
    assert [pod["status"]["phase"] for pod in pods] == ["Running"] * 6
    assert len({node_of(pod) for pod in pods}) == 1  # eight cores hold six: one node, not two
    assert {node_of(pod) for pod in pods} <= {"arm-1", "arm-2"}
    plane.kubectl("delete", "namespace", namespace, "--wait=false")


@pytest.mark.usefixtures("scheduler", "nodes")
def test_each_rule_is_kept(plane: ControlPlane, namespace: str) -> None:
    npu = {"huawei.com/Ascend910": "2"}
    make_nodes(
        plane,
        node_manifest("plain", labels={"topology.kubernetes.io/zone": "320100"}),
        node_manifest("zoned", labels={"topology.kubernetes.io/zone": "320500"}),
        node_manifest("tainted", taints=[POOL_TAINT], labels={"disk": "nvme"}),
        node_manifest("cordoned"),
        node_manifest("npu", extended=npu),
    )
    plane.kubectl("cordon", "cordoned")
    expression = {"key": "disk", "operator": "In", "values": ["nvme", "ssd"]}
    affinity = {
        "nodeAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": {
                "nodeSelectorTerms": [{"matchExpressions": [expression]}]
            }
        }
    }
    term = {"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {"app": "quorum"}}}
    apart = {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}
    tolerant = [{"key": "yunchi.io/pool", "operator": "Exists"}]
    card = ours("card", namespace)
    card["spec"]["containers"][0]["resources"] = {
        "requests": {"cpu": "1", "huawei.com/Ascend910": "2"},
        "limits": {"huawei.com/Ascend910": "2"},
    }
    pods = [
        card,
        ours("pinned", namespace, nodeSelector={"topology.kubernetes.io/zone": "320500"}),
        ours("affine", namespace, affinity=affinity, tolerations=tolerant),
        *(ours(f"quorum-{n}", namespace, labels={"app": "quorum"}, affinity=apart) for n in range(3)),
    ]
    assert plane.create_many(pods) == []
    where = placed(plane, namespace, len(pods))
    assert (where["card"], where["pinned"], where["affine"]) == ("npu", "zoned", "tainted")
    assert sorted(where[f"quorum-{n}"] for n in range(3)) == ["npu", "plain", "zoned"]

    assert plane.create_many([ours("quorum-4", namespace, labels={"app": "quorum"}, affinity=apart)]) == []
    message = waiting_message(plane, namespace, "quorum-4")
    assert message.startswith("0/5 nodes are available: ")
    for part in ("1 node(s) were unschedulable", "untolerated taint {yunchi.io/pool}", "anti-affinity"):
        assert part in message
    plane.kubectl("uncordon", "cordoned")
    assert placed(plane, namespace, len(pods) + 1)["quorum-4"] == "cordoned"


@pytest.mark.usefixtures("nodes")
def test_an_infeasible_pod_says_why_and_is_bound_when_a_node_appears(
    plane: ControlPlane, namespace: str, scheduler: RunningScheduler
) -> None:
    make_nodes(plane, node_manifest("small-1", cpu="2"), node_manifest("small-2", cpu="2"))
    assert plane.create_many([ours("big", namespace, cpu="7")]) == []
    assert waiting_message(plane, namespace, "big").startswith("0/2 nodes are available: 2 Insufficient cpu.")
    condition = scheduled_condition(plane.request("GET", f"/api/v1/namespaces/{namespace}/pods/big")[1])
    assert condition["reason"] == "Unschedulable"
    assert scheduler.metric('yunchi_scheduler_pending_pods{state="unschedulable"}') == 1.0
    assert scheduler.metric('yunchi_unplaceable{reason="resources:cpu"}') == 1.0

    def events() -> str:
        return plane.kubectl("get", "events", "-n", namespace, "--field-selector=reason=FailedScheduling").stdout

    eventually(lambda: "2 Insufficient cpu" in events(), "the FailedScheduling event")
    assert plane.create_many([node_manifest("large", cpu="8")]) == []
    assert placed(plane, namespace, 1) == {"big": "large"}
    eventually(
        lambda: scheduler.metric('yunchi_scheduler_pending_pods{state="unschedulable"}') == 0.0, "an empty queue"
    )


@pytest.mark.usefixtures("scheduler", "nodes")
def test_a_freed_place_and_a_lifted_gate_are_noticed(plane: ControlPlane, namespace: str) -> None:
    make_nodes(plane, node_manifest("only", cpu="4"))
    gated = ours("gated", namespace, cpu="1", schedulingGates=[{"name": "example.com/wait"}])
    assert plane.create_many([ours("first", namespace, cpu="3"), gated]) == []
    placed(plane, namespace, 1)
    assert plane.create_many([ours("second", namespace, cpu="3")]) == []
    assert "1 Insufficient cpu" in waiting_message(plane, namespace, "second")
    plane.kubectl("delete", "pod", "first", "-n", namespace)
    assert placed(plane, namespace, 1) == {"second": "only"}
    patch = '{"spec":{"schedulingGates":null}}'
    plane.kubectl("patch", "pod", "gated", "-n", namespace, "--type=merge", "-p", patch)
    assert placed(plane, namespace, 2) == {"second": "only", "gated": "only"}


@pytest.mark.usefixtures("nodes")
def test_a_storm_is_packed_tightly_and_pools_are_counted(
    plane: ControlPlane, namespace: str, scheduler: RunningScheduler
) -> None:
    pool_object = {
        "apiVersion": "yunchi.io/v1alpha1",
        "kind": "NodePool",
        "metadata": {"name": "storm"},
        "spec": {"nodeSelector": {"matchLabels": {"test": "storm"}}, "cost": "2.5"},
    }
    plane.kubectl("apply", "-f", "-", input=json.dumps(pool_object))
    make_nodes(plane, *(node_manifest(f"n-{n:02}", cpu="8", labels={"test": "storm"}) for n in range(30)))
    assert plane.create_many([ours(f"p-{n:03}", namespace, cpu="500m") for n in range(160)]) == []
    where = placed(plane, namespace, 160)
    assert len(set(where.values())) == 10  # 80 cores on nodes of 8: not one node more
    assert overcommitted(plane) == {}

    def status() -> dict[str, Any]:
        shown: dict[str, Any] = json.loads(plane.kubectl("get", "nodepool", "storm", "-o", "json").stdout)
        return shown.get("status", {})

    eventually(lambda: status().get("nodesInUse") == 10, "the pool's status")
    assert (status()["nodes"], status()["allocatable"]["cpu"], status()["requested"]["cpu"]) == (30, "240", "80")
    assert [one["reason"] for one in status()["conditions"]] == ["Observed"]
    assert scheduler.metric('yunchi_pool_requested{pool="storm",resource="cpu"}') == 80.0
    assert scheduler.metric('yunchi_nodes{pool="storm",state="free"}') == 20.0
    assert (scheduler.metric('yunchi_bind_total{result="bound"}') or 0) >= 160
    plane.kubectl("delete", "nodepool", "storm")


@pytest.mark.usefixtures("scheduler", "nodes")
def test_beside_another_scheduler_only_true_races_overcommit(plane: ControlPlane, namespace: str) -> None:
    make_nodes(plane, *(node_manifest(f"n-{n:02}", cpu="8") for n in range(10)))
    process = plane.start_kube_scheduler(scheduler_configuration(), name="rival")
    try:
        pods = [ours(f"ours-{n:02}", namespace, cpu="1") for n in range(60)]
        rivals = [pod_manifest(f"rival-{n:02}", namespace, cpu="1") for n in range(60)]
        mixed = [pod for pair in zip(rivals, pods, strict=True) for pod in pair]
        assert plane.create_many(mixed) == []
        placed(plane, namespace, 79)
    finally:
        process.stop()
        plane.processes.pop("rival", None)
    by_node: dict[str, list[dict[str, Any]]] = {}
    for pod in pods_of(plane, namespace):
        by_node.setdefault(node_of(pod), []).append(pod)
    for node in overcommitted(plane):
        times = {"yunchi": [], "default-scheduler": []}
        for pod in by_node[node]:
            at = datetime.fromisoformat(scheduled_condition(pod)["lastTransitionTime"])
            times[pod["spec"]["schedulerName"]].append(at.timestamp())
        gap = min(abs(a - b) for a in times["yunchi"] for b in times["default-scheduler"])
        assert gap <= 2.0, f"{node}: room taken {gap} s ago was given away again"


def test_explain_says_what_each_node_says(
    plane: ControlPlane, namespace: str, scheduler: RunningScheduler, nodes: None
) -> None:
    del scheduler, nodes
    make_nodes(plane, node_manifest("n1", cpu="4"), node_manifest("n2", taints=[POOL_TAINT]))
    assert plane.create_many([ours("big", namespace, cpu="6"), ours("small", namespace)]) == []
    placed(plane, namespace, 1)
    waiting_message(plane, namespace, "big")

    def explained(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "yunchi_operator.cli.main", "explain", "pod", *arguments]
        return subprocess.run(
            [*command, "--kubeconfig", str(plane.kubeconfig)], capture_output=True, text=True, check=False, timeout=60
        )

    found = explained(f"{namespace}/big", "-o", "json")
    assert found.returncode == 3, found.stderr
    document = json.loads(found.stdout)
    assert (document["state"], document["openTo"]) == ("waiting", [])
    assert {one["rule"]: one["examples"] for one in document["refused"]} == {
        "resources:cpu": ["n1"],
        "taint:yunchi.io/pool": ["n2"],
    }
    text = explained("small", "-n", namespace)
    assert text.returncode == 0
    assert f"{namespace}/small  bound to n1" in text.stdout
    missing = explained("nobody", "-n", namespace)
    assert missing.returncode == 2
    assert f"there is no pod {namespace}/nobody" in missing.stderr
