"""Preferences break ties once packing is settled; they never cost a node, a rule or an item."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.problems import examples, problems
from yunchi_placement import (
    InvalidProblem,
    Item,
    Near,
    Node,
    NodeTerm,
    Problem,
    Requirement,
    Solution,
    Taint,
    Toleration,
    Wish,
    solve,
)
from yunchi_placement.check import violations
from yunchi_placement.problem import Constraints

SSD = NodeTerm((Requirement("disk", "In", ("ssd",)),))


def node(name: str, cpu: int = 10, **labels: str) -> Node:
    return Node(name, (cpu,), tuple(sorted(labels.items())))


def used(name: str, **more: Any) -> Item:
    """Something that runs there, so that the node is in use anyway."""
    return Item(f"on-{name}", (1,), node=name, **more)


def place(nodes: list[Node], items: list[Item], **options: Any) -> dict[str, str | None]:
    solution: Solution = solve(Problem(("cpu",), tuple(nodes), tuple(items)), **options)
    return {item.name: node for item, node in zip(items, solution.assignment, strict=True) if item.node is None}


NODES = [node("a", zone="x"), node("b", disk="ssd", zone="x"), node("c", zone="y")]
RUNNING = [used("a"), used("b"), used("c")]


def test_a_liked_node_is_taken_if_it_is_in_use_and_not_opened_for_it() -> None:
    item = Item("p", (1,), wishes=(Wish(1, term=SSD),))
    assert place(NODES, [*RUNNING, item]) == {"p": "b"}
    assert place(NODES, [used("a"), item]) == {"p": "a"}


def test_a_disliked_node_is_left_and_the_greater_weight_counts() -> None:
    both = (Wish(2, term=NodeTerm((Requirement("zone", "In", ("y",)),))), Wish(1, term=SSD))
    assert place(NODES, [*RUNNING, Item("p", (1,), wishes=both)]) == {"p": "c"}
    shy = (Wish(-1, term=NodeTerm((Requirement("zone", "In", ("x",)),))),)
    assert place(NODES, [*RUNNING, Item("p", (1,), wishes=shy)]) == {"p": "c"}


def test_neighbours_are_counted_and_an_item_is_not_its_own() -> None:
    web = frozenset({"web"})
    crowd = [used("a", groups=web), Item("on-a2", (1,), node="a", groups=web), used("c", groups=web), used("b")]
    liking = Item("p", (1,), wishes=(Wish(1, near=Near("zone", "web")),))
    assert place(NODES, [*crowd, liking]) in ({"p": "a"}, {"p": "b"})  # two web items in zone x, one in y
    apart = [Item(f"w{k}", (1,), groups=web, wishes=(Wish(-1, near=Near("zone", "web")),)) for k in range(4)]
    found = place(NODES, [*RUNNING, *apart])
    assert sorted("y" if where == "c" else "x" for where in found.values()) == ["x", "x", "y", "y"]


def test_taints_to_be_avoided_are_avoided_unless_tolerated() -> None:
    soft = replace(NODES[0], taints=(Taint("busy", effect="PreferNoSchedule"),))
    nodes = [soft, replace(NODES[2], cost=9_000_000)]
    running = [used("a"), used("c")]
    assert place(nodes, [*running, Item("p", (1,), wishes=(Wish(-1),))]) == {"p": "c"}
    calm = Constraints(tolerations=(Toleration("busy", "Exists"),))
    assert place(nodes, [*running, Item("p", (1,), calm, wishes=(Wish(-1),))]) == place(
        nodes, [*running, Item("p", (1,), calm)]
    )


def test_a_full_node_is_not_taken_however_liked() -> None:
    full = [used("a"), Item("big", (9,), node="b")]
    assert place(NODES, [*full, Item("p", (2,), wishes=(Wish(100, term=SSD),))]) == {"p": "a"}


wishes = st.lists(
    st.builds(
        Wish,
        st.integers(-5, 5).filter(bool),
        near=st.one_of(st.none(), st.builds(Near, st.sampled_from(["zone", "kubernetes.io/hostname"]), st.just("a"))),
    ),
    max_size=2,
).map(tuple)


@given(problems(), st.data(), st.sampled_from(["fast", "balanced"]))
@examples(80)
def test_wishes_cost_nothing_and_break_no_rule(problem: Problem, data: st.DataObject, effort: Any) -> None:
    items = tuple(replace(item, wishes=data.draw(wishes)) for item in problem.items)
    wishing = replace(problem, items=items)
    plain, found = solve(problem, effort=effort), solve(wishing, effort=effort)
    assert violations(wishing, found) == []
    assert found.cost <= plain.cost
    assert sum(where is not None for where in found.assignment) == sum(where is not None for where in plain.assignment)


@pytest.mark.parametrize(
    ("wish", "message"),
    [
        (Wish(1, term=SSD, near=Near("zone", "a")), "term and near are both set"),
        (Wish(10**7), "no whole number"),
        (Wish(1, near=Near("", "a")), "the key is empty"),
        (Wish(1, term=NodeTerm((Requirement("disk", "Like", ("x",)),))), "unknown operator"),
    ],
)
def test_bad_wishes_are_refused(wish: Wish, message: str) -> None:
    with pytest.raises(InvalidProblem, match=message):
        solve(Problem(("cpu",), (node("a"),), (Item("p", (1,), wishes=(wish,)),)))
