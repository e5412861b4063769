"""The Alibaba openb trace (2023) as problems: nodes with cards, pods with whole cards or shares of one card."""

from __future__ import annotations

import csv
from pathlib import Path

from yunchi_placement import Cards, Constraints, Item, Node, NodeTerm, Problem, Requirement

RESOURCES = ("cpu", "memory", "pods", "gpu")
MODEL = "gpu-model"
UNITS = 1000
"""Thousandths of a card."""
FOLDER = Path(__file__).resolve().parents[2] / "shared" / "data" / "alibaba-openb"


def problem(
    pods: str = "default", *, nodes: str = "gpu_node", phase: str = "", share: float = 1.0, folder: Path = FOLDER
) -> Problem:
    """Read one pod list and one node list; every node costs 1.

    Args:
        pods: Pod list by name, such as `default`, `gpuspec33`, `cpu050`.
        nodes: Node list by name: `gpu_node` or `all_node`.
        phase: Keep only pods of this phase, such as `Running`.
        share: Keep this part of the pods, evenly over the list.
        folder: Where the CSV files are.
    """
    machines = tuple(_node(row) for row in _rows(folder / f"openb_node_list_{nodes}.csv"))
    rows = [row for row in _rows(folder / f"openb_pod_list_{pods}.csv") if phase in ("", row["pod_phase"])]
    kept = [row for number, row in enumerate(rows) if int((number + 1) * share) > int(number * share)]
    return Problem(RESOURCES, machines, tuple(_item(row) for row in kept), cards=(Cards("gpu", UNITS),))


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def _node(row: dict[str, str]) -> Node:
    capacity = (int(row["cpu_milli"]), int(row["memory_mib"]), 110, int(row["gpu"]) * UNITS)
    return Node(row["sn"], capacity, ((MODEL, row["model"]),) if row["model"] else ())


def _item(row: dict[str, str]) -> Item:
    cards, milli = int(row["num_gpu"]), int(row["gpu_milli"])
    gpu = cards * UNITS if cards > 1 or milli >= UNITS else cards * milli
    models = tuple(sorted(model for model in row["gpu_spec"].split("|") if model))
    required = (NodeTerm((Requirement(MODEL, "In", models),)),) if models else None
    requests = (int(row["cpu_milli"]), int(row["memory_mib"]), 1, gpu)
    return Item(row["name"], requests, Constraints(required=required))
