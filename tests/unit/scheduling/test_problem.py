"""Which pods count, where they may go, and what is left out; solved by the real engine where that says more."""

from __future__ import annotations

from typing import Any

import pytest

from support.objects import HOST, PREFERRED, REQUIRED, ZONE, anti_affinity, node, pod, pool
from yunchi_operator.api.core import Node, Pod
from yunchi_operator.scheduling.problem import Built, build_problem
from yunchi_operator.scheduling.roles import Role, role_of
from yunchi_placement import solve, validate

WEB = {"app": "web"}


def where(built: Built) -> dict[str, str | None]:
    """Node by name of each pod to place."""
    validate(built.problem)
    solution = solve(built.problem, effort="fast")
    return {built.pods[index].metadata.name: solution.assignment[index] for index in built.to_place}


def place(nodes: list[Node], pods: list[Pod], **options: Any) -> dict[str, str | None]:
    return where(build_problem(nodes, pods, **options))


# -- roles ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "role"),
    [
        (pod("p"), Role.WANTED),
        (pod("p", on="n"), Role.FIXED),
        (pod("p", on="n", schedulerName="default-scheduler"), Role.FIXED),
        (pod("p", on="n", meta={"deletionTimestamp": "2026-01-01T00:00:00Z"}), Role.FIXED),
        (pod("p", on="n", status={"phase": "Succeeded"}), Role.IGNORED),
        (pod("p", on="n", status={"phase": "Failed"}), Role.IGNORED),
        (pod("p", meta={"deletionTimestamp": "2026-01-01T00:00:00Z"}), Role.IGNORED),
        (pod("p", schedulingGates=[{"name": "wait"}]), Role.GATED),
        (pod("p", schedulerName="default-scheduler"), Role.IGNORED),
        (pod("p", status={"phase": "Pending"}), Role.WANTED),
    ],
)
def test_roles(body: Pod, role: Role) -> None:
    assert role_of(body) is role


def test_pods_of_other_schedulers_are_placed_on_demand() -> None:
    other = pod("p", schedulerName="default-scheduler")
    assert place([node("a")], [other]) == {}
    assert place([node("a")], [other], all_schedulers=True) == {"p": "a"}
    assert place([node("a")], [other], scheduler_name="default-scheduler") == {"p": "a"}


def test_bound_pods_take_room_also_while_they_terminate() -> None:
    leaving = pod("old", cpu="6", on="a", meta={"deletionTimestamp": "2026-01-01T00:00:00Z"})
    done = pod("done", cpu="6", on="b", status={"phase": "Succeeded"})
    assert place([node("a"), node("b")], [leaving, done, pod("new", cpu="4")]) == {"new": "b"}


def test_notes_count_what_is_no_part_of_the_answer() -> None:
    pods = [
        pod("gated", schedulingGates=[{"name": "wait"}]),
        pod("foreign", schedulerName="default-scheduler"),
        pod("lost", on="nowhere"),
    ]
    notes = "\n".join(build_problem([node("a")], pods).notes)
    assert "1 pending pods are held by scheduling gates" in notes
    assert "1 pending pods of other schedulers" in notes
    assert "1 pods are bound to nodes that are not given" in notes


def test_daemon_and_mirror_pods_do_not_make_a_node_used() -> None:
    owner = {"ownerReferences": [{"kind": "DaemonSet", "name": "d", "uid": "1", "controller": True}]}
    mirror = {"annotations": {"kubernetes.io/config.mirror": "x"}}
    pods = [pod("d", on="a", meta=owner), pod("m", on="a", meta=mirror), pod("p", on="b")]
    built = build_problem([node("a"), node("b")], pods)
    assert {item.name: item.keeps_node for item in built.problem.items} == {
        "default/d": False,
        "default/m": False,
        "default/p": True,
    }
    assert solve(built.problem).nodes_used == 1


# -- repack -----------------------------------------------------------------------------------------------------------


