"""Parity with kube-scheduler: on random clusters both open the same nodes to a pod, by every rule."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator

import pytest

from controlplane.binaries import Binaries
from controlplane.cluster import start_control_plane
from support.feasibility import Arena
from support.feasibility_cases import Case, draw

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]

CASES = 500
OFTEN = {
    "resources:cpu": 30,
    "resources:memory": 2,
    "resources:pods": 3,
    "resources:ephemeral-storage": 5,
    "resources:example.com/card": 5,
    "resources:hugepages-2Mi": 3,
    "unschedulable": 20,
    "node-affinity": 40,
    "host-ports": 10,
    "pod-affinity": 40,
    "anti-affinity": 30,
    "topology-spread": 40,
    "taint:dedicated": 10,
    "taint:gpu": 10,
    "taint:node.kubernetes.io/not-ready": 3,
    "taint:node.kubernetes.io/unreachable": 3,
    "taint:node.kubernetes.io/memory-pressure": 3,
    "volumes:claim-unbound": 3,
    "volumes:claim-in-use": 1,
}
"""In so many cases at least one node must be refused by the rule."""
DRAWN = {
    *(f"requests:{how}" for how in ("plain", "init", "sidecar", "overhead", "pod-level", "limits")),
    *(f"node-affinity:{operator}" for operator in ("In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt", "selector")),
    *("matchFields:In", "matchFields:NotIn", "gated", "cordon:tolerated"),
    *(f"taint:{effect}" for effect in ("NoSchedule", "NoExecute", "PreferNoSchedule")),
    *(f"toleration:{how}" for how in ("exists", "equal", "all", "any-effect")),
    *(f"{kind}-selector:{how}" for kind in ("affinity", "anti-affinity") for how in ("labels", "nil", "all")),
    *(f"{kind}-scope:by-labels" for kind in ("affinity", "anti-affinity", "bound-anti-affinity")),
    *("affinity-keys:matchLabelKeys", "anti-affinity-keys:mismatchLabelKeys", "affinity-self:web"),
    *("min-domains:2", "nodeAffinityPolicy:Ignore", "nodeTaintsPolicy:Honor", "spread:terminating"),
    *("spread:matchLabelKeys", "port-of:sidecar", "port-of:host-network", "hostIP:10.0.0.1", "protocol:UDP"),
    *("volume:affinity", "volume:zone-label", "volume:shared"),
}
"""Each must have been drawn at least five times."""


@pytest.fixture(scope="module")
def arena(binaries: Binaries, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Arena]:
    folder = tmp_path_factory.mktemp("feasibility")
    with start_control_plane(binaries, folder, name="feasibility", components=()) as plane:
        arena = Arena(plane)
        yield arena
        arena.stop()


def told(case: Case) -> str:
    """A case to read and to replay."""
    parts = {"nodes": case.nodes, "bound": case.bound, "pod": case.pod, "volumes": case.volumes, "claims": case.claims}
    return f"case {case.seed}: {json.dumps(parts)}"


def test_both_schedulers_open_the_same_nodes(arena: Arena) -> None:
    refused: Counter[str] = Counter()
    drawn: Counter[str] = Counter()
    split = 0
    wrong = []
    for seed in range(CASES):
        case = draw(seed)
        theirs, ours = arena.compare(case)
        if theirs.nodes != ours.nodes or theirs.chosen != ours.chosen:
            wrong.append(f"kube-scheduler {sorted(theirs.nodes)}, Yunchi {sorted(ours.nodes)} {told(case)}")
        refused.update(ours.rules)
        drawn.update(case.tags)
        split += 0 < len(ours.nodes) < len(case.nodes)
    assert not wrong, f"{len(wrong)} of {CASES} differ:\n" + "\n".join(wrong[:5])
    rare = {rule: refused[rule] for rule, least in OFTEN.items() if refused[rule] < least}
    assert not rare, f"refused too rarely to prove anything: {rare} of {refused}"
    assert not {tag: drawn[tag] for tag in DRAWN if drawn[tag] < 5}
    assert split >= CASES // 4  # some nodes open and some closed: the cases that tell most
