"""The inventory of a cloud, from a host list or from a member cluster's nodes and pods."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from yunchi_operator.api.core import Node, Pod
from yunchi_operator.api.kinds import ArchitectureCount, Inventory
from yunchi_operator.api.names import ARCH_LABEL
from yunchi_operator.api.quantities import amount, cpu_milli, format_bytes, format_cpu
from yunchi_operator.scheduling.requests import pod_requests
from yunchi_operator.tenancy.hosts import Host

ARCHITECTURES = 16
"""As many as the status holds; the smallest beyond that are left out."""
_FINISHED = ("Succeeded", "Failed")


@dataclass(frozen=True, slots=True)
class Usage:
    """What a node really uses."""

    cpu_milli: int
    memory_bytes: int


@dataclass(slots=True)
class PodTotals:
    """Sums over a member cluster's pods, added up page by page so that no cluster need fit into memory."""

    workloads: int = 0
    cpu_milli: int = 0
    memory_bytes: int = 0

    def add(self, pods: Iterable[Pod]) -> None:
        """Count more pods; finished ones hold nothing.

        Raises:
            ValueError: when a pod's quantity cannot be read.
        """
        for pod in pods:
            if pod.status.phase in _FINISHED:
                continue
            self.workloads += 1
            if pod.spec.node_name:  # a waiting pod takes nothing yet
                requests = pod_requests(pod)
                self.cpu_milli += requests.get("cpu", 0)
                self.memory_bytes += requests.get("memory", 0)


def of_hosts(hosts: Sequence[Host]) -> Inventory:
    """The inventory of a host list; use is told only where the list tells it for each host."""
    cpu = sum(host.cpu_milli for host in hosts)
    cpu_used = _total(host.cpu_used_milli for host in hosts)
    memory_used = _total(host.memory_used_bytes for host in hosts)
    return Inventory(
        nodes=len(hosts),
        workloads=sum(host.workloads or 0 for host in hosts),
        cpu=format_cpu(cpu),
        memory=format_bytes(sum(host.memory_bytes for host in hosts)),
        cpu_used=None if cpu_used is None else format_cpu(cpu_used),
        memory_used=None if memory_used is None else format_bytes(memory_used),
        cpu_used_percent=_percent(cpu_used, cpu),
        architectures=_architectures((host.architecture, host.cpu_milli) for host in hosts),
    )


def of_cluster(nodes: Sequence[Node], pods: PodTotals, usage: Mapping[str, Usage] | None) -> Inventory:
    """The inventory of a member cluster.

    Args:
        nodes: all of them; what they allow workloads to have counts, not what is built in.
        pods: sums over all pods.
        usage: by node, from the metrics API; None where it is not served. It counts only if each node is there.

    Raises:
        ValueError: when a node's quantity cannot be read.
    """
    offers = [node.status.allocatable or node.status.capacity for node in nodes]
    cores = [cpu_milli(offer.get("cpu", 0)) for offer in offers]
    cpu = sum(cores)
    seen = [usage.get(node.metadata.name) if usage else None for node in nodes]
    cpu_used = _total(use.cpu_milli if use else None for use in seen)
    memory_used = _total(use.memory_bytes if use else None for use in seen)
    kinds = (node.metadata.labels.get(ARCH_LABEL, "unknown") for node in nodes)
    return Inventory(
        nodes=len(nodes),
        workloads=pods.workloads,
        cpu=format_cpu(cpu),
        memory=format_bytes(sum(amount(offer.get("memory", 0)) for offer in offers)),
        cpu_requested=format_cpu(pods.cpu_milli),
        memory_requested=format_bytes(pods.memory_bytes),
        cpu_requested_percent=_percent(pods.cpu_milli, cpu),
        cpu_used=None if cpu_used is None else format_cpu(cpu_used),
        memory_used=None if memory_used is None else format_bytes(memory_used),
        cpu_used_percent=_percent(cpu_used, cpu),
        architectures=_architectures(zip(kinds, cores, strict=True)),
    )


def _total(parts: Iterable[int | None]) -> int | None:
    """The sum, or None when any part is not known: a partial sum would read as low use."""
    known = list(parts)
    present = [part for part in known if part is not None]
    return sum(present) if known and len(present) == len(known) else None


def _percent(part: int | None, whole: int) -> int | None:
    return None if part is None or not whole else round(100 * part / whole)


def _architectures(nodes: Iterable[tuple[str, int]]) -> tuple[ArchitectureCount, ...]:
    counts: dict[str, tuple[int, int]] = {}
    for architecture, cores_milli in nodes:
        number, total = counts.get(architecture, (0, 0))
        counts[architecture] = (number + 1, total + cores_milli)
    largest = sorted(counts.items(), key=lambda item: (-item[1][1], item[0]))[:ARCHITECTURES]
    return tuple(
        ArchitectureCount(architecture=name, nodes=number, cpu=format_cpu(total)) for name, (number, total) in largest
    )
