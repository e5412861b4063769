"""Which Approvals count for a request, and why the others are void."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from yunchi_operator.api.conditions import Verdict, parse_timestamp
from yunchi_operator.api.kinds import Approval, ApprovedBy, QuotaRequest


@dataclass(frozen=True, slots=True)
class Decision:
    """What the approvers have said about a request's present generation.

    Attributes:
        approved_by: one entry for each required division that said yes, in the order of the tiers.
        rejected_by: the approval that said no, or None; one no decides.
    """

    approved_by: tuple[ApprovedBy, ...]
    rejected_by: Approval | None


def judge(
    approval: Approval, request: QuotaRequest | None, required: Sequence[str], others: Iterable[Approval] = ()
) -> Verdict:
    """The ``Ready`` condition of one approval: ``Counted``, or the reason why it is void.

    Args:
        approval: to be judged.
        request: the object that its target names now, or None.
        required: codes of the divisions that must approve the request.
        others: further approvals; those about the same request decide whether its approver has spoken already.
    """
    alone = _judge_alone(approval, request, required)
    former = (
        _former_yes(approval, request, required, others) if request is not None and alone.status == "True" else None
    )
    if former is None:
        return alone
    spec = approval.spec
    message = (
        f"spec.approver {spec.approver} has approved {_name(approval)} for division {former.spec.division} already; "
        f"somebody else must decide for division {spec.division}"
    )
    return _void("SameApprover", message)


def _judge_alone(approval: Approval, request: QuotaRequest | None, required: Sequence[str]) -> Verdict:
    """The verdict without a look at the other approvals."""
    target = approval.spec.target
    name = _name(approval)
    if request is None:
        return _void("TargetNotFound", f"spec.target: there is no {name}; create an Approval for one that exists")
    reason = _void_for_target(approval, request, name)
    if reason is not None:
        return reason
    if approval.spec.approver == request.spec.requester:
        message = f"spec.approver {approval.spec.approver} asked for {name}; somebody else must decide about it"
        return _void("OwnRequest", message)
    if target.generation != request.metadata.generation:
        now = request.metadata.generation
        message = f"spec.target.generation is {target.generation}, {name} is at {now}; look again and approve that"
        return _void("StaleGeneration", message)
    if required and approval.spec.division not in required:
        message = f"spec.division {approval.spec.division}: {name} needs {', '.join(required)} only; nothing to be done"
        return _void("NotRequired", message)
    return Verdict("Ready", "True", "Counted", f"{approval.spec.decision} counts for {name}")


def _name(approval: Approval) -> str:
    target = approval.spec.target
    return f"{target.kind} {target.namespace}/{target.name}"


def _former_yes(
    approval: Approval, request: QuotaRequest, required: Sequence[str], others: Iterable[Approval]
) -> Approval | None:
    """The same person's first yes, if that was for another tier: two tiers are two people, or they are one tier."""
    if approval.spec.decision != "Approve":
        return None
    said = [
        other
        for other in (*others, approval)
        if (other.spec.approver, other.spec.decision) == (approval.spec.approver, "Approve")
        and targets(other, request)
        and _judge_alone(other, request, required).status == "True"
    ]
    first = min(said, key=_order, default=approval)
    return first if first.spec.division != approval.spec.division else None


def _order(approval: Approval) -> tuple[str, str]:
    return (approval.metadata.creation_timestamp, approval.metadata.name)


def _void_for_target(approval: Approval, request: QuotaRequest, name: str) -> Verdict | None:
    """Why the approval is about another object than the one that bears the name now."""
    bound = approval.status.target_uid
    if bound is not None and bound != request.metadata.uid:
        message = f"spec.target: this {name} is a later one of the same name; create an Approval for it"
        return _void("WrongTarget", message)
    if parse_timestamp(approval.metadata.creation_timestamp) < parse_timestamp(request.metadata.creation_timestamp):
        message = f"spec.target: {name} was created after this Approval; create another, having looked at it"
        return _void("OlderThanTarget", message)
    return None


def bind(approval: Approval, request: QuotaRequest | None) -> str | None:
    """The uid for ``status.targetUID``: that of the first object that the approval was really about."""
    bound = approval.status.target_uid
    if bound is not None or request is None or _void_for_target(approval, request, "") is not None:
        return bound
    return request.metadata.uid


def targets(approval: Approval, request: QuotaRequest) -> bool:
    """Whether the approval names this request."""
    target = approval.spec.target
    place = (target.kind, target.namespace, target.name)
    return place == ("QuotaRequest", request.metadata.namespace, request.metadata.name)


def count(approvals: Iterable[Approval], request: QuotaRequest, required: Sequence[str]) -> Decision:
    """What the approvals that count say together.

    Args:
        approvals: any; those of other requests are passed over.
        request: that they are about.
        required: codes of the divisions that must approve it, in order.
    """
    given = sorted((approval for approval in approvals if targets(approval, request)), key=_order)
    counted = [approval for approval in given if judge(approval, request, required, given).status == "True"]
    yes: dict[str, ApprovedBy] = {}
    for approval in counted:
        spec = approval.spec
        if spec.decision == "Approve" and spec.division not in yes:
            yes[spec.division] = ApprovedBy(
                division=spec.division, approver=spec.approver, approval=approval.metadata.name
            )
    no = next((approval for approval in counted if approval.spec.decision == "Reject"), None)
    return Decision(tuple(yes[code] for code in required if code in yes), no)


def _void(reason: str, message: str) -> Verdict:
    return Verdict("Ready", "False", reason, message)
