"""Which events wake which sleeping pods: those that can help, and no others."""

from __future__ import annotations

from typing import Any

import pytest

from support.objects import node, pod
from yunchi_operator.scheduling.facts import pod_facts
from yunchi_operator.scheduling.wakeups import Event, NodeCame, PodCame, PodLeft, Refusals, RulesChanged

ROOM: dict[str, int] = {"cpu": 2000, "memory": 1 << 40, "pods": 5}
TAINT = [{"key": "k", "effect": "NoSchedule"}]


def is_helped(event: Event, *rules: str, **spec: Any) -> bool:
    refusals = Refusals()
    refusals.add("default/p", pod_facts(pod("p", **spec)), rules)
    return refusals.helped_by([event]) == {"default/p"}


@pytest.mark.parametrize(
    ("event", "rules", "spec", "helped"),
    [
        (PodLeft(ROOM), ["resources:cpu"], {"cpu": "2"}, True),
        (PodLeft(ROOM), ["resources:cpu"], {"cpu": "3"}, False),
        (PodLeft(ROOM), ["node-affinity", "taint:k"], {}, False),
        (PodLeft(ROOM), ["anti-affinity"], {"cpu": "3"}, True),  # the one who left may be far from where it fits
        (PodLeft(ROOM), ["topology-spread", "resources:cpu"], {"cpu": "3"}, True),
        (PodCame(), ["resources:cpu", "anti-affinity", "host-ports"], {}, False),
        (PodCame(), ["pod-affinity"], {}, True),
        (PodCame(), ["topology-spread"], {}, True),
        (PodCame(), ["gang:default/g"], {}, True),
        (NodeCame(node("n", cpu="8")), ["resources:cpu"], {"cpu": "8"}, True),
        (NodeCame(node("n", cpu="8")), ["resources:cpu"], {"cpu": "9"}, False),
        (NodeCame(node("n", labels={"disk": "ssd"})), ["node-affinity"], {"nodeSelector": {"disk": "ssd"}}, True),
        (NodeCame(node("n")), ["node-affinity"], {"nodeSelector": {"disk": "ssd"}}, False),
        (NodeCame(node("n", spec={"taints": TAINT})), ["taint:k"], {}, False),
        (NodeCame(node("n", spec={"taints": TAINT})), ["taint:k"], {"tolerations": [{"operator": "Exists"}]}, True),
        (NodeCame(node("n", spec={"unschedulable": True})), ["unschedulable"], {}, False),
        (RulesChanged(), ["resources:cpu"], {}, True),
    ],
)
def test_events(event: Event, rules: list[str], spec: dict[str, Any], helped: bool) -> None:
    assert is_helped(event, *rules, **spec) is helped


def test_pods_alike_are_woken_together_and_forgotten_one_by_one() -> None:
    refusals = Refusals()
    for number in range(3):
        refusals.add(f"default/p{number}", pod_facts(pod(f"p{number}")), ("resources:cpu", "taint:k"))
    refusals.add("default/odd", None, ("unreadable",))
    assert refusals.counts() == {"resources:cpu": 3, "taint:k": 3, "unreadable": 1}
    refusals.discard("default/p1")
    refusals.discard("default/unknown")
    assert refusals.helped_by([PodCame(), PodLeft(ROOM)]) == {"default/p0", "default/p2"}
    refusals.add("default/p0", pod_facts(pod("p0")), ("node-affinity",))
    assert refusals.helped_by([PodLeft(ROOM)]) == {"default/p2"}
    assert refusals.counts() == {"resources:cpu": 1, "taint:k": 1, "node-affinity": 1, "unreadable": 1}
