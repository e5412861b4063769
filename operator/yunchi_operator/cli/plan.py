"""``yunchi plan``: where pods would go, from manifests alone."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

import click
import msgspec
import yaml

from yunchi_operator.api.manifests import Inventory
from yunchi_operator.cli.manifests import BadInput, load
from yunchi_operator.cli.progress import Reporter
from yunchi_operator.cli.tables import print_plan
from yunchi_operator.scheduling.answer import Answer, answer, as_document, plain_cost
from yunchi_operator.scheduling.problem import Built, Mode, build_problem
from yunchi_operator.scheduling.whatif import Loss, lose, lost_nodes, zones_of
from yunchi_placement import Effort, Objective, Progress, solve

EXIT_UNPLACED: Final = 3
MOST_FAULTS: Final = 100
LATER: Final = {
    "html": "-o html is not there yet; use table, json or yaml",
    "consolidate": "--mode consolidate is not there yet; use schedule, or repack for the most that could be saved",
}
"""Choices that the design names and a later version brings."""


@dataclass(frozen=True, slots=True)
class Options:
    """What was asked."""

    mode: Mode
    objective: Objective
    effort: Effort
    seed: int
    all_schedulers: bool
    lose_nodes: tuple[str, ...]
    lose_zones: tuple[str, ...]


@click.command()
@click.argument("paths", metavar="PATH...", nargs=-1, required=True)
@click.option(
    "--mode",
    type=click.Choice(["schedule", "repack", "consolidate"]),
    default="schedule",
    show_default=True,
    help="schedule: place what is pending, move nothing. repack: what if everything were packed anew.",
)
@click.option(
    "--objective",
    type=click.Choice(["cost", "nodes"]),
    default="cost",
    show_default=True,
    help="Make the nodes in use cheap, or few.",
)
@click.option("--effort", type=click.Choice(["fast", "balanced", "best"]), default="balanced", show_default=True)
@click.option("--seed", type=click.IntRange(0, 2**31 - 1), default=0, show_default=True, metavar="N")
@click.option(
    "-o", "--output", type=click.Choice(["table", "json", "yaml", "html"]), default="table", show_default=True
)
@click.option("--all-schedulers", is_flag=True, help="Treat the pods of every scheduler as ours.")
@click.option("--lose-node", "lose_nodes", multiple=True, metavar="NAME", help="What if this node failed? Repeatable.")
@click.option("--lose-zone", "lose_zones", multiple=True, metavar="ZONE", help="What if this zone failed? Repeatable.")
@click.option("-q", "--quiet", is_flag=True, help="No progress and no warnings.")
@click.pass_context
def plan(ctx: click.Context, /, paths: tuple[str, ...], output: str, *, quiet: bool, **choices: Any) -> None:
    """Answer where pods would go, from Kubernetes manifests; needs no cluster.

    PATH is a file, a folder, or - for standard input: YAML or JSON, also gzip, such as
    `kubectl get nodes,pods,nodepools -A -o yaml` prints. Nothing is changed anywhere.
    """
    for choice in (output, choices["mode"]):
        if choice in LATER:
            raise click.UsageError(LATER[choice], ctx)
    options = Options(**choices)
    began = time.monotonic()
    with Reporter(quiet=quiet) as reporter:
        inventory = _load(paths, reporter)
        loss = _lose(inventory, options)
        reporter.stage(f"stating the problem: {len(loss.nodes):,} nodes, {len(loss.pods):,} pods")
        built, found = _solve(inventory, loss, options, reporter)
    seconds = time.monotonic() - began
    if output == "table":
        zone_of = zones_of(loss.nodes, inventory.pools)
        print_plan(found, built, zone_of, seconds=seconds, objective=options.objective)
    else:
        _WRITERS[output](as_document(found, seconds))
    ctx.exit(EXIT_UNPLACED if found.unplaced else 0)


def _load(paths: Sequence[str], reporter: Reporter) -> Inventory:
    """Read the input, or leave with exit code 2 and all that is wrong with it."""
    reporter.stage("reading")
    try:
        inventory = load(paths, reporter.warn, reporter.detail)
    except BadInput as error:
        shown = list(error.faults[:MOST_FAULTS])
        if len(error.faults) > MOST_FAULTS:
            shown.append(f"and {len(error.faults) - MOST_FAULTS} more")
        raise _InputError("\n".join(shown)) from error
    gc.freeze()  # what was read stays: no later collection needs to look at it
    return inventory


class _InputError(click.ClickException):
    """Bad input: each line names file, document and field."""

    exit_code = 2


def _lose(inventory: Inventory, options: Options) -> Loss:
    try:
        lost = lost_nodes(inventory.nodes, inventory.pools, options.lose_nodes, options.lose_zones)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    return lose(inventory.nodes, inventory.pods, lost)


def _solve(inventory: Inventory, loss: Loss, options: Options, reporter: Reporter) -> tuple[Built, Answer]:
    built = build_problem(
        loss.nodes,
        loss.pods,
        inventory.pools,
        mode=options.mode,
        all_schedulers=options.all_schedulers,
        namespaces=inventory.namespaces or None,
    )
    for note in built.notes:
        reporter.warn(note)
    solution = solve(
        built.problem,
        objective=options.objective,
        effort=options.effort,
        seed=options.seed,
        progress=_teller(reporter),
    )
    return built, answer(built, solution, loss.homes)


def _teller(reporter: Reporter) -> Callable[[Progress], None]:
    def tell(now: Progress) -> None:
        cost = f"{plain_cost(now.cost):,}"
        reporter.stage(f"{now.stage} {now.fraction:.0%}: {now.placed:,} placed, {now.nodes_used:,} nodes, cost {cost}")

    return tell


def _write_json(document: dict[str, Any]) -> None:
    click.echo(msgspec.json.format(msgspec.json.encode(document), indent=2))


def _write_yaml(document: dict[str, Any]) -> None:
    dumper = cast("type[yaml.SafeDumper]", getattr(yaml, "CSafeDumper", yaml.SafeDumper))
    click.echo(yaml.dump(document, Dumper=dumper, sort_keys=False, allow_unicode=True), nl=False)


_WRITERS: Final[dict[str, Callable[[dict[str, Any]], None]]] = {"json": _write_json, "yaml": _write_yaml}
