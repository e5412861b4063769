"""One object of a manifest: quickly from JSON text when it is good, with care and every fault from dictionaries."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import Any, Final, NamedTuple

import msgspec

from yunchi_operator.api import checks, disruption
from yunchi_operator.api.core import Namespace, Node, ObjectMeta, Pod
from yunchi_operator.api.disruption import PodDisruptionBudget
from yunchi_operator.api.fields import KNOWN, Fields, Path, UnknownField, closest, tidy
from yunchi_operator.api.kinds import PLURALS, CloudTenancy, NodePool
from yunchi_operator.api.names import API_VERSION, GROUP
from yunchi_operator.api.shapes import Shapes
from yunchi_operator.api.volumes import PersistentVolume, PersistentVolumeClaim, StorageClass


class ConfigMap(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """A ConfigMap, which may hold a host list."""

    metadata: ObjectMeta
    data: dict[str, str] | None = None


class _Kind(NamedTuple):
    """How a kind is read."""

    version: str
    type: type[Any]
    check: Callable[[Any, Mapping[str, Any]], Iterator[checks.Finding]] | None = None


class Flaw(NamedTuple):
    """A fault of one object: the field's path within it, as users write it, and what to do."""

    path: Path
    field: str
    message: str


_KINDS: Final[dict[str, _Kind]] = {
    "Pod": _Kind("v1", Pod, checks.pod),
    "Node": _Kind("v1", Node, checks.node),
    "Namespace": _Kind("v1", Namespace),
    "PersistentVolume": _Kind("v1", PersistentVolume),
    "PersistentVolumeClaim": _Kind("v1", PersistentVolumeClaim),
    "StorageClass": _Kind("storage.k8s.io/v1", StorageClass),
    "ConfigMap": _Kind("v1", ConfigMap),
    "PodDisruptionBudget": _Kind(disruption.VERSION, PodDisruptionBudget, disruption.check),
    "NodePool": _Kind(API_VERSION, NodePool, checks.pool),
    "CloudTenancy": _Kind(API_VERSION, CloudTenancy),
}
_CLUSTER_WIDE: Final = frozenset({"Node", "NodePool", "Namespace", "PersistentVolume", "StorageClass", "CloudTenancy"})
_META: Final = KNOWN["Pod"].nested["metadata"]
_FIELDS: Final = {**KNOWN, "PodDisruptionBudget": disruption.known_fields(_META)}
"""Of the kinds in which a misspelt field would change a plan unseen."""
_SHAPES: Final = Shapes(_FIELDS)
_DECODE: Final = {kind: msgspec.json.Decoder(one.type).decode for kind, one in _KINDS.items()}
_STEP: Final = re.compile(r"\.([^.\[\]]+)|\[(\d+)\]", re.ASCII)


def is_read(kind: str, version: str) -> bool:
    """Whether such objects have a say in a plan."""
    return kind in _KINDS and _KINDS[kind].version == version


def subject_of(kind: str, name: str, namespace: str) -> str:
    """``Pod default/web``, ``Node n1``."""
    return f"{kind} {name}" if kind in _CLUSTER_WIDE else f"{kind} {namespace or 'default'}/{name}"


def subject_in(kind: str, value: Mapping[str, Any]) -> str:
    """The same of an object that may lack anything."""
    meta = value.get("metadata")
    if not isinstance(meta, dict):
        return f"{kind} without metadata"
    return subject_of(kind, str(meta.get("name") or "without a name"), str(meta.get("namespace") or ""))


def quick(kind: str, raw: msgspec.Raw | memoryview, *, has_status: bool) -> Any | None:
    """The object, or None when it needs care: a fault, a null, a field that is not known."""
    if kind in _FIELDS and not _SHAPES.json_fits(kind, raw):
        return None
    try:
        decoded = _DECODE[kind](raw)
    except (msgspec.DecodeError, RecursionError):
        return None
    check = _KINDS[kind].check
    if not decoded.metadata.name or (check and next(check(decoded, {"status": None} if has_status else {}), None)):
        return None
    return decoded


def careful(kind: str, value: dict[str, Any]) -> tuple[Any | None, list[Flaw]]:
    """The object, tidied, or all its flaws."""
    flaws: list[Flaw] = []
    meant: set[Path] = set()
    for unknown in _unknown_fields(kind, value):
        meant.add((*unknown.path[:-1], unknown.guess or ""))
        hint = f"; did you mean {unknown.guess}?" if unknown.guess else "; remove it"
        flaws.append(Flaw(unknown.path, dotted(unknown.path), f"unknown field{hint}"))
    try:
        decoded = msgspec.convert(value, _KINDS[kind].type)
    except msgspec.ValidationError as error:
        message, where = _split(str(error))
        return None, [*flaws, Flaw(where, dotted(where), message)]
    check = _KINDS[kind].check
    flaws += [
        Flaw(finding.path, dotted(finding.path), finding.message)
        for finding in (check(decoded, value) if check else ())
        if finding.path not in meant  # else it is missing only because it is misspelt, which was said
    ]
    if not decoded.metadata.name:
        flaws.append(Flaw((), "metadata.name", "an object needs a name"))
    return (None if flaws else decoded), flaws


def _unknown_fields(kind: str, value: dict[str, Any]) -> Iterator[UnknownField]:
    known = _FIELDS.get(kind) or Fields(frozenset(value), {"metadata": _META})
    return tidy(value, known)


@lru_cache(maxsize=4096)
def misspelt(kind: str, version: str) -> str | None:
    """A remedy when a kind that we do not read was probably meant to be one that we do."""
    if kind in _KINDS:
        return f"{kind} belongs to apiVersion {_KINDS[kind].version}"
    group = version.partition("/")[0]
    ours = frozenset(PLURALS) if group == GROUP else frozenset({"Pod", "Node"}) if version == "v1" else frozenset()
    guess = closest(kind, ours) if kind not in ours else None
    return f"did you mean {guess}?" if guess else None


def dotted(path: Path) -> str:
    """``spec.containers[0].name``."""
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}"
    return text.lstrip(".")


def _split(text: str) -> tuple[str, Path]:
    """A msgspec message such as "Expected `str`, got `int` - at `$.metadata.name`" to plain words and a path."""
    message, _, at = text.partition(" - at `$")
    steps: list[str | int] = [name or int(index) for name, index in _STEP.findall(at.rstrip("`"))]
    return message.replace("`", "").replace("Expected", "expected", 1) + _quoting(message), tuple(steps)


def _quoting(message: str) -> str:
    return "; put it in quotes" if message.startswith("Expected `str`, got `") else ""
