"""The openb converter, on a trace of a few lines, and on the real one where YUNCHI_TRACES names its folder."""

from __future__ import annotations

import importlib.util
import json
import os
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from yunchi_operator.api.manifests import Inventory, Origin
from yunchi_operator.scheduling.problem import build_problem
from yunchi_placement import solve

SCRIPT = Path(__file__).parents[2] / "examples" / "openb" / "convert.py"
NODES = """sn,cpu_milli,memory_mib,gpu,model
n-0,8000,16384,0,
n-1,32000,65536,2,V100M16
n-2,32000,65536,2,T4
"""
PODS = """name,cpu_milli,memory_mib,num_gpu,gpu_milli,gpu_spec,qos,pod_phase,creation_time,deletion_time,scheduled_time
p-0,4000,1024,0,0,,BE,Running,0,1,0
p-1,1500,1024,1,460,,LS,Running,0,1,0
p-2,1000,1024,2,1000,T4|P100,LS,Pending,0,1,
p-3,1000,1024,1,1000,V100M16,,Failed,0,1,0
"""


@pytest.fixture(scope="module")
def convert() -> ModuleType:
    spec = importlib.util.spec_from_file_location("openb_convert", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    (tmp_path / "openb_node_list_gpu_node.csv").write_text(NODES)
    (tmp_path / "openb_pod_list_default.csv").write_text(PODS)
    return tmp_path


def converted(convert: ModuleType, capsys: pytest.CaptureFixture[str], *args: str) -> tuple[dict[str, Any], str]:
    assert convert.main(args) == 0
    printed = capsys.readouterr()
    return json.loads(printed.out), printed.err


def inventory_of(document: dict[str, Any]) -> Inventory:
    inventory = Inventory()
    inventory.add(document, Origin("openb", 1))
    assert inventory.faults == []
    return inventory


def test_rows_become_nodes_and_pods(convert: ModuleType, trace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    document, told = converted(convert, capsys, str(trace))
    nodes = {one["metadata"]["name"]: one for one in document["items"] if one["kind"] == "Node"}
    assert nodes["n-0"]["status"]["allocatable"] == {"cpu": "8000m", "memory": "16384Mi", "pods": "256"}
    assert nodes["n-1"]["status"]["allocatable"]["nvidia.com/gpu"] == "2"
    assert nodes["n-1"]["status"]["allocatable"]["yunchi.io/gpu-milli"] == "2000"
    assert nodes["n-1"]["metadata"]["labels"]["yunchi.io/gpu-model"] == "V100M16"
    pods = {one["metadata"]["name"]: one["spec"] for one in document["items"] if one["kind"] == "Pod"}
    requests = {name: spec["containers"][0]["resources"]["requests"] for name, spec in pods.items()}
    assert requests["p-0"] == {"cpu": "4000m", "memory": "1024Mi"}
    assert requests["p-1"] == {"cpu": "1500m", "memory": "1024Mi", "yunchi.io/gpu-milli": "460"}
    assert requests["p-2"]["nvidia.com/gpu"] == "2"
    assert requests["p-2"]["yunchi.io/gpu-milli"] == "2000"
    assert "affinity" not in pods["p-1"]
    assert "1 ask for a share of a card" in told


def test_the_engine_reads_the_result(convert: ModuleType, trace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    inventory = inventory_of(converted(convert, capsys, str(trace))[0])
    built = build_problem(inventory.nodes, inventory.pods)
    solution = solve(built.problem, objective="nodes")
    found = {built.pods[index].metadata.name: solution.assignment[index] for index in built.to_place}
    assert (found["p-2"], found["p-3"]) == ("n-2", "n-1")
    assert found["p-1"] == "n-1"  # the other cards are taken
    assert solution.unplaced == ()


def test_phases_and_samples_are_filters(convert: ModuleType, trace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def names(*options: str) -> list[str]:
        document, _ = converted(convert, capsys, str(trace), *options)
        return [one["metadata"]["name"] for one in document["items"] if one["kind"] == "Pod"]

    assert names("--phase", "Running") == ["p-0", "p-1"]
    assert names("--phase", "Running", "--phase", "Failed") == ["p-0", "p-1", "p-3"]
    half = names("--sample", "0.5", "--seed", "7")
    assert len(half) == 2
    assert names("--sample", "0.5", "--seed", "7") == half
    assert names("--sample", "0") == []


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("openb_pod_list_default.csv", "name,cpu_milli\n", "line 1: no column memory_mib"),
        ("openb_node_list_gpu_node.csv", NODES + "n-3,1\n", "line 5: 5 columns expected"),
        ("openb_node_list_gpu_node.csv", NODES.replace("8000", "many"), "row n-0: invalid literal"),
    ],
)
def test_a_broken_trace_is_refused_with_file_and_line(
    convert: ModuleType, trace: Path, capsys: pytest.CaptureFixture[str], file: str, text: str, message: str
) -> None:
    (trace / file).write_text(text)
    assert convert.main([str(trace)]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert message in printed.err


def test_a_missing_folder_is_told(convert: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert convert.main([str(tmp_path / "none")]) == 2
    assert "give the folder with the trace's CSV files" in capsys.readouterr().err


@pytest.mark.skipif("YUNCHI_TRACES" not in os.environ, reason="YUNCHI_TRACES names the folder of the real trace")
def test_the_real_trace(convert: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    document, _ = converted(convert, capsys, os.environ["YUNCHI_TRACES"], "--phase", "Running")
    inventory = inventory_of(document)
    assert (len(inventory.nodes), len(inventory.pods)) == (1213, 5193)
    built = build_problem(inventory.nodes, inventory.pods)
    assert solve(built.problem, objective="nodes", effort="fast").unplaced == ()
