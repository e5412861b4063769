"""From what the cluster holds to what the engine is asked. Pure; the live scheduler and ``yunchi plan`` share it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import Literal

from yunchi_operator.api.core import Node, Pod
from yunchi_operator.api.kinds import NodePool
from yunchi_operator.api.names import DO_NOT_DISRUPT, SCHEDULER_NAME
from yunchi_operator.scheduling import unsupported
from yunchi_operator.scheduling.anti_affinity import (
    Matcher,
    NamespaceLabels,
    Placed,
    Profile,
    Rules,
    Topology,
    entangled,
)
from yunchi_operator.scheduling.card_shares import cards_of, is_neither_share_nor_whole, whole_request
from yunchi_operator.scheduling.facts import PodFacts, pod_facts
from yunchi_operator.scheduling.movable import Movability, foreign, owner_of, unmodelled
from yunchi_operator.scheduling.nodes import Pools, allocatable, engine_node
from yunchi_placement import Budget, Item, Problem
from yunchi_placement import Node as EngineNode

Mode = Literal["schedule", "consolidate", "repack"]
UNREACHABLE = 2**40
"""Requests up to this (a billion cores, a tebibyte) are always taken as they are."""
BASE_RESOURCES = ("cpu", "memory", "pods")
"""Always in a problem, in this order; what else the pods to place ask for follows by name."""


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A pod that is to be placed but that Yunchi must not place.

    Attributes:
        rule: ``unsupported:<what>``.
        fix: what its owner can do.
    """

    pod: Pod
    rule: str
    fix: str


@dataclass(frozen=True, slots=True)
class Built:
    """The engine's problem and the way back.

    Attributes:
        pods: by item index.
        to_place: indexes of the items that want a node; the others are usage, fixed or movable.
        left_out: pods that no item stands for, because of a rule that is not modelled yet.
        kept: for ``repack`` and ``consolidate``, pods that stay although they are ours: key to reason.
        pool_of: pool name by node; nodes outside all pools are missing.
        notes: warnings for people.
    """

    problem: Problem
    pods: tuple[Pod, ...]
    to_place: tuple[int, ...]
    left_out: tuple[LeftOut, ...] = ()
    kept: tuple[tuple[str, str], ...] = ()
    pool_of: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()


class Role(Enum):
    """What a pod is to a solve."""

    IGNORED = "finished, going before it ever ran, or another scheduler's"
    GATED = "held by a scheduling gate"
    FIXED = "takes room where it is"
    WANTED = "to be placed"


def role_of(pod: Pod, *, scheduler_name: str = SCHEDULER_NAME, all_schedulers: bool = False) -> Role:
    """Sort a pod as kube-scheduler does: bound ones count until they finish, even while they terminate."""
    if pod.status.phase in ("Succeeded", "Failed"):
        return Role.IGNORED
    if pod.spec.node_name:
        return Role.FIXED
    if pod.metadata.deletion_timestamp or not (all_schedulers or pod.spec.scheduler_name == scheduler_name):
        return Role.IGNORED
    return Role.GATED if pod.spec.scheduling_gates else Role.WANTED


def build_problem(
    nodes: Sequence[Node],
    pods: Iterable[Pod],
    pools: Iterable[NodePool] = (),
    *,
    mode: Mode = "schedule",
    scheduler_name: str = SCHEDULER_NAME,
    all_schedulers: bool = False,
    namespaces: NamespaceLabels | None = None,
    facts_of: Callable[[Pod], PodFacts] = pod_facts,
    movability: Movability | None = None,
) -> Built:
    """State a placement problem.

    Args:
        nodes: all nodes of the cluster.
        pods: all its pods.
        pools: NodePools, for the cost of nodes.
        mode: ``schedule`` places what is pending and moves nothing; ``repack`` also frees our bound pods;
            ``consolidate`` leaves them where they are and says which may move.
        scheduler_name: ``spec.schedulerName`` of the pods that are ours.
        all_schedulers: treat every pod as ours.
        namespaces: labels by namespace; None when they are not known.
        facts_of: how a pod is read; a caller that sees the same pods again passes a remembering one.
        movability: for ``consolidate``, which pods may move.

    Raises:
        ValueError: a quantity cannot be read; the message names the object.
    """
    sorter = _Sorter(mode, scheduler_name, all_schedulers, {node.metadata.name for node in nodes}, movability)
    for pod in pods:
        sorter.take(pod, facts_of)
    matcher = Matcher([placed.facts for placed in sorter.fixed] + sorter.wanted, namespaces)
    topology = Topology.of({node.metadata.name: node.metadata.labels for node in nodes})
    sorter.set_aside(matcher, topology)
    rules = Rules(sorter.fixed, sorter.wanted, topology, matcher)
    resources = _resources(sorter.wanted)
    costs = Pools(pools)
    problem_nodes, pool_of, notes = _nodes(nodes, resources, costs)
    amounts = _Amounts(resources, problem_nodes)
    items = [_fixed_item(placed, rules, amounts) for placed in sorter.fixed]
    items += [_wanted_item(facts, rules, amounts) for facts in sorter.wanted]
    budgets: tuple[Budget, ...] = ()
    if movability is not None:
        items = [_running_item(item, sorter, movability, pod) for item, pod in zip(items, sorter.pods, strict=True)]
        names = dict(pool_of)
        problem_nodes = tuple(replace(node, pool=names.get(node.name, "")) for node in problem_nodes)
        budgets = movability.budgets
    return Built(
        problem=Problem(resources, problem_nodes, tuple(items), cards=cards_of(resources), budgets=budgets),
        pods=tuple(sorter.pods),
        to_place=tuple(index for index in range(len(sorter.fixed), len(items)) if items[index].node is None),
        left_out=tuple(sorter.left_out),
        kept=tuple(sorted(sorter.kept.items())),
        pool_of=pool_of,
        notes=(*costs.notes, *notes, *sorter.notes(), *(movability.notes if movability else ())),
    )


