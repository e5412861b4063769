"""From a verdict on a pod's volumes to what is done about it: constraints, one user at a time, claims given volumes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Final

from yunchi_operator.api.core import Pod
from yunchi_operator.api.volumes import PersistentVolume, PersistentVolumeClaim
from yunchi_operator.scheduling.volume_matching import Terms, conjunction, is_kept_for
from yunchi_operator.scheduling.volume_uses import uses_of
from yunchi_operator.scheduling.volumes import Refusal, VolumeVerdict
from yunchi_placement import Constraints

BOUND_BY_CONTROLLER: Final = "pv.kubernetes.io/bound-by-controller"
MOST_TERMS: Final = 500
_IN_USE: Final = (
    "node(s) unavailable due to PersistentVolumeClaim with ReadWriteOncePod access mode already in-use by another pod"
)


def constrained(constraints: Constraints, alternatives: tuple[Terms, ...]) -> Constraints | Refusal:
    """Constraints that also ask for one term of each entry; a refusal if that takes more than ``MOST_TERMS`` terms.

    If nothing satisfies all of it, ``required`` is empty, which no node matches.
    """
    if not alternatives:
        return constraints
    entries = list(alternatives)
    if constraints.required is not None:  # an empty term matches no node: it must not be joined to others
        entries.append(tuple(term for term in constraints.required if term.labels or term.fields))
    terms = conjunction(entries, MOST_TERMS)
    if terms is None:
        message = f"node affinity of pod and volumes together is more than {MOST_TERMS} node selector terms"
        return Refusal(
            "volumes:too-many-terms", message, "use fewer volumes, or fewer terms in the pod's node affinity"
        )
    return replace(constraints, required=terms)


def users_of_claims(pods: Iterable[Pod]) -> dict[str, frozenset[str]]:
    """Keys of the pods that have a node and are not finished, by ``claim:namespace/name``; ephemeral claims aside."""
    users: dict[str, set[str]] = {}
    for pod in pods:
        if pod.spec.node_name and pod.status.phase not in ("Succeeded", "Failed"):
            for use in uses_of(pod):
                if not use.ephemeral:
                    users.setdefault(f"claim:{use.key}", set()).add(pod.key)
    return {name: frozenset(keys) for name, keys in users.items()}


def in_use(pod: Pod, verdict: VolumeVerdict, users: Mapping[str, frozenset[str]]) -> Refusal | None:
    """Refuses a pod whose ReadWriteOncePod claim another pod uses; ``users`` are those of ``users_of_claims``."""
    for name in sorted(verdict.exclusive):
        others = sorted(users.get(name, frozenset()) - {pod.key})
        if others:
            fix = (
                f"wait until pod {others[0]} is gone, or give {name.replace(':', ' ', 1)} the access mode ReadWriteOnce"
            )
            return Refusal("volumes:claim-in-use", _IN_USE, fix)
    return None


def prebinding(claim: PersistentVolumeClaim, volume: PersistentVolume) -> dict[str, object]:
    """The merge patch that gives a volume to a claim; empty when the volume has all of it already.

    A volume that a person kept for the claim is not marked as bound by a controller, which would free it.
    """
    patch: dict[str, object] = {}
    kept = is_kept_for(volume, claim)
    if not kept and BOUND_BY_CONTROLLER not in volume.metadata.annotations:
        patch["metadata"] = {"annotations": {BOUND_BY_CONTROLLER: "yes"}}
    if not kept or volume.spec.claim_ref is None or volume.spec.claim_ref.uid != claim.metadata.uid:
        ref = {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "namespace": claim.metadata.namespace or "default",
            "name": claim.metadata.name,
            "uid": claim.metadata.uid,
            "resourceVersion": claim.metadata.resource_version,
        }
        patch["spec"] = {"claimRef": ref}
    return patch