def test_repack_frees_our_bound_pods_and_no_others() -> None:
    owner = {"ownerReferences": [{"kind": "DaemonSet", "name": "d", "uid": "1", "controller": True}]}
    pods = [
        pod("mine", on="a"),
        pod("daemon", on="a", meta=owner),
        pod("mirror", on="a", meta={"annotations": {"kubernetes.io/config.mirror": "x"}}),
        pod("precious", on="a", meta={"annotations": {"yunchi.io/do-not-disrupt": "true"}}),
        pod("leaving", on="a", meta={"deletionTimestamp": "2026-01-01T00:00:00Z"}),
        pod("claim", on="a", volumes=[{"name": "v", "persistentVolumeClaim": {"claimName": "c"}}]),
        pod("zonal", on="a", labels=WEB, affinity=anti_affinity(WEB, key=ZONE)),
        pod("zonal-2", on="b", labels=WEB, affinity=anti_affinity(WEB, key=ZONE)),
        pod("foreign", on="a", schedulerName="default-scheduler"),
        pod("pending"),
    ]
    built = build_problem([node("a", zone="z1"), node("b", zone="z2")], pods, mode="repack")
    assert {built.pods[index].metadata.name for index in built.to_place} == {
        "mine",
        "zonal",
        "zonal-2",
        "pending",
    }
    assert dict(built.kept) == {
        "default/precious": "annotation yunchi.io/do-not-disrupt",
        "default/leaving": "is terminating",
        "default/claim": "unsupported:volumes",
    }
    assert built.left_out == ()


def test_repack_with_all_schedulers_frees_foreign_pods_too() -> None:
    pods = [pod("foreign", on="a", schedulerName="default-scheduler"), pod("mine", on="b")]
    assert set(place([node("a"), node("b")], pods, mode="repack", all_schedulers=True)) == {"foreign", "mine"}


# -- nodes ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("closed", "opened"),
    [
        ({"conditions": [{"type": "Ready", "status": "False"}]}, "node.kubernetes.io/not-ready"),
        ({"conditions": [{"type": "Ready", "status": "Unknown"}]}, "node.kubernetes.io/unreachable"),
        ({"conditions": [{"type": "DiskPressure", "status": "True"}]}, "node.kubernetes.io/disk-pressure"),
        ({"spec": {"taints": [{"key": "x", "effect": "NoExecute"}]}}, "x"),
        ({"spec": {"unschedulable": True}}, "node.kubernetes.io/unschedulable"),
    ],
)
def test_closed_nodes_take_only_pods_that_tolerate_it(closed: dict[str, Any], opened: str) -> None:
    tolerant = pod("p", tolerations=[{"key": opened, "operator": "Exists"}])
    assert place([node("a", **closed)], [pod("p")]) == {"p": None}
    assert place([node("a", **closed)], [tolerant]) == {"p": "a"}


@pytest.mark.parametrize(
    "open_node",
    [
        node("a"),
        node("a", conditions=[{"type": "Ready", "status": "True"}, {"type": "MemoryPressure", "status": "False"}]),
        node("a", spec={"taints": [{"key": "x", "effect": "PreferNoSchedule"}]}),
    ],
)
def test_open_nodes_take_pods(open_node: Node) -> None:
    assert place([open_node], [pod("p")]) == {"p": "a"}


@pytest.mark.parametrize(
    ("toleration", "fits"),
    [
        ({"operator": "Exists"}, True),
        ({"key": "k", "operator": "Exists", "effect": "NoSchedule"}, True),
        ({"key": "k", "operator": "Exists", "effect": "NoExecute"}, False),
        ({"key": "k", "value": "v"}, True),
        ({"key": "k", "operator": "Equal", "value": "w"}, False),
        ({"key": "k", "operator": "Gt", "value": "v"}, False),
    ],
)
def test_tolerations(toleration: dict[str, str], fits: bool) -> None:
    tainted = node("a", spec={"taints": [{"key": "k", "value": "v", "effect": "NoSchedule"}]})
    assert place([tainted], [pod("p", tolerations=[toleration])]) == {"p": "a" if fits else None}


