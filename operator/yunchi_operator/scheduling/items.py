"""Pods as the engine's items. Pure; the live scheduler and ``yunchi plan`` share it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from yunchi_operator.scheduling.card_shares import whole_request
from yunchi_operator.scheduling.facts import PodFacts
from yunchi_operator.scheduling.neighbours import Groups
from yunchi_placement import Gang, Item, Wish
from yunchi_placement import Node as EngineNode

UNREACHABLE: Final = 2**40
"""Requests up to this (a billion cores, a tebibyte) are always taken as they are."""
BASE_RESOURCES: Final = ("cpu", "memory", "pods")
"""Always in a problem, in this order; what else the pods to place ask for follows by name."""


def resources_of(wanted: Iterable[PodFacts]) -> tuple[str, ...]:
    """What the pods to place ask for; a resource that none of them asks for cannot decide anything."""
    asked = {resource for facts in wanted for resource in facts.requests}
    return (*BASE_RESOURCES, *sorted(asked.difference(BASE_RESOURCES)))


@dataclass(frozen=True, slots=True)
class Weights:
    """How much each kind of preference counts against the others, once packing is settled; 0 is not at all."""

    node_affinity: int = 2
    pods: int = 2
    taints: int = 3


DEFAULT_WEIGHTS: Final = Weights()
"""kube-scheduler's own."""


class Items:
    """States pods as items.

    A request is capped where no node could ever serve it: the API server takes requests up to 2^63, and one pod of that
    size must not make the sums of all others overflow.

    Args:
        resources: the problem's.
        nodes: the problem's, for the greatest capacity.
        groups: that have learnt the terms of all pods that are asked for.
        weights: of preferences.
    """

    def __init__(
        self,
        resources: tuple[str, ...],
        nodes: Sequence[EngineNode],
        groups: Groups,
        weights: Weights = DEFAULT_WEIGHTS,
    ) -> None:
        self._shunned = any(taint.effect == "PreferNoSchedule" for node in nodes for taint in node.taints)
        offered = zip(*(node.capacity for node in nodes), strict=True)
        greatest = [max(column) for column in offered] or [0] * len(resources)
        self._caps = [(name, max(2 * most, UNREACHABLE)) for name, most in zip(resources, greatest, strict=True)]
        self._groups = groups
        self._weights = weights

    def running(self, facts: PodFacts, node: str) -> Item:
        """A pod on a node: what it takes, and whom it keeps away."""
        return Item(
            name=facts.key,
            requests=self._amounts(facts.requests),
            node=node,
            keeps_node=not facts.belongs_to_node,
            priority=facts.priority,
            groups=self._groups.of(facts.profile) | facts.disk_groups,
            avoids=facts.disk_avoids,
            apart=self._groups.apart(facts),
            ports=facts.ports,
            gang=facts.gang.name if facts.gang else "",
        )

    def pending(self, facts: PodFacts) -> Item:
        """A pod to be placed."""
        return Item(
            name=facts.key,
            requests=self._amounts(facts.requests),
            constraints=facts.constraints,
            keeps_node=not facts.belongs_to_node,
            priority=facts.priority,
            groups=self._groups.of(facts.profile) | facts.disk_groups,
            avoids=facts.disk_avoids,
            near=self._groups.near(facts),
            apart=self._groups.apart(facts),
            spread=self._groups.spread(facts),
            ports=facts.ports,
            gang=facts.gang.name if facts.gang else "",
            wishes=self._wishes(facts),
        )

    def _wishes(self, facts: PodFacts) -> tuple[Wish, ...]:
        """What the pod would like, each kind by its weight; taints that are only to be avoided, if any node has one."""
        weights = self._weights
        found = [replace(one, weight=one.weight * weights.node_affinity) for one in facts.node_wishes]
        found += [replace(one, weight=one.weight * weights.pods) for one in self._groups.wishes(facts)]
        if self._shunned:
            found.append(Wish(-100 * weights.taints))
        return tuple(one for one in found if one.weight)

    def _amounts(self, requests: Mapping[str, int]) -> tuple[int, ...]:
        return tuple([whole_request(name, min(requests.get(name, 0), cap)) for name, cap in self._caps])


def gangs_of(pods: Iterable[PodFacts]) -> tuple[Gang, ...]:
    """The gangs of these pods; where members disagree on the least number, the largest counts."""
    least: dict[str, int] = {}
    for facts in pods:
        if facts.gang:
            least[facts.gang.name] = max(facts.gang.least, least.get(facts.gang.name, 1))
    return tuple(Gang(name, number) for name, number in sorted(least.items()))
