"""``yunchi explain``: why something is as it is."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any, Final

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from yunchi_operator.api.core import Pod
from yunchi_operator.kube.client import ApiError, KubeClient
from yunchi_operator.kube.snapshot import Snapshot, snapshot
from yunchi_operator.scheduling.explained import Explanation, explain_pod
from yunchi_operator.scheduling.stating import Surroundings
from yunchi_operator.scheduling.volume_claims import users_of_claims
from yunchi_operator.scheduling.volumes import Storage

EXIT_UNPLACED: Final = 3
MOST_OPEN: Final = 5


@click.group("explain")
def explain_group() -> None:
    """Say why something is as it is."""


@explain_group.command("pod")
@click.argument("name", metavar="[NAMESPACE/]NAME")
@click.option("-n", "--namespace", help="Of the pod; the one before the slash, or default.")
@click.option("--kubeconfig", type=click.Path(path_type=Path, dir_okay=False), help="As for kubectl.")
@click.option("--context", help="Of the kubeconfig; the current one if left out.")
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text", show_default=True)
@click.pass_context
def pod_command(
    ctx: click.Context, /, name: str, namespace: str | None, kubeconfig: Path | None, context: str | None, output: str
) -> None:
    r"""Say why a pod waits, or what other nodes would take it.

    Needs the right to list nodes and pods. Exit code 3 if no node would take the pod, 0 otherwise.

    \b
    Examples:
      yunchi explain pod tax/ledger-0
      kubectl yunchi explain pod ledger-0 -n tax -o json
    """
    space, _, plain = name.rpartition("/")
    if space and namespace and space != namespace:
        raise click.UsageError(f"{name} is in namespace {space}, and --namespace says {namespace}; say it once", ctx)
    key = f"{space or namespace or 'default'}/{plain}"
    try:
        seen = asyncio.run(_look(kubeconfig, context))
    except ApiError as error:
        raise click.ClickException(f"the cluster could not be read: {error.message}") from error
    pod = next((one for one in seen.pods if one.key == key), None)
    if pod is None:
        raise click.UsageError(f"there is no pod {key}; see kubectl get pods -n {key.partition('/')[0]}", ctx)
    for what, why in seen.missing.items():
        click.echo(f"warning: {what} could not be read and are left aside: {why}", err=True)
    try:
        found = _explained(pod, seen)
    except ValueError as error:
        raise click.ClickException(str(error)) from error
    if output == "json":
        click.echo(json.dumps(found.as_document(), indent=2, ensure_ascii=False))
    else:
        _print(found)
    ctx.exit(EXIT_UNPLACED if not found.open_to and found.state in ("waiting", "gated") else 0)


async def _look(kubeconfig: Path | None, context: str | None) -> Snapshot:
    async with await KubeClient.connect(kubeconfig, context) as client:
        return await snapshot(client)


def _explained(pod: Pod, seen: Snapshot) -> Explanation:
    around = Surroundings(
        None
        if seen.missing.keys() & {"claims", "volumes", "classes"}
        else Storage(
            claims={one.key: one for one in seen.claims},
            volumes={one.metadata.name: one for one in seen.volumes},
            classes={one.metadata.name: one for one in seen.classes},
        ),
        users=users_of_claims(seen.pods),
        nodes={node.metadata.name: node.metadata.labels for node in seen.nodes},
    )
    namespaces = {one.metadata.name: one.metadata.labels for one in seen.namespaces} or None
    return explain_pod(pod, seen.nodes, seen.pods, namespaces=namespaces, around=around)


def _print(found: Explanation) -> None:
    console = Console(highlight=False)
    state = f"bound to {found.node}" if found.node else found.state
    console.print(Text.assemble((found.pod, "bold"), f"  {state}"))
    if found.note:
        console.print(Text(f"{found.note[:1].upper()}{found.note[1:]}."))
    some = ", ".join(found.open_to[:MOST_OPEN])
    more = f" and {len(found.open_to) - MOST_OPEN} more" if len(found.open_to) > MOST_OPEN else ""
    total = len(found.open_to) + sum(one.nodes for one in found.refused)
    console.print(Text(f"{len(found.open_to)} of {total} nodes would take it{': ' + some + more if some else ''}"))
    if found.refused:
        console.print(_table(found))
    if found.fix:
        console.print(Text.assemble(("Smallest change: ", "bold"), found.fix))


def _table(found: Explanation) -> Table:
    table: Any = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("NODES", justify="right")
    table.add_column("REASON")
    table.add_column("FOR EXAMPLE")
    for one in found.refused:
        table.add_row(str(one.nodes), Text(one.text), Text(", ".join(one.examples)))
    return table  # type: ignore[no-any-return]