def test_without_allocatable_the_capacity_counts() -> None:
    bare = node("a", allocatable={}, capacity={"cpu": "2", "pods": "1"})
    assert place([bare], [pod("p", cpu="2"), pod("q", cpu="2")]) in ({"p": "a", "q": None}, {"p": None, "q": "a"})


def test_a_node_that_takes_no_pods_is_noted() -> None:
    built = build_problem([node("a", allocatable={"cpu": "8"})], [pod("p")])
    assert where(built) == {"p": None}
    assert "1 nodes take no pod because status.allocatable names no pods (first: a)" in "\n".join(built.notes)


def test_extended_resources_are_part_of_the_problem_only_when_asked_for() -> None:
    gpu = node("g", allocatable={"cpu": "8", "pods": "9", "x.io/gpu": "1", "x.io/other": "1"})
    asks = pod("p", containers=[{"name": "c", "resources": {"limits": {"x.io/gpu": "1"}}}])
    built = build_problem([gpu, node("a")], [asks])
    assert built.problem.resources == ("cpu", "memory", "pods", "x.io/gpu")
    assert where(built) == {"p": "g"}


def test_absurd_amounts_keep_nobody_else_from_a_place() -> None:
    most = str(2**63 - 1)
    greedy = [
        pod(f"greedy-{n}", containers=[{"name": "c", "resources": {"requests": {"cpu": most}}}]) for n in range(9)
    ]
    boastful = node("z-boastful", allocatable={"cpu": "9e18", "memory": "7E", "pods": "9"})
    built = build_problem([node("a"), boastful], [*greedy, pod("p")])
    validate(built.problem)
    found = where(built)
    assert found.pop("p") is not None
    assert set(found.values()) == {None}


# -- cost -------------------------------------------------------------------------------------------------------------


def test_cost_comes_from_the_pool_and_is_one_without() -> None:
    pools = [pool("big", cost="12.5", match={"size": "big"})]
    built = build_problem([node("a", labels={"size": "big"}), node("b")], [], pools)
    assert [one.cost for one in built.problem.nodes] == [12_500_000, 1_000_000]
    assert built.pool_of == (("a", "big"),)


def test_a_node_in_two_pools_costs_what_the_lowest_named_says_with_a_warning() -> None:
    built = build_problem([node("a")], [], [pool("z", cost="1"), pool("b", cost="5")])
    assert built.problem.nodes[0].cost == 5_000_000
    assert "node a is in several NodePools (b, z): the cost of b counts" in built.notes[0]


def test_a_cost_that_cannot_be_read_is_noted_and_stops_nothing() -> None:
    built = build_problem([node("a")], [], [pool("z", cost="cheap")])
    assert built.problem.nodes[0].cost == 1_000_000
    assert "NodePool z: spec.cost: 'cheap' is not a cost" in built.notes[0]


# -- node selection ---------------------------------------------------------------------------------------------------


def terms(*found: dict[str, Any]) -> dict[str, Any]:
    return {"nodeAffinity": {REQUIRED: {"nodeSelectorTerms": list(found)}}}


