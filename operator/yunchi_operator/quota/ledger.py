"""The quota of a namespace: what the department has from the start, and what was granted on top."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from yunchi_operator.api.kinds import NodePool, QuotaRequest, ResourceList
from yunchi_operator.quota import amounts

_OBJECT_COUNTS: Final = frozenset({"pods"})


def quota_name(resource: str) -> str:
    """The name under which a ResourceQuota limits requests of a resource, such as ``requests.cpu``."""
    return resource if resource in _OBJECT_COUNTS else f"requests.{resource}"


def hard(base: ResourceList, grants: Iterable[ResourceList], pooled: Iterable[str] = ()) -> ResourceList:
    """``spec.hard`` of a namespace's ResourceQuota.

    Args:
        base: the department's base quota.
        grants: what active requests of the namespace add.
        pooled: extended resources that the pools have. A ResourceQuota leaves free what it does not name, so each gets
            a limit, 0 when nothing was granted: nobody takes an accelerator without having been given it.

    Returns:
        Quantities by Kubernetes' quota names, sorted. No amount is below the base, and none is negative.

    Raises:
        ValueError: when a quantity cannot be read.
    """
    parts = [dict.fromkeys(pooled, 0), amounts.read(base), *map(amounts.read, grants)]
    total = amounts.add({name: max(0, amount) for name, amount in part.items()} for part in parts)
    return {quota_name(name): text for name, text in amounts.write(total).items()}


def pooled_extended(pools: Iterable[NodePool]) -> frozenset[str]:
    """The extended resources, such as ``huawei.com/Ascend910``, that the nodes of the pools have."""
    return frozenset(name for pool in pools for name in pool.status.allocatable if "/" in name)


def grants_of(namespace: str, requests: Iterable[QuotaRequest]) -> list[ResourceList]:
    """What the requests of a namespace are granted now; their statuses are the ledger's entries.

    A request that is being deleted no longer counts.
    """
    return [
        request.status.granted
        for request in requests
        if request.metadata.namespace == namespace and request.metadata.deletion_timestamp is None
    ]
