"""The known fields, against the official client's models."""

from __future__ import annotations

from typing import Any

import pytest
from kubernetes.client import models

from yunchi_operator.api import fields
from yunchi_operator.api.fields import KNOWN, UnknownField, closest, tidy


def known_to_the_client(name: str) -> set[str]:
    model = getattr(models, name)
    mapping: dict[str, str] | None = getattr(model, "attribute_map", None)
    return set(mapping.values()) if mapping else {field.alias for field in model.model_fields.values()}


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (fields._POD_SPEC, "V1PodSpec"),
        (fields._POD_STATUS, "V1PodStatus"),
        (fields._CONTAINER, "V1Container"),
        (fields._CONTAINER.nested["ports"], "V1ContainerPort"),
        (fields._RESOURCES, "V1ResourceRequirements"),
        (fields._VOLUME, "V1Volume"),
        (fields._META, "V1ObjectMeta"),
        (fields._META.nested["ownerReferences"], "V1OwnerReference"),
        (fields._NODE_SPEC, "V1NodeSpec"),
        (fields._NODE_SPEC.nested["taints"], "V1Taint"),
        (fields._NODE_STATUS, "V1NodeStatus"),
        (fields._NODE_STATUS.nested["conditions"], "V1NodeCondition"),
        (fields._POD_SPEC.nested["tolerations"], "V1Toleration"),
        (fields._POD_SPEC.nested["affinity"], "V1Affinity"),
        (fields._POD_SPEC.nested["resourceClaims"], "V1PodResourceClaim"),
        (fields._POD_SPEC.nested["topologySpreadConstraints"], "V1TopologySpreadConstraint"),
        (fields._TERM, "V1PodAffinityTerm"),
        (fields._NODE_AFFINITY, "V1NodeAffinity"),
        (fields._POD_AFFINITY, "V1PodAntiAffinity"),
        (fields._SELECTOR, "V1LabelSelector"),
        (fields._TEST, "V1NodeSelectorRequirement"),
        (fields._NODE_TERM, "V1NodeSelectorTerm"),
    ],
)
def test_every_field_of_the_client_is_known(ours: fields.Fields, theirs: str) -> None:
    assert known_to_the_client(theirs) - ours.names == set()


@pytest.mark.parametrize(
    ("word", "guess"),
    [("nodeSelektor", "nodeSelector"), ("requets", "requests"), ("nodename", "nodeName"), ("zzz", None)],
)
def test_a_typing_error_is_guessed(word: str, guess: str | None) -> None:
    assert closest(word, fields._POD_SPEC.names | fields._RESOURCES.names) == guess


def test_unknown_fields_are_found_at_any_depth_and_nulls_are_dropped() -> None:
    pod: dict[str, Any] = {
        "kind": "Pod",
        "metadata": {"name": "a", "labels": None},
        "spec": {"containers": [{"name": "c", "resources": {"requets": {"cpu": 1}}}], "nodeSelektor": {}},
    }
    assert set(tidy(pod, KNOWN["Pod"])) == {
        UnknownField(("spec", "nodeSelektor"), "nodeSelector"),
        UnknownField(("spec", "containers", 0, "resources", "requets"), "requests"),
    }
    assert pod["metadata"] == {"name": "a"}
