"""Storage that lives on one node: the pods that use it cannot be moved without their data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from yunchi_operator.api.core import NodeSelector, ObjectMeta


class _View(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """Base of all views."""


class HostPath(_View, frozen=True):
    """A folder of the node's own."""

    path: str = ""


class _PodVolume(_View, frozen=True):
    host_path: HostPath | None = None


class _PodSpec(_View, frozen=True):
    volumes: tuple[_PodVolume, ...] = ()


class _Pod(_View, frozen=True):
    spec: _PodSpec = _PodSpec()


class VolumeNodeAffinity(_View, frozen=True):
    """The nodes from which a volume can be reached."""

    required: NodeSelector | None = None


class ClaimRef(_View, frozen=True):
    """The claim that a volume is bound to."""

    name: str = ""
    namespace: str = ""


class VolumeSpec(_View, frozen=True):
    """What binds a PersistentVolume to nodes."""

    local: HostPath | None = None
    host_path: HostPath | None = None
    claim_ref: ClaimRef | None = None
    node_affinity: VolumeNodeAffinity | None = None


class PersistentVolume(_View, frozen=True):
    """A PersistentVolume."""

    metadata: ObjectMeta
    spec: VolumeSpec = VolumeSpec()

    @property
    def is_local(self) -> bool:
        """Whether the data is on a node's own disk."""
        return self.spec.local is not None or self.spec.host_path is not None


_decode_pod = msgspec.json.Decoder(_Pod).decode


def host_path_of(pod: msgspec.Raw | memoryview | Mapping[str, Any]) -> str:
    """The first folder of its node that a pod mounts, or "" if it mounts none."""
    read = msgspec.convert(pod, _Pod) if isinstance(pod, Mapping) else _decode_pod(pod)
    return next((volume.host_path.path for volume in read.spec.volumes if volume.host_path is not None), "")
