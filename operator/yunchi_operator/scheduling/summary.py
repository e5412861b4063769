"""Figures of a plan by pool, zone and architecture. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from yunchi_operator.api.names import ARCH_LABEL
from yunchi_operator.scheduling.answer import Answer
from yunchi_operator.scheduling.problem import Built


@dataclass(slots=True)
class Row:
    """One group of nodes. Shares are of the allocatable of the nodes in use after the plan.

    Attributes:
        cost_micro: of the nodes in use after.
        capacity, requested: cpu (millicores) and memory (bytes) on the nodes in use after.
    """

    group: tuple[str, str, str]
    nodes: int = 0
    used_before: int = 0
    used_after: int = 0
    cost_micro: int = 0
    capacity: list[int] = field(default_factory=lambda: [0, 0])
    requested: list[int] = field(default_factory=lambda: [0, 0])

    def share(self, resource: int) -> float:
        """Requested over capacity of the nodes in use: 0 is cpu, 1 is memory."""
        return self.requested[resource] / self.capacity[resource] if self.capacity[resource] else 0.0


def rows(built: Built, plan: Answer, zone_of: Mapping[str, str]) -> list[Row]:
    """A row per pool, zone and architecture, sorted; ``-`` where a node has none."""
    pool_of = dict(built.pool_of)
    requested = _requested(built, plan.solution.assignment)
    found: dict[tuple[str, str, str], Row] = {}
    for node in built.problem.nodes:
        group = (pool_of.get(node.name, "-"), zone_of.get(node.name) or "-", dict(node.labels).get(ARCH_LABEL, "-"))
        row = found.setdefault(group, Row(group))
        row.nodes += 1
        row.used_before += node.name in plan.used_before
        if node.name in plan.used_after:
            row.used_after += 1
            row.cost_micro += node.cost
            for resource in (0, 1):
                row.capacity[resource] += node.capacity[resource]
                row.requested[resource] += requested.get(node.name, (0, 0))[resource]
    return [found[group] for group in sorted(found)]


def total(parts: Sequence[Row]) -> Row:
    """All groups together."""
    whole = Row(("total", "", ""))
    for part in parts:
        whole.nodes += part.nodes
        whole.used_before += part.used_before
        whole.used_after += part.used_after
        whole.cost_micro += part.cost_micro
        for resource in (0, 1):
            whole.capacity[resource] += part.capacity[resource]
            whole.requested[resource] += part.requested[resource]
    return whole


def _requested(built: Built, assignment: Sequence[str | None]) -> dict[str, tuple[int, int]]:
    """Requests of cpu and memory by node: the first two resources of every problem."""
    sums: dict[str, tuple[int, int]] = {}
    for item, node in zip(built.problem.items, assignment, strict=True):
        if node is not None:
            cpu, memory = sums.get(node, (0, 0))
            sums[node] = (cpu + item.requests[0], memory + item.requests[1])
    return sums
