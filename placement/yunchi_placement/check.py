"""An independent checker: slow, plain, and sharing no code with the solver."""

from __future__ import annotations

from collections.abc import Sequence

from yunchi_placement.problem import Constraints, Item, Node, NodeTerm, Problem, Requirement, Taint, Toleration


def violations(problem: Problem, assignment: Sequence[str | None]) -> list[str]:
    """Say what is wrong with an assignment (node name by item index); an empty list means nothing is.

    Fixed items must be where they are. Only pending items are held to the rules; a node that its fixed items
    already overfill is only wrong if a pending item asks for the overfull resource.
    """
    if len(assignment) != len(problem.items):
        return [f"{len(assignment)} answers for {len(problem.items)} items"]
    wrong: list[str] = []
    nodes = {node.name: node for node in problem.nodes}
    guests: dict[str, list[Item]] = {}
    for item, name in zip(problem.items, assignment, strict=True):
        if item.node is not None and name != (item.node if item.node in nodes else None):
            wrong.append(f"{item.name} is fixed to {item.node} and answered with {name}")
        if name is None:
            continue
        if name not in nodes:
            wrong.append(f"{item.name} is on {name}, which is no node")
            continue
        guests.setdefault(name, []).append(item)
        if item.node is None:
            wrong += [f"{item.name} on {name}: {text}" for text in _refusals(item.constraints, nodes[name])]
    for name, items in guests.items():
        wrong += _overfull(problem.resources, nodes[name], items)
        wrong += _quarrels(name, items)
    return wrong


def value(problem: Problem, assignment: Sequence[str | None]) -> tuple[int, int]:
    """Cost and number of the nodes in use by items that keep a node."""
    used = {name for item, name in zip(problem.items, assignment, strict=True) if name is not None and item.keeps_node}
    return sum(node.cost for node in problem.nodes if node.name in used), len(used)


def _refusals(constraints: Constraints, node: Node) -> list[str]:
    wrong = []
    labels = dict(node.labels)
    if node.unschedulable and not any(
        _tolerates(one, Taint("node.kubernetes.io/unschedulable", "", "NoSchedule")) for one in constraints.tolerations
    ):
        wrong.append("the node is cordoned")
    for taint in node.taints:
        if taint.effect == "PreferNoSchedule":
            continue
        if not any(_tolerates(one, taint) for one in constraints.tolerations):
            wrong.append(f"taint {taint.key} is not tolerated")
    for key, wanted in constraints.selector:
        if labels.get(key) != wanted:
            wrong.append(f"selector {key}={wanted} does not match")
    if constraints.required is not None and not any(_matches(term, node) for term in constraints.required):
        wrong.append("no required term matches")
    return wrong


def _tolerates(toleration: Toleration, taint: Taint) -> bool:
    if toleration.effect not in (None, "", taint.effect):
        return False
    if toleration.key in (None, ""):
        return toleration.operator == "Exists" or toleration.value == taint.value
    if toleration.key != taint.key:
        return False
    return toleration.operator == "Exists" or toleration.value == taint.value


def _matches(term: NodeTerm, node: Node) -> bool:
    if not term.labels and not term.fields:
        return False
    labels = dict(node.labels)
    return all(_holds(one, labels.get(one.key)) for one in term.labels) and all(
        _holds(one, node.name) for one in term.fields
    )


def _holds(requirement: Requirement, have: str | None) -> bool:
    answers = {
        "In": have in requirement.values,
        "NotIn": have not in requirement.values,
        "Exists": have is not None,
        "DoesNotExist": have is None,
    }
    if requirement.operator in answers:
        return answers[requirement.operator]
    try:
        number, limit = int(have or "none"), int(requirement.values[0])
    except ValueError:
        return False
    return number > limit if requirement.operator == "Gt" else number < limit


def _overfull(resources: tuple[str, ...], node: Node, items: list[Item]) -> list[str]:
    wrong = []
    for index, resource in enumerate(resources):
        total = sum(item.requests[index] for item in items)
        asked = any(item.node is None and item.requests[index] for item in items)
        if asked and total > node.capacity[index]:
            wrong.append(f"{node.name}: {resource} holds {total} of {node.capacity[index]}")
    return wrong


def _quarrels(name: str, items: list[Item]) -> list[str]:
    wrong = []
    for first, one in enumerate(items):
        for other in items[first + 1 :]:
            if one.node is not None and other.node is not None:
                continue
            if one.avoids & other.groups or other.avoids & one.groups:
                wrong.append(f"{name}: {one.name} and {other.name} may not share a node")
    return wrong
