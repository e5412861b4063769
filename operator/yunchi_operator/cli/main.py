"""The entry point ``yunchi``, also installed as ``kubectl-yunchi``: exit codes, pipes and signals are decided here.

Commands are imported when they are called, so that ``yunchi plan`` loads neither Kopf nor a Kubernetes client.
"""

from __future__ import annotations

import importlib
import io
import json
import os
import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

import click
from click.shell_completion import get_completion_class

EXIT_INPUT: Final = 2
EXIT_INTERRUPT: Final = 130
EXIT_CLOSED_PIPE: Final = 141
"""What a shell reports for a program that SIGPIPE ended."""

_LAZY: Final = {
    "explain": ("yunchi_operator.cli.explain", "explain_group", "Why a pod waits, or is where it is."),
    "operator": (
        "yunchi_operator.cli.operator",
        "operator_group",
        "The control process: departments, quota, inventory.",
    ),
    "plan": ("yunchi_operator.cli.plan", "plan", "Answer offline where pods would go, from manifests."),
    "scheduler": ("yunchi_operator.cli.scheduler", "scheduler_group", "The placement process: binds pending pods."),
}
"""Command to module, attribute and one line of help."""


class ClosedPipe(Exception):  # noqa: N818 - not an error: the reader has enough
    """Whoever read our output went away."""


class LazyGroup(click.Group):
    """A group that imports a command only when it is used; the list of commands costs no import."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; Click itself would turn a closed pipe into exit code 1, which means an internal error."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError as error:
            raise ClosedPipe from error

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All names."""
        return sorted({*super().list_commands(ctx), *_LAZY})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """One command, imported now."""
        if cmd_name not in _LAZY:
            return super().get_command(ctx, cmd_name)
        module, attribute, _ = _LAZY[cmd_name]
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list in ``--help``."""
        rows = []
        for name in self.list_commands(ctx):
            own = super().get_command(ctx, name)
            rows.append((name, _LAZY[name][2] if own is None else own.get_short_help_str(80)))
        with formatter.section("Commands"):
            formatter.write_dl(rows)


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
def cli() -> None:
    """Yunchi 云池: one provincial government cloud out of many.

    Exit codes: 0 everything placed, 1 internal error, 2 bad usage or input, 3 some pods unplaced, 130 interrupted.
    """


@cli.command("version")
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text", show_default=True)
def version_command(output: str) -> None:
    """Print the versions of Yunchi and of its solver."""
    found = {"yunchi": _version("yunchi"), "ortools": _version("ortools"), "python": platform.python_version()}
    if output == "json":
        click.echo(json.dumps(found, indent=2))
    else:
        click.echo(f"yunchi {found['yunchi']} (OR-Tools {found['ortools']}, Python {found['python']})")


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


@cli.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion_command(ctx: click.Context, shell: str) -> None:
    """Print a completion script; for bash: source <(yunchi completion bash)."""
    program = _called_as()
    variable = f"_{program.replace('-', '_').upper()}_COMPLETE"
    kind = get_completion_class(shell)
    assert kind is not None  # noqa: S101 - the choice above names only shells that Click knows
    click.echo(kind(ctx.find_root().command, {}, program, variable).source())


def _called_as() -> str:
    """The name of the program on the command line."""
    name = Path(sys.argv[0]).name
    return "yunchi" if name in ("__main__.py", "main.py", "-c", "") else name


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit with the documented code."""
    _speak_utf8()
    program = _called_as()
    shown = "kubectl yunchi" if program == "kubectl-yunchi" else program
    variable = f"_{program.replace('-', '_').upper()}_COMPLETE"
    try:
        code: Any = cli.main(arguments, prog_name=shown, complete_var=variable, standalone_mode=False)
        sys.stdout.flush()
    except click.exceptions.Exit as leave:
        code = leave.exit_code
    except click.ClickException as error:
        error.show()
        code = EXIT_INPUT if isinstance(error, click.UsageError) else error.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted", err=True)
        code = EXIT_INTERRUPT
    except (ClosedPipe, BrokenPipeError):
        # Point stdout elsewhere so that Python's own flush at exit keeps quiet.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = EXIT_CLOSED_PIPE
    sys.exit(code if isinstance(code, int) else 0)


def _speak_utf8() -> None:
    """Chinese names must print whatever LANG says."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")


if __name__ == "__main__":
    main()
