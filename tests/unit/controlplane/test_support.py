import pytest

from controlplane.errors import ControlPlaneError
from support import clusters
from support.clusters import give_up, node_manifest, node_ready, pod_manifest, prepare_binaries, wait_until


def test_a_person_sees_a_skip_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="no control plane: there is no Go"):
        give_up("there is no Go")


def test_a_machine_sees_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="no control plane: there is no Go"):
        give_up("there is no Go")


def test_what_cannot_be_built_becomes_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(progress: object) -> None:
        raise ControlPlaneError("no compiler here")

    monkeypatch.setattr(clusters, "ensure_binaries", fail)
    assert prepare_binaries(print) == "no compiler here"


def test_waiting_returns_what_it_waited_for_and_fails_with_what_it_saw() -> None:
    values = iter([[], [], ["there"]])
    assert wait_until(lambda: next(values), "something") == ["there"]
    with pytest.raises(pytest.fail.Exception, match=r"waited 0 s for rain; last seen: \[\]"):
        wait_until(list, "rain", timeout=0)


def test_manifests_hold_what_was_asked_for() -> None:
    node = node_manifest("n", cpu="96", extended={"huawei.com/Ascend910": "8"}, labels={"zone": "a"})
    assert node["status"]["allocatable"] == {
        "cpu": "96",
        "memory": "32Gi",
        "pods": "110",
        "huawei.com/Ascend910": "8",
    }
    assert node["metadata"]["labels"]["zone"] == "a"
    pod = pod_manifest("p", "ns", cpu="2", schedulerName="yunchi")
    assert pod["spec"]["schedulerName"] == "yunchi"
    assert pod["spec"]["containers"][0]["resources"]["requests"]["cpu"] == "2"


def test_a_tainted_or_silent_node_is_not_ready() -> None:
    ready = {"conditions": [{"type": "Ready", "status": "True"}]}
    taint = {"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"}
    assert node_ready({"spec": {}, "status": ready})
    assert not node_ready({"spec": {"taints": [taint]}, "status": ready})
    assert not node_ready({"spec": {}, "status": {}})
