"""Approval: whether it counts, and if not, why; bound to the object that it was first about."""

from __future__ import annotations

from yunchi_operator.api.kinds import ApprovalStatus, QuotaRequest
from yunchi_operator.handlers.context import Context
from yunchi_operator.handlers.store import Key, Store
from yunchi_operator.quota import approvals, requests, tiers


async def reconcile(context: Context, key: Key) -> float | None:
    """Bring an Approval's status up to date."""
    approval = context.store.approvals.get(key)
    if approval is None:
        return None
    target = approval.spec.target
    request = context.store.requests.named(target.name, target.namespace)
    required = _required(context.store, request) if request is not None else ()
    siblings = context.store.approvals.where(target.namespace, target.name)
    verdict = approvals.judge(approval, request, required, siblings)
    status = ApprovalStatus(
        conditions=context.conditions(approval, [verdict]),
        observed_generation=approval.metadata.generation,
        target_uid=approvals.bind(approval, request),
    )
    await context.write_status(approval, status)
    return None


def _required(store: Store, request: QuotaRequest) -> tuple[str, ...]:
    department = requests.department_of(request.metadata.namespace, store.departments)
    if department is None:
        return ()
    return tiers.required(request.spec.resources, department.spec.division, store.divisions_by_code()).codes
