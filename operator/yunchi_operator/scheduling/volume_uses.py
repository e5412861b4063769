"""The claims that a pod uses, and what can be read of a claim by itself."""

from __future__ import annotations

from typing import Final, NamedTuple

from yunchi_operator.api.core import Pod
from yunchi_operator.api.volumes import PersistentVolumeClaim, StorageClass

SELECTED_NODE: Final = "volume.kubernetes.io/selected-node"
BIND_COMPLETED: Final = "pv.kubernetes.io/bind-completed"
NO_PROVISIONER: Final = "kubernetes.io/no-provisioner"


class Use(NamedTuple):
    """A claim that a pod uses; an ephemeral one is made for the pod and named after it."""

    key: str
    name: str
    ephemeral: bool


def uses_of(pod: Pod) -> list[Use]:
    """The claims of a pod, each once."""
    space = pod.metadata.namespace or "default"
    uses: dict[str, Use] = {}
    for volume in pod.spec.volumes:
        if volume.persistent_volume_claim is not None:
            name = volume.persistent_volume_claim.claim_name
            uses.setdefault(f"{space}/{name}", Use(f"{space}/{name}", name, ephemeral=False))
        elif volume.ephemeral is not None:
            name = f"{pod.metadata.name}-{volume.name}"
            uses.setdefault(f"{space}/{name}", Use(f"{space}/{name}", name, ephemeral=True))
    return list(uses.values())


def is_bound(claim: PersistentVolumeClaim) -> bool:
    """Whether a claim has its volume for good."""
    return bool(claim.spec.volume_name) and BIND_COMPLETED in claim.metadata.annotations


def provisions(storage_class: StorageClass) -> bool:
    """Whether volumes of a class are made on demand."""
    return storage_class.provisioner not in ("", NO_PROVISIONER)


def described(claim: PersistentVolumeClaim) -> str:
    """What a claim asks for, for people."""
    spec = claim.spec
    size = spec.resources.requests.get("storage", "any size")
    return f"class {claim.class_name or 'none'}, {size}, {', '.join(spec.access_modes) or 'any access'}"


def quoted(text: str) -> str:
    """In the quotes that kube-scheduler uses."""
    return f'"{text}"'
