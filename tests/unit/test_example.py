"""The Jiangsu example is what its page says, and the same on every machine."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import cast
import generate
import workloads

from yunchi_operator.api.manifests import Inventory
from yunchi_operator.cli.manifests import load
from yunchi_operator.scheduling.problem import build_problem
from yunchi_operator.tenancy import tables
from yunchi_placement import solve
from yunchi_placement.check import violations


def test_same_seed_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        generate.write(generate.build(7), tmp_path / name)
    files = sorted(path.relative_to(tmp_path / "a") for path in (tmp_path / "a").rglob("*.json"))
    assert len(files) == 11
    assert all((tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes() for name in files)
    generate.write(generate.build(8), tmp_path / "b")
    assert any((tmp_path / "a" / name).read_bytes() != (tmp_path / "b" / name).read_bytes() for name in files)


def test_sizes_and_low_utilisation() -> None:
    example = generate.build()
    assert len(example.prefectures) == len(example.tenancies) == 13
    assert len(example.nodes) == 150
    assert len(example.departments) == 42
    assert 900 <= len(workloads.pods_of(example.workloads)) <= 1100
    for code, text in example.host_lists.items():
        rows = list(csv.DictReader(io.StringIO(text)))
        used = sum(float(row["cpu_used_cores"]) for row in rows) / sum(float(row["cpu_cores"]) for row in rows)
        assert 0.03 <= used <= 0.25, code
    arches = {node["metadata"]["labels"]["kubernetes.io/arch"] for node in example.nodes}
    assert arches == {"arm64", "amd64", "loong64"}


def test_every_pod_has_a_place(tmp_path: Path) -> None:
    (tmp_path / "cluster.json").write_text(_cluster(generate.build()))
    found: Inventory = load([str(tmp_path)], lambda _: None)
    problem = build_problem(found.nodes, found.pods, found.pools).problem
    solution = solve(problem)
    assert solution.unplaced == ()
    assert violations(problem, solution.assignment) == []
    assert solution.nodes_used < 60


def _cluster(example: generate.Example) -> str:
    items: list[Any] = [*example.pools, *example.nodes, *workloads.pods_of(example.workloads)]
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": items})


def test_codes_and_names_are_those_of_gb_t_2260() -> None:
    names = tables.shipped().names
    real = {prefecture.code: prefecture.zh for prefecture in cast.PREFECTURES}
    real |= {code: name for code, (_, name, _) in cast.COUNTIES.items()}
    assert {code: names[code] for code in real} == real
