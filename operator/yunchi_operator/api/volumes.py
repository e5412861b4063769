"""Typed views of storage objects: exactly the fields by which volumes tie pods to nodes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fractions import Fraction
from typing import Any, Final, NamedTuple

import msgspec

from yunchi_operator.api.core import NodeSelector, ObjectMeta, Pod, Quantities, Resources
from yunchi_operator.api.kinds import LabelSelector
from yunchi_operator.api.quantities import amount, parse

CLASS_ANNOTATION: Final = "volume.beta.kubernetes.io/storage-class"
"""The old way to name a class; where it is, it wins."""
CSI_DRIVERS: Final = {
    "kubernetes.io/aws-ebs": "ebs.csi.aws.com",
    "kubernetes.io/azure-disk": "disk.csi.azure.com",
    "kubernetes.io/cinder": "cinder.csi.openstack.org",
    "kubernetes.io/gce-pd": "pd.csi.storage.gke.io",
    "kubernetes.io/portworx-volume": "pxd.portworx.com",
}
"""The driver that serves an in-tree provisioner nowadays."""
_IN_TREE: Final = (
    ("aws_elastic_block_store", "ebs.csi.aws.com", "volumeID"),
    ("azure_disk", "disk.csi.azure.com", "diskURI"),
    ("cinder", "cinder.csi.openstack.org", "volumeID"),
    ("gce_persistent_disk", "pd.csi.storage.gke.io", "pdName"),
    ("portworx_volume", "pxd.portworx.com", "volumeID"),
)
"""In-tree disks: the field, the driver that attaches them nowadays, and what identifies one."""


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


class Attachment(NamedTuple):
    """A volume that a CSI driver attaches to a node, which has room for a certain number of them."""

    driver: str
    handle: str


class VolumeNodeAffinity(_View, frozen=True):
    """The nodes from which a volume can be reached."""

    required: NodeSelector | None = None


class ClaimRef(_View, frozen=True):
    """The claim that a volume is bound to, or kept for: then it may have no uid yet."""

    name: str = ""
    namespace: str = ""
    uid: str = ""


class CSISource(_View, frozen=True):
    """A volume of a CSI driver."""

    driver: str = ""
    volume_handle: str = ""


class VolumeSpec(_View, frozen=True):
    """What a PersistentVolume is, who may claim it, and what binds it to nodes.

    Of the in-tree disks only the presence matters: a CSI driver attaches them nowadays.
    """

    capacity: Quantities = {}
    access_modes: tuple[str, ...] = ()
    storage_class_name: str = ""
    volume_mode: str | None = None
    volume_attributes_class_name: str | None = None
    local: HostPath | None = None
    host_path: HostPath | None = None
    csi: CSISource | None = None
    aws_elastic_block_store: dict[str, object] | None = None
    azure_disk: dict[str, object] | None = None
    cinder: dict[str, object] | None = None
    gce_persistent_disk: dict[str, object] | None = None
    portworx_volume: dict[str, object] | None = None
    claim_ref: ClaimRef | None = None
    node_affinity: VolumeNodeAffinity | None = None


class PhaseStatus(_View, frozen=True):
    """Where a volume or a claim is in its life; "" is Pending."""

    phase: str = ""


class PersistentVolume(_View, frozen=True):
    """A PersistentVolume."""

    metadata: ObjectMeta
    spec: VolumeSpec = VolumeSpec()
    status: PhaseStatus = PhaseStatus()

    @property
    def is_local(self) -> bool:
        """Whether the data is on a node's own disk."""
        return self.spec.local is not None or self.spec.host_path is not None

    @property
    def class_name(self) -> str:
        """Its StorageClass, or ""."""
        return self.metadata.annotations.get(CLASS_ANNOTATION, self.spec.storage_class_name)

    @property
    def size(self) -> Fraction:
        """Bytes; raises ``ValueError`` as ``quantities.parse``."""
        return parse(self.spec.capacity.get("storage", "0"))

    @property
    def attachment(self) -> Attachment | None:
        """What attaching it takes of a node's room for volumes."""
        if (csi := self.spec.csi) is not None:
            return Attachment(csi.driver, csi.volume_handle) if csi.driver and csi.volume_handle else None
        inside = (one for field, one, _ in _IN_TREE if getattr(self.spec, field) is not None)
        return next((Attachment(driver, self.metadata.name) for driver in inside), None)


class ClaimSpec(_View, frozen=True):
    """What a claim asks for; ``volume_name`` is the volume that it has, or wants and no other."""

    access_modes: tuple[str, ...] = ()
    resources: Resources = Resources()
    selector: LabelSelector | None = None
    storage_class_name: str | None = None
    volume_attributes_class_name: str | None = None
    volume_mode: str | None = None
    volume_name: str = ""


