"""Existing clouds: inventories from host lists and from member clusters, and what people read when one is broken."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from controlplane.cluster import ControlPlane
from support.charts import NAMESPACE
from support.operator_process import (
    API,
    OPS,
    RunningOperator,
    apply,
    condition,
    division,
    get,
    operated,
    wait_ready,
    wait_reason,
)
from support.yunchi_process import eventually

pytestmark = pytest.mark.cluster
HEADER = "hostname,arch,vendor,cpu_model,cpu_cores,memory_gib,cpu_used_cores,memory_used_gib,workloads"
HOSTS = f"""{HEADER}
nb-kp-01,arm64,Huawei,Kunpeng 920,64,256,6.4,64,12
nb-kp-02,arm64,Huawei,Kunpeng 920,64,256,3.2,32,8
nb-hg-01,amd64,Hygon,7285,32,128,6.4,32,4
"""
READER = "yunchi-reader"


@pytest.fixture(scope="module")
def operator(pool: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningOperator]:
    with operated(pool, tmp_path_factory.mktemp("tenancies")) as running:
        apply(pool, division("330000", "Province"), division("330200", "Prefecture", "330000"), user=OPS)
        yield running


def tenancy(name: str, division_code: str = "330200", interval: int = 5, **source: Any) -> dict[str, Any]:
    spec = {"division": division_code, "source": source, "intervalSeconds": interval}
    return {"apiVersion": API, "kind": "CloudTenancy", "metadata": {"name": name}, "spec": spec}


def host_list(name: str, text: str) -> dict[str, Any]:
    metadata = {"name": name, "namespace": NAMESPACE}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"hosts.csv": text}}


def secret(name: str, kubeconfig: str, key: str = "kubeconfig") -> dict[str, Any]:
    metadata = {"name": name, "namespace": NAMESPACE}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": {key: kubeconfig}}


def by_list(name: str, **options: Any) -> dict[str, Any]:
    return tenancy(name, hostListConfigMapRef={"name": name}, **options)


def by_secret(name: str, **options: Any) -> dict[str, Any]:
    return tenancy(name, kubeconfigSecretRef={"name": name}, **options)


def test_a_host_list_becomes_an_inventory(pool: ControlPlane, operator: RunningOperator) -> None:
    apply(pool, host_list("nb-hosts", HOSTS))
    apply(pool, by_list("nb-hosts", interval=3600), user=OPS)
    wait_ready(pool, "cloudtenancy/nb-hosts", user=OPS)
    status = get(pool, "cloudtenancy/nb-hosts")["status"]
    assert status["inventory"] == {
        "nodes": 3,
        "workloads": 24,
        "cpu": "160",
        "memory": "640Gi",
        "cpuUsed": "16",
        "memoryUsed": "128Gi",
        "cpuUsedPercent": 10,
        "architectures": [
            {"architecture": "arm64", "nodes": 2, "cpu": "128"},
            {"architecture": "amd64", "nodes": 1, "cpu": "32"},
        ],
    }
    cores = 'yunchi_tenancy_cpu_cores{division="330200",tenancy="nb-hosts"}'
    assert eventually(lambda: operator.metric(cores) == 160, what=cores)
    pool.kubectl("delete", "cloudtenancy", "nb-hosts")
    assert eventually(lambda: operator.metric(cores) is None, what="series gone")


def test_a_broken_line_is_named_and_the_former_inventory_kept(pool: ControlPlane, operator: RunningOperator) -> None:
    apply(pool, host_list("nb-broken", HOSTS), host_list("nb-fine", HOSTS))
    apply(pool, by_list("nb-broken"), user=OPS)
    wait_ready(pool, "cloudtenancy/nb-broken")
    apply(
        pool, host_list("nb-broken", HOSTS.replace("nb-kp-02,arm64", "nb-kp-02,aarch64").replace("32,128", "32,lots"))
    )
    told = wait_reason(pool, "InvalidHostList", "cloudtenancy/nb-broken")
    assert f"ConfigMap {NAMESPACE}/nb-broken" in told["message"]
    assert "line 3, column arch: 'aarch64' is another name of it; write arm64" in told["message"]
    assert "line 4, column memory_gib: 'lots' is no number" in told["message"]
    assert "former inventory is kept" in told["message"]
    assert get(pool, "cloudtenancy/nb-broken")["status"]["inventory"]["nodes"] == 3

    apply(pool, by_list("nb-fine"), user=OPS)
    wait_ready(pool, "cloudtenancy/nb-fine")
    apply(pool, host_list("nb-broken", HOSTS))
    wait_ready(pool, "cloudtenancy/nb-broken")


def test_missing_sources_are_told(pool: ControlPlane, operator: RunningOperator) -> None:
    apply(pool, secret("nb-other-key", "{}", key="config"))
    apply(
        pool,
        by_secret("nb-no-secret"),
        by_list("nb-no-list"),
        by_secret("nb-other-key"),
        by_list("nb-no-division", division_code="331000"),
        user=OPS,
    )
    told = wait_reason(pool, "SecretNotFound", "cloudtenancy/nb-no-secret")
    assert f"there is no Secret {NAMESPACE}/nb-no-secret; create it" in told["message"]
    wait_reason(pool, "ConfigMapNotFound", "cloudtenancy/nb-no-list")
    told = wait_reason(pool, "KeyNotFound", "cloudtenancy/nb-other-key")
    assert "it has config" in told["message"]
    wait_reason(pool, "DivisionNotFound", "cloudtenancy/nb-no-division")


def test_a_kubeconfig_that_runs_commands_or_reads_files_is_refused(
    pool: ControlPlane, operator: RunningOperator, tmp_path: Path
) -> None:
    config = yaml.safe_load(pool.kubeconfig.read_text())
    trace = tmp_path / "ran"
    config["users"][0]["user"] = {"exec": {"command": "touch", "args": [str(trace)], "apiVersion": "v1"}}
    apply(pool, secret("nb-exec", yaml.safe_dump(config)))
    config["users"][0]["user"] = {"tokenFile": "/etc/hostname"}
    apply(pool, secret("nb-file", yaml.safe_dump(config)))
    apply(pool, by_secret("nb-exec"), by_secret("nb-file"), user=OPS)
    told = wait_reason(pool, "BadKubeconfig", "cloudtenancy/nb-exec")
    assert "user.exec: refused, because it runs a command" in told["message"]
    told = wait_reason(pool, "BadKubeconfig", "cloudtenancy/nb-file")
    assert "user.tokenFile: refused" in told["message"]
    assert not trace.exists()


def test_a_server_that_hangs_or_is_gone_stops_nothing_else(pool: ControlPlane, operator: RunningOperator) -> None:
    config = yaml.safe_load(pool.kubeconfig.read_text())
    with socket.socket() as silent, socket.socket() as closed:
        silent.bind(("127.0.0.1", 0))
        silent.listen(128)
        closed.bind(("127.0.0.1", 0))
        config["clusters"][0]["cluster"]["server"] = f"https://127.0.0.1:{silent.getsockname()[1]}"
        apply(pool, secret("nb-hangs", yaml.safe_dump(config)))
        config["clusters"][0]["cluster"]["server"] = f"https://127.0.0.1:{closed.getsockname()[1]}"
        apply(pool, secret("nb-gone", yaml.safe_dump(config)))
        apply(pool, by_secret("nb-hangs"), by_secret("nb-gone"), user=OPS)
        told = wait_reason(pool, "Unreachable", "cloudtenancy/nb-gone")
        assert "Connection refused" in told["message"]
        version = get(pool, "cloudtenancy/nb-gone")["metadata"]["resourceVersion"]
        wait_reason(pool, "Pending", "cloudtenancy/nb-hangs")

        apply(pool, host_list("nb-beside", HOSTS))
        apply(pool, by_list("nb-beside"), division("330282", "County", "330200"), user=OPS)
        wait_ready(pool, "cloudtenancy/nb-beside", "division/330282")
        assert condition(pool, "cloudtenancy/nb-hangs")["status"] == "Unknown"
        told = wait_reason(pool, "Unreachable", "cloudtenancy/nb-hangs")
        assert condition(pool, "cloudtenancy/nb-hangs", kind="Reachable")["status"] == "False"
        # Tried again several times by now, and told in the same words: nothing was written.
        assert get(pool, "cloudtenancy/nb-gone")["metadata"]["resourceVersion"] == version


def member_reader(member: ControlPlane) -> str:
    """A kubeconfig of an account that may list nodes and pods and nothing else."""
    rbac = "rbac.authorization.k8s.io"
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": READER, "namespace": "default"}}
    role = {
        "apiVersion": f"{rbac}/v1",
        "kind": "ClusterRole",
        "metadata": {"name": READER},
        "rules": [{"apiGroups": [""], "resources": ["nodes", "pods"], "verbs": ["list"]}],
    }
    binding = {
        "apiVersion": f"{rbac}/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": READER},
        "roleRef": {"apiGroup": rbac, "kind": "ClusterRole", "name": READER},
        "subjects": [{"kind": "ServiceAccount", "name": READER, "namespace": "default"}],
    }
    apply(member, account, role, binding)
    return member.service_account_kubeconfig("default", READER).read_text()


def inline(text: str) -> str:
    """The kubeconfig with files put inline, as `kubectl config view --flatten` does."""
    config = yaml.safe_load(text)
    assert "certificate-authority-data" in config["clusters"][0]["cluster"]
    return yaml.safe_dump(config)


def test_a_member_cluster_is_inventoried_by_a_least_privilege_account(
    pool: ControlPlane, operator: RunningOperator, control_plane_factory: Any
) -> None:
    member: ControlPlane = control_plane_factory(name="island", components=("kube-controller-manager", "kwok"))
    capacity = {"cpu": "32", "memory": "64Gi", "pods": "110"}
    for number, architecture in enumerate(("arm64", "arm64", "loong64")):
        node = {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {"name": f"n{number}", "labels": {"kubernetes.io/arch": architecture}},
            "status": {"capacity": capacity, "allocatable": capacity},
        }
        assert member.create_many([node]) == []
    container = {"name": "web", "image": "web", "resources": {"requests": {"cpu": "6", "memory": "4Gi"}}}
    pods = [
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": f"web-{number}", "namespace": "default"},
            "spec": {
                "nodeName": f"n{number % 3}",
                "containers": [container],
                "tolerations": [{"operator": "Exists"}],
            },
        }
        for number in range(4)
    ]
    assert member.create_many(pods) == []

    apply(pool, secret("nb-island", inline(member_reader(member))))
    apply(pool, by_secret("nb-island"), user=OPS)
    wait_ready(pool, "cloudtenancy/nb-island", user=OPS)
    inventory = get(pool, "cloudtenancy/nb-island")["status"]["inventory"]
    assert (inventory["nodes"], inventory["workloads"], inventory["cpu"]) == (3, 4, "96")
    assert (inventory["cpuRequested"], inventory["cpuRequestedPercent"]) == ("24", 25)
    assert "cpuUsed" not in inventory
    assert inventory["architectures"][0] == {"architecture": "arm64", "nodes": 2, "cpu": "64"}

    less = [{"op": "replace", "path": "/rules/0/resources", "value": ["nodes"]}]
    member.kubectl("patch", "clusterrole", READER, "--type=json", "--patch", json.dumps(less))
    told = wait_reason(pool, "Forbidden", "cloudtenancy/nb-island")
    assert "needs the verb list on nodes and pods" in told["message"]
    assert get(pool, "cloudtenancy/nb-island")["status"]["inventory"] == inventory
    member.stop()
    wait_reason(pool, "Unreachable", "cloudtenancy/nb-island")
    assert get(pool, "cloudtenancy/nb-island")["status"]["inventory"] == inventory
