"""QuotaRequest: who must approve, who did, and what is granted; the Department's reconcile sets the quota from it."""

from __future__ import annotations

from yunchi_operator.api.kinds import QuotaRequestStatus
from yunchi_operator.handlers.context import Context
from yunchi_operator.handlers.store import Key
from yunchi_operator.quota import requests


async def reconcile(context: Context, key: Key) -> float | None:
    """Bring a QuotaRequest's status up to date.

    Returns:
        Seconds until the state changes by itself (the grant ends), or None.
    """
    store, now = context.store, context.now()
    request = store.requests.get(key)
    if request is None or request.metadata.deletion_timestamp is not None:
        return None
    department = requests.department_of(key.namespace, store.departments)
    given = store.approvals.where(key.namespace, key.name)
    state = requests.decide(request, department, store.divisions_by_code(), given, now)
    status = QuotaRequestStatus(
        conditions=context.conditions(request, state.verdicts),
        observed_generation=request.metadata.generation,
        required_divisions=state.required,
        approved_by=state.approved_by,
        granted=state.grant.resources,
        granted_generation=state.grant.generation,
        granted_until=state.grant.until,
    )
    await context.write_status(request, status)
    return None if state.changes_at is None else (state.changes_at - now).total_seconds()
