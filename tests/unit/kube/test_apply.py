"""What counts as different enough to be written."""

from copy import deepcopy
from typing import Any

import pytest

from yunchi_operator.kube.apply import holds, without_empty

DESIRED: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "ResourceQuota",
    "metadata": {"name": "q", "namespace": "n", "labels": {"a": "b"}},
    "spec": {"hard": {"requests.cpu": "2", "pods": 20}, "list": [{"port": 53}], "empty": []},
}
OWNED = {
    "f:metadata": {"f:labels": {"f:a": {}}},
    "f:spec": {"f:hard": {"f:requests.cpu": {}, "f:pods": {}}, "f:list": {}, "f:empty": {}},
}


def live(**spec: Any) -> dict[str, Any]:
    found = deepcopy(DESIRED)
    found["spec"] = {"hard": {"requests.cpu": "2000m", "pods": "20"}, "list": [{"port": 53, "protocol": "TCP"}]} | spec
    found["metadata"]["managedFields"] = [
        {"manager": "m", "operation": "Apply", "fieldsV1": deepcopy(OWNED)},
        {"manager": "m", "operation": "Apply", "subresource": "status", "fieldsV1": {"f:status": {}}},
        {"manager": "kubectl", "operation": "Update", "fieldsV1": {"f:spec": {"f:foreign": {}}}},
    ]
    found["metadata"]["labels"]["other"] = "label"
    return found


def test_what_is_there_in_other_spelling_is_not_written() -> None:
    assert holds(live(), DESIRED, "m")
    assert holds(live(foreign=1), DESIRED, "m")


@pytest.mark.parametrize(
    "spec",
    [
        {"hard": {"requests.cpu": "3", "pods": "20"}},
        {"hard": {"pods": "20"}},
        {"list": []},
        {"list": [{"port": 53}, {"port": 54}]},
        {"empty": [{"from": "everywhere"}]},
        {"hard": None},
    ],
)
def test_differences_are_written(spec: dict[str, Any]) -> None:
    assert not holds(live(**spec), DESIRED, "m")


def test_a_changed_label_is_written() -> None:
    found = live()
    found["metadata"]["labels"]["a"] = "c"
    assert not holds(found, DESIRED, "m")


def test_what_we_once_applied_and_no_longer_want_is_taken_back() -> None:
    less = deepcopy(DESIRED)
    del less["spec"]["hard"]["pods"]
    assert not holds(live(), less, "m")


def test_what_is_there_by_another_s_hand_becomes_ours() -> None:
    assert not holds(live(), DESIRED, "somebody-else")


def test_mappings_that_are_owned_as_a_whole_match() -> None:
    found = live()
    found["metadata"]["managedFields"][0]["fieldsV1"]["f:spec"]["f:hard"] = {}
    assert holds(found, DESIRED, "m")


def test_empty_parts_of_a_status_are_left_out() -> None:
    status = {"granted": {}, "list": [], "none": None, "zero": 0, "text": "", "deep": [{"x": None, "y": False}]}
    assert without_empty(status) == {"zero": 0, "text": "", "deep": [{"y": False}]}
