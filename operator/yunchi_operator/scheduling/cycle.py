"""One scheduling cycle as values: what is known -> the engine's problem -> its solution -> actions. Pure.

The solution is older than the cluster by the time it arrives, so each binding is checked again against what the watch
has told meanwhile; a doubtful one is solved anew rather than sent.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import msgspec

from yunchi_operator.api import names
from yunchi_operator.api.core import Namespace, Node, Pod
from yunchi_operator.api.kinds import NodePool
from yunchi_operator.scheduling.facts import PodFacts, pod_facts
from yunchi_operator.scheduling.ledger import Ledger, Load
from yunchi_operator.scheduling.messages import unschedulable_message
from yunchi_operator.scheduling.nodes import allocatable, hard_taints
from yunchi_operator.scheduling.problem import build_problem
from yunchi_operator.scheduling.roles import LeftOut, Role, role_of
from yunchi_placement import Item, Problem, Reason, Solution

NOTHING: Final[Mapping[str, int]] = {}


class Facts:
    """Remembers what was read of each pod, as long as the watch shows the same object."""

    def __init__(self) -> None:
        self._known: dict[str, PodFacts] = {}

    def of(self, pod: Pod) -> PodFacts:
        """Facts of a pod, computed at most once per version of it.

        Raises:
            ValueError: a quantity cannot be read.
        """
        known = self._known.get(pod.key)
        if known is None or known.pod is not pod:
            known = self._known[pod.key] = pod_facts(pod)
        return known

    def forget(self, key: str) -> None:
        """The pod is gone."""
        self._known.pop(key, None)


@dataclass(frozen=True, slots=True)
class View:
    """What the watches have brought, live: the mappings are the reflectors' own stores."""

    nodes: Mapping[str, Node]
    pods: Mapping[str, Pod]
    namespaces: Mapping[str, Namespace] = field(default_factory=dict)
    pools: Mapping[str, NodePool] = field(default_factory=dict)
    ledger: Ledger = field(default_factory=Ledger)
    facts: Facts = field(default_factory=Facts)

    def department_of(self, pod: Pod) -> str:
        """Whose pod it is: the department of its namespace, or the namespace itself where it has none."""
        namespace = self.namespaces.get(pod.metadata.namespace)
        labels = namespace.metadata.labels if namespace else {}
        return labels.get(names.DEPARTMENT_LABEL) or f"namespace/{pod.metadata.namespace}"

    def load_of(self, pod: Pod) -> Load:
        """What a pod takes where it sits.

        Raises:
            ValueError: a quantity cannot be read.
        """
        facts = self.facts.of(pod)
        guarded = facts.is_social
        return Load(facts.requests, keeps_node=not facts.belongs_to_node, guarded=guarded)


@dataclass(frozen=True, slots=True)
class Planned:
    """A problem under way to the engine.

    Attributes:
        items: pods to place, by their place behind the fixed items.
        first: index of the first of them in the problem.
        left_out: pods of the batch that no item stands for, for a rule that is not modelled.
        nodes: the nodes as they were; a changed one is looked at again.
        stamp: the ledger's, when the problem was stated.
    """

    problem: Problem
    items: tuple[Pod, ...]
    first: int
    left_out: tuple[LeftOut, ...]
    nodes: Mapping[str, Node]
    stamp: int


@dataclass(frozen=True, slots=True)
class Bind:
    """Bind this pod to this node."""

    pod: Pod
    node: str
    load: Load


@dataclass(frozen=True, slots=True)
class Retry:
    """The answer is outdated for this pod: solve again."""

    key: str
    why: str


@dataclass(frozen=True, slots=True)
class Unfit:
    """No node fits: say so. ``rules`` are the engine's names, for the metric."""

    pod: Pod
    message: str
    rules: tuple[str, ...]


Action = Bind | Retry | Unfit


def plan(view: View, keys: Sequence[str]) -> Planned:
    """State the problem for a batch: everything that sits somewhere is fixed, pods that wait elsewhere are left away.

    Args:
        view: of the cluster.
        keys: the batch, best first; pods that are gone, bound or gated by now are skipped.
    """
    wanted = [view.pods[key] for key in keys if _is_wanted(view, key)]
    built = build_problem(
        tuple(view.nodes.values()),
        [*_seated(view), *wanted],
        view.pools.values(),
        namespaces={name: one.metadata.labels for name, one in view.namespaces.items()},
        facts_of=lambda pod: _facts(view, pod),
    )
    fixed = _merged(built.problem.items[: len(built.problem.items) - len(built.to_place)])
    to_place = tuple(built.problem.items[index] for index in built.to_place)
    return Planned(
        problem=replace(built.problem, items=fixed + to_place),
        items=tuple(built.pods[index] for index in built.to_place),
        first=len(fixed),
        left_out=built.left_out,
        nodes=dict(view.nodes),
        stamp=view.ledger.stamp,
    )


def decide(view: View, planned: Planned, solution: Solution) -> list[Action]:
    """Turn a solution into actions, in the batch's order, each binding checked against the present view.

    Pods that are gone or were bound by somebody else give no action.
    """
    checker = _Checker(view, planned)
    told = {unplaced.item: unplaced for unplaced in solution.unplaced}
    actions: list[Action] = []
    for number, pod in enumerate(planned.items, planned.first):
        if not _is_wanted(view, pod.key) or view.pods[pod.key].metadata.uid != pod.metadata.uid:
            continue
        node = solution.assignment[number]
        if node is not None:
            actions.append(checker.bind(pod, planned.problem.items[number], node))
        else:
            unplaced = told[number]
            message = unschedulable_message(len(planned.problem.nodes), unplaced.reasons, unplaced.fix)
            actions.append(Unfit(pod, message, tuple(reason.rule for reason in unplaced.reasons)))
    actions.extend(_left_out(view, planned))
    return actions