def test_one_of_the_terms_must_hold() -> None:
    def in_zone(*zones: str) -> dict[str, Any]:
        return {"matchExpressions": [{"key": ZONE, "operator": "In", "values": list(zones)}]}

    by_name = {"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["c"]}]}
    nodes = [node("a", zone="z1"), node("b", zone="z2"), node("c")]
    assert place(nodes, [pod("p", affinity=terms(in_zone("z9"), in_zone("z2")))]) == {"p": "b"}
    assert place(nodes, [pod("p", affinity=terms(by_name))]) == {"p": "c"}
    assert place(nodes, [pod("p", affinity=terms({}))]) == {"p": None}
    assert place(nodes, [pod("p", nodeSelector={ZONE: "z1"}, affinity=terms(in_zone("z1", "z2")))]) == {"p": "a"}


# -- what is not modelled ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spec", "what"),
    [
        ({"volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "c"}}]}, "volumes"),
        ({"volumes": [{"name": "v", "ephemeral": {}}]}, "volumes"),
        ({"resourceClaims": [{"name": "r"}]}, "resource-claims"),
        ({"schedulingGroup": {"podGroupName": "g"}}, "scheduling-group"),
        (
            {"affinity": anti_affinity(WEB, namespaceSelector={"matchLabels": {"team": "a"}})},
            "namespace-selector",
        ),
    ],
)
def test_a_pod_with_a_rule_that_is_not_modelled_is_left_out_with_a_remedy(spec: dict[str, Any], what: str) -> None:
    built = build_problem([node("a")], [pod("p", **spec), pod("q")])
    assert [(left.pod.key, left.rule) for left in built.left_out] == [("default/p", f"unsupported:{what}")]
    assert len(built.left_out[0].fix) > 20
    assert where(built) == {"q": "a"}


@pytest.mark.parametrize(
    "spec",
    [
        {"topologySpreadConstraints": [{"topologyKey": ZONE, "whenUnsatisfiable": "ScheduleAnyway"}]},
        {"volumes": [{"name": "v", "configMap": {"name": "c"}}, {"name": "e", "emptyDir": {}}]},
        {"affinity": {"podAffinity": {PREFERRED: [{"weight": 1, "podAffinityTerm": {"topologyKey": ZONE}}]}}},
    ],
)
def test_soft_rules_and_harmless_volumes_do_not_matter(spec: dict[str, Any]) -> None:
    assert place([node("a")], [pod("p", **spec)]) == {"p": "a"}


def test_two_pods_to_place_with_anti_affinity_by_zone_go_to_two_zones() -> None:
    pods = [pod(name, labels=WEB, affinity=anti_affinity(WEB, key=ZONE)) for name in ("p", "q")]
    assert sorted(place([node("a", zone="z1"), node("b", zone="z2")], pods).values()) == ["a", "b"]


def test_host_label_that_does_not_tell_nodes_apart_is_treated_like_a_zone() -> None:
    twins = [node("a", labels={HOST: "same"}), node("b", labels={HOST: "same"}), node("c")]
    alone = pod("p", labels=WEB, affinity=anti_affinity(WEB))
    there = pod("q", labels=WEB, on="a")
    assert place(twins, [alone, there]) == {"p": "c"}
    found = place(twins, [alone, pod("r", labels=WEB)])
    assert "c" in found.values()
    assert len(set(found.values())) == 2


# -- shares of cards --------------------------------------------------------------------------------------------------

CARDS = "yunchi.io/gpu-milli"


def with_cards(name: str, amount: str) -> Node:
    return node(name, allocatable={"cpu": "64", "memory": "64Gi", "pods": "110", CARDS: amount})


def asking(name: str, amount: str, *, on: str = "") -> Pod:
    containers = [{"name": "main", "resources": {"requests": {"cpu": "1", CARDS: amount}}}]
    return pod(name, on=on, containers=containers)


def test_a_share_sits_on_one_card() -> None:
    machines = [with_cards("a", "2000"), with_cards("b", "2000")]
    placed = place(machines, [asking(f"p{k}", "600") for k in range(4)])
    assert sorted(name or "" for name in placed.values()) == ["a", "a", "b", "b"]
    # 800 are free on each node, in two pieces of 400.
    bound = [asking(name, "600", on=home or "") for name, home in placed.items()]
    assert place(machines, [*bound, asking("late", "700")]) == {"late": None}
    assert "late" in place(machines, [*bound, asking("late", "400")])


def test_a_request_of_one_and_a_half_cards_is_told_and_hurts_nobody_else() -> None:
    built = build_problem([with_cards("a", "4700")], [asking("odd", "1500"), asking("ok", "4000")])
    assert [(left.pod.metadata.name, left.rule) for left in built.left_out] == [("odd", "unsupported:card-share")]
    assert "whole thousands" in built.left_out[0].fix
    assert where(built) == {"ok": "a"}


def test_a_bound_pod_of_one_and_a_half_cards_takes_two() -> None:
    odd = asking("odd", "1500", on="a")
    assert place([with_cards("a", "3000")], [odd, asking("two", "2000")]) == {"two": None}
    assert place([with_cards("a", "3000")], [odd, asking("one", "1000")]) == {"one": "a"}
