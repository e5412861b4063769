"""From decoded manifests to typed objects, with every fault found: pure, so that tests need no files."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from yunchi_operator.api import checks
from yunchi_operator.api.core import Namespace, Node, Pod
from yunchi_operator.api.fields import KNOWN, Path, closest, tidy
from yunchi_operator.api.kinds import PLURALS, NodePool
from yunchi_operator.api.names import GROUP

WORKLOADS: Final = frozenset(
    {"Deployment", "ReplicaSet", "StatefulSet", "DaemonSet", "Job", "CronJob", "ReplicationController", "PodTemplate"}
)
"""Kinds that make pods; the pods are what counts."""
_VERSIONS: Final = {"Pod": "v1", "Node": "v1", "Namespace": "v1", "NodePool": f"{GROUP}/v1alpha1"}
_TYPES: Final[dict[str, type[Any]]] = {"Pod": Pod, "Node": Node, "Namespace": Namespace, "NodePool": NodePool}
_CHECKS: Final[dict[str, Callable[[Any, Mapping[str, Any]], Iterator[checks.Finding]]]] = {
    "Pod": checks.pod,
    "Node": checks.node,
    "NodePool": checks.pool,
}
_STEP: Final = re.compile(r"\.([^.\[\]]+)|\[(\d+)\]", re.ASCII)


@dataclass(frozen=True, slots=True)
class Origin:
    """Where an object was read.

    Attributes:
        source: the file as the user named it, or ``stdin``.
        document: counted from 1.
        line: of the document, or None where the format has none.
    """

    source: str
    document: int
    line: int | None = None


@dataclass(frozen=True, slots=True)
class Fault:
    """Something wrong in the input.

    Attributes:
        path: of the field within its document, for finding the line.
        subject: the object, such as ``Pod default/web``, or "".
        field: the field as users write it, within the object.
    """

    origin: Origin
    path: Path
    subject: str
    field: str
    message: str


@dataclass(slots=True)
class Inventory:
    """What was read.

    Attributes:
        namespaces: labels by namespace name.
        ignored: number of objects by kind that have no say in placement.
    """

    nodes: list[Node] = field(default_factory=list)
    pods: list[Pod] = field(default_factory=list)
    pools: list[NodePool] = field(default_factory=list)
    namespaces: dict[str, dict[str, str]] = field(default_factory=dict)
    ignored: Counter[str] = field(default_factory=Counter)
    faults: list[Fault] = field(default_factory=list)
    objects: int = 0
    _seen: dict[str, Origin] = field(default_factory=dict)

    def add(self, value: Any, origin: Origin) -> None:
        """Take one document: an object, or a list of them however deep. ``value`` is tidied in place."""
        self._add(value, origin, (), {})

    def _add(self, value: Any, origin: Origin, path: Path, inherited: Mapping[str, str]) -> None:
        if not isinstance(value, dict):
            self._fault(origin, path, "", f"a Kubernetes object is a mapping, this is {_shown(value)}")
            return
        kind = value.get("kind", inherited.get("kind"))
        version = value.get("apiVersion", inherited.get("apiVersion"))
        if not isinstance(kind, str) or not isinstance(version, str):
            missing = "kind" if not isinstance(kind, str) else "apiVersion"
            self._fault(origin, path, "", f"no {missing}; is this a Kubernetes manifest?", missing)
        elif kind.endswith("List") and isinstance(value.get("items"), list | None):
            below = {"kind": kind[:-4], "apiVersion": version} if kind != "List" else {}
            for index, item in enumerate(value.get("items") or ()):
                self._add(item, origin, (*path, "items", index), below)
        else:
            self.objects += 1
            self._add_object(value, kind, version, origin, path)

    def _add_object(self, value: dict[str, Any], kind: str, version: str, origin: Origin, path: Path) -> None:
        if _VERSIONS.get(kind) == version:
            self._read(value, kind, origin, path)
            return
        guess = _misspelt(kind, version)
        if guess is None:
            self.ignored[kind] += 1
        else:
            self._fault(origin, path, f"{kind} {_name(value)}", f"unknown kind {kind} in {version}; {guess}", "kind")

    def _read(self, value: dict[str, Any], kind: str, origin: Origin, path: Path) -> None:
        """Decode one object; nothing of it is kept when it has a fault."""
        subject = f"{kind} {_name(value)}"
        before = len(self.faults)
        meant: set[Path] = set()
        for unknown in tidy(value, KNOWN[kind]):
            meant.add((*unknown.path[:-1], unknown.guess or ""))
            hint = f"; did you mean {unknown.guess}?" if unknown.guess else "; remove it"
            self._fault(origin, path + unknown.path, subject, f"unknown field{hint}", _dotted(unknown.path))
        try:
            decoded = msgspec.convert(value, _TYPES[kind])
        except msgspec.ValidationError as error:
            message, where = _split(str(error))
            self._fault(origin, path + where, subject, message, _dotted(where))
            return
        for finding in _CHECKS[kind](decoded, value) if kind in _CHECKS else ():
            if finding.path not in meant:  # else it is missing only because it is misspelt, which was said
                self._fault(origin, path + finding.path, subject, finding.message, _dotted(finding.path))
        if not decoded.metadata.name:
            self._fault(origin, path, subject, "an object needs a name", "metadata.name")
        if len(self.faults) == before:
            self._keep(subject, decoded, origin, path)

    def _keep(self, subject: str, decoded: Any, origin: Origin, path: Path) -> None:
        if (first := self._seen.get(subject)) is not None:
            message = f"given twice; first in {where(first)}. Remove one"
            self._fault(origin, (*path, "metadata", "name"), subject, message, "metadata.name")
            return
        self._seen[subject] = origin
        match decoded:
            case Node():
                self.nodes.append(decoded)
            case Pod():
                self.pods.append(decoded)
            case NodePool():
                self.pools.append(decoded)
            case _:
                self.namespaces[decoded.metadata.name] = decoded.metadata.labels

    def _fault(self, origin: Origin, path: Path, subject: str, message: str, at: str = "") -> None:
        self.faults.append(Fault(origin, path, subject, at, message))


def where(origin: Origin) -> str:
    """``cluster.yaml, document 3``."""
    return f"{origin.source}, document {origin.document}"


def _name(value: Mapping[str, Any]) -> str:
    meta = value.get("metadata")
    if not isinstance(meta, dict):
        return "without metadata"
    name = str(meta.get("name") or "without a name")
    if value.get("kind") in ("Node", "NodePool", "Namespace"):
        return name
    return f"{meta.get('namespace') or 'default'}/{name}"


def _misspelt(kind: str, version: str) -> str | None:
    """A remedy when a kind that we do not read was probably meant to be one that we do."""
    if kind in _VERSIONS:
        return f"{kind} belongs to apiVersion {_VERSIONS[kind]}"
    group = version.partition("/")[0]
    ours = frozenset(PLURALS) if group == GROUP else frozenset({"Pod", "Node"}) if version == "v1" else frozenset()
    guess = closest(kind, ours) if kind not in ours else None
    return f"did you mean {guess}?" if guess else None


def _split(text: str) -> tuple[str, Path]:
    """A msgspec message such as "Expected `str`, got `int` - at `$.metadata.name`" to plain words and a path."""
    message, _, at = text.partition(" - at `$")
    steps: list[str | int] = [name or int(index) for name, index in _STEP.findall(at.rstrip("`"))]
    return message.replace("`", "").replace("Expected", "expected", 1) + _quoting(message), tuple(steps)


def _quoting(message: str) -> str:
    return "; put it in quotes" if message.startswith("Expected `str`, got `") else ""


def _dotted(path: Path) -> str:
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}"
    return text.lstrip(".")


def _shown(value: Any) -> str:
    return f"a list of {len(value)}" if isinstance(value, list) else f"{str(value)[:40]!r}"
