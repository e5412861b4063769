"""From manifests and options to an answer: what ``yunchi plan`` does between reading and printing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from yunchi_operator.api.manifests import Inventory
from yunchi_operator.cli.memory import nothing_to_collect
from yunchi_operator.cli.progress import Reporter
from yunchi_operator.cli.tenancies import merged
from yunchi_operator.scheduling.answer import Answer, answer, plain_cost
from yunchi_operator.scheduling.consolidated import consolidated
from yunchi_operator.scheduling.movable import Movability
from yunchi_operator.scheduling.problem import Built, Mode, build_problem
from yunchi_operator.scheduling.replicas import Replicas
from yunchi_operator.scheduling.stating import Surroundings
from yunchi_operator.scheduling.volume_claims import users_of_claims
from yunchi_operator.scheduling.volumes import Storage
from yunchi_operator.scheduling.whatif import Loss, lose, lost_nodes, zones_of
from yunchi_placement import Effort, Objective, Progress, solve
from yunchi_placement.consolidation import Limits, consolidate


@dataclass(frozen=True, slots=True)
class Options:
    """What was asked.

    Attributes:
        max_moves, max_nodes, threshold: limits of a consolidation; a float of ``max_nodes`` is a share.
    """

    mode: Mode
    objective: Objective
    effort: Effort
    seed: int
    all_schedulers: bool
    lose_nodes: tuple[str, ...]
    lose_zones: tuple[str, ...]
    merge: tuple[str, ...]
    max_moves: int | None
    max_nodes: int | float | None
    threshold: float | None

    @property
    def limits(self) -> Limits:
        """For the engine."""
        return Limits(self.max_moves, self.max_nodes, self.threshold)


@dataclass(frozen=True, slots=True)
class Planned:
    """A plan with what it was made from.

    Attributes:
        zone_of: zone by node name.
    """

    options: Options
    built: Built
    plan: Answer
    zone_of: dict[str, str]


class BadQuestion(Exception):  # noqa: N818 - a user's mistake, not ours
    """The options name something that is not there; the message says what there is."""


def make_plan(inventory: Inventory, options: Options, now: datetime, reporter: Reporter) -> Planned:
    """Answer the question.

    Raises:
        BadQuestion: the options name a node, a zone or a tenancy that is not there.
    """
    try:
        pool = merged(inventory, options.merge, reporter.warn)
        lost = lost_nodes(pool.nodes, inventory.pools, options.lose_nodes, options.lose_zones)
    except ValueError as error:
        raise BadQuestion(str(error)) from error
    loss = lose(pool.nodes, pool.pods, lost)
    reporter.stage(f"stating the problem: {len(loss.nodes):,} nodes, {len(loss.pods):,} pods")
    with nothing_to_collect():
        built = _stated(inventory, loss, options, now)
    for note in built.notes:
        reporter.warn(note)
    reporter.detail("solving")
    plan = _solved(built, loss, options, reporter)
    return Planned(options, built, plan, zones_of(loss.nodes, inventory.pools))


def _stated(inventory: Inventory, loss: Loss, options: Options, now: datetime) -> Built:
    movability = None
    if options.mode == "consolidate":
        movability = Movability(loss.pods, now, inventory.budgets, inventory.volumes, inventory.host_paths)
    return build_problem(
        loss.nodes,
        loss.pods,
        inventory.pools,
        mode=options.mode,
        all_schedulers=options.all_schedulers,
        namespaces=inventory.namespaces or None,
        facts_of=Replicas(),
        movability=movability,
        around=_surroundings(inventory, loss),
    )


def _surroundings(inventory: Inventory, loss: Loss) -> Surroundings:
    """What pods refer to. Without any claim given, nothing is known of storage, rather than that there is none."""
    if not inventory.claims:
        return Surroundings()
    storage = Storage(
        claims={one.key: one for one in inventory.claims},
        volumes={one.metadata.name: one for one in inventory.volumes},
        classes={one.metadata.name: one for one in inventory.storage_classes},
    )
    nodes = {node.metadata.name: node.metadata.labels for node in loss.nodes}
    return Surroundings(storage, users=users_of_claims(loss.pods), nodes=nodes)


def _solved(built: Built, loss: Loss, options: Options, reporter: Reporter) -> Answer:
    objective, effort, seed, tell = options.objective, options.effort, options.seed, _teller(reporter)
    if options.mode == "consolidate":
        moved = consolidate(
            built.problem, objective=objective, effort=effort, seed=seed, limits=options.limits, progress=tell
        )
        return consolidated(built, moved, objective, loss.homes)
    solution = solve(built.problem, objective=objective, effort=effort, seed=seed, progress=tell)
    return answer(built, solution, loss.homes)


def _teller(reporter: Reporter) -> Callable[[Progress], None]:
    def tell(now: Progress) -> None:
        cost = f"{plain_cost(now.cost):,}"
        reporter.stage(f"{now.stage} {now.fraction:.0%}: {now.placed:,} placed, {now.nodes_used:,} nodes, cost {cost}")

    return tell
