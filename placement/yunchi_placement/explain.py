"""Why an item has no node, counted per rule over all nodes of the final state."""

from __future__ import annotations

import numpy as np

from yunchi_placement.canonical import ItemClass
from yunchi_placement.fixes import Verdicts, smallest_change
from yunchi_placement.problem import Constraints
from yunchi_placement.rules import Labels, Taints, affinity_mask, fits_mask, schedulable_mask
from yunchi_placement.solution import Reason, Unplaced
from yunchi_placement.state import State

GONE = "the node it is bound to no longer exists; recreate the node, or delete the item"


def explain(state: State) -> tuple[Unplaced, ...]:
    """Explain each item left without a node, in the order of the problem."""
    instance = state.instance
    unplaced = [Unplaced(index, (Reason("gone", 1),), GONE) for index in instance.gone]
    waiting = state.unplaced()
    if waiting:
        labels, taints = Labels(instance.nodes), Taints(instance.nodes)
        memo: dict[int, tuple[tuple[Reason, ...], str]] = {}
        for item in waiting:
            number = int(instance.class_of[item])
            if number not in memo:
                kind, constraints = instance.classes[number], instance.items[item].constraints
                verdicts = _verdicts(state, labels, taints, kind, constraints)
                memo[number] = _reasons(verdicts), smallest_change(verdicts)
            unplaced.append(Unplaced(instance.item_index[item], *memo[number]))
    return tuple(sorted(unplaced, key=lambda entry: entry.item))


def _verdicts(state: State, labels: Labels, taints: Taints, kind: ItemClass, constraints: Constraints) -> Verdicts:
    nodes = state.instance.nodes
    apart = np.ones(len(nodes), dtype=np.bool_)
    state.conflicts.strike(apart, kind.groups, kind.avoids)
    return Verdicts(
        state=state,
        labels=labels,
        taints=taints,
        kind=kind,
        constraints=constraints,
        schedulable=schedulable_mask(nodes, constraints.tolerations),
        tolerated=taints.tolerated_mask(constraints.tolerations),
        matching=affinity_mask(labels, constraints),
        fitting=fits_mask(state.free, kind.request),
        apart=apart,
    )


def _reasons(verdicts: Verdicts) -> tuple[Reason, ...]:
    """Each node counts once, under the first rule that fails it, in kube-scheduler's order of filters."""
    counts: dict[str, int] = {}

    def note(rule: str, number: int = 1) -> None:
        if number:
            counts[rule] = counts.get(rule, 0) + number

    left = verdicts.schedulable
    note("unschedulable", int((~left).sum()))
    for position in np.flatnonzero(left & ~verdicts.tolerated).tolist():
        taint = verdicts.taints.untolerated(verdicts.constraints.tolerations, position)[0]
        note(f"taint:{taint.key}")
    left = left & verdicts.tolerated
    note("node-affinity", int((left & ~verdicts.matching).sum()))
    left = left & verdicts.matching
    for position in np.flatnonzero(left & ~verdicts.fitting).tolist():
        lacking = verdicts.lacking(position)
        note(f"resources:{verdicts.state.instance.resources[int(np.argmax(lacking > 0))]}")
    note("anti-affinity", int((left & verdicts.fitting & ~verdicts.apart).sum()))
    return tuple(Reason(rule, number) for rule, number in counts.items())
