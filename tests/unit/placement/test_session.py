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


def twin(problem: Problem, session: Session) -> Session:
    """A session made anew from what the first one holds."""
    return Session(replace(problem, items=tuple(session._running.values())))


@pytest.mark.parametrize("seed", range(12))
def test_after_any_calls_a_session_answers_like_one_made_anew(seed: int) -> None:
    rng = np.random.default_rng(seed)
    problem = world()
    session = Session(problem)
    names = [node.name for node in problem.nodes]
    for step in range(30):
        item = draw(rng, f"i{step:02d}")
        known = sorted(name for name, node in session.assignment.items() if node)
        match int(rng.integers(0, 6)):
            case 0 if known:
                session.remove(known[: int(rng.integers(1, 3))])
            case 1:
                session.observe([replace(item, node=str(rng.choice(names)))])
            case 2 if known:
                old = session._running[str(rng.choice(known))]
                session.observe([replace(old, groups=old.groups ^ {str(rng.choice(GROUPS))}, cards=())])
            case 3 if step % 3 == 0:
                nodes = tuple(node for node in problem.nodes if rng.random() < 0.9)
                problem = replace(problem, nodes=nodes, caps=())
                session = Session(replace(problem, items=tuple(session._running.values())))
            case 4 if step % 4 == 0:
                shifted = tuple(
                    replace(node, labels=(*node.labels[:1], ("zone", f"z{step % 2}"))) for node in problem.nodes
                )
                problem = replace(problem, nodes=shifted)
                session.renew(nodes=shifted)
            case _:
                session.place([item], effort=str(rng.choice(["fast", "balanced"])))  # type: ignore[arg-type]
                session.remove([name for name, node in session.assignment.items() if node is None])
        fresh = twin(problem, session)
        assert (session.cost, session.nodes_used) == (fresh.cost, fresh.nodes_used)
        for node in problem.nodes:
            pin = Constraints(selector=(("kubernetes.io/hostname", node.name),))
            probe = replace(draw(rng, f"probe{step}"), constraints=pin, spread=())
            ours, theirs = session.place([probe]), fresh.place([probe])
            assert ours.placed == theirs.placed
            session.remove([probe.name])
            fresh.remove([probe.name])


def test_observed_changes_keep_the_cards_that_are_held() -> None:
    problem = Problem(RESOURCES, (Node("n", (16, 2000)),), (), cards=(Cards("gpu", 1000),))
    session = Session(problem)
    session.place([Item(f"s{k}", (1, 600)) for k in range(2)])
    held = session._running["s0"].cards
    session.observe([Item("s0", (1, 600), node="n", groups=frozenset({"a"}))])
    assert session._running["s0"].cards == held
    session.observe([Item("ghost", (1, 600), node="nowhere")])
    assert session.place([Item("late", (1, 500))]).placed == ()
    session.remove(["s1"])
    assert session.place([Item("whole", (1, 1000))]).placed == (("whole", "n"),)


def test_a_batch_with_more_effort_costs_no_more_and_has_a_bound() -> None:
    machines = tuple(Node(f"n{k:02d}", (10, 0), cost=(1 + k % 2) * 1_000_000) for k in range(40))
    batch = [Item(f"i{k:03d}", (int(size), 0)) for k, size in enumerate([6, 4, 7, 3, 5, 5, 2, 8] * 10)]
    quick, slow = (Session(Problem(RESOURCES, machines, ())) for _ in range(2))
    first, second = quick.place(batch), slow.place(batch, effort="balanced")
    assert first.bound is None
    assert second.bound is not None
    assert second.bound.cost <= slow.cost <= quick.cost
    assert len(second.placed) == len(batch)


def test_gangs_may_come_later() -> None:
    session = Session(world(nodes=2))
    session.place([Item("one", (12, 0))])
    session.renew(gangs=[Gang("late", 2)])
    assert session.place([Item(f"m{k}", (12, 0), gang="late") for k in range(2)]).placed == ()
    session.remove(["m0", "m1", "one"])
    assert len(session.place([Item(f"m{k}", (12, 0), gang="late") for k in range(2)]).placed) == 2
