"""What a NodePool's status says: a pure sum over nodes and what sits on them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import msgspec

from yunchi_operator.api.conditions import Verdict, merge
from yunchi_operator.api.core import Node
from yunchi_operator.api.kinds import NodePool, NodePoolStatus, ResourceList
from yunchi_operator.api.quantities import format_amount
from yunchi_operator.scheduling.ledger import Ledger
from yunchi_operator.scheduling.nodes import allocatable
from yunchi_operator.scheduling.selectors import compiled, matches

SHOWN = ("cpu", "memory", "pods")
"""Resources that every status shows; of the others those that some node has."""
SHOWN_MOST = 32
"""Most resources in one list of a status."""


@dataclass(slots=True)
class PoolUsage:
    """One pool's sums: millicores, bytes, counts.

    Attributes:
        nodes: how many nodes the pool picks.
        in_use: how many of them hold a pod that is no DaemonSet's.
        states: nodes by state, each once: ``cordoned`` (whatever sits there), else ``used`` or ``free``.
        shared_with: other pools that pick some of the same nodes.
    """

    nodes: int = 0
    in_use: int = 0
    states: dict[str, int] = field(default_factory=lambda: {"cordoned": 0, "used": 0, "free": 0})
    allocatable: dict[str, int] = field(default_factory=dict)
    requested: dict[str, int] = field(default_factory=dict)
    shared_with: set[str] = field(default_factory=set)


def observe(pools: Iterable[NodePool], nodes: Iterable[Node], ledger: Ledger) -> dict[str, PoolUsage]:
    """Sum up each pool, by name; a node of several pools counts in each."""
    chosen = tuple(pools)
    usages = {pool.metadata.name: PoolUsage() for pool in chosen}
    selectors = {pool.metadata.name: compiled(pool.spec.node_selector) for pool in chosen}
    for node in nodes:
        mine = [name for name, selector in selectors.items() if matches(selector, node.metadata.labels)]
        for name in mine:
            _count(usages[name], node, ledger)
            usages[name].shared_with.update(other for other in mine if other != name)
    return usages


def _count(usage: PoolUsage, node: Node, ledger: Ledger) -> None:
    room = ledger.room(node.metadata.name)
    used = room is not None and room.keepers > 0
    usage.nodes += 1
    usage.in_use += used
    usage.states["cordoned" if node.spec.unschedulable else "used" if used else "free"] += 1
    _add(usage.allocatable, allocatable(node))
    if room is not None:
        _add(usage.requested, room.requested)


def _add(total: dict[str, int], more: Mapping[str, int]) -> None:
    for resource, amount in more.items():
        total[resource] = total.get(resource, 0) + amount


def status_of(pool: NodePool, usage: PoolUsage, now: datetime) -> dict[str, Any] | None:
    """The status to write, JSON-ready; None when the pool says just that already.

    Args:
        pool: as the API server has it.
        usage: from :func:`observe`.
        now: time of the observation.
    """
    conditions = merge(pool.status.conditions, [_ready(usage)], generation=pool.metadata.generation, now=now)
    status = NodePoolStatus(
        conditions=conditions,
        observed_generation=pool.metadata.generation,
        nodes=usage.nodes,
        nodes_in_use=usage.in_use,
        allocatable=_written(usage.allocatable, usage.allocatable),
        requested=_written(usage.requested, usage.allocatable),
    )
    if status == pool.status:
        return None
    plain: dict[str, Any] = msgspec.to_builtins(status)
    return plain


def _written(amounts: Mapping[str, int], offered: Mapping[str, int]) -> ResourceList:
    """As quantities; whatever the pool offers is shown, also where nothing of it is requested."""
    shown = sorted({*SHOWN, *(resource for resource, amount in offered.items() if amount)})
    return {resource: format_amount(resource, amounts.get(resource, 0)) for resource in shown[:SHOWN_MOST]}


def _ready(usage: PoolUsage) -> Verdict:
    if not usage.nodes:
        return Verdict("Ready", "False", "NoNodes", "no node matches spec.nodeSelector; check the nodes' labels")
    if usage.shared_with:
        others = ", ".join(sorted(usage.shared_with)[:5])
        text = f"some nodes are also in {others}; make the selectors disjoint, or their cost is ambiguous"
        return Verdict("Ready", "False", "Overlapping", text)
    return Verdict("Ready", "True", "Observed", f"{usage.in_use} of {usage.nodes} nodes in use")
