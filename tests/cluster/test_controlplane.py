"""The control plane itself: what every other cluster test stands on."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from controlplane import launch
from controlplane.binaries import Binaries
from controlplane.cluster import ControlPlane, scheduler_configuration, start_control_plane
from controlplane.errors import ControlPlaneError
from controlplane.pids import recorded
from controlplane.ports import free_ports
from support.clusters import node_manifest, node_ready, pod_manifest, wait_nodes_ready, wait_until

pytestmark = pytest.mark.cluster
HACK = Path(__file__).parents[2] / "hack"


def test_the_server_is_the_pinned_one(pool: ControlPlane) -> None:
    status, body = pool.request("GET", "/version")
    assert (status, body["gitVersion"], body["major"], body["minor"]) == (200, "v1.36.3", "1", "36")


def test_mutating_admission_policies_are_served_as_v1(pool: ControlPlane) -> None:
    status, body = pool.request("GET", "/apis/admissionregistration.k8s.io/v1")
    assert status == 200
    assert "MutatingAdmissionPolicy" in {item["kind"] for item in body["resources"]}


def test_nodes_become_ready_and_keep_what_they_were_created_with(clean_pool: ControlPlane) -> None:
    npu = {"huawei.com/Ascend910": "8"}
    nodes = [node_manifest(f"node-{i:02}", cpu="96", memory="384Gi", extended=npu) for i in range(20)]
    assert clean_pool.create_many(nodes) == []
    wait_nodes_ready(clean_pool, 20)
    items = clean_pool.request("GET", "/api/v1/nodes")[1]["items"]
    assert len(items) == 20
    for item in items:
        assert node_ready(item)
        expected = {"cpu": "96", "memory": "384Gi", "pods": "110", "huawei.com/Ascend910": "8"}
        assert item["status"]["allocatable"] == item["status"]["capacity"] == expected
        assert item["status"]["nodeInfo"]["architecture"] == "arm64"
        addresses = {address["type"]: address["address"] for address in item["status"]["addresses"]}
        assert addresses["Hostname"] == item["metadata"]["name"]


def test_a_node_fails_and_recovers_on_demand(clean_pool: ControlPlane) -> None:
    assert clean_pool.create_many([node_manifest("frail")]) == []
    wait_nodes_ready(clean_pool, 1)

    def node() -> dict[str, object]:
        body: dict[str, object] = clean_pool.request("GET", "/api/v1/nodes/frail")[1]
        return body

    clean_pool.kubectl("annotate", "node", "frail", "yunchi.io/simulate=failed")
    wait_until(lambda: "node.kubernetes.io/not-ready" in json.dumps(node()["spec"]), "the not-ready taint")
    clean_pool.kubectl("annotate", "node", "frail", "yunchi.io/simulate-")
    wait_until(lambda: node_ready(node()), "the node to recover")


def test_a_deployment_runs_under_kube_scheduler_and_packs(clean_pool: ControlPlane, namespace: str) -> None:
    assert clean_pool.create_many([node_manifest(f"node-{i}") for i in range(4)]) == []
    wait_nodes_ready(clean_pool, 4)
    scheduler = clean_pool.start_kube_scheduler(scheduler_configuration("packing", fit_weight=100), name="packing")
    try:
        template = pod_manifest("web", namespace, cpu="1", labels={"app": "web"}, schedulerName="packing")
        spec = {"replicas": 6, "selector": {"matchLabels": {"app": "web"}}}
        spec["template"] = {"metadata": {"labels": {"app": "web"}}, "spec": template["spec"]}
        metadata = {"name": "web", "namespace": namespace}
        deployment = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec}
        clean_pool.kubectl("apply", "-f", "-", input=json.dumps(deployment))
        clean_pool.kubectl(
            "wait", "--for=condition=Available", "deployment/web", "-n", namespace, "--timeout=90s", timeout=100
        )
        pods = clean_pool.request("GET", f"/api/v1/namespaces/{namespace}/pods")[1]["items"]
        assert len({pod["spec"]["nodeName"] for pod in pods}) == 1  # MostAllocated: all six fit one node of 8
    finally:
        scheduler.stop()
    assert not scheduler.running


def test_a_job_completes(clean_pool: ControlPlane, namespace: str) -> None:
    assert clean_pool.create_many([node_manifest("node-0")]) == []
    wait_nodes_ready(clean_pool, 1)
    spec = pod_manifest("job", namespace, nodeName="node-0", restartPolicy="Never")["spec"]
    job = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "once", "namespace": namespace}}
    clean_pool.kubectl("apply", "-f", "-", input=json.dumps(job | {"spec": {"template": {"spec": spec}}}))
    clean_pool.kubectl("wait", "--for=condition=Complete", "job/once", "-n", namespace, "--timeout=90s", timeout=100)
    assert clean_pool.request("GET", f"/apis/batch/v1/namespaces/{namespace}/jobs/once")[1]["status"]["succeeded"] == 1


def test_evictions_respect_a_disruption_budget(clean_pool: ControlPlane, namespace: str) -> None:
    assert clean_pool.create_many([node_manifest("node-0")]) == []
    wait_nodes_ready(clean_pool, 1)
    labels = {"app": "db"}
    pods = [pod_manifest(f"db-{i}", namespace, labels=labels, nodeName="node-0") for i in range(2)]
    metadata = {"name": "db", "namespace": namespace}
    budget = {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": metadata}
    assert (
        clean_pool.create_many([budget | {"spec": {"minAvailable": 1, "selector": {"matchLabels": labels}}}, *pods])
        == []
    )
    path = f"/apis/policy/v1/namespaces/{namespace}/poddisruptionbudgets/db"
    wait_until(
        lambda: clean_pool.request("GET", path)[1]["status"].get("disruptionsAllowed") == 1, "one allowed disruption"
    )

    def evict(name: str) -> int:
        body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name, "namespace": namespace}}
        return clean_pool.request("POST", f"/api/v1/namespaces/{namespace}/pods/{name}/eviction", body)[0]

    assert evict("db-0") == 201
    assert evict("db-1") == 429


def test_a_user_may_do_just_what_rbac_gives(pool: ControlPlane, namespace: str) -> None:
    pool.kubectl("create", "role", "reader", "--verb=get,list", "--resource=configmaps", "-n", namespace)
    pool.kubectl("create", "rolebinding", "readers", "--role=reader", "--group=readers", "-n", namespace)
    config = pool.user_kubeconfig("li.wei", ("readers",), namespace)
    who = json.loads(pool.kubectl("auth", "whoami", "-o", "json", kubeconfig=config).stdout)["status"]["userInfo"]
    assert who["username"] == "li.wei"
    assert set(who["groups"]) == {"readers", "system:authenticated"}
    assert pool.kubectl("get", "configmaps", kubeconfig=config).returncode == 0  # the default namespace is set
    for refused in (["get", "secrets"], ["get", "configmaps", "-n", "kube-system"], ["create", "configmap", "mine"]):
        run = pool.kubectl(*refused, kubeconfig=config, check=False)
        assert run.returncode != 0
        assert "Forbidden" in run.stderr or "forbidden" in run.stderr
    assert config.stat().st_mode & 0o777 == 0o600


def test_a_service_account_token_works(pool: ControlPlane, namespace: str) -> None:
    pool.kubectl("create", "serviceaccount", "robot", "-n", namespace)
    config = pool.service_account_kubeconfig(namespace, "robot")
    who = json.loads(pool.kubectl("auth", "whoami", "-o", "json", kubeconfig=config).stdout)
    assert who["status"]["userInfo"]["username"] == f"system:serviceaccount:{namespace}:robot"


def test_bulk_creation_reports_what_was_refused(pool: ControlPlane, namespace: str) -> None:
    maps = [
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": namespace}}
        for name in ("a", "b", "A!")
    ]
    errors = pool.create_many(maps)
    assert [(error.kind, error.name, error.status) for error in errors] == [("ConfigMap", "A!", 422)]
    names = {
        item["metadata"]["name"]
        for item in pool.request("GET", f"/api/v1/namespaces/{namespace}/configmaps")[1]["items"]
    }
    assert {"a", "b"} <= names
    with pytest.raises(ControlPlaneError, match="serves no Unicorn"):
        pool.create_many([{"apiVersion": "v1", "kind": "Unicorn", "metadata": {"name": "u"}}])


def test_two_planes_side_by_side_do_not_mix(control_plane_factory: Callable[..., ControlPlane]) -> None:
    east, west = control_plane_factory("east"), control_plane_factory("west")
    assert east.url != west.url
    assert east.create_many([node_manifest("only-east")]) == []
    wait_nodes_ready(east, 1)
    assert west.request("GET", "/api/v1/nodes")[1]["items"] == []
    mixed = west.folder / "mixed.kubeconfig"
    mixed.write_text(east.kubeconfig.read_text().replace(east.url, west.url))
    refused = west.kubectl("get", "nodes", kubeconfig=mixed, check=False)
    assert refused.returncode != 0
    assert "certificate" in refused.stderr
    east.stop()
    assert west.request("GET", "/readyz")[0] == 200


def test_a_folder_in_use_is_refused(pool: ControlPlane, binaries: Binaries) -> None:
    with pytest.raises(ControlPlaneError, match=r"runs in .* already"):
        start_control_plane(binaries, pool.folder)
    assert pool.request("GET", "/readyz")[0] == 200
    assert (pool.folder / "owner").exists()


def test_the_api_server_comes_back_with_its_data(control_plane_factory: Callable[..., ControlPlane]) -> None:
    plane = control_plane_factory(components=("etcd", "kube-apiserver"))
    plane.create_namespace("kept")
    plane.processes["kube-apiserver"].kill()
    with pytest.raises(OSError, match="refused"):
        plane.request("GET", "/readyz")
    plane.restart("kube-apiserver")
    assert plane.request("GET", "/api/v1/namespaces/kept")[0] == 200


def test_after_stop_nothing_runs_and_the_folder_can_go(control_plane_factory: Callable[..., ControlPlane]) -> None:
    plane = control_plane_factory()
    pids = [process.pid for process in plane.processes.values()]
    assert len(pids) == 4
    plane.stop()
    plane.stop()
    assert [pid for pid in pids if Path(f"/proc/{pid}").exists()] == []
    shutil.rmtree(plane.folder)
    assert not plane.folder.exists()


def test_killing_the_owner_ends_every_part(binaries: Binaries, tmp_path: Path) -> None:
    folder = tmp_path / "orphan"
    program = (
        "import time; from pathlib import Path; from controlplane.binaries import Binaries; "
        "from controlplane.cluster import start_control_plane; "
        f"b = Binaries(**{{k: Path(v) for k, v in { {k: str(v) for k, v in vars(binaries).items()} }.items()}}); "
        f"start_control_plane(b, Path({str(folder)!r})); print('up', flush=True); time.sleep(600)"
    )
    environment = os.environ | {"PYTHONPATH": str(HACK)}
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, env=environment) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == "up\n"
        parts = recorded(folder / "run")
        assert {"etcd", "kube-apiserver", "kube-controller-manager", "kwok", "reaper"} <= set(parts)
        assert all(identity.alive() for identity in parts.values())
        owner.send_signal(signal.SIGKILL)
    wait_until(lambda: not any(identity.alive() for identity in parts.values()), "every part to end", 30)
    with start_control_plane(binaries, folder, components=("etcd", "kube-apiserver")) as again:
        assert again.request("GET", "/readyz")[0] == 200


def test_a_later_start_ends_what_a_killed_reaper_left(binaries: Binaries, tmp_path: Path) -> None:
    plane = start_control_plane(binaries, tmp_path / "left", components=("etcd", "kube-apiserver"))
    left = recorded(plane.folder / "run")
    assert plane._reaper is not None
    plane._reaper.kill()
    plane._reaper = None
    assert plane._lock is not None
    plane._lock.close()  # what the kernel does when the owner dies
    children = list(plane.processes.values())
    with start_control_plane(binaries, plane.folder, components=("etcd", "kube-apiserver")) as again:
        for child in children:
            child.popen.wait(30)
        assert not any(identity.alive() for identity in left.values())
        assert again.request("GET", "/readyz")[0] == 200


def test_a_part_that_cannot_start_says_why(binaries: Binaries, tmp_path: Path) -> None:
    broken = tmp_path / "broken-apiserver"
    broken.write_text("#!/bin/sh\necho boom: unknown flag >&2\nexit 7\n")
    broken.chmod(0o755)
    changed = Binaries(**(vars(binaries) | {"kube_apiserver": broken}))
    with pytest.raises(ControlPlaneError, match=r"kube-apiserver ended \(7\)(.|\n)*boom: unknown flag"):
        start_control_plane(changed, tmp_path / "plane")
    assert recorded(tmp_path / "plane" / "run") == {}


@pytest.mark.parametrize("which", [0, 1], ids=["kube-apiserver", "etcd"])
def test_a_port_lost_to_somebody_else_is_replaced(
    binaries: Binaries, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, which: int
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = other.getsockname()[1]
        first = free_ports(3)
        first[which] = taken
        offers = [first]
        monkeypatch.setattr(launch, "free_ports", lambda count: offers.pop() if offers else free_ports(count))
        with start_control_plane(binaries, tmp_path / "plane", components=("etcd", "kube-apiserver")) as plane:
            assert offers == []
            assert plane.request("GET", "/readyz")[0] == 200
            assert not plane.url.endswith(f":{taken}")


def test_the_command_line_starts_and_stops_one(binaries: Binaries, tmp_path: Path) -> None:
    assert binaries.kubectl.exists()
    environment = os.environ | {"PYTHONPATH": str(HACK)}
    command = [sys.executable, "-m", "controlplane"]
    folder = ["--folder", str(tmp_path / "plane")]
    up = [*command, "up", "--no-scheduler", *folder]
    with subprocess.Popen(up, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline().startswith("export KUBECONFIG=")
        shown = subprocess.run(
            [*command, "status", *folder], capture_output=True, text=True, env=environment, check=True
        )
        assert "kube-apiserver" in shown.stdout
        subprocess.run([*command, "down", *folder], capture_output=True, env=environment, check=True)
        assert owner.wait(60) == 0
    shown = subprocess.run([*command, "status", *folder], capture_output=True, text=True, env=environment, check=False)
    assert shown.returncode == 3
