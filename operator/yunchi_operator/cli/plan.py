"""``yunchi plan``: where pods would go, from manifests alone."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, Final, cast

import click
import msgspec
import yaml

from yunchi_operator.api.manifests import Inventory
from yunchi_operator.cli.manifests import BadInput, load
from yunchi_operator.cli.memory import nothing_to_collect
from yunchi_operator.cli.page import page
from yunchi_operator.cli.planning import BadQuestion, Options, Planned, make_plan
from yunchi_operator.cli.progress import Reporter
from yunchi_operator.cli.tables import print_plan
from yunchi_operator.scheduling.answer import as_document

EXIT_UNPLACED: Final = 3
MOST_FAULTS: Final = 100
MODES: Final = (
    "schedule: place what is pending, move nothing. consolidate: empty nodes by moving what may move, in waves. "
    "repack: what if everything were packed anew."
)
_LIMITS: Final = {"max_moves": "--max-moves", "max_nodes": "--max-nodes", "threshold": "--threshold"}


def _count_or_share(ctx: click.Context, param: click.Parameter, value: str | None) -> int | float | None:
    """``12`` becomes an int, ``10%`` a float: a share of all nodes."""
    if value is None:
        return None
    found = re.fullmatch(r"(\d{1,9})|(\d{1,3}(?:\.\d{1,6})?)%", value, re.ASCII)
    if found is None or (found[2] and float(found[2]) > 100):
        raise click.BadParameter(f"{value!r} is neither a count such as 12 nor a share such as 10%.", ctx, param)
    return int(found[1]) if found[1] else float(found[2]) / 100


@click.command()
@click.argument("paths", metavar="PATH...", nargs=-1, required=True)
@click.option(
    "--mode",
    type=click.Choice(["schedule", "consolidate", "repack"]),
    default="schedule",
    show_default=True,
    help=MODES,
)
@click.option(
    "--objective",
    type=click.Choice(["cost", "nodes"]),
    default="cost",
    show_default=True,
    help="Make the nodes in use cheap, or few.",
)
@click.option(
    "--effort",
    type=click.Choice(["fast", "balanced", "best"]),
    default="balanced",
    show_default=True,
    help="How long to search; the answer depends on it, never on the clock.",
)
@click.option(
    "--seed",
    type=click.IntRange(0, 2**31 - 1),
    default=0,
    show_default=True,
    metavar="N",
    help="Fixes every arbitrary choice: the same question gets the same answer.",
)
@click.option(
    "-o", "--output", type=click.Choice(["table", "json", "yaml", "html"]), default="table", show_default=True
)
@click.option("--all-schedulers", is_flag=True, help="Treat the pods of every scheduler as ours.")
@click.option("--lose-node", "lose_nodes", multiple=True, metavar="NAME", help="What if this node failed? Repeatable.")
@click.option("--lose-zone", "lose_zones", multiple=True, metavar="ZONE", help="What if this zone failed? Repeatable.")
@click.option(
    "--merge", multiple=True, metavar="TENANCY", help="What if this CloudTenancy's cloud joined the pool? Repeatable."
)
@click.option("--max-moves", type=click.IntRange(0), metavar="N", help="consolidate: move no more pods than this.")
@click.option(
    "--max-nodes", callback=_count_or_share, metavar="N|P%", help="consolidate: empty no more nodes than this."
)
@click.option(
    "--threshold",
    type=click.FloatRange(0),
    metavar="X",
    help="consolidate: leave a node alone whose saving, as a share of its pool's cost, is less than X times the share "
    "of the pool's pods that it moves.",
)
@click.option("-q", "--quiet", is_flag=True, help="No progress and no warnings.")
@click.pass_context
def plan(ctx: click.Context, /, paths: tuple[str, ...], output: str, *, quiet: bool, **choices: Any) -> None:
    """Answer where pods would go, from Kubernetes manifests; needs no cluster.

    PATH is a file, a folder, or - for standard input: YAML or JSON, also gzip, such as
    `kubectl get nodes,pods,pdb,pv,nodepools -A -o json` prints. Nothing is changed anywhere.
    """
    for name, option in _LIMITS.items():
        if choices[name] is not None and choices["mode"] != "consolidate":
            raise click.UsageError(f"{option} needs --mode consolidate", ctx)
    began = time.monotonic()
    with Reporter(quiet=quiet) as reporter:
        inventory = _load(paths, reporter)
        try:
            planned = make_plan(inventory, Options(**choices), datetime.now(UTC), reporter)
        except BadQuestion as error:
            raise click.UsageError(str(error), ctx) from error
    _WRITERS[output](planned, time.monotonic() - began)
    ctx.exit(EXIT_UNPLACED if planned.plan.unplaced else 0)


def _load(paths: Sequence[str], reporter: Reporter) -> Inventory:
    """Read the input, or leave with exit code 2 and all that is wrong with it."""
    reporter.stage("reading")
    try:
        with nothing_to_collect():
            return load(paths, reporter.warn, reporter.detail)
    except BadInput as error:
        shown = list(error.faults[:MOST_FAULTS])
        if len(error.faults) > MOST_FAULTS:
            shown.append(f"and {len(error.faults) - MOST_FAULTS} more")
        raise _InputError("\n".join(shown)) from error


class _InputError(click.ClickException):
    """Bad input: each line names file, document and field."""

    exit_code = 2


def _write_table(planned: Planned, seconds: float) -> None:
    print_plan(planned.plan, planned.built, planned.zone_of, seconds=seconds, objective=planned.options.objective)


def _write_json(planned: Planned, seconds: float) -> None:
    encoded = msgspec.json.encode(as_document(planned.plan, seconds))
    click.echo(msgspec.json.format(encoded, indent=2))


def _write_yaml(planned: Planned, seconds: float) -> None:
    dumper = cast("type[yaml.SafeDumper]", getattr(yaml, "CSafeDumper", yaml.SafeDumper))
    document = as_document(planned.plan, seconds)
    click.echo(yaml.dump(document, Dumper=dumper, sort_keys=False, allow_unicode=True), nl=False)


def _write_html(planned: Planned, seconds: float) -> None:
    click.echo(page(planned, seconds), nl=False)


_WRITERS: Final[dict[str, Callable[[Planned, float], None]]] = {
    "table": _write_table,
    "json": _write_json,
    "yaml": _write_yaml,
    "html": _write_html,
}
