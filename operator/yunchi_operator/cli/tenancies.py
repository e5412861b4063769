"""``--merge``: the clouds of tenancies that the manifests hold, and the pool with some of them in it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from yunchi_operator.api.core import Container, Node, NodeStatus, ObjectMeta, Pod, PodSpec, Quantities, Resources
from yunchi_operator.api.kinds import CloudTenancy
from yunchi_operator.api.manifests import Inventory
from yunchi_operator.api.names import ARCH_LABEL, GROUP, HOSTNAME_LABEL, SYSTEM_NAMESPACE, ZONE_LABEL
from yunchi_operator.api.objects import ConfigMap
from yunchi_operator.scheduling.movable import OUTSIDE
from yunchi_operator.scheduling.nodes import Pools
from yunchi_operator.scheduling.whatif import TENANCY_LABEL, Cluster, islands, join
from yunchi_operator.tenancy import hosts
from yunchi_operator.tenancy.hosts import Host

PODS_PER_HOST: Final = "110"
"""What a kubelet takes when nobody says otherwise."""
CPU_MODEL_LABEL: Final = f"{GROUP}/cpu-model"


def merged(inventory: Inventory, wanted: Sequence[str], warn: Callable[[str], None]) -> Cluster:
    """The pool together with the wanted tenancies' clouds; those of the others are left out.

    Raises:
        ValueError: there is no such tenancy, nothing of it is given, or its host list cannot be used.
    """
    pool, apart = islands(inventory.nodes, inventory.pods)
    tenancies = {one.metadata.name: one for one in inventory.tenancies}
    for name in dict.fromkeys(wanted):
        if name not in tenancies and name not in apart:
            there = ", ".join(sorted(tenancies.keys() | apart.keys())) or "none"
            raise ValueError(f"--merge {name}: no such CloudTenancy among the manifests; there are: {there}")
        island = apart.pop(name, None) or _listed(tenancies[name], inventory, pool, warn)
        _tell_costs(name, island, inventory, warn)
        pool = join(pool, island)
    for name, island in sorted(apart.items()):
        there = _count(len(island.nodes), "node")
        warn(f"not in the pool: {there} of CloudTenancy {name}; --merge {name} adds what it has")
    return pool


def _tell_costs(name: str, island: Cluster, inventory: Inventory, warn: Callable[[str], None]) -> None:
    """A cost that nobody set would decide which nodes are kept."""
    pools = Pools(inventory.pools)
    outside = sum(not pools.of(node)[0] for node in island.nodes)
    if outside and inventory.pools:
        warn(
            f"in no NodePool, at cost 1: {_count(outside, 'node')} of CloudTenancy {name}; a NodePool can select by "
            f"{TENANCY_LABEL} or {CPU_MODEL_LABEL}"
        )


def _listed(tenancy: CloudTenancy, inventory: Inventory, pool: Cluster, warn: Callable[[str], None]) -> Cluster:
    """The cloud of a tenancy that no Node manifest belongs to: its host list's."""
    name, ref = tenancy.metadata.name, tenancy.spec.source.host_list_config_map_ref
    if ref is None:
        raise ValueError(
            f"--merge {name}: none of its nodes are given; give its nodes and pods too, "
            f"with the label {TENANCY_LABEL}={name} on the nodes"
        )
    text = _text(name, ref.name, ref.key, inventory.config_maps)
    found, problems = hosts.parse(text)
    if problems:
        shown = "".join(f"\n  {problem}" for problem in problems[:20])
        raise ValueError(f"--merge {name}: ConfigMap {ref.name}, {ref.key}:{shown}")
    known = {node.metadata.name for node in pool.nodes}
    new = [host for host in found if host.name not in known]
    if len(new) < len(found):
        warn(f"in the pool already, counted once: {_count(len(found) - len(new), 'host')} of CloudTenancy {name}")
    if silent := sum(_use(host) is None for host in new):
        warn(f"counted as empty, as the list does not tell what they use: {_count(silent, 'host')} of {name}")
    zone = tenancy.spec.division[:6]
    return Cluster([_node(host, name, zone) for host in new], [pod for host in new for pod in _occupants(host, name)])


def _count(number: int, thing: str) -> str:
    return f"{number:,} {thing}" if number == 1 else f"{number:,} {thing}s"


def _text(tenancy: str, name: str, key: str, config_maps: Sequence[ConfigMap]) -> str:
    """The host list; of several ConfigMaps of the name the one in the operator's namespace."""
    there = [one for one in config_maps if one.metadata.name == name]
    there.sort(key=lambda one: (one.metadata.namespace != SYSTEM_NAMESPACE, one.metadata.namespace))
    if not there:
        raise ValueError(f"--merge {tenancy}: its host list, ConfigMap {name}, is not among the manifests")
    data: Mapping[str, str] = there[0].data or {}
    if key not in data:
        keys = ", ".join(sorted(data)) or "none"
        raise ValueError(f"--merge {tenancy}: ConfigMap {name} has no key {key}; keys are: {keys}")
    return data[key]


def _node(host: Host, tenancy: str, zone: str) -> Node:
    labels = {
        HOSTNAME_LABEL: host.name,
        ARCH_LABEL: host.architecture,
        ZONE_LABEL: zone,
        CPU_MODEL_LABEL: host.cpu_model,
        TENANCY_LABEL: tenancy,
    }
    room: Quantities = {"cpu": f"{host.cpu_milli}m", "memory": str(host.memory_bytes), "pods": PODS_PER_HOST}
    metadata = ObjectMeta(name=host.name, labels={key: value for key, value in labels.items() if value})
    return Node(metadata=metadata, status=NodeStatus(allocatable=room))


def _use(host: Host) -> tuple[int, int] | None:
    """Millicores and bytes in use, or None when nothing is told."""
    if host.cpu_used_milli is None and host.memory_used_bytes is None and host.workloads is None:
        return None
    return host.cpu_used_milli or 0, host.memory_used_bytes or 0


def _occupants(host: Host, tenancy: str) -> list[Pod]:
    """One pod that stands for all that runs on a host; none on an idle one."""
    cpu, memory = _use(host) or (0, 0)
    if not (cpu or memory or host.workloads):
        return []
    requests: Quantities = {"cpu": f"{cpu}m", "memory": str(memory)}
    container = Container(name="workloads", resources=Resources(requests=requests))
    spec = PodSpec(node_name=host.name, scheduler_name=OUTSIDE, containers=(container,))
    return [Pod(metadata=ObjectMeta(name=f"workloads-of-{host.name}", namespace=tenancy), spec=spec)]
