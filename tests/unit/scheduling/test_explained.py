"""What is said about one pod: each node's first objection, and what would help."""

from __future__ import annotations

from support.objects import ZONE, anti_affinity, node, pod
from yunchi_operator.scheduling.explained import Explanation, explain_pod
from yunchi_operator.scheduling.stating import Surroundings
from yunchi_operator.scheduling.volumes import Storage

WEB = {"app": "web"}
NODES = [
    node("a", zone="x"),
    node("b", zone="x", spec={"taints": [{"key": "gpu", "effect": "NoSchedule"}]}),
    node("c", zone="y", spec={"unschedulable": True}),
    node("d", zone="y", cpu="2"),
]


def said(found: Explanation) -> dict[str, tuple[str, ...]]:
    return {one.rule: one.examples for one in found.refused}


def test_each_node_is_counted_by_its_first_objection() -> None:
    found = explain_pod(
        pod("p", cpu="4", labels=WEB, affinity=anti_affinity(WEB)), NODES, [pod("q", labels=WEB, on="a")]
    )
    assert (found.state, found.node, found.open_to) == ("waiting", "", ())
    assert said(found) == {
        "anti-affinity": ("a",),
        "taint:gpu": ("b",),
        "unschedulable": ("c",),
        "resources:cpu": ("d",),
    }
    assert found.fix
    assert found.as_document()["refused"][0]["text"].startswith("node(s)")


def test_a_waiting_pod_with_room_waits_for_the_scheduler() -> None:
    found = explain_pod(pod("p"), NODES, [pod("other")])
    assert found.open_to == ("a", "d")
    assert "if the scheduler runs" in found.note


def test_a_bound_pod_is_told_who_else_would_take_it() -> None:
    here = pod("p", on="d")
    found = explain_pod(here, NODES, [here, pod("big", cpu="8", on="a")])
    assert (found.state, found.node, found.open_to) == ("bound", "d", ("d",))
    stale = pod("p", on="c")
    assert "would not take it again" in explain_pod(stale, NODES, [stale]).note


def test_gates_foreign_schedulers_and_the_finished_are_named() -> None:
    assert "team/ready" in explain_pod(pod("p", schedulingGates=[{"name": "team/ready"}]), NODES, []).note
    assert "default-scheduler" in explain_pod(pod("p", schedulerName="default-scheduler"), NODES, []).note
    assert explain_pod(pod("p", on="a", status={"phase": "Succeeded"}), NODES, []).state == "finished"


def test_a_missing_claim_is_the_reason() -> None:
    wants = pod("p", volumes=[{"name": "v", "persistentVolumeClaim": {"claimName": "data"}}])
    around = Surroundings(Storage(), nodes={one.metadata.name: one.metadata.labels for one in NODES})
    found = explain_pod(wants, NODES, [], around=around)
    assert [one.rule for one in found.refused] == ["volumes:claim-missing"]
    assert 'persistentvolumeclaim "data" not found' in found.note
    assert found.fix == "create claim default/data, or correct its name in the pod"


def test_topology_matters() -> None:
    near = anti_affinity({"app": "db"}, key=ZONE, kind="podAffinity")
    found = explain_pod(pod("p", affinity=near), NODES, [pod("db", labels={"app": "db"}, on="d")])
    assert found.open_to == ("d",)
    assert said(found)["pod-affinity"] == ("a",)
