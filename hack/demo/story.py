"""The demo's chapters. Each does one thing with real parts and fails loudly when its promise is not kept."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import cast
import generate
import people
from rich.box import SIMPLE
from rich.table import Table

from controlplane.binaries import Binaries
from controlplane.cluster import ControlPlane, scheduler_configuration
from demo.actors import YunchiProcess, apply, environment_without_kubeconfig, get, get_one, running
from demo.console import DemoFailedError, Narrator, comparison
from demo.figures import Outcome, node_costs, outcome
from yunchi_operator.api.quantities import amount

SYSTEM = cast.SYSTEM_NAMESPACE
YUNCHI = "/apis/yunchi.io/v1alpha1"
PODS = "/api/v1/pods"
QUOTAS = "/api/v1/resourcequotas"
CHART = Path(__file__).resolve().parents[2] / "charts" / "yunchi"


@dataclass(slots=True)
class Stage:
    """What the chapters share."""

    narrator: Narrator
    example: generate.Example
    binaries: Binaries
    pool: ControlPlane
    member: ControlPlane
    folder: Path

    @property
    def workload_pods(self) -> int:
        """How many pods the departments' Deployments want."""
        deployments = [*self.example.workloads, *self.example.growth]
        return sum(deployment["spec"]["replicas"] for deployment in deployments)


