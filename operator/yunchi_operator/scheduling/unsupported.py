"""Hard rules of kube-scheduler that this version cannot honour yet: such a pod is never placed, and told why."""

from __future__ import annotations

from typing import Final

from yunchi_operator.api.core import Pod
from yunchi_operator.api.names import GPU_MILLI

PREFIX: Final = "unsupported:"
NAMESPACE_SELECTOR: Final = "namespace-selector"
VOLUMES: Final = "volumes"
RESOURCE_CLAIMS: Final = "resource-claims"
SCHEDULING_GROUP: Final = "scheduling-group"
CARD_SHARE: Final = "card-share"
CLAIM_TURN: Final = "claim-turn"

# In a department's namespace the policy turns default-scheduler, which is also what an empty field means, into yunchi.
_ELSEWHERE = "or name another scheduler in spec.schedulerName (in a department's namespace any but default-scheduler)"
REMEDIES: Final[dict[str, str]] = {
    NAMESPACE_SELECTOR: "give the Namespace objects too (kubectl get namespaces -o yaml), or list names in namespaces",
    VOLUMES: f"give the claims, volumes and storage classes too (kubectl get pvc,pv,sc -A -o yaml), {_ELSEWHERE}",
    RESOURCE_CLAIMS: f"ask for an extended resource instead of a claim, {_ELSEWHERE}",
    CLAIM_TURN: "wait: another pod that waits, too, uses the same ReadWriteOncePod claim",
    CARD_SHARE: f"ask for less than 1000 {GPU_MILLI} (a share of one card), or for whole thousands",
    SCHEDULING_GROUP: "create the PodGroup that spec.schedulingGroup names, or remove the scheduling group",
}
"""What helps, by rule."""


def own_rule(pod: Pod) -> str | None:
    """The first hard rule of the pod's own spec that is not modelled."""
    spec = pod.spec
    if spec.resource_claims:
        return RESOURCE_CLAIMS
    return None
