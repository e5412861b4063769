"""How volumes restrict where a pod may run, as kube-scheduler 1.36 sees it. Pure: objects in, a verdict out.

Rules of VolumeBinding, VolumeZone, VolumeRestrictions and what NodeVolumeLimits counts. What the live scheduler must
write before it binds a pod whose verdict is ``unsettled``, once it has a node (kube-scheduler does the same):

1. For each claim that ``choose`` gave a volume, update that PersistentVolume as ``volume_claims.prebinding`` says,
   with its resourceVersion, so that another writer's change is a conflict and not lost.
2. For each other claim of ``to_select``, set the annotation ``volume.kubernetes.io/selected-node`` to the node's name.
3. Wait (kube-scheduler: 600 s) until every claim has ``spec.volumeName`` and the annotation
   ``pv.kubernetes.io/bind-completed``: the volume controller or the provisioner binds, never the scheduler. If
   meanwhile the selected node vanishes from a claim (provisioning failed there), a volume loses its claimRef, or its
   affinity does not match the node, the pod must be placed anew. Then bind the pod.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Final, NamedTuple

from yunchi_operator.api.core import Pod
from yunchi_operator.api.volumes import (
    CSI_DRIVERS,
    Attachment,
    CSIDriver,
    CSINode,
    CSIStorageCapacity,
    PersistentVolume,
    PersistentVolumeClaim,
    StorageClass,
    inline_attachments,
    inline_disks,
)
from yunchi_operator.scheduling.volume_matching import (
    Terms,
    affinity_terms,
    any_holds,
    candidates,
    room_terms,
    topology_terms,
    union,
    zone_terms,
)
from yunchi_operator.scheduling.volume_uses import (
    SELECTED_NODE,
    Use,
    described,
    is_bound,
    provisions,
    quoted,
    uses_of,
)
from yunchi_placement import NodeTerm, Requirement

_AFFINITY: Final = "node(s) didn't match PersistentVolume's node affinity"
_ZONES: Final = "node(s) had no available volume zone"
_NO_VOLUME: Final = "node(s) didn't find available persistent volumes to bind"
_NO_ROOM: Final = "node(s) did not have enough free storage"
_GONE: Final = "node(s) unavailable due to one or more pvc(s) bound to non-existent pv(s)"


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why no node may have a pod: a short rule, kube-scheduler's words, and what a person can do."""

    rule: str
    message: str
    fix: str


@dataclass(frozen=True, slots=True)
class VolumeVerdict:
    """What a pod's volumes ask. The fields of the last group hold for running and refused pods too.

    Attributes:
        alternatives: of each entry one term must match the node; see ``volume_claims.constrained``.
        words: kube-scheduler's reason for a node that does not match, entry by entry.
        refusal: why no node will do at present, or None.
        to_select: claims to be provisioned on the chosen node, unless ``choose`` finds a volume there.
        waits: claims that are being provisioned, for the node that ``selected`` tells: the pod must go there.
        candidates: by unbound claim, the volumes that it could take; not empty: ask ``choose`` before binding.
        exclusive: ReadWriteOncePod claims, as ``claim:namespace/name``; see ``volume_claims.in_use``. Also
            at most one of the waiting pods that share such a name may be placed at a time, whatever the nodes.
        groups, avoids: for the engine's item: disks that conflict on a node, but not read-only with read-only.
        attachments: volumes that count against ``Storage.limits`` of the node, the same volume of two pods once.
    """

    alternatives: tuple[Terms, ...] = ()
    words: tuple[str, ...] = ()
    refusal: Refusal | None = None
    to_select: tuple[str, ...] = ()
    waits: tuple[str, ...] = ()
    selected: Mapping[str, str] = field(default_factory=dict)
    candidates: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    exclusive: frozenset[str] = frozenset()
    groups: frozenset[str] = frozenset()
    avoids: frozenset[str] = frozenset()
    attachments: frozenset[Attachment] = frozenset()

    @property
    def unsettled(self) -> bool:
        """Whether claims must be bound before the pod is."""
        return bool(self.to_select or self.waits or self.candidates)

    @property
    def rivals(self) -> bool:
        """Whether claims of the pod compete for a volume: then only ``choosable`` tells the nodes exactly."""
        return any(times > 1 for times in Counter(one for some in self.candidates.values() for one in some).values())

    def why_not(self, name: str, labels: Mapping[str, str]) -> str | None:
        """Why a node of that name and those labels does not do, in kube-scheduler's words; None if it does."""
        pairs = zip(self.alternatives, self.words, strict=True)
        return next((words for terms, words in pairs if not any_holds(terms, name, labels)), None)


