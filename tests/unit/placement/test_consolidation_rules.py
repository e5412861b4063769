"""Rules between items hold while waves run, judged by the engine's independent checker."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from yunchi_placement import (
    Apart,
    Cap,
    Cards,
    Constraints,
    Gang,
    Headroom,
    HostPort,
    Item,
    Near,
    Node,
    Problem,
    Spread,
)
from yunchi_placement.check import Board
from yunchi_placement.check.books import Nearness
from yunchi_placement.check.cards import card_violations
from yunchi_placement.check.sites import sites_of
from yunchi_placement.consolidation import Consolidation, consolidate

QUIET = (HealthCheck.too_slow,)
HOST, ZONE = "kubernetes.io/hostname", "zone"
GROUPS = st.frozensets(st.sampled_from(["g", "h"]), max_size=2)
KEYS = st.sampled_from([HOST, ZONE])


def some(values: st.SearchStrategy[object]) -> st.SearchStrategy[tuple[object, ...]]:
    return st.one_of(st.just(()), st.just(()), values.map(lambda value: (value,)))


items = st.builds(
    Item,
    st.just(""),
    st.tuples(st.integers(0, 4), st.sampled_from([0, 0, 1, 2, 4, 8])),
    st.sampled_from([Constraints(), Constraints(((ZONE, "a"),))]),
    movable=st.sampled_from([True, True, True, False]),
    groups=GROUPS,
    avoids=st.one_of(st.just(frozenset()), st.just(frozenset()), GROUPS),
    near=some(st.builds(Near, KEYS, st.sampled_from(["g", "h"]))),
    apart=some(st.builds(Apart, KEYS, st.sampled_from(["g", "h"]))),
    spread=some(st.builds(Spread, KEYS, st.sampled_from(["g", "h"]), st.integers(1, 2))),
    ports=st.one_of(st.just(frozenset()), st.just(frozenset({HostPort(80)}))),
    gang=st.sampled_from(["", "", "", "team"]),
    budgets=st.just(frozenset()),
    move_cost=st.integers(1, 2),
)


@st.composite
def clusters(draw: st.DrawFn) -> Problem:
    """Running items that fit; the rules between them may be broken at the start, as time can do in a cluster."""
    nodes = tuple(
        Node(
            f"n{index}",
            (draw(st.integers(3, 12)), draw(st.sampled_from([0, 8]))),
            ((HOST, f"n{index}"), (ZONE, draw(st.sampled_from(["a", "b"])))),
            pool="pq"[index % 2],
        )
        for index in range(draw(st.integers(2, 6)))
    )
    free = {node.name: list(node.capacity) for node in nodes}
    everyone = []
    for index, item in enumerate(draw(st.lists(items, max_size=12))):
        node = draw(st.sampled_from([None, *free]))
        if node is not None and any(h < w for h, w in zip(free[node], item.requests, strict=True)):
            node = None
        if node is not None:
            free[node] = [have - want for have, want in zip(free[node], item.requests, strict=True)]
        everyone.append(replace(item, name=f"p{index}", node=node))
    return Problem(
        ("cpu", "gpu"),
        nodes,
        tuple(everyone),
        gangs=(Gang("team", 2),),
        caps=draw(st.sampled_from([(), (Cap("c", (6, None), group="g"),), (Cap("c", (8, 8), pool="p"),)])),
        headroom=draw(st.sampled_from([(), (Headroom("q", (3, 0)),)])),
        cards=(Cards("gpu", 4),),
    )


def objections(problem: Problem, where: dict[int, str], mover: int, target: str) -> list[str]:
    """What the checker has against the mover on its target, the others being where they are."""
    # What runs above a cap stays, and to move it changes nothing: the test of caps is `used_of_caps`.
    board = Board(replace(problem, caps=(), headroom=()))
    for index, name in where.items():
        if index != mover:
            board.put(index, name)
    return board.objections(mover, target)


def lonely(problem: Problem, where: dict[int, str], index: int) -> list[str]:
    """Whom an item must be near and is not."""
    sites = sites_of(problem)
    book = Nearness(problem)
    for other, name in where.items():
        if other != index:
            book.put(problem.items[other], sites[name])
    return book.objections(problem.items[index], sites[where[index]], may_start=False)


def used_of_caps(problem: Problem, where: dict[int, str]) -> list[tuple[int, ...]]:
    pool = {node.name: node.pool for node in problem.nodes}
    totals = []
    for cap in problem.caps:
        rows = [
            problem.items[index].requests
            for index, name in where.items()
            if cap.group in ("", *problem.items[index].groups) and cap.pool in ("", pool[name])
        ]
        totals.append(tuple(sum(column) for column in zip((0,) * len(cap.amounts), *rows, strict=True)))
    return totals


def check_waves(problem: Problem, plan: Consolidation) -> dict[int, str]:
    where = {index: item.node for index, item in enumerate(problem.items) if item.node is not None}
    for wave in plan.waves:
        after = where | {plan.moves[number].item: plan.moves[number].target for number in wave}
        for number in wave:
            move = plan.moves[number]
            assert not objections(problem, where, move.item, move.target), "before the wave"
            assert not objections(problem, after, move.item, move.target), "after the wave"
        where = after
    return where


@given(clusters())
@settings(max_examples=80, deadline=None, suppress_health_check=QUIET)
def test_every_moved_item_meets_all_rules_when_it_moves(problem: Problem) -> None:
    plan = consolidate(problem, objective="nodes")
    start = {index: item.node for index, item in enumerate(problem.items) if item.node is not None}
    end = check_waves(problem, plan)
    for index, node in plan.placements:
        end[index] = node
    for cap, now, then in zip(problem.caps, used_of_caps(problem, start), used_of_caps(problem, end), strict=True):
        for most, had, has in zip(cap.amounts, now, then, strict=True):
            assert most is None or has <= max(most, had)
    moved = {move.item for move in plan.moves}
    for index in start:
        if index not in moved and not lonely(problem, start, index):
            assert not lonely(problem, end, index), "its mates moved away"
    placed = [index for index, _ in plan.placements if problem.items[index].gang]
    there = [index for index in end if problem.items[index].gang]
    assert not placed or len(there) >= 2
    spots = [end.get(index) for index in range(len(problem.items))]
    start_spots = [start.get(index) for index in range(len(problem.items))]
    if not card_violations(problem, start_spots, None):
        assert not card_violations(problem, spots, None)
