"""One item and one node: constraints, taints and cordon, with nothing else in sight."""

from __future__ import annotations

import re
from dataclasses import dataclass

from yunchi_placement.problem import Constraints, Node, NodeTerm, Problem, Requirement, Taint, Toleration

CORDON = Taint("node.kubernetes.io/unschedulable", "", "NoSchedule")


@dataclass(frozen=True)
class Site:
    """A node with its labels as a dictionary."""

    node: Node
    labels: dict[str, str]

    @property
    def name(self) -> str:
        """The node's name."""
        return self.node.name


def sites_of(problem: Problem) -> dict[str, Site]:
    """The nodes by name."""
    return {node.name: Site(node, dict(node.labels)) for node in problem.nodes}


def refusals(constraints: Constraints, site: Site) -> list[str]:
    """Why the node itself does not take the item, whatever runs there."""
    wrong = []
    tolerations = constraints.tolerations
    if site.node.unschedulable and not any(tolerates(one, CORDON) for one in tolerations):
        wrong.append("the node is cordoned")
    wrong += [f"taint {taint.key} is not tolerated" for taint in untolerated(constraints, site)]
    for key, wanted in constraints.selector:
        if site.labels.get(key) != wanted:
            wrong.append(f"selector {key}={wanted} does not match")
    if constraints.required is not None and not any(_matches(term, site) for term in constraints.required):
        wrong.append("no required term matches")
    return wrong


def selects(constraints: Constraints, site: Site) -> bool:
    """Whether selector and required node affinity match."""
    return all(site.labels.get(key) == wanted for key, wanted in constraints.selector) and (
        constraints.required is None or any(_matches(term, site) for term in constraints.required)
    )


def untolerated(constraints: Constraints, site: Site) -> list[Taint]:
    """The hard taints of the node that nothing tolerates."""
    hard = [taint for taint in site.node.taints if taint.effect in ("NoSchedule", "NoExecute")]
    return [taint for taint in hard if not any(tolerates(one, taint) for one in constraints.tolerations)]


def tolerates(toleration: Toleration, taint: Taint) -> bool:
    """Kubernetes' ToleratesTaint: an effect or key that is not given fits any; Exists fits any value."""
    if toleration.effect and toleration.effect != taint.effect:
        return False
    if toleration.key and toleration.key != taint.key:
        return False
    return toleration.operator == "Exists" or toleration.value == taint.value


def _matches(term: NodeTerm, site: Site) -> bool:
    if not term.labels and not term.fields:
        return False
    return all(_holds(one, site.labels.get(one.key)) for one in term.labels) and all(
        _holds(one, site.name) for one in term.fields
    )


def _holds(requirement: Requirement, have: str | None) -> bool:
    match requirement.operator:
        case "In":
            return have in requirement.values
        case "NotIn":
            return have not in requirement.values
        case "Exists":
            return have is not None
        case "DoesNotExist":
            return have is None
    number, limit = _number(have), _number(requirement.values[0])
    if number is None or limit is None:
        return False
    return number > limit if requirement.operator == "Gt" else number < limit


def _number(text: str | None) -> int | None:
    """What Go's ParseInt(text, 10, 64) reads; Python's int() would also take spaces, underscores and more."""
    if text is None or not re.fullmatch(r"[+-]?[0-9]+", text):
        return None
    number = int(text)
    return number if -(2**63) <= number < 2**63 else None
