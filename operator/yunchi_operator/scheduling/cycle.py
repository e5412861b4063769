"""What becomes of an answer: it is older than the cluster by the time it arrives. Pure.

Each binding is checked against what the watches have told meanwhile; a doubtful one is solved anew rather than sent.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from yunchi_operator.api.core import Node, Pod
from yunchi_operator.scheduling.desk import Answer
from yunchi_operator.scheduling.ledger import Load
from yunchi_operator.scheduling.messages import unschedulable_message
from yunchi_operator.scheduling.mirror import Asked
from yunchi_operator.scheduling.nodes import allocatable, hard_taints
from yunchi_operator.scheduling.view import View
from yunchi_operator.scheduling.volumes import VolumeVerdict
from yunchi_placement import Item, Reason


@dataclass(frozen=True, slots=True)
class Bind:
    """Bind this pod to this node; with ``volumes``, once its claims are bound."""

    pod: Pod
    node: str
    load: Load
    volumes: VolumeVerdict | None = None


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


def decide(view: View, asked: Asked, answer: Answer, *, stirred: bool) -> list[Action]:
    """Turn an answer into actions, in its order, each binding checked against the present view.

    Pods that are gone or were bound by somebody else give no action.

    Args:
        view: of the cluster, now.
        asked: what was asked.
        answer: to that.
        stirred: whether meanwhile something came, went or changed that other pods may mind.
    """
    checker = _Checker(view, asked, stirred=stirred)
    items = {item.name: item for item in asked.question.items}
    actions: list[Action] = []
    for name, node in answer.placed:
        if _still_waits(view, asked.pods[name]):
            actions.append(checker.bind(asked.pods[name], items[name], node))
    actions = _gangs_kept(actions, items)
    for unplaced in answer.unplaced:
        pod = asked.pods[unplaced.name]
        if _still_waits(view, pod):
            message = unschedulable_message(len(asked.nodes), unplaced.reasons, unplaced.fix)
            actions.append(Unfit(pod, message, tuple(reason.rule for reason in unplaced.reasons)))
    actions.extend(_left_out(view, asked))
    return actions


def _still_waits(view: View, pod: Pod) -> bool:
    return view.waits(pod.key) and view.pods[pod.key].metadata.uid == pod.metadata.uid


def _gangs_kept(actions: list[Action], items: Mapping[str, Item]) -> list[Action]:
    """If one member of a gang must be solved anew, so must all: they start together."""
    broken = {items[action.key].gang for action in actions if isinstance(action, Retry)} - {""}
    return [
        Retry(action.pod.key, "its gang is solved anew")
        if isinstance(action, Bind) and items[action.pod.key].gang in broken
        else action
        for action in actions
    ]


class _Checker:
    """Checks bindings one after the other, each seeing those before it."""

    def __init__(self, view: View, asked: Asked, *, stirred: bool) -> None:
        self._view = view
        self._asked = asked
        self._stirred = stirred
        self._added: dict[str, dict[str, int]] = {}
        self._offered: dict[str, Mapping[str, int]] = {}

    def bind(self, pod: Pod, item: Item, node: str) -> Bind | Retry:
        """Bind, or Retry with the reason."""
        minds = bool(item.groups or item.near or item.apart or item.spread or item.ports)
        why = self._doubt(pod, node, minds=minds)
        if why:
            self._stirred |= minds  # those after it may have counted on it
            return Retry(pod.key, why)
        load = self._view.load_of(pod)
        added = self._added.setdefault(node, {})
        for resource, amount in load.requests.items():
            added[resource] = added.get(resource, 0) + amount
        return Bind(pod, node, load, self._asked.volumes.get(pod.key))

    def _doubt(self, pod: Pod, node: str, *, minds: bool) -> str:
        """Why the chosen node may no longer do; empty when it does."""
        now, then = self._view.nodes.get(node), self._asked.nodes[node]
        if now is None:
            return f"node {node} is gone"
        if now is not then and _placement_differs(then, now):
            return f"node {node} has changed"
        if minds and self._stirred:
            return "its neighbours have changed"
        return "" if self._fits(pod, node, now) else f"node {node} has become too full"

    def _fits(self, pod: Pod, node: str, now: Node) -> bool:
        if node not in self._offered:
            self._offered[node] = allocatable(now)
        offered, taken = self._offered[node], self._view.ledger.requested(node)
        added = self._added.get(node, {})
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


def _placement_differs(old: Node, new: Node) -> bool:
    return (
        old.metadata.labels != new.metadata.labels
        or old.spec != new.spec
        or old.status.conditions != new.status.conditions
    )


def _left_out(view: View, asked: Asked) -> Iterable[Unfit]:
    count = len(asked.nodes)
    for left in asked.left_out:
        if view.waits(left.pod.key):
            message = left.message or unschedulable_message(count, [Reason(left.rule, count)], left.fix)
            yield Unfit(left.pod, message, (left.rule,))
