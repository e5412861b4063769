"""``yunchi operator run``."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import click

from yunchi_operator.api import names


@click.group("operator")
def operator_group() -> None:
    """The tenancy process: departments, quota requests, inventories."""


@operator_group.command("run")
@click.option(
    "--kubeconfig",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Kubeconfig file. Default: $KUBECONFIG, ~/.kube/config, then the pod's own ServiceAccount.",
)
@click.option("--context", help="Context of the kubeconfig. Default: its current one.")
@click.option(
    "--namespace",
    default=names.SYSTEM_NAMESPACE,
    show_default=True,
    help="Namespace of the Lease, and of the Secrets and ConfigMaps that CloudTenancies name.",
)
@click.option(
    "--metrics-address",
    default="0.0.0.0:8080",
    show_default=True,
    metavar="HOST:PORT",
    help="Where /metrics, /healthz and /readyz are served.",
)
@click.option("--log-format", type=click.Choice(["text", "json"]), default="text", show_default=True)
@click.option(
    "--resync-interval",
    type=click.FloatRange(0.5, 3600.0),
    default=60.0,
    show_default=True,
    metavar="SECONDS",
    help="Time between two passes over all objects, which put right what was changed by hand.",
)
def run_command(
    kubeconfig: Path | None,
    context: str | None,
    namespace: str,
    metrics_address: str,
    log_format: str,
    resync_interval: float,
) -> None:
    """Look after Divisions, Departments, QuotaRequests, Approvals and CloudTenancies until SIGTERM.

    One replica acts; others stand by.
    """
    # Imported here: the other commands shall start without Kopf, aiohttp and the official client.
    from yunchi_operator.kube.client import ApiError  # noqa: PLC0415
    from yunchi_operator.processes import operator  # noqa: PLC0415
    from yunchi_operator.telemetry.logs import configure_logging  # noqa: PLC0415

    configure_logging(log_format)
    options = operator.Options(
        kubeconfig=kubeconfig,
        context=context,
        namespace=namespace,
        metrics_address=metrics_address,
        resync_seconds=resync_interval,
    )
    try:
        code = asyncio.run(operator.run(options))
    except (ApiError, OSError, ValueError) as error:
        raise click.ClickException(str(error)) from error
    sys.exit(code)
