"""Random small clusters for the comparison with kube-scheduler: nodes, bound pods, and one pod to place.

Each case draws two or three features, so that one rule does not always hide behind another; the same seed gives the
same case.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

HOST, ZONE, RACK = "kubernetes.io/hostname", "topology.kubernetes.io/zone", "example.com/rack"
REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
NAMESPACES: dict[str, dict[str, str]] = {
    "tax": {"team": "finance", "tier": "gold"},
    "health": {"team": "health"},
    "roads": {},
}
OVERHEAD = "heavy"
"""A RuntimeClass that takes 500m more."""
APPS = ("web", "db", "batch")
Manifest = dict[str, Any]


@dataclass
class Case:
    """One situation. `tags` name what was drawn, for counting."""

    seed: int
    chance: random.Random
    nodes: list[Manifest] = field(default_factory=list)
    bound: list[Manifest] = field(default_factory=list)
    pod: Manifest = field(default_factory=dict)
    volumes: list[Manifest] = field(default_factory=list)
    claims: list[Manifest] = field(default_factory=list)
    tags: set[str] = field(default_factory=set)

    def tag(self, name: str) -> str:
        """Note that something was drawn; returns it."""
        self.tags.add(name)
        return name

    def pick(self, feature: str, *values: Any) -> Any:
        """Draw one of the values and note which, as ``feature:value``."""
        value = self.chance.choice(values)
        self.tag(f"{feature}:{value}")
        return value

    def maybe(self, share: float = 0.5) -> bool:
        """True in this share of the draws."""
        return self.chance.random() < share

    @property
    def container(self) -> Manifest:
        """The pod's first container."""
        found: Manifest = self.pod["spec"]["containers"][0]
        return found

    def require(self, kind: str, term: Manifest) -> None:
        """Add a required term of pod affinity or anti-affinity to the pod."""
        spec = self.pod["spec"].setdefault("affinity", {}).setdefault(kind, {})
        spec.setdefault(REQUIRED, []).append(term)


def draw(seed: int) -> Case:
    """The case of a seed."""
    case = Case(seed, random.Random(seed))
    chance = case.chance
    stem = f"c{seed}"
    for number in range(chance.randint(2, 6)):
        case.nodes.append(_node(case, f"{stem}-n{number}"))
    case.pod = _pod(case, f"{stem}-new", "pod")
    for number in range(chance.randint(0, 8)):
        one = _pod(case, f"{stem}-old{number}", "old")
        one["spec"]["nodeName"] = chance.choice(case.nodes)["metadata"]["name"]
        case.bound.append(one)
    for feature in chance.sample(FEATURES, chance.randint(2, 3)):
        feature(case)
    return case


def _node(case: Case, name: str) -> Manifest:
    chance = case.chance
    labels = {HOST: name, "kubernetes.io/os": "linux"}
    if chance.random() < 0.85:
        labels[ZONE] = chance.choice("ab")
    if chance.random() < 0.7:
        labels[RACK] = chance.choice("rst")
    labels["example.com/gen"] = str(chance.randint(1, 5))
    amounts = {
        "cpu": chance.choice(["2", "4"]),
        "memory": chance.choice(["2Gi", "8Gi"]),
        "pods": "20",
        "ephemeral-storage": "20Gi",
    }
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": labels},
        "spec": {"taints": []},
        "status": {"allocatable": amounts, "capacity": dict(amounts)},
    }


def _pod(case: Case, name: str, what: str) -> Manifest:
    chance = case.chance
    requests = {"cpu": chance.choice(["100m", "500m", "1"]), "memory": chance.choice(["128Mi", "1Gi"])}
    labels = {"app": chance.choice(APPS), "rev": chance.choice("12")}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": chance.choice(list(NAMESPACES)), "labels": labels},
        "spec": {
            "schedulerName": "default-scheduler" if what == "pod" else "somebody",
            "terminationGracePeriodSeconds": 0,
            "containers": [{"name": "main", "image": "example.invalid/a:1", "resources": {"requests": requests}}],
        },
    }


# -- features ---------------------------------------------------------------------------------------------------------


