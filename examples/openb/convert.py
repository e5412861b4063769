"""Turn the Alibaba openb GPU trace (alibaba/clusterdata, cluster-trace-gpu-v2023/csv) into Kubernetes manifests.

    python examples/openb/convert.py FOLDER --phase Running > openb.json
    yunchi plan openb.json --objective nodes

What becomes of a row:

- node: a Node with its cpu and memory, `nvidia.com/gpu` (its cards) and `yunchi.io/gpu-milli` (1000 per card); the
  label `yunchi.io/gpu-model` names the card.
- pod: a pending Pod of scheduler yunchi. Whole cards ask for `nvidia.com/gpu`; a share of a card asks for
  `yunchi.io/gpu-milli` only. Every pod with cards asks for gpu-milli, so that both kinds share the same cards.
- gpu_spec ("V100M16|V100M32") becomes a required node affinity on the label.

Yunchi fits each share to a single card (1000 gpu-milli); an answer never cuts one across cards.
The trace itself has no licence file and is not part of this project; it is read from where you keep it.
"""

from __future__ import annotations

import argparse
import csv
import json
import random
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

GPU = "nvidia.com/gpu"
GPU_MILLI = "yunchi.io/gpu-milli"
MODEL_LABEL = "yunchi.io/gpu-model"
NAMESPACE = "openb"
PODS_PER_NODE = 256  # the trace names no limit; high enough never to bind
Row = dict[str, str]
Manifest = dict[str, Any]


class BadTrace(ValueError):  # noqa: N818 - what the user has is a bad trace
    """A file or a row cannot be used; the message names it."""


def node_manifest(row: Row) -> Manifest:
    """One machine."""
    cards = int(row["gpu"])
    amounts = {
        "cpu": f"{int(row['cpu_milli'])}m",
        "memory": f"{int(row['memory_mib'])}Mi",
        "pods": str(PODS_PER_NODE),
    }
    labels = {"kubernetes.io/hostname": row["sn"], "kubernetes.io/arch": "amd64"}
    if cards:
        amounts |= {GPU: str(cards), GPU_MILLI: str(1000 * cards)}
        labels[MODEL_LABEL] = row["model"]
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": row["sn"], "labels": labels},
        "status": {"allocatable": amounts},
    }


def pod_manifest(row: Row) -> Manifest:
    """One task, pending."""
    requests = {"cpu": f"{int(row['cpu_milli'])}m", "memory": f"{int(row['memory_mib'])}Mi"} | _cards(row)
    spec: Manifest = {
        "schedulerName": "yunchi",
        "containers": [{"name": "main", "image": "task", "resources": {"requests": requests}}],
    }
    models = [model for model in row["gpu_spec"].split("|") if model]
    if models:
        term = {"matchExpressions": [{"key": MODEL_LABEL, "operator": "In", "values": models}]}
        required = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [term]}}
        spec["affinity"] = {"nodeAffinity": required}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": row["name"], "namespace": NAMESPACE, "labels": {"qos": row["qos"] or "none"}},
        "spec": spec,
    }


def _cards(row: Row) -> dict[str, str]:
    """Cards asked for: several are always whole; one may be a share."""
    count, milli = int(row["num_gpu"]), int(row["gpu_milli"])
    if not count:
        return {}
    if count == 1 and milli < 1000:
        return {GPU_MILLI: str(milli)}
    return {GPU: str(count), GPU_MILLI: str(1000 * count)}


def chosen(rows: Sequence[Row], phases: Sequence[str], sample: float, seed: int) -> list[Row]:
    """Rows of the wanted phases, of which a share is drawn; the trace's order is kept."""
    wanted = [row for row in rows if not phases or row["pod_phase"] in phases]
    count = round(len(wanted) * sample)
    if count == len(wanted):
        return wanted
    drawn = sorted(random.Random(seed).sample(range(len(wanted)), count))
    return [wanted[index] for index in drawn]


def read_rows(path: Path, columns: Sequence[str]) -> list[Row]:
    """Read a CSV file.

    Raises:
        BadTrace: it is missing, or lacks columns, or a row is not complete.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise BadTrace(f"{path}: {error.strerror}; give the folder with the trace's CSV files") from error
    reader = csv.DictReader(text.splitlines())
    missing = [column for column in columns if column not in (reader.fieldnames or ())]
    if missing:
        raise BadTrace(f"{path}: line 1: no column {', '.join(missing)}")
    rows = []
    for line, row in enumerate(reader, 2):
        if any(row[column] is None for column in columns):
            raise BadTrace(f"{path}: line {line}: {len(columns)} columns expected")
        rows.append(row)
    return rows


NODE_COLUMNS = ("sn", "cpu_milli", "memory_mib", "gpu", "model")
POD_COLUMNS = ("name", "cpu_milli", "memory_mib", "num_gpu", "gpu_milli", "gpu_spec", "qos", "pod_phase")


def manifests(nodes: Sequence[Row], pods: Sequence[Row]) -> Iterator[Manifest]:
    """All objects.

    Raises:
        BadTrace: a row holds something that is no number.
    """
    for make, rows, key in ((node_manifest, nodes, "sn"), (pod_manifest, pods, "name")):
        for row in rows:
            try:
                yield make(row)
            except ValueError as error:
                raise BadTrace(f"row {row[key]}: {error}") from error


def arguments() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(description="Alibaba openb trace to Kubernetes manifests (JSON List on stdout).")
    parser.add_argument("folder", type=Path, help="folder with openb_node_list_*.csv and openb_pod_list_*.csv")
    parser.add_argument("--nodes", default="gpu_node", help="node list: gpu_node (default) or all_node")
    parser.add_argument("--pods", default="default", help="pod list: default (default), gpuspec33, cpu050, ...")
    parser.add_argument("--phase", action="append", default=[], metavar="PHASE", help="only pods of this pod_phase")
    parser.add_argument("--sample", type=float, default=1.0, metavar="SHARE", help="share of the pods, 0..1")
    parser.add_argument("--seed", type=int, default=1, help="of the sample")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Convert; exit code 2 for an input that cannot be used."""
    parser = arguments()
    options = parser.parse_args(argv)
    if not 0 <= options.sample <= 1:
        parser.error("--sample must lie between 0 and 1")
    try:
        nodes = read_rows(options.folder / f"openb_node_list_{options.nodes}.csv", NODE_COLUMNS)
        rows = read_rows(options.folder / f"openb_pod_list_{options.pods}.csv", POD_COLUMNS)
        pods = chosen(rows, options.phase, options.sample, options.seed)
        items = list(manifests(nodes, pods))
    except BadTrace as error:
        print(error, file=sys.stderr)
        return 2
    json.dump({"apiVersion": "v1", "kind": "List", "items": items}, sys.stdout, separators=(",", ":"))
    print()
    shares = sum(GPU_MILLI in (request := _cards(row)) and GPU not in request for row in pods)
    print(f"{len(nodes)} nodes, {len(pods)} pods; {shares} ask for a share of a card", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