class PersistentVolumeClaim(_View, frozen=True):
    """A PersistentVolumeClaim."""

    metadata: ObjectMeta
    spec: ClaimSpec = ClaimSpec()
    status: PhaseStatus = PhaseStatus()

    @property
    def key(self) -> str:
        """``namespace/name``."""
        return f"{self.metadata.namespace or 'default'}/{self.metadata.name}"

    @property
    def class_name(self) -> str:
        """Its StorageClass, or ""."""
        return self.metadata.annotations.get(CLASS_ANNOTATION, self.spec.storage_class_name or "")

    @property
    def size(self) -> Fraction:
        """Bytes that it requests; raises ``ValueError`` as ``quantities.parse``."""
        return parse(self.spec.resources.requests.get("storage", "0"))


class TopologyRequirement(_View, frozen=True):
    """A node label and its permitted values."""

    key: str = ""
    values: tuple[str, ...] = ()


class TopologyTerm(_View, frozen=True):
    """Requirements that must all hold."""

    match_label_expressions: tuple[TopologyRequirement, ...] = ()


class StorageClass(_View, frozen=True):
    """A StorageClass."""

    metadata: ObjectMeta
    provisioner: str = ""
    volume_binding_mode: str = "Immediate"
    allowed_topologies: tuple[TopologyTerm, ...] = ()


class VolumeCount(_View, frozen=True):
    """How many volumes of a driver a node can hold; None means any number."""

    count: int | None = None


class CSINodeDriver(_View, frozen=True):
    """A CSI driver that runs on a node."""

    name: str = ""
    allocatable: VolumeCount | None = None


class CSINodeSpec(_View, frozen=True):
    """The drivers of a node."""

    drivers: tuple[CSINodeDriver, ...] = ()


class CSINode(_View, frozen=True):
    """A CSINode, named as its node."""

    metadata: ObjectMeta
    spec: CSINodeSpec = CSINodeSpec()


class CSIDriverSpec(_View, frozen=True):
    """Whether the driver tells what room is left where."""

    storage_capacity: bool | None = None


class CSIDriver(_View, frozen=True):
    """A CSIDriver, named as the provisioner of its classes."""

    metadata: ObjectMeta
    spec: CSIDriverSpec = CSIDriverSpec()


class CSIStorageCapacity(_View, frozen=True):
    """The room that is left for volumes of a class on the nodes that ``node_topology`` selects (None: on none)."""

    metadata: ObjectMeta
    storage_class_name: str = ""
    capacity: str | int | float | None = None
    maximum_volume_size: str | int | float | None = None
    node_topology: LabelSelector | None = None

    @property
    def largest(self) -> int:
        """Bytes of the largest volume that can be made; -1 if that is not told, or cannot be read."""
        limit = self.capacity if self.maximum_volume_size is None else self.maximum_volume_size
        try:
            return -1 if limit is None else amount(limit)
        except ValueError:
            return -1


class InlineDisk(NamedTuple):
    """A disk that a pod names itself; pods with equal disks may conflict on a node."""

    name: str
    read_only: bool


def inline_disks(pod: Pod) -> Iterator[InlineDisk]:
    """The disks of a pod that may not be shared at will: the kinds that kube-scheduler 1.36 compares.

    An RBD image counts once for each of its monitors: pods conflict if they have one in common.
    """
    for volume in pod.spec.volumes:
        if (disk := volume.gce_persistent_disk) is not None:
            yield InlineDisk(f"gce {disk.get('pdName', '')}", disk.get("readOnly") is True)
        if (disk := volume.aws_elastic_block_store) is not None:
            yield InlineDisk(f"aws {disk.get('volumeID', '')}", read_only=False)
        if (disk := volume.iscsi) is not None:
            yield InlineDisk(f"iscsi {disk.get('iqn', '')}", disk.get("readOnly") is True)
        if (disk := volume.rbd) is not None:
            image, monitors = f"{disk.get('pool') or 'rbd'} {disk.get('image', '')}", disk.get("monitors")
            for monitor in monitors if isinstance(monitors, list | tuple) else ():
                yield InlineDisk(f"rbd {monitor} {image}", disk.get("readOnly") is True)


def inline_attachments(pod: Pod) -> Iterator[Attachment]:
    """The disks of a pod that a CSI driver attaches in place of the in-tree plugin."""
    for volume in pod.spec.volumes:
        for field, driver, key in _IN_TREE:
            if (disk := getattr(volume, field, None)) is not None:
                yield Attachment(driver, str(disk.get(key, "")))


_decode_pod = msgspec.json.Decoder(_Pod).decode


def host_path_of(pod: msgspec.Raw | memoryview | Mapping[str, Any]) -> str:
    """The first folder of its node that a pod mounts, or "" if it mounts none."""
    read = msgspec.convert(pod, _Pod) if isinstance(pod, Mapping) else _decode_pod(pod)
    return next((volume.host_path.path for volume in read.spec.volumes if volume.host_path is not None), "")