def install(stage: Stage) -> None:
    """The chart, by the real helm: CRDs, policies, RBAC; both processes run beside it with its ServiceAccounts."""
    plane = stage.pool
    apply(plane, [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SYSTEM}}])
    # kwok's nodes run no containers, so the Deployments stay at zero and this machine runs the processes.
    values = ["--set", "operator.replicas=0", "--set", "scheduler.replicas=0"]
    command = [str(stage.binaries.helm), "upgrade", "--install", "yunchi", str(CHART), "--namespace", SYSTEM, *values]
    environment = environment_without_kubeconfig() | {"KUBECONFIG": str(plane.kubeconfig)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    if done.returncode:
        raise DemoFailedError(f"helm: {done.stderr.strip()}")
    apply(plane, stage.example.approvers)
    kinds = get(plane, "/apis/apiextensions.k8s.io/v1/customresourcedefinitions")
    stage.narrator.say(f"{len(kinds)} kinds, e.g. [bold]kubectl get yunchi -A[/]")


def island(stage: Stage) -> None:
    """Suzhou's own cluster, alive: its hosts, its workloads spread by kube-scheduler, an account that may only look."""
    member = stage.member
    deployments = [item for item in stage.example.member if item["kind"] == "Deployment"]
    _create(member, [item for item in stage.example.member if item["kind"] != "Deployment"])
    _create(member, deployments)
    member.start_kube_scheduler(scheduler_configuration(strategy="LeastAllocated"))
    apply(member, _observer())
    wanted = sum(item["spec"]["replicas"] for item in deployments)
    title = "pods placed on Suzhou's own cluster"
    # Spread as islands are, some may find no room there: the very thing that a pool mends.
    stage.narrator.wait(title, wanted, lambda: _bound(member), seconds=120, patience=4)
    kubeconfig = member.service_account_kubeconfig("kube-system", "yunchi-observer")
    secret = {"name": "member-suzhou", "namespace": SYSTEM}
    data = {"kubeconfig": kubeconfig.read_text()}
    apply(stage.pool, [{"apiVersion": "v1", "kind": "Secret", "metadata": secret, "stringData": data}])


def _create(plane: ControlPlane, objects: list[dict[str, Any]]) -> None:
    errors = plane.create_many(objects)
    if errors:
        raise DemoFailedError(f"{len(errors)} of {len(objects)} objects were refused; the first: {errors[0]}")


def _observer() -> list[dict[str, Any]]:
    """A member's ServiceAccount that may list what an inventory needs, and nothing else."""
    rbac = "rbac.authorization.k8s.io"
    name = {"name": "yunchi-observer"}
    rules = [
        {"apiGroups": [""], "resources": ["nodes", "pods", "namespaces"], "verbs": ["list"]},
        {"apiGroups": ["apps"], "resources": ["deployments", "statefulsets", "daemonsets"], "verbs": ["list"]},
        {"apiGroups": ["metrics.k8s.io"], "resources": ["nodes"], "verbs": ["list"]},
    ]
    return [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": name | {"namespace": "kube-system"}},
        {"apiVersion": f"{rbac}/v1", "kind": "ClusterRole", "metadata": name, "rules": rules},
        {
            "apiVersion": f"{rbac}/v1",
            "kind": "ClusterRoleBinding",
            "metadata": name,
            "roleRef": {"apiGroup": rbac, "kind": "ClusterRole", "name": "yunchi-observer"},
            "subjects": [{"kind": "ServiceAccount", "name": "yunchi-observer", "namespace": "kube-system"}],
        },
    ]


def province(stage: Stage) -> None:
    """Divisions, pools, hosts, departments, clouds: applied once, reconciled by the operator."""
    example = stage.example
    by_code = {prefecture.code: prefecture for prefecture in example.prefectures}
    lists = [people.host_list_config_map(by_code[code], text) for code, text in example.host_lists.items()]
    _create(stage.pool, example.nodes)
    apply(stage.pool, [*example.divisions, *example.pools, *lists, *example.tenancies, *example.departments])
    wait_ready(stage, "departments with namespace, quota and network policy", "departments", len(example.departments))
    wait_ready(stage, "clouds inventoried", "cloudtenancies", len(example.tenancies))
    _show_inventory(stage)


def deploy(stage: Stage) -> None:
    """What the departments run: ordinary Deployments; the policy hands their pods to Yunchi, which is not up yet."""
    _create(stage.pool, stage.example.workloads)
    total = sum(deployment["spec"]["replicas"] for deployment in stage.example.workloads)
    stage.narrator.wait("pods waiting for a scheduler", total, lambda: len(get(stage.pool, PODS)), seconds=90)


def wait_ready(stage: Stage, title: str, kind: str, total: int) -> None:
    """Wait until so many objects of a kind have the condition Ready=True."""

    def ready() -> int:
        items = get(stage.pool, f"{YUNCHI}/{kind}")
        return sum(_condition(item, "Ready").get("status") == "True" for item in items)

    stage.narrator.wait(title, total, ready, seconds=90)


def _condition(item: dict[str, Any], kind: str) -> dict[str, str]:
    conditions: list[dict[str, str]] = item.get("status", {}).get("conditions", [])
    return next((condition for condition in conditions if condition["type"] == kind), {})


def _show_inventory(stage: Stage) -> None:
    """The islands as they are found: what they have, and how little of it is used."""
    table = Table(title="Thirteen islands, as inventoried", box=SIMPLE)
    for heading in ("cloud", "source"):
        table.add_column(heading, no_wrap=True)
    for heading in ("nodes", "CPU", "memory GiB", "CPU used", "requested", "workloads"):
        table.add_column(heading, justify="right", no_wrap=True)
    for item in get(stage.pool, f"{YUNCHI}/cloudtenancies"):
        found = item["status"]["inventory"]
        source = "cluster" if "kubeconfigSecretRef" in item["spec"]["source"] else "host list"
        cells = [str(found["nodes"]), str(found["cpu"]), str(amount(found["memory"]) // 2**30)]
        used, requested = found.get("cpuUsedPercent"), found.get("cpuRequestedPercent")
        shares = ["–" if value is None else f"{value} %" for value in (used, requested)]
        table.add_row(item["metadata"]["name"], source, *cells, *shares, str(found["workloads"]))
    stage.narrator.console.print(table)


def baseline(stage: Stage) -> Outcome:
    """kube-scheduler with MostAllocated packs the very same pods on the very same nodes first."""
    plane = stage.pool
    # The profile takes Yunchi's name, so that it gets the very same pods. With the default weights its topology
    # spreading would outvote packing; a hundredfold weight makes the strongest baseline.
    scheduler = plane.start_kube_scheduler(scheduler_configuration("yunchi", fit_weight=100), name="baseline")
    stage.narrator.wait(
        "pods bound by kube-scheduler", stage.workload_pods, lambda: _bound(plane), seconds=180, patience=8
    )
    result = _measure(stage)
    scheduler.stop()
    return result


def clear(stage: Stage) -> None:
    """Delete the Deployments and make them anew, once every pod and every quota's usage of them is gone."""
    plane = stage.pool
    deployments = [*stage.example.workloads, *stage.example.growth]
    for namespace in {item["metadata"]["namespace"] for item in deployments}:
        plane.request("DELETE", f"/apis/apps/v1/namespaces/{namespace}/deployments")
    total = len(get(plane, PODS))
    stage.narrator.wait("pods gone", total, lambda: total - len(get(plane, PODS)), seconds=90)
    quotas = get(plane, QUOTAS)
    stage.narrator.wait("quotas free again", len(quotas), lambda: sum(map(_unused, get(plane, QUOTAS))), seconds=60)
    _create(plane, deployments)
    total = stage.workload_pods
    stage.narrator.wait("fresh pods waiting for a scheduler", total, lambda: len(get(plane, PODS)), seconds=90)


def _unused(quota: dict[str, Any]) -> bool:
    return bool(quota.get("status", {}).get("used", {}).get("pods") == "0")


def yunchi(stage: Stage) -> Outcome:
    """Yunchi packs them."""
    total = stage.workload_pods
    stage.narrator.wait("pods bound by Yunchi", total, lambda: _bound(stage.pool), seconds=120)
    return _measure(stage)


def _bound(plane: ControlPlane) -> int:
    return sum("nodeName" in pod["spec"] for pod in get(plane, PODS))


def _measure(stage: Stage) -> Outcome:
    nodes = get(stage.pool, "/api/v1/nodes")
    costs = node_costs(nodes, get(stage.pool, f"{YUNCHI}/nodepools"))
    return outcome(nodes, get(stage.pool, PODS), costs)


def approve(stage: Stage) -> None:
    """A department asks for more than its prefecture may grant alone; two tiers say yes, each with its own account."""
    plane, narrator = stage.pool, stage.narrator
    request = stage.example.requests[0]
    name, namespace = request["metadata"]["name"], request["metadata"]["namespace"]
    department = plane.user_kubeconfig(f"{cast.GROWING}-admin")
    apply(plane, stage.example.growth, kubeconfig=department)
    _expect(stage, stage.example.growth[0], "ReplicaFailure", "True", "FailedCreate")
    plane.kubectl("delete", "deployment", name, "-n", namespace, "--cascade=foreground", kubeconfig=department)
    apply(plane, [request], kubeconfig=department)
    _expect(stage, request, "Ready", "False", "WaitingForApproval")
    for code in (cast.MEMBER, cast.PROVINCE):
        approval = _approval(code, request)
        approver = approval["spec"]["approver"]
        plane.kubectl("create", "-f", "-", input=json.dumps(approval), kubeconfig=plane.user_kubeconfig(approver))
        narrator.say(f"{approver}: kubectl create -f approval.yaml (Approve, division {code})")
    _expect(stage, request, "Ready", "True", "Granted")
    quota = get_one(plane, "resourcequota", "yunchi-quota", "-n", namespace)
    hard = ", ".join(f"{resource} {limit}" for resource, limit in sorted(quota["spec"]["hard"].items()))
    narrator.say(f"ResourceQuota of {namespace} is now {hard}")
    apply(plane, stage.example.growth, kubeconfig=department)
    narrator.wait("pods waiting for a scheduler", stage.workload_pods, lambda: len(get(plane, PODS)), seconds=60)


def _approval(code: str, request: dict[str, Any]) -> dict[str, Any]:
    """One division's yes to the request as it stands."""
    meta = request["metadata"]
    target = {"kind": "QuotaRequest", "namespace": meta["namespace"], "name": meta["name"], "generation": 1}
    return {
        "apiVersion": cast.API,
        "kind": "Approval",
        "metadata": {"name": f"{meta['name']}-{code}"},
        "spec": {"division": code, "approver": f"approver-{code}", "decision": "Approve", "target": target},
    }


def _expect(stage: Stage, item: dict[str, Any], kind: str, status: str, reason: str) -> None:
    """Wait until an object's condition has that status and reason, and print its message."""
    meta = item["metadata"]
    what = (item["kind"].lower(), meta["name"], "-n", meta["namespace"])
    condition: dict[str, str] = {}

    def reached() -> int:
        condition.update(_condition(get_one(stage.pool, *what), kind))
        return int((condition.get("status"), condition.get("reason")) == (status, reason))

    stage.narrator.wait(f"{item['kind']} {meta['name']}: {kind}={status}, {reason}", 1, reached, seconds=30)
    stage.narrator.say(f"[dim]{condition.get('message', '')}[/]")


def bound_gap(stage: Stage) -> tuple[Decimal, int]:
    """The proven lower bounds (cost, nodes) for the live pods, from the offline planner on what kubectl prints."""
    text = stage.pool.kubectl("get", "nodes,nodepools,pods", "-A", "-o", "json").stdout
    command = [sys.executable, "-m", "yunchi_operator.cli.main", "plan", "-", "--mode", "repack", "-o", "json"]
    done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=120, check=False)
    if done.returncode:
        raise DemoFailedError(f"yunchi plan ended with {done.returncode}: {done.stderr.strip()}")
    bound = json.loads(done.stdout, parse_float=Decimal)["bound"]
    return Decimal(bound["cost"]), int(bound["nodes"])


def show(stage: Stage, before: Outcome, after: Outcome, bound: tuple[Decimal, int]) -> None:
    """The result, and the promise: everything placed, on fewer and cheaper nodes than kube-scheduler used."""
    names = {prefecture.code: prefecture.zh for prefecture in stage.example.prefectures}
    console = stage.narrator.console
    console.print(comparison(names, before, after))
    least_cost, least_nodes = bound
    gap = (after.total.cost - least_cost) / least_cost
    console.print(
        f"   {before.total.hosts} hosts of thirteen islands → [bold]{after.total.used} nodes[/] in use"
        f" (kube-scheduler: {before.total.used}; nobody can use fewer than {least_nodes})"
    )
    console.print(
        f"   cost {after.total.cost:f} (kube-scheduler: {before.total.cost:f};"
        f" proven bound: {least_cost:f}; [bold]gap {100 * gap:.2f} %[/])"
    )
    if before.pending:
        console.print(f"   kube-scheduler left {before.pending} pods without a node; Yunchi left {after.pending}")
    if after.pending:
        raise DemoFailedError(f"{after.pending} pods are left pending")
    if (after.total.used, after.total.cost) >= (before.total.used, before.total.cost):
        raise DemoFailedError("Yunchi used no fewer nodes than kube-scheduler")


def metrics(stage: Stage, processes: list[YunchiProcess]) -> None:
    """A look at what Prometheus would scrape."""
    for process in processes:
        lines = [line for line in process.metrics().splitlines() if line.startswith("yunchi_")]
        if not lines:
            raise DemoFailedError(f"{process.metrics_url} has no yunchi_ metric")
        stage.narrator.say(f"{process.metrics_url}: {len(lines)} series, such as")
        for line in lines[:: max(1, len(lines) // 4)][:4]:
            stage.narrator.say(f"  [dim]{line}[/]")


def tell(stage: Stage, at_the_end: Callable[[Stage], None]) -> None:
    """All chapters in order; `at_the_end` is called while everything still runs."""
    narrator = stage.narrator
    with narrator.step("Install the chart with helm"):
        install(stage)
    with narrator.step("One island is a live cluster: Suzhou"):
        island(stage)
    with running("operator", stage.pool, stage.folder) as operator:
        with narrator.step("Divisions, departments and clouds of Jiangsu"):
            province(stage)
        with narrator.step("The departments deploy what they run today"):
            deploy(stage)
        with narrator.step("逐级审批: a quota request climbs two tiers"):
            approve(stage)
        with narrator.step("Baseline: kube-scheduler (MostAllocated) packs the departments' pods"):
            before = baseline(stage)
        with narrator.step("The same pods again, on empty nodes"):
            clear(stage)
        with running("scheduler", stage.pool, stage.folder) as scheduler:
            with narrator.step("Yunchi packs them"):
                after = yunchi(stage)
                bound = bound_gap(stage)
            show(stage, before, after, bound)
            with narrator.step("Metrics to scrape"):
                metrics(stage, [operator, scheduler])
            at_the_end(stage)
