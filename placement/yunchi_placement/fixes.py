"""The smallest single change that would place an item, in plain English."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from yunchi_placement.canonical import ItemClass
from yunchi_placement.problem import Constraints, Requirement
from yunchi_placement.rules import Labels, Taints
from yunchi_placement.rules.caps import exceeded
from yunchi_placement.state import State

Mask = npt.NDArray[np.bool_]
BYTES = ("memory", "ephemeral-storage")


@dataclass(frozen=True, slots=True, eq=False)
class Verdicts:
    """What each rule says of each node, for one class of items in one state; `masks` in the order of filters."""

    state: State
    labels: Labels
    taints: Taints
    kind: ItemClass
    constraints: Constraints
    masks: dict[str, Mask]

    def lacking(self, node: int) -> npt.NDArray[np.int64]:
        """What the node lacks for the request, by resource."""
        short = np.maximum(self.kind.request - self.state.free[node], 0)
        return np.where(self.kind.request > 0, short, 0)

    def all_but(self, name: str) -> npt.NDArray[np.int64]:
        """Nodes that fail this rule alone."""
        mask = ~self.masks[name]
        for rule, verdict in self.masks.items():
            if rule != name:
                mask = mask & verdict
        return np.flatnonzero(mask)

    def binding_cap(self, node: int) -> int:
        """The number of a cap that refuses the node."""
        caps, left = self.state.instance.caps, self.state.caps_left
        return next(c for c in self.kind.caps if caps[c].inside[node] and exceeded(left[c], self.kind.request))


def smallest_change(verdicts: Verdicts) -> str:
    """The change, or what stands in the way when no single one would do."""
    if not verdicts.state.instance.nodes:
        return "there are no nodes; add one"
    for attempt in ATTEMPTS:
        text = attempt(verdicts)
        if text:
            return text
    return _several(verdicts)


def _nowhere(verdicts: Verdicts) -> str:
    if verdicts.masks["matching"].any():
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
    return f"drop the anti-affinity ({_nodes(count)} would fit), or add a node" if count else ""


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


def _gang(verdicts: Verdicts) -> str:
    state, gang = verdicts.state, verdicts.kind.gang
    if verdicts.masks["together"].all():
        return ""
    short = int(state.gang_needs[gang])
    return (
        f"gang {state.instance.world.gangs[gang]} needs room for {short} items at once; add nodes, or lower its minimum"
    )


def _raise_cap(verdicts: Verdicts) -> str:
    found = verdicts.all_but("capped")
    if not found.size:
        return ""
    instance, number = verdicts.state.instance, verdicts.binding_cap(int(found[0]))
    lack = np.maximum(verdicts.kind.request - verdicts.state.caps_left[number], 0)
    parts = [
        f"{amount(resource, int(lack[index]))} more {resource}"
        for index, resource in enumerate(instance.resources)
        if lack[index] and verdicts.kind.request[index]
    ]
    return f"raise {instance.caps[number].name} by {' and '.join(parts)}"


def _free_port(verdicts: Verdicts) -> str:
    count = verdicts.all_but("ports").size
    return f"use another host port ({_nodes(count)} would fit), or add a node" if count else ""


def _card(verdicts: Verdicts) -> str:
    count = verdicts.all_but("carded").size
    if not count:
        return ""
    return f"{_nodes(count)} would fit, but the free card room is in pieces; ask for smaller shares, or free a card"


def _seek(verdicts: Verdicts) -> str:
    count = verdicts.all_but("near").size
    return f"place what its pod affinity seeks first, or drop it ({_nodes(count)} would fit)" if count else ""


def _even(verdicts: Verdicts) -> str:
    count = verdicts.all_but("spread").size
    return f"raise maxSkew, or make room in the emptiest domain ({_nodes(count)} would fit)" if count else ""


ATTEMPTS = (
    _nowhere,
    _gang,
    _uncordon,
    _tolerate,
    _raise_cap,
    _separate,
    _free_port,
    _room,
    _card,
    _seek,
    _even,
    _labels,
)


def _several(verdicts: Verdicts) -> str:
    names = {
        "schedulable": "cordons",
        "tolerated": "taints",
        "matching": "node affinity",
        "ports": "host ports",
        "fitting": "free room",
        "carded": "card room",
        "spread": "topology spread",
        "near": "pod affinity",
        "apart": "anti-affinity",
        "capped": "caps",
    }
    blocking = [name for rule, name in names.items() if not verdicts.masks[rule].all()]
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