class _Want(NamedTuple):
    """An unbound claim, the volumes that it could take with the nodes that reach them, and where one can be made."""

    key: str
    volumes: tuple[tuple[str, Terms | None], ...]
    provision: tuple[Terms | None, ...]


class _Ask(NamedTuple):
    """Nodes of which one is asked for, and kube-scheduler's reason for the others."""

    terms: Terms | None
    words: str


@dataclass(frozen=True)
class Storage:
    """All that is known of storage; the mappings may be live stores, which are only read.

    Without ``drivers`` and ``capacities`` free room is not looked at, as kube-scheduler does for drivers that do not
    tell it.
    """

    claims: Mapping[str, PersistentVolumeClaim] = field(default_factory=dict)
    volumes: Mapping[str, PersistentVolume] = field(default_factory=dict)
    classes: Mapping[str, StorageClass] = field(default_factory=dict)
    csi_nodes: Mapping[str, CSINode] = field(default_factory=dict)
    drivers: Mapping[str, CSIDriver] = field(default_factory=dict)
    capacities: Mapping[str, CSIStorageCapacity] = field(default_factory=dict)

    def judge(self, pod: Pod) -> VolumeVerdict:
        """What a pod's volumes ask; takes time in proportion to the volumes if a claim waits for its first consumer.

        Whatever cannot be read becomes a refusal that names the claim.
        """
        uses = uses_of(pod)
        verdict = _own(pod, self, uses)
        refusal = next(self._refusals(pod, uses), None)
        if refusal is not None:
            return replace(verdict, refusal=refusal)
        for use, claim in ((use, self.claims[use.key]) for use in uses):
            try:
                verdict = self._bound(verdict, use, claim) if is_bound(claim) else self._delayed(verdict, claim)
            except ValueError as error:
                message = f"persistentvolumeclaim {quoted(claim.metadata.name)} cannot be read: {error}"
                refusal = Refusal("volumes:claim-invalid", message, f"correct claim {claim.key}")
                return replace(verdict, refusal=refusal)
        return verdict

    def limits(self, node: str) -> dict[str, int]:
        """How many volumes of each driver a node holds; a driver that is not named has no limit."""
        listed = self.csi_nodes[node].spec.drivers if node in self.csi_nodes else ()
        return {
            one.name: one.allocatable.count
            for one in listed
            if one.allocatable is not None and one.allocatable.count is not None
        }

    def choose(
        self, pod: Pod, name: str, labels: Mapping[str, str], taken: frozenset[str] = frozenset()
    ) -> dict[str, str] | None:
        """The volume to bind for each unbound claim on a node: the smallest that fits, none for two claims.

        Args:
            pod: the pod to be placed.
            name: the node's name.
            labels: the node's labels.
            taken: volumes promised to other pods and not yet written.

        Returns:
            Volume names by claim, without the claims that are to be provisioned; None if the node does not do, or
            ``judge`` refuses the pod. Where bound volumes can be reached from is not looked at again.
        """
        wants = self._wants(pod)
        return None if wants is None else _chosen(wants, name, labels, taken)

    def choosable(self, pod: Pod, nodes: Mapping[str, Mapping[str, str]], taken: frozenset[str] = frozenset()) -> Terms:
        """One more entry for ``constrained``: by name, the nodes (labels by name) where ``choose`` succeeds."""
        wants = self._wants(pod)
        if wants is None:
            return ()
        names = tuple(name for name, labels in nodes.items() if _chosen(wants, name, labels, taken) is not None)
        return _named(names) if names else ()

    def _wants(self, pod: Pod) -> list[_Want] | None:
        """The unbound claims of a pod, smallest first; None if it cannot be placed at all."""
        uses = uses_of(pod)
        if next(self._refusals(pod, uses), None) is not None:
            return None
        claims = [claim for claim in (self.claims[use.key] for use in uses) if not is_bound(claim)]
        try:
            return [
                _Want(
                    claim.key,
                    tuple((one.metadata.name, affinity_terms(one)) for one in self._possible(claim)),
                    tuple(ask.terms for ask in self._provision(claim)),
                )
                for claim in sorted(claims, key=lambda one: one.size)
            ]
        except ValueError:
            return None

    def _possible(self, claim: PersistentVolumeClaim) -> tuple[PersistentVolume, ...]:
        """The volumes that an unbound claim could take: none once a node is selected to make one for it."""
        return () if SELECTED_NODE in claim.metadata.annotations else candidates(claim, self.volumes.values())

    def _bound(self, verdict: VolumeVerdict, use: Use, claim: PersistentVolumeClaim) -> VolumeVerdict:
        volume = self.volumes[claim.spec.volume_name]
        zones = None if use.ephemeral else zone_terms(volume)  # kube-scheduler's VolumeZone skips ephemeral volumes
        return _asking(verdict, claim, _Ask(affinity_terms(volume), _AFFINITY), _Ask(zones, _ZONES))

    def _delayed(self, verdict: VolumeVerdict, claim: PersistentVolumeClaim) -> VolumeVerdict:
        """What a claim asks that waits for its first consumer: a volume at hand, or a node where one can be made."""
        key, node = claim.key, claim.metadata.annotations.get(SELECTED_NODE)
        possible, provision = self._possible(claim), self._provision(claim)
        reached = [affinity_terms(volume) for volume in possible]
        if None not in reached:  # else every node reaches one of them
            known = [term for terms in reached for term in terms or ()]
            asks = [ask._replace(terms=union((*known, *ask.terms))) for ask in provision if ask.terms is not None]
            verdict = _asking(verdict, claim, *asks)
        if possible:
            names = tuple(volume.metadata.name for volume in possible)
            verdict = replace(verdict, candidates={**verdict.candidates, key: names})
        if not provisions(self.classes[claim.class_name]):
            return verdict
        if node is None:
            return replace(verdict, to_select=(*verdict.to_select, key))
        return replace(verdict, waits=(*verdict.waits, key), selected={**verdict.selected, key: node})

    def _provision(self, claim: PersistentVolumeClaim) -> tuple[_Ask, ...]:
        """Where a volume can be made for a claim."""
        storage_class = self.classes[claim.class_name]
        if not provisions(storage_class):
            return (_Ask((), _NO_VOLUME),)
        node = claim.metadata.annotations.get(SELECTED_NODE)
        there = None if node is None else _named((node,))
        driver = self.drivers.get(storage_class.provisioner)
        tells = driver is not None and driver.spec.storage_capacity is True
        room = room_terms(claim, claim.class_name, self.capacities.values()) if tells else None
        return (
            _Ask(there, _NO_VOLUME),
            _Ask(topology_terms(storage_class), _NO_VOLUME),
            _Ask(room, _NO_ROOM),
        )

    def _refusals(self, pod: Pod, uses: Iterable[Use]) -> Iterator[Refusal]:
        """In the order in which kube-scheduler's plugins look; read the first only: the next presume it away."""
        uses = list(uses)
        for use in uses:
            if not use.ephemeral and use.key not in self.claims:
                yield Refusal(
                    "volumes:claim-missing",
                    f"persistentvolumeclaim {quoted(use.name)} not found",
                    f"create claim {use.key}, or correct its name in the pod",
                )
        for use in uses:
            yield from _unusable(pod, use, self.claims.get(use.key))
        for claim in (self.claims[use.key] for use in uses):
            if not is_bound(claim) and (why := self._why_not_delayed(claim)):
                rule, fix = why
                yield Refusal(rule, "pod has unbound immediate PersistentVolumeClaims", fix)
        for use, claim in ((use, self.claims[use.key]) for use in uses):
            if is_bound(claim) and claim.spec.volume_name not in self.volumes:
                yield Refusal(
                    "volumes:volume-missing",
                    _GONE if use.ephemeral else f"persistentvolume {quoted(claim.spec.volume_name)} not found",
                    f"restore the volume, or delete claim {claim.key} and create it anew without its data",
                )

    def _why_not_delayed(self, claim: PersistentVolumeClaim) -> tuple[str, str] | None:
        """Rule and remedy of an unbound claim that the scheduler may not bind itself."""
        name, wanted = claim.class_name, claim.spec.volume_name
        if wanted:
            return "volumes:claim-unbound", f"see why claim {claim.key} is not bound yet to volume {wanted}"
        if not name:
            return "volumes:claim-unbound", f"create a volume that fits claim {claim.key}, or give it a StorageClass"
        if name not in self.classes:
            return "volumes:class-missing", f"create StorageClass {name}, or name another in claim {claim.key}"
        if self.classes[name].volume_binding_mode == "WaitForFirstConsumer":
            return None
        return (
            "volumes:claim-unbound",
            f"wait until claim {claim.key} is bound; kubectl describe pvc tells what it lacks",
        )


