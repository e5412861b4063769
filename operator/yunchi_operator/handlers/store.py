"""The operator's memory of its own kinds, fed by Kopf's events, by lists and by the answers to its own writes.

News can come late and out of order from three sides, so an object only ever moves forward by its resourceVersion, and
what was deleted is remembered until the next full list, or a list under way could bring it back.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, TypeVar

import msgspec

from yunchi_operator.api.kinds import Approval, CloudTenancy, Department, Division, Kind, NodePool, QuotaRequest

log = logging.getLogger(__name__)
K = TypeVar("K", bound=Kind)


class Key(NamedTuple):
    """An object of ours; the namespace is empty for cluster-wide kinds."""

    kind: str
    namespace: str
    name: str


@dataclass(frozen=True, slots=True)
class Change:
    """News about an object: before and after, None where it did not or does not exist."""

    key: Key
    old: Kind | None
    new: Kind | None


def _version(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() else 0


class Shelf(Generic[K]):
    """All objects of one kind, with one index."""

    def __init__(self, kind: type[K], index: Callable[[K], tuple[str, str]] | None = None) -> None:
        self._type = kind
        self.kind = kind.__name__
        self._index_of = index
        self._objects: dict[Key, K] = {}
        self._index: dict[tuple[str, str], set[Key]] = {}
        self._buried: dict[Key, int] = {}

    def __iter__(self) -> Iterator[K]:
        return iter(list(self._objects.values()))

    def every_key(self) -> list[Key]:
        """Keys of all objects."""
        return list(self._objects)

    def get(self, key: Key) -> K | None:
        """The object, or None."""
        return self._objects.get(key)

    def named(self, name: str, namespace: str = "") -> K | None:
        """The object of that name, or None."""
        return self._objects.get(Key(self.kind, namespace, name))

    def where(self, *index: str) -> list[K]:
        """Objects with that value of the index, by name."""
        found = self._index.get((index[0], index[1] if len(index) > 1 else ""), set())
        return [self._objects[key] for key in sorted(found)]

    def put(self, raw: Mapping[str, Any]) -> Change | None:
        """Take in an object as served; None when that is no news or cannot be read."""
        try:
            new = msgspec.convert(raw, type=self._type)
        except msgspec.ValidationError as error:
            metadata = raw.get("metadata") or {}
            log.warning(
                "%s %s/%s: %s; it is passed over", self.kind, metadata.get("namespace"), metadata.get("name"), error
            )
            return None
        key = Key(self.kind, new.metadata.namespace, new.metadata.name)
        old = self._objects.get(key)
        version = _version(new.metadata.resource_version)
        known = _version(old.metadata.resource_version) if old else self._buried.get(key, -1)
        if version <= known:
            return None
        self._buried.pop(key, None)
        self._file(key, old, new)
        return Change(key, old, new)

    def drop(self, key: Key, resource_version: str) -> Change | None:
        """Forget an object that was deleted at that version; None when it was not known."""
        old = self._objects.get(key)
        version = _version(resource_version)
        if old is not None and _version(old.metadata.resource_version) > version:
            return None
        self._buried[key] = version
        if old is None:
            return None
        self._file(key, old, None)
        return Change(key, old, None)

    def replace(self, raws: Iterable[Mapping[str, Any]], resource_version: str) -> list[Change]:
        """Take in a whole list that was read at that version."""
        items = list(raws)
        changes = [change for raw in items if (change := self.put(raw)) is not None]
        listed = {_key_of(self.kind, raw) for raw in items}
        for key in [key for key in self._objects if key not in listed]:
            gone = self.drop(key, resource_version)  # unless it was created after the list was made
            if gone is not None:
                changes.append(gone)
        at = _version(resource_version)
        self._buried = {key: version for key, version in self._buried.items() if version > at}
        return changes

    def _file(self, key: Key, old: K | None, new: K | None) -> None:
        if self._index_of is not None and old is not None:
            self._index.get(self._index_of(old), set()).discard(key)
        if new is None:
            del self._objects[key]
            return
        self._objects[key] = new
        if self._index_of is not None:
            self._index.setdefault(self._index_of(new), set()).add(key)


def _key_of(kind: str, raw: Mapping[str, Any]) -> Key:
    metadata = raw["metadata"]
    return Key(kind, metadata.get("namespace", ""), metadata["name"])


class Store:
    """The shelves of the kinds that the operator looks after, and of NodePools, which it only reads."""

    def __init__(self) -> None:
        self.divisions = Shelf(Division)
        self.departments = Shelf(Department)
        self.requests = Shelf(QuotaRequest, lambda one: (one.metadata.namespace, ""))
        self.approvals = Shelf(Approval, lambda one: (one.spec.target.namespace, one.spec.target.name))
        self.tenancies = Shelf(CloudTenancy)
        self.pools = Shelf(NodePool)
        self._shelves: dict[str, Shelf[Any]] = {
            shelf.kind: shelf
            for shelf in (
                self.divisions,
                self.departments,
                self.requests,
                self.approvals,
                self.tenancies,
                self.pools,
            )
        }

    @property
    def kinds(self) -> list[str]:
        """Names of the kinds."""
        return list(self._shelves)

    def shelf(self, kind: str) -> Shelf[Any]:
        """The shelf of a kind."""
        return self._shelves[kind]

    def every_key(self) -> list[Key]:
        """Keys of all objects of all kinds."""
        return [key for shelf in self._shelves.values() for key in shelf.every_key()]

    def objects(self) -> Iterator[tuple[str, Kind]]:
        """Each object with its kind."""
        for kind, shelf in self._shelves.items():
            for one in shelf:
                yield kind, one

    def take(self, kind: str, event: str | None, raw: Mapping[str, Any]) -> Change | None:
        """Take in a watch event (``ADDED``, ``MODIFIED``, ``DELETED``, or None for the first listing)."""
        if event == "DELETED":
            return self._shelves[kind].drop(_key_of(kind, raw), raw["metadata"].get("resourceVersion", ""))
        return self._shelves[kind].put(raw)

    def divisions_by_code(self) -> dict[str, Division]:
        """All Divisions by their code."""
        return {division.metadata.name: division for division in self.divisions}
