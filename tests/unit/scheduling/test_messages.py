"""The sentences, word for word."""

from __future__ import annotations

import pytest

from yunchi_operator.scheduling.messages import reason_text, unschedulable_message
from yunchi_operator.scheduling.unsupported import PREFIX, REMEDIES
from yunchi_placement import Reason


def test_the_sentence_of_kube_scheduler_with_our_remedy() -> None:
    reasons = [Reason("taint:k", 50), Reason("resources:cpu", 100), Reason("node-affinity", 0)]
    assert unschedulable_message(150, reasons, "needs 2 more cpu on node a") == (
        "0/150 nodes are available: 100 Insufficient cpu, 50 node(s) had untolerated taint {k}. "
        "Needs 2 more cpu on node a."
    )


def test_without_nodes_and_without_a_remedy() -> None:
    assert unschedulable_message(0, [], "") == "0/0 nodes are available."


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        ("resources:pods", "Too many pods"),
        ("resources:nvidia.com/gpu", "Insufficient nvidia.com/gpu"),
        ("unschedulable", "node(s) were unschedulable"),
        ("node-affinity", "node(s) didn't match Pod's node affinity/selector"),
        ("pod-affinity", "node(s) didn't match pod affinity rules"),
        ("cards:yunchi.io/gpu-milli", "node(s) had no single card with enough free yunchi.io/gpu-milli"),
        ("cap:team", "node(s) refused by the limit of team"),
        ("gang:train", "node(s) refused by gang train"),
        ("anti-affinity", "node(s) didn't match pod anti-affinity rules or have free host ports"),
        ("unsupported:topology-spread", "node(s) not tried: yunchi does not support topology spread yet"),
        ("new-rule", "new-rule"),
    ],
)
def test_rules(rule: str, text: str) -> None:
    assert reason_text(rule) == text


@pytest.mark.parametrize("what", sorted(REMEDIES))
def test_every_rule_that_is_not_modelled_makes_a_sentence_with_its_remedy(what: str) -> None:
    text = unschedulable_message(3, [Reason(PREFIX + what, 3)], REMEDIES[what])
    assert text.startswith("0/3 nodes are available: 3 node(s) not tried: ")
    assert REMEDIES[what][1:] in text
