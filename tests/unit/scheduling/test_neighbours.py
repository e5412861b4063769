"""What pods want of each other: affinity, anti-affinity, spread, host ports and gangs, as Kubernetes means them."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.objects import HOST, PREFERRED, ZONE, anti_affinity, node, pod
from yunchi_operator.api.core import Pod, PodAffinityTerm
from yunchi_operator.scheduling.problem import build_problem
from yunchi_placement import solve

WEB, DB = {"app": "web"}, {"app": "db"}


def place(nodes: list[Any], pods: list[Pod], **options: Any) -> dict[str, str | None]:
    built = build_problem(nodes, pods, **options)
    solution = solve(built.problem, effort="fast")
    return {built.pods[index].metadata.name: solution.assignment[index] for index in built.to_place}


def test_replicas_that_avoid_each_other_spread_over_hosts() -> None:
    pods = [pod(f"p{n}", labels=WEB, affinity=anti_affinity(WEB)) for n in range(3)]
    found = place([node("a"), node("b")], pods)
    assert sorted(one for one in found.values() if one) == ["a", "b"]


@pytest.mark.parametrize("holder_is_bound", [True, False])
def test_both_directions_hold_against_bound_pods(holder_is_bound: bool) -> None:
    holder = anti_affinity(DB)
    bound = pod("old", labels=WEB if holder_is_bound else DB, on="a", affinity=holder if holder_is_bound else {})
    new = pod("new", labels=DB if holder_is_bound else WEB, affinity={} if holder_is_bound else holder)
    assert place([node("a")], [bound, new]) == {"new": None}
    assert place([node("a"), node("b")], [bound, new]) == {"new": "b"}


@pytest.mark.parametrize(
    ("term", "conflict"),
    [
        ({}, False),
        ({"namespaces": ["other"]}, True),
        ({"namespaces": ["third"]}, False),
        ({"namespaceSelector": {}}, True),
        ({"namespaceSelector": {"matchLabels": {"team": "tax"}}}, True),
        ({"namespaceSelector": {"matchLabels": {"team": "law"}}}, False),
        ({"namespaceSelector": {"matchLabels": {"team": "law"}}, "namespaces": ["other"]}, True),
        ({"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "other"}}}, True),
        ({"namespaceSelector": {"matchExpressions": [{"key": "team", "operator": "DoesNotExist"}]}}, False),
    ],
)
@pytest.mark.parametrize("holder_is_bound", [True, False])
def test_namespaces_of_a_term(term: dict[str, Any], conflict: bool, holder_is_bound: bool) -> None:
    known = {"default": {}, "other": {"team": "tax"}}
    holder = pod("h", affinity=anti_affinity(WEB, **term), on="a" if holder_is_bound else "")
    target = pod("t", namespace="other", labels=WEB, on="" if holder_is_bound else "a")
    found = place([node("a")], [holder, target], namespaces=known)
    assert list(found.values()) == [None if conflict else "a"]


def test_a_namespace_selector_by_name_needs_no_namespace_objects() -> None:
    by_name = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "other"}}}
    built = build_problem([node("a")], [pod("h", affinity=anti_affinity(WEB, **by_name))])
    assert built.left_out == ()


def test_a_bound_pods_vague_namespace_selector_is_taken_as_all_namespaces_and_noted() -> None:
    vague = anti_affinity(WEB, namespaceSelector={"matchLabels": {"team": "law"}})
    pods = [pod("h", on="a", affinity=vague), pod("t", namespace="other", labels=WEB)]
    assert place([node("a")], pods) == {"t": None}
    assert "taken as selecting every namespace" in build_problem([node("a")], pods).notes[0]


@pytest.mark.parametrize(
    ("keys", "conflict"),
    [
        ({"matchLabelKeys": ["rev"]}, False),
        ({"mismatchLabelKeys": ["rev"]}, True),
        ({"matchLabelKeys": ["absent"]}, True),
    ],
)
def test_label_keys_narrow_a_term(keys: dict[str, Any], conflict: bool) -> None:
    holder = pod("h", labels=WEB | {"rev": "2"}, affinity=anti_affinity(WEB, **keys))
    found = place([node("a")], [holder, pod("t", labels=WEB | {"rev": "1"}, on="a")])
    assert found == {"h": None if conflict else "a"}


def test_a_missing_selector_selects_no_pod_and_an_empty_one_all() -> None:
    there = pod("t", on="a")
    assert place([node("a")], [there, pod("h", affinity=anti_affinity(None))]) == {"h": "a"}
    assert place([node("a")], [there, pod("h", affinity=anti_affinity({}))]) == {"h": None}


# -- wider than a host ------------------------------------------------------------------------------------------------

ZONED = [node("a", zone="z1"), node("b", zone="z1"), node("c", zone="z2")]


@pytest.mark.parametrize("holder_is_bound", [True, False])
def test_zone_anti_affinity_against_bound_pods_is_exact(holder_is_bound: bool) -> None:
    wide = anti_affinity(WEB, key=ZONE)
    bound = pod("old", labels=WEB, on="a", affinity=wide if holder_is_bound else {})
    new = pod("new", labels=WEB, affinity={} if holder_is_bound else wide)
    assert place(ZONED, [bound, new]) == {"new": "c"}
    assert place(ZONED[:2], [bound, new]) == {"new": None}


def test_a_node_without_the_label_is_no_conflict() -> None:
    bound = pod("old", labels=WEB, on="a", affinity=anti_affinity(WEB, key=ZONE))
    assert place([ZONED[0], node("bare")], [bound, pod("new", labels=WEB)]) == {"new": "bare"}
    unzoned = pod("old", labels=WEB, on="bare", affinity=anti_affinity(WEB, key=ZONE))
    assert place([node("bare")], [unzoned, pod("new", labels=WEB)]) == {"new": "bare"}


def test_bans_join_every_alternative_of_node_affinity() -> None:
    def in_zone(zone: str) -> dict[str, Any]:
        return {"matchExpressions": [{"key": ZONE, "operator": "In", "values": [zone]}]}

    wanted = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": []}}}
    wanted["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"] = [
        in_zone("z1"),
        in_zone("z2"),
        {},
    ]
    bound = pod("old", labels=WEB, on="a", affinity=anti_affinity(WEB, key=ZONE))
    assert place(ZONED, [bound, pod("new", labels=WEB, affinity=wanted)]) == {"new": "c"}


# -- host ports -------------------------------------------------------------------------------------------------------


def with_port(name: str, *, on: str = "", **port: Any) -> Pod:
    return pod(name, on=on, containers=[{"name": "c", "ports": [port]}])


@pytest.mark.parametrize(
    ("first", "second", "conflict"),
    [
        ({"hostPort": 80}, {"hostPort": 80}, True),
        ({"hostPort": 80}, {"hostPort": 81}, False),
        ({"containerPort": 80}, {"containerPort": 80}, False),
        ({"hostPort": 80, "protocol": "UDP"}, {"hostPort": 80}, False),
        ({"hostPort": 80, "hostIP": "10.0.0.1"}, {"hostPort": 80, "hostIP": "10.0.0.2"}, False),
        ({"hostPort": 80, "hostIP": "10.0.0.1"}, {"hostPort": 80, "hostIP": "10.0.0.1"}, True),
        ({"hostPort": 80, "hostIP": "10.0.0.1"}, {"hostPort": 80}, True),
        ({"hostPort": 80, "hostIP": "10.0.0.1"}, {"hostPort": 80, "hostIP": "0.0.0.0"}, True),
    ],
)
def test_host_ports(first: dict[str, Any], second: dict[str, Any], conflict: bool) -> None:
    for one, other in ((first, second), (second, first)):
        found = place([node("a")], [with_port("old", on="a", **one), with_port("new", **other)])
        assert found == {"new": None if conflict else "a"}
    both = place([node("a")], [with_port("p", **first), with_port("q", **second)])
    assert (None in both.values()) is conflict


def test_host_network_makes_container_ports_host_ports() -> None:
    containers = [{"name": "c", "ports": [{"containerPort": 80}]}]
    pods = [pod("p", on="a", hostNetwork=True, containers=containers), with_port("q", hostPort=80)]
    assert place([node("a")], pods) == {"q": None}


def test_ports_of_sidecars_count_and_those_of_other_init_containers_do_not() -> None:
    def init(**more: Any) -> Pod:
        started = {"name": "i", "ports": [{"hostPort": 80}]} | more
        return pod("p", on="a", initContainers=[started])

    assert place([node("a")], [init(restartPolicy="Always"), with_port("q", hostPort=80)]) == {"q": None}
    assert place([node("a")], [init(), with_port("q", hostPort=80)]) == {"q": "a"}


# -- affinity and spread ----------------------------------------------------------------------------------------------

THREE_ZONES = [node(f"{zone}{n}", zone=zone) for zone in ("x", "y", "z") for n in (1, 2)]


def spread(match: dict[str, str] | None = None, *, key: str = ZONE, **more: Any) -> dict[str, Any]:
    """A pod's spec with one hard constraint."""
    selector = {} if match is None else {"labelSelector": {"matchLabels": match}}
    constraint = {"topologyKey": key, "maxSkew": 1, "whenUnsatisfiable": "DoNotSchedule"} | selector | more
    return {"topologySpreadConstraints": [constraint]}


