"""Which pods may move: every reason to stay, and what disruption budgets allow."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from yunchi_operator.api.core import Pod
from yunchi_operator.api.disruption import PodDisruptionBudget
from yunchi_operator.api.volumes import PersistentVolume
from yunchi_operator.scheduling.facts import pod_facts
from yunchi_operator.scheduling.movable import Movability, owner_of
from yunchi_placement import Budget

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
OWNED = [{"kind": "ReplicaSet", "name": "web-5d8f", "controller": True}]


def pod(
    name: str = "web-1", spec: dict[str, Any] | None = None, status: dict[str, Any] | None = None, **meta: Any
) -> Pod:
    body = {"nodeName": "n1", "containers": [{"name": "c"}]} | (spec or {})
    metadata = {"name": name, "labels": {"app": "web"}, "ownerReferences": OWNED} | meta
    return msgspec.convert({"metadata": metadata, "spec": body, "status": status or {}}, Pod)


def budget(name: str = "b", selector: Any = None, allowed: int | None = None, **spec: Any) -> PodDisruptionBudget:
    chosen = {"matchLabels": {"app": "web"}} if selector is None else selector
    status = {} if allowed is None else {"disruptionsAllowed": allowed}
    return msgspec.convert(
        {"metadata": {"name": name}, "spec": {"selector": chosen} | spec, "status": status}, PodDisruptionBudget
    )


def why(one: Pod, *others: Pod, **known: Any) -> str | None:
    return Movability([one, *others], NOW, **known).why_stays(pod_facts(one))


def protected(value: str) -> Pod:
    return pod(annotations={"yunchi.io/do-not-disrupt": value})


def test_a_pod_of_a_controller_may_move() -> None:
    assert why(pod()) is None
    assert owner_of(pod()) == "default/ReplicaSet/web-5d8f"


@pytest.mark.parametrize(
    ("one", "reason"),
    [
        (pod(ownerReferences=[]), "no controller would recreate it"),
        (pod(ownerReferences=[{"kind": "Workflow", "name": "w"}]), "no controller would recreate it"),
        (pod(deletionTimestamp="2026-11-21T11:59:00Z"), "it is terminating"),
        (protected("true"), "annotation yunchi.io/do-not-disrupt"),
        (protected("2026-11-21T12:00:01Z"), "annotation yunchi.io/do-not-disrupt until 2026-11-21T12:00:01Z"),
        (protected("2026-11-21T20:00:01+08:00"), "annotation yunchi.io/do-not-disrupt until 2026-11-21T20:00:01+08:00"),
        (protected("2026-11-21T11:59:59Z"), None),
        (protected("2026-11-21T19:59:59+08:00"), None),
        (protected("false"), None),
        (protected(""), None),
        (
            pod(spec={"resourceClaims": [{"name": "gpu"}]}),
            "Yunchi does not model its resource claims yet",
        ),
    ],
)
def test_reasons_to_stay(one: Pod, reason: str | None) -> None:
    found = why(one)
    assert found == reason or ((found is None) == (reason is None) and "spread" in (reason or ""))


@pytest.mark.parametrize("value", ["yes", "2026-11-22", "2026-11-22T12:00:00", "tomorrow"])
def test_an_unclear_protection_protects_and_is_told(value: str) -> None:
    movability = Movability([], NOW)
    assert movability.why_stays(pod_facts(protected(value))) == "annotation yunchi.io/do-not-disrupt"
    assert value in movability.notes[0]
    assert "taken as true" in movability.notes[0]


def test_data_on_the_node_keeps_a_pod_there() -> None:
    assert why(pod(), host_paths={"default/web-1": "/srv/data"}) == "it uses the folder /srv/data of its node"
    volume = {
        "metadata": {"name": "pv-7"},
        "spec": {"local": {"path": "/x"}, "claimRef": {"name": "data", "namespace": "default"}},
    }
    user = pod(spec={"volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "data"}}]})
    assert why(user, volumes=[msgspec.convert(volume, PersistentVolume)]) == "its volume pv-7 is on its node's own disk"
    volume["spec"]["claimRef"] = {"name": "web-1-v", "namespace": "default"}  # type: ignore[index]
    user = pod(spec={"volumes": [{"name": "v", "ephemeral": {}}]})
    assert why(user, volumes=[msgspec.convert(volume, PersistentVolume)]) == "its volume pv-7 is on its node's own disk"


REPLICAS = [pod(f"web-{number}") for number in range(1, 8)]
SICK = pod("web-9", status={"conditions": [{"type": "Ready", "status": "False"}]})


@pytest.mark.parametrize(
    ("pods", "spec", "allowed"),
    [
        (REPLICAS, {"maxUnavailable": 2}, 2),
        (REPLICAS, {"maxUnavailable": "25%"}, 2),
        (REPLICAS, {"maxUnavailable": "0%"}, 0),
        (REPLICAS, {"maxUnavailable": 99}, 7),
        (REPLICAS, {"minAvailable": 5}, 2),
        (REPLICAS, {"minAvailable": "50%"}, 3),
        (REPLICAS, {"minAvailable": 99}, 0),
        (REPLICAS, {}, 0),
        ([*REPLICAS, SICK], {"maxUnavailable": 2}, 1),
        ([*REPLICAS, SICK], {"minAvailable": 5}, 2),
        (
            [*REPLICAS, pod("x", labels={}), pod("y", namespace="other"), pod("z", spec={"nodeName": ""})],
            {"minAvailable": 5},
            2,
        ),
        ([*REPLICAS, pod("gone", deletionTimestamp="2026-11-21T11:59:00Z")], {"maxUnavailable": 1}, 0),
        ([*REPLICAS, pod("done", status={"phase": "Succeeded"})], {"maxUnavailable": "10%"}, 1),
    ],
)
def test_a_budget_without_status_is_computed_from_the_bound_pods(
    pods: list[Pod], spec: dict[str, Any], allowed: int
) -> None:
    movability = Movability(pods, NOW, [budget(**spec)])
    assert movability.budgets == (Budget("default/b", allowed),)
    assert movability.budgets_of(REPLICAS[0]) == {"default/b"}


def test_what_the_controller_says_counts() -> None:
    assert Movability(REPLICAS, NOW, [budget(allowed=1, maxUnavailable=5)]).budgets == (Budget("default/b", 1),)
    assert why(REPLICAS[0], budgets=[budget(allowed=0)]) == "PodDisruptionBudget default/b allows no disruption now"


def test_selectors_of_budgets() -> None:
    nothing = msgspec.convert({"metadata": {"name": "b"}, "spec": {"maxUnavailable": 0}}, PodDisruptionBudget)
    assert why(REPLICAS[0], budgets=[nothing]) is None
    assert why(REPLICAS[0], budgets=[budget(selector={}, maxUnavailable=0)]) is not None


def test_two_budgets_are_one_too_many() -> None:
    found = why(REPLICAS[0], *REPLICAS[1:], budgets=[budget("b", maxUnavailable=3), budget("a", maxUnavailable=3)])
    assert found == "2 PodDisruptionBudgets cover it (default/a, default/b), and Kubernetes evicts no such pod"
