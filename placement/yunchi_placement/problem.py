"""What the engine is asked and what it answers: frozen values, integers only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Objective = Literal["cost", "nodes"]
Effort = Literal["fast", "balanced", "best"]

OPERATORS = frozenset({"In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"})
EFFECTS = frozenset({"NoSchedule", "NoExecute", "PreferNoSchedule"})
NAME_FIELD = "metadata.name"
LIMIT = 1 << 62
"""Sums of amounts stay below this, so that 64-bit arithmetic is exact."""


class InvalidProblem(ValueError):  # noqa: N818 - the name is what a caller reads in a log
    """The problem contradicts itself; the message names the object and the field."""


@dataclass(frozen=True, slots=True)
class Taint:
    """A node's refusal of items that do not tolerate it."""

    key: str
    value: str = ""
    effect: str = "NoSchedule"


@dataclass(frozen=True, slots=True)
class Toleration:
    """An item's tolerance; key None with Exists tolerates all, effect None means every effect."""

    key: str | None = None
    operator: Literal["Exists", "Equal"] = "Equal"
    value: str = ""
    effect: str | None = None


@dataclass(frozen=True, slots=True)
class Requirement:
    """One test of a label (or field); Gt and Lt take exactly one integer."""

    key: str
    operator: str
    values: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class NodeTerm:
    """Requirements that must all hold; an empty term matches no node."""

    labels: tuple[Requirement, ...] = ()
    fields: tuple[Requirement, ...] = ()


@dataclass(frozen=True, slots=True)
class Constraints:
    """Where an item may go. `required` None means anywhere; otherwise one of its terms must match."""

    selector: tuple[tuple[str, str], ...] = ()
    required: tuple[NodeTerm, ...] | None = None
    tolerations: tuple[Toleration, ...] = ()


@dataclass(frozen=True, slots=True)
class Node:
    """A node: capacity by `Problem.resources`, cost in micro-units (a cost of "1" is 1_000_000)."""

    name: str
    capacity: tuple[int, ...]
    labels: tuple[tuple[str, str], ...] = ()
    taints: tuple[Taint, ...] = ()
    unschedulable: bool = False
    cost: int = 1_000_000


@dataclass(frozen=True, slots=True)
class Item:
    """A thing to place, or (with `node` set) fixed usage of that node.

    Two items conflict on one host if either avoids a group of the other. An item with `keeps_node` False
    (of a DaemonSet, or a mirror pod) takes room but does not make its node count as used.
    """

    name: str
    requests: tuple[int, ...]
    constraints: Constraints = Constraints()
    node: str | None = None
    movable: bool = False
    keeps_node: bool = True
    priority: int = 0
    groups: frozenset[str] = frozenset()
    avoids: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Problem:
    """Nodes and items over the same ordered resources (millicores, bytes, counts)."""

    resources: tuple[str, ...]
    nodes: tuple[Node, ...]
    items: tuple[Item, ...]


@dataclass(frozen=True, slots=True)
class Reason:
    """How many nodes fail first at this rule."""

    rule: str
    nodes: int


@dataclass(frozen=True, slots=True)
class Unplaced:
    """An item without a node: its index, the counted reasons and the smallest change that would help."""

    item: int
    reasons: tuple[Reason, ...]
    fix: str


@dataclass(frozen=True, slots=True)
class Bound:
    """Proven: no placement of the same items uses fewer nodes, or costs less. `relaxes` says what was dropped."""

    nodes: int
    cost: int
    relaxes: str


@dataclass(frozen=True, slots=True)
class Stage:
    """The best placement after a stage: items placed of those asked for, nodes in use, cost in micro-units."""

    name: str
    placed: int
    nodes_used: int
    cost: int
    note: str = ""


@dataclass(frozen=True, slots=True)
class Progress:
    """Told to the caller while solving: the stage and how far the solve is (0..1)."""

    stage: str
    fraction: float
    placed: int = 0
    nodes_used: int = 0
    cost: int = 0


