"""What ``yunchi operator run`` and ``yunchi scheduler run`` have in common: options, logging, exit code."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

import click

from yunchi_operator.api import names

F = TypeVar("F", bound=Callable[..., Any])

_OPTIONS = (
    click.option(
        "--kubeconfig",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        help="Kubeconfig file. Default: $KUBECONFIG, ~/.kube/config, then the pod's own ServiceAccount.",
    ),
    click.option("--context", help="Context of the kubeconfig. Default: its current one."),
    click.option(
        "--namespace",
        default=names.SYSTEM_NAMESPACE,
        show_default=True,
        help="Namespace of the Lease, and of the Secrets and ConfigMaps that CloudTenancies name.",
    ),
    click.option(
        "--metrics-address",
        default="0.0.0.0:8080",
        show_default=True,
        metavar="HOST:PORT",
        help="Where /metrics, /healthz and /readyz are served.",
    ),
    click.option("--log-format", type=click.Choice(["text", "json"]), default="text", show_default=True),
)


def process_options(command: F) -> F:
    """The options of both processes, in the order in which ``--help`` shows them."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def run_process(log_format: str, start: Callable[[], Coroutine[Any, Any, int]]) -> None:
    """Run a process to its end and exit with its code.

    Raises:
        click.ClickException: it cannot start, or lost what it cannot do without; the message says which.
    """
    # Imported here: the other commands shall start without aiohttp and the official client.
    from yunchi_operator.kube.client import ApiError  # noqa: PLC0415
    from yunchi_operator.telemetry.logs import configure_logging  # noqa: PLC0415

    configure_logging(log_format)
    try:
        code = asyncio.run(start())
    except (ApiError, OSError, ValueError) as error:
        raise click.ClickException(str(error)) from error
    sys.exit(code)