class _Checker:
    """Checks bindings one after the other, each seeing those before it."""

    def __init__(self, view: View, planned: Planned) -> None:
        self._view = view
        self._planned = planned
        self._added: dict[str, dict[str, int]] = {}
        self._offered: dict[str, Mapping[str, int]] = {}

    def bind(self, pod: Pod, item: Item, node: str) -> Bind | Retry:
        """Bind, or Retry with the reason."""
        why = self._doubt(pod, item, node)
        if why:
            return Retry(pod.key, why)
        load = self._view.load_of(pod)
        added = self._added.setdefault(node, {})
        for resource, amount in load.requests.items():
            added[resource] = added.get(resource, 0) + amount
        return Bind(pod, node, load)

    def _doubt(self, pod: Pod, item: Item, node: str) -> str:
        """Why the chosen node may no longer do; empty when it does."""
        now = self._view.nodes.get(node)
        if now is None:
            return f"node {node} is gone"
        room = self._view.ledger.room(node)
        if room is not None and room.changed_at > self._planned.stamp:
            if _placement_differs(self._planned.nodes[node], now):
                return f"node {node} has changed"
            if item.groups or item.apart or item.ports or room.guarded_at > self._planned.stamp:
                return f"node {node} has new neighbours"
        if not self._fits(pod, node, now):
            return f"node {node} has become too full"
        wide = bool(item.near or item.spread or item.apart)  # anti-affinity wider than a host
        return "new neighbours somewhere" if wide and self._view.ledger.stamp > self._planned.stamp else ""

    def _fits(self, pod: Pod, node: str, now: Node) -> bool:
        if node not in self._offered:
            self._offered[node] = allocatable(now)
        offered, taken = self._offered[node], self._view.ledger.requested(node)
        added = self._added.get(node, NOTHING)
        return all(
            amount + taken.get(resource, 0) + added.get(resource, 0) <= offered.get(resource, 0)
            for resource, amount in self._view.facts.of(pod).requests.items()
        )


def node_differs(old: Node | None, new: Node | None) -> bool:
    """Whether a node's change concerns placement; heartbeats and annotations do not."""
    if old is None or new is None:
        return True
    return _placement_differs(old, new) or old.status.allocatable != new.status.allocatable


def node_may_help(old: Node | None, new: Node | None) -> bool:
    """Whether a pod that found no place may find one after this change: not after a cordon or a loss."""
    if new is None:
        return False
    if old is None:
        return True
    if old.metadata.labels != new.metadata.labels or (old.spec.unschedulable and not new.spec.unschedulable):
        return True
    before, after = allocatable(old), allocatable(new)
    if any(amount > before.get(resource, 0) for resource, amount in after.items()):
        return True
    return not set(hard_taints(old)) <= set(hard_taints(new))


def is_ours(pod: Pod) -> bool:
    """Whether the pod waits, gated or not, for this scheduler."""
    return role_of(pod) in {Role.WANTED, Role.GATED}


def _is_wanted(view: View, key: str) -> bool:
    """Whether a pod still waits: there, not gated, not bound by anybody, not assumed bound by us."""
    pod = view.pods.get(key)
    return pod is not None and view.ledger.seat_of(key) is None and role_of(pod) is Role.WANTED


def _seated(view: View) -> Iterable[Pod]:
    """Pods that take room; an assumed one as it will look once the watch shows its binding."""
    for key, pod in view.pods.items():
        if pod.spec.node_name:
            yield pod
        elif (node := view.ledger.seat_of(key)) is not None:
            yield msgspec.structs.replace(pod, spec=msgspec.structs.replace(pod.spec, node_name=node))


def _facts(view: View, pod: Pod) -> PodFacts:
    """Facts from memory; an assumed pod's are those of the pod as the watch shows it."""
    original = view.pods[pod.key]
    facts = view.facts.of(original)
    return facts if original is pod else replace(facts, pod=pod)


def _merged(fixed: Iterable[Item]) -> tuple[Item, ...]:
    """One fixed item per node instead of thousands: the same room taken, the same neighbours kept away."""
    by_node: dict[str, list[Item]] = {}
    for item in fixed:
        assert item.node is not None  # noqa: S101 - fixed items have one
        by_node.setdefault(item.node, []).append(item)
    return tuple(
        Item(
            name=f"on/{node}",
            requests=tuple(map(sum, zip(*(item.requests for item in items), strict=True))),
            node=node,
            keeps_node=any(item.keeps_node for item in items),
            groups=frozenset().union(*(item.groups for item in items)),
            avoids=frozenset().union(*(item.avoids for item in items)),
        )
        for node, items in by_node.items()
    )


def _placement_differs(old: Node, new: Node) -> bool:
    return (
        old.metadata.labels != new.metadata.labels
        or old.spec != new.spec
        or old.status.conditions != new.status.conditions
    )


def _left_out(view: View, planned: Planned) -> Iterable[Unfit]:
    count = len(planned.problem.nodes)
    for left in planned.left_out:
        if _is_wanted(view, left.pod.key):
            message = unschedulable_message(count, [Reason(left.rule, count)], left.fix)
            yield Unfit(left.pod, message, (left.rule,))
