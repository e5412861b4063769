"""The checker, rule by rule: an answer that it accepts beside one that it refuses, and what it says."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import pytest

from support.problems import only_on
from yunchi_placement import (
    Apart,
    Bound,
    Cap,
    Cards,
    Constraints,
    Gang,
    Headroom,
    HostPort,
    InvalidProblem,
    Item,
    Near,
    Node,
    NodeTerm,
    Problem,
    Requirement,
    Solution,
    Spread,
    Taint,
    Toleration,
    solve,
    validate,
)
from yunchi_placement.check import value, violations
from yunchi_placement.check.orders import simple_order
from yunchi_placement.check.sites import sites_of

HOST = "kubernetes.io/hostname"
G, H = frozenset("g"), frozenset("h")


def node(name: str, zone: str = "1", **more: Any) -> Node:
    """A node in a zone with its host label; an empty zone is no label."""
    labels = ((HOST, name), ("zone", zone)) if zone else ((HOST, name),)
    return Node(name, more.pop("capacity", (10,)), more.pop("labels", labels), **more)


def pod(name: str = "p", request: int = 1, **more: Any) -> Item:
    return Item(name, (request,), **more)


@dataclass(frozen=True)
class Case:
    """Items and answers side by side; `said` is part of the only complaint, empty if there is none."""

    nodes: tuple[Node, ...]
    placed: tuple[tuple[Item, str | None], ...]
    said: str = ""
    more: dict[str, Any] | None = None
    cards: tuple[tuple[int, tuple[int, ...]], ...] | None = None
    ordered: bool = True

    def complaints(self) -> list[str]:
        items = tuple(item for item, _ in self.placed)
        problem = Problem(("cpu",), self.nodes, items, **(self.more or {}))
        answer = tuple(name for _, name in self.placed)
        order = [index for index, (item, name) in enumerate(self.placed) if item.node is None and name is not None]
        return violations(problem, answer, order if self.ordered else None, self.cards)


def one(item: Item, target: Node, said: str = "") -> Case:
    return Case((target,), ((item, target.name),), said)


def tolerating(*parts: Any) -> Item:
    return pod(constraints=Constraints(tolerations=(Toleration(*parts),)))


def requiring(*requirements: Requirement, fields: tuple[Requirement, ...] = ()) -> Item:
    return pod(constraints=Constraints(required=(NodeTerm(requirements, fields),)))


CORDONED, TAINTED = node("n", unschedulable=True), node("n", taints=(Taint("k", "v"),))
EXECUTE = node("n", taints=(Taint("k", "v", "NoExecute"),))
NUMBERED = node("n", labels=(("cores", "64"), ("arch", "arm")))

ON_ITS_OWN = {
    "room": one(pod(request=10), node("n")),
    "no room": one(pod(request=11), node("n"), "cpu holds 11 of 10"),
    "beside another": Case((node("n"),), ((pod("a", 5), "n"), (pod("b", 6), "n")), "b on n: cpu holds 11 of 10"),
    "asks nothing of an overfull node": Case((node("n"),), ((pod("r", 11, node="n"), "n"), (pod(request=0), "n"))),
    "cordon": one(pod(), CORDONED, "the node is cordoned"),
    "cordon tolerated": one(tolerating("node.kubernetes.io/unschedulable", "Exists"), CORDONED),
    "cordon tolerated by all": one(tolerating(None, "Exists"), CORDONED),
    "cordon tolerated for another effect": one(
        tolerating("node.kubernetes.io/unschedulable", "Exists", "", "NoExecute"), CORDONED, "cordoned"
    ),
    "taint": one(pod(), TAINTED, "taint k is not tolerated"),
    "soft taint": one(pod(), node("n", taints=(Taint("k", "v", "PreferNoSchedule"),))),
    "execute taint": one(pod(), EXECUTE, "taint k is not tolerated"),
    "taint tolerated": one(tolerating("k", "Equal", "v", "NoSchedule"), TAINTED),
    "taint of another value": one(tolerating("k", "Equal", "w"), TAINTED, "taint k"),
    "taint of any value": one(tolerating("k", "Exists", "w"), TAINTED),
    "taint of another key": one(tolerating("l", "Exists"), TAINTED, "taint k"),
    "taint of another effect": one(tolerating("k", "Exists", "", "NoSchedule"), EXECUTE, "taint k"),
    "no key and Equal": one(tolerating(None, "Equal", "v"), TAINTED),
    "selector": one(pod(constraints=Constraints((("zone", "1"),))), node("n")),
    "selector elsewhere": one(pod(constraints=Constraints((("zone", "2"),))), node("n"), "selector zone=2 does not"),
    "no term": one(pod(constraints=Constraints(required=())), node("n"), "no required term matches"),
    "empty term": one(requiring(), node("n"), "no required term matches"),
    "one term of two": one(
        pod(constraints=Constraints(required=(NodeTerm(), NodeTerm((Requirement("zone", "Exists"),))))), node("n")
    ),
    "one requirement of two": one(
        requiring(Requirement("zone", "Exists"), Requirement("rack", "Exists")), node("n"), "no required term"
    ),
    "field": one(requiring(fields=(Requirement("metadata.name", "In", ("n",)),)), node("n")),
    "field elsewhere": one(requiring(fields=(Requirement("metadata.name", "NotIn", ("n",)),)), node("n"), "no requ"),
    "label and field": one(
        requiring(Requirement("rack", "Exists"), fields=(Requirement("metadata.name", "In", ("n",)),)),
        node("n"),
        "no required term",
    ),
}
OPERATORS = {
    ("arch", "In", ("arm", "x86")): True,
    ("arch", "In", ("x86",)): False,
    ("none", "In", ("x86",)): False,
    ("arch", "NotIn", ("x86",)): True,
    ("arch", "NotIn", ("arm",)): False,
    ("none", "NotIn", ("arm",)): True,
    ("arch", "Exists"): True,
    ("none", "Exists"): False,
    ("arch", "DoesNotExist"): False,
    ("none", "DoesNotExist"): True,
    ("cores", "Gt", ("63",)): True,
    ("cores", "Gt", ("64",)): False,
    ("cores", "Lt", ("65",)): True,
    ("cores", "Lt", ("64",)): False,
    ("cores", "Lt", ("+65",)): True,
    ("arch", "Lt", ("65",)): False,
    ("none", "Gt", ("-1",)): False,
    ("cores", "Gt", ("1_0",)): False,
    ("cores", "Lt", (str(2**63 - 1),)): True,
    ("cores", "Lt", (str(2**63),)): False,
    ("cores", "Gt", (str(-(2**63)),)): True,
    ("cores", "Gt", (str(-(2**63) - 1),)): False,
}

TWO = (node("n"), node("m"))
ZONES = (node("n", "1"), node("m", "2"), node("o", "2"))


def pair(first: dict[str, Any], second: dict[str, Any], where: str = "nn", said: str = "", **more: Any) -> Case:
    """Two items on nodes n and m of zone 1, o of zone 2 and x of none."""
    nodes = (node("n"), node("m"), node("o", "2"), node("x", ""))
    return Case(nodes, ((pod("a", **first), where[0]), (pod("b", **second), where[1])), said, **more)


APART = {"groups": G, "apart": (Apart("zone", "g"),)}
NEAR = {"near": (Near("zone", "g"),)}
SELF = {"groups": G, "near": (Near("zone", "g"),)}
TWO_KEYS = {"groups": G, "near": (Near("zone", "g"), Near(HOST, "g"))}
TWO_GROUPS = {"near": (Near("zone", "g"), Near("zone", "h"))}
PORT, UDP = frozenset({HostPort(80)}), frozenset({HostPort(80, "UDP")})
FIRST, SECOND = frozenset({HostPort(80, ip="10.0.0.1")}), frozenset({HostPort(80, ip="10.0.0.2")})

AMONG_OTHERS = {
    "avoids": pair({"avoids": G}, {"groups": G}, "nn", "b and a may not share a node: a avoids g"),
    "is avoided": pair({"groups": G}, {"avoids": G}, "nn", "b and a may not share a node: it avoids g"),
    "avoids on another node": pair({"groups": G}, {"avoids": G}, "nm"),
    "avoids another group": pair({"groups": H}, {"avoids": G}, "nn"),
    "avoids itself alone": pair({"avoids": G, "groups": G}, {}, "nn"),
    "avoids the running": pair({"groups": G, "node": "n"}, {"avoids": G}, "nn", "it avoids g"),
    "running ones may quarrel": pair({"groups": G, "node": "n"}, {"avoids": G, "node": "n"}),
    "apart": pair(APART, {"groups": G}, "nm", "b on m: a keeps g out of its zone"),
    "apart backwards": pair({"groups": G}, APART, "nm", "b on m: a of g is in its zone"),
    "apart in another zone": pair(APART, {"groups": G}, "no"),
    "apart of another group": pair(APART, {"groups": H}, "nn"),
    "apart without the label": pair(APART, {"groups": G}, "nx"),
    "apart where none has the label": pair(APART, {"groups": G}, "xx"),
    "near": pair({"groups": G}, NEAR, "nm"),
    "near in another zone": pair({"groups": G}, NEAR, "no", "b on o: nothing of g is in its zone"),
    "near before it comes": pair(NEAR, {"groups": G}, "nm", "a on n: nothing of g"),
    "near before it comes, no order told": pair(NEAR, {"groups": G}, "nm", ordered=False),
    "near without the label": pair({"groups": G}, NEAR, "nx", "b on x: the node has no label zone to be near on"),
    "near the running": pair({"groups": G, "node": "n"}, NEAR, "nm"),
    "the first of its set": pair(SELF, SELF, "nm"),
    "the first of its set has the label": pair(SELF, {}, "xn", "a on x: the node has no label zone"),
    "the second of its set": pair(SELF, SELF, "no", "b on o: nothing of g"),
    "first, but not of the set": pair(NEAR, {}, "nn", "a on n: nothing of g"),
    "first where others have no label": pair({"groups": G}, SELF, "xn"),
    "first after another": pair({"groups": G}, SELF, "no", "b on o: nothing of g"),
    "first after another, no order told": pair({"groups": G}, SELF, "no", ordered=False),
    "first after the running": pair({"groups": G, "node": "n"}, SELF, "no", "b on o: nothing of g", ordered=False),
    "near by two keys": pair({"groups": G}, TWO_KEYS, "nn"),
    "near by one key of two": pair({"groups": G}, TWO_KEYS, "nm", "b on m: nothing of g is in its zone, kuber"),
    "near a member of both groups": pair({"groups": G | H}, TWO_GROUPS, "nm"),
    "near a member of one group of two": pair({"groups": G}, TWO_GROUPS, "nm", "nothing of g, h is in its zone"),
    "port": pair({"ports": PORT}, {"ports": PORT}, "nn", "b on n: host port 80/TCP is taken by a"),
    "port on another node": pair({"ports": PORT}, {"ports": PORT}, "nm"),
    "port of the running": pair({"ports": PORT, "node": "n"}, {"ports": PORT}, "nn", "taken by a"),
    "another port": pair({"ports": PORT}, {"ports": frozenset({HostPort(81)})}, "nn"),
    "another protocol": pair({"ports": PORT}, {"ports": UDP}, "nn"),
    "another address": pair({"ports": FIRST}, {"ports": SECOND}, "nn"),
    "the same address": pair({"ports": FIRST}, {"ports": FIRST}, "nn", "taken by a"),
    "all addresses later": pair({"ports": FIRST}, {"ports": PORT}, "nn", "taken by a"),
    "all addresses before": pair({"ports": PORT}, {"ports": FIRST}, "nn", "taken by a"),
    "running elsewhere": Case(TWO, ((pod(node="n"), "m"),), "p is fixed to n and answered with m"),
    "running left out": Case(TWO, ((pod(node="n"), None),), "p is fixed to n and answered with None"),
    "three of the same port": Case(
        TWO, tuple((pod(f"p{k}", ports=PORT if k % 2 == 0 else UDP), "n") for k in range(3)), "taken by p0"
    ),
    "near by another key than others": Case(
        (node("n"), node("m"), node("o", "2")),
        (
            (pod("a", groups=G), "n"),
            (pod("b", groups=G, **NEAR), "m"),
            (pod("c", near=(Near(HOST, "g"),)), "n"),
            (pod("d", groups=G, **NEAR), "o"),
        ),
        "d on o: nothing of g is in its zone",
    ),
    "gone": Case(TWO, ((pod(node="gone"), None),)),
    "brought back": Case(TWO, ((pod(node="gone"), "n"),), "p is fixed to gone and answered with n"),
    "unknown node": Case(TWO, ((pod(), "z"),), "p is on z, which is no node"),
    "unknown node, no order": Case(TWO, ((pod(), "z"),), "p is on z, which is no node", ordered=False),
}


def spread(*names: str, nodes: tuple[Node, ...] = ZONES, said: str = "", ordered: bool = True, **rule: Any) -> Case:
    """Items of g on these nodes, one after the other, all spread by the rule."""
    items = [pod(f"p{k}", groups=G, spread=(Spread("zone", "g", **rule),)) for k in range(len(names))]
    return Case(nodes, tuple(zip(items, names, strict=True)), said, ordered=ordered)


def after(runs: str, goes: str, said: str = "", groups: frozenset[str] = G, **rule: Any) -> Case:
    """An item after running ones of g, all on nodes n of zone 1, m and o of zone 2."""
    nodes, ordered = rule.pop("nodes", ZONES), rule.pop("ordered", True)
    constraints = rule.pop("constraints", Constraints())
    item = pod("p", groups=groups, constraints=constraints, spread=(Spread("zone", "g", **rule),))
    running = tuple((pod(f"r{k}", groups=G, node=name), name) for k, name in enumerate(runs))
    return Case(nodes, (*running, (item, goes)), said, ordered=ordered)


def fast(name: str, zone: str) -> Node:
    return node(name, labels=(("disk", "fast"), ("zone", zone)))


SOME_FAST = (fast("n", "1"), fast("m", "2"), node("o", "3"))
FAST = Constraints((("disk", "fast"),))
FASTER = Constraints(required=(NodeTerm((Requirement("disk", "In", ("fast",)),)),))
FOUR = tuple(node(name, name) for name in "nmox")
BARE = tuple(node(name, labels=(("zone", name),)) for name in "nm")
SICK = (node("n", "1"), node("m", "2", taints=(Taint("k"),)))
PINNED = Constraints((("zone", "1"),))

SPREADS = {
    "even": spread("n", "m", "n", "o"),
    "uneven": spread("n", "n", said="p1 on n: its zone holds 2 of g, the emptiest 0; max skew 1"),
    "uneven as allowed": spread("n", "n", max_skew=2),
    "in a bad order": spread("n", "n", "m", said="p1 on n: its zone holds 2 of g, the emptiest 0"),
    "in no order told": spread("n", "n", "m", ordered=False),
    "in no good order": Case(
        ZONES,
        tuple((pod(f"p{k}", groups=G, spread=(Spread("zone", "g"),)), "n") for k in range(2)),
        "its zone holds 2 of g, the emptiest 0",
        ordered=False,
    ),
    "no label": spread("x", nodes=(*ZONES, node("x", "")), said="p0 on x: the node has no label zone to spread over"),
    "no label, no order": spread("x", nodes=(*ZONES, node("x", "")), said="no label zone to spread", ordered=False),
    "after others": after("mo", "n"),
    "too many others": after("n", "n", "its zone holds 2 of g, the emptiest 0"),
    "not of the group": after("n", "n", groups=H),
    "not of the group, too many others": after("nn", "n", "its zone holds 2 of g", groups=H),
    "few domains": after("nmo", "n", min_domains=2),
    "too few domains": after("nm", "n", "its zone holds 2 of g, the emptiest 0", min_domains=3),
    "enough anyway": after("", "n", min_domains=3),
    "pinned": after("nn", "n", constraints=PINNED),
    "pinned, all zones count": after("nn", "n", "the emptiest 0", constraints=PINNED, honor_affinity=False),
    "five in four domains": after("nmoxn", "n", "its zone holds 3 of g, the emptiest 1", nodes=FOUR),
    "selected nodes only": after("nm", "n", nodes=SOME_FAST, constraints=FAST),
    "selected nodes, too many": after("n", "n", "the emptiest 0", nodes=SOME_FAST, constraints=FAST),
    "required nodes only": after("nm", "n", nodes=SOME_FAST, constraints=FASTER),
    "required nodes, too many": after("n", "n", "the emptiest 0", nodes=SOME_FAST, constraints=FASTER),
    "nodes without more labels count": after("n", "n", "the emptiest 0", nodes=BARE),
    "four domains": after("nmox", "n", nodes=FOUR),
    "three domains of four": after("nmo", "n", "its zone holds 2 of g, the emptiest 0", nodes=FOUR),
    "after others, no order": after("mo", "n", ordered=False),
    "beside others, no order": after("nm", "n", ordered=False),
    "too many others, no order": after("nnm", "n", "its zone holds 3 of g, the emptiest 1", ordered=False),
    "not of the group, no order": after("n", "n", groups=H, ordered=False),
    "not of the group, too many, no order": after("nn", "n", "its zone holds 2 of g", groups=H, ordered=False),
    "taints count": after("n", "n", "the emptiest 0", nodes=SICK),
    "taints honoured": after("n", "n", nodes=SICK, honor_taints=True),
    "tolerated taints honoured": after(
        "n",
        "n",
        "the emptiest 0",
        nodes=SICK,
        honor_taints=True,
        constraints=Constraints(tolerations=(Toleration("k", "Exists"),)),
    ),
}


def limited(*names: str | None, said: str = "", more: dict[str, Any], **changes: Any) -> Case:
    """Items of 4 on nodes of 10: n and m in pool blue, o in none."""
    nodes = (node("n", pool="blue"), node("m", pool="blue", **changes), node("o"))
    items = (
        pod("a", 4, groups=G, gang="t"),
        pod("b", 4, groups=H, gang="t"),
        pod("r", 4, groups=G, node="n", gang="t"),
    )
    gang = {"gangs": (Gang("t", 1),)}
    return Case(nodes, ((items[2], "n"), *zip(items, names, strict=False)), said, {**gang, **more})


def cap(amount: int | None, *where: str) -> dict[str, Any]:
    return {"caps": (Cap("c", (amount,), *where),)}


LIMITS = {
    "cap": limited("n", "o", more=cap(12)),
    "no cap": limited("n", "o", more=cap(None)),
    "above the cap": limited("n", "o", more=cap(11), said="b on o: cap c: cpu holds 12 of 11"),
    "cap of a group": limited("n", "o", more=cap(8, "g")),
    "above the cap of a group": limited("n", "o", more=cap(7, "g"), said="a on n: cap c: cpu holds 8 of 7"),
    "cap of a pool": limited("m", "o", more=cap(8, "", "blue")),
    "above the cap of a pool": limited("m", "o", more=cap(7, "", "blue"), said="a on m: cap c: cpu holds 8 of 7"),
    "cap of a group in a pool": limited("m", "m", more=cap(8, "g", "blue")),
    "above it": limited("m", "m", more=cap(4, "g", "blue"), said="a on m: cap c: cpu holds 8 of 4"),
    "what runs stays above the cap": limited(None, None, more=cap(1)),
    "others do not count for the cap of a group": Case(
        (node("n", pool="blue"),),
        ((pod("a", 4, groups=H), "n"), (pod("b", 4, groups=G), "n")),
        more=cap(4, "g", "blue"),
    ),
    "above the cap, no order": Case((node("n"),), ((pod("a", 4), "n"),), "holds 4 of 3", cap(3), ordered=False),
    "headroom": limited("n", "o", more={"headroom": (Headroom("blue", (12,)),)}),
    "headroom taken": limited(
        "n", "o", more={"headroom": (Headroom("blue", (13,)),)}, said="a on n: headroom of blue: 12 of cpu stays free"
    ),
    "a cordoned node is no headroom": limited(
        "n", more={"headroom": (Headroom("blue", (3,)),)}, said="headroom of blue: 2 of cpu", unschedulable=True
    ),
    "gang": limited("n", "o", more={"gangs": (Gang("t", 3),)}),
    "gang of too few": limited("n", None, more={"gangs": (Gang("t", 3),)}, said="gang t: 2 of at least 3 are placed"),
    "none of the gang": limited(None, None, more={"gangs": (Gang("t", 3),)}),
}


def seated(*items: tuple[int, tuple[int, ...] | None], said: str = "", capacity: int = 8, told: bool = True) -> Case:
    """Items on one node with cards of 4; a negative request is of a running item."""
    pods = tuple(
        pod(f"p{k}", abs(request), node="n" if request < 0 else None, cards=(numbers or ()) if request < 0 else ())
        for k, (request, numbers) in enumerate(items)
    )
    cards = tuple((k, numbers) for k, (request, numbers) in enumerate(items) if request > 0 and numbers is not None)
    nodes = (node("n", capacity=(capacity,)),)
    placed = tuple((item, "n") for item in pods)
    return Case(nodes, placed, said, {"cards": (Cards("cpu", 4),)}, cards if told else None)


CARDS = {
    "a share": seated((3, (1,))),
    "two shares of a card": seated((3, (1,)), (1, (1,))),
    "a card too full": seated((3, (1,)), (2, (1,)), said="n: card 1 holds 5 of 4"),
    "beside the running": seated((-3, (0,)), (2, (1,))),
    "on the running": seated((-3, (0,)), (2, (0,)), said="n: card 0 holds 5 of 4"),
    "whole cards": seated((8, (1, 0))),
    "a whole card": seated((4, (1,)), (2, (0,))),
    "a whole card shared": seated((4, (1,)), (1, (1,)), said="n: card 1 holds 5 of 4"),
    "no card": seated((1, None), said="p0 on n asks for cpu and is given no card"),
    "too few cards": seated((8, (1,)), said="p0 on n is given cards (1,); it needs 2"),
    "too many cards": seated((1, (0, 1)), said="p0 on n is given 2 cards instead of 1"),
    "one card twice": seated((8, (1, 1)), said="p0 on n is given cards (1, 1); it needs 2"),
    "a card that is not there": seated((1, (2,)), said="p0 is given cards (2,); n has 2, from 0"),
    "a negative card": seated((1, (-1,)), said="p0 is given cards (-1,); n has 2, from 0"),
    "cards for nothing": seated((-1, (0,)), (0, None), (1, (0,))),
    "seats of the running unknown": seated((-3, None), (3, (0,))),
    "no seats for the running": seated((-3, None), (3, (0,)), (2, (1,)), said="n: its cards have no seats for all"),
    "no seats for the running before": seated((-3, None), (-3, None), (-3, None), (1, (0,)), capacity=12),
    "no seats before nor after": seated(*[(-3, None)] * 5, (1, (0,)), capacity=16),
    "behind one without cards": seated((0, None), (3, (1,)), (2, (1,)), said="n: card 1 holds 5 of 4"),
    "the running lost its card": seated((-4, (7,)), (4, (0,))),
    "some way": seated((3, None), (3, None), (1, None), (1, None), told=False),
    "no way": seated((3, None), (3, None), (2, None), told=False, said="n: its cards have no seats for all"),
    "no way for whole cards": seated((1, None), (1, None), (8, None), told=False, capacity=12),
    "no way between whole cards": seated((-3, (0,)), (-3, (1,)), (4, None), told=False, capacity=12),
    "all shared": seated((-1, (0,)), (-1, (1,)), (4, None), told=False, said="n: its cards have no seats for all"),
}

CASES = {**ON_ITS_OWN, **AMONG_OTHERS, **SPREADS, **LIMITS, **CARDS}


@pytest.mark.parametrize("name", CASES)
def test_rule(name: str) -> None:
    case = CASES[name]
    complaints = case.complaints()
    if case.said:
        assert complaints
        assert all(case.said in text for text in complaints)
    else:
        assert complaints == []


def last_arrival(case: Case) -> tuple[Problem, tuple[str | None, ...]] | None:
    """The case with all but the last item running already, on the cards they got; None if the last is not placed."""
    told = dict(case.cards or ())
    items = [
        replace(item, node=item.node or name, cards=item.cards or told.get(index, ()))
        for index, (item, name) in enumerate(case.placed)
        if name is not None
    ]
    last, target = case.placed[-1]
    if last.node is not None or target not in {one.name for one in case.nodes}:
        return None
    problem = Problem(("cpu",), case.nodes, (*items[:-1], last), **(case.more or {}))
    known = {one.name for one in case.nodes}
    return only_on(problem, target), (*[item.node if item.node in known else None for item in items[:-1]], target)


@pytest.mark.parametrize("name", CASES)
def test_the_engine_agrees(name: str) -> None:
    """The last item goes to its node in the engine's eyes if, and only if, it may in the checker's."""
    arrival = last_arrival(CASES[name])
    if arrival is None:
        return
    problem, answer = arrival
    try:
        validate(problem)
    except InvalidProblem:
        return  # an answer that gives too few cards, told as if it ran
    wrong = violations(problem, answer, order=[len(answer) - 1])
    assert (solve(problem, effort="fast").assignment == answer) == (wrong == []), wrong


@pytest.mark.parametrize(("requirement", "holds"), OPERATORS.items())
def test_operators(requirement: tuple[Any, ...], holds: bool) -> None:
    assert (one(requiring(Requirement(*requirement)), NUMBERED).complaints() == []) is holds


def test_answers_of_another_length() -> None:
    problem = Problem(("cpu",), TWO, (pod("a"), pod("b")))
    assert violations(problem, ("n",)) == ["1 answers for 2 items"]


def test_an_order_names_each_new_item_once() -> None:
    problem = Problem(("cpu",), TWO, (pod("a"), pod("b"), pod("r", node="n")))
    answer = ("n", None, "n")
    assert violations(problem, answer, order=[0]) == []
    assert violations(problem, answer, order=[]) == ["the order names a 0 times"]
    assert violations(problem, answer, order=[0, 0]) == ["the order names a 2 times"]
    assert violations(problem, answer, order=[0, 1]) == ["the order names item 1, which is not newly placed"]
    assert violations(problem, answer, order=[2, 0]) == ["the order names item 2, which is not newly placed"]


def test_the_order_and_cards_of_a_solution_are_read() -> None:
    items = (pod("a", near=(Near("zone", "g"),)), pod("b", groups=G))
    problem = Problem(("cpu",), (node("n", capacity=(8,)),), items, cards=(Cards("cpu", 4),))
    good = Solution(("n", "n"), (), 1, 1, Bound(1, 1, ""), 0.0, (), (1, 0), ((0, (0,)), (1, (0,))))
    assert violations(problem, good) == []
    assert "nothing of g" in violations(problem, replace(good, order=(0, 1)))[0]
    assert "card 0 holds 5 of 4" in violations(replace(problem, items=(pod("a", 4), pod("b"))), good)[0]
    assert violations(problem, good, order=(0, 1)) == violations(problem, replace(good, order=(0, 1)))
    assert violations(problem, good, cards=()) == violations(problem, replace(good, cards=()))


def test_cards_that_nobody_asked_for() -> None:
    items = (pod("a", 0), pod("b", 1), pod("r", 1, node="n", cards=(1,)))
    problem = Problem(("cpu",), (node("n", capacity=(8,)),), items, cards=(Cards("cpu", 4),))
    answer = ("n", None, "n")
    assert violations(problem, answer, cards=()) == []
    assert violations(problem, answer, cards=((2, (1,)),)) == []
    assert violations(problem, answer, cards=((2, (0,)),)) == ["r holds cards (1,) and is answered with (0,)"]
    assert violations(problem, answer, cards=((1, (0,)),)) == ["cards are told for item 1, which is not placed"]
    assert violations(problem, answer, cards=((3, (0,)),)) == ["cards are told for item 3, which is not placed"]
    told = violations(problem, answer, cards=((1, (0,)), (7, (0,)), (0, (0,))))
    assert told[:3] == [
        "cards are told for item 1, which is not placed",
        "cards are told for item 7, which is not placed",
        "a is given cards (0,) and asks for none",
    ]
    assert "a is given cards (0,) and asks for none" in violations(problem, answer, cards=((0, (0,)),))


def test_cards_of_two_kinds_come_in_the_order_of_the_kinds() -> None:
    items = (Item("a", (8, 1)), Item("b", (0, 1)))
    problem = Problem(("gpu", "npu"), (Node("n", (8, 4)),), items, cards=(Cards("gpu", 4), Cards("npu", 2)))
    for cards in (((0, (0, 1, 1)), (1, (0,))), ((0, (0, 1)), (0, (1,)), (1, (1,)))):
        assert violations(problem, ("n", "n"), cards=cards) == []
    assert "it needs 1" in violations(problem, ("n", "n"), cards=((0, (0, 1)), (1, (0,))))[0]


def test_an_order_is_found_for_knotty_affinities() -> None:
    """The one that starts a set must come before whatever counts for it, and so on along a chain."""
    items = (
        pod("stray", groups=H),
        pod("third", near=(Near("zone", "g"),)),
        pod("second", groups=G, near=(Near("zone", "h"),)),
        pod("first", groups=H, near=(Near("zone", "h"),)),
    )
    problem = Problem(("cpu",), ZONES, items)
    answer = ("n", "m", "m", "o")
    assert violations(problem, answer) == []
    sites = sites_of(problem)
    assert simple_order(problem, {index: sites[name] for index, name in enumerate(answer)}) == [3, 0, 2, 1]
    assert violations(problem, ("n", "n", "m", "o")) == ["third on n: nothing of g is in its zone"]


def test_value_counts_nodes_that_must_stay() -> None:
    nodes = (node("n", cost=3), node("m", cost=5))
    problem = Problem(("cpu",), nodes, (pod("a"), pod("b"), pod("agent", keeps_node=False)))
    assert value(problem, ("n", "n", "m")) == (3, 1)
    assert value(problem, ("n", "m", "m")) == (8, 2)
    assert value(problem, (None, None, "m")) == (0, 0)


def test_two_rules_are_broken_at_once() -> None:
    target = node("n", pool="blue", unschedulable=True)
    constraints = Constraints((("zone", "9"),), required=())
    problem = Problem(("cpu",), (target,), (pod("p", 4, constraints=constraints),), caps=(Cap("c", (3,)),))
    assert violations(problem, ("n",), order=[0]) == [
        "p on n: the node is cordoned",
        "p on n: selector zone=9 does not match",
        "p on n: no required term matches",
        "p on n: cap c: cpu holds 4 of 3",
    ]
    limits = replace(problem, nodes=(node("n", pool="blue"),), items=(pod("p", 4),), headroom=(Headroom("blue", (7,)),))
    assert violations(limits, ("n",), order=[0]) == [
        "p on n: cap c: cpu holds 4 of 3",
        "p on n: headroom of blue: 6 of cpu stays free instead of 7",
    ]


def test_each_spread_of_an_item_is_heard() -> None:
    spreads = (Spread("rack", "g"), Spread("zone", "g"), Spread(HOST, "g", 5))
    nodes = tuple(node(name, labels=((HOST, name), ("rack", name), ("zone", name))) for name in "nm")
    bare = node("o", "o")
    items = (pod("r", groups=G, node="n"), pod("p", groups=G, spread=spreads))
    problem = Problem(("cpu",), (*nodes, bare), items)
    for order in ([1], None):
        assert violations(problem, ("n", "n"), order=order) == [
            "p on n: its rack holds 2 of g, the emptiest 0; max skew 1",
            "p on n: its zone holds 2 of g, the emptiest 0; max skew 1",
        ]
        assert violations(problem, ("n", "m"), order=order) == []
    full = replace(problem, items=(replace(items[0], node="o"), items[1]))
    assert violations(full, ("o", "o"), order=[1]) == ["p on o: the node has no label rack to spread over"]


def test_nodes_without_a_label_of_any_spread_do_not_count() -> None:
    nodes = (node("n"), node("m", "2", labels=(("rack", "a"), ("zone", "2"))), node("o", "3"))
    spreads = (Spread("rack", "g"), Spread("zone", "g"))
    one, both = pod("one", groups=G, spread=spreads[1:]), pod("both", groups=G, spread=spreads)
    running = pod("r", groups=G, node="m")
    problem = Problem(("cpu",), nodes, (running, one, both))
    assert violations(problem, ("m", None, "m"), order=[2]) == []
    assert violations(problem, ("m", "m", None), order=[1]) == [
        "one on m: its zone holds 2 of g, the emptiest 0; max skew 1"
    ]
    assert violations(problem, ("m", None, "n"), order=[2]) == ["both on n: the node has no label rack to spread over"]
    wide = replace(both, spread=(*spreads, Spread(HOST, "g")))
    crowd = replace(problem, nodes=(*nodes, node("x", "")), items=(replace(running, node="n"), one, wide))
    assert violations(crowd, ("n", None, "x"), order=[2]) == [
        "both on x: the node has no label rack to spread over",
        "both on x: the node has no label zone to spread over",
    ]


def test_items_count_by_their_own_eligible_nodes() -> None:
    """The same spread means other domains for an item that is pinned to some nodes, or bears some taints."""
    spread = (Spread("zone", "g"),)
    honest = (Spread("zone", "g", honor_taints=True),)
    nodes = (fast("n", "1"), fast("m", "2"), node("o", "3"), node("x", "4", taints=(Taint("k"),)))
    running = tuple(pod(f"r{name}", groups=G, node=name) for name in "nmo")
    far = (Spread("zone", "g", honor_affinity=False, honor_taints=True),)
    bold = Constraints((("zone", "1"),), tolerations=(Toleration("k", "Exists"),))
    for item, fits in (
        (pod(groups=G, spread=spread, constraints=FAST), True),
        (pod(groups=G, spread=spread, constraints=FASTER), True),
        (pod(groups=G, spread=spread), False),
        (pod(groups=G, spread=honest), True),
        (pod(groups=G, spread=far), True),
        (pod(groups=G, spread=far, constraints=bold), False),
        (pod(groups=G, spread=honest, constraints=bold), True),
    ):
        others = tuple(
            pod(f"o{k}", 0, groups=G, spread=one, constraints=constraints)
            for k, (one, constraints) in enumerate(
                ((spread, FAST), (spread, Constraints()), (honest, Constraints()), (far, Constraints()))
            )
        )
        problem = Problem(("cpu",), nodes, (*running, *others, item))
        answer = ("n", "m", "o", None, None, None, None, "n")
        assert (violations(problem, answer, order=[7]) == []) is fits
        assert (violations(problem, answer) == []) is fits


def test_a_search_for_seats_that_takes_too_long_finds_nothing_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    case = CARDS["no way"]
    assert case.complaints()
    monkeypatch.setattr("yunchi_placement.check.cards.PATIENCE", 2)
    assert case.complaints() == []
    monkeypatch.setattr("yunchi_placement.check.cards.PATIENCE", 3)
    assert case.complaints()


def order_of(items: tuple[Item, ...], answer: tuple[str, ...]) -> list[int]:
    problem = Problem(("cpu",), (*ZONES, node("x", "3")), items)
    sites = sites_of(problem)
    return simple_order(problem, {index: sites[name] for index, name in enumerate(answer)})


def test_those_who_seek_follow_those_who_do_not() -> None:
    chain = (pod("c", groups=H, **NEAR), pod("d", near=(Near("zone", "h"),)), pod("a", groups=G))
    assert order_of(chain, ("n", "n", "n")) == [2, 0, 1]
    assert order_of(tuple(reversed(chain)), ("n", "n", "n")) == [0, 2, 1]


def test_the_first_of_a_set_waits_for_others_to_be_found() -> None:
    """It starts a set only if nothing else moves: the item beside g is placed although it could start h."""
    starter = pod("s", groups=H, near=(Near("zone", "h"),))
    beside = pod("b", groups=H, near=(Near("zone", "g"),))
    assert order_of((starter, beside, pod("a", groups=G)), ("m", "m", "m")) == [2, 1, 0]


def test_each_set_gets_its_own_start() -> None:
    items = (
        pod("g-stray", groups=G),
        pod("h-stray", groups=H),
        pod("g1", groups=G, near=(Near("zone", "g"),)),
        pod("g2", groups=G, near=(Near("zone", "g"),)),
        pod("h1", groups=H, near=(Near("zone", "h"),)),
        pod("hopeless", near=(Near("zone", "k"),)),
    )
    assert order_of(items, ("n", "n", "m", "m", "x", "n")) == [2, 4, 0, 1, 3, 5]


def test_a_start_may_show_that_another_must_come_before() -> None:
    """`late` must start g before the stray; being of h as well, it then takes the start of h from `early`."""
    stray = pod("stray", groups=G)
    early = pod("early", groups=H, near=(Near("zone", "h"),))
    late = pod("late", groups=G | H, near=(Near("zone", "g"),))
    assert order_of((stray, early, late), ("n", "n", "m")) == [1, 2, 0]
