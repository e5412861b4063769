"""What a pod refers to: its PodGroup and its claims, or why it cannot be stated now."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from support.objects import HOST, node, pod
from yunchi_operator.api.volumes import PersistentVolume, PersistentVolumeClaim
from yunchi_operator.scheduling.facts import GangRef, pod_facts
from yunchi_operator.scheduling.stating import LeftOut, PodGroup, Stated, Surroundings, stated
from yunchi_operator.scheduling.volumes import Storage

GROUPED = {"schedulingGroup": {"podGroupName": "g"}}


def pod_group(**policy: Any) -> PodGroup:
    return msgspec.convert({"metadata": {"name": "g"}, "spec": {"schedulingPolicy": policy}}, PodGroup)


@pytest.mark.parametrize(
    ("policy", "gang"),
    [({"gang": {"minCount": 3}}, GangRef("default/g", 3)), ({"basic": {}}, None), ({}, None)],
)
def test_a_pod_group_makes_a_gang(policy: dict[str, Any], gang: GangRef | None) -> None:
    found = stated(pod_facts(pod("p", **GROUPED)), Surroundings(pod_groups={"default/g": pod_group(**policy)}))
    assert isinstance(found, Stated)
    assert found.facts.gang == gang


def test_without_its_pod_group_a_pod_waits() -> None:
    found = stated(pod_facts(pod("p", **GROUPED)), Surroundings())
    assert isinstance(found, LeftOut)
    assert (found.rule, found.fix[:19]) == ("unsupported:scheduling-group", "create the PodGroup")


def claimed(mode: str = "ReadWriteOnce") -> Storage:
    claim = {
        "metadata": {"name": "c", "namespace": "default", "annotations": {"pv.kubernetes.io/bind-completed": "yes"}},
        "spec": {"volumeName": "v", "accessModes": [mode]},
    }
    term = {"matchExpressions": [{"key": HOST, "operator": "In", "values": ["a"]}]}
    volume = {"metadata": {"name": "v"}, "spec": {"nodeAffinity": {"required": {"nodeSelectorTerms": [term]}}}}
    return Storage(
        claims={"default/c": msgspec.convert(claim, PersistentVolumeClaim)},
        volumes={"v": msgspec.convert(volume, PersistentVolume)},
    )


USER = {"volumes": [{"name": "d", "persistentVolumeClaim": {"claimName": "c"}}]}


def test_a_bound_claim_restricts_the_nodes() -> None:
    found = stated(pod_facts(pod("p", **USER)), Surroundings(claimed()))
    assert isinstance(found, Stated)
    (term,) = found.facts.constraints.required or ()
    assert [(one.key, one.values) for one in term.labels] == [(HOST, ("a",))]
    assert found.volumes is not None
    assert not found.volumes.unsettled


def test_a_claim_for_one_pod_waits_for_the_other_to_go() -> None:
    around = Surroundings(
        claimed("ReadWriteOncePod"),
        users={"claim:default/c": frozenset({"default/q"})},
        nodes={"a": node("a").metadata.labels},
    )
    found = stated(pod_facts(pod("p", **USER)), around)
    assert isinstance(found, LeftOut)
    assert found.rule == "volumes:claim-in-use"
    assert found.message.startswith("0/1 nodes are available: node(s) unavailable due to PersistentVolumeClaim")
    assert "wait until pod default/q is gone" in found.fix


def test_nothing_known_of_storage_leaves_the_pod_out() -> None:
    found = stated(pod_facts(pod("p", **USER)), Surroundings())
    assert isinstance(found, LeftOut)
    assert found.rule == "unsupported:volumes"