@dataclass(frozen=True, slots=True)
class Solution:
    """A placement by item index, with its value, its bound and the gap (value - bound) / bound of the objective."""

    assignment: tuple[str | None, ...]
    unplaced: tuple[Unplaced, ...]
    nodes_used: int
    cost: int
    bound: Bound
    gap: float
    stages: tuple[Stage, ...]


def validate(problem: Problem) -> None:
    """Check sizes, names, signs and operators.

    Raises:
        InvalidProblem: naming the object and the field at fault.
    """
    _distinct("resource", problem.resources)
    _distinct("node", [node.name for node in problem.nodes])
    _distinct("item", [item.name for item in problem.items])
    width = len(problem.resources)
    for node in problem.nodes:
        _vector(f"node {node.name}: capacity", node.capacity, width)
        if node.cost < 0:
            raise InvalidProblem(f"node {node.name}: cost {node.cost} is negative")
        for taint in node.taints:
            if taint.effect not in EFFECTS:
                raise InvalidProblem(f"node {node.name}: taint {taint.key}: unknown effect {taint.effect!r}")
    seen: set[Constraints] = set()
    for item in problem.items:
        _vector(f"item {item.name}: requests", item.requests, width)
        if item.constraints not in seen:
            seen.add(item.constraints)
            _constraints(item.name, item.constraints)
    _sums(problem)


def _distinct(what: str, names: tuple[str, ...] | list[str]) -> None:
    if len(set(names)) == len(names):
        return
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise InvalidProblem(f"{what} {name}: the name occurs more than once")
        seen.add(name)


def _vector(what: str, amounts: tuple[int, ...], width: int) -> None:
    if len(amounts) != width:
        raise InvalidProblem(f"{what} has {len(amounts)} amounts for {width} resources")
    for amount in amounts:
        if not isinstance(amount, int):
            raise InvalidProblem(f"{what} holds {amount!r}, which is not an integer")
        if amount < 0:
            raise InvalidProblem(f"{what} holds the negative amount {amount}")


def _sums(problem: Problem) -> None:
    rows = [node.capacity for node in problem.nodes]
    rows += [item.requests for item in problem.items]
    for resource, column in zip(problem.resources, zip(*rows, strict=True), strict=False):
        if sum(column) >= LIMIT:
            raise InvalidProblem(f"resource {resource}: amounts add up beyond 2^62; use a larger unit")
    if sum(node.cost for node in problem.nodes) >= LIMIT:
        raise InvalidProblem("node costs add up beyond 2^62 micro-units; use a larger unit")


def _constraints(name: str, constraints: Constraints) -> None:
    for toleration in constraints.tolerations:
        if toleration.operator not in ("Exists", "Equal"):
            raise InvalidProblem(f"item {name}: toleration: unknown operator {toleration.operator!r}")
    for term in constraints.required or ():
        for requirement in (*term.labels, *term.fields):
            _requirement(name, requirement)
        for field in term.fields:
            if field.key != NAME_FIELD:
                raise InvalidProblem(f"item {name}: node field {field.key!r} is unknown; only {NAME_FIELD} is")


def _requirement(name: str, requirement: Requirement) -> None:
    where = f"item {name}: requirement on {requirement.key}"
    if requirement.operator not in OPERATORS:
        raise InvalidProblem(f"{where}: unknown operator {requirement.operator!r}")
    if requirement.operator in ("Gt", "Lt"):
        if len(requirement.values) != 1 or as_int(requirement.values[0]) is None:
            raise InvalidProblem(f"{where}: {requirement.operator} needs exactly one integer")
    elif requirement.operator in ("In", "NotIn") and not requirement.values:
        raise InvalidProblem(f"{where}: {requirement.operator} needs at least one value")


def as_int(text: str) -> int | None:
    """Read a decimal 64-bit integer the way Kubernetes does; None if it is none."""
    digits = text[1:] if text[:1] in ("+", "-") else text
    if not (digits.isascii() and digits.isdigit()):
        return None
    value = int(text)
    return value if -(1 << 63) <= value < (1 << 63) else None