def requests(case: Case) -> None:
    """What the pod takes: every way of asking."""
    spec, container = case.pod["spec"], case.container
    amount = case.pick("cpu", "1", "1500m", "2", "3")
    match case.pick("requests", "plain", "init", "sidecar", "overhead", "pod-level", "limits", "two"):
        case "plain":
            container["resources"]["requests"]["cpu"] = amount
        case "limits":
            container["resources"] = {"limits": {"cpu": amount, "memory": "1Gi"}}
        case "two":
            spec["containers"].append(
                {"name": "two", "image": "example.invalid/a:1", "resources": {"requests": {"cpu": amount}}}
            )
        case "init":
            spec["initContainers"] = [
                _init("init", amount),
                *([_init("side", "500m", "Always")] if case.maybe() else []),
            ]
            case.chance.shuffle(spec["initContainers"])
        case "sidecar":
            spec["initContainers"] = [_init("side", amount, "Always"), _init("init", "1")]
        case "overhead":
            spec["runtimeClassName"] = OVERHEAD
            container["resources"]["requests"]["cpu"] = amount
        case "pod-level":
            spec["resources"] = {case.pick("pod-level", "requests", "limits"): {"cpu": amount, "memory": "2Gi"}}
            container["resources"]["requests"] = {"cpu": "100m"}


def _init(name: str, cpu: str, restart: str = "") -> Manifest:
    found: Manifest = {"name": name, "image": "example.invalid/a:1", "resources": {"requests": {"cpu": cpu}}}
    return found | ({"restartPolicy": restart} if restart else {})


def other_resources(case: Case) -> None:
    """Ephemeral storage, extended resources, the number of pods."""
    what = case.pick("resource", "ephemeral-storage", "example.com/card", "pods", "hugepages-2Mi")
    for node in case.nodes:
        most = {"ephemeral-storage": "10Gi", "example.com/card": "2", "pods": "1", "hugepages-2Mi": "64Mi"}[what]
        if case.maybe(0.6):
            for list_ in ("allocatable", "capacity"):
                node["status"][list_][what] = most
    if what == "ephemeral-storage":
        for pod in (case.pod, *case.bound):
            resources = pod["spec"]["containers"][0]["resources"]
            resources.setdefault("requests", {})[what] = case.chance.choice(["4Gi", "8Gi"])
    elif what != "pods":
        amount = case.chance.choice({"example.com/card": ["1", "2"], "hugepages-2Mi": ["32Mi", "64Mi"]}[what])
        for pod in (case.pod, *(one for one in case.bound if case.maybe(0.3))):
            resources = pod["spec"]["containers"][0]["resources"]
            resources.setdefault("requests", {})[what] = amount
            resources["limits"] = resources.get("limits", {}) | {what: amount, "memory": "2Gi"}


def cordons(case: Case) -> None:
    """spec.unschedulable, with and without the toleration that ignores it."""
    for node in case.nodes:
        if case.maybe():
            node["spec"]["unschedulable"] = True
    if case.maybe(0.3):
        case.tag("cordon:tolerated")
        case.pod["spec"].setdefault("tolerations", []).append(
            {"key": "node.kubernetes.io/unschedulable", "operator": "Exists", "effect": "NoSchedule"}
        )


def taints(case: Case) -> None:
    """Every effect and operator."""
    for node in case.nodes:
        for _ in range(case.chance.randint(0, 2)):
            effect = case.pick("taint", "NoSchedule", "NoExecute", "PreferNoSchedule")
            taint = {
                "key": case.chance.choice(["dedicated", "gpu"]),
                "value": case.chance.choice("xy"),
                "effect": effect,
            }
            same = [one for one in node["spec"]["taints"] if (one["key"], one["effect"]) == (taint["key"], effect)]
            if not same:
                node["spec"]["taints"].append(taint)
    found = case.pod["spec"].setdefault("tolerations", [])
    for _ in range(case.chance.randint(0, 2)):
        match case.pick("toleration", "exists", "equal", "all", "any-effect"):
            case "exists":
                found.append({"key": "dedicated", "operator": "Exists", "effect": "NoSchedule"})
            case "equal":
                found.append({"key": "gpu", "operator": "Equal", "value": "x", "effect": "NoSchedule"})
            case "all":
                found.append({"operator": "Exists"})
            case "any-effect":
                found.append({"key": "gpu", "operator": "Exists"})


def conditions(case: Case) -> None:
    """Conditions with the taints that the node controller derives from them."""
    for node in case.nodes:
        if case.maybe(0.6):
            kind, status, key = case.pick(
                "condition",
                ("Ready", "False", "not-ready"),
                ("Ready", "Unknown", "unreachable"),
                ("MemoryPressure", "True", "memory-pressure"),
                ("DiskPressure", "True", "disk-pressure"),
                ("NetworkUnavailable", "True", "network-unavailable"),
            )
            node["status"]["conditions"] = [{"type": kind, "status": status}]
            node["spec"]["taints"].append({"key": f"node.kubernetes.io/{key}", "effect": "NoSchedule"})
    if case.maybe(0.3):
        case.pod["spec"].setdefault("tolerations", []).append(
            {"key": "node.kubernetes.io/memory-pressure", "operator": "Exists"}
        )


