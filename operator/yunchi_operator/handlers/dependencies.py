"""Which objects a change concerns."""

from __future__ import annotations

from collections.abc import Iterator

from yunchi_operator.api.kinds import Approval, Department, Kind, NodePool, QuotaRequest
from yunchi_operator.handlers.store import Change, Key, Store
from yunchi_operator.quota.ledger import pooled_extended


def concerned(change: Change, store: Store) -> Iterator[Key]:
    """Keys of the other objects whose state may follow from this change (the object itself is not among them)."""
    old, new = change.old, change.new
    match change.key.kind:
        case "Division" if _spec_changed(old, new):
            for shelf in (store.divisions, store.departments, store.requests, store.tenancies):
                yield from (key for key in shelf.every_key() if key != change.key)
        case "Department" if _spec_changed(old, new) or _held(old) != _held(new):
            for namespace in _wanted(old) | _wanted(new) | _held(old) | _held(new):
                yield from _requests_in(namespace, store)
        case "NodePool" if _extended(old) != _extended(new):
            yield from store.departments.every_key()
        case "QuotaRequest":
            yield from _around_request(change, store)
        case "Approval":
            yield from _around_approval(change, store)


def _extended(side: Kind | None) -> frozenset[str]:
    return pooled_extended([side]) if isinstance(side, NodePool) else frozenset()


def _spec_changed(old: Kind | None, new: Kind | None) -> bool:
    if old is None or new is None:
        return True
    return (old.metadata.uid, old.metadata.generation) != (new.metadata.uid, new.metadata.generation)


def _wanted(side: Kind | None) -> set[str]:
    return set(side.spec.namespaces) if isinstance(side, Department) else set()


def _held(side: Kind | None) -> set[str]:
    return set(side.status.namespaces) if isinstance(side, Department) else set()


def _requests_in(namespace: str, store: Store) -> Iterator[Key]:
    for request in store.requests.where(namespace):
        yield Key("QuotaRequest", namespace, request.metadata.name)


def _around_approval(change: Change, store: Store) -> Iterator[Key]:
    for side in (change.old, change.new):
        if isinstance(side, Approval):
            target = side.spec.target
            yield Key("QuotaRequest", target.namespace, target.name)
            if _spec_changed(change.old, change.new):  # whether a person's second yes counts depends on the first
                siblings = store.approvals.where(target.namespace, target.name)
                keys = [Key("Approval", "", sibling.metadata.name) for sibling in siblings]
                yield from (key for key in keys if key != change.key)


def _around_request(change: Change, store: Store) -> Iterator[Key]:
    _, namespace, name = change.key
    if _spec_changed(change.old, change.new) or _tiers(change.old) != _tiers(change.new):
        for approval in store.approvals.where(namespace, name):
            yield Key("Approval", "", approval.metadata.name)
    if _granted(change.old) != _granted(change.new):
        for department in store.departments:
            if namespace in department.spec.namespaces:
                yield Key("Department", "", department.metadata.name)


def _tiers(side: Kind | None) -> tuple[str, ...]:
    return side.status.required_divisions if isinstance(side, QuotaRequest) else ()


def _granted(side: Kind | None) -> dict[str, str | int]:
    if not isinstance(side, QuotaRequest) or side.metadata.deletion_timestamp is not None:
        return {}
    return side.status.granted
