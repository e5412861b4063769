"""Why an item has no node, counted per rule over all nodes of the final state; and why a placed one has its node."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from yunchi_placement.canonical import ItemClass, canonicalise
from yunchi_placement.fixes import Verdicts, amount, smallest_change
from yunchi_placement.problem import Constraints, Problem
from yunchi_placement.rules import (
    Labels,
    Taints,
    affinity_mask,
    apart_mask,
    fits_mask,
    near_mask,
    schedulable_mask,
    spread_mask,
)
from yunchi_placement.rules.caps import exceeded
from yunchi_placement.solution import Reason, Unplaced
from yunchi_placement.state import State

Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
GONE = "the node it is bound to no longer exists; recreate the node, or delete the item"


def explain(state: State) -> tuple[Unplaced, ...]:
    """Explain each item left without a node, in the order of the problem."""
    instance = state.instance
    unplaced = [Unplaced(index, (Reason("gone", 1),), GONE) for index in instance.gone]
    waiting = state.unplaced()
    if waiting:
        labels, taints = instance.world.eligibility.labels, instance.world.eligibility.taints
        memo: dict[int, tuple[tuple[Reason, ...], str]] = {}
        for item in waiting:
            number = int(instance.class_of[item])
            if number not in memo:
                kind, constraints = instance.classes[number], instance.items[item].constraints
                verdicts = verdicts_of(state, labels, taints, kind, constraints)
                memo[number] = _reasons(verdicts), smallest_change(verdicts)
            unplaced.append(Unplaced(instance.item_index[item], *memo[number]))
    return tuple(sorted(unplaced, key=lambda entry: entry.item))


def verdicts_of(state: State, labels: Labels, taints: Taints, kind: ItemClass, constraints: Constraints) -> Verdicts:
    """What each rule says of each node for one more item of a class."""
    instance = state.instance
    nodes = instance.nodes
    count = len(nodes)
    masks = {
        "schedulable": schedulable_mask(nodes, constraints.tolerations),
        "tolerated": taints.tolerated_mask(constraints.tolerations),
        "matching": affinity_mask(labels, constraints),
        "ports": _by_host(state, kind, ports=True),
        "fitting": fits_mask(state.free, kind.request),
        "carded": np.ones(count, dtype=np.bool_),
        "spread": spread_mask(state.counts, instance.tallies, kind.ties, count),
        "near": near_mask(state.counts, instance.tallies, kind.ties, count),
        "apart": _by_host(state, kind, ports=False) & apart_mask(state.counts, instance.tallies, kind.ties, count),
        "capped": np.ones(count, dtype=np.bool_),
        "together": np.ones(count, dtype=np.bool_),
    }
    for table, asked in kind.cards:
        masks["carded"] &= state.cards[table].fits_mask(asked)
    for cap in kind.caps:
        if exceeded(state.caps_left[cap], kind.request):
            masks["capped"] &= ~instance.caps[cap].inside
    if kind.gang >= 0 and state.gang_needs[kind.gang] > 0:
        masks["together"][:] = False
    return Verdicts(state=state, labels=labels, taints=taints, kind=kind, constraints=constraints, masks=masks)


def _by_host(state: State, kind: ItemClass, *, ports: bool) -> Mask:
    """Nodes without a conflict by host: over ports, or over anything else."""
    apart = np.ones(len(state.instance.nodes), dtype=np.bool_)
    chosen = [
        tuple(group for group in listed if (group in state.instance.world.relations.port_ids()) == ports)
        for listed in (kind.groups, kind.avoids)
    ]
    state.conflicts.strike(apart, *chosen)
    return apart


RULES = {
    "schedulable": "unschedulable",
    "matching": "node-affinity",
    "ports": "host-ports",
    "spread": "topology-spread",
    "near": "pod-affinity",
    "apart": "anti-affinity",
}


def _reasons(verdicts: Verdicts) -> tuple[Reason, ...]:
    """Each node counts once, under the first rule that fails it, in kube-scheduler's order of filters."""
    counts: dict[str, int] = {}
    instance = verdicts.state.instance
    left = np.ones(len(instance.nodes), dtype=np.bool_)
    for name, verdict in verdicts.masks.items():
        failing = np.flatnonzero(left & ~verdict)
        left = left & verdict
        if name in RULES and failing.size:
            counts[RULES[name]] = int(failing.size)
            continue
        if failing.size:
            for rule, number in _DETAILS[name](verdicts, failing):
                counts[rule] = counts.get(rule, 0) + number
    return tuple(Reason(rule, number) for rule, number in counts.items())


