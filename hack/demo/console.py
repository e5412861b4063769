"""How the demo talks: numbered steps with times, waits that show progress, tables. With or without a terminal."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from decimal import Decimal

from rich.box import SIMPLE
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from demo.figures import Figures, Outcome

HEARTBEAT_SECONDS = 5.0
POLL_SECONDS = 0.3


class DemoFailedError(Exception):
    """A step did not reach what it promises; the message says which and what to look at."""


class Narrator:
    """Prints the story."""

    def __init__(self) -> None:
        self.console = Console(soft_wrap=True, highlight=False)
        if not self.console.is_terminal:
            self.console.width = 110  # a log file has no edge; the tables need the room
        self._step = 0
        self._begun = time.monotonic()

    @contextmanager
    def step(self, title: str) -> Iterator[None]:
        """A numbered step; says how long it took."""
        self._step += 1
        self.console.print(f"\n[bold cyan]{self._step}.[/] [bold]{title}[/]")
        begun = time.monotonic()
        yield
        self.console.print(f"   [dim]{time.monotonic() - begun:.1f} s[/]")

    def say(self, text: str) -> None:
        """A line below the current step."""
        self.console.print(f"   {text}")

    @property
    def elapsed(self) -> float:
        """Seconds since the narrator began, or since `restart_clock`."""
        return time.monotonic() - self._begun

    def restart_clock(self) -> None:
        """Measure `elapsed` from now."""
        self._begun = time.monotonic()

    def wait(
        self, title: str, total: int, done: Callable[[], int], *, seconds: float, patience: float | None = None
    ) -> int:
        """Poll until `done()` reaches `total`; a bar on a terminal, a line now and then elsewhere.

        Args:
            title: what is counted.
            total: the count to reach.
            done: reads the present count.
            seconds: give up after that many.
            patience: also stop, without an error, when the count stood still for that many seconds.

        Returns:
            The last count.

        Raises:
            DemoFailedError: when time is up.
        """
        deadline = time.monotonic() + seconds
        columns = (TextColumn("   {task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        spoken = moved = time.monotonic()
        count = -1
        with Progress(*columns, console=self.console, transient=True, disable=not self.console.is_terminal) as progress:
            task = progress.add_task(title, total=total)
            while time.monotonic() < deadline:
                now = done()
                if now != count:
                    count, moved = now, time.monotonic()
                progress.update(task, completed=count)
                if count >= total:
                    self.say(f"{title}: {count} of {total}")
                    return count
                if patience is not None and time.monotonic() - moved > patience:
                    self.say(f"{title}: {count} of {total}, and no more")
                    return count
                if not self.console.is_terminal and time.monotonic() - spoken > HEARTBEAT_SECONDS:
                    spoken = time.monotonic()
                    self.say(f"{title}: {count} of {total} …")
                time.sleep(POLL_SECONDS)
        raise DemoFailedError(f"{title}: only {count} of {total} after {seconds:.0f} s")


def comparison(names: Mapping[str, str], baseline: Outcome, ours: Outcome) -> Table:
    """The before/after table, prefecture by prefecture.

    Args:
        names: display name by zone code, in the order to show.
        baseline: kube-scheduler's placement.
        ours: Yunchi's.
    """
    table = Table(title="Nodes in use: as islands, packed by kube-scheduler (k-s), packed by Yunchi", box=SIMPLE)
    for heading in ("code", "prefecture"):
        table.add_column(heading, no_wrap=True)
    for heading in ("islands", "k-s", "Yunchi", "cost k-s", "cost", "CPU k-s", "CPU", "mem k-s", "mem"):
        table.add_column(heading, justify="right", no_wrap=True)
    for code, name in names.items():
        table.add_row(code, name, *_cells(baseline.zones.get(code, Figures()), ours.zones.get(code, Figures())))
    table.add_section()
    table.add_row("320000", "江苏省", *_cells(baseline.total, ours.total), style="bold")
    return table


def _cells(before: Figures, after: Figures) -> list[str]:
    return [
        str(after.hosts),
        str(before.used),
        str(after.used),
        _plain(before.cost),
        _plain(after.cost),
        f"{before.cpu_percent:.0f} %",
        f"{after.cpu_percent:.0f} %",
        f"{before.memory_percent:.0f} %",
        f"{after.memory_percent:.0f} %",
    ]


def _plain(cost: Decimal) -> str:
    return f"{cost:f}"
