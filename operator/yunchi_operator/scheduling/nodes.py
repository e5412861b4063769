"""Nodes for the engine: what they offer, what keeps pods off them, what they cost."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from yunchi_operator.api.core import Node
from yunchi_operator.api.kinds import NodePool
from yunchi_operator.api.quantities import micro, scaled_list
from yunchi_operator.scheduling.card_shares import whole_capacity
from yunchi_operator.scheduling.selectors import compiled, matches
from yunchi_placement import Node as EngineNode
from yunchi_placement import Taint

DEFAULT_COST_MICRO: Final = 1_000_000
CAPACITY_LIMIT: Final = 2**50
"""More than a node can have of anything (a pebibyte); keeps sums over a cluster far from overflow."""
HARD_EFFECTS: Final = ("NoSchedule", "NoExecute")
_CONDITION_TAINTS: Final = {
    ("Ready", "False"): "node.kubernetes.io/not-ready",
    ("Ready", "Unknown"): "node.kubernetes.io/unreachable",
    ("MemoryPressure", "True"): "node.kubernetes.io/memory-pressure",
    ("DiskPressure", "True"): "node.kubernetes.io/disk-pressure",
    ("PIDPressure", "True"): "node.kubernetes.io/pid-pressure",
    ("NetworkUnavailable", "True"): "node.kubernetes.io/network-unavailable",
}
"""The taints that Kubernetes' node controller derives from conditions; a manifest may lack them."""


class Pools:
    """Which pool a node belongs to, and what it costs there."""

    def __init__(self, pools: Iterable[NodePool]) -> None:
        self.notes: list[str] = []
        self._pools = []
        for pool in sorted(pools, key=lambda pool: pool.metadata.name):
            self._pools.append((pool.metadata.name, compiled(pool.spec.node_selector), self._cost(pool)))

    def of(self, node: Node) -> tuple[str, int]:
        """Name and cost in micro-units of the lowest-named pool that selects the node; no name and 1 without one."""
        found = [(name, cost) for name, selector, cost in self._pools if matches(selector, node.metadata.labels)]
        if len(found) > 1:
            names = ", ".join(name for name, _ in found)
            self.notes.append(
                f"node {node.metadata.name} is in several NodePools ({names}): the cost of {found[0][0]} counts; "
                "make their nodeSelectors exclude each other"
            )
        return found[0] if found else ("", DEFAULT_COST_MICRO)

    def _cost(self, pool: NodePool) -> int:
        try:
            return micro(pool.spec.cost)
        except ValueError as error:
            self.notes.append(f"NodePool {pool.metadata.name}: spec.cost: {error}; counted as 1")
            return DEFAULT_COST_MICRO


def allocatable(node: Node) -> Mapping[str, int]:
    """What pods may use of a node, in the engine's integers; without ``allocatable`` it is the capacity.

    Raises:
        ValueError: a quantity cannot be read; the message names the node.
    """
    try:
        return scaled_list(node.status.allocatable or node.status.capacity)
    except ValueError as error:
        raise ValueError(f"node {node.metadata.name}: status.allocatable: {error}") from error


def hard_taints(node: Node) -> tuple[Taint, ...]:
    """Taints that keep pods off, those that follow from conditions included. A node without conditions is ready."""
    taints = [Taint(one.key, one.value, one.effect) for one in node.spec.taints if one.effect in HARD_EFFECTS]
    known = {taint.key for taint in taints}
    for condition in node.status.conditions:
        key = _CONDITION_TAINTS.get((condition.type, condition.status))
        if key is not None and key not in known:
            taints.append(Taint(key, "", "NoSchedule"))
    return tuple(taints)


def soft_taints(node: Node) -> tuple[Taint, ...]:
    """Taints that pods rather avoid."""
    return tuple(Taint(one.key, one.value, one.effect) for one in node.spec.taints if one.effect == "PreferNoSchedule")


def engine_node(node: Node, resources: Sequence[str], offered: Mapping[str, int], cost_micro: int) -> EngineNode:
    """One node, with its capacity in the order of ``resources``."""
    return EngineNode(
        name=node.metadata.name,
        capacity=tuple(
            whole_capacity(resource, min(max(0, offered.get(resource, 0)), CAPACITY_LIMIT)) for resource in resources
        ),
        labels=tuple(sorted(node.metadata.labels.items())),
        taints=hard_taints(node) + soft_taints(node),
        unschedulable=node.spec.unschedulable,
        cost=cost_micro,
    )
