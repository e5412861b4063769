"""What a plan says, for schedule, repack and a lost node."""

from __future__ import annotations

from typing import Any

import pytest

from support.objects import node, pod, pool
from yunchi_operator.scheduling.answer import Answer, answer, as_document, plain_cost
from yunchi_operator.scheduling.problem import Built, build_problem
from yunchi_operator.scheduling.summary import rows, total
from yunchi_operator.scheduling.whatif import lose, lost_nodes, zones_of
from yunchi_placement import Reason, solve

SPREAD = [pod("p", on="a"), pod("q", on="b"), pod("r")]
NODES = [node("a"), node("b"), node("c")]


def planned(pods: list[Any], *, lost: tuple[str, ...] = (), nodes: Any = NODES, **options: Any) -> tuple[Built, Answer]:
    loss = lose(nodes, pods, lost)
    built = build_problem(loss.nodes, loss.pods, **options)
    return built, answer(built, solve(built.problem), loss.homes)


def test_schedule_places_what_is_pending_and_moves_nothing() -> None:
    _, plan = planned(SPREAD)
    assert [key for key, _ in plan.placements] == ["default/r"]
    assert (plan.moves, plan.evictions, plan.emptied, plan.kept) == ((), (), (), ())
    assert plan.used_before == {"a", "b"}


def test_repack_tells_moves_emptied_and_kept_nodes() -> None:
    _, plan = planned(SPREAD, mode="repack")
    assert [key for key, _ in plan.placements] == ["default/p", "default/q", "default/r"]
    (target,) = plan.used_after
    assert set(plan.emptied) == {"a", "b"} - {target}
    homes = {"default/p": "a", "default/q": "b"}
    expected = {(key, home, target) for key, home in homes.items() if home != target}
    assert {(move.pod, move.source, move.target) for move in plan.moves} == expected
    assert all(move.reason == f"empties node {move.source}" for move in plan.moves)
    if target in {"a", "b"}:
        assert plan.kept == ((target, "holds 3 pods of the new packing"),)


def test_a_node_is_kept_for_a_pod_that_stays() -> None:
    stays = pod("s", on="b", meta={"annotations": {"yunchi.io/do-not-disrupt": "true"}})
    foreign = pod("f", on="c", schedulerName="other")
    _, plan = planned([pod("p", on="a"), stays, foreign], mode="repack")
    assert dict(plan.kept)["b"] == "default/s stays: annotation yunchi.io/do-not-disrupt"
    assert dict(plan.kept)["c"] == "default/f stays: scheduler other"
    assert plan.emptied == ("a",)


def test_a_lost_node_sends_its_pods_elsewhere_but_not_its_daemons() -> None:
    daemon = pod("d", on="a", meta={"ownerReferences": [{"kind": "DaemonSet", "name": "d", "uid": "1"}]})
    done = pod("done", on="a", status={"phase": "Succeeded"})
    built, plan = planned([*SPREAD, daemon, done], lost=("a",))
    assert {node.name for node in built.problem.nodes} == {"b", "c"}
    (move,) = plan.moves
    assert (move.pod, move.source, move.reason) == ("default/p", "a", "node a is lost")
    assert plan.used_before == {"b"}
    assert "default/d" not in dict(plan.placements)


def test_a_pod_of_a_lost_node_without_a_new_place_is_an_eviction() -> None:
    pods = [pod("big", cpu="8", on="a"), pod("x", cpu="5", on="b")]
    _, plan = planned(pods, lost=("a",), nodes=[node("a"), node("b")])
    assert plan.evictions == (("default/big", "node a is lost"),)
    assert [one.pod for one in plan.unplaced] == ["default/big"]


def test_left_out_pods_are_unplaced_with_their_rule() -> None:
    _, plan = planned([pod("p", resourceClaims=[{"name": "r"}])])
    assert [(one.pod, one.reasons) for one in plan.unplaced] == [
        ("default/p", (Reason("unsupported:resource-claims", 3),))
    ]


def test_a_left_out_pod_of_a_lost_node_is_an_eviction() -> None:
    _, plan = planned([pod("p", on="a", resourceClaims=[{"name": "r"}])], lost=("a",))
    assert plan.evictions == (("default/p", "node a is lost"),)


def test_the_document_has_every_key_of_the_design_in_order() -> None:
    _, plan = planned(SPREAD)
    document = as_document(plan, 1.23456)
    assert list(document) == [
        "placements",
        "moves",
        "evictions",
        "unplaced",
        "emptiedNodes",
        "keptNodes",
        "nodesUsed",
        "cost",
        "bound",
        "gap",
        "seconds",
        "stages",
    ]
    assert document["seconds"] == 1.235


@pytest.mark.parametrize(("micro", "shown"), [(0, 0), (3_000_000, 3), (12_500_000, 12.5), (1, 1e-06)])
def test_costs_are_shown_as_people_wrote_them(micro: int, shown: float) -> None:
    assert plain_cost(micro) == shown


# -- losing -----------------------------------------------------------------------------------------------------------

ZONED = [node("a", zone="z1"), node("b", zone="z2"), node("c", labels={"rack": "z1", "p": "1"})]
POOLS = [pool("racks", match={"p": "1"}, zoneKey="rack")]


def test_zones_come_from_the_pools_key_or_the_usual_label() -> None:
    assert zones_of(ZONED, POOLS) == {"a": "z1", "b": "z2", "c": "z1"}


def test_nodes_and_zones_are_lost_together() -> None:
    assert lost_nodes(ZONED, POOLS, ["b"], []) == {"b"}
    assert lost_nodes(ZONED, POOLS, ["b"], ["z1"]) == {"a", "b", "c"}


def test_what_does_not_exist_cannot_be_lost() -> None:
    with pytest.raises(ValueError, match=r"--lose-node web-1: no such node; did you mean web-01\?"):
        lost_nodes([node("web-01")], [], ["web-1"], [])
    with pytest.raises(ValueError, match="--lose-zone z9: no node is in this zone; zones are: z1, z2"):
        lost_nodes(ZONED, POOLS, [], ["z9"])


# -- figures ----------------------------------------------------------------------------------------------------------


def test_rows_count_by_pool_zone_and_architecture() -> None:
    nodes = [
        node("a", zone="z1", labels={"kubernetes.io/arch": "arm64", "p": "1"}),
        node("b", zone="z1", labels={"kubernetes.io/arch": "arm64", "p": "1"}),
        node("c", labels={"kubernetes.io/arch": "amd64"}),
    ]
    pools = [pool("arm", cost="10", match={"p": "1"})]
    pods = [pod("x", cpu="4", on="a"), pod("y", cpu="2", nodeSelector={"kubernetes.io/arch": "amd64"})]
    built, plan = planned(pods, nodes=nodes, pools=pools)
    found = rows(built, plan, zones_of(nodes, pools))
    assert [(row.group, row.nodes, row.used_before, row.used_after, row.cost_micro) for row in found] == [
        (("-", "-", "amd64"), 1, 0, 1, 1_000_000),
        (("arm", "z1", "arm64"), 2, 1, 1, 10_000_000),
    ]
    assert [row.share(0) for row in found] == [0.25, 0.5]
    whole = total(found)
    assert (whole.nodes, whole.used_before, whole.used_after, whole.cost_micro) == (3, 1, 2, 11_000_000)
    assert (whole.share(0), whole.share(1)) == (6 / 16, 0.0)
