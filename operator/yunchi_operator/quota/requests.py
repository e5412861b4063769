"""The state of a quota request, from its spec, its approvals and the time.

A grant outlives an edit of the spec until the new generation is decided, so its amount and end are kept in the status:
what was approved stays as it was approved, whatever the spec says by now.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from yunchi_operator.api.conditions import Truth, Verdict, parse_timestamp
from yunchi_operator.api.kinds import Approval, ApprovedBy, Department, Division, QuotaRequest, ResourceList
from yunchi_operator.quota import amounts, approvals, tiers


@dataclass(frozen=True, slots=True)
class Grant:
    """What a request adds to the quota.

    Attributes:
        resources: quantities; empty when nothing is granted.
        generation: of the spec that was approved, or None.
        until: when it ends (RFC 3339), or None.
    """

    resources: ResourceList
    generation: int | None = None
    until: str | None = None

    def ended(self, now: datetime) -> bool:
        """Whether its time is over."""
        return self.until is not None and parse_timestamp(self.until) <= now


NOTHING = Grant({})
_TRUTHS: dict[str, Truth] = {"Granted": "True", "Pending": "Unknown"}


@dataclass(frozen=True, slots=True)
class RequestState:
    """What is to be said about a request.

    Attributes:
        verdicts: conditions ``Ready`` and ``Approved``.
        required: codes of the divisions that must approve.
        approved_by: those that did.
        grant: what the request adds to the quota now.
        changes_at: when this state will change by itself, or None.
    """

    verdicts: tuple[Verdict, ...]
    required: tuple[str, ...]
    approved_by: tuple[ApprovedBy, ...]
    grant: Grant
    changes_at: datetime | None


def department_of(namespace: str, departments: Iterable[Department]) -> Department | None:
    """The department that holds a namespace: wants it, and has got it."""
    for department in departments:
        if namespace in department.spec.namespaces and namespace in department.status.namespaces:
            return department
    return None


def decide(
    request: QuotaRequest,
    department: Department | None,
    divisions: Mapping[str, Division],
    given: Iterable[Approval],
    now: datetime,
) -> RequestState:
    """The state of a request.

    Args:
        request: as read, with its former status.
        department: that holds the request's namespace, or None.
        divisions: all there are, by code.
        given: approvals; those of other requests are passed over.
        now: time of the decision.
    """
    before = _former_grant(request, now)
    if department is None:
        message = f"namespace {request.metadata.namespace} belongs to no Department; ask for one that names it"
        return _state("NotADepartmentNamespace", message, NOTHING, now)
    if _is_over(request, now):
        message = (
            f"spec.until {request.spec.until} has passed; nothing is granted. Set a later date and have it approved"
        )
        return _state("Expired", message, NOTHING, now)
    if not request.spec.requester:
        message = "spec.requester is empty; install the chart's admission policies, then delete and create it anew"
        return _state("Pending", message, before, now)
    needed = tiers.required(request.spec.resources, department.spec.division, divisions)
    if needed.missing is not None:
        message = f"Division {needed.missing}: there is none of that name; ops must create it before anyone can approve"
        return _state("DivisionNotFound", message, before, now, required=needed.codes)
    said = approvals.count(given, request, needed.codes)
    return _decided(request, needed.codes, said, before, now)


def _decided(
    request: QuotaRequest, required: tuple[str, ...], said: approvals.Decision, before: Grant, now: datetime
) -> RequestState:
    generation = request.metadata.generation
    kept = f"; what generation {before.generation} was granted stays" if before.generation else ""
    if said.rejected_by is not None:
        no = said.rejected_by.spec
        grant = NOTHING if before.generation == generation else before
        comment = f": {no.comment}" if no.comment else ""
        message = f"{no.approver} of division {no.division} said no{comment}{kept if grant is before else ''}"
        return _state("Rejected", message, grant, now, required=required, approved_by=said.approved_by)
    missing = [code for code in required if code not in {yes.division for yes in said.approved_by}]
    if not missing or before.generation == generation:
        grant = Grant(amounts.write(amounts.read(request.spec.resources)), generation, request.spec.until)
        approved_by = said.approved_by if not missing else request.status.approved_by
        return _granted(grant, required, approved_by, now)
    message = (
        f"waiting for division {missing[0]} ({len(required) - len(missing)} of {len(required)} have approved): "
        f"somebody with the verb approve on divisions/{missing[0]} must create an Approval of generation "
        f"{generation}{kept}"
    )
    return _state("WaitingForApproval", message, before, now, required=required, approved_by=said.approved_by)


def _granted(
    grant: Grant, required: tuple[str, ...], approved_by: tuple[ApprovedBy, ...], now: datetime
) -> RequestState:
    told = ", ".join(f"{name} {quantity}" for name, quantity in grant.resources.items())
    message = f"granted: {told}" + (f" until {grant.until}" if grant.until else "")
    return _state("Granted", message, grant, now, required=required, approved_by=approved_by)


def _state(
    reason: str,
    message: str,
    grant: Grant,
    now: datetime,
    *,
    required: tuple[str, ...] = (),
    approved_by: tuple[ApprovedBy, ...] = (),
) -> RequestState:
    truth = _TRUTHS.get(reason, "False")
    approved = Verdict("Approved", truth, "Approved" if truth == "True" else reason, message)
    ends = parse_timestamp(grant.until) if grant.until else None
    changes_at = ends if ends is not None and ends > now else None
    return RequestState((Verdict("Ready", truth, reason, message), approved), required, approved_by, grant, changes_at)


def _former_grant(request: QuotaRequest, now: datetime) -> Grant:
    status = request.status
    if status.granted_generation is None:
        return NOTHING
    grant = Grant(status.granted, status.granted_generation, status.granted_until)
    return NOTHING if grant.ended(now) else grant


def _is_over(request: QuotaRequest, now: datetime) -> bool:
    return request.spec.until is not None and parse_timestamp(request.spec.until) <= now
