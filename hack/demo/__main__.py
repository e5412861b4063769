"""Command line of the demo: ``python -m demo [--once]``."""

from __future__ import annotations

import shutil
import signal
import sys
from pathlib import Path

import click

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPOSITORY / "examples" / "jiangsu"))  # the generator is an example, not a package

import generate  # noqa: E402 - found through the line above

from controlplane.binaries import ensure_binaries  # noqa: E402
from controlplane.cluster import start_control_plane  # noqa: E402
from controlplane.errors import ControlPlaneError  # noqa: E402
from demo.console import DemoFailedError, Narrator  # noqa: E402
from demo.story import Stage, tell  # noqa: E402


@click.command()
@click.option("--once", is_flag=True, help="End by itself: exit 0 when all went well, 1 otherwise.")
@click.option("--seed", default=1, show_default=True, help="Seed of the generated province.")
@click.option(
    "--folder",
    type=click.Path(path_type=Path, file_okay=False),
    default=REPOSITORY / "run" / "demo",
    help="Data, logs and manifests; emptied first. Default: run/demo.",
)
def main(once: bool, seed: int, folder: Path) -> None:
    """Watch Yunchi consolidate the Jiangsu example on a real control plane."""
    signal.signal(signal.SIGTERM, _as_interrupt)
    narrator = Narrator()
    try:
        _run(narrator, seed, folder, once=once)
    except (DemoFailedError, ControlPlaneError) as error:
        narrator.console.print(f"\n[bold red]Failed:[/] {error}", highlight=False)
        sys.exit(1)
    except KeyboardInterrupt:
        narrator.console.print("\nStopped.")
        sys.exit(130)


def _run(narrator: Narrator, seed: int, folder: Path, *, once: bool) -> None:
    example = generate.build(seed)
    binaries = ensure_binaries()
    shutil.rmtree(folder, ignore_errors=True)
    manifests = generate.write(example, folder / "manifests")
    narrator.console.print(
        f"[bold]Yunchi 云池[/]: {len(example.prefectures)} prefectures, {len(example.nodes)} hosts,"
        f" {len(example.departments)} departments; manifests in {manifests[0].parent}",
    )
    narrator.restart_clock()
    with (
        start_control_plane(binaries, folder / "pool", name="pool") as pool,
        start_control_plane(binaries, folder / "suzhou", name="suzhou") as member,
    ):
        stage = Stage(narrator, example, binaries, pool, member, folder)
        tell(stage, lambda told: _finish(told, once=once))


def _finish(stage: Stage, *, once: bool) -> None:
    narrator = stage.narrator
    narrator.console.print(
        f"\n[bold green]All is well[/], {narrator.elapsed:.0f} s after the API servers were started."
    )
    if once:
        return
    narrator.console.print("Play with it; Ctrl-C ends everything:")
    narrator.console.print(f"  export KUBECONFIG={stage.pool.kubeconfig}", highlight=False)
    # Ports are used again and again, so another cluster's discovery may be in the user's own cache.
    cache = f"--cache-dir={stage.folder / 'kubectl-cache'}"
    narrator.console.print(f"  alias kubectl='{stage.binaries.kubectl} {cache}'", highlight=False)
    narrator.console.print("  kubectl get yunchi -A; kubectl get pods -A -o wide", highlight=False)
    signal.pause()


def _as_interrupt(_signal: int, _frame: object) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    main()
