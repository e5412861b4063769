"""``yunchi scheduler run``."""

from __future__ import annotations

from typing import Any

import click

from yunchi_operator.cli.processes import process_options, run_process
from yunchi_operator.scheduling.items import Weights


def _weights(ctx: click.Context, param: click.Parameter, value: str) -> Weights:
    """``pods=0`` leaves the other kinds at their defaults."""
    found: dict[str, int] = {}
    for part in filter(None, value.split(",")):
        kind, _, number = part.strip().partition("=")
        name = kind.replace("-", "_")
        if name not in Weights.__dataclass_fields__ or not (number.isascii() and number.isdigit() and len(number) < 4):
            kinds = ", ".join(one.replace("_", "-") for one in Weights.__dataclass_fields__)
            raise click.BadParameter(
                f"{part!r} is not KIND=N with a kind of {kinds} and a number up to 999.", ctx, param
            )
        found[name] = int(number)
    return Weights(**found)


@click.group("scheduler")
def scheduler_group() -> None:
    """The placement process: binds pending pods to nodes."""


@scheduler_group.command("run")
@process_options
@click.option(
    "--batch-window-max",
    type=click.FloatRange(0.0, 60.0),
    default=1.0,
    show_default=True,
    metavar="SECONDS",
    help="Longest time that a pod waits for others to be placed together with.",
)
@click.option(
    "--solve-timeout",
    type=click.FloatRange(1.0, 3600.0),
    default=60.0,
    show_default=True,
    metavar="SECONDS",
    help="The solver process is ended after this long; its pods are tried again.",
)
@click.option(
    "--pool-status-interval",
    type=click.FloatRange(0.1, 3600.0),
    default=15.0,
    show_default=True,
    metavar="SECONDS",
    help="How often the status of NodePools is compared and written.",
)
@click.option(
    "--preference-weights",
    "weights",
    default="node-affinity=2,pods=2,taints=3",
    show_default=True,
    callback=_weights,
    metavar="KIND=N,...",
    help="How much preferred node affinity, preferred pod affinity with soft spread, and PreferNoSchedule taints count "
    "against each other, once packing is settled; 0 is not at all.",
)
def run_command(log_format: str, **options: Any) -> None:
    """Bind pending pods whose schedulerName is "yunchi" until SIGTERM. One replica acts; others stand by."""
    # Imported here: the other commands shall start without aiohttp and the official client.
    from yunchi_operator.processes import scheduler  # noqa: PLC0415

    run_process(log_format, lambda: scheduler.run(scheduler.Options(**options)))
