"""Keeps the solver's picture of the cluster like the cluster, by telling it only what has changed.

A cluster of 50,000 pods takes a second to state and a hundredth of that to update. The mirror remembers what was told;
whoever learns that a pod or a node has changed says so here, and the next question carries the differences.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from yunchi_operator.api.core import Node, Pod
from yunchi_operator.scheduling.card_shares import cards_of
from yunchi_operator.scheduling.desk import Answer, Claimants, Question
from yunchi_operator.scheduling.facts import PodFacts
from yunchi_operator.scheduling.items import BASE_RESOURCES, DEFAULT_WEIGHTS, Items, Weights
from yunchi_operator.scheduling.neighbours import Groups
from yunchi_operator.scheduling.nodes import Pools, allocatable, engine_node
from yunchi_operator.scheduling.stating import LeftOut, Stated, in_group, left_out, stated
from yunchi_operator.scheduling.terms import Profile
from yunchi_operator.scheduling.unsupported import CLAIM_TURN
from yunchi_operator.scheduling.view import View
from yunchi_operator.scheduling.volumes import VolumeVerdict
from yunchi_placement import Effort, Gang, Item, Objective, Problem
from yunchi_placement import Node as EngineNode


@dataclass(frozen=True, slots=True)
class Asked:
    """A question on its way.

    Attributes:
        pods: the pods that its items stand for, by item name.
        left_out: pods of the batch that no item stands for.
        nodes: the nodes as they were; a changed one is looked at again.
        volumes: what must be done about volumes before a pod is bound, by item name.
    """

    question: Question
    pods: dict[str, Pod]
    left_out: tuple[LeftOut, ...] = ()
    nodes: dict[str, Node] = field(default_factory=dict)
    volumes: dict[str, VolumeVerdict] = field(default_factory=dict)


class Mirror:
    """What the solver has been told."""

    def __init__(self, view: View, objective: Objective = "cost", weights: Weights = DEFAULT_WEIGHTS) -> None:
        """Mirror a view, for an objective; preferences count by these weights."""
        self._view = view
        self._weights = weights
        self._objective = objective
        self._batch: frozenset[str] = frozenset()
        self._engine_nodes: dict[str, tuple[Node, EngineNode]] = {}
        self.reset()

    def reset(self) -> None:
        """Forget what was told: the next question states everything."""
        self._resources: tuple[str, ...] = ()
        self._engine_nodes.clear()
        self._held: dict[str, Item] = {}
        self._profiles: dict[Profile, set[str]] = defaultdict(set)
        self._profile_of: dict[str, Profile] = {}
        self._gangs: dict[str, int] = {}
        self._dirty: set[str] = set()
        self._nodes_changed = False
        self._whole = self._shaken = True

    def forget_worker(self) -> None:
        """The last question was answered by somebody who will not be asked again: the next one states everything."""
        self._whole = True

    def touch(self, key: str) -> None:
        """A pod was bound, changed, or has gone."""
        self._dirty.add(key)

    def touch_nodes(self) -> None:
        """Nodes, or what they cost, have changed."""
        self._nodes_changed = True

    def ask(self, keys: Sequence[str], effort: Effort = "fast") -> Asked:
        """State a question for a batch.

        Args:
            keys: the batch; pods that do not wait any more are skipped.
            effort: the engine's.
        """
        self._batch = frozenset(keys)
        self._dirty |= self._batch & self._view.nominations.keys()
        stand, refused = self._stated(keys)
        wanted = [one.facts for one in stand]
        question = self._state(wanted, effort) if self._must_state(wanted) else self._update(wanted, effort)
        self._shaken = False
        return Asked(
            question=question,
            pods={facts.key: facts.pod for facts in wanted},
            left_out=tuple(refused),
            nodes=dict(self._view.nodes),
            volumes={one.facts.key: one.volumes for one in stand if one.volumes is not None and one.volumes.unsettled},
        )

    def _stated(self, keys: Iterable[str]) -> tuple[list[Stated], list[LeftOut]]:
        """The pods of a batch that can be stated, and those that cannot; of rivals for a claim, the first."""
        batch = [self._view.facts.of(self._view.pods[key]) for key in keys if self._view.waits(key)]
        around = self._view.surroundings(batch)
        stand: list[Stated] = []
        refused: list[LeftOut] = []
        claimed: set[str] = set()
        for facts in batch:
            found = stated(facts, around)
            if isinstance(found, LeftOut):
                refused.append(found)
            elif found.volumes is not None and not claimed.isdisjoint(found.volumes.exclusive):
                refused.append(left_out(facts.pod, CLAIM_TURN))
            else:
                stand.append(found)
                claimed |= found.volumes.exclusive if found.volumes is not None else frozenset()
        return stand, refused

    def ask_to_evict(self, pods: Sequence[Pod], victims: Claimants) -> Question:
        """State a question for pods that found no room.

        Args:
            pods: the claimants; the last question must have held them.
            victims: whom they may have evicted; its items are filled in here.
        """
        self._batch = frozenset(pod.key for pod in pods)
        self._dirty |= self._batch & self._view.nominations.keys()
        stand, _ = self._stated(self._batch)
        wanted = [one.facts for one in stand]
        question = self._state(wanted, "fast") if self._must_state(wanted) else self._update(wanted, "fast")
        return replace(question, items=(), claimants=replace(victims, items=question.items))

    def took(self, asked: Asked, answer: Answer) -> None:
        """The solver has answered: what it placed it takes for running, whatever becomes of the bindings."""
        self.release_batch()
        for name, node in answer.placed:
            facts = self._facts(asked.pods[name])
            self._hold(facts, self._items.running(facts, node))
            self._dirty.add(name)

    def release_batch(self) -> None:
        """The question is answered: whoever is still nominated has its room kept again."""
        self._dirty |= self._batch & self._view.nominations.keys()
        self._batch = frozenset()

    def stirred(self) -> bool:
        """Whether, since the last question, something came, went or changed that others may mind."""
        return self._shaken or any(self._matters(key) for key in list(self._dirty))

    def _matters(self, key: str) -> bool:
        told = self._held.get(key)
        now = self._present(key)
        if told == now:
            return False
        return any(item is not None and (item.groups or item.apart or item.ports) for item in (told, now))

    def _must_state(self, wanted: Iterable[PodFacts]) -> bool:
        asked = {resource for facts in wanted for resource in facts.requests}
        return self._whole or not asked.issubset(self._resources)

    # -- everything anew ----------------------------------------------------------------------------------------------

    def _state(self, wanted: Sequence[PodFacts], effort: Effort) -> Question:
        known = self._resources
        self.reset()
        self._whole = False
        asked = {resource for facts in wanted for resource in facts.requests}.union(known)
        self._resources = (*BASE_RESOURCES, *sorted(asked.difference(BASE_RESOURCES)))
        self._groups = Groups({name: one.metadata.labels for name, one in self._view.namespaces.items()})
        nodes = self._nodes()
        seated = [(self._facts(pod), node) for pod, node in self._seated()]
        for facts, _ in seated:
            self._groups.learn(facts, placed=True)
        self._learn(wanted)
        for facts, node in seated:
            self._join(facts)
            self._hold(facts, self._items.running(facts, node))
        items = self._pending(wanted)
        problem = Problem(
            self._resources, nodes, tuple(self._held.values()), gangs=self._all_gangs(), cards=cards_of(self._resources)
        )
        return Question(items, effort, self._objective, problem=problem)

    def _seated(self) -> Iterable[tuple[Pod, str]]:
        for key, pod in self._view.pods.items():
            node = self._view.ledger.seat_of(key)
            if node is None and key not in self._batch:
                node = self._view.nominations.get(key)
            if node is not None:
                yield pod, node

    # -- what has changed ---------------------------------------------------------------------------------------------

    def _update(self, wanted: Sequence[PodFacts], effort: Effort) -> Question:
        gangs = dict(self._gangs)
        nodes = self._nodes() if self._nodes_changed else None
        self._learn(wanted)
        removed, observed = self._differences()
        items = self._pending(wanted)
        return Question(
            items,
            effort,
            self._objective,
            nodes=nodes,
            gangs=self._all_gangs() if self._gangs != gangs else None,
            removed=tuple(removed),
            observed=tuple(observed),
        )

    def _differences(self) -> tuple[list[str], list[Item]]:
        """What has left, and what runs otherwise than told. New anti-affinity may put others in new groups."""
        removed: list[str] = []
        observed: dict[str, Item] = {}
        while self._dirty:
            dirty, self._dirty = sorted(self._dirty), set()
            for key in dirty:
                now = self._present(key)
                if now is None:
                    observed.pop(key, None)
                    if self._held.pop(key, None) is not None:
                        removed.append(key)
                        self._profiles[self._profile_of.pop(key)].discard(key)
                elif now != self._held.get(key):
                    observed[key] = now
                    self._hold(self._view.facts.of(self._view.pods[key]), now)
        return removed, list(observed.values())

    def _present(self, key: str) -> Item | None:
        """A pod as it runs now; None when it does not."""
        pod, node = self._view.pods.get(key), self._view.ledger.seat_of(key)
        if node is None and key not in self._batch:
            node = self._view.nominations.get(key)
        if pod is None or node is None:
            return None
        facts = self._facts(pod)
        self._dirty |= self._keys_of(self._groups.learn(facts, placed=True))
        self._join(facts)
        return self._items.running(facts, node)

    # -- shared -------------------------------------------------------------------------------------------------------

    def _facts(self, pod: Pod) -> PodFacts:
        """Facts of a pod that runs, with its gang."""
        facts = self._view.facts.of(pod)
        return in_group(facts, self._view.pod_groups) or facts

    def _learn(self, wanted: Iterable[PodFacts]) -> None:
        for facts in wanted:
            self._dirty |= self._keys_of(self._groups.learn(facts, placed=False))
            self._join(facts)

    def _join(self, facts: PodFacts) -> None:
        if facts.gang:
            self._gangs[facts.gang.name] = max(facts.gang.least, self._gangs.get(facts.gang.name, 1))

    def _all_gangs(self) -> tuple[Gang, ...]:
        return tuple(Gang(name, least) for name, least in sorted(self._gangs.items()))

    def _keys_of(self, profiles: Iterable[Profile]) -> set[str]:
        return {key for profile in profiles for key in self._profiles.get(profile, ())}

    def _pending(self, wanted: Iterable[PodFacts]) -> tuple[Item, ...]:
        return tuple(self._items.pending(facts) for facts in wanted)

    def _hold(self, facts: PodFacts, item: Item) -> None:
        self._held[facts.key] = item
        old = self._profile_of.get(facts.key)
        if old is not None and old != facts.profile:
            self._profiles[old].discard(facts.key)
        self._profile_of[facts.key] = facts.profile
        self._profiles[facts.profile].add(facts.key)

    def _nodes(self) -> tuple[EngineNode, ...]:
        """All nodes; those that are still the same object are not read again."""
        self._nodes_changed = False
        pools = Pools(self._view.pools.values())
        before, self._engine_nodes = self._engine_nodes, {}
        for name, node in self._view.nodes.items():
            known, cost = before.get(name), pools.of(node)[1]
            if known is None or known[0] is not node or known[1].cost != cost:
                known = (node, engine_node(node, self._resources, allocatable(node), cost))
            self._engine_nodes[name] = known
        nodes = tuple(one for _, one in self._engine_nodes.values())
        self._items = Items(self._resources, nodes, self._groups, self._weights)
        return nodes
