"""The smallest single change that would place an item, in plain English."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from yunchi_placement.canonical import ItemClass
from yunchi_placement.problem import Constraints, Requirement
from yunchi_placement.rules import Labels, Taints
from yunchi_placement.state import State

Mask = npt.NDArray[np.bool_]
BYTES = ("memory", "ephemeral-storage")


@dataclass(frozen=True, slots=True, eq=False)
class Verdicts:
    """What each rule says of each node, for one class of items in one state."""

    state: State
    labels: Labels
    taints: Taints
    kind: ItemClass
    constraints: Constraints
    schedulable: Mask
    tolerated: Mask
    matching: Mask
    fitting: Mask
    apart: Mask

    def lacking(self, node: int) -> npt.NDArray[np.int64]:
        """What the node lacks for the request, by resource."""
        short = np.maximum(self.kind.request - self.state.free[node], 0)
        return np.where(self.kind.request > 0, short, 0)

    def all_but(self, name: str) -> npt.NDArray[np.int64]:
        """Nodes that fail this rule alone."""
        mask = np.ones(len(self.schedulable), dtype=np.bool_)
        rules = {
            "schedulable": self.schedulable,
            "tolerated": self.tolerated,
            "matching": self.matching,
            "fitting": self.fitting,
            "apart": self.apart,
        }
        for rule, verdict in rules.items():
            mask &= ~verdict if rule == name else verdict
        return np.flatnonzero(mask)


def smallest_change(verdicts: Verdicts) -> str:
    """The change, or what stands in the way when no single one would do."""
    if not verdicts.schedulable.size:
        return "there are no nodes; add one"
    for attempt in (_nowhere, _uncordon, _tolerate, _separate, _room, _labels):
        text = attempt(verdicts)
        if text:
            return text
    return _several(verdicts)


def _nowhere(verdicts: Verdicts) -> str:
    if verdicts.matching.any():
        return ""
    for requirement, field in _requirements(verdicts.constraints):
        if not verdicts.labels.holds(requirement, field=field).any():
            what = "node has" if field else "node has label"
            if not field and "/arch" in requirement.key:
                what = "node has architecture label"
            return f"no {what} {describe(requirement)}"
    return "no node meets the whole selector and node affinity at once; relax one requirement"


def _uncordon(verdicts: Verdicts) -> str:
    found = verdicts.all_but("schedulable")
    return f"uncordon node {verdicts.state.instance.nodes[found[0]].name}" if found.size else ""


def _tolerate(verdicts: Verdicts) -> str:
    counts: dict[str, int] = {}
    for position in verdicts.all_but("tolerated").tolist():
        missing = verdicts.taints.untolerated(verdicts.constraints.tolerations, position)
        text = " and ".join(f"{taint.key}={taint.value}:{taint.effect}" for taint in missing)
        counts[text] = counts.get(text, 0) + 1
    if not counts:
        return ""
    text = min(counts, key=lambda name: (name.count(" and "), -counts[name], name))
    return f"tolerate taint {text} ({_nodes(counts[text])} would fit)"


def _separate(verdicts: Verdicts) -> str:
    count = verdicts.all_but("apart").size
    return f"drop the anti-affinity by host ({_nodes(count)} would fit), or add a node" if count else ""


def _room(verdicts: Verdicts) -> str:
    """The node that lacks the smallest share of its capacity, in the fewest resources."""
    usable = verdicts.all_but("fitting")
    if not usable.size:
        return ""
    instance = verdicts.state.instance
    lack = np.array([verdicts.lacking(int(node)) for node in usable])
    share = (lack / np.maximum(instance.capacity[usable], 1)).sum(axis=1)
    best = int(np.lexsort((usable, share, (lack > 0).sum(axis=1)))[0])
    parts = [
        f"{amount(resource, int(lack[best, index]))} more {resource}"
        for index, resource in enumerate(instance.resources)
        if lack[best, index]
    ]
    return f"needs {' and '.join(parts)} on node {instance.nodes[usable[best]].name}"


def _labels(verdicts: Verdicts) -> str:
    count = verdicts.all_but("matching").size
    if not count:
        return ""
    wanted = ", ".join(describe(requirement) for requirement, _ in _requirements(verdicts.constraints))
    return f"relax the selector or node affinity {wanted} ({_nodes(count)} would fit without it)"


def _several(verdicts: Verdicts) -> str:
    blocking = [
        name
        for name, verdict in (
            ("cordons", verdicts.schedulable),
            ("taints", verdicts.tolerated),
            ("node affinity", verdicts.matching),
            ("free room", verdicts.fitting),
            ("anti-affinity", verdicts.apart),
        )
        if not verdict.all()
    ]
    return f"no single change is enough ({', '.join(blocking)} all stand in the way); add a node that fits it"


def _requirements(constraints: Constraints) -> list[tuple[Requirement, bool]]:
    listed = [(Requirement(key, "In", (value,)), False) for key, value in constraints.selector]
    for term in constraints.required or ():
        listed += [(requirement, False) for requirement in term.labels]
        listed += [(requirement, True) for requirement in term.fields]
    return listed


def describe(requirement: Requirement) -> str:
    """A requirement as people write it: `key in (a, b)`."""
    values = ", ".join(requirement.values)
    match requirement.operator:
        case "In":
            return f"{requirement.key} in ({values})"
        case "NotIn":
            return f"{requirement.key} not in ({values})"
        case "Exists":
            return f"{requirement.key}"
        case "DoesNotExist":
            return f"without {requirement.key}"
        case operator:
            return f"{requirement.key} {'>' if operator == 'Gt' else '<'} {values}"


def amount(resource: str, number: int) -> str:
    """An amount with its unit, rounded up so that granting it is enough."""
    if resource == "cpu":
        return f"{number}m"
    if resource in BYTES or resource.startswith("hugepages-"):
        return f"{-(-number // (1 << 20))}Mi"
    return str(number)


def _nodes(count: int) -> str:
    return f"{count} node{'' if count == 1 else 's'}"