def test_affinity_follows_a_bound_pod_and_waits_without_one() -> None:
    near = anti_affinity(DB, key=ZONE, kind="podAffinity")
    assert place(ZONED, [pod("db", labels=DB, on="c"), pod("web", affinity=near)]) == {"web": "c"}
    assert place(ZONED, [pod("web", affinity=near)]) == {"web": None}


def test_the_first_of_a_set_with_affinity_to_itself_may_start_and_the_others_join_it() -> None:
    near = anti_affinity(WEB, key=ZONE, kind="podAffinity")
    found = place(ZONED, [pod(f"w{n}", labels=WEB, affinity=near, cpu="6") for n in range(2)])
    assert {one[:1] for one in found.values() if one} == {"a", "b"}  # both of zone z1: z2 has room for one only


def test_affinity_to_pods_that_are_placed_in_the_same_batch() -> None:
    near = anti_affinity(DB, kind="podAffinity")
    found = place(ZONED, [pod("a-web", affinity=near), pod("db", labels=DB)])
    assert found["a-web"] == found["db"] is not None


def test_spread_evens_out_zones() -> None:
    pods = [pod(f"w{n}", labels=WEB, **spread(WEB)) for n in range(6)]
    found = place(THREE_ZONES, pods)
    assert sorted((one or "-")[0] for one in found.values()) == ["x", "x", "y", "y", "z", "z"]