def _unusable(pod: Pod, use: Use, claim: PersistentVolumeClaim | None) -> Iterator[Refusal]:
    """What is wrong with a claim itself."""
    name = quoted(use.name)
    if claim is None:
        message = f"waiting for ephemeral volume controller to create the persistentvolumeclaim {name}"
        yield Refusal("volumes:claim-awaited", message, f"wait; if it lasts, see whether a quota forbids {use.key}")
        return
    if claim.status.phase == "Lost":
        message = (
            f"persistentvolumeclaim {name} bound to non-existent persistentvolume {quoted(claim.spec.volume_name)}"
        )
        fix = f"restore the volume, or delete claim {use.key} and create it anew without its data"
        yield Refusal("volumes:claim-lost", message, fix)
    if claim.metadata.deletion_timestamp is not None:
        message = f"persistentvolumeclaim {name} is being deleted"
        yield Refusal("volumes:claim-deleted", message, f"create claim {use.key} anew once it is gone")
    if use.ephemeral and not any(
        one.controller and one.uid == pod.metadata.uid for one in claim.metadata.owner_references
    ):
        message = f"PVC {use.key} was not created for pod {pod.key} (pod is not owner)"
        yield Refusal(
            "volumes:claim-foreign", message, f"rename or delete claim {use.key}, so that the pod's own can be"
        )


