"""What if nodes were lost: their pods wait again, as they would after a real loss."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

import msgspec

from yunchi_operator.api.core import Node, Pod
from yunchi_operator.api.kinds import NodePool
from yunchi_operator.api.names import ZONE_LABEL
from yunchi_operator.scheduling.facts import belongs_to_node
from yunchi_operator.scheduling.nodes import Pools


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


def _guess(name: str, known: Collection[str]) -> str:
    close = difflib.get_close_matches(name, sorted(known), n=1)
    return f"; did you mean {close[0]}?" if close else ""