@pytest.mark.parametrize(
    ("own", "zone"),
    [({}, "y"), ({"deletionTimestamp": "2026-11-21T00:00:00Z"}, "x")],
)
def test_spread_does_not_count_pods_that_are_leaving(own: dict[str, Any], zone: str) -> None:
    there = pod("old", labels=WEB, on="x1", meta=own, cpu="6")
    small = [node("x1", zone="x"), node("y1", zone="y", cpu="100")]
    new = pod("new", labels=WEB, cpu="2", **spread(WEB))
    assert place(small, [there, new]) == {"new": f"{zone}1"}


def test_spread_counts_its_own_namespace_only() -> None:
    there = [pod(f"o{n}", namespace="other", labels=WEB, on="x1") for n in range(3)]
    full = [node("x1", zone="x"), node("y1", zone="y", cpu="0")]
    assert place(full, [*there, pod("new", labels=WEB, **spread(WEB))]) == {"new": "x1"}
    mine = [pod(f"m{n}", labels=WEB, on="x1") for n in range(3)]
    assert place(full, [*mine, pod("new", labels=WEB, **spread(WEB))]) == {"new": None}


@pytest.mark.parametrize(
    ("more", "placed"),
    [
        ({}, False),
        ({"nodeTaintsPolicy": "Honor"}, True),
        ({"nodeTaintsPolicy": "Honor", "minDomains": 2}, False),
        ({"maxSkew": 2}, True),
        ({"matchLabelKeys": ["rev"]}, True),
    ],
)
def test_spread_and_a_tainted_zone(more: dict[str, Any], placed: bool) -> None:
    """Zone y is empty but closed by a taint: it counts as a domain unless taints are honoured."""
    closed = node("y1", zone="y", spec={"taints": [{"key": "k", "effect": "NoSchedule"}]})
    there = pod("old", labels=WEB | {"rev": "1"}, on="x1")
    new = pod("new", labels=WEB | {"rev": "2"}, **spread(WEB, **more))
    assert place([node("x1", zone="x"), closed], [there, new]) == {"new": "x1" if placed else None}


def test_label_keys_that_the_server_has_merged_already_are_not_merged_again() -> None:
    merged = anti_affinity(WEB | {"rev": "1"}, matchLabelKeys=["rev"])  # made with rev 1, relabelled since
    holder = pod("h", labels=WEB | {"rev": "2"}, affinity=merged)
    assert place([node("a")], [holder, pod("t", labels=WEB | {"rev": "1"}, on="a")]) == {"h": None}


# -- gangs ------------------------------------------------------------------------------------------------------------


def member(name: str, least: str, **more: Any) -> Pod:
    return pod(name, cpu="3", labels={"yunchi.io/gang": "train", "yunchi.io/gang-min": least}, **more)


@pytest.mark.parametrize(("least", "placed"), [("4", 0), ("2", 2), ("x", 2)])
def test_a_gang_starts_with_its_least_number_or_not_at_all(least: str, placed: int) -> None:
    found = place([node("a")], [member(f"m{n}", least) for n in range(4)])
    assert sum(one is not None for one in found.values()) == placed


