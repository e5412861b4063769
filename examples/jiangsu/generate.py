"""The Jiangsu example: thirteen prefectures' clouds, their departments and workloads, from one seed.

Division codes are the real GB/T 2260 ones; machines, loads and departments are invented within the ranges that public
sources report (see docs/example-jiangsu.md). Same seed, same bytes.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cast import ASCEND, GROWING, MACHINES, MEMBER, PREFECTURES, PROVINCE, Manifest, Prefecture
from hosts import host_list, nodes_of, pool
from people import approver, department, divisions, host_list_config_map, quota_request, tenancy, units_of
from workloads import ARM64, arches_by_zone, deployment, deployments, member_cluster, pods_of


@dataclass(frozen=True, slots=True)
class Example:
    """Everything generated: lists of manifests by purpose.

    Attributes:
        nodes: the pooled nodes of all prefectures.
        member: nodes and workloads of Suzhou's own cluster, before it joins.
        host_lists: CSV text by prefecture code, for the twelve clouds outside Kubernetes.
        workloads: Deployments in the departments' namespaces.
        growth: the Deployment that only fits after the quota request is approved.
    """

    divisions: list[Manifest]
    pools: list[Manifest]
    nodes: list[Manifest]
    departments: list[Manifest]
    tenancies: list[Manifest]
    host_lists: Mapping[str, str]
    member: list[Manifest]
    workloads: list[Manifest]
    requests: list[Manifest]
    growth: list[Manifest]
    approvers: list[Manifest]
    prefectures: tuple[Prefecture, ...]


def build(seed: int = 1) -> Example:
    """Generate the example. Pure: the same seed gives the same manifests."""
    rng = random.Random(seed)
    nodes = list(nodes_of(rng))
    units = list(units_of())
    arches = arches_by_zone(nodes)
    workloads = {unit.name: list(deployments(rng, unit, arches[unit.prefecture.code])) for unit in units}
    growing = next(unit for unit in units if unit.name == GROWING)
    member_units = [unit for unit in units if unit.prefecture.code == MEMBER]
    return Example(
        divisions=list(divisions()),
        pools=[pool(machine) for machine in (*MACHINES, ASCEND)],
        nodes=nodes,
        departments=[department(unit, workloads[unit.name]) for unit in units],
        tenancies=[tenancy(prefecture) for prefecture in PREFECTURES],
        host_lists={p.code: host_list(rng, p, nodes) for p in PREFECTURES if p.code != MEMBER},
        member=member_cluster(nodes, member_units, workloads),
        workloads=[deployment for unit in units for deployment in workloads[unit.name]],
        requests=[quota_request(growing)],
        growth=[deployment(growing, "epidemic-model", 12, (8, 32), ARM64, spread=True)],
        approvers=[manifest for code in (MEMBER, PROVINCE) for manifest in approver(code)],
        prefectures=PREFECTURES,
    )


def as_list(manifests: list[Manifest]) -> str:
    """One Kubernetes List as JSON text, as ``kubectl apply -f`` and ``yunchi plan`` read it."""
    document = {"apiVersion": "v1", "kind": "List", "items": manifests}
    return json.dumps(document, ensure_ascii=False, indent=1) + "\n"


def write(example: Example, folder: Path) -> list[Path]:
    """Write the example's files into a folder and return their paths."""
    lists = {
        "divisions": example.divisions, "nodepools": example.pools, "departments": example.departments,
        "tenancies": example.tenancies, "workloads": example.workloads, "requests": example.requests,
        "growth": example.growth, "approvers": example.approvers, "member": example.member,
    }  # fmt: skip
    by_code = {prefecture.code: prefecture for prefecture in example.prefectures}
    lists["hostlists"] = [host_list_config_map(by_code[code], text) for code, text in example.host_lists.items()]
    files = {f"{name}.json": as_list(manifests) for name, manifests in lists.items()}
    offline = example.pools + example.nodes + pods_of(example.workloads)
    files["plan/cluster.json"] = as_list(offline)
    paths = []
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        paths.append(path)
    return paths


def main() -> None:
    """Write the example and say what is in it."""
    parser = argparse.ArgumentParser(description="Write the Jiangsu example as Kubernetes manifests.")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="DIR", help="folder to write into")
    parser.add_argument("--seed", type=int, default=1, help="default: 1")
    arguments = parser.parse_args()
    example = build(arguments.seed)
    paths = write(example, arguments.output)
    pods = len(pods_of(example.workloads))
    print(f"{len(example.nodes)} nodes, {len(example.departments)} departments, {pods} pods, {len(paths)} files")
    print(f"Next: yunchi plan {arguments.output / 'plan'} --mode repack")


if __name__ == "__main__":
    main()
