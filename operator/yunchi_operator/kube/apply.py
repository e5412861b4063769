"""Server-side apply that writes only what differs.

An object is read first and left alone when all that is wanted is there and nothing that we once applied is left over:
``managedFields`` tells what we own. So a restart or a resync changes no resourceVersion.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from yunchi_operator.api.names import API_VERSION, FIELD_MANAGER_OPERATOR
from yunchi_operator.api.quantities import parse
from yunchi_operator.kube import paths
from yunchi_operator.kube.client import APPLY_PATCH, ApiError, KubeClient

Plain = dict[str, Any]
_IDENTITY: Final = frozenset({"apiVersion", "kind"})
_METADATA: Final = ("labels", "annotations")


async def read(client: KubeClient, path: str) -> Plain | None:
    """The object at that path, or None when there is none.

    Raises:
        ApiError: for any other answer than the object or 404.
    """
    try:
        body = await client.request("GET", path)
    except ApiError as error:
        if error.status == 404:
            return None
        raise
    found: Plain = msgspec.json.decode(body)
    return found


async def apply_object(client: KubeClient, desired: Plain, *, manager: str = FIELD_MANAGER_OPERATOR) -> bool:
    """Make the object on the server hold what is desired; fields of others stay.

    Args:
        client: of the server.
        desired: a whole manifest of a kind that :mod:`yunchi_operator.kube.paths` knows.
        manager: field manager; conflicts are forced, as these objects are ours.

    Returns:
        Whether something was written.

    Raises:
        ApiError: when the server refuses or is not reached.
    """
    path = paths.of_object(desired)
    live = await read(client, path)
    if live is not None and holds(live, desired, manager):
        return False
    await _apply(client, path, desired, manager)
    return True


async def apply_status(
    client: KubeClient,
    kind: str,
    namespace: str,
    name: str,
    status: Plain,
    *,
    uid: str,
    manager: str = FIELD_MANAGER_OPERATOR,
) -> Plain:
    """Write the whole status of one of our objects; the caller has compared before.

    Args:
        client: of the server.
        kind: one of ours.
        namespace: of the object; empty for a cluster-wide one.
        name: of the object.
        status: everything that we say; what is left out, null or empty and was ours goes.
        uid: of the object that was decided about; the write is refused (409) if another took its name meanwhile.
        manager: field manager.

    Returns:
        The object after the write.

    Raises:
        ApiError: when the server refuses or is not reached; an object that is gone gives 404, it is never created.
    """
    metadata = {"name": name, "uid": uid} | ({"namespace": namespace} if namespace else {})
    body = {"apiVersion": API_VERSION, "kind": kind, "metadata": metadata, "status": without_empty(status)}
    return await _apply(client, paths.ours(kind, namespace, name) + "/status", body, manager)


def without_empty(value: Any) -> Any:
    """The value without keys that hold null, an empty mapping or an empty list.

    Server-side apply writes null for a mapping whose last key goes while the mapping itself stays, and schemas refuse
    that; and optional fields are not nullable.
    """
    if isinstance(value, dict):
        inner = {key: without_empty(part) for key, part in value.items()}
        return {key: part for key, part in inner.items() if part is not None and part not in ({}, [])}
    if isinstance(value, list | tuple):
        return [without_empty(part) for part in value]
    return value


async def _apply(client: KubeClient, path: str, body: Plain, manager: str) -> Plain:
    query = {"fieldManager": manager, "force": "true"}
    answer = await client.request("PATCH", path, body=body, query=query, content_type=APPLY_PATCH)
    written: Plain = msgspec.json.decode(answer)
    return written


def holds(live: Plain, desired: Plain, manager: str) -> bool:
    """Whether an apply of ``desired`` would change nothing in ``live``."""
    wanted = {key: value for key, value in desired.items() if key not in _IDENTITY and key != "metadata"}
    labels = {key: desired["metadata"].get(key, {}) for key in _METADATA}
    metadata = live.get("metadata", {})
    if any(metadata.get(kind, {}).get(key) != text for kind in _METADATA for key, text in labels[kind].items()):
        return False
    if not _contains(live, wanted):
        return False
    owned = _owned(live, manager)
    leaves = _leaves(wanted | {"metadata": {kind: texts for kind, texts in labels.items() if texts}})
    return owned == {_as_owned(leaf, owned) for leaf in leaves}


def _contains(live: object, wanted: object) -> bool:
    """Whether all of ``wanted`` is in ``live``; servers drop empty values and respell quantities."""
    if isinstance(wanted, Mapping):
        known = live if isinstance(live, Mapping) else {}
        return all(_contains(known.get(key), value) for key, value in wanted.items())
    if isinstance(wanted, list):
        there = live if isinstance(live, list) else []
        return len(there) == len(wanted) and all(map(_contains, there, wanted))
    return live == wanted or _same_amount(live, wanted)


def _same_amount(live: object, wanted: object) -> bool:
    """Whether two scalars are the same quantity in different spelling, such as 2, "2" and "2000m"."""
    if not isinstance(live, str | int) or not isinstance(wanted, str | int):
        return False
    try:
        return parse(live) == parse(wanted)
    except ValueError:
        return False


def _leaves(value: Plain, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Paths of everything that is no mapping; lists count as one value, as in the kinds that are applied here."""
    for key, inner in value.items():
        if isinstance(inner, Mapping) and inner:
            yield from _leaves(dict(inner), (*path, key))
        else:
            yield (*path, key)


def _as_owned(leaf: tuple[str, ...], owned: set[tuple[str, ...]]) -> tuple[str, ...]:
    """The path under which a leaf is owned: mappings such as ``roleRef`` are owned as a whole."""
    return next((leaf[:end] for end in range(1, len(leaf)) if leaf[:end] in owned), leaf)


def _owned(live: Plain, manager: str) -> set[tuple[str, ...]]:
    """Paths of the fields that our last apply owns."""
    entries = live.get("metadata", {}).get("managedFields", [])
    owned: set[tuple[str, ...]] = set()
    for entry in entries:
        if entry.get("manager") == manager and entry.get("operation") == "Apply" and not entry.get("subresource"):
            owned.update(_field_paths(entry.get("fieldsV1", {})))
    return owned


def _field_paths(fields: Plain, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for key, inner in fields.items():
        if not key.startswith("f:"):
            continue  # "." and the items of associative lists, which end at the list's own path
        here = (*path, key.removeprefix("f:"))
        below = {name: value for name, value in inner.items() if name.startswith("f:")}
        if below:
            yield from _field_paths(below, here)
        else:
            yield here
