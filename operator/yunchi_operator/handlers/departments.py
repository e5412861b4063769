"""Department: its namespaces, and what stands in them, are kept as they shall be."""

from __future__ import annotations

from yunchi_operator.api.conditions import Verdict
from yunchi_operator.api.kinds import Department, DepartmentStatus
from yunchi_operator.handlers.context import Context
from yunchi_operator.handlers.store import Key
from yunchi_operator.kube import paths
from yunchi_operator.kube.apply import read
from yunchi_operator.kube.client import ApiError
from yunchi_operator.quota.ledger import grants_of, hard, pooled_extended
from yunchi_operator.tenancy import departments

RETRY_SECONDS = 10.0
"""While a namespace is going away, or the server refuses something that a person must mend."""
_REFUSALS = (400, 403, 409, 422)


class _RefusedError(Exception):
    """The server will not take an object as it is; waiting alone does not help."""


async def reconcile(context: Context, key: Key) -> float | None:
    """Bring a Department's objects and status up to date.

    Returns:
        Seconds after which to look again, or None.
    """
    department = context.store.departments.get(key)
    if department is None or department.metadata.deletion_timestamp is not None:
        return None
    observed = {name: await _observe(context, name) for name in department.spec.namespaces}
    exists = context.store.divisions.named(department.spec.division) is not None
    plan = departments.decide(department, observed, division_exists=exists)
    verdict = plan.verdict
    held = plan.namespaces
    if exists:
        held, refusals = await _apply_all(context, department, plan.namespaces)
        if refusals:
            verdict = Verdict("Ready", "False", "ApplyRefused", "; ".join(refusals))
    status = DepartmentStatus(
        conditions=context.conditions(department, [verdict]),
        observed_generation=department.metadata.generation,
        namespaces=held,
    )
    await context.write_status(department, status)
    return None if verdict.status == "True" or not exists else RETRY_SECONDS


async def _observe(context: Context, name: str) -> departments.ObservedNamespace | None:
    live = await read(context.client, paths.builtin("v1", "Namespace", "", name))
    if live is None:
        return None
    metadata = live["metadata"]
    return departments.ObservedNamespace(metadata.get("labels", {}), "deletionTimestamp" in metadata)


async def _apply_all(
    context: Context, department: Department, namespaces: tuple[str, ...]
) -> tuple[tuple[str, ...], list[str]]:
    """Keep each namespace in order; those that stand, and what the server refused: one must not stop the others."""
    written: list[str] = []
    held: list[str] = []
    refusals: list[str] = []
    for name in namespaces:
        try:
            written += await _apply_one(context, department, name)
        except _RefusedError as refusal:
            refusals.append(str(refusal))
        else:
            held.append(name)
    if written:
        context.record(department, "True", "Applied", f"brought into order: {', '.join(written)}")
    return tuple(held), refusals


async def _apply_one(context: Context, department: Department, name: str) -> list[str]:
    grants = grants_of(name, context.store.requests.where(name))
    limits = hard(department.spec.base_quota, grants, pooled_extended(context.store.pools))
    written = []
    for manifest in (departments.namespace(department, name), *departments.contents(department, name, limits)):
        metadata = manifest["metadata"]
        place = "/".join(filter(None, (metadata.get("namespace"), metadata["name"])))
        try:
            if await context.apply(manifest):
                written.append(f"{manifest['kind']} {place}")
        except ApiError as error:
            if error.status in _REFUSALS:
                raise _RefusedError(f"{manifest['kind']} {place}: {error.message}") from error
            raise
    return written