class _Sorter:
    """Sorts the pods into fixed, wanted and left out."""

    def __init__(
        self,
        mode: Mode,
        scheduler_name: str,
        all_schedulers: bool,
        node_names: set[str],
        movability: Movability | None = None,
    ) -> None:
        self.fixed: list[Placed] = []
        self.wanted: list[PodFacts] = []
        self.left_out: list[LeftOut] = []
        self.kept: dict[str, str] = {}
        self._mode = mode
        self._scheduler_name = scheduler_name
        self._all = all_schedulers
        self._nodes = node_names
        self._movability = movability
        self.home: dict[str, str] = {}
        self._counts: Counter[str] = Counter()
        self._vague = 0

    def take(self, pod: Pod, facts_of: Callable[[Pod], PodFacts]) -> None:
        """Sort one pod."""
        role = role_of(pod, scheduler_name=self._scheduler_name, all_schedulers=self._all)
        if role is Role.FIXED and pod.spec.node_name not in self._nodes:
            self._counts["unknown-node"] += 1
        elif role is Role.FIXED:
            self._take_bound(facts_of(pod))
        elif role is Role.WANTED:
            self._want(facts_of(pod))
        elif role is Role.GATED:
            self._counts["gated"] += 1
        elif not pod.spec.node_name and not pod.metadata.deletion_timestamp and pod.status.phase in ("", "Pending"):
            self._counts["foreign"] += 1

    def _take_bound(self, facts: PodFacts) -> None:
        frees = self._mode == "repack" or self._movability is not None
        if frees and self._is_ours(facts.pod) and not facts.belongs_to_node:
            reason = self._movability.why_stays(facts) if self._movability else self._stays(facts)
            if reason is None:
                self.home[facts.key] = facts.pod.spec.node_name
                self.wanted.append(facts)
                return
            self.kept[facts.key] = reason
        self.fixed.append(Placed(facts, facts.pod.spec.node_name))

    def _is_ours(self, pod: Pod) -> bool:
        return self._all or pod.spec.scheduler_name == self._scheduler_name

    @staticmethod
    def _stays(facts: PodFacts) -> str | None:
        """Why a bound pod of ours is not moved, or None."""
        if facts.pod.metadata.annotations.get(DO_NOT_DISRUPT) == "true":
            return f"annotation {DO_NOT_DISRUPT}"
        if facts.pod.metadata.deletion_timestamp:
            return "is terminating"
        return f"{unsupported.PREFIX}{facts.unsupported}" if facts.unsupported else None

    def _want(self, facts: PodFacts) -> None:
        if is_neither_share_nor_whole(facts.requests):
            self._leave_out(facts, unsupported.CARD_SHARE)
        elif facts.unsupported:
            self._leave_out(facts, facts.unsupported)
        else:
            self.wanted.append(facts)

    def _leave_out(self, facts: PodFacts, what: str) -> None:
        """A pod that is bound stays where it is; one that is pending is reported."""
        rule = f"{unsupported.PREFIX}{what}"
        home = self.home.pop(facts.key, None)
        if home is None:
            self.left_out.append(LeftOut(facts.pod, rule, unsupported.REMEDIES[what]))
        else:
            self.kept[facts.key] = unmodelled(what) if self._movability else rule
            self.fixed.append(Placed(facts, home))

    def set_aside(self, matcher: Matcher, topology: Topology) -> None:
        """Leave out pods whose anti-affinity cannot be stated exactly."""
        counts = Counter(facts.profile for facts in self.wanted)
        staying = []
        for facts in self.wanted:
            what = _unstatable(facts, matcher, topology, counts)
            if what is None:
                staying.append(facts)
            else:
                self._leave_out(facts, what)
        self.wanted = staying
        self._vague = sum(any(matcher.is_vague(term) for term in one.facts.terms) for one in self.fixed)

    @property
    def pods(self) -> list[Pod]:
        """By item."""
        return [placed.facts.pod for placed in self.fixed] + [facts.pod for facts in self.wanted]

    def notes(self) -> list[str]:
        """What people should know about pods that are no part of the answer."""
        texts = {
            "gated": "{} pending pods are held by scheduling gates and wait",
            "foreign": "{} pending pods of other schedulers are ignored; --all-schedulers includes them",
            "unknown-node": "{} pods are bound to nodes that are not given, and count nowhere",
        }
        notes = [text.format(self._counts[what]) for what, text in texts.items() if self._counts[what]]
        if self._vague:
            notes.append(
                f"{self._vague} bound pods have anti-affinity with a namespaceSelector, and no Namespace objects are "
                "given: taken as selecting every namespace"
            )
        return notes


