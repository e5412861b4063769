"""Reading pods once for all replicas gives what reading each gives."""

from __future__ import annotations

from typing import Any

import msgspec

from yunchi_operator.api.core import Pod
from yunchi_operator.api.sharing import Sharing
from yunchi_operator.scheduling.facts import pod_facts
from yunchi_operator.scheduling.replicas import Replicas

CONTAINER = {"name": "c", "resources": {"requests": {"cpu": "1"}}}


def pod(name: str, labels: dict[str, str] | None = None, status: Any = None, **spec: Any) -> Pod:
    metadata = {"name": name, "namespace": "tax", "labels": {"app": "web"} if labels is None else labels}
    body = {"containers": [CONTAINER]} | spec
    return msgspec.convert({"metadata": metadata, "spec": body, "status": status or {}}, Pod)


PODS = [
    pod("a", nodeName="n1"), pod("b", nodeName="n2"), pod("c", labels={"app": "db"}), pod("d", priority=7),
    pod("e", hostNetwork=True), pod("f", nodeSelector={"x": "y"}), pod("g", overhead={"cpu": "1"}),
    pod("h", status={"containerStatuses": [{"name": "c", "resources": {"requests": {"cpu": "5"}}}]}),
    pod("i", containers=[CONTAINER | {"ports": [{"hostPort": 80}]}]), pod("j", schedulerName="yunchi"),
]  # fmt: skip


def test_the_facts_are_those_of_each_pod() -> None:
    sharing = Sharing()
    for one in PODS:
        sharing.pod(one)
    read = Replicas()
    assert [read(one) for one in PODS * 2] == [pod_facts(one) for one in PODS * 2]


def test_replicas_are_read_once() -> None:
    sharing, read = Sharing(), Replicas()
    pods = [pod(f"p{number}", nodeName=f"n{number}") for number in range(5)]
    for one in pods:
        sharing.pod(one)
    found = [read(one) for one in pods]
    assert all(one.requests is found[0].requests for one in found)
    assert [one.key for one in found] == [f"tax/p{number}" for number in range(5)]
