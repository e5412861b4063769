"""Preemption: the fewest and lowest go, for the whole batch, and never in vain."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from support.problems import examples, problems
from yunchi_placement import Apart, Budget, Cards, Constraints, Gang, Item, Near, Node, Problem, Taint
from yunchi_placement.check import violations
from yunchi_placement.preemption import Nomination, Victim, preempt

HIGH = 1000


def node(name: str, cpu: int = 10, **more: Any) -> Node:
    labels = (("kubernetes.io/hostname", name), ("zone", name[0]))
    return Node(name, (cpu,), labels, **more)


def runs(name: str, where: str, cpu: int = 5, priority: int = 0, **more: Any) -> Item:
    return Item(name, (cpu,), node=where, priority=priority, **more)


def wants(name: str = "new", cpu: int = 5, priority: int = HIGH, **more: Any) -> Item:
    return Item(name, (cpu,), priority=priority, **more)


def ask(
    nodes: Sequence[Node], items: Sequence[Item], *, since: dict[str, float] | None = None, **more: Any
) -> dict[str, tuple[str, tuple[str, ...]]]:
    """Node and victims by claimant; everything that runs may go, as far as priorities allow."""
    options = {key: more.pop(key) for key in ("leaving", "placed") if key in more}
    problem = Problem(("cpu",), tuple(nodes), tuple(items), **more)
    waiting = [k for k, item in enumerate(items) if item.node is None and k not in options.get("placed", {})]
    evictable = {item.name: Victim((since or {}).get(item.name, 0.0)) for item in items if item.node is not None}
    found = preempt(problem, waiting, evictable=evictable, **options)
    return {items[one.item].name: (one.node, one.victims) for one in found}


def test_one_victim_is_enough_where_one_is() -> None:
    items = [runs("a1", "a"), runs("a2", "a"), runs("b1", "b", 10), wants()]
    assert ask([node("a"), node("b")], items) == {"new": ("a", ("a2",))}


def test_only_lower_priorities_go() -> None:
    items = [runs("same", "a", 10, HIGH), runs("higher", "b", 10, HIGH + 1), wants()]
    assert ask([node("a"), node("b")], items) == {}
    assert ask([node("a"), node("b")], [*items[:1], runs("less", "b", 10, HIGH - 1), wants()]) == {
        "new": ("b", ("less",))
    }


def test_the_lowest_of_the_highest_victims_decides_before_their_number() -> None:
    items = [runs("a1", "a", 10, 5), runs("b1", "b", 5, 1), runs("b2", "b", 5, 1), wants(cpu=10)]
    assert ask([node("a"), node("b")], items) == {"new": ("b", ("b1", "b2"))}


def test_fewer_go_before_later_started() -> None:
    items = [runs("a1", "a", 10), runs("b1", "b", 5), runs("b2", "b", 5), wants(cpu=10)]
    assert ask([node("a"), node("b")], items, since={"a1": 1.0, "b1": 9.0, "b2": 9.0}) == {"new": ("a", ("a1",))}


def test_of_equals_the_latest_started_goes() -> None:
    items = [runs("a1", "a", 10), runs("b1", "b", 10), wants(cpu=10)]
    assert ask([node("a"), node("b")], items, since={"a1": 5.0, "b1": 9.0}) == {"new": ("b", ("b1",))}
    same = [runs("old", "a"), runs("young", "a"), wants()]
    assert ask([node("a")], same, since={"old": 1.0, "young": 2.0}) == {"new": ("a", ("young",))}


def test_budgets_are_broken_last() -> None:
    kept = frozenset({"web"})
    items = [runs("a1", "a", 10, 0, budgets=kept), runs("b1", "b", 10, 500), wants(cpu=10)]
    assert ask([node("a"), node("b")], items, budgets=(Budget("web", 0),)) == {"new": ("b", ("b1",))}
    assert ask([node("a"), node("b")], items, budgets=(Budget("web", 1),)) == {"new": ("a", ("a1",))}
    only = [items[0], items[2]]
    assert ask([node("a")], only, budgets=(Budget("web", 0),)) == {"new": ("a", ("a1",))}


def test_within_a_node_those_under_a_budget_are_spared_first() -> None:
    items = [runs("guarded", "a", 5, 0, budgets=frozenset({"web"})), runs("plain", "a", 5, 9), wants()]
    assert ask([node("a")], items, budgets=(Budget("web", 0),)) == {"new": ("a", ("plain",))}


def test_a_node_that_is_closed_anyway_gives_nobody_up() -> None:
    closed = node("a", taints=(Taint("k"),))
    assert ask([closed], [runs("a1", "a", 10), wants()]) == {}
    assert ask([node("a")], [runs("a1", "a", 10), wants(cpu=11)]) == {}


def test_what_is_leaving_makes_room_without_further_victims() -> None:
    items = [runs("going", "a", 10), runs("b1", "b", 10), wants()]
    assert ask([node("a"), node("b")], items, leaving=frozenset({"going"})) == {"new": ("a", ())}


def test_who_keeps_the_claimant_away_goes() -> None:
    db = frozenset({"db"})
    items = [runs("shy", "a", 1, apart=(Apart("zone", "db"),)), wants(cpu=1, groups=db)]
    assert ask([node("a")], items) == {"new": ("a", ("shy",))}


def test_its_own_friends_stay() -> None:
    friend = runs("friend", "a", 5, groups=frozenset({"db"}))
    near = (Near("zone", "db"),)
    assert ask([node("a")], [friend, runs("other", "a"), wants(near=near)]) == {"new": ("a", ("other",))}
    assert ask([node("a")], [replace(friend, requests=(10,)), wants(near=near)]) == {}


def test_the_room_of_one_large_victim_is_shared() -> None:
    nodes = [node("a"), node("b")]
    items = [runs("large", "a", 10, 5), runs("b1", "b", 5, 6), runs("b2", "b", 5, 6), wants("x"), wants("y")]
    found = ask(nodes, items)
    assert {name: where for name, (where, _) in found.items()} == {"x": "a", "y": "a"}
    assert sorted(victim for _, victims in found.values() for victim in victims) == ["large"]


def test_whom_the_batch_can_do_without_is_spared_in_the_end() -> None:
    """The small claimant came first in importance and took a small victim; the large one frees the whole node."""
    items = [runs("s", "a", 2, 1), runs("l", "a", 8, 1), wants("first", 2, HIGH + 1), wants("second", 8)]
    found = ask([node("a")], items)
    assert set(found) == {"first", "second"}
    assert sorted(victim for _, victims in found.values() for victim in victims) == ["l", "s"]
    roomy = [runs("s", "a", 2, 1), runs("l", "a", 8, 1), wants("first", 2, HIGH + 1), wants("second", 6)]
    assert sorted(victim for _, victims in ask([node("a")], roomy).values() for victim in victims) == ["l"]


def test_a_gang_preempts_whole_or_not_at_all() -> None:
    items = [runs("a1", "a", 10), wants("g1", 8, gang="g"), wants("g2", 8, gang="g")]
    assert ask([node("a")], items, gangs=(Gang("g", 2),)) == {}
    found = ask([node("a"), node("b")], [*items, runs("b1", "b", 10)], gangs=(Gang("g", 2),))
    assert set(found) == {"g1", "g2"}


def test_what_was_just_placed_is_in_the_way() -> None:
    items = [runs("a1", "a", 5), wants("there", 5, 1), wants("new", 5)]
    assert ask([node("a")], items, placed={1: "a"}) == {"new": ("a", ("a1",))}


def test_shares_of_cards_are_freed_on_one_card() -> None:
    machine = Node("a", (2000,), (("kubernetes.io/hostname", "a"),))
    items = [Item(f"s{k}", (600,), node="a") for k in range(2)] + [Item("new", (900,), priority=HIGH)]
    problem = Problem(("gpu",), (machine,), tuple(items), cards=(Cards("gpu", 1000),))
    (found,) = preempt(problem, [2], evictable={"s0": Victim(0.0), "s1": Victim(1.0)})
    assert len(found.victims) == 1


# -- any problem ------------------------------------------------------------------------------------------------------


def after(problem: Problem, found: Sequence[Nomination], gone: set[str]) -> list[str]:
    """The checker's complaints when the victims are gone and the nominated are seated in their order."""
    kept = [k for k, item in enumerate(problem.items) if item.name not in gone]
    position = {k: number for number, k in enumerate(kept)}
    smaller = replace(problem, items=tuple(problem.items[k] for k in kept))
    places: list[str | None] = [item.node for item in smaller.items]
    for one in found:
        places[position[one.item]] = one.node
    order = [position[one.item] for one in found]
    return [text for text in violations(smaller, places, order=order) if "gang" not in text]


