"""The whole command on the made-up province: `python bench/plan_cli.py` writes manifests, runs `yunchi plan`, prints.

What it measures is what a user waits for: reading 11,000 manifests, stating the problem, solving, printing; `--nodes
15000 --pods 150000 --seeds 1 --effort fast` is the largest case. The engine alone, beside its baselines, is
`bench/placement.py`.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from province import RESOURCES, province

from yunchi_placement import Constraints, Item, Node, Problem

Manifest = dict[str, Any]


def resource_list(amounts: tuple[int, ...]) -> dict[str, str]:
    """The engine's integers as Kubernetes quantities."""
    named = zip(RESOURCES, amounts, strict=True)
    return {name: f"{amount}m" if name == "cpu" else str(amount) for name, amount in named if amount}


def node_manifest(node: Node) -> Manifest:
    """A Node; its cost travels as a label that the NodePools select on."""
    taints = [
        {"key": taint.key, "value": taint.value.replace("/", "."), "effect": taint.effect} for taint in node.taints
    ]
    labels = dict(node.labels) | {"cost": str(node.cost // 1_000_000)}
    amounts = resource_list(node.capacity)
    status = {"allocatable": amounts, "capacity": amounts}
    metadata = {"name": node.name, "labels": labels}
    return {"apiVersion": "v1", "kind": "Node", "metadata": metadata, "spec": {"taints": taints}, "status": status}


def pod_manifest(item: Item) -> Manifest:
    """A pending Pod of Yunchi's; a group is a label and a required anti-affinity to it by host."""
    requests = {name: amount for name, amount in resource_list(item.requests).items() if name != "pods"}
    extended = {name: amount for name, amount in requests.items() if "/" in name}  # a server wants their limits, too
    containers = [{"name": "main", "image": "main", "resources": {"requests": requests, "limits": extended}}]
    spec: Manifest = {"schedulerName": "yunchi", "containers": containers} | placement(item.constraints)
    labels = {}
    for group in item.groups:
        labels["group"] = group
        term = {"labelSelector": {"matchLabels": {"group": group}}, "topologyKey": "kubernetes.io/hostname"}
        anti = {"requiredDuringSchedulingIgnoredDuringExecution": [term]}
        spec.setdefault("affinity", {})["podAntiAffinity"] = anti
    metadata = {"name": item.name, "namespace": "bench", "labels": labels}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def placement(constraints: Constraints) -> Manifest:
    """Constraints as the fields of a pod spec."""
    spec: Manifest = {"nodeSelector": dict(constraints.selector)}
    spec["tolerations"] = [{"key": one.key, "operator": one.operator} for one in constraints.tolerations]
    if constraints.required is not None:
        terms = [
            {
                "matchExpressions": [
                    {"key": r.key, "operator": r.operator, "values": list(r.values)} for r in term.labels
                ]
            }
            for term in constraints.required
        ]
        required = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}
        spec["affinity"] = {"nodeAffinity": required}
    return spec


def pools(problem: Problem) -> list[Manifest]:
    """One NodePool for each cost."""
    found = []
    for cost in sorted({node.cost // 1_000_000 for node in problem.nodes}):
        spec = {"nodeSelector": {"matchLabels": {"cost": str(cost)}}, "cost": str(cost)}
        metadata = {"name": f"cost-{cost}"}
        found.append({"apiVersion": "yunchi.io/v1alpha1", "kind": "NodePool", "metadata": metadata, "spec": spec})
    return found


def measure(path: Path, mode: str, effort: str) -> tuple[Mapping[str, Any], float, float]:
    """Run the command on a file: its answer, the seconds until all was read, and until the process ended."""
    options = ["--mode", mode, "--effort", effort, "-o", "json"]
    command = [sys.executable, "-m", "yunchi_operator.cli.main", "plan", str(path), *options]
    started = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - started
    read = re.search(r"([0-9.]+)s stating the problem", done.stderr)
    return json.loads(done.stdout), float(read[1]) if read else math.nan, seconds


def write_list(path: Path, problem: Problem) -> None:
    """A List of all manifests, an item at a time."""
    items = itertools.chain(pools(problem), map(node_manifest, problem.nodes), map(pod_manifest, problem.items))
    with path.open("w") as file:
        file.write('{"apiVersion": "v1", "kind": "List", "items": [\n')
        for number, item in enumerate(items):
            file.write((",\n" if number else "") + json.dumps(item))
        file.write("]}\n")


def main() -> None:
    """Print one line per seed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nodes", type=int, default=1000)
    parser.add_argument("--pods", type=int, default=10_000)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--mode", choices=["schedule", "repack"], default="repack")
    parser.add_argument("--effort", choices=["fast", "balanced", "best"], default="balanced")
    arguments = parser.parse_args()
    shown = f"--mode {arguments.mode} --effort {arguments.effort}"
    print(f"yunchi plan {shown}, {arguments.nodes} nodes, {arguments.pods} pods, JSON manifests")
    heads = f"{'seed':>4}{'MB':>7}{'cost':>10}{'bound':>10}{'gap %':>8}{'nodes':>8}{'unplaced':>10}"
    print(f"{heads}{'read s':>8}{'all s':>8}")
    with tempfile.TemporaryDirectory() as folder:
        for seed in arguments.seeds:
            path = Path(folder) / f"{seed}.json"
            write_list(path, province(arguments.nodes, arguments.pods, seed))
            answer, read, seconds = measure(path, arguments.mode, arguments.effort)
            bound, gap = float(answer["bound"]["cost"]), 100 * answer["gap"]
            cells = f"{path.stat().st_size / 1e6:>7.1f}{float(answer['cost']):>10,.0f}{bound:>10,.0f}{gap:>8.2f}"
            cells += f"{answer['nodesUsed']:>8}{len(answer['unplaced']):>10}{read:>8.1f}{seconds:>8.1f}"
            print(f"{seed:>4}{cells}")
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024
    print(f"peak memory of the command: {peak} MiB")


if __name__ == "__main__":
    main()