def _by_taint(verdicts: Verdicts, failing: Ints) -> list[tuple[str, int]]:
    found = verdicts.taints.first_untolerated(verdicts.constraints.tolerations, failing)
    return [(f"taint:{taint.key}", number) for taint, number in found]


def _by_resource(verdicts: Verdicts, failing: Ints) -> list[tuple[str, int]]:
    state, request = verdicts.state, verdicts.kind.request
    first = ((request > state.free[failing]) & (request > 0)).argmax(axis=1)
    names, numbers = np.unique(first, return_counts=True)
    resources = state.instance.resources
    return [(f"resources:{resources[name]}", int(n)) for name, n in zip(names.tolist(), numbers, strict=True)]


def _by_card(verdicts: Verdicts, failing: Ints) -> list[tuple[str, int]]:
    state, found = verdicts.state, []
    for table, asked in verdicts.kind.cards:
        fits = state.cards[table].fits_mask(asked)[failing]
        found.append((f"cards:{state.instance.resources[state.cards[table].resource]}", int((~fits).sum())))
        failing = failing[fits]
    return found


def _by_cap(verdicts: Verdicts, failing: Ints) -> list[tuple[str, int]]:
    found: dict[str, int] = {}
    for node in failing.tolist():
        name = f"cap:{verdicts.state.instance.caps[verdicts.binding_cap(node)].name}"
        found[name] = found.get(name, 0) + 1
    return list(found.items())


def _by_gang(verdicts: Verdicts, failing: Ints) -> list[tuple[str, int]]:
    return [(f"gang:{verdicts.state.instance.world.gangs[verdicts.kind.gang]}", int(failing.size))]


_DETAILS: dict[str, Callable[[Verdicts, Ints], list[tuple[str, int]]]] = {
    "tolerated": _by_taint,
    "fitting": _by_resource,
    "carded": _by_card,
    "capped": _by_cap,
    "together": _by_gang,
}
"""Rules that say which taint, resource, cap or gang refuses: names with numbers of nodes."""


def refusals(problem: Problem, index: int) -> dict[str, str | None]:
    """What each node says to one pending item beside what runs: the first rule that refuses it, or None.

    Args:
        problem: A validated problem; its other pending items are left away.
        index: Of the item.
    """
    alone = replace(problem, items=tuple(item for k, item in enumerate(problem.items) if item.node or k == index))
    state = State.empty(canonicalise(alone))
    instance = state.instance
    labels, taints = instance.world.eligibility.labels, instance.world.eligibility.taints
    verdicts = verdicts_of(state, labels, taints, instance.classes[0], instance.items[0].constraints)
    found: dict[str, str | None] = {}
    for position, node in enumerate(instance.nodes):
        name = next((name for name, mask in verdicts.masks.items() if not mask[position]), None)
        here = np.array([position])
        found[node.name] = name and (RULES.get(name) or _DETAILS[name](verdicts, here)[0][0])
    return found


def why_here(state: State, item: int) -> str:
    """Why a placed item has its node, in one sentence.

    Args:
        state: A finished placement.
        item: Position of a placed item in `Instance.items`.
    """
    instance, kind = state.instance, state.class_at(item)
    node = int(state.node_of[item])
    open_to = int(kind.allowed.sum())
    others = int((kind.allowed & state.used).sum()) - 1
    fullest = _fullest(state, node)
    where = f"{open_to} node{'s' if open_to != 1 else ''} may take it, {max(others, 0)} others of them in use"
    if state.keepers[node] == 1 and kind.keeps_node and not instance.in_use[node]:
        return f"opened for it: {where}, and none of those had room"
    return f"{where}; {instance.nodes[node].name} is now {fullest}"


def _fullest(state: State, node: int) -> str:
    """How full a node is, in its scarcest resource."""
    capacity = np.maximum(state.instance.capacity[node], 1)
    share = np.where(state.instance.capacity[node] > 0, 1.0 - state.free[node] / capacity, 0.0)
    resource = int(share.argmax()) if share.size else 0
    name = state.instance.resources[resource]
    return f"{share[resource]:.0%} full in {name} ({amount(name, int(state.free[node, resource]))} free)"
