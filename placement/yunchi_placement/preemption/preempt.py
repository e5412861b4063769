"""Preemption for a batch: greedy by importance, with reprieve, and a last pass that spares whom all can do without.

For each claimant the nodes are tried as kube-scheduler tries them: all that is less important leaves, and whoever can
stay is put back, those first whose eviction would break a budget. What differs: the room that victims leave is there
for the next claimant, the large come first, and in the end every victim is put back once more if the whole batch
still fits. One world is changed in place and changed back, so a trial costs what it touches.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from yunchi_placement.preemption.answer import Nomination, Victim
from yunchi_placement.preemption.board import Board
from yunchi_placement.preemption.trial import Choice, best_choice
from yunchi_placement.problem import Item, Problem

TRIALS = 4000
"""Nodes tried for a batch, shared evenly, within these limits for each claimant."""
FEWEST, MOST = 20, 200


def preempt(
    problem: Problem,
    waiting: Sequence[int],
    *,
    evictable: Mapping[str, Victim],
    leaving: frozenset[str] = frozenset(),
    placed: Mapping[int, str] | None = None,
) -> tuple[Nomination, ...]:
    """Find whom to evict so that waiting items of higher priority fit.

    Args:
        problem: A validated problem.
        waiting: Positions in `problem.items` of the pending items that found no node and may have others evicted.
        evictable: By name, the running items that may be evicted, by items of higher priority.
        leaving: Names of running items that are on their way out: their room counts as free.
        placed: Pending items that have their place already, and where: they are in the way, too.

    Returns:
        A nomination for each item that can be helped, in an order in which each meets all rules when its turn comes,
        once all victims, and what is leaving, are gone. Nobody is evicted in vain, or who could have stayed.
    """
    placed = placed or {}
    items = list(problem.items)
    for k, node in placed.items():
        items[k] = replace(items[k], node=node)
    running = [item for item in items if item.node is not None and item.name not in leaving]
    most = [max((node.capacity[r] for node in problem.nodes), default=1) or 1 for r in range(len(problem.resources))]
    claimants = sorted(waiting, key=lambda k: _importance(most, items[k]))
    board = Board(problem, running, [items[k] for k in claimants], evictable)
    trials = min(MOST, max(FEWEST, TRIALS // max(1, len(claimants))))
    chosen: list[Choice] = []
    for unit in _units(claimants, items):
        chosen += _serve(board, [items[k] for k in unit], trials)
    chosen = _spare(board, chosen)
    position = {item.name: k for k, item in enumerate(problem.items)}
    return tuple(board.nomination(choice, position[choice.item.name]) for choice in chosen)


def _importance(most: Sequence[int], item: Item) -> tuple[object, ...]:
    """The important first, then the large, as a share of the largest node: small ones fit into what those leave."""
    size = max((amount / cap for amount, cap in zip(item.requests, most, strict=True)), default=0.0)
    return (-item.priority, -size, item.name)


def _units(claimants: Sequence[int], items: Sequence[Item]) -> list[list[int]]:
    """Claimants one by one, the members of a gang together at the place of its first."""
    units: dict[object, list[int]] = {}
    for k in claimants:
        units.setdefault(items[k].gang or k, []).append(k)
    return list(units.values())


def _serve(board: Board, members: Sequence[Item], trials: int) -> list[Choice]:
    """Room for one claimant, or for as many of a gang as it needs at least; else nothing has changed."""
    found: list[Choice] = []
    for item in members:
        choice = best_choice(board, item, trials)
        if choice is not None:
            board.seat(choice)
            found.append(choice)
    if members[0].gang and len(found) < board.still_needed(members[0].gang):
        for choice in reversed(found):
            board.unseat(choice)
        return []
    return found


def _spare(board: Board, chosen: list[Choice]) -> list[Choice]:
    """Put back every victim that the batch can do without, the most important first."""
    for name in board.by_importance(victim for choice in chosen for victim in choice.victims):
        home = board.items[name].node
        # Only their own node's claimants can mind, unless some look further than their node.
        near = [board.is_local(choice.item) and choice.node != home for choice in chosen]
        seated = [choice for choice, aside in zip(chosen, near, strict=True) if not aside]
        without = [
            replace(choice, victims=tuple(victim for victim in choice.victims if victim != name)) for choice in seated
        ]
        if board.replay(seated, without):
            fresh = iter(without)
            chosen = [choice if aside else next(fresh) for choice, aside in zip(chosen, near, strict=True)]
    return chosen
