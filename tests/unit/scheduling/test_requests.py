"""Effective requests, case by case as kube-scheduler's own helpers define them."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from support.objects import pod as simple
from yunchi_operator.api.core import Pod
from yunchi_operator.scheduling.requests import pod_requests


def container(name: str = "c", *, always: bool = False, limits: dict[str, str] | None = None, **requests: str) -> Any:
    body: dict[str, Any] = {"name": name, "resources": {"requests": requests, "limits": limits or {}}}
    return body | ({"restartPolicy": "Always"} if always else {})


def pod(status: dict[str, Any] | None = None, **spec: Any) -> Pod:
    return msgspec.convert({"metadata": {"name": "p"}, "spec": spec, "status": status or {}}, Pod)


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({"containers": [container(cpu="500m", memory="1Gi")]}, {"cpu": 500, "memory": 1 << 30}),
        ({"containers": [container()]}, {}),
        ({"containers": [container(cpu="0")]}, {}),
        ({"containers": [container(cpu="1"), container("d", cpu="250m", memory="1")]}, {"cpu": 1250, "memory": 1}),
        # limits stand in for missing requests, per resource
        ({"containers": [container(limits={"cpu": "2", "memory": "1"}, cpu="1")]}, {"cpu": 1000, "memory": 1}),
        # the largest init container counts when it exceeds the sum, per resource
        (
            {"containers": [container(cpu="1", memory="8")], "initContainers": [container(cpu="2", memory="4")]},
            {"cpu": 2000, "memory": 8},
        ),
        (
            {"containers": [container(cpu="1")], "initContainers": [container(cpu="2"), container("b", cpu="3")]},
            {"cpu": 3000},
        ),
        # a sidecar adds to the containers
        (
            {"containers": [container(cpu="1")], "initContainers": [container("s", always=True, cpu="1")]},
            {"cpu": 2000},
        ),
        # an init container after a sidecar runs beside it; one before it does not
        (
            {
                "containers": [container(cpu="1")],
                "initContainers": [container("s", always=True, cpu="1"), container("i", cpu="3")],
            },
            {"cpu": 4000},
        ),
        (
            {
                "containers": [container(cpu="1")],
                "initContainers": [container("i", cpu="3"), container("s", always=True, cpu="1")],
            },
            {"cpu": 3000},
        ),
        (
            {
                "containers": [container(cpu="1")],
                "initContainers": [
                    container("s", always=True, cpu="2"),
                    container("i", cpu="1"),
                    container("t", always=True, cpu="3"),
                ],
            },
            {"cpu": 6000},
        ),
        # overhead comes on top
        ({"containers": [container(cpu="1")], "overhead": {"cpu": "100m", "memory": "5"}}, {"cpu": 1100, "memory": 5}),
        # the pod's own requests replace those of its containers; overhead still comes on top
        (
            {
                "containers": [container(cpu="4", memory="7")],
                "resources": {"requests": {"cpu": "1"}},
                "overhead": {"cpu": "100m"},
            },
            {"cpu": 1100, "memory": 7},
        ),
        ({"containers": [container(cpu="1")], "resources": {"limits": {"cpu": "3"}}}, {"cpu": 1000}),
        ({"containers": [container()], "resources": {"limits": {"cpu": "3"}}}, {"cpu": 3000}),
        # what a pod cannot ask for as a whole is ignored there
        (
            {
                "containers": [container(**{"nvidia.com/gpu": "1"})],
                "resources": {"requests": {"cpu": "1", "nvidia.com/gpu": "9"}},
            },
            {"cpu": 1000, "nvidia.com/gpu": 1},
        ),
    ],
)
def test_requests(spec: dict[str, Any], expected: dict[str, int]) -> None:
    assert pod_requests(pod(**spec)) == expected | {"pods": 1}


RUNNING = {"name": "c", "resources": {"requests": {"cpu": "3"}}, "allocatedResources": {"cpu": "2"}}


@pytest.mark.parametrize(
    ("status", "milli"),
    [
        ({"containerStatuses": [RUNNING]}, 3000),
        ({"containerStatuses": [{"name": "c", "allocatedResources": {"cpu": "9"}}]}, 5000),
        ({"containerStatuses": [{"name": "other"} | {k: v for k, v in RUNNING.items() if k != "name"}]}, 5000),
    ],
)
def test_a_resize_under_way_counts_with_the_larger_amount(status: dict[str, Any], milli: int) -> None:
    asked = "1" if milli == 3000 else "5"
    assert pod_requests(pod(status, containers=[container(cpu=asked)]))["cpu"] == milli


def test_an_infeasible_resize_leaves_what_was_asked_out() -> None:
    status = {
        "containerStatuses": [RUNNING],
        "conditions": [{"type": "PodResizePending", "status": "True", "reason": "Infeasible"}],
    }
    assert pod_requests(pod(status, containers=[container(cpu="64")]))["cpu"] == 3000


def test_only_sidecars_among_init_containers_are_resized() -> None:
    status = {"initContainerStatuses": [RUNNING]}
    plain = pod(status, containers=[container("x", cpu="1")], initContainers=[container(cpu="2")])
    sidecar = pod(status, containers=[container("x", cpu="1")], initContainers=[container(always=True, cpu="2")])
    assert (pod_requests(plain)["cpu"], pod_requests(sidecar)["cpu"]) == (2000, 4000)


def test_a_pod_level_resize_counts_with_the_larger_amount() -> None:
    status = {"resources": {"requests": {"cpu": "3"}}, "allocatedResources": {"cpu": "2", "memory": "5"}}
    body = pod(status, containers=[container()], resources={"requests": {"cpu": "1"}})
    assert pod_requests(body) == {"cpu": 3000, "pods": 1}


def test_a_bad_quantity_names_pod_container_and_resource() -> None:
    with pytest.raises(ValueError, match=r"pod default/p: container main: cpu: '1x': unknown unit 'x'"):
        pod_requests(simple("p", cpu="1x", overhead={"cpu": "1"}))
