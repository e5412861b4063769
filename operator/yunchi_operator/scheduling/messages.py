"""Why a pod has no node, in kube-scheduler's own words, so that people and tools that know those understand ours."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from yunchi_placement import Reason

_TEXTS: Final = {
    "unschedulable": "node(s) were unschedulable",
    "node-affinity": "node(s) didn't match Pod's node affinity/selector",
    "anti-affinity": "node(s) didn't match pod anti-affinity rules or have free host ports",
    "pod-affinity": "node(s) didn't match pod affinity rules",
    "topology-spread": "node(s) didn't match pod topology spread constraints",
    "host-ports": "node(s) didn't have free ports for the requested pod ports",
    "gone": "node(s) are gone",
}

_OF_SOMETHING: Final = {
    "resources": "Insufficient {what}",
    "taint": "node(s) had untolerated taint {{{what}}}",
    "cards": "node(s) had no single card with enough free {what}",
    "cap": "node(s) refused by the limit of {what}",
    "gang": "node(s) refused by gang {what}",
    "volumes": "node(s) refused for the pod's volumes: {plain}",
    "unsupported": "node(s) not tried: yunchi does not support {plain} yet",
}
"""Rules that name a resource, a taint, a claim's fault."""


def unschedulable_message(total_nodes: int, reasons: Iterable[Reason], fix: str) -> str:
    """One sentence per pod, for its PodScheduled condition and for tables.

    Args:
        total_nodes: nodes of the cluster.
        reasons: nodes counted by their first failing rule.
        fix: the smallest change that would help, or "".

    Returns:
        Such as ``0/150 nodes are available: 100 Insufficient cpu, 50 node(s) had untolerated taint {gpu}. <fix>``.
    """
    counted = ", ".join(sorted(f"{reason.nodes} {reason_text(reason.rule)}" for reason in reasons if reason.nodes))
    listed = f": {counted}." if counted else "."
    return f"0/{total_nodes} nodes are available{listed}{' ' + _sentence(fix) if fix else ''}"


def unreadable_message(error: str) -> str:
    """For a pod that cannot be stated as a problem."""
    return f"Yunchi cannot place this pod: {_sentence(error)}"


def reason_text(rule: str) -> str:
    """A rule of the engine in kube-scheduler's words."""
    kind, _, what = rule.partition(":")
    if rule == "resources:pods":
        return "Too many pods"
    if kind in _OF_SOMETHING:
        return _OF_SOMETHING[kind].format(what=what, plain=what.replace("-", " "))
    return _TEXTS.get(rule, rule)


def _sentence(text: str) -> str:
    """With a capital and a full stop."""
    text = text[:1].upper() + text[1:]
    return text if text.endswith(".") else f"{text}."
