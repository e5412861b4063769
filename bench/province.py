"""A made-up province: 13 zones, eight node shapes, pods pinned and free. Deterministic by seed.

The parameters follow the survey that the engine was designed against: zone weights, node shapes with shares and
costs, 120 CPU/memory shapes with Zipf(0.7) popularity, 12 accelerator shapes, 65 % of pods pinned to their zone,
12 % of general pods free to run on arm64 or amd64, 5 % in anti-affinity groups of 2 to 8.

Load is scaled per pool (zone and architecture), not only over the province: a pod's home is drawn in proportion to
the load that each pool still lacks, and an accelerator pod is pinned only where its zone still has cards for it
within the target. A first-fit witness, pod by pod, keeps each general pool packable on its own nodes: a pod without
room at home gets another home. So every pod can be placed, at small sizes too, where a random load would overfill
pools of two or three nodes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from yunchi_placement import Constraints, Item, Node, NodeTerm, Problem, Requirement, Taint, Toleration

RESOURCES = ("cpu", "memory", "pods", "nvidia.com/gpu", "huawei.com/Ascend910")
ZONE_WEIGHTS = (0.20, 0.12, 0.10, 0.09, 0.08, 0.08, 0.07, 0.06, 0.05, 0.05, 0.04, 0.03, 0.03)
ZONE_KEY, ARCH_KEY = "topology.kubernetes.io/zone", "kubernetes.io/arch"
CARD_KEY = "yunchi.io/accelerator"
GIB = 1 << 30
CPU_LOAD, MEMORY_LOAD, CARD_LOAD = 0.70, 0.65, 0.70
PINNED, TWO_ARCHITECTURES, GROUPED = 0.65, 0.12, 0.05


@dataclass(frozen=True)
class Shape:
    """A node shape; `card` names the accelerator resource, of which a node has eight."""

    arch: str
    cores: int
    gib: int
    share: float
    cost: int
    card: str = ""

    @property
    def capacity(self) -> tuple[int, ...]:
        """Allocatable amounts in the order of RESOURCES."""
        cards = [8 if self.card == name else 0 for name in RESOURCES[3:]]
        pods = 220 if self.cores >= 96 else 110
        return (self.cores * 1000 - 1500, int(self.gib * GIB * 0.94), pods, *cards)


SHAPES = (
    Shape("arm64", 96, 384, 0.30, 10),
    Shape("arm64", 128, 512, 0.18, 13),
    Shape("arm64", 192, 1536, 0.04, 90, "huawei.com/Ascend910"),
    Shape("amd64", 64, 256, 0.20, 9),
    Shape("amd64", 128, 768, 0.14, 17),
    Shape("amd64", 96, 768, 0.04, 110, "nvidia.com/gpu"),
    Shape("loong64", 32, 128, 0.06, 7),
    Shape("loong64", 64, 256, 0.04, 12),
)


def province(nodes: int = 1000, pods: int = 10_000, seed: int = 1) -> Problem:
    """Generate the province with about this many nodes and pods, all pods pending."""
    rng = np.random.default_rng(seed)
    machines = _nodes(nodes)
    cards = _card_pods(rng, machines, pods)
    return Problem(RESOURCES, tuple(machines), tuple(cards + _general_pods(rng, machines, pods - len(cards))))


def _nodes(count: int) -> list[Node]:
    exact = np.outer(ZONE_WEIGHTS, [shape.share for shape in SHAPES]) * count
    whole = np.floor(exact).astype(int)
    order = np.argsort(-(exact - whole), axis=None, kind="stable")
    whole.ravel()[order[: count - int(whole.sum())]] += 1
    machines = []
    for zone in range(len(ZONE_WEIGHTS)):
        for kind, shape in enumerate(SHAPES):
            for number in range(int(whole[zone, kind])):
                name = f"z{zone:02d}-{shape.arch}-{kind}-{number:04d}"
                labels = [(ARCH_KEY, shape.arch), ("kubernetes.io/hostname", name), (ZONE_KEY, f"z{zone:02d}")]
                taints = (Taint(CARD_KEY, shape.card, "NoSchedule"),) if shape.card else ()
                machines.append(Node(name, shape.capacity, tuple(sorted(labels)), taints, cost=shape.cost * 1_000_000))
    return machines


def _zone(node: Node) -> str:
    return dict(node.labels)[ZONE_KEY]


def _card_pods(rng: np.random.Generator, machines: list[Node], most: int) -> list[Item]:
    """Accelerator pods until the target share of all cards is asked for; at most a tenth of the pods."""
    items: list[Item] = []
    for index in (3, 4):
        cards = np.array([1, 1, 2, 2, 4, 8])
        per_card_cpu = rng.integers(80, 220, size=6) * 50
        per_card_memory = rng.integers(24, 80, size=6)
        left = {f"z{zone:02d}": 0.0 for zone in range(len(ZONE_WEIGHTS))}
        for node in machines:
            left[_zone(node)] += node.capacity[index] * CARD_LOAD
        while sum(left.values()) >= 1 and len(items) < most // 10:
            kind = int(rng.choice(6, p=_zipf(6)))
            size = int(cards[kind])
            homes = [zone for zone in left if left[zone] >= size]
            if not homes:
                if not any(value >= 1 for value in left.values()):
                    break
                continue
            room = np.array([left[zone] for zone in homes])
            home = homes[int(rng.choice(len(homes), p=room / room.sum()))]
            left[home] -= size
            requests = [int(per_card_cpu[kind]) * size, int(per_card_memory[kind]) * size * GIB, 1, 0, 0]
            requests[index] = size
            pinned = rng.random() < PINNED
            items.append(
                Item(
                    f"card-{len(items):05d}",
                    tuple(requests),
                    Constraints(
                        selector=((ZONE_KEY, home),) if pinned else (),
                        tolerations=(Toleration(CARD_KEY, "Exists"),),
                    ),
                )
            )
    return items


def _zipf(count: int) -> np.ndarray:
    weight = np.arange(1, count + 1) ** -0.7
    return weight / weight.sum()


def _general_pods(rng: np.random.Generator, machines: list[Node], count: int) -> list[Item]:
    pools: dict[tuple[str, str], list[Node]] = {}
    for node in machines:
        if not node.taints:
            pools.setdefault((_zone(node), dict(node.labels)[ARCH_KEY]), []).append(node)
    capacity = np.array([[sum(n.capacity[r] for n in pool) for r in (0, 1)] for pool in pools.values()], float)
    target = capacity * (CPU_LOAD, MEMORY_LOAD)
    cpu = np.clip(rng.lognormal(0.0, 1.0, 120), 0.05, 8.0)
    memory = cpu * rng.lognormal(0.0, 0.5, 120)
    shape = rng.choice(120, size=count, p=_zipf(120))
    cpu *= target[:, 0].sum() / cpu[shape].sum()
    memory *= target[:, 1].sum() / memory[shape].sum()
    cpu_milli = np.maximum(np.rint(np.minimum(cpu, 28_000) / 50), 1).astype(int) * 50
    memory_bytes = np.maximum(np.rint(np.minimum(memory, 112 * GIB) / (64 << 20)), 1).astype(int) * (64 << 20)
    keys, members = list(pools), list(pools.values())
    load = np.zeros_like(capacity)
    free = [np.array([node.capacity for node in pool], dtype=np.int64) for pool in members]
    items: list[Item] = []
    group = 0
    while len(items) < count:
        size = min(int(rng.integers(2, 9)), count - len(items)) if rng.random() < GROUPED / 5 else 1
        kind = int(shape[len(items)])
        requests = (int(cpu_milli[kind]), int(memory_bytes[kind]), 1, 0, 0)
        home, hosts = _witness(free, _homes(rng, capacity, load), np.array(requests), size)
        constraints = _general_constraints(rng, *keys[home])
        group += size > 1
        together = frozenset({f"group-{group}"}) if size > 1 else frozenset()
        for host in hosts:
            free[home][host] -= requests
            load[home] += requests[:2]
            items.append(Item(f"pod-{len(items):06d}", requests, constraints, groups=together, avoids=together))
    return items


def _witness(free: list[np.ndarray], homes: list[int], request: np.ndarray, size: int) -> tuple[int, list[int]]:
    """The first of the homes with room on `size` different nodes (first fit), or on as many as there are."""
    while size:
        for home in homes:
            hosts = np.flatnonzero((free[home] >= request).all(axis=1))[:size]
            if len(hosts) == size:
                return home, hosts.tolist()
        size -= 1
    raise ValueError("the province is too small for its pods; ask for more nodes or fewer pods")


def _homes(rng: np.random.Generator, capacity: np.ndarray, load: np.ndarray) -> list[int]:
    """All pools: one drawn by what it lacks to its target in both resources, then the emptiest first."""
    lacks = np.minimum((CPU_LOAD - load[:, 0] / capacity[:, 0]), (MEMORY_LOAD - load[:, 1] / capacity[:, 1]))
    weight = (np.maximum(lacks, 0.0) + np.exp(40 * np.minimum(lacks, 0.0)) * 1e-3) * capacity[:, 0]
    first = int(rng.choice(len(weight), p=weight / weight.sum()))
    return [first, *[int(pool) for pool in np.argsort(-lacks, kind="stable")]]


def _general_constraints(rng: np.random.Generator, zone: str, arch: str) -> Constraints:
    arches = (arch,)
    if arch != "loong64" and rng.random() < TWO_ARCHITECTURES:
        arches = ("amd64", "arm64")
    selector = ((ZONE_KEY, zone),) if rng.random() < PINNED else ()
    return Constraints(selector, (NodeTerm((Requirement(ARCH_KEY, "In", arches),)),))