def _asking(verdict: VolumeVerdict, claim: PersistentVolumeClaim, *asks: _Ask) -> VolumeVerdict:
    """With further entries, each once; one that no node can match refuses the pod."""
    entries = dict(zip(verdict.alternatives, verdict.words, strict=True))
    refusal = verdict.refusal
    for terms, words in asks:
        if terms is not None:
            entries.setdefault(terms, words)
        if terms == () and refusal is None:
            rule = "volumes:no-room" if words == _NO_ROOM else "volumes:no-volume"
            refusal = Refusal(
                rule, words, f"see what claim {claim.key} asks for ({described(claim)}) and what there is"
            )
    return replace(verdict, alternatives=tuple(entries), words=tuple(entries.values()), refusal=refusal)


# -- reading ----------------------------------------------------------------------------------------------------------


def _own(pod: Pod, storage: Storage, uses: list[Use]) -> VolumeVerdict:
    """What holds of a pod wherever it is."""
    claims = [(use, storage.claims[use.key]) for use in uses if use.key in storage.claims]
    taken = (_attachment(claim, storage) for _, claim in claims)
    disks = list(inline_disks(pod))
    return VolumeVerdict(
        exclusive=frozenset(
            f"claim:{use.key}"
            for use, claim in claims
            if not use.ephemeral and "ReadWriteOncePod" in claim.spec.access_modes
        ),
        groups=frozenset(f"disk:{disk.name}" for disk in disks),
        avoids=frozenset(f"disk:{disk.name}" for disk in disks if not disk.read_only),
        attachments=frozenset(inline_attachments(pod)) | {one for one in taken if one is not None},
    )


def _attachment(claim: PersistentVolumeClaim, storage: Storage) -> Attachment | None:
    """What a claim takes of a node's room for volumes; before it has a volume, its class tells the driver."""
    volume = storage.volumes.get(claim.spec.volume_name)
    if volume is not None:
        return volume.attachment
    storage_class = storage.classes.get(claim.class_name)
    if storage_class is None or not provisions(storage_class):
        return None
    provisioner = storage_class.provisioner
    return Attachment(CSI_DRIVERS.get(provisioner, provisioner), f"claim {claim.key}")


def _chosen(
    wants: Iterable[_Want], name: str, labels: Mapping[str, str], taken: frozenset[str]
) -> dict[str, str] | None:
    """Volume by claim, each claim taking the first that is left and can be reached; greedily, as kube-scheduler."""
    found: dict[str, str] = {}
    for want in wants:
        left = taken.union(found.values())
        fitting = (one for one, terms in want.volumes if one not in left and any_holds(terms, name, labels))
        volume = next(fitting, None)
        if volume is not None:
            found[want.key] = volume
        elif not all(any_holds(terms, name, labels) for terms in want.provision):
            return None
    return found


def _named(names: tuple[str, ...]) -> Terms:
    """Nodes by name."""
    return (NodeTerm(fields=(Requirement("metadata.name", "In", names),)),)
