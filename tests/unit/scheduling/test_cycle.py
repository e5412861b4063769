"""Cycles as values: what the engine is asked, and what becomes of an answer that the cluster has overtaken."""

from __future__ import annotations

from typing import Any

import msgspec

from yunchi_operator.api.core import Namespace, Node, Pod
from yunchi_operator.scheduling import cycle
from yunchi_operator.scheduling.cycle import Action, Bind, Retry, Unfit, node_differs, node_may_help
from yunchi_operator.scheduling.desk import Answer, Desk
from yunchi_operator.scheduling.ledger import Ledger
from yunchi_operator.scheduling.mirror import Asked, Mirror
from yunchi_operator.scheduling.view import View

REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
APART: dict[str, Any] = {
    "podAntiAffinity": {
        REQUIRED: [{"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {"app": "quorum"}}}]
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


class Scene:
    """A view, its mirror and a desk."""

    def __init__(self, nodes: list[Node], pods: list[Pod]) -> None:
        self.view = view_of(nodes, pods)
        self.mirror = Mirror(self.view)
        self.desk = Desk()

    def think(self, *keys: str) -> tuple[Asked, Answer]:
        asked = self.mirror.ask(keys)
        return asked, self.desk.answer(asked.question)

    def decide(self, asked: Asked, answer: Answer) -> list[Action]:
        stirred = self.mirror.stirred()
        self.mirror.took(asked, answer)
        return cycle.decide(self.view, asked, answer, stirred=stirred)

    def bound_by_other(self, newcomer: Pod) -> None:
        """The watch shows a pod that somebody else has bound."""
        self.view.pods[newcomer.key] = newcomer  # type: ignore[index]
        self.view.ledger.confirm(newcomer.key, newcomer.spec.node_name, self.view.load_of(newcomer))
        self.mirror.touch(newcomer.key)

    def replaced(self, changed: Node) -> None:
        self.view.nodes[changed.metadata.name] = changed  # type: ignore[index]
        self.mirror.touch_nodes()


def test_pods_that_wait_elsewhere_or_left_are_no_part_of_the_batch() -> None:
    pods = [pod("one"), pod("asleep"), pod("gated", schedulingGates=[{"name": "g"}]), pod("taken", on="n1")]
    asked, _ = Scene([node("n1")], pods).think("a/one", "a/gated", "a/taken", "a/deleted")
    assert list(asked.pods) == ["a/one"]


def test_assumed_pods_take_their_room_and_are_not_placed_twice() -> None:
    scene = Scene([node("n1")], [pod("first", "3"), pod("second", "3")])
    scene.view.ledger.assume("a/first", "n1", scene.view.load_of(scene.view.pods["a/first"]), until=30.0)
    asked, answer = scene.think("a/first", "a/second")
    assert list(asked.pods) == ["a/second"]
    (action,) = scene.decide(asked, answer)
    assert isinstance(action, Unfit)
    assert action.message.startswith("0/1 nodes are available: 1 Insufficient cpu.")
    assert action.rules == ("resources:cpu",)


def test_a_used_node_is_preferred() -> None:
    scene = Scene([node("n1"), node("n2"), node("n3")], [pod("x", on="n2"), pod("one"), pod("two")])
    found = scene.decide(*scene.think("a/one", "a/two"))
    assert {action.node for action in found if isinstance(action, Bind)} == {"n2"}


def test_an_answer_is_checked_again_before_it_is_carried_out() -> None:
    def after(change: Any) -> list[Any]:
        scene = Scene([node("n1")], [pod("one"), pod("two")])
        thought = scene.think("a/one", "a/two")
        change(scene)
        return scene.decide(*thought)

    assert [type(action) for action in after(lambda scene: None)] == [Bind, Bind]
    gone = after(lambda scene: scene.view.nodes.pop("n1"))
    assert [action.why for action in gone] == ["node n1 is gone"] * 2
    cordoned = after(lambda scene: scene.replaced(node("n1", unschedulable=True)))
    assert [action.why for action in cordoned] == ["node n1 has changed"] * 2
    tainted = after(lambda scene: scene.replaced(node("n1", taints=[{"key": "k", "effect": "NoSchedule"}])))
    assert [action.why for action in tainted] == ["node n1 has changed"] * 2


def test_room_taken_meanwhile_is_not_given_away_again() -> None:
    scene = Scene([node("n1")], [pod("one"), pod("two")])
    thought = scene.think("a/one", "a/two")
    scene.bound_by_other(pod("foreign", "3", on="n1"))
    first, second = scene.decide(*thought)
    assert isinstance(first, Bind)  # one core is left
    assert isinstance(second, Retry)
    assert second.why == "node n1 has become too full"


def test_a_node_that_shrank_is_seen_as_it_is_now() -> None:
    scene = Scene([node("n1", "4")], [pod("one", "3")])
    thought = scene.think("a/one")
    scene.replaced(node("n1", "2"))
    (action,) = scene.decide(*thought)
    assert isinstance(action, Retry)


def test_new_neighbours_with_rules_are_looked_at_by_a_new_solve() -> None:
    quorum = {"app": "quorum"}
    scene = Scene([node("n1")], [pod("first", labels=quorum, affinity=APART), pod("bystander")])
    thought = scene.think("a/first", "a/bystander")
    scene.bound_by_other(pod("q0", on="n1", labels=quorum))
    found = {type(action): action for action in scene.decide(*thought)}
    assert found[Retry] == Retry("a/first", "its neighbours have changed")
    assert Bind in found
    (late,) = scene.decide(*scene.think("a/first"))
    assert isinstance(late, Unfit)


def test_one_who_must_wait_takes_along_those_who_may_have_counted_on_it() -> None:
    near = {"podAffinity": {REQUIRED: [APART["podAntiAffinity"][REQUIRED][0]]}}
    scene = Scene([node("n1", "4")], [pod("a-db", "3", labels={"app": "quorum"}), pod("b-web", "1", affinity=near)])
    thought = scene.think("a/a-db", "a/b-web")
    scene.bound_by_other(pod("foreign", "2", on="n1"))
    assert [type(action) for action in scene.decide(*thought)] == [Retry, Retry]


def test_a_gang_with_one_lost_seat_is_solved_anew_as_a_whole() -> None:
    gang = {"yunchi.io/gang": "g", "yunchi.io/gang-min": "2"}
    scene = Scene([node("n1"), node("n2")], [pod(f"m{n}", "3", labels=gang) for n in range(2)])
    thought = scene.think("a/m0", "a/m1")
    scene.bound_by_other(pod("foreign", "2", on="n1"))
    assert [type(action) for action in scene.decide(*thought)] == [Retry, Retry]


def test_our_own_confirmed_bindings_do_not_outdate_an_answer() -> None:
    scene = Scene([node("n1")], [pod("first", labels={"app": "quorum"}), pod("lone", affinity=APART)])
    (bind,) = scene.decide(*scene.think("a/first"))
    assert isinstance(bind, Bind)
    scene.view.ledger.assume("a/first", "n1", bind.load, until=30.0)
    scene.think("a/lone")
    assert scene.view.ledger.confirm("a/first", "n1", bind.load) is False
    scene.mirror.touch("a/first")
    assert not scene.mirror.stirred()


def test_a_pod_that_went_or_was_replaced_gives_no_action() -> None:
    scene = Scene([node("n1")], [pod("gone"), pod("again"), pod("taken")])
    thought = scene.think("a/gone", "a/again", "a/taken")
    del scene.view.pods["a/gone"]  # type: ignore[attr-defined]
    successor = pod("again")
    scene.view.pods["a/again"] = msgspec.structs.replace(  # type: ignore[index]
        successor, metadata=msgspec.structs.replace(successor.metadata, uid="another")
    )
    scene.bound_by_other(pod("taken", on="n1"))
    assert cycle.decide(scene.view, *thought, stirred=False) == []


def test_a_rule_that_is_not_modelled_is_said_and_nothing_is_bound() -> None:
    scene = Scene([node("n1")], [pod("claims", resourceClaims=[{"name": "gpu"}])])
    (action,) = scene.decide(*scene.think("a/claims"))
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