def node_affinity(case: Case) -> None:
    """Selectors and terms, every operator, matchFields."""
    if case.maybe(0.3):
        case.tag("node-affinity:selector")
        case.pod["spec"]["nodeSelector"] = {ZONE: case.chance.choice("abc")}
    terms = []
    for _ in range(case.chance.randint(1, 2)):
        tests = [_node_test(case) for _ in range(case.chance.randint(1, 2))]
        term: Manifest = {"matchExpressions": tests}
        if case.maybe(0.25):
            names = [node["metadata"]["name"] for node in case.nodes]
            operator = case.pick("matchFields", "In", "NotIn")
            field_ = {"key": "metadata.name", "operator": operator, "values": [case.chance.choice(names)]}
            term = {"matchFields": [field_]} | ({"matchExpressions": tests} if case.maybe() else {})
        terms.append(term)
    if case.maybe(0.1):
        terms.append({})  # matches nothing
    affinity = case.pod["spec"].setdefault("affinity", {})
    affinity["nodeAffinity"] = {REQUIRED: {"nodeSelectorTerms": terms}}


def _node_test(case: Case) -> Manifest:
    operator = case.pick("node-affinity", "In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt")
    if operator in ("Gt", "Lt"):
        return {"key": case.chance.choice(["example.com/gen", ZONE]), "operator": operator, "values": ["3"]}
    key = case.chance.choice([ZONE, RACK, "example.com/gen", "absent"])
    if operator in ("Exists", "DoesNotExist"):
        return {"key": key, "operator": operator}
    return {"key": key, "operator": operator, "values": case.chance.sample(["a", "b", "r", "s", "2", "4"], 2)}


def _term(case: Case, feature: str) -> Manifest:
    term: Manifest = {"topologyKey": case.pick(f"{feature}-key", HOST, ZONE, RACK)}
    match case.pick(f"{feature}-selector", "labels", "expression", "nil", "all"):
        case "labels":
            term["labelSelector"] = {"matchLabels": {"app": case.chance.choice(APPS)}}
        case "expression":
            operator = case.chance.choice(["In", "NotIn"])
            tests = [{"key": "app", "operator": operator, "values": case.chance.sample(APPS, 2)}]
            term["labelSelector"] = {"matchExpressions": tests}
        case "all":
            term["labelSelector"] = {}
    match case.pick(f"{feature}-scope", "own", "own", "names", "selector", "everywhere", "both"):
        case "names" | "both":
            term["namespaces"] = case.chance.sample(list(NAMESPACES), 2)
        case "everywhere":
            term["namespaceSelector"] = {}
    if "selector" in term.get("namespaceSelector", {}) or case.maybe(0.2):
        term["namespaceSelector"] = {"matchLabels": {"team": case.chance.choice(["finance", "health"])}}
        case.tag(f"{feature}-scope:by-labels")
    if "labelSelector" in term and case.maybe(0.25):
        term[case.pick(f"{feature}-keys", "matchLabelKeys", "mismatchLabelKeys")] = ["rev"]
    return term


def affinity(case: Case) -> None:
    """Required pod affinity, also to pods like itself."""
    for _ in range(case.chance.choice([1, 1, 2])):
        term = _term(case, "affinity")
        if case.maybe(0.4):
            term = {"topologyKey": term["topologyKey"], "labelSelector": {"matchLabels": {"app": "web"}}}
            case.pod["metadata"]["labels"]["app"] = case.pick("affinity-self", "web", "web", "db")
        case.require("podAffinity", term)


def anti_affinity(case: Case) -> None:
    """Required anti-affinity of the pod."""
    for _ in range(case.chance.choice([1, 1, 2])):
        case.require("podAntiAffinity", _term(case, "anti-affinity"))


def bound_anti_affinity(case: Case) -> None:
    """Pods that run and keep others away."""
    for one in case.bound:
        if case.maybe():
            one["spec"]["affinity"] = {"podAntiAffinity": {REQUIRED: [_term(case, "bound-anti-affinity")]}}


