"""Pods with claims on a real API server: the real volume controller binds, the test plays the provisioner."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from controlplane.cluster import ControlPlane
from support import charts
from support.clusters import clean, node_manifest
from support.scheduler_process import (
    RunningScheduler,
    make_nodes,
    ours,
    placed,
    scheduled_condition,
    start_scheduler,
)
from support.yunchi_process import eventually

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(180)]

HOST = "kubernetes.io/hostname"
SELECTED = "volume.kubernetes.io/selected-node"


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
def three_nodes(plane: ControlPlane, shared: RunningScheduler) -> Iterator[None]:
    shared.wait_leading()
    make_nodes(plane, *(node_manifest(f"n{number}") for number in range(1, 4)))
    yield
    for kind in ("pods", "persistentvolumeclaims"):
        plane.kubectl("delete", kind, "--all", "--all-namespaces", "--grace-period=0", "--force", timeout=60)
    plane.kubectl("delete", "persistentvolumes,storageclasses", "--all", timeout=60)
    plane.kubectl("delete", "nodes", "--all", timeout=60)


def apply(plane: ControlPlane, *objects: dict[str, Any]) -> None:
    for one in objects:
        plane.kubectl("apply", "-f", "-", input=json.dumps(one))


def storage_class(name: str, provisioner: str, mode: str = "WaitForFirstConsumer") -> dict[str, Any]:
    kind = {"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": name}}
    return kind | {"provisioner": provisioner, "volumeBindingMode": mode}


def volume(name: str, host: str, of: str = "local", **spec: Any) -> dict[str, Any]:
    term = {"matchExpressions": [{"key": HOST, "operator": "In", "values": [host]}]}
    body = {
        "capacity": {"storage": "10Gi"},
        "accessModes": ["ReadWriteOnce"],
        "storageClassName": of,
        "local": {"path": "/data"},
        "nodeAffinity": {"required": {"nodeSelectorTerms": [term]}},
    }
    return {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name}, "spec": body | spec}


def claim(name: str, namespace: str, of: str = "local") -> dict[str, Any]:
    spec = {
        "accessModes": ["ReadWriteOnce"],
        "storageClassName": of,
        "resources": {"requests": {"storage": "5Gi"}},
    }
    meta = {"name": name, "namespace": namespace}
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": meta, "spec": spec}


def user(name: str, namespace: str, *claims: str, **spec: Any) -> dict[str, Any]:
    volumes = [{"name": one, "persistentVolumeClaim": {"claimName": one}} for one in claims]
    return ours(name, namespace, volumes=volumes, **spec)


def message_of(plane: ControlPlane, namespace: str, name: str) -> str:
    def message() -> str:
        condition = scheduled_condition(plane.request("GET", f"/api/v1/namespaces/{namespace}/pods/{name}")[1])
        return str(condition["message"]) if condition.get("status") == "False" else ""

    return str(eventually(message, f"a PodScheduled=False condition of {name}"))


@pytest.mark.usefixtures("three_nodes")
def test_a_pod_goes_where_a_local_volume_fits_its_claim(plane: ControlPlane, namespace: str) -> None:
    apply(plane, storage_class("local", "kubernetes.io/no-provisioner"), volume("disk", "n2"), claim("data", namespace))
    assert plane.create_many([user("db", namespace, "data")]) == []
    assert placed(plane, namespace, 1) == {"db": "n2"}
    found = plane.request("GET", f"/api/v1/namespaces/{namespace}/persistentvolumeclaims/data")[1]
    assert (found["spec"]["volumeName"], found["status"]["phase"]) == ("disk", "Bound")


@pytest.mark.usefixtures("three_nodes")
def test_without_a_volume_the_pod_waits_and_starts_when_there_is_one(plane: ControlPlane, namespace: str) -> None:
    assert plane.create_many([user("db", namespace, "data")]) == []
    assert 'persistentvolumeclaim "data" not found' in message_of(plane, namespace, "db")
    apply(plane, storage_class("local", "kubernetes.io/no-provisioner"), claim("data", namespace))
    text = "didn't find available persistent volumes to bind"
    eventually(lambda: text in message_of(plane, namespace, "db"), "the new reason")
    apply(plane, volume("small", "n1", capacity={"storage": "1Gi"}), volume("disk", "n3"))
    assert placed(plane, namespace, 1) == {"db": "n3"}


@pytest.mark.usefixtures("three_nodes")
def test_two_pods_of_one_batch_do_not_get_the_same_volume(plane: ControlPlane, namespace: str) -> None:
    apply(plane, storage_class("local", "kubernetes.io/no-provisioner"))
    apply(plane, *(volume(f"disk-{host}", host) for host in ("n1", "n2")))
    apply(plane, *(claim(f"data-{number}", namespace) for number in range(3)))
    pods = [user(f"db-{number}", namespace, f"data-{number}", cpu="100m") for number in range(3)]
    assert plane.create_many(pods) == []
    found = placed(plane, namespace, 2)
    assert sorted(found.values()) == ["n1", "n2"]
    (late,) = {"db-0", "db-1", "db-2"} - set(found)
    assert "volumes" in message_of(plane, namespace, late)


@pytest.mark.usefixtures("three_nodes")
def test_a_provisioner_is_asked_for_the_chosen_node_and_may_refuse(plane: ControlPlane, namespace: str) -> None:
    apply(plane, storage_class("fast", "csi.example.com"), claim("data", namespace, "fast"))
    assert plane.create_many([user("db", namespace, "data")]) == []
    path = f"/api/v1/namespaces/{namespace}/persistentvolumeclaims/data"

    def selected() -> str:
        found = plane.request("GET", path)[1]
        return str(found["metadata"].get("annotations", {}).get(SELECTED, ""))

    first = str(eventually(selected, "a selected node"))
    # What a provisioner does that has no room there: it takes the selection back, and the pod is placed anew.
    plane.kubectl("annotate", "pvc", "data", "-n", namespace, f"{SELECTED}-")
    plane.kubectl("cordon", first)
    second = str(eventually(lambda: (chosen := selected()) != first and chosen, "another selected node"))
    made = volume("made", second, "fast", csi={"driver": "csi.example.com", "volumeHandle": "h1"})
    del made["spec"]["local"]
    reference = {"kind": "PersistentVolumeClaim", "namespace": namespace, "name": "data", "uid": ""}
    reference["uid"] = plane.request("GET", path)[1]["metadata"]["uid"]
    apply(plane, made | {"spec": made["spec"] | {"claimRef": reference}})
    assert placed(plane, namespace, 1) == {"db": second}


@pytest.mark.usefixtures("three_nodes")
def test_a_claim_for_one_pod_alone_is_used_by_one_pod_alone(plane: ControlPlane, namespace: str) -> None:
    alone = claim("data", namespace)
    alone["spec"]["accessModes"] = ["ReadWriteOncePod"]
    disk = volume("disk", "n1", accessModes=["ReadWriteOncePod"], csi={"driver": "d", "volumeHandle": "h"})
    del disk["spec"]["local"]
    apply(plane, storage_class("local", "kubernetes.io/no-provisioner"), disk, alone)
    assert plane.create_many([user("db-0", namespace, "data"), user("db-1", namespace, "data")]) == []
    found = placed(plane, namespace, 1)
    (late,) = {"db-0", "db-1"} - set(found)
    assert "ReadWriteOncePod" in message_of(plane, namespace, late)
    plane.kubectl("delete", "pod", *found, "-n", namespace, "--grace-period=0", "--force")
    assert placed(plane, namespace, 1) == {late: "n1"}
