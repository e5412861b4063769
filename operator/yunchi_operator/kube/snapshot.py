"""One look at a cluster, for commands that answer a question and end."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

import msgspec

from yunchi_operator.api.core import Namespace, Node, Pod
from yunchi_operator.api.volumes import PersistentVolume, PersistentVolumeClaim, StorageClass
from yunchi_operator.kube.client import ApiError, KubeClient
from yunchi_operator.kube.lists import pages

T = TypeVar("T")
UNFINISHED: Final = "status.phase!=Succeeded,status.phase!=Failed"


@dataclass(slots=True)
class Snapshot:
    """What a placement depends on.

    Attributes:
        missing: resources that could not be read, with the server's words.
    """

    nodes: list[Node] = field(default_factory=list)
    pods: list[Pod] = field(default_factory=list)
    namespaces: list[Namespace] = field(default_factory=list)
    claims: list[PersistentVolumeClaim] = field(default_factory=list)
    volumes: list[PersistentVolume] = field(default_factory=list)
    classes: list[StorageClass] = field(default_factory=list)
    missing: dict[str, str] = field(default_factory=dict)


async def snapshot(client: KubeClient) -> Snapshot:
    """Read nodes and pods, and as much as is allowed of what else matters.

    Raises:
        ApiError: nodes or pods cannot be read.
        msgspec.DecodeError: an answer is no list.
    """
    found = Snapshot(nodes=await _all(client, "/api/v1/nodes", Node), pods=await _all(client, "/api/v1/pods", Pod))
    optional: list[tuple[str, str, type[Any]]] = [
        ("namespaces", "/api/v1/namespaces", Namespace),
        ("claims", "/api/v1/persistentvolumeclaims", PersistentVolumeClaim),
        ("volumes", "/api/v1/persistentvolumes", PersistentVolume),
        ("classes", "/apis/storage.k8s.io/v1/storageclasses", StorageClass),
    ]
    for name, path, kind in optional:
        try:
            setattr(found, name, await _all(client, path, kind))
        except ApiError as error:
            found.missing[name] = error.message
    return found


async def _all(client: KubeClient, path: str, kind: type[T]) -> list[T]:
    decode = msgspec.json.Decoder(_page_of(kind)).decode
    items: list[T] = []
    async for body in pages(client, path):
        items.extend(decode(body).items or ())
    return items


def _page_of(kind: type[Any]) -> type[Any]:
    return msgspec.defstruct("Page", [("items", list[kind] | None, None)])  # type: ignore[valid-type]
