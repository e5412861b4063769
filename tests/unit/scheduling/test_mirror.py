"""The solver's picture of the cluster, kept by differences: after any events it answers as one made anew."""

from __future__ import annotations

import random
from typing import Any

import msgspec
import pytest

from support.objects import HOST, REQUIRED, ZONE, node, pod, pool
from yunchi_operator.api.core import Namespace, Node, Pod
from yunchi_operator.scheduling.desk import Answer, Desk, NothingKnown, Question
from yunchi_operator.scheduling.mirror import Asked, Mirror
from yunchi_operator.scheduling.view import View

APPS = ("a", "b", "c")


class World:
    """A cluster in memory, with one mirror and desk that live through everything."""

    def __init__(self) -> None:
        self.nodes: dict[str, Node] = {}
        self.pods: dict[str, Pod] = {}
        self.namespaces: dict[str, Namespace] = {}
        self.pools: dict[str, Any] = {}
        self.view = View(self.nodes, self.pods, self.namespaces, self.pools)
        self.mirror, self.desk = Mirror(self.view), Desk()

    def put_node(self, one: Node) -> None:
        self.nodes[one.metadata.name] = one
        self.mirror.touch_nodes()

    def drop_node(self, name: str) -> None:
        del self.nodes[name]
        self.mirror.touch_nodes()

    def put(self, one: Pod) -> None:
        self.pods[one.key] = one
        if one.spec.node_name:
            self.view.ledger.confirm(one.key, one.spec.node_name, self.view.load_of(one))
        self.mirror.touch(one.key)

    def drop(self, key: str) -> None:
        self.pods.pop(key, None)
        self.view.facts.forget(key)
        self.view.ledger.leave(key)
        self.mirror.touch(key)

    def relabel(self, namespace: str, **labels: str) -> None:
        self.namespaces[namespace] = msgspec.convert({"metadata": {"name": namespace, "labels": labels}}, Namespace)
        self.mirror.reset()

    def think(self, *keys: str) -> tuple[Asked, Answer]:
        asked = self.mirror.ask(keys)
        answer = self.desk.answer(asked.question)
        self.mirror.took(asked, answer)
        return asked, answer

    def assume(self, answer: Answer) -> None:
        for key, place in answer.placed:
            self.view.ledger.assume(key, place, self.view.load_of(self.pods[key]), until=1e9)

    def answer_from_nothing(self, *keys: str) -> Answer:
        return Desk().answer(Mirror(self.view).ask(keys).question)


def term(chance: random.Random) -> dict[str, Any]:
    found: dict[str, Any] = {
        "topologyKey": chance.choice([HOST, ZONE]),
        "labelSelector": {"matchLabels": {"app": chance.choice(APPS)}},
    }
    match chance.randrange(4):
        case 0:
            found["namespaceSelector"] = {"matchLabels": {"team": "tax"}}
        case 1:
            found["namespaces"] = ["default", "other"]
    return found


def draw(chance: random.Random, name: str, *, on: str = "") -> Pod:
    """A pod with at most one rule about others."""
    spec: dict[str, Any] = {}
    match chance.randrange(6):
        case 0:
            spec["affinity"] = {"podAntiAffinity": {REQUIRED: [term(chance)]}}
        case 1:
            spec["affinity"] = {"podAffinity": {REQUIRED: [term(chance)]}}
        case 2:
            app = {"matchLabels": {"app": chance.choice(APPS)}}
            spec["topologySpreadConstraints"] = [
                {"topologyKey": ZONE, "maxSkew": chance.randint(1, 2), "whenUnsatisfiable": "DoNotSchedule"}
                | {"labelSelector": app}
            ]
        case 3:
            ports = [{"containerPort": 80, "hostPort": chance.choice([80, 81])}]
            spec["containers"] = [{"name": "c", "ports": ports}]
        case 4:
            requests = {"cpu": "1", "example.com/card": "1"}
            spec["containers"] = [{"name": "c", "resources": {"requests": requests}}]
    return pod(
        name,
        cpu=str(chance.randint(1, 3)),
        namespace=chance.choice(["default", "other"]),
        labels={"app": chance.choice(APPS)},
        on=on,
        **spec,
    )


def pinned(one: Pod, host: str) -> Pod:
    spec = msgspec.structs.replace(one.spec, node_selector={HOST: host}, topology_spread_constraints=())
    return msgspec.structs.replace(one, spec=spec)


def change_pods(world: World, chance: random.Random, name: str) -> None:
    """Somebody else binds, deletes or changes a pod."""
    home, key = chance.choice(sorted(world.nodes)), chance.choice(sorted(world.pods) or [""])
    seat = world.view.ledger.seat_of(key)
    what = chance.randrange(3)
    if what == 0 and key:
        world.drop(key)
    elif what == 1 and seat:
        old, new = world.pods[key], draw(chance, world.pods[key].metadata.name, on=seat)
        metadata = msgspec.structs.replace(new.metadata, namespace=old.metadata.namespace)
        world.put(msgspec.structs.replace(new, metadata=metadata))
    else:
        world.put(draw(chance, name, on=home))


