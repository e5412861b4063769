"""``yunchi operator run``."""

from __future__ import annotations

from typing import Any

import click

from yunchi_operator.cli.processes import process_options, run_process


@click.group("operator")
def operator_group() -> None:
    """The tenancy process: departments, quota requests, inventories."""


@operator_group.command("run")
@process_options
@click.option(
    "--resync-interval",
    "resync_seconds",
    type=click.FloatRange(0.5, 3600.0),
    default=60.0,
    show_default=True,
    metavar="SECONDS",
    help="Time between two passes over all objects, which put right what was changed by hand.",
)
def run_command(log_format: str, **options: Any) -> None:
    """Look after Divisions, Departments, QuotaRequests, Approvals and CloudTenancies until SIGTERM.

    One replica acts; others stand by.
    """
    # Imported here: the other commands shall start without Kopf.
    from yunchi_operator.processes import operator  # noqa: PLC0415

    run_process(log_format, lambda: operator.run(operator.Options(**options)))
