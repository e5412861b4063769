"""Making room: deleting pods of lower priority, and telling the waiting pod where its room will be."""

from __future__ import annotations

from yunchi_operator.api.names import FIELD_MANAGER_SCHEDULER
from yunchi_operator.kube.binding import Target
from yunchi_operator.kube.client import STRATEGIC_MERGE_PATCH, KubeClient


async def nominate(client: KubeClient, pod: Target) -> None:
    """Write a pod's ``status.nominatedNodeName``: ``pod.node``, or "" to take it back.

    Raises:
        ApiError: 409 when a new pod has taken the name.
    """
    body = {"metadata": {"uid": pod.uid}, "status": {"nominatedNodeName": pod.node or None}}
    path = f"/api/v1/namespaces/{pod.namespace}/pods/{pod.name}/status"
    query = {"fieldManager": FIELD_MANAGER_SCHEDULER}
    await client.request("PATCH", path, body=body, query=query, content_type=STRATEGIC_MERGE_PATCH)


async def announce_preemption(client: KubeClient, victim: Target, now: str) -> None:
    """Write the DisruptionTarget condition that tells a Job's controller that the pod did not fail by itself.

    Args:
        client: connection to the API server.
        victim: the pod that will be deleted.
        now: RFC 3339, in whole seconds.

    Raises:
        ApiError: as for any write.
    """
    condition = {
        "type": "DisruptionTarget",
        "status": "True",
        "reason": "PreemptionByScheduler",
        "message": "yunchi: preempting to make room for a pod of higher priority",
        "lastTransitionTime": now,
    }
    body = {"metadata": {"uid": victim.uid}, "status": {"conditions": [condition]}}
    path = f"/api/v1/namespaces/{victim.namespace}/pods/{victim.name}/status"
    query = {"fieldManager": FIELD_MANAGER_SCHEDULER}
    await client.request("PATCH", path, body=body, query=query, content_type=STRATEGIC_MERGE_PATCH)


async def delete(client: KubeClient, pod: Target) -> None:
    """Delete a pod, with its own grace period; one that is another by now is left alone.

    Raises:
        ApiError: 404 when it is gone, 409 when it is another.
    """
    body = {"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": {"uid": pod.uid}}
    await client.request("DELETE", f"/api/v1/namespaces/{pod.namespace}/pods/{pod.name}", body=body)
