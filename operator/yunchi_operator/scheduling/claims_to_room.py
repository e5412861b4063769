"""Who may have others evicted, and who may be: the question behind preemption. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from yunchi_operator.api.conditions import parse_timestamp
from yunchi_operator.api.core import Pod
from yunchi_operator.scheduling.cycle import Unfit
from yunchi_operator.scheduling.desk import Claimants
from yunchi_operator.scheduling.movable import coverage
from yunchi_operator.scheduling.nodes import allocatable
from yunchi_operator.scheduling.view import View

HELPLESS = ("unsupported:", "volumes:", "unreadable")
"""Rules that nobody's leaving changes."""


def claimants(view: View, unfit: Iterable[Unfit]) -> tuple[list[Pod], Claimants]:
    """The refused pods that may take others' room, and the pods whose room it is.

    Returns:
        The claimants, and everything about the others (without the claimants' items); no claimants if nobody of lower
        priority runs.
    """
    asking = [action.pod for action in unfit if _may_ask(action)]
    if not asking:
        return [], Claimants((), {})
    most = max(_priority(pod) for pod in asking)
    lower = [pod for pod in view.pods.values() if _priority(pod) < most and view.ledger.seat_of(pod.key) is not None]
    if not lower:
        return [], Claimants((), {})
    least = min(map(_priority, lower))
    seated = [pod for key, pod in view.pods.items() if view.ledger.seat_of(key) is not None]
    covered_by, allowed = coverage(seated, list(view.budgets.values()))
    evictable = {
        pod.key: (_since(pod), frozenset(covered_by.get(pod.key, ())))
        for pod in lower
        if pod.metadata.deletion_timestamp is None
    }
    leaving = frozenset(pod.key for pod in seated if pod.metadata.deletion_timestamp is not None)
    named = {name for _, names in evictable.values() for name in names}
    found = Claimants((), evictable, leaving, {name: count for name, count in allowed.items() if name in named})
    return [pod for pod in asking if _priority(pod) > least], found


def _may_ask(action: Unfit) -> bool:
    if action.pod.spec.preemption_policy == "Never":
        return False
    return not any(rule.startswith(HELPLESS) for rule in action.rules)


def _priority(pod: Pod) -> int:
    """As admission has resolved it."""
    return pod.spec.priority or 0


def _since(pod: Pod) -> float:
    """When it started, in seconds since the epoch; 0 if nobody knows, which makes it old."""
    text = pod.status.start_time or pod.metadata.creation_timestamp
    return parse_timestamp(text).timestamp() if text else 0.0


def victims_of(view: View, keys: Sequence[str]) -> list[Pod]:
    """The pods of these keys that are still there and not on their way out."""
    found = (view.pods.get(key) for key in keys)
    return [pod for pod in found if pod is not None and pod.metadata.deletion_timestamp is None]


def too_many(view: View, name: str, lately: Iterable[str]) -> list[Pod]:
    """Whom of ours to take back from a node that two schedulers have filled beyond its end at the same time.

    Args:
        view: of the cluster.
        name: of the node.
        lately: keys of the pods that we have bound in the last seconds, oldest first; nobody else goes for this.
    """
    node, room = view.nodes.get(name), view.ledger.room(name)
    if node is None or room is None:
        return []
    over = {r: amount - allocatable(node).get(r, 0) for r, amount in room.requested.items()}
    found = []
    for key in reversed([key for key in lately if key in room.guests and key in view.pods]):
        if not any(amount > 0 for amount in over.values()):
            break
        requests = view.facts.of(view.pods[key]).requests
        if any(over.get(resource, 0) > 0 for resource in requests):
            found.append(view.pods[key])
            over = {resource: amount - requests.get(resource, 0) for resource, amount in over.items()}
    return found