FEATURES = ("constraints", "avoids", "apart", "near", "spread", "ports", "cards", "running", "tiers")


@given(problems(), st.data())
@examples(150)
def test_never_in_vain_never_more_than_needed_and_only_the_less_important(
    problem: Problem, data: st.DataObject
) -> None:
    assume(not any(item.gang for item in problem.items))
    problem = replace(problem, caps=(), headroom=())
    priorities = data.draw(st.lists(st.integers(0, 3), min_size=len(problem.items), max_size=len(problem.items)))
    items = tuple(replace(item, priority=p) for item, p in zip(problem.items, priorities, strict=True))
    problem = replace(problem, items=items)
    names = {node.name for node in problem.nodes}
    waiting = [k for k, item in enumerate(items) if item.node is None]
    evictable = {item.name: Victim(float(k % 3)) for k, item in enumerate(items) if item.node in names}
    already = set(after(problem, (), set()))
    found = preempt(problem, waiting, evictable=evictable)
    gone = {victim for one in found for victim in one.victims}
    assert set(after(problem, found, gone)) <= already
    position = {item.name: item for item in items}
    for one in found:
        assert all(position[victim].node == one.node for victim in one.victims)
        assert all(position[victim].priority < items[one.item].priority for victim in one.victims)
    for victim in gone:  # with any one of them back, somebody has no place
        assert set(after(problem, found, gone - {victim})) - already
    assert preempt(problem, waiting, evictable=evictable) == found
    backwards = replace(problem, nodes=problem.nodes[::-1])
    assert preempt(backwards, waiting[::-1], evictable=evictable) == found


