"""What the demo's tables show, computed from nodes and pods as the API server returns them. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from yunchi_operator.api.quantities import amount, cpu_milli

Manifest = Mapping[str, Any]
PENDING = "pending"


@dataclass(slots=True)
class Figures:
    """Sums over the nodes of one prefecture, or of the province.

    Attributes:
        hosts: nodes there are.
        used: nodes with at least one pod.
        cost: sum of the used nodes' costs.
        cpu_milli: CPU that the used nodes can allocate, in millicores.
        cpu_requested: CPU that pods on them request, in millicores.
    """

    hosts: int = 0
    used: int = 0
    cost: Decimal = field(default_factory=Decimal)
    cpu_milli: int = 0
    cpu_requested: int = 0
    memory_bytes: int = 0
    memory_requested: int = 0

    @property
    def cpu_percent(self) -> float:
        """Requested share of the used nodes' CPU."""
        return 100 * self.cpu_requested / self.cpu_milli if self.cpu_milli else 0.0

    @property
    def memory_percent(self) -> float:
        """Requested share of the used nodes' memory."""
        return 100 * self.memory_requested / self.memory_bytes if self.memory_bytes else 0.0

    def add(self, other: Figures) -> None:
        """Add another's sums to these."""
        for name in ("hosts", "used", "cost", "cpu_milli", "cpu_requested", "memory_bytes", "memory_requested"):
            setattr(self, name, getattr(self, name) + getattr(other, name))


@dataclass(frozen=True, slots=True)
class Outcome:
    """One scheduler's result: figures by zone, and how many pods it left pending."""

    zones: Mapping[str, Figures]
    pending: int

    @property
    def total(self) -> Figures:
        """The province's sums."""
        total = Figures()
        for figures in self.zones.values():
            total.add(figures)
        return total


def outcome(nodes: Sequence[Manifest], pods: Iterable[Manifest], costs: Mapping[str, Decimal]) -> Outcome:
    """Sum up a placement.

    Args:
        nodes: Node objects with a zone label.
        pods: Pod objects; those without ``spec.nodeName`` count as pending.
        costs: cost per node name; a node not named costs 1.
    """
    by_node: dict[str, list[Manifest]] = defaultdict(list)
    for pod in pods:
        by_node[pod["spec"].get("nodeName") or PENDING].append(pod)
    zones: dict[str, Figures] = defaultdict(Figures)
    for node in nodes:
        name = node["metadata"]["name"]
        figures = zones[node["metadata"]["labels"]["topology.kubernetes.io/zone"]]
        figures.hosts += 1
        if name not in by_node:
            continue
        allocatable = node["status"]["allocatable"]
        figures.used += 1
        figures.cost += costs.get(name, Decimal(1))
        figures.cpu_milli += cpu_milli(allocatable["cpu"])
        figures.memory_bytes += amount(allocatable["memory"])
        for pod in by_node[name]:
            for container in pod["spec"]["containers"]:
                requests = container.get("resources", {}).get("requests", {})
                figures.cpu_requested += cpu_milli(requests.get("cpu", "0"))
                figures.memory_requested += amount(requests.get("memory", "0"))
    return Outcome(dict(zones), len(by_node.get(PENDING, ())))


def node_costs(nodes: Iterable[Manifest], pools: Iterable[Manifest]) -> dict[str, Decimal]:
    """Cost per node by the pools' match labels (the example uses no expressions)."""
    found: dict[str, Decimal] = {}
    selectors = [(pool["spec"]["nodeSelector"]["matchLabels"], Decimal(pool["spec"]["cost"])) for pool in pools]
    for node in nodes:
        labels = node["metadata"]["labels"]
        for wanted, cost in selectors:
            if wanted.items() <= labels.items():
                found[node["metadata"]["name"]] = cost
    return found
