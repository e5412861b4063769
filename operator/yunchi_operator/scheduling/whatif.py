"""What if nodes were lost (their pods wait again), or if a prefecture's own cloud joined the pool."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

import msgspec

from yunchi_operator.api.core import Node, Pod, Toleration
from yunchi_operator.api.kinds import NodePool
from yunchi_operator.api.names import GROUP, POOL_TAINT, SCHEDULER_NAME, ZONE_LABEL
from yunchi_operator.scheduling.facts import belongs_to_node
from yunchi_operator.scheduling.nodes import Pools

TENANCY_LABEL: Final = f"{GROUP}/tenancy"
"""On a node of a cluster that is not in the pool yet, and on its pending pods: the name of its CloudTenancy."""


@dataclass(slots=True)
class Cluster:
    """Nodes with their pods: the pool, or a tenancy's own cloud."""

    nodes: list[Node] = field(default_factory=list)
    pods: list[Pod] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Loss:
    """A cluster after the loss.

    Attributes:
        pods: those of lost nodes have no node any more; DaemonSet and mirror pods died with theirs.
        homes: the lost node of each pod that lived on one.
    """

    nodes: tuple[Node, ...]
    pods: tuple[Pod, ...]
    homes: dict[str, str]


def lost_nodes(
    nodes: Sequence[Node], pools: Sequence[NodePool], names: Iterable[str], zones: Iterable[str]
) -> frozenset[str]:
    """Resolve names and zones; a zone is the value of a pool's zone key, or of the usual label outside pools.

    Raises:
        ValueError: a node or a zone that does not exist, with what there is.
    """
    known = {node.metadata.name for node in nodes}
    wanted = set(names)
    for name in sorted(wanted - known):
        raise ValueError(f"--lose-node {name}: no such node{_guess(name, known)}")
    zone_of = zones_of(nodes, pools)
    for zone in zones:
        if zone not in zone_of.values():
            found = ", ".join(sorted({one for one in zone_of.values() if one})) or "none"
            raise ValueError(f"--lose-zone {zone}: no node is in this zone; zones are: {found}")
        wanted |= {name for name, one in zone_of.items() if one == zone}
    return frozenset(wanted)


def zones_of(nodes: Iterable[Node], pools: Sequence[NodePool]) -> dict[str, str]:
    """Zone by node name; empty where a node has none."""
    keys = {pool.metadata.name: pool.spec.zone_key for pool in pools}
    index = Pools(pools)
    return {node.metadata.name: node.metadata.labels.get(keys.get(index.of(node)[0], ZONE_LABEL), "") for node in nodes}


def lose(nodes: Iterable[Node], pods: Iterable[Pod], lost: Collection[str]) -> Loss:
    """Take nodes away."""
    kept: list[Pod] = []
    homes: dict[str, str] = {}
    for pod in pods:
        if pod.spec.node_name not in lost or pod.status.phase in ("Succeeded", "Failed"):
            kept.append(pod)
        elif not belongs_to_node(pod):
            homes[pod.key] = pod.spec.node_name
            kept.append(msgspec.structs.replace(pod, spec=msgspec.structs.replace(pod.spec, node_name="")))
    return Loss(tuple(node for node in nodes if node.metadata.name not in lost), tuple(kept), homes)


def islands(nodes: Iterable[Node], pods: Iterable[Pod]) -> tuple[Cluster, dict[str, Cluster]]:
    """Tell the pool from the clusters of tenancies, which the label sets apart: a pod belongs where its node does."""
    pool, apart = Cluster(), dict[str, Cluster]()
    island_of: dict[str, Cluster] = {}
    for node in nodes:
        tenancy = node.metadata.labels.get(TENANCY_LABEL)
        if tenancy:
            island_of[node.metadata.name] = apart.setdefault(tenancy, Cluster())
        island_of.get(node.metadata.name, pool).nodes.append(node)
    for pod in pods:
        if pod.spec.node_name:
            home = island_of.get(pod.spec.node_name, pool)
        else:
            home = apart.get(pod.metadata.labels.get(TENANCY_LABEL, ""), pool)
        home.pods.append(pod)
    return pool, apart


def join(pool: Cluster, island: Cluster) -> Cluster:
    """A pool with one more cluster in it, whose pods become Yunchi's as admission would make them."""
    return Cluster(pool.nodes + island.nodes, pool.pods + [_naturalised(pod) for pod in island.pods])


def _naturalised(pod: Pod) -> Pod:
    if belongs_to_node(pod) or pod.spec.scheduler_name not in ("", "default-scheduler"):
        return pod
    tolerations = (*pod.spec.tolerations, Toleration(key=POOL_TAINT, operator="Exists"))
    spec = msgspec.structs.replace(pod.spec, scheduler_name=SCHEDULER_NAME, tolerations=tolerations)
    return msgspec.structs.replace(pod, spec=spec)


def _guess(name: str, known: Collection[str]) -> str:
    close = difflib.get_close_matches(name, sorted(known), n=1)
    return f"; did you mean {close[0]}?" if close else ""
