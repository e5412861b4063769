"""NodePool statuses: sums, reasons, and nothing written where nothing changed."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec

from yunchi_operator.api.core import Node
from yunchi_operator.api.kinds import NodePool, NodePoolStatus
from yunchi_operator.scheduling.ledger import Ledger, Load
from yunchi_operator.scheduling.pool_status import observe, status_of

NOW = datetime(2026, 11, 20, 8, 0, tzinfo=UTC)


def node(name: str, *, arch: str = "arm64", cordoned: bool = False, **extended: str) -> Node:
    allocatable = {"cpu": "95500m", "memory": "360Gi", "pods": "110"} | extended
    meta = {"name": name, "labels": {"kubernetes.io/arch": arch}}
    plain = {"metadata": meta, "spec": {"unschedulable": cordoned}, "status": {"allocatable": allocatable}}
    return msgspec.convert(plain, Node)


def pool(name: str, **labels: str) -> NodePool:
    spec = {"nodeSelector": {"matchLabels": labels}}
    return msgspec.convert({"metadata": {"name": name, "generation": 3}, "spec": spec}, NodePool)


def load(cpu_milli: int, *, keeps_node: bool = True) -> Load:
    return Load({"cpu": cpu_milli, "memory": 1 << 30, "pods": 1}, keeps_node=keeps_node)


def ledger() -> Ledger:
    """A workload on n1, only a DaemonSet's pod on n2, a workload on the cordoned n3."""
    seats = Ledger()
    seats.confirm("a/one", "n1", load(2500))
    seats.confirm("a/two", "n1", load(500))
    seats.confirm("kube-system/agent", "n2", load(100, keeps_node=False))
    seats.confirm("a/three", "n3", load(1000))
    return seats


NODES = [node("n1"), node("n2"), node("n3", cordoned=True), node("x", arch="amd64")]


def test_sums_and_states() -> None:
    usage = observe([pool("arm", **{"kubernetes.io/arch": "arm64"})], NODES, ledger())["arm"]
    assert (usage.nodes, usage.in_use) == (3, 2)
    assert usage.states == {"cordoned": 1, "used": 1, "free": 1}
    assert usage.allocatable == {"cpu": 286_500, "memory": 3 * 360 << 30, "pods": 330}
    assert usage.requested == {"cpu": 4100, "memory": 4 << 30, "pods": 4}


def status(which: NodePool, *others: NodePool) -> dict[str, Any] | None:
    usages = observe([which, *others], NODES, ledger())
    return status_of(which, usages[which.metadata.name], NOW)


def test_status_is_written_in_quantities() -> None:
    written = status(pool("arm", **{"kubernetes.io/arch": "arm64"}))
    assert written is not None
    (condition,) = written.pop("conditions")
    assert (condition["status"], condition["reason"]) == ("True", "Observed")
    assert condition["message"] == "2 of 3 nodes in use"
    assert written == {
        "observedGeneration": 3,
        "nodes": 3,
        "nodesInUse": 2,
        "allocatable": {"cpu": "286500m", "memory": "1080Gi", "pods": "330"},
        "requested": {"cpu": "4100m", "memory": "4Gi", "pods": "4"},
    }


def test_nothing_is_written_twice_and_a_change_is() -> None:
    which = pool("arm", **{"kubernetes.io/arch": "arm64"})
    written = status(which)
    again = msgspec.structs.replace(which, status=msgspec.convert(written, NodePoolStatus))
    assert status(again) is None
    seats = ledger()
    seats.leave("a/one")
    changed = status_of(again, observe([again], NODES, seats)["arm"], NOW.replace(hour=9))
    assert changed is not None
    assert changed["requested"]["cpu"] == "1600m"
    assert changed["conditions"][0]["lastTransitionTime"] == "2026-11-20T08:00:00Z"


def test_an_empty_pool_says_what_to_check() -> None:
    written = status(pool("none", **{"kubernetes.io/arch": "riscv64"}))
    assert written is not None
    (condition,) = written["conditions"]
    assert (condition["status"], condition["reason"]) == ("False", "NoNodes")
    assert "labels" in condition["message"]
    assert written["nodes"] == 0


def test_overlapping_pools_are_reported_on_both() -> None:
    arm, everything = pool("arm", **{"kubernetes.io/arch": "arm64"}), pool("all")
    for which, other in ((arm, everything), (everything, arm)):
        written = status(which, other)
        assert written is not None
        (condition,) = written["conditions"]
        assert (condition["status"], condition["reason"]) == ("False", "Overlapping")
        assert other.metadata.name in condition["message"]


def test_accelerators_are_shown_where_there_are_any() -> None:
    nodes = [node("n1", **{"huawei.com/Ascend910": "8"}), node("n2")]
    usage = observe([pool("all")], nodes, Ledger())["all"]
    written = status_of(pool("all"), usage, NOW)
    assert written is not None
    assert written["allocatable"]["huawei.com/Ascend910"] == "8"
    assert written["requested"]["huawei.com/Ascend910"] == "0"
