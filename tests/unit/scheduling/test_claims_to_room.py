"""Who may have others evicted, who may be, and whom two schedulers at once have put where one should be."""

from __future__ import annotations

from typing import Any

import msgspec

from support.objects import node, pod
from yunchi_operator.api.core import Node, Pod
from yunchi_operator.api.disruption import PodDisruptionBudget
from yunchi_operator.scheduling.claims_to_room import claimants, too_many, victims_of
from yunchi_operator.scheduling.cycle import Unfit
from yunchi_operator.scheduling.view import View

NO_ROOM = ("resources:cpu",)


def view_of(nodes: list[Node], pods: list[Pod], budgets: list[Any] | None = None) -> View:
    kept = {one["metadata"]["name"]: msgspec.convert(one, PodDisruptionBudget) for one in budgets or []}
    view = View({one.metadata.name: one for one in nodes}, {one.key: one for one in pods}, budgets=kept)
    for one in pods:
        if one.spec.node_name:
            view.ledger.confirm(one.key, one.spec.node_name, view.load_of(one))
    return view


def asking(*pods: Pod, rules: tuple[str, ...] = NO_ROOM) -> list[Unfit]:
    return [Unfit(one, "", rules) for one in pods]


def test_only_who_outranks_somebody_asks() -> None:
    low, high, same = pod("low", on="n", priority=1), pod("high", priority=9), pod("same", priority=1)
    view = view_of([node("n")], [low, high, same])
    pods, found = claimants(view, asking(high, same))
    assert [one.metadata.name for one in pods] == ["high"]
    assert set(found.evictable) == {"default/low"}
    assert claimants(view, asking(same))[0] == []


def test_who_may_never_preempt_or_cannot_be_helped_does_not_ask() -> None:
    low, high = pod("low", on="n"), pod("high", priority=9)
    view = view_of([node("n")], [low, high])
    assert claimants(view, asking(pod("high", priority=9, preemptionPolicy="Never")))[0] == []
    for rule in ("unsupported:resource-claims", "volumes:claim-missing", "unreadable"):
        assert claimants(view, asking(high, rules=(rule,)))[0] == []


def test_who_is_leaving_is_no_victim_but_its_room_counts() -> None:
    leaving = pod("leaving", on="n", meta={"deletionTimestamp": "2026-11-21T00:00:00Z"})
    view = view_of([node("n")], [leaving, pod("low", on="n"), pod("high", priority=9)])
    _, found = claimants(view, asking(pod("high", priority=9)))
    assert set(found.evictable) == {"default/low"}
    assert found.leaving == {"default/leaving"}
    assert victims_of(view, ["default/leaving", "default/low", "default/gone"]) == [view.pods["default/low"]]


def test_starts_and_budgets_come_along() -> None:
    web = {"app": "web"}
    started = {"startTime": "2026-11-21T00:00:10Z"}
    budget = {
        "metadata": {"name": "web", "namespace": "default"},
        "spec": {"selector": {"matchLabels": web}},
        "status": {"disruptionsAllowed": 1},
    }
    low = pod("low", on="n", labels=web, status=started)
    view = view_of([node("n")], [low, pod("other", on="n")], [budget])
    _, found = claimants(view, asking(pod("high", priority=9)))
    since, names = found.evictable["default/low"]
    assert since == 1795219210.0
    assert names == {"default/web"}
    assert found.allowed == {"default/web": 1}
    assert found.evictable["default/other"] == (0.0, frozenset())


def test_our_latest_go_from_a_node_that_a_foreign_pod_has_filled() -> None:
    first, second = pod("first", cpu="3", on="n"), pod("second", cpu="3", on="n")
    foreign = pod("foreign", cpu="2", on="n", schedulerName="default-scheduler")
    view = view_of([node("n", cpu="8")], [first, second])
    assert too_many(view, "n", ["default/first", "default/second"]) == []
    full = view_of([node("n", cpu="7")], [first, second, foreign])
    assert too_many(full, "n", ["default/first", "default/second"]) == [second]
    assert too_many(full, "n", []) == []
    assert too_many(full, "unknown", ["default/first"]) == []
