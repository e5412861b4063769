"""Whether a pod can be stated to the engine at all, and how: its gang and its volumes are looked up. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import msgspec

from yunchi_operator.api.core import ObjectMeta, Pod
from yunchi_operator.scheduling import unsupported
from yunchi_operator.scheduling.card_shares import is_neither_share_nor_whole
from yunchi_operator.scheduling.facts import GangRef, PodFacts
from yunchi_operator.scheduling.volume_claims import constrained, in_use
from yunchi_operator.scheduling.volumes import Refusal, Storage, VolumeVerdict


class GangPolicy(msgspec.Struct, frozen=True, rename="camel"):
    """All or nothing, from so many members on."""

    min_count: int = 1


class SchedulingPolicy(msgspec.Struct, frozen=True, rename="camel"):
    """``gang``, or else one by one."""

    gang: GangPolicy | None = None


class PodGroupSpec(msgspec.Struct, frozen=True, rename="camel"):
    """How the members are scheduled."""

    scheduling_policy: SchedulingPolicy = SchedulingPolicy()


class PodGroup(msgspec.Struct, frozen=True):
    """A PodGroup of scheduling.k8s.io."""

    metadata: ObjectMeta
    spec: PodGroupSpec = PodGroupSpec()


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A pod that is to be placed but that Yunchi must not place now.

    Attributes:
        rule: such as ``unsupported:<what>`` or ``volumes:claim-missing``.
        fix: what its owner can do.
        message: what kube-scheduler would say, where it has words for it.
    """

    pod: Pod
    rule: str
    fix: str
    message: str = ""


@dataclass(frozen=True, slots=True)
class Stated:
    """A pod with all that was looked up in its facts; ``volumes`` if claims must be bound before the pod is."""

    facts: PodFacts
    volumes: VolumeVerdict | None = None


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What pods refer to.

    Attributes:
        storage: None where nothing is known of it.
        pod_groups: by key.
        users: keys of the pods that use each ReadWriteOncePod claim.
        nodes: labels by node.
    """

    storage: Storage | None = None
    pod_groups: Mapping[str, PodGroup] = field(default_factory=dict)
    users: Mapping[str, frozenset[str]] = field(default_factory=dict)
    nodes: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


def stated(facts: PodFacts, around: Surroundings) -> Stated | LeftOut:
    """Look up what a pending pod refers to, or say why no item may stand for it."""
    if is_neither_share_nor_whole(facts.requests):
        return left_out(facts.pod, unsupported.CARD_SHARE)
    if facts.unsupported:
        return left_out(facts.pod, facts.unsupported)
    group = facts.pod.spec.scheduling_group
    if group is not None and group.pod_group_name:
        found = in_group(facts, around.pod_groups)
        if found is None:
            return left_out(facts.pod, unsupported.SCHEDULING_GROUP)
        facts = found
    return _with_volumes(facts, around) if facts.has_claims else Stated(facts)


def in_group(facts: PodFacts, pod_groups: Mapping[str, PodGroup]) -> PodFacts | None:
    """Facts with the gang that the pod's PodGroup makes; None if there is no such PodGroup."""
    group = facts.pod.spec.scheduling_group
    if group is None or not group.pod_group_name:
        return facts
    key = f"{facts.pod.metadata.namespace or 'default'}/{group.pod_group_name}"
    if key not in pod_groups:
        return None
    policy = pod_groups[key].spec.scheduling_policy.gang
    return facts if policy is None else replace(facts, gang=GangRef(key, max(1, policy.min_count)))


def left_out(pod: Pod, what: str) -> LeftOut:
    """A pod with a rule that cannot be stated."""
    return LeftOut(pod, f"{unsupported.PREFIX}{what}", unsupported.REMEDIES[what])


def _with_volumes(facts: PodFacts, around: Surroundings) -> Stated | LeftOut:
    pod, storage = facts.pod, around.storage
    if storage is None:
        return left_out(pod, unsupported.VOLUMES)
    verdict = storage.judge(pod)
    refusal = verdict.refusal or in_use(pod, verdict, around.users)
    if refusal is not None:
        return _refused(pod, refusal, around)
    alternatives = verdict.alternatives
    if verdict.rivals:
        alternatives += (storage.choosable(pod, around.nodes),)
    constraints = constrained(facts.constraints, alternatives)
    if isinstance(constraints, Refusal):
        return _refused(pod, constraints, around)
    return Stated(replace(facts, constraints=constraints), verdict)


def _refused(pod: Pod, refusal: Refusal, around: Surroundings) -> LeftOut:
    count = len(around.nodes)
    message = f"0/{count} nodes are available: {refusal.message}. {refusal.fix[:1].upper()}{refusal.fix[1:]}."
    return LeftOut(pod, refusal.rule, refusal.fix, message)
