"""Builders of our objects for tests of decisions: plain values, no API server."""

from __future__ import annotations

from typing import Any

from yunchi_operator.api.kinds import (
    Approval,
    ApprovalSpec,
    ApprovalStatus,
    ApprovalTarget,
    ApprovalThreshold,
    Department,
    DepartmentSpec,
    DepartmentStatus,
    Division,
    DivisionSpec,
    Metadata,
    QuotaRequest,
    QuotaRequestSpec,
    QuotaRequestStatus,
    ResourceList,
)

CREATED = "2026-01-01T00:00:00Z"


def division(code: str, parent: str | None = None, level: str = "County", **up_to: str) -> Division:
    return Division(
        metadata=Metadata(name=code, generation=1),
        spec=DivisionSpec(code=code, level=level, parent=parent, approval=ApprovalThreshold(up_to=dict(up_to))),
    )


def department(*namespaces: str, division_code: str = "320102", held: tuple[str, ...] | None = None) -> Department:
    return Department(
        metadata=Metadata(name="tax", generation=1),
        spec=DepartmentSpec(division=division_code, namespaces=namespaces),
        status=DepartmentStatus(namespaces=namespaces if held is None else held),
    )


def request(resources: ResourceList | None = None, *, generation: int = 1, **options: Any) -> QuotaRequest:
    status = {key: options.pop(key) for key in ("granted", "granted_generation", "granted_until") if key in options}
    metadata = Metadata(
        name="more", namespace="tax-a", uid=options.pop("uid", "u1"), generation=generation, creation_timestamp=CREATED
    )
    spec = QuotaRequestSpec(resources=resources or {"cpu": "1"}, requester=options.pop("requester", "li"), **options)
    return QuotaRequest(metadata=metadata, spec=spec, status=QuotaRequestStatus(**status))


def approval(code: str, *, approver: str | None = None, generation: int = 1, **options: Any) -> Approval:
    approver = approver or f"approver-{code}"
    target = ApprovalTarget(namespace="tax-a", name=options.pop("target", "more"), generation=generation)
    created = options.pop("created", CREATED)
    bound = options.pop("bound", None)
    decision = options.pop("decision", "Approve")
    name = options.pop("name", f"{code}-{approver}-{decision.lower()}")
    return Approval(
        metadata=Metadata(name=name, uid=name, generation=1, creation_timestamp=created),
        spec=ApprovalSpec(division=code, approver=approver, target=target, decision=decision, **options),
        status=ApprovalStatus(target_uid=bound),
    )
