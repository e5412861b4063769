"""Command line: `python -m controlplane build|up|down|status|env|run` (with `hack` on PYTHONPATH)."""

import os
import signal
import sys
import time
from pathlib import Path

import click

from controlplane import components
from controlplane.binaries import ensure_binaries, ensure_tool, say
from controlplane.cluster import start_control_plane
from controlplane.errors import ControlPlaneError
from controlplane.pids import Identity, end_all, recorded

_DEFAULT_FOLDER = Path(__file__).parents[2] / "run" / "controlplane"
_STOP_TIMEOUT_SECONDS = 60.0

_folder = click.option(
    "--folder", type=click.Path(path_type=Path), default=_DEFAULT_FOLDER, help="Where data, certificates and logs go."
)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """A real Kubernetes control plane with simulated nodes, on loopback."""


@main.command()
@click.argument("tools", nargs=-1)
def build(tools: tuple[str, ...]) -> None:
    """Find or build all binaries, or just TOOLS, and print their paths."""
    paths = [ensure_tool(tool) for tool in tools] if tools else list(vars(ensure_binaries()).values())
    for path in paths:
        click.echo(path)


@main.command()
@_folder
@click.option("--scheduler/--no-scheduler", default=True, help="Run a kube-scheduler too.", show_default=True)
def up(folder: Path, *, scheduler: bool) -> None:
    """Run a control plane until Ctrl-C."""
    signal.signal(signal.SIGTERM, _interrupt)
    signal.signal(signal.SIGHUP, _interrupt)
    parts = (*components.DEFAULT_COMPONENTS, *([components.SCHEDULER] if scheduler else []))
    binaries = ensure_binaries()
    say(f"starting {', '.join(parts)}")
    with start_control_plane(binaries, folder, components=parts) as plane:
        say(f"serving at {plane.url}; Ctrl-C stops it")
        click.echo(f"export KUBECONFIG={plane.kubeconfig}")
        try:
            while True:
                time.sleep(0.5)
                for process in [process for process in plane.processes.values() if not process.running]:
                    raise ControlPlaneError(f"{process.name} ended by itself:\n{process.tail()}")
        except KeyboardInterrupt:
            say("stopping")


@main.command()
@_folder
def down(folder: Path) -> None:
    """Stop the control plane of a folder, running or crashed."""
    owner = _owner(folder)
    if owner is not None and owner.alive():
        os.kill(owner.pid, signal.SIGTERM)
        deadline = time.monotonic() + _STOP_TIMEOUT_SECONDS
        while owner.alive() and time.monotonic() < deadline:
            time.sleep(0.1)
        say("stopped")
    left = end_all(folder / "run")
    if left:
        say(f"ended what was left: {', '.join(left)}")


@main.command()
@_folder
def status(folder: Path) -> None:
    """Say which parts run; exit code 3 if there are none."""
    running = {name: identity for name, identity in recorded(folder / "run").items() if identity.alive()}
    for name, identity in running.items():
        click.echo(f"{name}\t{identity.pid}\t{folder.absolute() / 'logs' / name}.log")
    if not running:
        click.echo(f"no control plane runs in {folder}")
        sys.exit(3)


@main.command()
@_folder
def env(folder: Path) -> None:
    """Print shell lines that put the binaries on PATH and KUBECONFIG to the folder's control plane."""
    folders = dict.fromkeys(str(path.parent) for path in vars(ensure_binaries()).values())
    click.echo(f'export PATH="{os.pathsep.join(folders)}:$PATH"')
    click.echo(f'export KUBECONFIG="{folder.absolute() / "admin.kubeconfig"}"')


@main.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.argument("tool")
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def run(tool: str, arguments: tuple[str, ...]) -> None:
    """Run a pinned TOOL, such as helm or promtool, with ARGUMENTS."""
    path = ensure_tool(tool)
    os.execv(path, [str(path), *arguments])  # noqa: S606


def _interrupt(number: int, frame: object) -> None:
    raise KeyboardInterrupt


def _owner(folder: Path) -> Identity | None:
    try:
        pid, start = (folder / "owner").read_text(encoding="utf-8").split()
    except (FileNotFoundError, ValueError):
        return None
    return Identity(int(pid), int(start))


if __name__ == "__main__":
    try:
        main()
    except ControlPlaneError as error:
        say(f"error: {error}")
        sys.exit(1)
