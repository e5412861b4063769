"""The operator's metrics: counters of its work, and its objects' states as they are at the moment of the scrape.

States come from a collector and not from gauges, so that nothing is left behind when an object goes.
"""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

from prometheus_client import CollectorRegistry, Counter, GCCollector, Histogram, PlatformCollector, ProcessCollector
from prometheus_client.core import GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.registry import Collector

from yunchi_operator.api.conditions import find
from yunchi_operator.api.kinds import CloudTenancy, Department, Kind, QuotaRequest
from yunchi_operator.api.quantities import parse

_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


@dataclass(frozen=True, slots=True)
class Pulse:
    """How the process is, at the moment of the scrape."""

    silence_seconds: float
    lease_held: bool
    events_dropped: int


class OperatorMetrics:
    """Counters, on a registry of their own.

    Args:
        objects: gives all objects of our kinds.
        pulse: gives the state of the process.
    """

    def __init__(self, objects: Callable[[], Iterable[Kind]], pulse: Callable[[], Pulse]) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        GCCollector(registry=self.registry)
        self.registry.register(StateCollector(objects, pulse))
        self._reconciles = Counter(
            "yunchi_reconcile", "Reconciles by kind and result.", ["kind", "result"], registry=self.registry
        )
        self._durations = Histogram(
            "yunchi_reconcile_duration_seconds",
            "Time of a reconcile.",
            ["kind"],
            buckets=_BUCKETS,
            registry=self.registry,
        )
        self._api_errors = Counter(
            "yunchi_api_errors",
            "Requests that the API server refused or did not answer.",
            ["reason"],
            registry=self.registry,
        )

    def reconciled(self, kind: str, result: str, seconds: float) -> None:
        """Count a reconcile."""
        self._reconciles.labels(kind, result).inc()
        self._durations.labels(kind).observe(seconds)

    def api_error(self, reason: str) -> None:
        """Count a refused or unanswered request."""
        self._api_errors.labels(reason).inc()


class StateCollector(Collector):
    """Turns objects into series when asked."""

    def __init__(self, objects: Callable[[], Iterable[Kind]], pulse: Callable[[], Pulse]) -> None:
        self._objects = objects
        self._pulse = pulse

    def describe(self) -> Iterable[Metric]:
        """Nothing: otherwise registering would already read the objects."""
        return []

    def collect(self) -> Iterator[Metric]:
        """All series."""
        objects = list(self._objects())
        pulse = self._pulse()
        yield InfoMetricFamily("yunchi_build", "Version of this process.", value={"version": _version()})
        yield _single("yunchi_last_event_age_seconds", "Since the last watch event or resync.", pulse.silence_seconds)
        yield _single("yunchi_lease_held", "Whether this replica acts.", float(pulse.lease_held))
        yield _single("yunchi_events_dropped", "Events that could not be posted.", float(pulse.events_dropped))
        yield _conditions(objects)
        yield from _requests([one for one in objects if isinstance(one, QuotaRequest)], objects)
        yield from _tenancies([one for one in objects if isinstance(one, CloudTenancy)])


def _version() -> str:
    try:
        return version("yunchi")
    except PackageNotFoundError:  # run from a source tree that is not installed
        return "unknown"


def _single(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(name, text, value=value)


def _conditions(objects: Iterable[Kind]) -> Metric:
    labels = ["kind", "namespace", "name", "type", "status", "reason"]
    family = GaugeMetricFamily("yunchi_condition", "1 for the present state of each condition.", labels=labels)
    for one in objects:
        place = [type(one).__name__, one.metadata.namespace, one.metadata.name]
        for condition in one.status.conditions:
            family.add_metric([*place, condition.type, condition.status, condition.reason], 1)
    return family


def _requests(requests: list[QuotaRequest], objects: Iterable[Kind]) -> Iterator[Metric]:
    states = GaugeMetricFamily("yunchi_quota_requests", "Quota requests by state.", labels=["state"])
    ready = (find(request.status.conditions, "Ready") for request in requests)
    for state, count in sorted(Tally(condition.reason if condition else "New" for condition in ready).items()):
        states.add_metric([state], count)
    yield states
    holders = {
        namespace: one.metadata.name
        for one in objects
        if isinstance(one, Department)
        for namespace in one.status.namespaces
    }
    sums: dict[tuple[str, str], float] = {}
    for request in requests:
        department = holders.get(request.metadata.namespace)
        for resource, quantity in request.status.granted.items() if department else ():
            key = (department or "", resource)
            sums[key] = sums.get(key, 0.0) + float(parse(quantity))
    granted = GaugeMetricFamily(
        "yunchi_quota_granted", "Granted on top of the base quota, in base units.", labels=["department", "resource"]
    )
    for labels, amount in sorted(sums.items()):
        granted.add_metric(labels, amount)
    yield granted


_TENANCY_FIELDS = (
    ("yunchi_tenancy_nodes", "Nodes or hosts of a cloud.", "nodes"),
    ("yunchi_tenancy_workloads", "Workloads of a cloud.", "workloads"),
    ("yunchi_tenancy_cpu_cores", "Processor cores of a cloud.", "cpu"),
    ("yunchi_tenancy_memory_bytes", "Memory of a cloud.", "memory"),
    ("yunchi_tenancy_cpu_requested_cores", "Cores asked for, where known.", "cpu_requested"),
    ("yunchi_tenancy_memory_requested_bytes", "Memory asked for, where known.", "memory_requested"),
    ("yunchi_tenancy_cpu_used_cores", "Cores in use, where known.", "cpu_used"),
    ("yunchi_tenancy_memory_used_bytes", "Memory in use, where known.", "memory_used"),
)


def _tenancies(tenancies: list[CloudTenancy]) -> Iterator[Metric]:
    for name, text, field in _TENANCY_FIELDS:
        family = GaugeMetricFamily(name, text, labels=["tenancy", "division"])
        for tenancy in tenancies:
            value = getattr(tenancy.status.inventory, field, None)
            if value is not None:
                family.add_metric([tenancy.metadata.name, tenancy.spec.division], float(parse(value)))
        yield family
