"""nodeSelector and required node affinity, with every operator of Kubernetes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from yunchi_placement.problem import Constraints, Node, NodeTerm, Requirement, as_int

Mask = npt.NDArray[np.bool_]


class Labels:
    """Node labels as columns, so that one requirement is one array operation over all nodes.

    A label that differs on every node (the hostname) costs no more than a zone does.
    """

    def __init__(self, nodes: Sequence[Node]) -> None:
        self.count = len(nodes)
        self._values: dict[str, dict[int, str]] = {}
        for position, node in enumerate(nodes):
            for key, value in node.labels:
                self._values.setdefault(key, {})[position] = value
        self._names = {node.name: position for position, node in enumerate(nodes)}
        self._columns: dict[str, tuple[npt.NDArray[np.int64], dict[str, int]]] = {}
        self._memo: dict[tuple[Requirement, bool], Mask] = {}

    def holds(self, requirement: Requirement, *, field: bool = False) -> Mask:
        """Nodes for which the requirement holds; `field` asks of metadata.name instead of a label."""
        memo = (requirement, field)
        if memo not in self._memo:
            self._memo[memo] = self._evaluate(requirement, field=field)
        return self._memo[memo]

    def column(self, key: str, *, field: bool = False) -> tuple[npt.NDArray[np.int64], dict[str, int]]:
        """A number for each node's value of a label (-1 for none), and the numbers by value."""
        if field:
            return np.arange(self.count), self._names
        if key not in self._columns:
            codes: dict[str, int] = {}
            column = np.full(self.count, -1, dtype=np.int64)
            for position, value in self._values.get(key, {}).items():
                column[position] = codes.setdefault(value, len(codes))
            self._columns[key] = column, codes
        return self._columns[key]

    def _evaluate(self, requirement: Requirement, *, field: bool) -> Mask:
        column, codes = self.column(requirement.key, field=field)
        match requirement.operator:
            case "Exists":
                return column >= 0
            case "DoesNotExist":
                return column < 0
            case "In" | "NotIn":
                wanted = [codes[value] for value in requirement.values if value in codes]
                inside = column == wanted[0] if len(wanted) == 1 else np.isin(column, wanted)
                return inside if requirement.operator == "In" else ~inside
            case _:
                return self._compare(requirement, column, codes)

    @staticmethod
    def _compare(requirement: Requirement, column: npt.NDArray[np.int64], codes: dict[str, int]) -> Mask:
        limit = as_int(requirement.values[0])
        above = requirement.operator == "Gt"
        wanted = []
        for value, code in codes.items():
            number = as_int(value)
            if number is not None and limit is not None and (number > limit if above else number < limit):
                wanted.append(code)
        return np.isin(column, wanted)


def affinity_mask(labels: Labels, constraints: Constraints) -> Mask:
    """Nodes that satisfy the selector and one of the required terms."""
    mask = np.ones(labels.count, dtype=np.bool_)
    for key, value in constraints.selector:
        mask &= labels.holds(Requirement(key, "In", (value,)))
    if constraints.required is None:
        return mask
    any_term = np.zeros(labels.count, dtype=np.bool_)
    for term in constraints.required:
        any_term |= term_mask(labels, term)
    return mask & any_term


def term_mask(labels: Labels, term: NodeTerm) -> Mask:
    """Nodes that satisfy all of a term's requirements; an empty term matches none, as in Kubernetes."""
    if not term.labels and not term.fields:
        return np.zeros(labels.count, dtype=np.bool_)
    mask = np.ones(labels.count, dtype=np.bool_)
    for requirement in term.labels:
        mask &= labels.holds(requirement)
    for requirement in term.fields:
        mask &= labels.holds(requirement, field=True)
    return mask
