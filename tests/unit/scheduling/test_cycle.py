"""Cycles as values: what the engine is asked, and what becomes of an answer that the cluster has overtaken."""

from __future__ import annotations

from typing import Any

import msgspec

from yunchi_operator.api.core import Namespace, Node, Pod
from yunchi_operator.scheduling.cycle import Bind, Retry, Unfit, View, decide, node_differs, node_may_help, plan
from yunchi_operator.scheduling.ledger import Ledger
from yunchi_placement import Solution
from yunchi_placement.solve import solve

APART = {
    "podAntiAffinity": {
        "requiredDuringSchedulingIgnoredDuringExecution": [
            {"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {"app": "quorum"}}}
        ]
    }
}


def node(name: str, cpu: str = "4", **spec: Any) -> Node:
    labels = {"kubernetes.io/hostname": name} | spec.pop("labels", {})
    allocatable = {"cpu": cpu, "memory": "16Gi", "pods": "110"}
    plain = {"metadata": {"name": name, "labels": labels}, "spec": spec, "status": {"allocatable": allocatable}}
    return msgspec.convert(plain, Node)


def pod(name: str, cpu: str = "1", *, on: str = "", labels: dict[str, str] | None = None, **spec: Any) -> Pod:
    container = {"name": "c", "resources": {"requests": {"cpu": cpu, "memory": "1Gi"}}}
    meta = {"name": name, "namespace": "a", "uid": f"uid-{name}", "labels": labels or {}}
    inner = {"schedulerName": "yunchi", "nodeName": on, "containers": [container]} | spec
    return msgspec.convert({"metadata": meta, "spec": inner}, Pod)


def view_of(nodes: list[Node], pods: list[Pod]) -> View:
    view = View({one.metadata.name: one for one in nodes}, {one.key: one for one in pods}, ledger=Ledger())
    for one in pods:
        if one.spec.node_name:
            view.ledger.confirm(one.key, one.spec.node_name, view.load_of(one))
    return view


def bound_by_other(view: View, newcomer: Pod) -> None:
    """The watch shows a pod that somebody else has bound."""
    view.pods[newcomer.key] = newcomer  # type: ignore[index]
    view.ledger.confirm(newcomer.key, newcomer.spec.node_name, view.load_of(newcomer))


def replaced(view: View, changed: Node) -> None:
    view.nodes[changed.metadata.name] = changed  # type: ignore[index]
    view.ledger.touch(changed.metadata.name)


def answer(view: View, *keys: str) -> tuple[Any, Solution]:
    planned = plan(view, keys)
    return planned, solve(planned.problem, effort="fast")


def test_everything_that_sits_somewhere_becomes_one_fixed_item_per_node() -> None:
    pods = [pod("x", on="n1"), pod("y", "2", on="n1"), pod("z", on="n2"), pod("new")]
    planned = plan(view_of([node("n1"), node("n2"), node("n3")], pods), ["a/new"])
    fixed = planned.problem.items[: planned.first]
    assert [(item.node, item.requests) for item in fixed] == [("n1", (3000, 2 << 30, 2)), ("n2", (1000, 1 << 30, 1))]
    assert [one.key for one in planned.items] == ["a/new"]


def test_pods_that_wait_elsewhere_or_left_are_no_part_of_the_batch() -> None:
    pods = [pod("one"), pod("asleep"), pod("gated", schedulingGates=[{"name": "g"}]), pod("taken", on="n1")]
    planned = plan(view_of([node("n1")], pods), ["a/one", "a/gated", "a/taken", "a/deleted"])
    assert [one.key for one in planned.items] == ["a/one"]


def test_assumed_pods_take_their_room_and_are_not_placed_twice() -> None:
    view = view_of([node("n1")], [pod("first", "3"), pod("second", "3")])
    view.ledger.assume("a/first", "n1", view.load_of(view.pods["a/first"]), until=30.0)
    planned, solution = answer(view, "a/first", "a/second")
    assert [one.key for one in planned.items] == ["a/second"]
    (action,) = decide(view, planned, solution)
    assert isinstance(action, Unfit)
    assert action.message.startswith("0/1 nodes are available: 1 Insufficient cpu.")
    assert action.rules == ("resources:cpu",)


def test_neighbour_rules_survive_the_merging_of_fixed_pods() -> None:
    quorum = {"app": "quorum"}
    sitting = [pod("q0", on="n1", labels=quorum, affinity=APART), pod("other", on="n2")]
    view = view_of([node("n1"), node("n2")], [*sitting, pod("q1", labels=quorum, affinity=APART)])
    planned, solution = answer(view, "a/q1")
    assert [action.node for action in decide(view, planned, solution) if isinstance(action, Bind)] == ["n2"]


def test_a_used_node_is_preferred() -> None:
    view = view_of([node("n1"), node("n2"), node("n3")], [pod("x", on="n2"), pod("one"), pod("two")])
    planned, solution = answer(view, "a/one", "a/two")
    assert {action.node for action in decide(view, planned, solution) if isinstance(action, Bind)} == {"n2"}


def test_an_answer_is_checked_again_before_it_is_carried_out() -> None:
    def after(change: Any) -> list[Any]:
        view = view_of([node("n1")], [pod("one"), pod("two")])
        planned, solution = answer(view, "a/one", "a/two")
        change(view)
        return decide(view, planned, solution)

    assert [type(action) for action in after(lambda view: None)] == [Bind, Bind]
    gone = after(lambda view: view.nodes.pop("n1"))
    assert [action.why for action in gone] == ["node n1 is gone"] * 2
    cordoned = after(lambda view: replaced(view, node("n1", unschedulable=True)))
    assert [action.why for action in cordoned] == ["node n1 has changed"] * 2
    tainted = after(lambda view: replaced(view, node("n1", taints=[{"key": "k", "effect": "NoSchedule"}])))
    assert [action.why for action in tainted] == ["node n1 has changed"] * 2


def test_room_taken_meanwhile_is_not_given_away_again() -> None:
    view = view_of([node("n1")], [pod("one"), pod("two")])
    planned, solution = answer(view, "a/one", "a/two")
    bound_by_other(view, pod("foreign", "3", on="n1"))
    first, second = decide(view, planned, solution)
    assert isinstance(first, Bind)  # one core is left
    assert isinstance(second, Retry)
    assert second.why == "node n1 has become too full"


def test_a_node_that_shrank_is_seen_as_it_is_now() -> None:
    view = view_of([node("n1", "4")], [pod("one", "3")])
    planned, solution = answer(view, "a/one")
    replaced(view, node("n1", "2"))
    (action,) = decide(view, planned, solution)
    assert isinstance(action, Retry)


def test_new_neighbours_with_rules_are_looked_at_by_a_new_solve() -> None:
    quorum = {"app": "quorum"}
    view = view_of([node("n1")], [pod("plain", labels=quorum)])
    planned, solution = answer(view, "a/plain")
    bound_by_other(view, pod("q0", on="n1", labels=quorum, affinity=APART))
    (action,) = decide(view, planned, solution)
    assert isinstance(action, Retry)
    assert action.why == "node n1 has new neighbours"


def test_our_own_confirmed_bindings_do_not_outdate_an_answer() -> None:
    quorum = {"app": "quorum"}
    first = pod("first", labels=quorum)
    view = view_of([node("n1")], [first, pod("lone", labels={"app": "lone"}, affinity=APART)])
    view.ledger.assume(first.key, "n1", view.load_of(first), until=30.0)
    stamp = view.ledger.stamp
    assert view.ledger.confirm(first.key, "n1", view.load_of(first)) is False
    assert view.ledger.stamp == stamp


def test_a_pod_that_went_or_was_replaced_gives_no_action() -> None:
    view = view_of([node("n1")], [pod("gone"), pod("again"), pod("taken")])
    planned, solution = answer(view, "a/gone", "a/again", "a/taken")
    del view.pods["a/gone"]  # type: ignore[attr-defined]
    successor = pod("again")
    view.pods["a/again"] = msgspec.structs.replace(  # type: ignore[index]
        successor, metadata=msgspec.structs.replace(successor.metadata, uid="another")
    )
    bound_by_other(view, pod("taken", on="n1"))
    assert decide(view, planned, solution) == []


def test_a_rule_that_is_not_modelled_is_said_and_nothing_is_bound() -> None:
    view = view_of([node("n1")], [pod("claims", resourceClaims=[{"name": "gpu"}])])
    planned, solution = answer(view, "a/claims")
    (action,) = decide(view, planned, solution)
    assert isinstance(action, Unfit)
    assert action.rules == ("unsupported:resource-claims",)
    assert "resource claims" in action.message


def test_which_node_changes_concern_anybody() -> None:
    plain = node("n1")
    labelled = node("n1", labels={"disk": "ssd"})
    cordoned = node("n1", unschedulable=True)
    tainted = node("n1", taints=[{"key": "k", "effect": "NoSchedule"}])
    assert not node_differs(plain, node("n1"))
    assert all(node_differs(plain, other) for other in (labelled, cordoned, tainted, node("n1", "8"), None))
    assert all(node_may_help(old, plain) for old in (None, labelled, cordoned, tainted, node("n1", "2")))
    assert not any(node_may_help(plain, new) for new in (None, cordoned, tainted, node("n1", "2"), node("n1")))


def test_a_pods_turn_is_its_departments_or_else_its_namespaces() -> None:
    named = msgspec.convert({"metadata": {"name": "a", "labels": {"yunchi.io/department": "health"}}}, Namespace)
    assert View({}, {}, {"a": named}).department_of(pod("x")) == "health"
    assert View({}, {}).department_of(pod("x")) == "namespace/a"
