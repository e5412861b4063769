"""Sessions: arrivals and departures on a state that is kept."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from yunchi_placement import (
    Apart,
    Cap,
    Cards,
    Constraints,
    Gang,
    HostPort,
    InvalidProblem,
    Item,
    Near,
    Node,
    Problem,
    Spread,
)
from yunchi_placement.check import violations
from yunchi_placement.session import Session

RESOURCES = ("cpu", "gpu")
GROUPS = ("a", "b", "c")


def world(nodes: int = 8) -> Problem:
    machines = tuple(
        Node(
            f"n{k}",
            (16, 2000 if k % 2 else 0),
            (("kubernetes.io/hostname", f"n{k}"), ("zone", f"z{k % 3}")),
            cost=(1 + k % 3) * 1_000_000,
            pool="p" if k < 4 else "",
        )
        for k in range(nodes)
    )
    caps = (Cap("team", (20, None), group="a"), Cap("pool", (40, None), pool="p"))
    gangs = (Gang("g0", 3), Gang("g1", 2))
    return Problem(RESOURCES, machines, (), gangs=gangs, caps=caps, cards=(Cards("gpu", 1000),))


def draw(rng: np.random.Generator, name: str) -> Item:
    """An item with a random rule, so that later arrivals meet rules that nobody had before."""
    group = str(rng.choice(GROUPS))
    item = Item(name, (int(rng.integers(1, 5)), 0), groups=frozenset({group}))
    other, port = str(rng.choice(GROUPS)), int(rng.integers(80, 82))
    changes: list[dict[str, object]] = [
        {"avoids": frozenset({group})},
        {"apart": (Apart("zone", other),)},
        {"near": (Near("zone", other),)},
        {"spread": (Spread("zone", group, max_skew=1 + int(rng.integers(0, 2))),)},
        {"ports": frozenset({HostPort(port)})},
        {"requests": (1, int(rng.choice([300, 600, 1000, 2000])))},
        {"gang": str(rng.choice(["g0", "g1"]))},
        {},
        {},
    ]
    return replace(item, **changes[int(rng.integers(0, len(changes)))])


def check(problem: Problem, session: Session, arrived: dict[str, Item], order: list[str]) -> None:
    """All that is placed, one by one in the order of arrival, must meet every rule at its time."""
    placed = session.assignment
    items = tuple(arrived[name] for name in order)
    answer = [placed[name] for name in order]
    found = violations(problem_of(problem, items), answer, order=[k for k, node in enumerate(answer) if node])
    assert [text for text in found if "gang" not in text] == []


def problem_of(problem: Problem, items: tuple[Item, ...]) -> Problem:
    return replace(problem, items=items)


@pytest.mark.parametrize("seed", range(4))
def test_arrivals_meet_all_rules_and_departures_give_back_what_was_taken(seed: int) -> None:
    rng = np.random.default_rng(seed)
    problem = world()
    session = Session(problem)
    arrived: dict[str, Item] = {}
    order: list[str] = []
    for step in range(12):
        # One at a time: then the order of arrival is the order of placing.
        item = draw(rng, f"i{step:02d}")
        session.place([item])
        arrived[item.name] = item
        order.append(item.name)
        check(problem, session, arrived, order)
    session.remove(order)
    assert (session.cost, session.nodes_used, session.assignment) == (0, 0, {})
    fresh = Session(problem)
    batch = [draw(np.random.default_rng(seed + 100), f"x{k}") for k in range(6)]
    assert session.place(batch) == fresh.place(batch)


def test_running_items_are_counted_for_rules_that_arrive_later() -> None:
    problem = world()
    session = Session(problem)
    session.place([Item("web", (1, 0), groups=frozenset({"a"}))])
    home = session.assignment["web"]
    late = Item("late", (1, 0), apart=(Apart("zone", "a"),))
    session.place([late])
    zones = {node.name: dict(node.labels)["zone"] for node in problem.nodes}
    assert zones[session.assignment["late"] or ""] != zones[home or ""]
    session.place([Item("beside", (1, 0), near=(Near("kubernetes.io/hostname", "a"),))])
    assert session.assignment["beside"] == home


def test_a_gang_arrives_whole_or_waits() -> None:
    session = Session(world(nodes=2))
    items = [Item(f"m{k}", (12, 0), gang="g0") for k in range(3)]
    answer = session.place(items)
    assert answer.placed == ()
    assert {reason.rule for _, reasons, _ in answer.unplaced for reason in reasons} & {"gang:g0", "resources:cpu"}
    assert session.nodes_used == 0


def test_bad_arrivals_are_refused_and_leave_no_trace() -> None:
    session = Session(world())
    session.place([Item("one", (1, 0))])
    with pytest.raises(InvalidProblem, match="item one: the session has an item of that name"):
        session.place([Item("one", (1, 0))])
    with pytest.raises(InvalidProblem, match="item two: node is set"):
        session.place([Item("two", (1, 0), node="n1")])
    with pytest.raises(InvalidProblem, match="item three"):
        session.place([Item("three", (-1, 0))])
    session.remove(["nobody"])
    assert list(session.assignment) == ["one"]


def test_resolve_packs_only_changed_cells_and_moves_only_its_own() -> None:
    nodes = tuple(Node(f"{zone}{k}", (10, 0), (("zone", zone),)) for zone in ("a", "b") for k in range(4))
    running = Item("old", (1, 0), node="a3")
    problem = Problem(RESOURCES, nodes, (running,))
    session = Session(problem)

    def pin(zone: str) -> Constraints:
        return Constraints(selector=(("zone", zone),))

    session.place([Item(f"b{k}", (6, 0), pin("b")) for k in range(2)])
    session.place([Item(f"a{k}", (6, 0), pin("a")) for k in range(3)])
    first = session.resolve()
    assert first.cells == 2
    session.remove(["a0"])
    again = session.resolve()
    assert (again.cells, again.kept) == (1, 1)
    assert session.assignment["old"] == "a3"
    before = session.cost
    assert session.resolve().moves == ()
    assert session.cost == before


def test_the_plan_sends_a_flexible_item_where_room_is_worth_less() -> None:
    # Zone b is nearly full and its nodes dear: room there is worth more.
    nodes = tuple(Node(f"a{k}", (10, 0), (("zone", "a"),), cost=1_000_000) for k in range(4)) + tuple(
        Node(f"b{k}", (10, 0), (("zone", "b"),), cost=9_000_000) for k in range(2)
    )

    def items(zone: str, count: int) -> list[Item]:
        chosen = Constraints(selector=(("zone", zone),))
        return [Item(f"{zone}-{k}", (3, 0), chosen, node=f"{zone}{k % 2}") for k in range(count)]

    problem = Problem(RESOURCES, nodes, (*items("a", 4), *items("b", 4)))
    session = Session(problem)
    session.plan()
    session.place([Item("free", (1, 0))])
    assert (session.assignment["free"] or "").startswith("a")
