"""Every contradiction is refused with the object, the field and the remedy; every sound oddity passes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from yunchi_placement import (
    Apart,
    Budget,
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
    Spread,
    Taint,
    Toleration,
    validate,
)

NODE = Node("n", (10, 8), pool="blue")
PLAIN = Item("p", (1, 0))
SOUND = Problem(("cpu", "gpu"), (NODE,), (PLAIN,))


def node(**changes: Any) -> Problem:
    return replace(SOUND, nodes=(replace(NODE, **changes),))


def item(**changes: Any) -> Problem:
    return replace(SOUND, items=(replace(PLAIN, **changes),))


def requirement(*parts: Any) -> Problem:
    return item(constraints=Constraints(required=(NodeTerm((Requirement(*parts),)),)))


def cards(units: Any = 4, **changes: Any) -> Problem:
    return replace(item(**changes), cards=(Cards("gpu", units),))


REFUSED = {
    "wide capacity": (node(capacity=(1, 2, 3)), "node n: capacity has 3 amounts for 2 resources; give one per"),
    "narrow requests": (item(requests=(1,)), "item p: requests has 1 amounts for 2 resources"),
    "negative capacity": (node(capacity=(-1, 0)), "node n: capacity holds the negative amount -1; use 0 or more"),
    "negative request": (item(requests=(0, -5)), "item p: requests holds the negative amount -5"),
    "float": (item(requests=(1.0, 0)), "item p: requests holds 1.0, which is not an integer; use whole numbers"),
    "nan": (item(requests=(float("nan"), 0)), "item p: requests holds nan"),
    "bool": (item(requests=(True, 0)), "item p: requests holds True"),
    "none": (node(capacity=("4", 0)), "node n: capacity holds '4'"),
    "float cost": (node(cost=1.5), "node n: cost 1.5 is not an integer"),
    "negative cost": (node(cost=-1), "node n: cost -1 is negative; use 0 or more"),
    "bool priority": (item(priority=True), "item p: priority True is not an integer"),
    "negative move": (item(move_cost=-2), "item p: move_cost -2 is negative; use 0 or more"),
    "large sums": (item(requests=(1 << 62, 0)), "resource cpu: amounts add up beyond 2^62; use a larger unit"),
    "large capacity": (node(capacity=((1 << 62) - 1, 0)), "resource cpu: amounts add up beyond 2^62"),
    "large costs": (node(cost=1 << 62), "node costs add up beyond 2^62"),
    "resource twice": (replace(SOUND, resources=("cpu", "cpu")), "resource cpu: the name occurs more than once"),
    "node twice": (replace(SOUND, nodes=(NODE, NODE)), "node n: the name occurs more than once"),
    "item twice": (replace(SOUND, items=(PLAIN, PLAIN)), "item p: the name occurs more than once; give each item"),
    "taint effect": (node(taints=(Taint("k", "", "Never"),)), "node n: taint k: unknown effect 'Never'; use one of No"),
    "toleration operator": (
        item(constraints=Constraints(tolerations=(Toleration("k", "Like"),))),
        "item p: toleration: unknown operator 'Like'; use Exists or Equal",
    ),
    "toleration effect": (
        item(constraints=Constraints(tolerations=(Toleration("k", "Exists", effect="No"),))),
        "item p: toleration: unknown effect 'No'; use one of No",
    ),
    "operator": (requirement("k", "Like", ("a",)), "item p: requirement on k: unknown operator 'Like'; use one of"),
    "no integer": (requirement("k", "Gt", ("x",)), "item p: requirement on k: Gt needs exactly one integer"),
    "two integers": (requirement("k", "Lt", ("1", "2")), "item p: requirement on k: Lt needs exactly one integer"),
    "no values to differ from": (requirement("k", "NotIn"), "item p: requirement on k: NotIn needs at least one value"),
    "no values": (requirement("k", "In"), "item p: requirement on k: In needs at least one value"),
    "node field": (
        item(constraints=Constraints(required=(NodeTerm(fields=(Requirement("spec.x", "In", ("a",)),)),))),
        "item p: node field 'spec.x' is unknown; only metadata.name is",
    ),
    "near nothing": (item(near=(Near("zone", ""),)), "item p: near: the group is empty"),
    "near nowhere": (item(near=(Near("", "g"),)), "item p: near: the key is empty"),
    "apart nothing": (item(apart=(Apart("zone", ""),)), "item p: apart: the group is empty"),
    "skew": (
        item(spread=(Spread("zone", "g", 0),)),
        "item p: spread over zone: max_skew 0 is too small; use 1 or more",
    ),
    "domains": (item(spread=(Spread("zone", "g", 1, 0),)), "item p: spread over zone: min_domains 0 is too small"),
    "float skew": (item(spread=(Spread("zone", "g", 1.0),)), "max_skew 1.0 is not an integer"),
    "spread nothing": (item(spread=(Spread("zone", ""),)), "item p: spread over zone: the group is empty"),
    "port 0": (item(ports=frozenset({HostPort(0)})), "item p: host port 0 is no port; use 1 to 65535"),
    "port 65536": (item(ports=frozenset({HostPort(65536)})), "item p: host port 65536 is no port"),
    "protocol": (item(ports=frozenset({HostPort(1, "tcp")})), "unknown protocol 'tcp'; use one of SCTP, TCP, UDP"),
    "ip": (item(ports=frozenset({HostPort(1, ip="")})), "item p: host port 1: the ip is empty; 0.0.0.0 stands for all"),
    "gang": (item(gang="x"), "item p: gang 'x' is unknown; add it to the problem's gangs"),
    "budget": (item(budgets=frozenset("xy")), "item p: budget 'x' is unknown; add it to the problem's budgets"),
    "gang twice": (replace(SOUND, gangs=(Gang("a", 1), Gang("a", 2))), "gang a: the name occurs more than once"),
    "gang of none": (replace(SOUND, gangs=(Gang("a", 0),)), "gang a: least 0 is too small; use 1 or more"),
    "gang nameless": (replace(SOUND, gangs=(Gang("", 1),)), "a gang has no name"),
    "budget twice": (replace(SOUND, budgets=(Budget("b", 1),) * 2), "budget b: the name occurs more than once"),
    "budget below 0": (replace(SOUND, budgets=(Budget("b", -1),)), "budget b: allowed -1 is negative; use 0 or more"),
    "cap twice": (replace(SOUND, caps=(Cap("c", (1, None)),) * 2), "cap c: the name occurs more than once"),
    "narrow cap": (replace(SOUND, caps=(Cap("c", (1,)),)), "cap c: amounts has 1 amounts for 2 resources"),
    "negative cap": (replace(SOUND, caps=(Cap("c", (None, -1)),)), "cap c: amounts holds the negative amount -1"),
    "cap pool": (replace(SOUND, caps=(Cap("c", (1, 1), pool="red"),)), "cap c: pool 'red' is unknown; name the pool"),
    "headroom pool": (replace(SOUND, headroom=(Headroom("red", (1, 1)),)), "headroom of pool 'red': the pool is unk"),
    "headroom of none": (replace(SOUND, headroom=(Headroom("", (1, 1)),)), "headroom of pool '': the pool is unknown"),
    "wide headroom": (
        replace(SOUND, headroom=(Headroom("blue", (1, 1, 1)),)),
        "headroom of pool 'blue': amounts has 3 amo",
    ),
    "no headroom": (
        replace(SOUND, headroom=(Headroom("blue", (None, 1)),)),
        "headroom of pool 'blue': amounts hold None; 0 keeps nothing free",
    ),
    "unknown cards": (
        replace(SOUND, cards=(Cards("npu", 1),)),
        "cards: resource 'npu' is unknown; use one of cpu, gpu",
    ),
    "cards twice": (replace(SOUND, cards=(Cards("gpu", 1),) * 2), "cards gpu: the name occurs more than once"),
    "no units": (cards(0), "cards of gpu: units 0 is too small; use 1 or more"),
    "half a card": (cards(3), "node n: capacity of 8 gpu is no whole number of cards; use a multiple of 3"),
    "card and a half": (cards(requests=(0, 6)), "item p: request of 6 gpu is no whole number of cards; ask for 4 or 8"),
    "missing card": (cards(requests=(0, 8), node="n", cards=(0,)), "item p: cards (0,) are not the 2 that it asks for"),
    "same card twice": (cards(requests=(0, 8), node="n", cards=(1, 1)), "item p: cards (1, 1) are not the 2"),
    "card below 0": (cards(requests=(0, 4), node="n", cards=(-1,)), "item p: cards (-1,) are no card numbers"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_contradictions_name_object_field_and_remedy(name: str) -> None:
    problem, message = REFUSED[name]
    with pytest.raises(InvalidProblem) as caught:
        validate(problem)
    assert message in str(caught.value)


SOUND_ODDITIES = {
    "nothing at all": Problem((), (), ()),
    "movable without a node": item(movable=True),
    "on an absent node": item(node="gone"),
    "a cap over everything": replace(SOUND, caps=(Cap("c", (None, 5)),)),
    "a cap of a group without items": replace(SOUND, caps=(Cap("c", (0, 0), "nobody"),)),
    "a gang without items": replace(SOUND, gangs=(Gang("a", 5),)),
    "a budget without allowance": replace(item(budgets=frozenset("b")), budgets=(Budget("b", 0),)),
    "headroom": replace(SOUND, headroom=(Headroom("blue", (99, 0)),)),
    "every port": item(ports=frozenset({HostPort(1), HostPort(65535, "SCTP"), HostPort(80, "UDP", "::1")})),
    "a share of a card": cards(requests=(0, 3)),
    "whole cards": cards(requests=(0, 8), node="n", cards=(1, 0)),
    "a card that the node has lost": cards(requests=(0, 4), node="n", cards=(5,)),
    "cards told before placing": cards(cards=(0, 1)),
    "an ordinary spread": item(spread=(Spread("zone", "g"),)),
    "a toleration of a value": item(constraints=Constraints(tolerations=(Toleration("k", "Equal", "v"),))),
    "amounts that just add up": item(requests=((1 << 62) - 11, 0)),
    "free to move": item(move_cost=0),
    "negative priority": item(priority=-10),
    "an empty effect": item(constraints=Constraints(tolerations=(Toleration("k", "Exists", effect=""),))),
    "a term that matches nothing": item(constraints=Constraints(required=(NodeTerm(),))),
}


@pytest.mark.parametrize("name", SOUND_ODDITIES)
def test_oddities_pass(name: str) -> None:
    validate(SOUND_ODDITIES[name])


def test_the_culprit_is_found_behind_equal_neighbours() -> None:
    """True equals 1, and (True, 0) equals (1, 0): looking at equal tuples only once would let it pass."""
    problem = replace(SOUND, items=(PLAIN, replace(PLAIN, name="q", requests=(True, 0))))
    with pytest.raises(InvalidProblem, match="item q: requests holds True"):
        validate(problem)
    with pytest.raises(InvalidProblem, match="item q: the name"):
        validate(replace(SOUND, items=(PLAIN, *[replace(PLAIN, name="q")] * 2)))
    held = replace(PLAIN, name="q", node="n", requests=(0, 4), cards=(0, 1))
    with pytest.raises(InvalidProblem, match="item q: cards"):
        validate(replace(SOUND, items=(PLAIN, held), cards=(Cards("gpu", 4),)))
