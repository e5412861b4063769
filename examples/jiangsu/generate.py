"""The Jiangsu example: thirteen prefectures' clouds, their departments and workloads, from one seed.

Division codes are the real GB/T 2260 ones; machines, loads and departments are invented within the ranges that public
sources report (see docs/example-jiangsu.md). Same seed, same bytes.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

API = "yunchi.io/v1alpha1"
PROVINCE = "320000"
SYSTEM_NAMESPACE = "yunchi-system"
MEMBER = "320500"  # Suzhou's cloud is a Kubernetes cluster of its own; the other twelve are host lists
GROWING = "suzhou-health"  # the department that asks for more in the demo
Manifest = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Prefecture:
    """One of the province's prefectures.

    Attributes:
        hosts: number of machines of its cloud.
    """

    code: str
    zh: str
    pinyin: str
    hosts: int


@dataclass(frozen=True, slots=True)
class Machine:
    """A kind of host.

    Attributes:
        cores: CPUs that Kubernetes sees (threads where the chip has SMT).
        memory_gib: memory in GiB.
        cost: relative cost per node, a decimal string.
        factor: performance per Kubernetes CPU, Kunpeng 920 = 1.00, low confidence.
        share: part of the province's hosts.
        extended: extended resources, such as accelerator cards.
    """

    pool: str
    vendor: str
    model: str
    arch: str
    cores: int
    memory_gib: int
    cost: str
    factor: str
    share: float
    extended: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Unit:
    """A department of one prefecture."""

    name: str
    zh: str
    en: str
    namespace: str
    division: str
    prefecture: Prefecture


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


PREFECTURES = (
    Prefecture("320100", "南京市", "nanjing", 22),
    Prefecture("320200", "无锡市", "wuxi", 13),
    Prefecture("320300", "徐州市", "xuzhou", 10),
    Prefecture("320400", "常州市", "changzhou", 11),
    Prefecture("320500", "苏州市", "suzhou", 22),
    Prefecture("320600", "南通市", "nantong", 13),
    Prefecture("320700", "连云港市", "lianyungang", 8),
    Prefecture("320800", "淮安市", "huaian", 8),
    Prefecture("320900", "盐城市", "yancheng", 9),
    Prefecture("321000", "扬州市", "yangzhou", 10),
    Prefecture("321100", "镇江市", "zhenjiang", 9),
    Prefecture("321200", "泰州市", "taizhou", 9),
    Prefecture("321300", "宿迁市", "suqian", 6),
)
COUNTIES = {"320583": ("320500", "昆山市", "Kunshan"), "320282": ("320200", "宜兴市", "Yixing")}

MACHINES = (
    Machine("kunpeng-128", "Huawei", "Kunpeng-920", "arm64", 128, 512, "13", "1.00", 0.28),
    Machine("kunpeng-96", "Huawei", "Kunpeng-920", "arm64", 96, 384, "10", "1.00", 0.17),
    Machine("phytium-128", "Phytium", "S2500", "arm64", 128, 512, "11", "0.65", 0.15),
    Machine("hygon-128", "Hygon", "C86-7285", "amd64", 128, 512, "14", "0.90", 0.20),
    Machine("zhaoxin-64", "Zhaoxin", "KH-40000", "amd64", 64, 256, "8", "0.80", 0.05),
    Machine("loongson-32", "Loongson", "3C5000", "loong64", 32, 256, "6", "0.90", 0.06),
    Machine("loongson-64", "Loongson", "3D5000", "loong64", 64, 256, "9", "0.90", 0.04),
    Machine("xeon-48", "Intel", "Xeon-legacy", "amd64", 48, 192, "9", "0.80", 0.05),
)
ASCEND = Machine(
    "ascend-192", "Huawei", "Kunpeng-920", "arm64", 192, 1024, "90", "1.00", 0.0, {"huawei.com/Ascend910": 8}
)
DEPARTMENTS = (
    ("ga", "公安局", "Public Security"),
    ("hrss", "人力资源和社会保障局", "Human Resources and Social Security"),
    ("health", "卫生健康委员会", "Health Commission"),
    ("edu", "教育局", "Education"),
    ("fin", "财政局", "Finance"),
    ("natres", "自然资源局", "Natural Resources"),
    ("transport", "交通运输局", "Transport"),
    ("data", "数据局", "Data Bureau"),
)
SYSTEMS = (
    "portal", "approval", "archive", "gateway", "ledger", "mobile", "open-data", "payments", "records", "registry",
    "report", "search", "survey", "workflow",
)  # fmt: skip
# (CPU in cores, memory in GiB): shapes of government workloads, from small services to databases and analytics.
SHAPES = (
    (1, 2),
    (1, 4),
    (2, 4),
    (2, 8),
    (2, 16),
    (4, 8),
    (4, 16),
    (4, 32),
    (8, 16),
    (8, 32),
    (8, 64),
    (16, 64),
    (24, 96),
)
SHAPE_WEIGHTS = (9, 8, 12, 12, 6, 10, 12, 5, 7, 6, 3, 3, 1)


def build(seed: int = 1) -> Example:
    """Generate the example. Pure: the same seed gives the same manifests."""
    rng = random.Random(seed)
    nodes = list(_nodes(rng))
    units = list(_units())
    arches = _arches_by_zone(nodes)
    workloads = {unit.name: list(_deployments(rng, unit, arches[unit.prefecture.code])) for unit in units}
    growing = next(unit for unit in units if unit.name == GROWING)
    member_units = [unit for unit in units if unit.prefecture.code == MEMBER]
    return Example(
        divisions=list(_divisions()),
        pools=[_pool(machine) for machine in (*MACHINES, ASCEND)],
        nodes=nodes,
        departments=[_department(unit, workloads[unit.name]) for unit in units],
        tenancies=[_tenancy(prefecture) for prefecture in PREFECTURES],
        host_lists={p.code: _host_list(rng, p, nodes) for p in PREFECTURES if p.code != MEMBER},
        member=_member_cluster(nodes, member_units, workloads),
        workloads=[deployment for unit in units for deployment in workloads[unit.name]],
        requests=[_quota_request(growing)],
        growth=[_deployment(growing, "epidemic-model", 12, (8, 32), _ARM64, spread=True)],
        approvers=[manifest for code in (MEMBER, PROVINCE) for manifest in _approver(code)],
        prefectures=PREFECTURES,
    )


def pods_of(deployments: list[Manifest]) -> list[Manifest]:
    """The pods that a cluster would make of Deployments, pending: input for ``yunchi plan`` without a cluster."""
    pods = []
    for deployment in deployments:
        meta = deployment["metadata"]
        for index in range(deployment["spec"]["replicas"]):
            template = deployment["spec"]["template"]
            tolerations = [{"key": "yunchi.io/pool", "operator": "Exists"}]
            spec = template["spec"] | {"schedulerName": "yunchi", "tolerations": tolerations}
            name = f"{meta['name']}-{index}"
            metadata = {
                "name": name,
                "namespace": meta["namespace"],
                "labels": template["metadata"]["labels"],
            }
            pods.append({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
    return pods


# --- hardware ------------------------------------------------------------------------------------


def _nodes(rng: random.Random) -> Iterator[Manifest]:
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


def _pool(machine: Machine) -> Manifest:
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


def _host_list(rng: random.Random, prefecture: Prefecture, nodes: list[Manifest]) -> str:
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


# --- people and quota ----------------------------------------------------------------------------


def _divisions() -> Iterator[Manifest]:
    yield _division(PROVINCE, "Province", "江苏省", "Jiangsu", None, None)
    for prefecture in PREFECTURES:
        en = prefecture.pinyin.capitalize()
        yield _division(prefecture.code, "Prefecture", prefecture.zh, en, PROVINCE, {"cpu": "64", "memory": "256Gi"})
    for code, (parent, zh, en) in COUNTIES.items():
        yield _division(code, "County", zh, en, parent, {"cpu": "16", "memory": "64Gi"})


def _division(code: str, level: str, zh: str, en: str, parent: str | None, up_to: Manifest | None) -> Manifest:
    spec: Manifest = {"code": code, "level": level, "names": {"zh": zh, "en": en}}
    if parent:
        spec["parent"] = parent
    if up_to:
        spec["approval"] = {"upTo": up_to}
    return {"apiVersion": API, "kind": "Division", "metadata": {"name": code}, "spec": spec}


def _units() -> Iterator[Unit]:
    """Three departments in each prefecture (one more in Suzhou), and one in each of two counties: 42."""
    for position, prefecture in enumerate(PREFECTURES):
        picks = [DEPARTMENTS[(position * 3 + step) % len(DEPARTMENTS)] for step in range(3)]
        if prefecture.code == MEMBER:
            picks = [pick for pick in DEPARTMENTS if pick[0] in {"health", "hrss", "edu", "data"}]
        for short, zh, en in picks:
            yield _unit(short, zh, en, prefecture.code, prefecture.pinyin, prefecture.zh, prefecture)
    by_code = {prefecture.code: prefecture for prefecture in PREFECTURES}
    for code, (parent, zh, en) in COUNTIES.items():
        yield _unit("data", "数据局", "Data Bureau", code, en.lower(), zh, by_code[parent])


def _unit(short: str, zh: str, en: str, code: str, place: str, place_zh: str, prefecture: Prefecture) -> Unit:
    en_name = f"{place.capitalize()} {en}"
    return Unit(f"{place}-{short}", place_zh + zh, en_name, f"js-{code}-{short}", code, prefecture)


def _department(unit: Unit, deployments: list[Manifest]) -> Manifest:
    """The base quota covers what the department runs today; anything more is asked for."""
    totals = _total(deployments)
    return {
        "apiVersion": API,
        "kind": "Department",
        "metadata": {"name": unit.name},
        "spec": {
            "division": unit.division,
            "names": {"zh": unit.zh, "en": unit.en},
            "admins": [{"kind": "User", "name": f"{unit.name}-admin"}],
            "namespaces": [unit.namespace],
            "mlpsLevel": 3,
            "baseQuota": totals,
        },
    }


def _total(deployments: list[Manifest]) -> dict[str, str]:
    cpu = memory = pods = 0
    extended: dict[str, int] = {}
    for deployment in deployments:
        replicas = deployment["spec"]["replicas"]
        requests = deployment["spec"]["template"]["spec"]["containers"][0]["resources"]["requests"]
        cpu += replicas * int(requests["cpu"])
        memory += replicas * int(requests["memory"].removesuffix("Gi"))
        pods += replicas
        for name in requests.keys() - {"cpu", "memory"}:
            extended[name] = extended.get(name, 0) + replicas * int(requests[name])
    slack = max(4, pods // 10)  # a rolling update needs some room
    base = {"cpu": str(cpu + slack), "memory": f"{memory + 4 * slack}Gi", "pods": str(pods + slack)}
    return base | {name: str(count) for name, count in extended.items()}


def _quota_request(unit: Unit) -> Manifest:
    return {
        "apiVersion": API,
        "kind": "QuotaRequest",
        "metadata": {"name": "epidemic-model", "namespace": unit.namespace},
        "spec": {
            "resources": {"cpu": "96", "memory": "384Gi", "pods": "12"},
            "reason": "Winter respiratory season: run the regional epidemic model on twelve workers",
        },
    }


def _approver(code: str) -> list[Manifest]:
    """What ops grants to one division's approver: the verb on that division, and the approver's general role."""
    user = f"approver-{code}"
    subjects = [{"kind": "User", "name": user, "apiGroup": "rbac.authorization.k8s.io"}]
    rbac = "rbac.authorization.k8s.io/v1"
    role = f"yunchi-approve-{code}"
    rules = [
        {
            "apiGroups": ["yunchi.io"],
            "resources": ["divisions"],
            "resourceNames": [code],
            "verbs": ["approve"],
        }
    ]
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole"}
    binding = {"apiVersion": rbac, "kind": "ClusterRoleBinding", "subjects": subjects}
    return [
        {"apiVersion": rbac, "kind": "ClusterRole", "metadata": {"name": role}, "rules": rules},
        binding | {"metadata": {"name": role}, "roleRef": reference | {"name": role}},
        binding | {"metadata": {"name": f"{role}-general"}, "roleRef": reference | {"name": "yunchi-approver"}},
    ]


def _tenancy(prefecture: Prefecture) -> Manifest:
    source: Manifest = {"hostListConfigMapRef": {"name": f"hosts-{prefecture.pinyin}"}}
    if prefecture.code == MEMBER:
        source = {"kubeconfigSecretRef": {"name": f"member-{prefecture.pinyin}"}}
    return {
        "apiVersion": API,
        "kind": "CloudTenancy",
        "metadata": {"name": prefecture.pinyin},
        "spec": {"division": prefecture.code, "mode": "Observe", "source": source, "intervalSeconds": 60},
    }


def host_list_config_map(prefecture: Prefecture, text: str) -> Manifest:
    """The ConfigMap that a CloudTenancy of a host list refers to."""
    metadata = {"name": f"hosts-{prefecture.pinyin}", "namespace": SYSTEM_NAMESPACE}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"hosts.csv": text}}


# --- workloads -----------------------------------------------------------------------------------

_ARM64: Manifest = {"nodeSelector": {"kubernetes.io/arch": "arm64"}}
_AMD64: Manifest = {"nodeSelector": {"kubernetes.io/arch": "amd64"}}
_LOONG64: Manifest = {"nodeSelector": {"kubernetes.io/arch": "loong64"}}


def _any_of(*arches: str) -> Manifest:
    expression = {"key": "kubernetes.io/arch", "operator": "In", "values": list(arches)}
    term = {"nodeSelectorTerms": [{"matchExpressions": [expression]}]}
    return {"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": term}}}


def _arches_by_zone(nodes: list[Manifest]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for node in nodes:
        labels = node["metadata"]["labels"]
        found.setdefault(labels["topology.kubernetes.io/zone"], set()).add(labels["kubernetes.io/arch"])
    return found


def _deployments(rng: random.Random, unit: Unit, arches: set[str]) -> Iterator[Manifest]:
    """Some six systems for architectures that the prefecture owns: most run on one only, a third must stay there."""
    kinds = [(_ARM64, "arm64", 50), (_AMD64, "amd64", 25), (_LOONG64, "loong64", 5)]
    choices = [(placement, weight) for placement, arch, weight in kinds if arch in arches]
    choices.append((_any_of("arm64", "amd64"), 20))
    big = unit.prefecture.hosts >= 20
    for system in rng.sample(SYSTEMS, 8 if big else 6):
        arch = rng.choices([placement for placement, _ in choices], [weight for _, weight in choices])[0]
        shape = rng.choices(SHAPES, SHAPE_WEIGHTS)[0]
        if arch is _LOONG64:
            shape = rng.choice(SHAPES[:6])
        pinned = unit.prefecture.code if arch in (_ARM64, _AMD64) and rng.random() < 0.35 else None
        spread = arch is _ARM64 and rng.random() < 0.25
        replicas = rng.randint(2, 3) if spread or pinned else rng.randint(2, 7)
        yield _deployment(unit, system, replicas, shape, arch, zone=pinned, spread=spread)
    if big and unit.name.endswith(("-health", "-ga", "-data")):
        yield _deployment(unit, "vision", 3, (8, 64), _ARM64, cards=2)


def _deployment(
    unit: Unit,
    system: str,
    replicas: int,
    shape: tuple[int, int],
    placement: Manifest,
    *,
    zone: str | None = None,
    spread: bool = False,
    cards: int = 0,
) -> Manifest:
    labels = {"app.kubernetes.io/name": system}
    requests = {"cpu": str(shape[0]), "memory": f"{shape[1]}Gi"}
    if cards:
        requests["huawei.com/Ascend910"] = str(cards)
    resources: Manifest = {"requests": requests, "limits": requests}
    container = {
        "name": "main",
        "image": f"registry.js.example/{unit.name}/{system}:1.0",
        "resources": resources,
    }
    spec: Manifest = {"containers": [container]} | json.loads(json.dumps(placement))
    if zone:
        spec.setdefault("nodeSelector", {})["topology.kubernetes.io/zone"] = zone
    if spread:
        term = {"labelSelector": {"matchLabels": labels}, "topologyKey": "kubernetes.io/hostname"}
        spec.setdefault("affinity", {})["podAntiAffinity"] = {"requiredDuringSchedulingIgnoredDuringExecution": [term]}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": system, "namespace": unit.namespace, "labels": labels},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": spec},
        },
    }


def _member_cluster(
    nodes: list[Manifest], units: list[Unit], workloads: Mapping[str, list[Manifest]]
) -> list[Manifest]:
    """Suzhou's own cluster before it joins: its hosts without the pool's taint, its departments' workloads."""
    own = [node for node in nodes if node["metadata"]["labels"]["topology.kubernetes.io/zone"] == MEMBER]
    objects: list[Manifest] = [node | {"spec": {}} for node in own]
    for unit in units:
        objects.append({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": unit.namespace}})
        objects += workloads[unit.name]
    return objects


# --- files ---------------------------------------------------------------------------------------


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
