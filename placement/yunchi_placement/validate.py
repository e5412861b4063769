"""Whether a problem is sound; every message names the object, the field and the remedy."""

from __future__ import annotations

from yunchi_placement.problem import (
    EFFECTS,
    LIMIT,
    NAME_FIELD,
    OPERATORS,
    Constraints,
    InvalidProblem,
    Problem,
    Requirement,
    as_int,
)


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
