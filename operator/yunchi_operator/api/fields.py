"""The fields that Kubernetes knows in the objects we read, to find typing errors that would silently change a plan.

A test compares the lists with the official client's models, so that a new Kubernetes version shows up there.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Fields:
    """Known field names of one structure, and the structures below it (also when they come in a list)."""

    names: frozenset[str]
    nested: Mapping[str, Fields] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class UnknownField:
    """A field that no version we know has."""

    path: Path
    guess: str | None
    """The known field that was probably meant."""


def _fields(names: str, **nested: Fields) -> Fields:
    return Fields(frozenset(names.split()) | nested.keys(), nested)


_SELECTOR: Final = _fields("matchLabels", matchExpressions=_fields("key operator values"))
_TERM: Final = _fields(
    "namespaces topologyKey matchLabelKeys mismatchLabelKeys", labelSelector=_SELECTOR, namespaceSelector=_SELECTOR
)
_POD_AFFINITY: Final = _fields(
    "",
    requiredDuringSchedulingIgnoredDuringExecution=_TERM,
    preferredDuringSchedulingIgnoredDuringExecution=_fields("weight", podAffinityTerm=_TERM),
)
_TEST: Final = _fields("key operator values")
_NODE_TERM: Final = _fields("", matchExpressions=_TEST, matchFields=_TEST)
_NODE_AFFINITY: Final = _fields(
    "",
    requiredDuringSchedulingIgnoredDuringExecution=_fields("", nodeSelectorTerms=_NODE_TERM),
    preferredDuringSchedulingIgnoredDuringExecution=_fields("weight", preference=_NODE_TERM),
)
_RESOURCES: Final = _fields("requests limits claims")
_CONTAINER: Final = _fields(
    "args command env envFrom image imagePullPolicy lifecycle livenessProbe name readinessProbe resizePolicy"
    " restartPolicy restartPolicyRules securityContext startupProbe stdin stdinOnce terminationMessagePath"
    " terminationMessagePolicy tty volumeDevices volumeMounts workingDir",
    ports=_fields("containerPort hostIP hostPort name protocol"),
    resources=_RESOURCES,
)
_VOLUME: Final = _fields(
    "name awsElasticBlockStore azureDisk azureFile cephfs cinder configMap csi downwardAPI emptyDir ephemeral fc"
    " flexVolume flocker gcePersistentDisk gitRepo glusterfs hostPath image iscsi nfs persistentVolumeClaim"
    " photonPersistentDisk portworxVolume projected quobyte rbd scaleIO secret storageos vsphereVolume"
)
_POD_SPEC: Final = _fields(
    "activeDeadlineSeconds automountServiceAccountToken dnsConfig dnsPolicy enableServiceLinks ephemeralContainers"
    " evictionResponders hostAliases hostIPC hostNetwork hostPID hostUsers hostname hostnameOverride imagePullSecrets"
    " nodeName nodeSelector os overhead preemptionPolicy priority priorityClassName readinessGates restartPolicy"
    " runtimeClassName schedulerName schedulingGroup securityContext serviceAccount serviceAccountName"
    " setHostnameAsFQDN shareProcessNamespace subdomain terminationGracePeriodSeconds workloadRef",
    affinity=_fields("", nodeAffinity=_NODE_AFFINITY, podAffinity=_POD_AFFINITY, podAntiAffinity=_POD_AFFINITY),
    containers=_CONTAINER,
    initContainers=_CONTAINER,
    resourceClaims=_fields("name resourceClaimName resourceClaimTemplateName source podGroupResourceClaim"),
    resources=_RESOURCES,
    schedulingGates=_fields("name"),
    tolerations=_fields("effect key operator tolerationSeconds value"),
    topologySpreadConstraints=_fields(
        "matchLabelKeys maxSkew minDomains nodeAffinityPolicy nodeTaintsPolicy topologyKey whenUnsatisfiable",
        labelSelector=_SELECTOR,
    ),
    volumes=_VOLUME,
)
_POD_STATUS: Final = _fields(
    "allocatedResources conditions containerStatuses ephemeralContainerStatuses extendedResourceClaimStatus hostIP"
    " hostIPs initContainerStatuses message nodeAllocatableResourceClaimStatuses nominatedNodeName"
    " observedGeneration phase podIP podIPs qosClass reason resize resourceClaimStatuses resources startTime"
    " volumeHealth"
)
_NODE_SPEC: Final = _fields(
    "configSource externalID podCIDR podCIDRs podPreemptionPolicy providerID unschedulable",
    taints=_fields("effect key timeAdded value"),
)
_NODE_STATUS: Final = _fields(
    "addresses allocatable capacity config daemonEndpoints declaredFeatures features images nodeInfo phase"
    " runtimeHandlers volumesAttached volumesInUse",
    conditions=_fields("lastHeartbeatTime lastTransitionTime message reason status type"),
)
_META: Final = _fields(
    "annotations creationTimestamp deletionGracePeriodSeconds deletionTimestamp finalizers generateName generation"
    " labels managedFields name namespace resourceVersion selfLink uid",
    ownerReferences=_fields("apiVersion blockOwnerDeletion controller kind name uid"),
)
_POOL_SPEC: Final = _fields(
    "cost zoneKey networkZone",
    nodeSelector=_SELECTOR,
    hardware=_fields("vendor cpuModel architecture"),
    performance=_fields("factor source confidence"),
)

KNOWN: Final[dict[str, Fields]] = {
    "Pod": _fields("apiVersion kind", metadata=_META, spec=_POD_SPEC, status=_POD_STATUS),
    "Node": _fields("apiVersion kind", metadata=_META, spec=_NODE_SPEC, status=_NODE_STATUS),
    "NodePool": _fields("apiVersion kind status", metadata=_META, spec=_POOL_SPEC),
    "Namespace": _fields("apiVersion kind spec status", metadata=_META),
}
"""By kind."""


def tidy(value: Any, known: Fields, path: Path = ()) -> Iterator[UnknownField]:
    """Find unknown fields, and drop nulls in place: to Kubernetes a null field is an absent one."""
    if type(value) is list:
        for index, one in enumerate(value):
            yield from tidy(one, known, (*path, index))
    elif type(value) is dict:
        if None in value.values():
            for key in [key for key, one in value.items() if one is None]:
                del value[key]
        if not value.keys() <= known.names:
            for key in sorted(value.keys() - known.names):
                yield UnknownField((*path, key), closest(key, known.names))
        for key, below in known.nested.items():
            if key in value:
                yield from tidy(value[key], below, (*path, key))


def closest(word: str, known: frozenset[str]) -> str | None:
    """The known word that was probably meant, whatever its case."""
    by_lower = {one.lower(): one for one in sorted(known)}
    found = difflib.get_close_matches(word.lower(), by_lower, n=1, cutoff=0.7)
    return by_lower[found[0]] if found else None
