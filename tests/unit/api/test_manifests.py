"""From documents to objects: what is read, what is ignored, what is refused and how it is said."""

from __future__ import annotations

from typing import Any

import pytest

from yunchi_operator.api.manifests import Inventory, Origin

NODE: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "Node",
    "metadata": {"name": "n1"},
    "status": {"allocatable": {"cpu": "4", "memory": "8Gi", "pods": 110}},
}


def pod(spec: dict[str, Any] | None = None, name: str = "p", **meta: Any) -> dict[str, Any]:
    body = {"containers": [{"name": "c"}]} | (spec or {})
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, **meta}, "spec": body}


def read(*values: Any) -> Inventory:
    inventory = Inventory()
    for index, value in enumerate(values, 1):
        inventory.add(value, Origin("f.yaml", index))
    return inventory


def faults(*values: Any) -> list[tuple[str, str, str]]:
    return [(fault.subject, fault.field, fault.message) for fault in read(*values).faults]


def test_objects_lists_and_typed_lists_are_read() -> None:
    bare_pod = {"metadata": {"name": "q"}, "spec": {"containers": [{"name": "c"}]}}
    inventory = read(
        {"apiVersion": "v1", "kind": "List", "items": [NODE, pod()]},
        {"apiVersion": "v1", "kind": "PodList", "items": [bare_pod]},
        {"apiVersion": "v1", "kind": "NodeList", "items": None},
        {"apiVersion": "yunchi.io/v1alpha1", "kind": "NodePool", "metadata": {"name": "x"}, "spec": {"cost": "2.5"}},
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "tax", "labels": {"a": "b"}}},
    )
    assert inventory.faults == []
    assert [node.metadata.name for node in inventory.nodes] == ["n1"]
    assert [one.key for one in inventory.pods] == ["default/p", "default/q"]
    assert [pool.spec.cost for pool in inventory.pools] == ["2.5"]
    assert inventory.namespaces == {"tax": {"a": "b"}}


def test_kinds_without_a_say_are_counted() -> None:
    deployment = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"}}
    assert read(NODE, deployment, deployment).ignored == {"Deployment": 2}


@pytest.mark.parametrize(
    ("value", "subject", "field", "message"),
    [
        (pod({"nodeSelektor": {}}), "Pod default/p", "spec.nodeSelektor", "did you mean nodeSelector?"),
        (
            pod({"topologySpreadConstraints": [{"topologyKey": "zone", "maxSkew": 0, "nodeTaintsPolicy": "Honour"}]}),
            "Pod default/p",
            "spec.topologySpreadConstraints[0].nodeTaintsPolicy",
            "'Honour' is not one of Honor, Ignore",
        ),
        (
            pod({"topologySpreadConstraints": [{"maxSkew": 0, "minDomains": 0}]}),
            "Pod default/p",
            "spec.topologySpreadConstraints[0].maxSkew",
            "0 is less than 1",
        ),
        (
            pod(
                {"containers": [{"name": "c", "ports": [{"containerPort": 80, "hostPort": 99999, "protocol": "ICMP"}]}]}
            ),
            "Pod default/p",
            "spec.containers[0].ports[0].hostPort",
            "99999 is no port",
        ),
        (pod({"zzz": 1}), "Pod default/p", "spec.zzz", "unknown field; remove it"),
        (
            pod({"containers": [{"name": "c", "resources": {"requests": {"memory": "4Gx"}}}]}),
            "Pod default/p",
            "spec.containers[0].resources.requests.memory",
            "unknown unit 'Gx'; legal units",
        ),
        (
            pod({"containers": [{"name": "c", "resources": {"requests": {"cpu": "-1"}}}]}),
            "Pod default/p",
            "spec.containers[0].resources.requests.cpu",
            "negative",
        ),
        (pod({"overhead": {"cpu": "x"}}), "Pod default/p", "spec.overhead.cpu", "not a quantity"),
        (pod({"containers": []}), "Pod default/p", "spec.containers", "at least one container"),
        (pod({"priority": "high"}), "Pod default/p", "spec.priority", "expected int"),
        (pod({"nodeSelector": {"a": True}}), "Pod default/p", "spec.nodeSelector", "put it in quotes"),
        (
            pod({"tolerations": [{"operator": "Is", "effect": "NoSchedul"}]}),
            "Pod default/p",
            "spec.tolerations[0].effect",
            "'NoSchedul' is not one of NoSchedule, PreferNoSchedule, NoExecute",
        ),
        (
            pod({"topologySpreadConstraints": [{"whenUnsatisfiable": "Never"}]}),
            "Pod default/p",
            "spec.topologySpreadConstraints[0].whenUnsatisfiable",
            "is not one of",
        ),
        (NODE | {"status": {"allocatable": {"cpu": "4Gx"}}}, "Node n1", "status.allocatable.cpu", "unknown unit"),
        (NODE | {"spec": {"taints": [{"key": "a", "effect": "No"}]}}, "Node n1", "spec.taints[0].effect", "not one of"),
        ({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "x"}}, "Node x", "status", "status.allocatable"),
        (
            {"apiVersion": "v1", "kind": "Pods", "metadata": {"name": "x"}},
            "Pods default/x",
            "kind",
            "did you mean Pod?",
        ),
        ({"apiVersion": "v2", "kind": "Pod"}, "Pod without metadata", "kind", "belongs to apiVersion v1"),
        (
            {"apiVersion": "yunchi.io/v1alpha1", "kind": "Nodepool", "metadata": {"name": "x"}},
            "Nodepool default/x",
            "kind",
            "did you mean NodePool?",
        ),
        (
            {
                "apiVersion": "yunchi.io/v1alpha1",
                "kind": "NodePool",
                "metadata": {"name": "x"},
                "spec": {"cost": "1e3"},
            },
            "NodePool x",
            "spec.cost",
            "is not a cost",
        ),
        ({"apiVersion": "v1"}, "", "kind", "no kind"),
        ({"kind": "Pod"}, "", "apiVersion", "no apiVersion"),
        ("text", "", "", "a Kubernetes object is a mapping"),
        ([1, 2], "", "", "a list of 2"),
        (pod(name=""), "Pod default/without a name", "metadata.name", "needs a name"),
    ],
)
def test_faults_name_object_field_and_remedy(value: Any, subject: str, field: str, message: str) -> None:
    found = faults(value)
    assert [one for one in found if one[:2] == (subject, field) and message in one[2]], found


PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"
AFFINITY = "requiredDuringSchedulingIgnoredDuringExecution"


@pytest.mark.parametrize(
    ("affinity", "field"),
    [
        ({"nodeAffinity": {AFFINITY: {"nodeSelectorTerms": []}}}, "nodeSelectorTerms"),
        ({"nodeAffinity": {PREFERRED: [{"weight": 101, "preference": {}}]}}, "[0].weight"),
        (
            {"nodeAffinity": {PREFERRED: [{"preference": {"matchFields": [{"key": "uid", "operator": "Exists"}]}}]}},
            "matchFields[0].key",
        ),
        ({"podAffinity": {PREFERRED: [{"weight": 1, "podAffinityTerm": {}}]}}, "podAffinityTerm.topologyKey"),
        (
            {
                "nodeAffinity": {
                    AFFINITY: {"nodeSelectorTerms": [{"matchExpressions": [{"key": "a", "operator": "in"}]}]}
                }
            },
            "matchExpressions[0].operator",
        ),
        (
            {
                "nodeAffinity": {
                    AFFINITY: {"nodeSelectorTerms": [{"matchExpressions": [{"key": "a", "operator": "In"}]}]}
                }
            },
            "matchExpressions[0].values",
        ),
        (
            {
                "nodeAffinity": {
                    AFFINITY: {
                        "nodeSelectorTerms": [
                            {"matchExpressions": [{"key": "a", "operator": "Gt", "values": ["x"]}]},
                        ]
                    }
                }
            },
            "matchExpressions[0].values",
        ),
        (
            {
                "nodeAffinity": {
                    AFFINITY: {
                        "nodeSelectorTerms": [{"matchFields": [{"key": "spec.x", "operator": "In", "values": ["a"]}]}]
                    }
                }
            },
            "matchFields[0].key",
        ),
        ({"podAntiAffinity": {AFFINITY: [{"labelSelector": {}}]}}, "[0].topologyKey"),
        (
            {
                "podAffinity": {
                    AFFINITY: [
                        {"topologyKey": "z", "labelSelector": {"matchExpressions": [{"key": "a", "operator": "Gt"}]}}
                    ]
                }
            },
            "matchExpressions[0].operator",
        ),
        ({"podAffinty": {}}, "spec.affinity.podAffinty"),
    ],
)
def test_faults_in_affinity(affinity: dict[str, Any], field: str) -> None:
    found = faults(pod({"affinity": affinity}))
    assert [one for one in found if one[1].endswith(field)], found


def test_duplicates_name_the_first_place_and_namespaces_tell_pods_apart() -> None:
    inventory = read(pod(), pod(), pod(namespace="other"))
    assert [fault.message for fault in inventory.faults] == ["given twice; first in f.yaml, document 1. Remove one"]
    assert [one.key for one in inventory.pods] == ["default/p", "other/p"]


def test_duplicates_within_one_list_are_found() -> None:
    assert len(read({"apiVersion": "v1", "kind": "List", "items": [NODE, NODE]}).faults) == 1


def test_an_object_with_a_fault_is_not_kept_and_the_others_are() -> None:
    inventory = read(NODE, pod({"nodeSelektor": {}}), pod(name="good"))
    assert [one.key for one in inventory.pods] == ["default/good"]
