"""From manifests to typed objects, with every fault found: pure, so that tests need no files."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, Final

import msgspec

from yunchi_operator.api.core import Namespace, Node, Pod
from yunchi_operator.api.disruption import PodDisruptionBudget
from yunchi_operator.api.fields import Path
from yunchi_operator.api.kinds import CloudTenancy, NodePool
from yunchi_operator.api.objects import (
    ConfigMap,
    Flaw,
    careful,
    is_read,
    misspelt,
    quick,
    subject_in,
    subject_of,
)
from yunchi_operator.api.sharing import Sharing
from yunchi_operator.api.volumes import PersistentVolume, PersistentVolumeClaim, StorageClass, host_path_of

WORKLOADS: Final = frozenset(
    {"Deployment", "ReplicaSet", "StatefulSet", "DaemonSet", "Job", "CronJob", "ReplicationController", "PodTemplate"}
)
"""Kinds that make pods; the pods are what counts."""
MOST_LOCATED: Final = 100
DEEPEST_LIST: Final = 20
"""Lists in Lists; kubectl makes one level."""


class _Outline(msgspec.Struct, rename="camel"):
    """What an object is, its parts unread."""

    kind: str | msgspec.UnsetType = msgspec.UNSET
    api_version: str | msgspec.UnsetType = msgspec.UNSET
    items: list[msgspec.Raw] | msgspec.UnsetType = msgspec.UNSET
    status: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


_outline = msgspec.json.Decoder(_Outline).decode
_NOTHING: Final[Mapping[str, str]] = {}


_KEPT_IN: Final[Mapping[str, str]] = {
    "Node": "nodes",
    "Pod": "pods",
    "NodePool": "pools",
    "PodDisruptionBudget": "budgets",
    "PersistentVolume": "volumes",
    "PersistentVolumeClaim": "claims",
    "StorageClass": "storage_classes",
    "CloudTenancy": "tenancies",
    "ConfigMap": "config_maps",
}
"""The list of the inventory by kind; namespaces are kept otherwise."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where an object was read.

    Attributes:
        source: the file as the user named it, or ``stdin``.
        document: counted from 1.
    """

    source: str
    document: int


@dataclass(frozen=True, slots=True)
class Fault:
    """Something wrong in the input.

    Attributes:
        path: of the field within its document, for finding the line.
        subject: the object, such as ``Pod default/web``, or "".
        field: the field as users write it, within the object.
        line: of the field in the source, where that was looked up.
    """

    origin: Origin
    path: Path
    subject: str
    field: str
    message: str
    line: int | None = None


@dataclass(slots=True)
class Inventory:
    """What was read.

    Attributes:
        namespaces: labels by namespace name.
        host_paths: by pod, the folder of its node that it mounts.
        ignored: number of objects by kind that have no say in placement.
    """

    nodes: list[Node] = field(default_factory=list)
    pods: list[Pod] = field(default_factory=list)
    pools: list[NodePool] = field(default_factory=list)
    budgets: list[PodDisruptionBudget] = field(default_factory=list)
    volumes: list[PersistentVolume] = field(default_factory=list)
    claims: list[PersistentVolumeClaim] = field(default_factory=list)
    storage_classes: list[StorageClass] = field(default_factory=list)
    tenancies: list[CloudTenancy] = field(default_factory=list)
    config_maps: list[ConfigMap] = field(default_factory=list)
    namespaces: dict[str, dict[str, str]] = field(default_factory=dict)
    host_paths: dict[str, str] = field(default_factory=dict)
    ignored: Counter[str] = field(default_factory=Counter)
    faults: list[Fault] = field(default_factory=list)
    objects: int = 0
    _seen: dict[str, Origin] = field(default_factory=dict)
    _sharing: Sharing = field(default_factory=Sharing)

    def add(self, value: Any, origin: Origin, path: Path = (), inherited: Mapping[str, str] = _NOTHING) -> None:
        """Take an object, or a list of them however deep; it is tidied in place.

        Args:
            value: as decoded.
            origin: where its document was read.
            path: where it stands in that document.
            inherited: kind and apiVersion that a typed list gives to its items.
        """
        if not isinstance(value, dict):
            self._fault(origin, path, "", Flaw((), "", f"a Kubernetes object is a mapping, this is {_shown(value)}"))
            return
        kind = value.get("kind", inherited.get("kind"))
        version = value.get("apiVersion", inherited.get("apiVersion"))
        if not isinstance(kind, str) or not isinstance(version, str):
            missing = "kind" if not isinstance(kind, str) else "apiVersion"
            self._fault(origin, path, "", Flaw((), missing, f"no {missing}; is this a Kubernetes manifest?"))
        elif kind.endswith("List") and isinstance(value.get("items"), list | None):
            for index, item in self._listed(value.get("items") or (), origin, path):
                self.add(item, origin, (*path, "items", index), passed_down(kind, version))
        else:
            self.objects += 1
            self._add_object(value, kind, version, origin, path)

    def add_json(
        self, raw: msgspec.Raw | memoryview, origin: Origin, path: Path = (), inherited: Mapping[str, str] = _NOTHING
    ) -> None:
        """The same for JSON text, an object at a time: dictionaries are built only of what has a fault."""
        try:
            outline = _outline(raw)
        except (msgspec.ValidationError, RecursionError):
            outline = _Outline()
        kind = outline.kind or inherited.get("kind")
        version = outline.api_version or inherited.get("apiVersion")
        if not isinstance(kind, str) or not isinstance(version, str):
            self._add_slowly(raw, origin, path, inherited)
        elif kind.endswith("List") and isinstance(outline.items, list):
            below = passed_down(kind, version)
            for index, item in self._listed(outline.items, origin, path):
                self.add_json(item, origin, (*path, "items", index), below)
        elif is_read(kind, version):
            decoded = quick(kind, raw, has_status=outline.status is not msgspec.UNSET)
            if decoded is None:
                self._add_slowly(raw, origin, path, inherited)
            else:
                self.objects += 1
                self._keep(kind, decoded, host_path_of(raw) if kind == "Pod" else "", origin, path)
        elif misspelt(kind, version) is None:
            self.objects += 1
            self.ignored[kind] += 1
        else:
            self._add_slowly(raw, origin, path, inherited)

    def _add_slowly(self, raw: Any, origin: Origin, path: Path, inherited: Mapping[str, str]) -> None:
        try:
            self.add(_decoded(raw), origin, path, inherited)
        except RecursionError:
            self._fault(origin, path, "", Flaw((), "", "nested too deeply"))

    def _listed(self, items: Any, origin: Origin, path: Path) -> Iterator[tuple[int, Any]]:
        if len(path) >= 2 * DEEPEST_LIST:
            self._fault(origin, path, "", Flaw((), "", f"Lists nested deeper than {DEEPEST_LIST} levels"))
        else:
            yield from enumerate(items)

    def _add_object(self, value: dict[str, Any], kind: str, version: str, origin: Origin, path: Path) -> None:
        if not is_read(kind, version):
            guess = misspelt(kind, version)
            if guess is None:
                self.ignored[kind] += 1
            else:
                flaw = Flaw((), "kind", f"unknown kind {kind} in {version}; {guess}")
                self._fault(origin, path, subject_in(kind, value), flaw)
            return
        decoded, flaws = careful(kind, value)
        for flaw in flaws:
            self._fault(origin, path, subject_in(kind, value), flaw)
        if decoded is not None:
            self._keep(kind, decoded, host_path_of(value) if kind == "Pod" else "", origin, path)

    def _keep(self, kind: str, decoded: Any, host_path: str, origin: Origin, path: Path) -> None:
        subject = subject_of(kind, decoded.metadata.name, decoded.metadata.namespace)
        if (first := self._seen.get(subject)) is not None:
            flaw = Flaw(("metadata", "name"), "metadata.name", f"given twice; first in {where(first)}. Remove one")
            self._fault(origin, path, subject, flaw)
            return
        self._seen[subject] = origin
        match decoded:
            case Node():
                self._sharing.node(decoded)
            case Pod():
                self._sharing.pod(decoded)
                if host_path:
                    self.host_paths[decoded.key] = host_path
            case Namespace():
                self.namespaces[decoded.metadata.name] = decoded.metadata.labels
        if (kept := _KEPT_IN.get(kind)) is not None:
            getattr(self, kept).append(decoded)

    def _fault(self, origin: Origin, path: Path, subject: str, flaw: Flaw) -> None:
        self.faults.append(Fault(origin, path + flaw.path, subject, flaw.field, flaw.message))

    def locate(self, since: int, lines: Callable[[list[Path]], Sequence[int | None]]) -> None:
        """Look up the lines of the faults from number ``since`` on, unless there are more than people read."""
        told = self.faults[since:MOST_LOCATED]
        found = lines([fault.path for fault in told]) if told else ()
        self.faults[since : since + len(told)] = [
            replace(fault, line=line) for fault, line in zip(told, found, strict=True)
        ]

    def mark(self) -> Mark:
        """The present state, to come back to."""
        sizes = {one.name: len(getattr(self, one.name)) for one in fields(self) if one.name in _GROWING}
        return Mark(sizes, self.ignored.copy(), self.objects)

    def rewind(self, mark: Mark) -> None:
        """Forget what was added since."""
        for name, size in mark.sizes.items():
            grown = getattr(self, name)
            if isinstance(grown, list):
                del grown[size:]
            while len(grown) > size:
                grown.popitem()
        self.ignored, self.objects = mark.ignored.copy(), mark.objects

    def close(self) -> None:
        """Free what only reading needs."""
        self._seen, self._sharing = {}, Sharing()


@dataclass(frozen=True, slots=True)
class Mark:
    """A state of an inventory."""

    sizes: Mapping[str, int]
    ignored: Counter[str]
    objects: int


_GROWING: Final = {one.name for one in fields(Inventory)} - {"ignored", "objects", "_sharing"}


def _decoded(raw: Any) -> Any:
    """A JSON value that is well-formed; numbers beyond 64 bits are for the checks to refuse, with their field."""
    try:
        return msgspec.json.decode(raw)
    except msgspec.ValidationError:
        return json.loads(bytes(raw))


def passed_down(kind: str, version: str) -> Mapping[str, str]:
    """What a list says of its items: a PodList holds Pods, a List holds anything."""
    return {"kind": kind[:-4], "apiVersion": version} if kind != "List" else _NOTHING


def where(origin: Origin) -> str:
    """``cluster.yaml, document 3``."""
    return f"{origin.source}, document {origin.document}"


def _shown(value: Any) -> str:
    return f"a list of {len(value)}" if isinstance(value, list) else f"{str(value)[:40]!r}"
