"""Takes the inventory of a member cluster: three lists, read-only."""

from __future__ import annotations

import msgspec

from yunchi_operator.api.core import Node, decode_node_list, decode_pod_list
from yunchi_operator.api.kinds import Inventory
from yunchi_operator.api.quantities import amount, cpu_milli
from yunchi_operator.kube.client import ApiError, KubeClient
from yunchi_operator.kube.lists import pages
from yunchi_operator.tenancy.inventories import PodTotals, Usage, of_cluster

_METRICS = "/apis/metrics.k8s.io/v1beta1/nodes"


class _Name(msgspec.Struct):
    name: str = ""


class _NodeMetrics(msgspec.Struct):
    metadata: _Name
    usage: dict[str, str] = {}


class _NodeMetricsList(msgspec.Struct):
    items: list[_NodeMetrics] = []


async def observe_cluster(client: KubeClient) -> Inventory:
    """The inventory of the cluster.

    Raises:
        ApiError: when nodes or pods cannot be read.
        ValueError: when an answer is no list of them, or holds an amount that cannot be read.
    """
    nodes: list[Node] = []
    async for body in pages(client, "/api/v1/nodes"):
        nodes.extend(decode_node_list(body).items)
    totals = PodTotals()
    async for body in pages(client, "/api/v1/pods"):
        totals.add(decode_pod_list(body).items)
    return of_cluster(nodes, totals, await _usage(client))


async def _usage(client: KubeClient) -> dict[str, Usage] | None:
    """Use by node, or None: not every cluster serves metrics, and not every account may read them."""
    try:
        body = await client.request("GET", _METRICS, timeout_seconds=10)
        listed = msgspec.json.decode(body, type=_NodeMetricsList).items
        return {
            item.metadata.name: Usage(cpu_milli(item.usage.get("cpu", "0")), amount(item.usage.get("memory", "0")))
            for item in listed
        }
    except (ApiError, ValueError):
        return None
