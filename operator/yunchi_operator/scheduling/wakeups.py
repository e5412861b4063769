"""Which events can help a pod that found no place, so that it is not solved again in vain. Pure.

A pod's reasons are the first rule by which each node refused it; a node takes it only after that rule lets it pass.
So an event that cannot change any of these rules cannot help.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from yunchi_operator.api.core import Node
from yunchi_operator.scheduling.facts import PodFacts
from yunchi_operator.scheduling.nodes import allocatable, engine_node
from yunchi_placement import Constraints
from yunchi_placement.eligibility import Eligibility

SOCIAL: Final = frozenset({"pod-affinity", "anti-affinity", "topology-spread", "host-ports", "gang", "cap", "cards"})
"""Rules about other pods: the coming or going of one may change them anywhere."""
ARRIVALS: Final = frozenset({"pod-affinity", "topology-spread", "gang"})
"""Those that a pod's coming may relax."""


@dataclass(frozen=True, slots=True)
class NodeCame:
    """A node is new, or offers or lets in more than before."""

    node: Node


@dataclass(frozen=True, slots=True)
class PodLeft:
    """A pod has left a node: what is free there now, by resource."""

    free: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class PodCame:
    """A pod runs that was not there before."""


@dataclass(frozen=True, slots=True)
class StorageChanged:
    """A claim, a volume or a storage class came or changed."""


@dataclass(frozen=True, slots=True)
class RulesChanged:
    """Labels of a namespace, a PodGroup: anything whose effect is not worth working out."""


Event = NodeCame | PodLeft | PodCame | StorageChanged | RulesChanged


class Waker:
    """Judges one event for many pods; pods with the same demands are judged once."""

    def __init__(self, event: Event) -> None:
        self._event = event
        self._memo: dict[Constraints, bool] = {}

    def helps(self, facts: PodFacts, rules: Iterable[str]) -> bool:
        """Whether a pod that failed by these rules (the engine's names) may fit now."""
        kinds = {rule.partition(":")[0] for rule in rules}
        match self._event:
            case NodeCame(node):
                return self._may_take(node, facts)
            case PodLeft(free):
                return bool(kinds & SOCIAL) or facts.has_claims or ("resources" in kinds and _fits(facts, free))
            case PodCame():
                return bool(kinds & ARRIVALS)
            case StorageChanged():
                return facts.has_claims
            case _:
                return True

    def _may_take(self, node: Node, facts: PodFacts) -> bool:
        """Whether the empty node would do, its neighbours aside."""
        if not _fits(facts, allocatable(node)):
            return False
        known = self._memo.get(facts.constraints)
        if known is None:
            eligible = Eligibility((engine_node(node, (), {}, 0),))
            known = self._memo[facts.constraints] = bool(eligible.masks[eligible.of(facts.constraints)][0])
        return known


def _fits(facts: PodFacts, free: Mapping[str, int]) -> bool:
    return all(amount <= free.get(resource, 0) for resource, amount in facts.requests.items())


class Refusals:
    """The pods that found no place, and why; those that ask the same and failed by the same are one to an event."""

    def __init__(self) -> None:
        self._shape_of: dict[str, _Shape] = {}
        self._keys: dict[_Shape, set[str]] = {}
        self._sample: dict[_Shape, PodFacts] = {}

    def __contains__(self, key: object) -> bool:
        return key in self._shape_of

    def add(self, key: str, facts: PodFacts | None, rules: tuple[str, ...]) -> None:
        """A pod was refused by these rules; without facts it cannot be read, and only a change of its own helps."""
        self.discard(key)
        if facts is None:
            shape = _Shape(rules, frozenset(), None)
        else:
            shape = _Shape(rules, frozenset(facts.requests.items()), facts.constraints)
            self._sample[shape] = facts
        self._shape_of[key] = shape
        self._keys.setdefault(shape, set()).add(key)

    def discard(self, key: str) -> None:
        """A pod is placed or gone; unknown ones are fine."""
        shape = self._shape_of.pop(key, None)
        if shape is None:
            return
        keys = self._keys[shape]
        keys.discard(key)
        if not keys:
            del self._keys[shape]
            self._sample.pop(shape, None)

    def helped_by(self, events: Iterable[Event]) -> set[str]:
        """Keys of the pods that any of these events may help."""
        wakers = [Waker(event) for event in events]
        found: set[str] = set()
        for shape, facts in self._sample.items():
            if any(waker.helps(facts, shape.rules) for waker in wakers):
                found |= self._keys[shape]
        return found

    def counts(self) -> Counter[str]:
        """How many pods each rule keeps from some node."""
        found: Counter[str] = Counter()
        for shape, keys in self._keys.items():
            for rule in shape.rules:
                found[rule] += len(keys)
        return found


@dataclass(frozen=True, slots=True)
class _Shape:
    """What decides whether an event may help."""

    rules: tuple[str, ...]
    requests: frozenset[tuple[str, int]]
    constraints: Constraints | None
