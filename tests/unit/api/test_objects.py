"""Budgets, volumes, tenancies and host lists among the manifests; quick and careful reading agree."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from yunchi_operator.api.core import Pod
from yunchi_operator.api.disruption import scaled
from yunchi_operator.api.json_text import JsonStream
from yunchi_operator.api.manifests import Inventory, Origin
from yunchi_operator.api.sharing import Sharing

ROOT = Path(__file__).parents[3]


def budget(**spec: Any) -> dict[str, Any]:
    meta = {"name": "b", "namespace": "tax", "creationTimestamp": None}
    return {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": meta, "spec": spec}


def carefully(*values: Any) -> Inventory:
    inventory = Inventory()
    for index, value in enumerate(values, 1):
        inventory.add(json.loads(json.dumps(value)), Origin("f", index))
    return inventory


def quickly(*values: Any) -> Inventory:
    inventory = Inventory()
    JsonStream(io.BytesIO("\n".join(map(json.dumps, values)).encode()).read, inventory, "f").feed()
    return inventory


@pytest.mark.parametrize("read", [carefully, quickly])
def test_what_a_plan_needs_beside_nodes_and_pods(read: Any) -> None:
    volume = {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": "v"},
        "spec": {"local": {"path": "/d"}},
    }
    pod = {
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": "tax"},
        "spec": {"containers": [{"name": "c"}], "volumes": [{"name": "d", "hostPath": {"path": "/srv"}}]},
    }  # fmt: skip
    listed = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "c"},
        "data": {"hosts.csv": "x"},
        "binaryData": {},
    }
    tenancy = {"apiVersion": "yunchi.io/v1alpha1", "kind": "CloudTenancy", "metadata": {"name": "t"}}
    spec = {"division": "320100", "source": {"hostListConfigMapRef": {"name": "c"}}}
    found = read(
        budget(maxUnavailable="25%", selector={"matchLabels": {"a": "b"}}),
        volume,
        pod,
        listed,
        tenancy | {"spec": spec},
    )
    assert found.faults == []
    assert [one.key for one in found.budgets] == ["tax/b"]
    assert [one.is_local for one in found.volumes] == [True]
    assert found.host_paths == {"tax/p": "/srv"}
    assert found.config_maps[0].data == {"hosts.csv": "x"}
    assert found.tenancies[0].spec.source.host_list_config_map_ref is not None
    assert found.ignored == {}


@pytest.mark.parametrize("read", [carefully, quickly])
@pytest.mark.parametrize(
    ("spec", "field", "message"),
    [
        ({"maxUnavailible": 1}, "spec.maxUnavailible", "did you mean maxUnavailable?"),
        ({"minAvailable": 1, "maxUnavailable": 1}, "spec.maxUnavailable", "takes one of the two"),
        ({"minAvailable": -1}, "spec.minAvailable", "neither a count nor a share"),
        ({"minAvailable": "half"}, "spec.minAvailable", "write for example 1 or 25%"),
        ({"selector": {"matchExpressions": [{"key": "a", "operator": "in"}]}}, "operator", "is not one of In"),
        ({"selector": {"matchLabel": {}}}, "spec.selector.matchLabel", "did you mean matchLabels?"),
    ],
)
def test_faults_of_budgets(read: Any, spec: dict[str, Any], field: str, message: str) -> None:
    (fault,) = read(budget(**spec)).faults
    assert fault.subject == "PodDisruptionBudget tax/b"
    assert fault.field.endswith(field)
    assert message in fault.message


@pytest.mark.parametrize("read", [carefully, quickly])
def test_numbers_beyond_64_bits_are_capped_or_refused(read: Any) -> None:
    node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n"}, "status": {"allocatable": {"cpu": 10**30}}}
    assert read(node).faults == []
    (fault,) = read(node | {"metadata": {"name": 10**30}}).faults
    assert fault.field == "metadata.name"


@pytest.mark.parametrize("read", [carefully, quickly])
def test_an_old_api_version_is_told(read: Any) -> None:
    (fault,) = read(budget() | {"apiVersion": "policy/v1beta1"}).faults
    assert fault.message.endswith("PodDisruptionBudget belongs to apiVersion policy/v1")


@pytest.mark.parametrize(
    ("value", "total", "count"), [(3, 10, 3), ("25%", 10, 3), ("0%", 9, 0), ("100%", 9, 9), ("1%", 1, 1)]
)
def test_shares_are_rounded_up(value: int | str, total: int, count: int) -> None:
    assert scaled(value, total) == count


EXAMPLES = [one for one in yaml.safe_load_all((ROOT / "examples" / "small" / "cluster.yaml").read_text()) if one]
JUNK = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-9, 9),
    st.text(max_size=4),
    st.builds(list),
    st.builds(dict),
    st.builds(lambda: [{}]),
)


@given(data=st.data())
def test_quick_and_careful_reading_find_the_same(data: st.DataObject) -> None:
    value = json.loads(json.dumps(data.draw(st.sampled_from(EXAMPLES))))
    for _ in range(data.draw(st.integers(0, 2))):
        place: Any = value
        while isinstance(place, dict | list) and place:
            key = data.draw(st.sampled_from(sorted(place) if isinstance(place, dict) else range(len(place))))
            if data.draw(st.booleans()) or not isinstance(place[key], dict | list) or not place[key]:
                place[key] = data.draw(JUNK)
                break
            place = place[key]
    quick, careful = quickly(value), carefully(value)
    assert [(one.subject, one.field, one.message) for one in quick.faults] == [
        (one.subject, one.field, one.message) for one in careful.faults
    ]
    assert (quick.pods, quick.nodes, quick.pools) == (careful.pods, careful.nodes, careful.pools)
    assert (quick.ignored, quick.objects) == (careful.ignored, careful.objects)


def test_equal_parts_are_kept_once() -> None:
    raw = {
        "metadata": {
            "name": "p",
            "labels": {"a": "b"},
            "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "x"},
        },
        "spec": {"containers": [{"name": "c", "resources": {"requests": {"cpu": "1"}}}], "nodeName": "n"},
        "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]},
    }
    first, second, other = (
        msgspec.convert(raw | {"metadata": raw["metadata"] | {"name": name}}, Pod) for name in "pqr"
    )
    msgspec.structs.force_setattr(other, "spec", msgspec.structs.replace(other.spec, overhead={"cpu": "1"}))
    sharing = Sharing()
    for one in (first, second, other):
        sharing.pod(one)
    assert first.spec.containers is second.spec.containers is other.spec.containers
    assert first.metadata.labels is second.metadata.labels
    assert first.status.conditions is second.status.conditions
    assert first.spec.overhead is second.spec.overhead
    assert (first.metadata.name, second.metadata.name, other.spec.overhead) == ("p", "q", {"cpu": "1"})
    assert first.metadata.annotations == {}
