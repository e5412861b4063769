"""Why one pod is where it is, or waits: what each node says to it, and the smallest change that would help. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from yunchi_operator.api.core import Node, Pod
from yunchi_operator.api.names import SCHEDULER_NAME
from yunchi_operator.scheduling.messages import reason_text
from yunchi_operator.scheduling.neighbours import NamespaceLabels
from yunchi_operator.scheduling.problem import build_problem
from yunchi_operator.scheduling.stating import LeftOut, Surroundings
from yunchi_placement import solve
from yunchi_placement.explain import refusals

SHOWN = 3
"""Examples of nodes by rule."""


@dataclass(frozen=True, slots=True)
class Refused:
    """One rule, how many nodes it is the first to close, and some of them by name."""

    rule: str
    nodes: int
    examples: tuple[str, ...]

    @property
    def text(self) -> str:
        """In kube-scheduler's words."""
        return reason_text(self.rule)


@dataclass(frozen=True, slots=True)
class Explanation:
    """What there is to say about a pod.

    Attributes:
        state: ``bound``, ``waiting``, ``gated``, ``finished`` or ``foreign`` (another scheduler's).
        node: where it is; "" while it waits.
        open_to: nodes that would take it now, beside what runs there.
        refused: the others, by rule, most nodes first.
        note: what else explains it, or "".
        fix: the smallest change that would place it, or "".
    """

    pod: str
    state: str
    node: str
    open_to: tuple[str, ...]
    refused: tuple[Refused, ...]
    note: str = ""
    fix: str = ""

    def as_document(self) -> dict[str, Any]:
        """The published JSON form."""
        return {
            "pod": self.pod,
            "state": self.state,
            "node": self.node or None,
            "openTo": list(self.open_to),
            "refused": [
                {"rule": one.rule, "text": one.text, "nodes": one.nodes, "examples": list(one.examples)}
                for one in self.refused
            ],
            "note": self.note,
            "fix": self.fix,
        }


def explain_pod(
    pod: Pod,
    nodes: Sequence[Node],
    pods: Iterable[Pod],
    *,
    namespaces: NamespaceLabels | None = None,
    around: Surroundings | None = None,
) -> Explanation:
    """Explain one pod of a cluster.

    Args:
        pod: the pod.
        nodes: all nodes.
        pods: all pods; those that wait are left away.
        namespaces: labels by namespace; None when they are not known.
        around: volumes and PodGroups.

    Raises:
        ValueError: a quantity cannot be read; the message names the object.
    """
    others = [one for one in pods if one.key != pod.key and one.spec.node_name]
    built = build_problem(nodes, [*others, _unbound(pod)], all_schedulers=True, namespaces=namespaces, around=around)
    state = _state(pod)
    if built.left_out:
        return _left_out(pod, state, built.left_out[0], len(nodes))
    index = len(built.pods) - 1
    said = refusals(built.problem, index)
    fix = ""
    if not pod.spec.node_name:
        unplaced = solve(built.problem, effort="fast").unplaced
        fix = next((one.fix for one in unplaced if one.item == index), "")
    open_to = tuple(name for name, rule in said.items() if rule is None)
    return Explanation(pod.key, state, pod.spec.node_name, open_to, _by_rule(said), _note(pod, state, open_to), fix)


def _unbound(pod: Pod) -> Pod:
    """The pod as if it waited."""
    spec = msgspec.structs.replace(pod.spec, node_name="", scheduling_gates=())
    metadata = msgspec.structs.replace(pod.metadata, deletion_timestamp=None)
    return msgspec.structs.replace(pod, spec=spec, metadata=metadata, status=type(pod.status)())


def _state(pod: Pod) -> str:
    if pod.status.phase in ("Succeeded", "Failed"):
        return "finished"
    if pod.spec.node_name:
        return "bound"
    if pod.spec.scheduling_gates:
        return "gated"
    return "waiting" if pod.spec.scheduler_name == SCHEDULER_NAME else "foreign"


def _by_rule(said: Mapping[str, str | None]) -> tuple[Refused, ...]:
    names: dict[str, list[str]] = {}
    for node, rule in said.items():
        if rule is not None:
            names.setdefault(rule, []).append(node)
    found = [Refused(rule, len(listed), tuple(sorted(listed)[:SHOWN])) for rule, listed in names.items()]
    return tuple(sorted(found, key=lambda one: (-one.nodes, one.rule)))


def _note(pod: Pod, state: str, open_to: tuple[str, ...]) -> str:
    if state == "foreign":
        return f"scheduler {pod.spec.scheduler_name} places it, not Yunchi"
    if state == "gated":
        gates = ", ".join(gate.name for gate in pod.spec.scheduling_gates[:5])
        return f"it waits for its scheduling gates to be removed: {gates}"
    if state == "bound":
        allowed = pod.spec.node_name in open_to
        return "" if allowed else f"today its node {pod.spec.node_name} would not take it again"
    if state == "waiting" and open_to:
        return "there is room: it will be bound with the next batch, if the scheduler runs"
    return ""


def _left_out(pod: Pod, state: str, left: LeftOut, nodes: int) -> Explanation:
    note = left.message or reason_text(left.rule)
    return Explanation(pod.key, state, pod.spec.node_name, (), (Refused(left.rule, nodes, ()),), note, left.fix)
