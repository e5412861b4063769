"""Hypothesis strategies for small placement problems that use every rule, with alphabets so small that rules meet."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from yunchi_placement import (
    Apart,
    Budget,
    Cap,
    Cards,
    Constraints,
    Gang,
    Headroom,
    HostPort,
    Item,
    Near,
    Node,
    NodeTerm,
    Problem,
    Requirement,
    Spread,
    Taint,
    Toleration,
)

RESOURCES = ("cpu", "memory", "gpu", "npu")
HOST = "kubernetes.io/hostname"
UNITS = {"gpu": 4, "npu": 2}
FEATURES = ("constraints", "avoids", "apart", "near", "spread", "ports", "cards", "limits", "gangs", "running", "tiers")
CORDON_TOLERATED = Toleration("node.kubernetes.io/unschedulable", "Exists")

EFFORT = float(os.environ.get("YUNCHI_HUNT", "1"))


def examples(count: int) -> Callable[[Any], Any]:
    """So many examples, the same in each run; YUNCHI_HUNT=20 tries twenty times as many at random, 0.1 a tenth."""
    return settings(
        max_examples=max(5, round(count * EFFORT)),
        derandomize=EFFORT <= 1,
        database=None,
        deadline=None,
        print_blob=False,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )


def few(strategy: st.SearchStrategy[Any], most: int = 2, least: int = 0) -> st.SearchStrategy[tuple[Any, ...]]:
    return st.lists(strategy, min_size=least, max_size=most).map(tuple)


KEYS = st.sampled_from(["zone", "rack"])
DOMAINS = st.sampled_from(["zone", "rack", HOST])
VALUES = st.sampled_from(["1", "2"])
GROUP = st.sampled_from(["g", "g", "h"])
GROUPS = st.sampled_from([frozenset(group) for group in ("", "g", "g", "g", "h", "gh")])

requirements = st.one_of(
    st.builds(Requirement, KEYS, st.sampled_from(["In", "NotIn"]), few(VALUES, 2, 1)),
    st.builds(Requirement, KEYS, st.sampled_from(["Exists", "DoesNotExist"])),
    st.builds(Requirement, KEYS, st.sampled_from(["Gt", "Lt"]), VALUES.map(lambda value: (value,))),
)
names = st.builds(Requirement, st.just("metadata.name"), st.sampled_from(["In", "NotIn"]), st.just(("n0", "n1")))
terms = st.builds(NodeTerm, few(requirements), st.sampled_from([0, 0, 1]).flatmap(lambda count: few(names, count)))
TOLERATIONS = [
    (),
    (),
    (Toleration("t", "Exists"),),
    (Toleration("t", "Equal", "v", "NoSchedule"),),
    (Toleration(None, "Exists"),),
    (CORDON_TOLERATED,),
]
constraints = st.one_of(
    st.just(Constraints()),
    st.builds(
        Constraints,
        st.sampled_from([(), (), (("zone", "1"),), (("rack", "2"),)]),
        st.one_of(st.none(), st.none(), few(terms)),
        st.sampled_from(TOLERATIONS),
    ),
)
taints = st.sampled_from(
    [(), (), (), (), (Taint("t", "v"),), (Taint("t", "v", "PreferNoSchedule"),), (Taint("t", "w", "NoExecute"),)]
)
ports = st.sampled_from(
    [
        frozenset({HostPort(80)}),
        frozenset({HostPort(80, "UDP")}),
        frozenset({HostPort(80, ip="10.0.0.1")}),
        frozenset({HostPort(80, ip="10.0.0.2"), HostPort(81)}),
    ]
)
spreads = st.builds(
    Spread,
    DOMAINS,
    GROUP,
    st.sampled_from([1, 1, 1, 2]),
    st.sampled_from([1, 1, 1, 2, 3]),
    st.booleans(),
    st.booleans(),
)
nears = st.one_of(
    st.builds(lambda group, keys: tuple(Near(key, group) for key in keys), GROUP, few(DOMAINS, 2, 1)),
    few(st.builds(Near, DOMAINS, GROUP), 2, 1),
)


@dataclass(frozen=True)
class Size:
    """The most that a problem holds."""

    nodes: int = 5
    items: int = 10
    running: int = 3


@st.composite
def problems(
    draw: st.DrawFn, size: Size = Size(), features: tuple[str, ...] = FEATURES, every: bool = False
) -> Problem:
    """A problem with some of the features, or every one, each on many of its items."""
    live = set(features) if every or not features else draw(st.sets(st.sampled_from(features)))
    nodes = tuple(draw(_node(f"n{index}", live)) for index in range(draw(st.integers(0, size.nodes))))
    gangs = tuple(Gang(name, draw(st.integers(1, 3))) for name in ("a", "b")) if "gangs" in live else ()
    items = [draw(_item(f"p{index}", live)) for index in range(draw(st.integers(0, size.items)))]
    if "running" in live:
        for index in range(draw(st.integers(0, size.running))):
            where = draw(st.sampled_from([*[node.name for node in nodes], "gone"]))
            items.append(draw(_running(draw(_item(f"r{index}", live)), where, live)))
        items = draw(st.permutations(items))
    problem = Problem(RESOURCES, nodes, tuple(items), gangs, budgets=(Budget("b", 1),))
    if "cards" in live:
        kinds = draw(st.sampled_from([("gpu",), ("gpu",), ("gpu", "npu")]))
        problem = replace(problem, cards=tuple(Cards(kind, UNITS[kind]) for kind in kinds))
    return draw(_limited(problem)) if "limits" in live else problem


@st.composite
def _node(draw: st.DrawFn, name: str, live: set[str]) -> Node:
    labels = draw(st.dictionaries(KEYS, VALUES, max_size=2))
    if draw(st.sampled_from([True, True, True, False])):
        labels[HOST] = name
    cards = (draw(st.sampled_from([0, 4, 8])), draw(st.sampled_from([0, 0, 4]))) if "cards" in live else (0, 0)
    return Node(
        name,
        (draw(st.integers(0, 12)), draw(st.integers(2, 12)), *cards),
        tuple(sorted(labels.items())),
        draw(taints) if "constraints" in live else (),
        unschedulable="constraints" in live and draw(st.sampled_from([False, False, False, True])),
        cost=draw(st.integers(0, 5)) * 500_000,
        zone=labels.get("zone", ""),
        pool=draw(st.sampled_from(["", "blue", "red"])) if "limits" in live else "",
    )


@st.composite
def _item(draw: st.DrawFn, name: str, live: set[str]) -> Item:
    def some(feature: str, strategy: st.SearchStrategy[Any], nothing: Any) -> Any:
        """Two items of three use a feature that is on."""
        return draw(strategy) if feature in live and draw(st.integers(0, 2)) else nothing

    cards = (0, 0)
    if "cards" in live:
        cards = (draw(st.sampled_from([0, 1, 2, 3, 4, 8])), draw(st.sampled_from([0, 0, 0, 1, 2])))
    return Item(
        name,
        (draw(st.integers(0, 6)), draw(st.integers(0, 6)), *cards),
        some("constraints", constraints, Constraints()),
        keeps_node=draw(st.sampled_from([True, True, True, False])),
        priority=some("tiers", st.sampled_from([-1, 5]), 0),
        groups=draw(GROUPS),
        avoids=some("avoids", GROUPS, frozenset()),
        near=some("near", nears, ()),
        apart=some("apart", few(st.builds(Apart, DOMAINS, GROUP), 2, 1), ()),
        spread=some("spread", few(spreads, 2, 1), ()),
        ports=some("ports", ports, frozenset()),
        gang=some("gangs", st.sampled_from(["a", "a", "b"]), ""),
        budgets=frozenset({"b"}),
    )


@st.composite
def _running(draw: st.DrawFn, item: Item, node: str, live: set[str]) -> Item:
    """The item where it runs, whether the rules like it or not; sometimes its cards are known."""
    item = replace(item, node=node, movable=draw(st.booleans()))
    gpu = item.requests[2]
    if "cards" not in live or not gpu or item.requests[3] or draw(st.booleans()):
        return item
    if gpu == 8:
        return replace(item, cards=(0, 1))
    return replace(item, cards=(draw(st.integers(0, 1)),))


@st.composite
def _limited(draw: st.DrawFn, problem: Problem) -> Problem:
    pools = sorted({node.pool for node in problem.nodes} - {""})
    amount = st.one_of(st.none(), st.integers(0, 16))
    caps = tuple(
        Cap(
            name,
            tuple(draw(amount) for _ in RESOURCES),
            draw(st.sampled_from(["", "g", "h"])),
            draw(st.sampled_from(["", *pools])),
        )
        for name in ("c", "d")[: draw(st.integers(0, 2))]
    )
    kept = tuple(
        Headroom(pool, (draw(st.integers(0, 4)), draw(st.integers(0, 4)), 0, 0))
        for pool in pools
        if draw(st.booleans())
    )
    return replace(problem, caps=caps, headroom=kept)


@st.composite
def last_arrivals(draw: st.DrawFn, features: tuple[str, ...], size: Size = Size(3, 6, 0)) -> Problem:
    """All items but the last run somewhere, on known cards; the last one is pending. Nodes are roomy."""
    problem = draw(problems(size, features, every=True).filter(lambda one: bool(one.nodes and one.items)))
    roomy = tuple(
        replace(node, capacity=(*(3 * room for room in node.capacity[:2]), *node.capacity[2:]))
        for node in problem.nodes
    )
    problem = replace(problem, nodes=roomy)
    places = st.sampled_from([*[node.name for node in problem.nodes], "gone"])
    items = []
    for item in problem.items[:-1]:
        cards = _some_cards(draw, problem, item)
        if cards is not None:
            items.append(replace(item, node=draw(places), cards=cards))
    return replace(problem, items=(*items, problem.items[-1]))


def _some_cards(draw: st.DrawFn, problem: Problem, item: Item) -> tuple[int, ...] | None:
    """Card numbers for the item; None if it asks for cards of two kinds, which have no numbers here."""
    needs = [-(-item.requests[problem.resources.index(kind.resource)] // kind.units) for kind in problem.cards]
    if sum(map(bool, needs)) > 1:
        return None
    return tuple(draw(st.permutations([0, 1])))[: sum(needs)]


def only_on(problem: Problem, target: str) -> Problem:
    """The same problem with room on one node only, which no other rule can see: a resource that is nowhere else."""
    return replace(
        problem,
        resources=(*problem.resources, "slot"),
        nodes=tuple(replace(node, capacity=(*node.capacity, int(node.name == target))) for node in problem.nodes),
        items=tuple(replace(item, requests=(*item.requests, int(item.node is None))) for item in problem.items),
        caps=tuple(replace(cap, amounts=(*cap.amounts, None)) for cap in problem.caps),
        headroom=tuple(replace(one, amounts=(*one.amounts, 0)) for one in problem.headroom),
    )


def shuffled(problem: Problem, seed: int) -> Problem:
    """The same problem, told in another order."""
    rng = random.Random(seed)
    nodes, items, gangs, caps = (
        rng.sample(list(part), len(part)) for part in (problem.nodes, problem.items, problem.gangs, problem.caps)
    )
    return replace(problem, nodes=tuple(nodes), items=tuple(items), gangs=tuple(gangs), caps=tuple(caps))


def scaled(problem: Problem, column: int, factor: int) -> Problem:
    """The same problem with one resource in a smaller unit."""

    def times(amounts: tuple[Any, ...]) -> tuple[Any, ...]:
        return tuple(
            amount * factor if index == column and amount is not None else amount
            for index, amount in enumerate(amounts)
        )

    return replace(
        problem,
        nodes=tuple(replace(node, capacity=times(node.capacity)) for node in problem.nodes),
        items=tuple(replace(item, requests=times(item.requests)) for item in problem.items),
        caps=tuple(replace(cap, amounts=times(cap.amounts)) for cap in problem.caps),
        headroom=tuple(replace(one, amounts=times(one.amounts)) for one in problem.headroom),
        cards=tuple(
            replace(one, units=one.units * factor) if problem.resources[column] == one.resource else one
            for one in problem.cards
        ),
    )