def change_nodes(world: World, chance: random.Random) -> None:
    """A node comes, changes or goes, or its pool costs something else."""
    what = chance.randrange(3)
    if what == 0 and len(world.nodes) > 3:
        world.drop_node(chance.choice(sorted(world.nodes)))
    elif what == 1:
        world.pools["p"] = pool("p", cost=str(chance.randint(1, 5)))
        world.mirror.touch_nodes()
    else:
        labels = {"example.com/kind": chance.choice(["x", "y"])}
        card = {"allocatable": {"cpu": "8", "memory": "32Gi", "pods": "110", "example.com/card": "2"}}
        world.put_node(node(f"n{chance.randrange(7)}", zone=f"z{chance.randrange(3)}", labels=labels, **card))


def change_placement(world: World, chance: random.Random, name: str) -> None:
    """A batch is placed; sometimes no binding comes off."""
    batch = [draw(chance, f"{name}-{k}") for k in range(chance.randint(1, 3))]
    for one in batch:
        world.put(one)
    _, answer = world.think(*(one.key for one in batch))
    if chance.random() < 0.8:
        world.assume(answer)
    for one in answer.unplaced:
        world.drop(one.name)


@pytest.mark.parametrize("seed", range(15))
def test_after_any_events_the_desk_answers_as_one_made_anew(seed: int) -> None:
    chance, world = random.Random(seed), World()
    for number in range(5):
        world.put_node(node(f"n{number}", zone=f"z{number % 2}"))
    for step in range(40):
        what = chance.choice(["pods", "pods", "pods", "nodes", "nodes", "labels", "place", "place", "place"])
        if what == "pods":
            change_pods(world, chance, f"p{step:02d}")
        elif what == "nodes":
            change_nodes(world, chance)
        elif what == "labels" and step % 5 == 0:
            world.relabel("other", team=chance.choice(["tax", "law"]))
        else:
            change_placement(world, chance, f"p{step:02d}")
        for host in sorted(world.nodes):
            probe = pinned(draw(chance, f"probe{step}"), host)
            world.put(probe)
            expected = world.answer_from_nothing(probe.key)
            _, found = world.think(probe.key)
            assert (found.placed, found.nodes_used) == (expected.placed, expected.nodes_used)
            assert [one.name for one in found.unplaced] == [one.name for one in expected.unplaced]
            world.drop(probe.key)


def test_only_what_has_changed_is_told() -> None:
    world = World()
    world.put_node(node("n0"))
    for number in range(20):
        world.put(pod(f"old{number}", cpu="100m", on="n0"))
    world.put(pod("new", cpu="100m"))
    first = world.think("default/new")[0].question
    assert first.problem is not None
    assert len(first.problem.items) == 20
    world.put(pod("next", cpu="100m"))
    world.drop("default/old3")
    world.put(pod("old4", cpu="200m", on="n0"))
    second = world.think("default/next")[0].question
    assert (second.problem, second.nodes, second.gangs) == (None, None, None)
    assert second.removed == ("default/new", "default/old3")  # new was never bound
    assert [item.name for item in second.observed] == ["default/old4"]
    third = world.mirror.ask([]).question
    assert (third.removed, third.observed) == (("default/next",), ())


def test_who_is_selected_by_new_anti_affinity_is_told_again() -> None:
    world = World()
    world.put_node(node("n0"))
    world.put(pod("web", labels={"app": "web"}, on="n0"))
    world.think()
    apart = {"podAntiAffinity": {REQUIRED: [{"topologyKey": HOST, "labelSelector": {"matchLabels": {"app": "web"}}}]}}
    world.put(pod("shy", affinity=apart))
    asked, answer = world.think("default/shy")
    assert [item.name for item in asked.question.observed] == ["default/web"]
    assert [one.reasons[0].rule for one in answer.unplaced] == ["anti-affinity"]


def test_a_resource_that_nobody_asked_for_before_states_everything_anew() -> None:
    world = World()
    world.put_node(node("n0", allocatable={"cpu": "8", "memory": "1Gi", "pods": "10", "example.com/card": "1"}))
    world.put(pod("plain"))
    world.think("default/plain")
    wants = [{"name": "c", "resources": {"requests": {"example.com/card": "1"}}}]
    world.put(pod("card", containers=wants))
    asked, answer = world.think("default/card")
    assert asked.question.problem is not None
    assert answer.placed == (("default/card", "n0"),)


def test_a_desk_that_knows_nothing_says_so() -> None:
    with pytest.raises(NothingKnown):
        Desk().answer(Question(()))


def test_a_gang_may_arrive_later_and_in_parts() -> None:
    world = World()
    world.put_node(node("n0", cpu="8"))
    world.think()
    gang = {"yunchi.io/gang": "g", "yunchi.io/gang-min": "3"}
    for number in range(2):
        world.put(pod(f"m{number}", labels=gang))
    assert world.think("default/m0", "default/m1")[1].placed == ()
    world.put(pod("m2", labels=gang))
    placed = world.think("default/m0", "default/m1", "default/m2")[1].placed
    assert sorted(name for name, _ in placed) == ["default/m0", "default/m1", "default/m2"]


def test_a_reset_while_a_question_is_under_way_makes_its_answer_doubtful() -> None:
    world = World()
    world.put_node(node("n0"))
    world.put(pod("new"))
    world.mirror.ask(["default/new"])
    assert not world.mirror.stirred()
    world.relabel("default", team="tax")
    assert world.mirror.stirred()
    assert world.mirror.ask(["default/new"]).question.problem is not None
    assert not world.mirror.stirred()
