"""Series follow the objects, from scrape to scrape."""

from prometheus_client import generate_latest

from support.tenants import department, request
from yunchi_operator.api.conditions import Verdict, merge, parse_timestamp
from yunchi_operator.api.kinds import (
    CloudTenancy,
    CloudTenancySpec,
    CloudTenancyStatus,
    Inventory,
    Kind,
    Metadata,
    TenancySource,
)
from yunchi_operator.telemetry.operator_metrics import OperatorMetrics, Pulse


def tenancy() -> CloudTenancy:
    verdict = Verdict("Ready", "True", "Observed", "")
    conditions = merge((), [verdict], generation=1, now=parse_timestamp("2026-01-01T00:00:00Z"))
    inventory = Inventory(nodes=3, workloads=4, cpu="96", memory="192Gi", cpu_used="1500m")
    return CloudTenancy(
        metadata=Metadata(name="nj"),
        spec=CloudTenancySpec(division="320100", source=TenancySource()),
        status=CloudTenancyStatus(conditions=conditions, inventory=inventory),
    )


def test_states_are_told_and_go_with_their_objects() -> None:
    grant = request(granted={"cpu": "1500m", "memory": "1Gi"}, granted_generation=1)
    objects: list[Kind] = [tenancy(), department("tax-a"), grant, request(granted={"cpu": "500m"})]
    metrics = OperatorMetrics(lambda: objects, lambda: Pulse(2.5, lease_held=True, events_dropped=0))
    metrics.reconciled("Department", "success", 0.01)
    metrics.api_error("Conflict")

    text = generate_latest(metrics.registry).decode()
    for line in (
        'yunchi_condition{kind="CloudTenancy",name="nj",namespace="",reason="Observed",status="True",type="Ready"} 1.0',
        'yunchi_tenancy_cpu_cores{division="320100",tenancy="nj"} 96.0',
        'yunchi_tenancy_memory_bytes{division="320100",tenancy="nj"} 2.06158430208e+11',
        'yunchi_tenancy_cpu_used_cores{division="320100",tenancy="nj"} 1.5',
        'yunchi_quota_granted{department="tax",resource="cpu"} 2.0',
        'yunchi_quota_requests{state="New"} 2.0',
        "yunchi_lease_held 1.0",
        "yunchi_last_event_age_seconds 2.5",
        'yunchi_reconcile_total{kind="Department",result="success"} 1.0',
        'yunchi_api_errors_total{reason="Conflict"} 1.0',
        "yunchi_build_info{version=",
    ):
        assert line in text, line
    assert "yunchi_tenancy_memory_used_bytes{" not in text

    objects.clear()
    text = generate_latest(metrics.registry).decode()
    assert "tenancy=" not in text
    assert "yunchi_condition{" not in text
