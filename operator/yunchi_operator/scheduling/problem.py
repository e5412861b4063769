"""From what the cluster holds to what the engine is asked. Pure; the live scheduler and ``yunchi plan`` share it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from yunchi_operator.api.core import Node, Pod
from yunchi_operator.api.kinds import NodePool
from yunchi_operator.api.names import SCHEDULER_NAME
from yunchi_operator.scheduling import unsupported
from yunchi_operator.scheduling.card_shares import cards_of
from yunchi_operator.scheduling.facts import PodFacts, pod_facts
from yunchi_operator.scheduling.items import Items, gangs_of, resources_of
from yunchi_operator.scheduling.movable import Movability, foreign, owner_of
from yunchi_operator.scheduling.neighbours import Groups, NamespaceLabels
from yunchi_operator.scheduling.nodes import Pools, allocatable, engine_node
from yunchi_operator.scheduling.roles import Sorter
from yunchi_operator.scheduling.stating import LeftOut, Surroundings
from yunchi_placement import Budget, Item, Problem
from yunchi_placement import Node as EngineNode

Mode = Literal["schedule", "consolidate", "repack"]


@dataclass(frozen=True, slots=True)
class Built:
    """The engine's problem and the way back.

    Attributes:
        pods: by item index.
        to_place: indexes of the items that want a node; the others are usage, fixed or movable.
        left_out: pods that no item stands for, because of a rule that is not modelled.
        kept: for ``repack`` and ``consolidate``, pods that stay although they are ours: key to reason.
        pool_of: pool name by node; nodes outside all pools are missing.
        notes: warnings for people.
    """

    problem: Problem
    pods: tuple[Pod, ...]
    to_place: tuple[int, ...]
    left_out: tuple[LeftOut, ...] = ()
    kept: tuple[tuple[str, str], ...] = ()
    pool_of: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()


def build_problem(
    nodes: Sequence[Node],
    pods: Iterable[Pod],
    pools: Iterable[NodePool] = (),
    *,
    mode: Mode = "schedule",
    scheduler_name: str = SCHEDULER_NAME,
    all_schedulers: bool = False,
    namespaces: NamespaceLabels | None = None,
    facts_of: Callable[[Pod], PodFacts] = pod_facts,
    movability: Movability | None = None,
    around: Surroundings | None = None,
) -> Built:
    """State a placement problem.

    Args:
        nodes: all nodes of the cluster.
        pods: all its pods.
        pools: NodePools, for the cost of nodes.
        mode: ``schedule`` places what is pending and moves nothing; ``repack`` also frees our bound pods;
            ``consolidate`` leaves them where they are and says which may move.
        scheduler_name: ``spec.schedulerName`` of the pods that are ours.
        all_schedulers: treat every pod as ours.
        namespaces: labels by namespace; None when they are not known.
        facts_of: how a pod is read; a caller that sees the same pods again passes a remembering one.
        movability: for ``consolidate``, which pods may move.
        around: what pods refer to: volumes and PodGroups.

    Raises:
        ValueError: a quantity cannot be read; the message names the object.
    """
    sorter = Sorter(
        {node.metadata.name for node in nodes},
        frees=mode == "repack",
        scheduler_name=scheduler_name,
        all_schedulers=all_schedulers,
        movability=movability,
        around=around,
    )
    for pod in pods:
        sorter.take(pod, facts_of)
    groups, vague = _grouped(sorter, namespaces)
    resources = resources_of(sorter.wanted)
    costs = Pools(pools)
    problem_nodes, pool_of, notes = _nodes(nodes, resources, costs)
    state = Items(resources, problem_nodes, groups)
    items = [state.running(placed.facts, placed.node) for placed in sorter.fixed]
    items += [state.pending(facts) for facts in sorter.wanted]
    budgets: tuple[Budget, ...] = ()
    if movability is not None:
        items = [_running_item(item, sorter, movability, pod) for item, pod in zip(items, sorter.pods, strict=True)]
        names = dict(pool_of)
        problem_nodes = tuple(replace(node, pool=names.get(node.name, "")) for node in problem_nodes)
        budgets = movability.budgets
    return Built(
        problem=Problem(
            resources,
            problem_nodes,
            tuple(items),
            gangs=gangs_of([*(placed.facts for placed in sorter.fixed), *sorter.wanted]),
            cards=cards_of(resources),
            budgets=budgets,
        ),
        pods=tuple(sorter.pods),
        to_place=tuple(index for index in range(len(sorter.fixed), len(items)) if items[index].node is None),
        left_out=tuple(sorter.left_out),
        kept=tuple(sorted(sorter.kept.items())),
        pool_of=pool_of,
        notes=(*costs.notes, *notes, *sorter.notes(), *vague, *(movability.notes if movability else ())),
    )


def _grouped(sorter: Sorter, namespaces: NamespaceLabels | None) -> tuple[Groups, list[str]]:
    """The groups that all pods' terms make, and notes; pods whose own terms cannot be read are left out."""
    groups = Groups(namespaces)

    def vague(facts: PodFacts) -> str | None:
        terms = [one.term for one in (*facts.near, *facts.apart)]
        return unsupported.NAMESPACE_SELECTOR if any(groups.is_vague(term) for term in terms) else None

    sorter.set_aside(vague)
    for placed in sorter.fixed:
        groups.learn(placed.facts, placed=True)
    for facts in sorter.wanted:
        groups.learn(facts, placed=False)
    unclear = sum(any(groups.is_vague(one.term) for one in placed.facts.apart) for placed in sorter.fixed)
    if not unclear:
        return groups, []
    note = f"{unclear} bound pods have anti-affinity with a namespaceSelector, and no Namespace objects are given: "
    return groups, [note + "taken as selecting every namespace"]


def _running_item(item: Item, sorter: Sorter, movability: Movability, pod: Pod) -> Item:
    """An item of a consolidation: a pod that may move has its node all the same, one that stays has the reason."""
    if item.name in sorter.home:
        budgets = movability.budgets_of(pod)
        return replace(item, node=sorter.home[item.name], movable=True, owner=owner_of(pod), budgets=budgets)
    if item.node is None:
        return item
    return replace(item, stays=sorter.kept.get(item.name) or foreign(pod))


def _nodes(
    nodes: Sequence[Node], resources: tuple[str, ...], pools: Pools
) -> tuple[tuple[EngineNode, ...], tuple[tuple[str, str], ...], list[str]]:
    """Engine nodes, pool by node, and notes."""
    found, pool_of, podless = [], [], []
    for node in nodes:
        offered = allocatable(node)
        pool, cost_micro = pools.of(node)
        found.append(engine_node(node, resources, offered, cost_micro))
        if pool:
            pool_of.append((node.metadata.name, pool))
        if not offered.get("pods"):
            podless.append(node.metadata.name)
    notes = []
    if podless:
        notes.append(
            f"{len(podless)} nodes take no pod because status.allocatable names no pods (first: {min(podless)}); "
            'add for example pods: "110"'
        )
    return tuple(found), tuple(pool_of), notes