def spread(case: Case) -> None:
    """Hard topology spread, all policies; some pods are on their way out."""
    found = []
    for key in case.chance.sample([ZONE, RACK, HOST], case.chance.choice([1, 1, 2])):
        one: Manifest = {"topologyKey": key, "maxSkew": case.pick("max-skew", 1, 1, 2)}
        one["whenUnsatisfiable"] = case.pick(
            "spread", "DoNotSchedule", "DoNotSchedule", "DoNotSchedule", "ScheduleAnyway"
        )
        if case.maybe(0.85):
            one["labelSelector"] = {"matchLabels": {"app": case.chance.choice([*APPS, "web", "web"])}}
            if case.maybe(0.2):
                one["matchLabelKeys"] = ["rev"]
                case.tag("spread:matchLabelKeys")
        if case.maybe(0.3) and one["whenUnsatisfiable"] == "DoNotSchedule":
            one["minDomains"] = case.pick("min-domains", 2, 3)
        if case.maybe():
            one["nodeAffinityPolicy"] = case.pick("nodeAffinityPolicy", "Honor", "Ignore")
        if case.maybe():
            one["nodeTaintsPolicy"] = case.pick("nodeTaintsPolicy", "Honor", "Ignore")
        found.append(one)
    case.pod["spec"]["topologySpreadConstraints"] = found
    for pod in case.bound:
        pod["metadata"]["namespace"] = case.pod["metadata"]["namespace"]
        if case.maybe(0.2):
            case.tag("spread:terminating")
            pod["metadata"]["finalizers"] = ["example.com/hold"]


def ports(case: Case) -> None:
    """Host ports, addresses, protocols, sidecars, the host's own network."""
    for pod in (case.pod, *(one for one in case.bound if case.maybe(0.7))):
        port: Manifest = {"containerPort": 80, "hostPort": case.chance.choice([80, 81])}
        if case.maybe(0.4):
            port["hostIP"] = case.pick("hostIP", "10.0.0.1", "10.0.0.2", "0.0.0.0")
        if case.maybe(0.3):
            port["protocol"] = case.pick("protocol", "UDP", "TCP")
        match case.pick("port-of", "container", "container", "sidecar", "init", "host-network"):
            case "container":
                pod["spec"]["containers"][0]["ports"] = [port]
            case "sidecar":
                pod["spec"].setdefault("initContainers", []).append(
                    _init("porter", "100m", "Always") | {"ports": [port]}
                )
            case "init":
                pod["spec"].setdefault("initContainers", []).append(_init("porter", "100m") | {"ports": [port]})
            case "host-network":
                pod["spec"]["hostNetwork"] = True
                pod["spec"]["containers"][0]["ports"] = [{"containerPort": port["hostPort"]}]


def gates(case: Case) -> None:
    """A pod that nobody may place yet."""
    if case.maybe(0.3):
        case.tag("gated")
        case.pod["spec"]["schedulingGates"] = [{"name": "example.com/wait"}]


def bound_volumes(case: Case) -> None:
    """A claim whose volume is tied to some nodes, by affinity or by zone labels."""
    name, space = f"c{case.seed}-data", case.pod["metadata"]["namespace"]
    volume: Manifest = {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": f"c{case.seed}-vol", "labels": {}},
        "spec": {
            "capacity": {"storage": "1Gi"},
            "accessModes": [case.pick("access", "ReadWriteOnce", "ReadWriteOncePod")],
            "csi": {"driver": "csi.example.com", "volumeHandle": name},
            "claimRef": {"kind": "PersistentVolumeClaim", "name": name, "namespace": space},
        },
    }
    match case.pick("volume", "affinity", "affinity", "zone-label", "free", "unbound"):
        case "affinity":
            test = {"key": case.chance.choice([ZONE, RACK]), "operator": "In", "values": case.chance.sample("abrst", 2)}
            volume["spec"]["nodeAffinity"] = {"required": {"nodeSelectorTerms": [{"matchExpressions": [test]}]}}
        case "zone-label":
            volume["metadata"]["labels"][ZONE] = case.chance.choice(["a", "a__b", "c"])
    claim: Manifest = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": name, "namespace": space, "annotations": {"pv.kubernetes.io/bind-completed": "yes"}},
        "spec": {
            "accessModes": volume["spec"]["accessModes"],
            "resources": {"requests": {"storage": "1Gi"}},
            "storageClassName": "",
            "volumeName": volume["metadata"]["name"],
        },
    }
    if "volume:unbound" in case.tags:
        del claim["metadata"]["annotations"]
        del claim["spec"]["volumeName"]
    case.volumes, case.claims = [volume], [claim]
    mount = [{"name": "data", "persistentVolumeClaim": {"claimName": name}}]
    case.pod["spec"]["volumes"] = mount
    same = [one for one in case.bound if one["metadata"]["namespace"] == space]
    if same and case.maybe(0.4):
        case.tag("volume:shared")
        same[0]["spec"]["volumes"] = mount


FEATURES: list[Callable[[Case], None]] = [
    requests,
    other_resources,
    other_resources,
    cordons,
    taints,
    conditions,
    node_affinity,
    affinity,
    affinity,
    anti_affinity,
    anti_affinity,
    bound_anti_affinity,
    spread,
    spread,
    ports,
    gates,
    bound_volumes,
]