def _unstatable(facts: PodFacts, matcher: Matcher, topology: Topology, to_place: Counter[Profile]) -> str | None:
    """The rule by which a pod's own anti-affinity is beyond this version, or None."""
    for term in facts.terms:
        if matcher.is_vague(term):
            return unsupported.NAMESPACE_SELECTOR
        if not topology.is_host(term) and entangled(term, facts, matcher, to_place):
            return unsupported.ANTI_AFFINITY
    return None


def _resources(wanted: Iterable[PodFacts]) -> tuple[str, ...]:
    """What the pods to place ask for; a resource that none of them asks for cannot decide anything."""
    asked = {resource for facts in wanted for resource in facts.requests}
    return (*BASE_RESOURCES, *sorted(asked.difference(BASE_RESOURCES)))


class _Amounts:
    """A pod's requests in the order of the problem's resources, capped where no node could ever serve them.

    The API server takes requests up to 2^63; one pod of that size must not make the sums of all others overflow.
    """

    def __init__(self, resources: tuple[str, ...], nodes: Iterable[EngineNode]) -> None:
        offered = zip(*(node.capacity for node in nodes), strict=True)
        greatest = [max(column) for column in offered] or [0] * len(resources)
        self._caps = [(name, max(2 * most, UNREACHABLE)) for name, most in zip(resources, greatest, strict=True)]

    def of(self, facts: PodFacts) -> tuple[int, ...]:
        requests = facts.requests
        return tuple([whole_request(name, min(requests.get(name, 0), cap)) for name, cap in self._caps])


def _fixed_item(placed: Placed, rules: Rules, amounts: _Amounts) -> Item:
    facts = placed.facts
    return Item(
        name=facts.key,
        requests=amounts.of(facts),
        node=placed.node,
        keeps_node=not facts.belongs_to_node,
        priority=facts.priority,
        groups=rules.groups(facts),
        avoids=rules.avoids(facts),
    )


def _wanted_item(facts: PodFacts, rules: Rules, amounts: _Amounts) -> Item:
    return Item(
        name=facts.key,
        requests=amounts.of(facts),
        constraints=rules.constraints(facts),
        keeps_node=not facts.belongs_to_node,
        priority=facts.priority,
        groups=rules.groups(facts),
        avoids=rules.avoids(facts),
    )


def _running_item(item: Item, sorter: _Sorter, movability: Movability, pod: Pod) -> Item:
    """An item of a consolidation: a pod that may move has its node all the same, one that stays has the reason."""
    if item.name in sorter.home:
        budgets = movability.budgets_of(pod)
        return replace(item, node=sorter.home[item.name], movable=True, owner=owner_of(pod), budgets=budgets)
    if item.node is None:
        return item
    return replace(item, stays=sorter.kept.get(item.name) or foreign(pod))


def _nodes(
    nodes: Sequence[Node], resources: tuple[str, ...], pools: Pools
) -> tuple[tuple[EngineNode, ...], tuple[tuple[str, str], ...], list[str]]:
    """Engine nodes, pool by node, and notes."""
    found, pool_of, podless = [], [], []
    for node in nodes:
        offered = allocatable(node)
        pool, cost_micro = pools.of(node)
        found.append(engine_node(node, resources, offered, cost_micro))
        if pool:
            pool_of.append((node.metadata.name, pool))
        if not offered.get("pods"):
            podless.append(node.metadata.name)
    notes = []
    if podless:
        notes.append(
            f"{len(podless)} nodes take no pod because status.allocatable names no pods (first: {min(podless)}); "
            'add for example pods: "110"'
        )
    return tuple(found), tuple(pool_of), notes