sizes = st.integers(1, 6)


@given(
    st.lists(st.tuples(sizes, st.integers(0, 2), st.integers(0, 1)), min_size=1, max_size=6),
    st.integers(2, 9),
)
@examples(150)
def test_a_lone_claimant_costs_what_the_best_choice_costs(running: list[tuple[int, int, int]], cpu: int) -> None:
    """Against all subsets of all nodes: the highest victim is as low as can be."""
    nodes, room, items = [node("a"), node("b")], {"a": 10, "b": 10}, []
    for number, (size, priority, where) in enumerate(running):
        name = "ab"[where]
        if room[name] >= size:
            room[name] -= size
            items.append(runs(f"r{number}", name, size, priority))
    found = ask(nodes, [*items, wants(cpu=cpu)])
    best = min(
        (
            max((one.priority for one in some), default=-1)
            for name in "ab"
            for count in range(len(items) + 1)
            for some in combinations([one for one in items if one.node == name], count)
            if room[name] + sum(one.requests[0] for one in some) >= cpu
        ),
        default=None,
    )
    if best is None:
        assert found == {}
        return
    victims = found["new"][1]
    assert max((one.priority for one in items if one.name in victims), default=-1) == best


@pytest.mark.parametrize("priority", [0, -5])
def test_nobody_below_gives_nothing(priority: int) -> None:
    pinned = Constraints(selector=(("zone", "a"),))
    assert ask([node("a")], [runs("a1", "a", 10, priority), wants(priority=priority, constraints=pinned)]) == {}
