"""``--merge``: whose nodes are in the pool, and what a cloud brings when it joins."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from yunchi_operator.api.manifests import Inventory, Origin
from yunchi_operator.cli.tenancies import merged
from yunchi_operator.scheduling.nodes import Pools
from yunchi_operator.scheduling.whatif import Cluster

HEADER = "hostname,arch,cpu_model,cpu_cores,memory_gib,cpu_used_cores,memory_used_gib,workloads\n"
HOSTS = HEADER + "nj-1,arm64,kunpeng-920,64,256,8.5,64,5\nnj-2,amd64,,32,128,0,0,0\nnj-3,amd64,,32,128,,,\n"


def node(name: str, **labels: str) -> dict[str, Any]:
    status = {"allocatable": {"cpu": "8", "memory": "16Gi", "pods": "110"}}
    return {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels}, "status": status}


def pod(name: str, home: str | None = None, owner: str = "ReplicaSet", **meta: Any) -> dict[str, Any]:
    owners = [{"kind": owner, "name": "x", "controller": True}]
    spec: dict[str, Any] = {"containers": [{"name": "c"}]} | ({"nodeName": home} if home else {})
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "ownerReferences": owners, **meta},
        "spec": spec,
    }


def tenancy(name: str, **source: Any) -> dict[str, Any]:
    spec = {"division": "320100", "source": source}
    return {"apiVersion": "yunchi.io/v1alpha1", "kind": "CloudTenancy", "metadata": {"name": name}, "spec": spec}


def host_list(
    text: str, name: str = "hosts", namespace: str = "yunchi-system", key: str = "hosts.csv"
) -> dict[str, Any]:
    meta = {"name": name, "namespace": namespace}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {key: text}}


NANJING = tenancy("nanjing", hostListConfigMapRef={"name": "hosts"})
SUZHOU = tenancy("suzhou", kubeconfigSecretRef={"name": "member"})
LABEL = {"yunchi.io/tenancy": "suzhou"}
MEMBER = [node("sz-1", **LABEL), pod("web", "sz-1"), pod("agent", "sz-1", "DaemonSet"), pod("new", labels=LABEL)]
POOL = [node("n1"), pod("a", "n1"), pod("waits")]


def merge(wanted: list[str], *objects: dict[str, Any]) -> tuple[Cluster, list[str]]:
    inventory = Inventory()
    for index, one in enumerate(objects):
        inventory.add(json.loads(json.dumps(one)), Origin("f", index))
    assert inventory.faults == []
    told: list[str] = []
    return merged(inventory, wanted, told.append), told


def names(cluster: Cluster) -> tuple[list[str], list[str]]:
    return [one.metadata.name for one in cluster.nodes], [one.metadata.name for one in cluster.pods]


def test_a_cloud_that_has_not_joined_is_left_out_and_told() -> None:
    found, told = merge([], *POOL, *MEMBER, SUZHOU)
    assert names(found) == (["n1"], ["a", "waits"])
    assert told == ["not in the pool: 1 node of CloudTenancy suzhou; --merge suzhou adds what it has"]


def test_a_member_cluster_joins_with_its_pods() -> None:
    found, told = merge(["suzhou", "suzhou"], *POOL, *MEMBER, SUZHOU)
    assert names(found) == (["n1", "sz-1"], ["a", "waits", "web", "agent", "new"])
    by_name = {one.metadata.name: one for one in found.pods}
    assert by_name["web"].spec.scheduler_name == "yunchi"
    assert [one.key for one in by_name["web"].spec.tolerations] == ["yunchi.io/pool"]
    assert by_name["agent"].spec.scheduler_name == "default-scheduler"
    assert by_name["a"].spec.scheduler_name == "default-scheduler"
    assert told == []


def test_hosts_of_a_list_join_with_what_runs_on_them() -> None:
    found, told = merge(["nanjing"], *POOL, NANJING, host_list(HOSTS))
    assert names(found) == (["n1", "nj-1", "nj-2", "nj-3"], ["a", "waits", "workloads-of-nj-1"])
    host, load = found.nodes[1], found.pods[-1]
    assert host.metadata.labels == {
        "kubernetes.io/hostname": "nj-1",
        "kubernetes.io/arch": "arm64",
        "topology.kubernetes.io/zone": "320100",
        "yunchi.io/cpu-model": "kunpeng-920",
        "yunchi.io/tenancy": "nanjing",
    }
    assert host.status.allocatable == {"cpu": "64000m", "memory": str(256 << 30), "pods": "110"}
    assert load.spec.containers[0].resources.requests == {"cpu": "8500m", "memory": str(64 << 30)}
    assert (load.key, load.spec.node_name) == ("nanjing/workloads-of-nj-1", "nj-1")
    assert told == ["counted as empty, as the list does not tell what they use: 1 host of nanjing"]


def test_hosts_that_are_nodes_already_are_counted_once() -> None:
    found, told = merge(["nanjing"], *POOL, node("nj-1"), node("nj-3"), NANJING, host_list(HOSTS))
    assert names(found)[0] == ["n1", "nj-1", "nj-3", "nj-2"]
    assert told == ["in the pool already, counted once: 2 hosts of CloudTenancy nanjing"]


def test_nodes_without_a_pool_are_told() -> None:
    pool = {"apiVersion": "yunchi.io/v1alpha1", "kind": "NodePool", "metadata": {"name": "p"}}
    spec = {"nodeSelector": {"matchLabels": {"yunchi.io/cpu-model": "kunpeng-920"}}, "cost": "9"}
    found, told = merge(["nanjing"], *POOL, NANJING, host_list(HOSTS), pool | {"spec": spec})
    assert "in no NodePool, at cost 1: 2 nodes of CloudTenancy nanjing" in told[1]
    assert Pools([]).of(found.nodes[1]) == ("", 1_000_000)


def test_the_operators_own_config_map_is_taken() -> None:
    other = host_list(HEADER + "x-1,arm64,,1,1,,,\n", namespace="a")
    found, _ = merge(["nanjing"], *POOL, NANJING, other, host_list(HOSTS))
    assert "nj-1" in names(found)[0]


@pytest.mark.parametrize(
    ("wanted", "objects", "message"),
    [
        (
            "nanjin",
            [NANJING, SUZHOU],
            "--merge nanjin: no such CloudTenancy among the manifests; there are: nanjing, suzhou",
        ),
        ("x", [], "there are: none"),
        (
            "suzhou",
            [SUZHOU],
            "none of its nodes are given; give its nodes and pods too, with the label yunchi.io/tenancy=suzhou",
        ),
        ("nanjing", [NANJING], "its host list, ConfigMap hosts, is not among the manifests"),
        ("nanjing", [NANJING, host_list(HOSTS, key="list.csv")], "has no key hosts.csv; keys are: list.csv"),
        (
            "nanjing",
            [NANJING, host_list(HEADER + "NJ,arm64,,-1,1,,,\n")],
            "ConfigMap hosts, hosts.csv:\n  line 2, column hostname",
        ),
    ],
)
def test_what_cannot_be_merged_is_told(wanted: str, objects: list[dict[str, Any]], message: str) -> None:
    with pytest.raises(ValueError, match="--merge") as error:
        merge([wanted], *POOL, *objects)
    assert message in str(error.value)


def test_through_the_command(tmp_path: Path) -> None:
    from click.testing import CliRunner

    from yunchi_operator.cli.main import cli

    path = tmp_path / "all.json"
    path.write_text("\n".join(map(json.dumps, [*POOL, *MEMBER, SUZHOU, NANJING, host_list(HOSTS)])))
    done = CliRunner().invoke(cli, ["plan", str(path), "--merge", "suzhou", "--merge", "nanjing", "-o", "json", "-q"])
    assert done.exit_code == 0
    assert [one["pod"] for one in json.loads(done.stdout)["placements"]] == ["default/new"]
