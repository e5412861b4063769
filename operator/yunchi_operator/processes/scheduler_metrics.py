"""The scheduler's metrics: counters and histograms fed by the loop, gauges read from its state at scrape time."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib.metadata import version

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.metrics_core import GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.registry import Collector

SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
WAITS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0)


@dataclass(frozen=True, slots=True)
class PoolGauges:
    """One NodePool's figures: amounts by resource in base units (cores, bytes, counts), nodes by state."""

    allocatable: Mapping[str, float]
    requested: Mapping[str, float]
    nodes: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Reading:
    """What the gauges show at one moment."""

    pending: Mapping[str, int] = field(default_factory=dict)
    unplaceable: Mapping[str, int] = field(default_factory=dict)
    pools: Mapping[str, PoolGauges] = field(default_factory=dict)
    watch_ages: Mapping[str, float] = field(default_factory=dict)
    lease_held: bool = False
    left_to_others: int = 0
    solver_age: float | None = None


class SchedulerMetrics:
    """Everything ``/metrics`` shows, in a registry of its own."""

    def __init__(self, read: Callable[[], Reading]) -> None:
        self.registry = CollectorRegistry()
        self.binds = Counter("yunchi_bind", "Bindings by how they ended.", ["result"], registry=self.registry)
        self.bind_seconds = Histogram(
            "yunchi_bind_duration_seconds",
            "Time of one Binding request.",
            buckets=SECONDS,
            registry=self.registry,
        )
        self.pod_seconds = Histogram(
            "yunchi_pod_scheduling_duration_seconds",
            "From a pod's creation to its binding.",
            buckets=WAITS,
            registry=self.registry,
        )
        self.solves = Counter(
            "yunchi_solve", "Solves by how they ended.", ["objective", "status"], registry=self.registry
        )
        self.solve_seconds = Histogram(
            "yunchi_solve_duration_seconds",
            "Time of one solve, transport to the worker process included.",
            buckets=SECONDS,
            registry=self.registry,
        )
        self.gap = Gauge(
            "yunchi_solve_gap_ratio",
            "Distance of the last solve's value from its proven bound.",
            registry=self.registry,
        )
        self.preemptions = Counter(
            "yunchi_preemptions", "Pods evicted for pods of higher priority.", registry=self.registry
        )
        self.dropped_events = Counter(
            "yunchi_events_dropped", "Events not written because too many waited.", registry=self.registry
        )
        self.registry.register(_StateCollector(read))


class _StateCollector(Collector):
    """Gauges from the loop's own state, so that nothing stale stays after a deletion."""

    def __init__(self, read: Callable[[], Reading]) -> None:
        self._read = read

    def describe(self) -> Iterable[Metric]:
        """Nothing: the names are fixed, and reading at registration would be too early."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """One moment's reading as metric families."""
        now = self._read()
        info = {"version": version("yunchi"), "process": "scheduler", "python": platform.python_version()}
        yield InfoMetricFamily("yunchi_build", "Version of the running process.", value=info)
        yield _labelled("yunchi_scheduler_pending_pods", "Waiting pods by state.", "state", now.pending)
        yield _labelled(
            "yunchi_unplaceable", "Waiting pods that a rule keeps from some node, by rule.", "reason", now.unplaceable
        )
        yield from _pools(now.pools)
        yield _labelled(
            "yunchi_watch_last_event_age_seconds",
            "Seconds since the API server was last heard, by watched resource.",
            "resource",
            now.watch_ages,
        )
        yield GaugeMetricFamily(
            "yunchi_lease_held", "1 while this replica is the active one.", value=float(now.lease_held)
        )
        yield GaugeMetricFamily(
            "yunchi_resource_claim_pods",
            "Unfinished pods with resource claims (DRA), which are left to the default scheduler.",
            value=now.left_to_others,
        )
        if now.solver_age is not None:
            yield GaugeMetricFamily(
                "yunchi_solver_last_success_age_seconds",
                "Seconds since the solver last gave an answer.",
                value=now.solver_age,
            )


def _labelled(name: str, text: str, label: str, values: Mapping[str, float]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, text, labels=[label])
    for value, amount in values.items():
        family.add_metric([str(value)], amount)
    return family


def _pools(pools: Mapping[str, PoolGauges]) -> Iterator[Metric]:
    allocatable = GaugeMetricFamily(
        "yunchi_pool_allocatable", "What a pool's nodes offer (cores, bytes, counts).", labels=["pool", "resource"]
    )
    requested = GaugeMetricFamily(
        "yunchi_pool_requested", "What the pods on a pool's nodes request.", labels=["pool", "resource"]
    )
    nodes = GaugeMetricFamily("yunchi_nodes", "Nodes of a pool by state.", labels=["pool", "state"])
    for pool, gauges in pools.items():
        for family, amounts in ((allocatable, gauges.allocatable), (requested, gauges.requested)):
            for resource, amount in amounts.items():
                family.add_metric([pool, resource], amount)
        for state, count in gauges.nodes.items():
            nodes.add_metric([pool, state], count)
    yield from (allocatable, requested, nodes)