def test_members_that_run_count_towards_the_least_number() -> None:
    found = place([node("a"), node("b")], [*(member(f"r{n}", "4", on="a") for n in range(2)), member("m", "4")])
    assert found == {"m": None}
    found = place([node("a"), node("b")], [*(member(f"r{n}", "3", on="a") for n in range(2)), member("m", "3")])
    assert found == {"m": "b"}


# -- any mixture ------------------------------------------------------------------------------------------------------


def repels(term: PodAffinityTerm, holder: Pod, other: Pod) -> bool:
    """Kubernetes' definition, written down independently (matchLabels and namespaces only)."""
    places = term.namespaces or (holder.metadata.namespace,)
    wanted = term.label_selector.match_labels if term.label_selector else None
    if wanted is None or other.metadata.namespace not in places:
        return False
    return all(other.metadata.labels.get(key) == value for key, value in wanted.items())


labels = st.dictionaries(st.sampled_from(["app", "tier"]), st.sampled_from(["x", "y"]))
terms = st.lists(
    st.tuples(labels, st.sampled_from([HOST, ZONE]), st.sampled_from([[], ["ns1"], ["ns1", "ns2"]])), max_size=2
)
shapes = st.tuples(st.sampled_from(["ns1", "ns2"]), labels, terms, st.sampled_from(["", "", "a", "b", "c"]))


@settings(max_examples=150, deadline=None)
@given(st.lists(shapes, min_size=1, max_size=7))
def test_no_placement_breaks_any_term(found: list[Any]) -> None:
    nodes = [node("a", zone="z1"), node("b", zone="z1"), node("c", zone="z2"), node("d")]
    labels_of = {one.metadata.name: one.metadata.labels for one in nodes}
    pods = []
    for number, (namespace, own, wanted, home) in enumerate(found):
        term = [
            {"topologyKey": key, "labelSelector": {"matchLabels": match}, "namespaces": places}
            for match, key, places in wanted
        ]
        affinity = {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": term}}
        pods.append(pod(f"p{number}", namespace=namespace, labels=own, on=home, affinity=affinity))
    built = build_problem(nodes, pods)
    solution = solve(built.problem, effort="fast")
    seats = {built.pods[index].key: (built.pods[index], solution.assignment[index]) for index in range(len(built.pods))}
    new = {built.pods[index].key for index in built.to_place}
    for (one, here), (other, there) in combinations(seats.values(), 2):
        if not here or not there or not {one.key, other.key} & new:
            continue
        for holder, target in ((one, other), (other, one)):
            for term_ in holder.spec.affinity.pod_anti_affinity.required:
                key = term_.topology_key
                together = key in labels_of[here] and labels_of[here].get(key) == labels_of[there].get(key)
                assert not (together and repels(term_, holder, target)), (holder.key, target.key, key)


# -- preferences ------------------------------------------------------------------------------------------------------


def preferring(kind: str, match: dict[str, str], *, key: str = ZONE, weight: int = 50) -> dict[str, Any]:
    term = {"topologyKey": key, "labelSelector": {"matchLabels": match}}
    return {"affinity": {kind: {PREFERRED: [{"weight": weight, "podAffinityTerm": term}]}}}


def test_preferences_choose_among_nodes_in_use() -> None:
    busy = [pod("x", on="a"), pod("y", on="c", labels=DB)]
    assert place(ZONED, [*busy, pod("p", **preferring("podAffinity", DB))]) == {"p": "c"}
    assert place(ZONED, [*busy, pod("p", **preferring("podAntiAffinity", DB))]) == {"p": "a"}
    soft = spread(DB, whenUnsatisfiable="ScheduleAnyway")
    assert place(ZONED, [*busy, pod("p", labels=DB, **soft)]) == {"p": "a"}
    liked = {"weight": 1, "preference": {"matchExpressions": [{"key": ZONE, "operator": "In", "values": ["z2"]}]}}
    assert place(ZONED, [*busy, pod("p", affinity={"nodeAffinity": {PREFERRED: [liked]}})]) == {"p": "c"}
    assert place(ZONED, [pod("x", on="a"), pod("p", affinity={"nodeAffinity": {PREFERRED: [liked]}})]) == {"p": "a"}


def test_a_soft_taint_is_avoided() -> None:
    shunned = node("a", spec={"taints": [{"key": "k", "effect": "PreferNoSchedule"}]})
    busy = [pod("x", on="a"), pod("y", on="b")]
    assert place([shunned, node("b")], [*busy, pod("p")]) == {"p": "b"}
    tolerant = {"tolerations": [{"key": "k", "operator": "Exists"}]}
    assert place([shunned, node("b", cpu="1")], [*busy, pod("p", **tolerant)]) == {"p": "a"}
