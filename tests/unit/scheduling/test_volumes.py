"""What volumes ask of nodes, rule by rule, as kube-scheduler 1.36 has it."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from yunchi_operator.api.core import Pod
from yunchi_operator.api.volumes import (
    Attachment,
    CSIDriver,
    CSINode,
    CSIStorageCapacity,
    PersistentVolume,
    PersistentVolumeClaim,
    StorageClass,
    host_path_of,
)
from yunchi_operator.scheduling.volume_claims import MOST_TERMS, constrained, in_use, prebinding, users_of_claims
from yunchi_operator.scheduling.volume_matching import Terms, any_holds, conjunction, union
from yunchi_operator.scheduling.volumes import Refusal, Storage, VolumeVerdict
from yunchi_placement import Constraints, Item, Node, NodeTerm, Problem, Requirement, solve

ZONE, REGION, HOST = "topology.kubernetes.io/zone", "topology.kubernetes.io/region", "kubernetes.io/hostname"
OLD_ZONE, OLD_REGION = "failure-domain.beta.kubernetes.io/zone", "failure-domain.beta.kubernetes.io/region"
SELECTED = "volume.kubernetes.io/selected-node"
NO_ZONE = NodeTerm(tuple(Requirement(key, "DoesNotExist") for key in (OLD_ZONE, OLD_REGION, ZONE, REGION)))
NO_VOLUME = "node(s) didn't find available persistent volumes to bind"
UNBOUND = "pod has unbound immediate PersistentVolumeClaims"


def claim(name: str = "data", size: str = "10Gi", **spec: Any) -> PersistentVolumeClaim:
    """Unbound, of class ``local``; ``bound="v"`` binds it; what belongs to metadata or status finds its place."""
    annotations = dict(spec.pop("annotations", {}))
    if "bound" in spec:
        spec["volumeName"] = spec.pop("bound")
        annotations["pv.kubernetes.io/bind-completed"] = "yes"
    meta = {key: spec.pop(key) for key in ("deletionTimestamp", "ownerReferences", "uid") if key in spec}
    phase = spec.pop("phase", "Pending")
    body = {"storageClassName": "local", "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": size}}}
    return msgspec.convert(
        {
            "metadata": {"name": name, "namespace": "tax", "uid": f"uid-{name}", "annotations": annotations} | meta,
            "spec": body | spec,
            "status": {"phase": phase},
        },
        PersistentVolumeClaim,
    )


def volume(name: str = "pv-1", host: str | None = None, size: str = "10Gi", **spec: Any) -> PersistentVolume:
    """Available, of class ``local``, reached from ``host`` only."""
    meta = {key: spec.pop(key) for key in ("labels", "annotations", "deletionTimestamp") if key in spec}
    phase = spec.pop("phase", "Available")
    if host is not None:
        spec["nodeAffinity"] = affinity([(HOST, "In", [host])])
    body = {"capacity": {"storage": size}, "accessModes": ["ReadWriteOnce"], "storageClassName": "local"}
    found = {"metadata": {"name": name} | meta, "spec": body | spec, "status": {"phase": phase}}
    return msgspec.convert(found, PersistentVolume)


def affinity(*terms: list[tuple[str, str, list[str]]], fields: list[tuple[str, str, list[str]]] | None = None) -> Any:
    listed = [{"matchExpressions": [{"key": k, "operator": o, "values": v} for k, o, v in term]} for term in terms]
    if fields is not None:
        listed.append({"matchFields": [{"key": k, "operator": o, "values": v} for k, o, v in fields]})
    return {"required": {"nodeSelectorTerms": listed}}


def storage_class(
    name: str = "local", provisioner: str = "kubernetes.io/no-provisioner", **fields: Any
) -> StorageClass:
    body = {"volumeBindingMode": "WaitForFirstConsumer", "provisioner": provisioner, "metadata": {"name": name}}
    return msgspec.convert(body | fields, StorageClass)


def pod(*names: str, volumes: list[dict[str, Any]] | None = None, name: str = "p", **fields: Any) -> Pod:
    listed = [{"name": one, "persistentVolumeClaim": {"claimName": one}} for one in names] + (volumes or [])
    spec = {"volumes": listed} | fields.pop("spec", {})
    meta = {"name": name, "namespace": "tax", "uid": "uid-of-pod"}
    return msgspec.convert({"metadata": meta, "spec": spec} | fields, Pod)


def storage(*objects: Any) -> Storage:
    def of(kind: type[Any], key: str = "name") -> dict[str, Any]:
        return {one.key if key == "key" else one.metadata.name: one for one in objects if isinstance(one, kind)}

    return Storage(
        claims=of(PersistentVolumeClaim, "key"),
        volumes=of(PersistentVolume),
        classes=of(StorageClass),
        csi_nodes=of(CSINode),
        drivers=of(CSIDriver),
        capacities=of(CSIStorageCapacity),
    )


def judged(*objects: Any, names: tuple[str, ...] = ("data",)) -> VolumeVerdict:
    return storage(*objects).judge(pod(*names))


def one_in(key: str, *values: str) -> NodeTerm:
    return NodeTerm((Requirement(key, "In", values),))


def named(*names: str) -> Terms:
    return (NodeTerm(fields=(Requirement("metadata.name", "In", names),)),)


def refused(verdict: VolumeVerdict) -> tuple[str, str]:
    assert verdict.refusal is not None
    assert verdict.refusal.fix
    return verdict.refusal.rule, verdict.refusal.message


# -- volumes that restrict nothing ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "source",
    [
        {"emptyDir": {}},
        {"configMap": {"name": "c"}},
        {"secret": {"secretName": "s"}},
        {"projected": {}},
        {"csi": {"driver": "d"}},
        {"hostPath": {"path": "/srv"}},
        {"nfs": {"server": "s", "path": "/"}},
        {"downwardAPI": {}},
    ],
)
def test_such_a_volume_asks_nothing(source: dict[str, Any]) -> None:
    assert storage().judge(pod(volumes=[{"name": "v"} | source])) == VolumeVerdict()


def test_a_pod_without_volumes_asks_nothing() -> None:
    assert storage().judge(pod()) == VolumeVerdict()
    assert not VolumeVerdict().unsettled


# -- claims that cannot be used ---------------------------------------------------------------------------------------


def test_a_missing_claim() -> None:
    assert refused(judged()) == ("volumes:claim-missing", 'persistentvolumeclaim "data" not found')
    verdict = judged(claim("data", bound="v"), volume("v"), names=("data", "logs"))
    assert refused(verdict) == ("volumes:claim-missing", 'persistentvolumeclaim "logs" not found')


def test_a_claim_of_another_namespace_is_missing() -> None:
    other = msgspec.structs.replace(claim(), metadata=msgspec.structs.replace(claim().metadata, namespace="other"))
    assert refused(judged(other))[0] == "volumes:claim-missing"


def test_a_lost_claim() -> None:
    assert refused(judged(claim(bound="v", phase="Lost"))) == (
        "volumes:claim-lost",
        'persistentvolumeclaim "data" bound to non-existent persistentvolume "v"',
    )


def test_a_claim_that_is_being_deleted() -> None:
    deleted = claim(bound="v", deletionTimestamp="2026-01-01T00:00:00Z")
    assert refused(judged(deleted, volume("v"))) == (
        "volumes:claim-deleted",
        'persistentvolumeclaim "data" is being deleted',
    )


def test_a_bound_claim_whose_volume_is_gone() -> None:
    assert refused(judged(claim(bound="v"))) == ("volumes:volume-missing", 'persistentvolume "v" not found')


def test_an_immediate_claim_that_is_not_bound() -> None:
    verdict = judged(claim(), storage_class(volumeBindingMode="Immediate"))
    assert refused(verdict) == ("volumes:claim-unbound", UNBOUND)
    assert refused(judged(claim(), msgspec.convert({"metadata": {"name": "local"}}, StorageClass)))[1] == UNBOUND


@pytest.mark.parametrize("fields", [{"storageClassName": ""}, {"storageClassName": None}])
def test_a_claim_without_class_is_immediate(fields: dict[str, Any]) -> None:
    assert refused(judged(claim(**fields), storage_class())) == ("volumes:claim-unbound", UNBOUND)


def test_a_claim_that_names_its_volume_must_be_bound_first() -> None:
    verdict = judged(claim(volumeName="v"), volume("v"), storage_class())
    assert refused(verdict) == ("volumes:claim-unbound", UNBOUND)
    assert verdict.refusal is not None
    assert verdict.refusal.fix == "see why claim tax/data is not bound yet to volume v"


def test_a_missing_class() -> None:
    verdict = judged(claim(storageClassName="fast"), storage_class())
    assert verdict.refusal == Refusal(
        "volumes:class-missing", UNBOUND, "create StorageClass fast, or name another in claim tax/data"
    )


def test_the_old_annotation_names_the_class() -> None:
    old = {"volume.beta.kubernetes.io/storage-class": "local"}
    fits = volume("v", "n1", storageClassName="else", annotations=old)
    verdict = judged(claim(storageClassName="fast", annotations=old), fits, storage_class())
    assert verdict.candidates == {"tax/data": ("v",)}


def test_ephemeral_claims() -> None:
    user = pod(volumes=[{"name": "scratch", "ephemeral": {"volumeClaimTemplate": {}}}])
    assert refused(storage().judge(user)) == (
        "volumes:claim-awaited",
        'waiting for ephemeral volume controller to create the persistentvolumeclaim "p-scratch"',
    )
    foreign = claim("p-scratch", bound="v")
    assert refused(storage(foreign, volume("v")).judge(user)) == (
        "volumes:claim-foreign",
        "PVC tax/p-scratch was not created for pod tax/p (pod is not owner)",
    )
    owner = {"kind": "Pod", "name": "p", "uid": "uid-of-pod", "controller": True}
    owned = claim("p-scratch", bound="v", ownerReferences=[owner])
    assert storage(owned, volume("v", "n1")).judge(user).alternatives == ((one_in(HOST, "n1"),),)
    assert storage(owned, volume("v", labels={ZONE: "a"})).judge(user).alternatives == ()
    gone = "node(s) unavailable due to one or more pvc(s) bound to non-existent pv(s)"
    assert refused(storage(owned).judge(user)) == ("volumes:volume-missing", gone)


@pytest.mark.parametrize(
    "fields",
    [
        {"size": "ten"},
        {"selector": {"matchExpressions": [{"key": "a", "operator": "Near", "values": ["b"]}]}},
        {"selector": {"matchExpressions": [{"key": "a", "operator": "In"}]}},
        {"selector": {"matchExpressions": [{"key": "a", "operator": "Exists", "values": ["b"]}]}},
    ],
)
def test_what_cannot_be_read_is_a_refusal_that_names_the_claim(fields: dict[str, Any]) -> None:
    known = storage(claim(**fields), volume(), storage_class())
    rule, message = refused(known.judge(pod("data")))
    assert rule == "volumes:claim-invalid"
    assert message.startswith('persistentvolumeclaim "data" cannot be read: ')
    assert known.choose(pod("data"), "n1", {}) is None


# -- bound volumes ----------------------------------------------------------------------------------------------------


def test_a_bound_volume_without_affinity_asks_nothing() -> None:
    assert judged(claim(bound="v"), volume("v")) == VolumeVerdict()


def test_affinity_of_a_bound_volume() -> None:
    terms = affinity([(ZONE, "In", ["a", "b"]), ("disk", "Exists", [])], [("gen", "Gt", ["3"])])
    verdict = judged(claim(bound="v"), volume("v", nodeAffinity=terms))
    assert verdict.alternatives == (
        (
            NodeTerm((Requirement(ZONE, "In", ("a", "b")), Requirement("disk", "Exists"))),
            NodeTerm((Requirement("gen", "Gt", ("3",)),)),
        ),
    )
    assert verdict.words == ("node(s) didn't match PersistentVolume's node affinity",)
    assert verdict.why_not("n1", {ZONE: "a", "disk": ""}) is None
    assert verdict.why_not("n1", {"gen": "4"}) is None
    assert verdict.why_not("n1", {"gen": "3", ZONE: "a"}) == "node(s) didn't match PersistentVolume's node affinity"
    assert not verdict.unsettled


def test_a_malformed_or_empty_term_matches_no_node() -> None:
    bad = affinity([("a", "Near", ["b"])], [], [("c", "In", [])], [("d", "Gt", ["x"])], [(HOST, "In", ["n1"])])
    assert judged(claim(bound="v"), volume("v", nodeAffinity=bad)).alternatives == ((one_in(HOST, "n1"),),)
    nothing = judged(claim(bound="v"), volume("v", nodeAffinity={"required": {"nodeSelectorTerms": []}}))
    assert refused(nothing) == ("volumes:no-volume", "node(s) didn't match PersistentVolume's node affinity")


def test_a_volume_is_compared_with_labels_only() -> None:
    """kube-scheduler builds a node without a name for it, of which every test of a field holds."""
    by_name = affinity([(HOST, "In", ["n1"])], fields=[("metadata.name", "In", ["n2"])])
    assert judged(claim(bound="v"), volume("v", nodeAffinity=by_name)).alternatives == ()
    two = affinity([(HOST, "In", ["n1"])], fields=[("metadata.name", "In", ["n2", "n3"])])
    assert judged(claim(bound="v"), volume("v", nodeAffinity=two)).alternatives == ((one_in(HOST, "n1"),),)


def test_two_volumes_are_two_entries_and_equal_ones_are_one() -> None:
    bound = [claim("a", bound="v"), claim("b", bound="w"), claim("c", bound="x")]
    volumes = [volume("v", "n1"), volume("w", nodeAffinity=affinity([(ZONE, "In", ["z"])])), volume("x", "n1")]
    verdict = judged(*bound, *volumes, names=("a", "b", "c"))
    assert verdict.alternatives == ((one_in(HOST, "n1"),), (one_in(ZONE, "z"),))


# -- zones ------------------------------------------------------------------------------------------------------------


def zonal(labels: dict[str, str]) -> VolumeVerdict:
    return judged(claim(bound="v"), volume("v", labels=labels))


def test_a_zone_label_asks_for_the_zone_or_a_node_without_any() -> None:
    verdict = zonal({ZONE: "a"})
    assert verdict.alternatives == ((one_in(ZONE, "a"), NO_ZONE),)
    assert verdict.words == ("node(s) had no available volume zone",)


@pytest.mark.parametrize(
    ("volume_labels", "node_labels", "does"),
    [
        ({OLD_ZONE: "a"}, {OLD_ZONE: "a"}, True),
        ({OLD_ZONE: "a"}, {OLD_ZONE: "b"}, False),
        ({OLD_ZONE: "a"}, {ZONE: "a"}, True),
        ({OLD_ZONE: "a"}, {ZONE: "b"}, False),
        ({OLD_ZONE: "a"}, {OLD_ZONE: "b", ZONE: "a"}, False),
        ({ZONE: "a"}, {OLD_ZONE: "a"}, False),
        ({ZONE: "a"}, {}, True),
        ({ZONE: "a"}, {REGION: "r"}, False),
        ({ZONE: "c__a"}, {ZONE: "a"}, True),
        ({ZONE: "c__ a "}, {ZONE: "a"}, True),
        ({ZONE: "c__a"}, {ZONE: "b"}, False),
        ({ZONE: "a____b"}, {ZONE: "z"}, True),
        ({ZONE: ""}, {ZONE: "z"}, True),
        ({ZONE: "a", REGION: "r"}, {ZONE: "a"}, False),
        ({ZONE: "a", REGION: "r"}, {ZONE: "a", REGION: "r"}, True),
        ({OLD_ZONE: "a", OLD_REGION: "r"}, {ZONE: "a", REGION: "r"}, True),
        ({OLD_ZONE: "a", OLD_REGION: "r"}, {ZONE: "a", OLD_REGION: "q"}, False),
        ({"other": "x"}, {ZONE: "z"}, True),
    ],
)
def test_zone_labels(volume_labels: dict[str, str], node_labels: dict[str, str], does: bool) -> None:
    assert (zonal(volume_labels).why_not("n", node_labels) is None) is does


def test_zone_labels_of_an_unbound_volume_do_not_matter() -> None:
    verdict = judged(claim(), volume("v", "n1", labels={ZONE: "a"}), storage_class())
    assert verdict.alternatives == ((one_in(HOST, "n1"),),)


# -- volumes to be made -----------------------------------------------------------------------------------------------

FAST = storage_class("fast", "csi.example.com")


def test_a_claim_to_be_provisioned_may_go_anywhere() -> None:
    verdict = judged(claim(storageClassName="fast"), FAST)
    assert (verdict.alternatives, verdict.refusal, verdict.to_select) == ((), None, ("tax/data",))
    assert verdict.unsettled
    assert storage(claim(storageClassName="fast"), FAST).choose(pod("data"), "n1", {}) == {}


def test_allowed_topologies() -> None:
    allowed = [
        {"matchLabelExpressions": [{"key": ZONE, "values": ["a", "b"]}, {"key": "rack", "values": ["1"]}]},
        {"matchLabelExpressions": [{"key": ZONE, "values": ["c"]}]},
        {"matchLabelExpressions": []},
        {"matchLabelExpressions": [{"key": "none", "values": []}]},
    ]
    known = storage(claim(storageClassName="fast"), storage_class("fast", "p", allowedTopologies=allowed))
    verdict = known.judge(pod("data"))
    both = NodeTerm((Requirement(ZONE, "In", ("a", "b")), Requirement("rack", "In", ("1",))))
    assert verdict.alternatives == ((one_in(ZONE, "c"), both),)
    assert verdict.words == (NO_VOLUME,)
    assert known.choose(pod("data"), "n", {ZONE: "c"}) == {}
    assert known.choose(pod("data"), "n", {ZONE: "b"}) is None


def test_topologies_that_permit_nothing() -> None:
    allowed: list[dict[str, Any]] = [{"matchLabelExpressions": []}]
    verdict = judged(claim(storageClassName="fast"), storage_class("fast", "p", allowedTopologies=allowed))
    assert refused(verdict) == ("volumes:no-volume", NO_VOLUME)


def test_a_volume_at_hand_extends_the_topologies() -> None:
    allowed = [{"matchLabelExpressions": [{"key": ZONE, "values": ["a"]}]}]
    known = storage(
        claim(storageClassName="fast"),
        storage_class("fast", "p", allowedTopologies=allowed),
        volume("v", "n9", storageClassName="fast"),
    )
    verdict = known.judge(pod("data"))
    assert verdict.alternatives == ((one_in(HOST, "n9"), one_in(ZONE, "a")),)
    assert (verdict.to_select, verdict.candidates) == (("tax/data",), {"tax/data": ("v",)})
    assert known.choose(pod("data"), "n9", {HOST: "n9"}) == {"tax/data": "v"}
    assert known.choose(pod("data"), "n1", {ZONE: "a"}) == {}
    assert known.choose(pod("data"), "n1", {}) is None


def test_a_claim_whose_node_is_selected_ties_the_pod_to_it() -> None:
    chosen = claim(storageClassName="fast", annotations={SELECTED: "n1"})
    known = storage(chosen, FAST, volume("v", storageClassName="fast"))
    verdict = known.judge(pod("data"))
    assert (verdict.to_select, verdict.waits, verdict.selected) == ((), ("tax/data",), {"tax/data": "n1"})
    assert (verdict.alternatives, verdict.words) == ((named("n1"),), (NO_VOLUME,))
    assert verdict.candidates == {}
    assert verdict.unsettled
    assert known.choose(pod("data"), "n1", {}) == {}
    assert known.choose(pod("data"), "n2", {}) is None


def test_a_selected_node_and_a_class_that_makes_nothing() -> None:
    chosen = claim(annotations={SELECTED: "n1"})
    assert refused(judged(chosen, storage_class(), volume("v", "n1"))) == ("volumes:no-volume", NO_VOLUME)


def capacity(name: str, selector: Any, room: str | None = "20Gi", **fields: Any) -> CSIStorageCapacity:
    body = {"metadata": {"name": name}, "storageClassName": "fast", "nodeTopology": selector, "capacity": room}
    return msgspec.convert(body | fields, CSIStorageCapacity)


def on(host: str) -> dict[str, Any]:
    return {"matchLabels": {HOST: host}}


TELLS = msgspec.convert({"metadata": {"name": "csi.example.com"}, "spec": {"storageCapacity": True}}, CSIDriver)
SILENT = msgspec.convert({"metadata": {"name": "csi.example.com"}}, CSIDriver)


def test_room_of_a_driver_that_tells_it() -> None:
    rooms = [
        capacity("a", on("n1")),
        capacity("b", on("n2"), "9Gi"),
        capacity("c", on("n3"), maximumVolumeSize="5Gi"),
        capacity("d", on("n4"), "1Gi", maximumVolumeSize="10Gi"),
        capacity("e", on("n5"), None),
        capacity("f", on("n6"), storageClassName="slow"),
        capacity("g", None),
        capacity("h", {"matchExpressions": [{"key": "k", "operator": "Gt", "values": ["1"]}]}),
        capacity("i", on("n7"), "much"),
    ]
    wanted = claim(storageClassName="fast")
    verdict = judged(wanted, FAST, TELLS, *rooms)
    assert verdict.alternatives == ((one_in(HOST, "n1", "n4"),),)
    assert verdict.words == ("node(s) did not have enough free storage",)
    assert judged(wanted, FAST, SILENT, *rooms).alternatives == ()
    assert judged(wanted, FAST, *rooms).alternatives == ()
    assert judged(wanted, FAST, TELLS, capacity("a", {})).alternatives == ()
    assert refused(judged(wanted, FAST, TELLS)) == ("volumes:no-room", "node(s) did not have enough free storage")


def test_room_does_not_matter_without_a_size() -> None:
    assert judged(claim(storageClassName="fast", resources={}), FAST, TELLS).alternatives == ()


# -- volumes at hand --------------------------------------------------------------------------------------------------


def test_local_volumes_of_many_hosts_are_one_list() -> None:
    verdict = judged(claim(), storage_class(), volume("b", "n2"), volume("a", "n1"), volume("c", "n2", size="50Gi"))
    assert verdict.alternatives == ((one_in(HOST, "n1", "n2"),),)
    assert verdict.candidates == {"tax/data": ("a", "b", "c")}
    assert (verdict.to_select, verdict.refusal) == ((), None)


def test_a_volume_that_every_node_reaches_restricts_nothing() -> None:
    verdict = judged(claim(), storage_class(), volume("a", "n1"), volume("b"))
    assert verdict.alternatives == ()
    assert verdict.candidates == {"tax/data": ("a", "b")}


OTHERS = {"name": "x", "namespace": "tax", "uid": "u"}


@pytest.mark.parametrize(
    "fields",
    [
        {"size": "9Gi"},
        {"size": "large"},
        {"capacity": {}},
        {"storageClassName": "other"},
        {"accessModes": ["ReadOnlyMany"]},
        {"volumeMode": "Block"},
        {"volumeAttributesClassName": "gold"},
        {"phase": "Released"},
        {"phase": "Pending"},
        {"phase": ""},
        {"claimRef": OTHERS},
        {"claimRef": {"name": "data", "namespace": "tax", "uid": "of-an-earlier-one"}},
        {"claimRef": {"name": "data", "namespace": "health"}},
        {"deletionTimestamp": "2026-01-01T00:00:00Z"},
    ],
)
def test_a_volume_that_does_not_fit(fields: dict[str, Any]) -> None:
    verdict = judged(claim(), storage_class(), volume("v", "n1", **fields))
    assert refused(verdict) == ("volumes:no-volume", NO_VOLUME)
    assert verdict.candidates == {}


def test_selector_modes_and_attributes_that_fit() -> None:
    wanted = claim(
        selector={"matchLabels": {"disk": "ssd"}},
        accessModes=["ReadWriteOnce", "ReadOnlyMany"],
        volumeMode="Block",
        volumeAttributesClassName="gold",
    )
    fields: dict[str, Any] = {"accessModes": ["ReadOnlyMany", "ReadWriteOnce"], "volumeMode": "Block"}
    gold = fields | {"volumeAttributesClassName": "gold"}
    fits = volume("v", "n1", labels={"disk": "ssd"}, **gold)
    plain = volume("w", "n2", labels={"disk": "hdd"}, **gold)
    without = volume("x", "n3", labels={"disk": "ssd"}, **fields)
    assert judged(wanted, storage_class(), fits, plain, without).candidates == {"tax/data": ("v",)}


def test_an_unsaid_volume_mode_is_a_file_system() -> None:
    assert judged(claim(volumeMode="Filesystem"), storage_class(), volume("v")).refusal is None


@pytest.mark.parametrize("uid", ["", "uid-data"])
def test_a_volume_that_is_kept_for_the_claim_stands_alone(uid: str) -> None:
    mine = {"name": "data", "namespace": "tax", "uid": uid}
    kept = volume("v", "n2", claimRef=mine, phase="Pending", accessModes=[], size="99Gi")
    known = storage(claim(), storage_class(), volume("a", "n1"), kept)
    verdict = known.judge(pod("data"))
    assert verdict.candidates == {"tax/data": ("v",)}
    assert verdict.alternatives == ((one_in(HOST, "n2"),),)
    assert known.choose(pod("data"), "n1", {HOST: "n1"}) is None
    assert known.choose(pod("data"), "n2", {HOST: "n2"}) == {"tax/data": "v"}


def test_a_kept_volume_that_is_too_small_does_not_count() -> None:
    kept = volume("v", "n2", claimRef={"name": "data", "namespace": "tax"}, size="1Gi")
    assert judged(claim(), storage_class(), volume("a", "n1"), kept).candidates == {"tax/data": ("a",)}


# -- choosing ---------------------------------------------------------------------------------------------------------


def test_the_smallest_volume_of_the_node_is_chosen() -> None:
    volumes = [
        volume("big", "n1", "80Gi"),
        volume("mid", "n1", "20Gi"),
        volume("tiny", "n2"),
        volume("mid-2", "n1", "20Gi"),
    ]
    known = storage(claim(), storage_class(), *volumes)
    assert known.choose(pod("data"), "n1", {HOST: "n1"}) == {"tax/data": "mid"}
    assert known.choose(pod("data"), "n1", {HOST: "n1"}, frozenset({"mid", "mid-2"})) == {"tax/data": "big"}
    assert known.choose(pod("data"), "n3", {HOST: "n3"}) is None


def test_claims_choose_by_size_and_no_volume_twice() -> None:
    known = storage(
        claim("large", "15Gi"),
        claim("small", "5Gi"),
        storage_class(),
        volume("a", "n1", "10Gi"),
        volume("b", "n1", "20Gi"),
    )
    user = pod("large", "small")
    assert known.choose(user, "n1", {HOST: "n1"}) == {"tax/small": "a", "tax/large": "b"}
    verdict = known.judge(user)
    assert verdict.candidates == {"tax/large": ("b",), "tax/small": ("a", "b")}
    assert verdict.rivals


def test_rivals_are_told_the_nodes_with_enough_volumes() -> None:
    known = storage(claim("a"), claim("b"), storage_class(), volume("v", "n1"), volume("w", "n2"), volume("x", "n2"))
    user = pod("a", "b")
    nodes = {name: {HOST: name} for name in ("n1", "n2", "n3")}
    assert known.judge(user).alternatives == ((one_in(HOST, "n1", "n2"),),)
    assert known.choosable(user, nodes) == named("n2")
    assert known.choosable(user, nodes, frozenset({"w"})) == ()
    assert storage().choosable(user, nodes) == ()


def test_claims_of_several_kinds_at_once() -> None:
    known = storage(
        claim("bound", bound="b"),
        claim("made", storageClassName="fast"),
        claim("local"),
        volume("b", nodeAffinity=affinity([(ZONE, "In", ["a"])]), phase="Bound"),
        volume("v", "n1"),
        storage_class(),
        FAST,
    )
    user = pod("bound", "made", "local")
    verdict = known.judge(user)
    assert verdict.alternatives == ((one_in(ZONE, "a"),), (one_in(HOST, "n1"),))
    assert (verdict.to_select, verdict.candidates) == (("tax/made",), {"tax/local": ("v",)})
    assert not verdict.rivals
    assert known.choose(user, "n1", {HOST: "n1", ZONE: "a"}) == {"tax/local": "v"}


def test_a_claim_that_is_mounted_twice_counts_once() -> None:
    twice = [{"name": "again", "persistentVolumeClaim": {"claimName": "data"}}]
    known = storage(claim(), storage_class(), volume("v", "n1"))
    assert known.choose(pod("data", volumes=twice), "n1", {HOST: "n1"}) == {"tax/data": "v"}


def test_a_refused_pod_chooses_nothing() -> None:
    assert storage().choose(pod("data"), "n1", {}) is None


def test_what_is_written_to_bind() -> None:
    ref = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "namespace": "tax",
        "name": "data",
        "uid": "uid-data",
        "resourceVersion": "",
    }
    mark = {"annotations": {"pv.kubernetes.io/bound-by-controller": "yes"}}
    assert prebinding(claim(), volume("v")) == {"metadata": mark, "spec": {"claimRef": ref}}
    kept = volume("v", claimRef={"name": "data", "namespace": "tax"})
    assert prebinding(claim(), kept) == {"spec": {"claimRef": ref}}
    done = volume("v", claimRef={"name": "data", "namespace": "tax", "uid": "uid-data"})
    assert prebinding(claim(), done) == {}


# -- with the pod's own constraints -----------------------------------------------------------------------------------


def test_without_entries_constraints_stay() -> None:
    own = Constraints(selector=(("a", "b"),), required=(one_in("c", "d"),))
    assert constrained(own, ()) is own


def test_entries_and_own_terms_are_multiplied() -> None:
    own = Constraints(
        selector=(("a", "b"),), required=(one_in("c", "d"), NodeTerm(), NodeTerm(fields=named("n")[0].fields))
    )
    entries = ((one_in(ZONE, "x"), one_in("rack", "1")),)
    assert constrained(own, entries) == Constraints(
        selector=(("a", "b"),),
        required=(
            NodeTerm((Requirement(ZONE, "In", ("x",)), Requirement("c", "In", ("d",)))),
            NodeTerm((Requirement(ZONE, "In", ("x",)),), named("n")[0].fields),
            NodeTerm((Requirement("rack", "In", ("1",)), Requirement("c", "In", ("d",)))),
            NodeTerm((Requirement("rack", "In", ("1",)),), named("n")[0].fields),
        ),
    )


KEYS, VALUES = st.sampled_from(["a", "b"]), st.sampled_from(["1", "2", "3"])
TESTS = st.one_of(
    st.builds(Requirement, KEYS, st.sampled_from(["In", "NotIn"]), st.lists(VALUES, min_size=1, max_size=2).map(tuple)),
    st.builds(Requirement, KEYS, st.sampled_from(["Exists", "DoesNotExist"])),
    st.builds(Requirement, KEYS, st.sampled_from(["Gt", "Lt"]), st.tuples(VALUES)),
)
ENTRIES = st.lists(st.builds(NodeTerm, st.lists(TESTS, min_size=1, max_size=3).map(tuple)), max_size=4).map(tuple)


@given(st.lists(ENTRIES, min_size=1, max_size=3), st.dictionaries(KEYS, VALUES))
def test_a_conjunction_matches_just_what_all_entries_match(entries: list[Terms], labels: dict[str, str]) -> None:
    joined = conjunction(entries, MOST_TERMS)
    assert any_holds(joined, "n", labels) is all(any_holds(entry, "n", labels) for entry in entries)
    assert all(any_holds(union(entry), "n", labels) is any_holds(entry, "n", labels) for entry in entries)


def test_what_contradicts_itself_is_left_out() -> None:
    entries = ((one_in(ZONE, "a", "b"), NO_ZONE), (one_in(ZONE, "b", "c"), NO_ZONE))
    assert constrained(Constraints(), entries) == Constraints(required=(one_in(ZONE, "b"), NO_ZONE))
    assert constrained(Constraints(), (named("n1"), named("n2"))) == Constraints(required=())


def test_too_many_terms_are_refused() -> None:
    def entry(letter: str) -> Terms:
        return tuple(NodeTerm((Requirement(f"{letter}{n}", "Exists"),)) for n in range(30))

    refusal = constrained(Constraints(), (entry("a"), entry("b")))
    assert isinstance(refusal, Refusal)
    assert refusal.rule == "volumes:too-many-terms"
    assert str(MOST_TERMS) in refusal.message
    wide = tuple(NodeTerm((Requirement(f"w{n}", "Exists"),)) for n in range(2000))
    assert isinstance(constrained(Constraints(), (entry("a"), wide)), Refusal)


def test_a_thousand_local_volumes_are_cheap_to_join() -> None:
    hosts = union(one_in(HOST, f"n{n}") for n in range(1000))
    assert len(hosts) == 1
    assert constrained(Constraints(required=(one_in(HOST, "n7", "x"),)), (hosts,)) == Constraints(
        required=(one_in(HOST, "n7"),)
    )


def test_the_engine_places_by_what_the_verdict_asks() -> None:
    verdict = judged(claim(), storage_class(), volume("v", "n2"))
    constraints = constrained(Constraints(), verdict.alternatives)
    assert isinstance(constraints, Constraints)
    nodes = tuple(Node(name, (10,), ((HOST, name),)) for name in ("n1", "n2", "n3"))
    solution = solve(Problem(("cpu",), nodes, (Item("p", (1,), constraints),)))
    assert solution.assignment == ("n2",)


@pytest.mark.parametrize(
    ("operator", "values", "label", "holds"),
    [
        ("NotIn", ("a",), "b", True),
        ("NotIn", ("a",), None, True),
        ("NotIn", ("a",), "a", False),
        ("Exists", (), None, False),
        ("DoesNotExist", (), None, True),
        ("Gt", ("3",), "4", True),
        ("Gt", ("3",), "x", False),
        ("Lt", ("3",), "2", True),
        ("Lt", ("3",), None, False),
    ],
)
def test_every_operator(operator: str, values: tuple[str, ...], label: str | None, holds: bool) -> None:
    terms = (NodeTerm((Requirement("k", operator, values),)),)
    assert any_holds(terms, "n", {} if label is None else {"k": label}) is holds


def test_an_empty_term_matches_no_node_and_no_restriction_every_node() -> None:
    assert not any_holds((NodeTerm(),), "n", {})
    assert not any_holds((), "n", {})
    assert any_holds(None, "n", {})


# -- what may be used once --------------------------------------------------------------------------------------------


def test_a_claim_for_one_pod_only() -> None:
    single = claim(bound="v", accessModes=["ReadWriteOncePod"])
    known = storage(single, volume("v"))
    verdict = known.judge(pod("data"))
    assert verdict.exclusive == frozenset({"claim:tax/data"})

    def users(**fields: Any) -> dict[str, frozenset[str]]:
        return users_of_claims([pod("data", name="q", **fields)])

    refusal = in_use(pod("data"), verdict, users(spec={"nodeName": "n1"}))
    assert refusal == Refusal(
        "volumes:claim-in-use",
        "node(s) unavailable due to PersistentVolumeClaim with ReadWriteOncePod access mode already in-use by another "
        "pod",
        "wait until pod tax/q is gone, or give claim tax/data the access mode ReadWriteOnce",
    )
    assert in_use(pod("data"), verdict, users()) is None
    assert in_use(pod("data"), verdict, users(spec={"nodeName": "n1"}, status={"phase": "Succeeded"})) is None
    itself = users_of_claims([pod("data", spec={"nodeName": "n1"})])
    assert in_use(pod("data"), verdict, itself) is None


def test_other_claims_are_shared() -> None:
    assert judged(claim(bound="v"), volume("v")).exclusive == frozenset()


def test_what_holds_of_running_pods_is_told_of_refused_ones_too() -> None:
    dying = claim(bound="v", accessModes=["ReadWriteOncePod"], deletionTimestamp="2026-01-01T00:00:00Z")
    csi = volume("v", csi={"driver": "d", "volumeHandle": "h"})
    verdict = judged(dying, csi)
    assert verdict.refusal is not None
    assert verdict.exclusive == frozenset({"claim:tax/data"})
    assert verdict.attachments == frozenset({Attachment("d", "h")})


def disks(**source: Any) -> VolumeVerdict:
    return storage().judge(pod(volumes=[{"name": "v"} | source]))


def clash(one: VolumeVerdict, other: VolumeVerdict) -> bool:
    """As the engine has it: in both directions."""
    return bool(one.avoids & other.groups or other.avoids & one.groups)


@pytest.mark.parametrize(
    ("one", "other", "clashes"),
    [
        ({"gcePersistentDisk": {"pdName": "d"}}, {"gcePersistentDisk": {"pdName": "d"}}, True),
        ({"gcePersistentDisk": {"pdName": "d"}}, {"gcePersistentDisk": {"pdName": "e"}}, False),
        ({"gcePersistentDisk": {"pdName": "d"}}, {"gcePersistentDisk": {"pdName": "d", "readOnly": True}}, True),
        (
            {"gcePersistentDisk": {"pdName": "d", "readOnly": True}},
            {"gcePersistentDisk": {"pdName": "d", "readOnly": True}},
            False,
        ),
        (
            {"awsElasticBlockStore": {"volumeID": "d", "readOnly": True}},
            {"awsElasticBlockStore": {"volumeID": "d", "readOnly": True}},
            True,
        ),
        ({"awsElasticBlockStore": {"volumeID": "d"}}, {"awsElasticBlockStore": {"volumeID": "e"}}, False),
        ({"iscsi": {"iqn": "i", "lun": 0}}, {"iscsi": {"iqn": "i", "lun": 1}}, True),
        ({"iscsi": {"iqn": "i", "readOnly": True}}, {"iscsi": {"iqn": "i", "readOnly": True}}, False),
        ({"iscsi": {"iqn": "i"}}, {"iscsi": {"iqn": "j"}}, False),
        (
            {"rbd": {"monitors": ["a", "b"], "image": "x", "pool": "rbd"}},
            {"rbd": {"monitors": ["b", "c"], "image": "x"}},
            True,
        ),
        ({"rbd": {"monitors": ["a"], "image": "x"}}, {"rbd": {"monitors": ["b"], "image": "x"}}, False),
        ({"rbd": {"monitors": ["a"], "image": "x"}}, {"rbd": {"monitors": ["a"], "image": "y"}}, False),
        ({"rbd": {"monitors": ["a"], "image": "x"}}, {"rbd": {"monitors": ["a"], "image": "x", "pool": "p"}}, False),
        (
            {"rbd": {"monitors": ["a"], "image": "x", "readOnly": True}},
            {"rbd": {"monitors": ["a"], "image": "x", "readOnly": True}},
            False,
        ),
        ({"rbd": {"monitors": "a", "image": "x"}}, {"rbd": {"monitors": "a", "image": "x"}}, False),
        ({"azureDisk": {"diskURI": "u"}}, {"azureDisk": {"diskURI": "u"}}, False),
        ({"cinder": {"volumeID": "c"}}, {"cinder": {"volumeID": "c"}}, False),
        ({"gcePersistentDisk": {"pdName": "d"}}, {"awsElasticBlockStore": {"volumeID": "d"}}, False),
    ],
)
def test_disks_that_conflict_on_a_node(one: dict[str, Any], other: dict[str, Any], clashes: bool) -> None:
    assert clash(disks(**one), disks(**other)) is clashes
    assert clash(disks(**other), disks(**one)) is clashes
    assert disks(**one).refusal is None


def test_names_of_disks() -> None:
    verdict = disks(gcePersistentDisk={"pdName": "d"}, rbd={"monitors": ["m"], "image": "x", "readOnly": True})
    assert verdict.groups == frozenset({"disk:gce d", "disk:rbd m rbd x"})
    assert verdict.avoids == frozenset({"disk:gce d"})


# -- how many volumes a node holds ------------------------------------------------------------------------------------


def test_limits_of_a_node() -> None:
    drivers = [{"name": "a", "allocatable": {"count": 3}}, {"name": "b", "allocatable": {}}, {"name": "c"}]
    known = storage(msgspec.convert({"metadata": {"name": "n1"}, "spec": {"drivers": drivers}}, CSINode))
    assert known.limits("n1") == {"a": 3}
    assert known.limits("n2") == {}


@pytest.mark.parametrize(
    ("objects", "attached"),
    [
        ([claim(bound="v"), volume("v", csi={"driver": "d", "volumeHandle": "h"})], [Attachment("d", "h")]),
        ([claim(bound="v"), volume("v", csi={"driver": "d"})], []),
        ([claim(bound="v"), volume("v", local={"path": "/d"})], []),
        ([claim(bound="v"), volume("v", cinder={"volumeID": "c"})], [Attachment("cinder.csi.openstack.org", "v")]),
        ([claim(bound="gone", storageClassName="fast"), FAST], [Attachment("csi.example.com", "claim tax/data")]),
        ([claim(storageClassName="fast"), FAST], [Attachment("csi.example.com", "claim tax/data")]),
        (
            [claim(storageClassName="old"), storage_class("old", "kubernetes.io/aws-ebs")],
            [Attachment("ebs.csi.aws.com", "claim tax/data")],
        ),
        ([claim(), storage_class()], []),
        ([claim(storageClassName="none")], []),
        ([], []),
    ],
)
def test_what_counts_against_the_limit(objects: list[Any], attached: list[Attachment]) -> None:
    assert judged(*objects).attachments == frozenset(attached)


def test_inline_disks_count_as_their_drivers_volumes() -> None:
    verdict = disks(azureDisk={"diskURI": "u"}, cinder={"volumeID": "c"}, rbd={"monitors": []})
    assert verdict.attachments == frozenset(
        {Attachment("disk.csi.azure.com", "u"), Attachment("cinder.csi.openstack.org", "c")}
    )


def test_the_folder_of_a_pod_is_still_told() -> None:
    assert host_path_of({"spec": {"volumes": [{"name": "v", "hostPath": {"path": "/srv"}}]}}) == "/srv"
