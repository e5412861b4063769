"""The hosts of the Jiangsu example: pooled nodes, NodePools, and the host lists of clouds outside Kubernetes."""

from __future__ import annotations

import csv
import io
import random
from collections.abc import Iterator

from cast import API, ASCEND, MACHINES, PREFECTURES, PROVINCE, Machine, Manifest, Prefecture


def nodes_of(rng: random.Random) -> Iterator[Manifest]:
    """Every host as a pooled node; Nanjing and Suzhou have two accelerator hosts each."""
    for prefecture in PREFECTURES:
        cards = 2 if prefecture.hosts >= 20 else 0
        machines = rng.choices(MACHINES, [machine.share for machine in MACHINES], k=prefecture.hosts - cards)
        for index, machine in enumerate([*machines, *[ASCEND] * cards], start=1):
            yield _node(f"{prefecture.pinyin}-{index:02}", prefecture, machine)


def _node(name: str, prefecture: Prefecture, machine: Machine) -> Manifest:
    resources = {
        "cpu": f"{machine.cores * 1000 - 1500}m",  # what the kubelet and the system keep
        "memory": f"{int(machine.memory_gib * 0.94 * 1024)}Mi",
        "ephemeral-storage": "400Gi",
        "pods": "110",
    } | {name: str(count) for name, count in machine.extended.items()}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "labels": {
                "kubernetes.io/arch": machine.arch,
                "kubernetes.io/os": "linux",
                "kubernetes.io/hostname": name,
                "topology.kubernetes.io/region": PROVINCE,
                "topology.kubernetes.io/zone": prefecture.code,
                "yunchi.io/machine": machine.pool,
                "yunchi.io/cpu-model": machine.model,
            },
        },
        "spec": {"taints": [{"key": "yunchi.io/pool", "effect": "NoSchedule"}]},
        "status": {
            "capacity": resources,
            "allocatable": resources,
            "nodeInfo": _node_info(machine.arch),
        },
    }


def _node_info(arch: str) -> Manifest:
    return {
        "architecture": arch, "operatingSystem": "linux", "osImage": "openEuler 24.03 (LTS)", "kernelVersion": "6.6.0",
        "containerRuntimeVersion": "containerd://2.1.4", "kubeletVersion": "v1.36.3", "kubeProxyVersion": "",
        "machineID": "", "systemUUID": "", "bootID": "",
    }  # fmt: skip


def pool(machine: Machine) -> Manifest:
    """The NodePool of one kind of host."""
    return {
        "apiVersion": API,
        "kind": "NodePool",
        "metadata": {"name": machine.pool},
        "spec": {
            "nodeSelector": {"matchLabels": {"yunchi.io/machine": machine.pool}},
            "cost": machine.cost,
            "hardware": {"vendor": machine.vendor, "cpuModel": machine.model, "architecture": machine.arch},
            "performance": {
                "factor": machine.factor,
                "source": "seed table, Kunpeng 920 = 1.00",
                "confidence": "Low",
            },
        },
    }


def host_list(rng: random.Random, prefecture: Prefecture, nodes: list[Manifest]) -> str:
    """A cloud outside Kubernetes as its operator's spreadsheet shows it: mean use near 12 % CPU and 36 % memory."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    header = "hostname,arch,vendor,cpu_model,cpu_cores,memory_gib,cpu_used_cores,memory_used_gib,workloads"
    writer.writerow(header.split(","))
    machines = {machine.pool: machine for machine in (*MACHINES, ASCEND)}
    for node in nodes:
        labels = node["metadata"]["labels"]
        if labels["topology.kubernetes.io/zone"] != prefecture.code:
            continue
        machine = machines[labels["yunchi.io/machine"]]
        cpu_used = round(machine.cores * rng.betavariate(2, 14), 1)
        memory_used = round(machine.memory_gib * rng.betavariate(4, 7))
        row = [
            node["metadata"]["name"],
            machine.arch,
            machine.vendor,
            machine.model,
            machine.cores,
            machine.memory_gib,
        ]
        writer.writerow([*row, cpu_used, memory_used, rng.randint(2, 7)])
    return text.getvalue()
