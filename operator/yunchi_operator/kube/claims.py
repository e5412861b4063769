"""What the scheduler writes about storage: which volume a claim gets, and on which node one is to be made."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from yunchi_operator.api.names import FIELD_MANAGER_SCHEDULER
from yunchi_operator.kube.client import MERGE_PATCH, KubeClient

SELECTED_NODE: Final = "volume.kubernetes.io/selected-node"


async def prebind(client: KubeClient, volume: str, version: str, patch: Mapping[str, Any]) -> None:
    """Give a PersistentVolume to a claim, as ``volume_claims.prebinding`` says; an empty patch writes nothing.

    Raises:
        ApiError: 409 when the volume is not of that resourceVersion any more.
    """
    if patch:
        metadata = {**patch.get("metadata", {}), "resourceVersion": version}
        await _patch(client, f"/api/v1/persistentvolumes/{volume}", {**patch, "metadata": metadata})


async def select_node(client: KubeClient, claim: str, node: str) -> None:
    """Ask for a claim (``namespace/name``) to be provisioned on a node.

    Raises:
        ApiError: as for any write.
    """
    namespace, _, name = claim.partition("/")
    path = f"/api/v1/namespaces/{namespace}/persistentvolumeclaims/{name}"
    await _patch(client, path, {"metadata": {"annotations": {SELECTED_NODE: node}}})


async def _patch(client: KubeClient, path: str, body: Mapping[str, Any]) -> None:
    query = {"fieldManager": FIELD_MANAGER_SCHEDULER}
    await client.request("PATCH", path, body=body, query=query, content_type=MERGE_PATCH)
