"""Consolidation from manifests' objects to the published answer."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from yunchi_operator.api.core import Node, Pod
from yunchi_operator.api.disruption import PodDisruptionBudget
from yunchi_operator.scheduling.answer import Answer, as_document
from yunchi_operator.scheduling.consolidated import _of_pods, consolidated
from yunchi_operator.scheduling.movable import Movability
from yunchi_operator.scheduling.problem import Built, build_problem
from yunchi_operator.scheduling.whatif import lose
from yunchi_placement.consolidation import Limits, consolidate

NO_LIMITS = Limits()
NOW = datetime(2026, 11, 21, tzinfo=UTC)


def node(name: str, cpu: str = "8") -> Node:
    return msgspec.convert(
        {"metadata": {"name": name}, "status": {"allocatable": {"cpu": cpu, "memory": "64Gi", "pods": "110"}}}, Node
    )


def pod(
    name: str, home: str = "", cpu: str = "1", owner: str = "ReplicaSet", scheduler: str = "yunchi", **meta: Any
) -> Pod:
    owners = [{"kind": owner, "name": "web", "controller": True}] if owner else []
    metadata = {"name": name, "labels": {"app": "web"}, "ownerReferences": owners} | meta
    container = {"name": "c", "resources": {"requests": {"cpu": cpu, "memory": "1Gi"}}}
    spec = {"schedulerName": scheduler, "containers": [container]} | ({"nodeName": home} if home else {})
    return msgspec.convert({"metadata": metadata, "spec": spec}, Pod)


def plan(
    nodes: list[Node],
    pods: list[Pod],
    *budgets: PodDisruptionBudget,
    limits: Limits = NO_LIMITS,
    lost: tuple[str, ...] = (),
) -> tuple[Answer, Built]:
    loss = lose(nodes, pods, lost)
    built = build_problem(loss.nodes, loss.pods, mode="consolidate", movability=Movability(loss.pods, NOW, budgets))
    return consolidated(built, consolidate(built.problem, limits=limits), "cost", loss.homes), built


NODES = [node(f"n{number}") for number in range(1, 5)]


def test_pods_move_together_and_the_rest_is_told() -> None:
    pods = [pod("a", "n1"), pod("b", "n2"), pod("c", "n3"), pod("bare", "n4", owner="")]
    found, _ = plan(NODES, pods)
    assert found.used_after == {"n4"}
    assert [move.pod for move in found.moves] == ["default/a", "default/b", "default/c"]
    assert {move.target for move in found.moves} == {"n4"}
    assert found.moves[0].reason == "empties n1"
    assert (found.emptied, found.kept) == (
        ("n1", "n2", "n3"),
        (("n4", "default/bare: no controller would recreate it"),),
    )
    assert (found.placements, found.evictions, found.unplaced) == ((), (), ())


def test_the_document_has_curve_and_waves() -> None:
    pods = [pod("a", "n1"), pod("b", "n2"), pod("c", "n3")]
    document = as_document(plan(NODES, pods)[0], 1.0)
    assert list(document)[-2:] == ["curve", "waves"]
    assert document["curve"][0] == {"saving": 0, "moves": 0, "nodes": 0}
    assert document["curve"][-1] == {"saving": 2, "moves": 2, "nodes": 2}
    assert sorted(one for wave in document["waves"] for one in wave) == sorted(m["pod"] for m in document["moves"])
    assert document["cost"] == 1


@pytest.mark.parametrize("most", [0, 1, 2])
def test_a_budget_limits_how_many_are_on_the_move(most: int) -> None:
    pods = [*(pod(f"w{number}", f"n{number % 3 + 1}") for number in range(6)), pod("x", "n4", labels={}, cpu="2")]
    raw = {
        "metadata": {"name": "b"},
        "spec": {"selector": {"matchLabels": {"app": "web"}}},
        "status": {"disruptionsAllowed": most},
    }
    found, built = plan(NODES, pods, msgspec.convert(raw, PodDisruptionBudget))
    moved = {move.pod for move in found.moves if move.pod.startswith("default/w")}
    waves = [[one for one in wave if one in moved] for wave in (found.steps.waves if found.steps else ())]
    assert all(len(wave) <= most for wave in waves)
    if most == 0:
        assert moved == set()
        assert all(
            item.stays == "PodDisruptionBudget default/b allows no disruption now" for item in built.problem.items[:6]
        )
    else:
        assert len(found.used_after) == 1


def test_pods_of_others_and_of_nodes_stay() -> None:
    pods = [pod("a", "n1"), pod("other", "n2", scheduler="default-scheduler"), pod("agent", "n3", owner="DaemonSet")]
    found, built = plan(NODES, pods)
    assert [(move.pod, move.target) for move in found.moves] == [("default/a", "n2")]
    items = {item.name: item for item in built.problem.items}
    assert items["default/other"].stays == "scheduler default-scheduler looks after it"
    assert not items["default/agent"].keeps_node
    assert items["default/a"].owner == "default/ReplicaSet/web"
    assert found.used_before == {"n1", "n2"}


def test_pending_pods_are_placed_on_the_way() -> None:
    found, built = plan(NODES, [pod("a", "n1"), pod("b", "n2"), pod("new"), pod("huge", cpu="99")])
    assert [name for name, _ in found.placements] == ["default/new"]
    assert [one.pod for one in found.unplaced] == ["default/huge"]
    assert len(found.used_after) == 1
    assert len(built.to_place) == 2


def test_a_lost_node_and_a_consolidation_at_once() -> None:
    found, _ = plan(NODES, [pod("a", "n1"), pod("b", "n2"), pod("c", "n3", cpu="99")], lost=("n1", "n3"))
    assert [(move.pod, move.source, move.reason) for move in found.moves if "lost" in move.reason] == [
        ("default/a", "n1", "node n1 is lost")
    ]
    assert found.evictions == (("default/c", "node n3 is lost"),)


def test_limits_are_told_as_reasons() -> None:
    found, _ = plan(NODES, [pod("a", "n1"), pod("b", "n2"), pod("c", "n3")], limits=Limits(most_moves=1))
    assert len(found.moves) == 1
    assert any("limit of 1 moves" in reason for _, reason in found.kept)
    assert found.steps is not None
    assert found.steps.limited


def test_an_item_is_a_pod_unless_it_is_a_name() -> None:
    assert _of_pods("takes in an item; shop/item-1 and 3 items; item") == "takes in a pod; shop/item-1 and 3 pods; pod"
