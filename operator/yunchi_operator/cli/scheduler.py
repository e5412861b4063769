"""``yunchi scheduler run``."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import click

from yunchi_operator.api import names


@click.group("scheduler")
def scheduler_group() -> None:
    """The placement process: binds pending pods to nodes."""


@scheduler_group.command("run")
@click.option(
    "--kubeconfig",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Kubeconfig file. Default: $KUBECONFIG, ~/.kube/config, then the pod's own ServiceAccount.",
)
@click.option("--context", help="Context of the kubeconfig. Default: its current one.")
@click.option("--namespace", default=names.SYSTEM_NAMESPACE, show_default=True, help="Namespace of the Lease.")
@click.option(
    "--metrics-address",
    default="0.0.0.0:8080",
    show_default=True,
    metavar="HOST:PORT",
    help="Where /metrics, /healthz and /readyz are served.",
)
@click.option("--log-format", type=click.Choice(["text", "json"]), default="text", show_default=True)
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
def run_command(
    kubeconfig: Path | None,
    context: str | None,
    namespace: str,
    metrics_address: str,
    log_format: str,
    batch_window_max: float,
    solve_timeout: float,
    pool_status_interval: float,
) -> None:
    """Bind pending pods whose schedulerName is "yunchi" until SIGTERM. One replica acts; others stand by."""
    # Imported here: the other commands shall start without aiohttp and the official client.
    from yunchi_operator.kube.client import ApiError  # noqa: PLC0415
    from yunchi_operator.processes import scheduler  # noqa: PLC0415
    from yunchi_operator.telemetry.logs import configure_logging  # noqa: PLC0415

    configure_logging(log_format)
    options = scheduler.Options(
        kubeconfig=kubeconfig,
        context=context,
        namespace=namespace,
        metrics_address=metrics_address,
        batch_window_max=batch_window_max,
        solve_timeout=solve_timeout,
        pool_status_interval=pool_status_interval,
    )
    try:
        code = asyncio.run(scheduler.run(options))
    except (ApiError, OSError, ValueError) as error:
        raise click.ClickException(str(error)) from error
    sys.exit(code)
