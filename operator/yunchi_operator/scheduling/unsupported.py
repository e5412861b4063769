"""Hard rules of kube-scheduler that this version cannot honour yet: such a pod is never placed, and told why."""

from __future__ import annotations

from typing import Final

from yunchi_operator.api.core import Pod, Volume
from yunchi_operator.api.names import GPU_MILLI

PREFIX: Final = "unsupported:"
NAMESPACE_SELECTOR: Final = "namespace-selector"
VOLUMES: Final = "volumes"
RESOURCE_CLAIMS: Final = "resource-claims"
SCHEDULING_GROUP: Final = "scheduling-group"
CARD_SHARE: Final = "card-share"

# In a department's namespace the policy turns default-scheduler, which is also what an empty field means, into yunchi.
_ELSEWHERE = "or name another scheduler in spec.schedulerName (in a department's namespace any but default-scheduler)"
REMEDIES: Final[dict[str, str]] = {
    NAMESPACE_SELECTOR: "give the Namespace objects too (kubectl get namespaces -o yaml), or list names in namespaces",
    VOLUMES: f"do without volumes that may be tied to nodes, {_ELSEWHERE}",
    RESOURCE_CLAIMS: f"ask for an extended resource instead of a claim, {_ELSEWHERE}",
    CARD_SHARE: f"ask for less than 1000 {GPU_MILLI} (a share of one card), or for whole thousands",
    SCHEDULING_GROUP: f"remove the scheduling group, {_ELSEWHERE}",
}
"""What helps, by rule."""


def own_rule(pod: Pod) -> str | None:
    """The first hard rule of the pod's own spec that is not modelled."""
    spec = pod.spec
    if spec.resource_claims:
        return RESOURCE_CLAIMS
    if spec.scheduling_group is not None:
        return SCHEDULING_GROUP
    if any(_binds(volume) for volume in spec.volumes):
        return VOLUMES
    return None


def _binds(volume: Volume) -> bool:
    """Whether kube-scheduler looks at nodes because of this volume (claims, zonal disks, exclusive disks)."""
    sources = (
        volume.persistent_volume_claim,
        volume.ephemeral,
        volume.gce_persistent_disk,
        volume.aws_elastic_block_store,
        volume.azure_disk,
        volume.cinder,
        volume.iscsi,
        volume.rbd,
    )
    return any(source is not None for source in sources)
