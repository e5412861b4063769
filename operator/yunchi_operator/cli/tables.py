"""A plan for people: one line that says it all, then the figures, then what waits and what to do next."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Final

from rich import box
from rich.console import Console
from rich.table import Table

from yunchi_operator.scheduling.answer import Answer, Point, Steps, Waiting, plain_cost
from yunchi_operator.scheduling.messages import unschedulable_message
from yunchi_operator.scheduling.problem import Built
from yunchi_operator.scheduling.summary import Row, rows, total

PIPE_WIDTH: Final = 160
"""Columns when the output is no terminal: wide enough that nothing is cut."""
POINTS: Final = 5
"""Of a trade-off, that a table names."""
SHOWN: Final = 10
"""Groups of waiting pods, and emptied nodes, that a table names; JSON has all."""


class _Console(Console):
    """Leaves a closed pipe to the entry point, which knows the exit code; rich itself would end with 1."""

    def on_broken_pipe(self) -> None:
        """Called by rich while it handles the error."""
        raise  # noqa: PLE0704 - inside rich's except block


def print_plan(plan: Answer, built: Built, zone_of: Mapping[str, str], *, seconds: float, objective: str) -> None:
    """Print the table form to standard output."""
    console = _Console(highlight=False, emoji=False)
    if not console.is_terminal:
        console = _Console(highlight=False, emoji=False, width=PIPE_WIDTH)
    parts = rows(built, plan, zone_of)
    console.print(headline(plan), style="bold", markup=False)
    console.print()
    _print_trimmed(console, _figures(parts))
    console.print(_proof(plan, seconds, objective), markup=False)
    if plan.emptied:
        console.print(f"Emptied: {_shortened(plan.emptied)}", markup=False)
    if plan.steps is not None:
        _print_steps(console, plan, plan.steps)
    _print_waiting(console, plan, len(built.problem.nodes))
    console.print()
    console.print(f"Next: {_next_command(plan)}", markup=False)


def headline(plan: Answer) -> str:
    """Such as ``Plan: 9 placed, 0 moved, 0 unplaced; nodes in use 1 → 4, cost 32.``."""
    parts = [f"{len(plan.placements)} placed", f"{len(plan.moves)} moved"]
    if plan.evictions:
        parts.append(f"{len(plan.evictions)} without a new place")
    parts.append(f"{len(plan.unplaced)} unplaced")
    nodes = f"nodes in use {len(plan.used_before)} → {len(plan.used_after)}"
    return f"Plan: {', '.join(parts)}; {nodes}, cost {plain_cost(plan.solution.cost):,}."


def _figures(parts: Sequence[Row]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for title in ("POOL", "ZONE", "ARCH"):
        table.add_column(title, no_wrap=True)
    for title in ("NODES", "USED BEFORE", "USED AFTER", "CPU", "MEMORY", "COST"):
        table.add_column(title, justify="right", no_wrap=True)
    for row in parts:
        table.add_row(*_cells(row))
    if len(parts) > 1:
        table.add_section()
        table.add_row(*_cells(total(parts)), style="bold")
    return table


def _cells(row: Row) -> list[str]:
    shares = [f"{row.share(resource):.0%}" if row.used_after else "-" for resource in (0, 1)]
    counts = [str(row.nodes), str(row.used_before), str(row.used_after)]
    return [*row.group, *counts, *shares, f"{plain_cost(row.cost_micro):,}"]


def _proof(plan: Answer, seconds: float, objective: str) -> str:
    bound = plan.solution.bound
    best = f"uses fewer nodes than {bound.nodes}"
    if objective == "cost":
        best = f"costs less than {plain_cost(bound.cost):,}"
    return f"Proven: no placement of the pods placed {best}; gap {plan.solution.gap:.2%}. {seconds:.1f} s."


def _print_trimmed(console: Console, table: Table) -> None:
    """Print without the blanks at line ends that a table pads with: they are noise in files and in comparisons."""
    with console.capture() as captured:
        console.print(table)
    for line in captured.get().splitlines():
        console.file.write(f"{line.rstrip()}\n")


def _shortened(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


def _print_steps(console: Console, plan: Answer, steps: Steps) -> None:
    """What the moves save, and what keeps the other nodes in use."""
    if plan.moves:
        nodes, cost = steps.nodes_before - len(plan.used_after), steps.cost_before - plan.solution.cost
        saved = f"Saves {nodes} of {steps.nodes_before} nodes, cost {plain_cost(cost):,}"
        waves = f"{len(steps.waves)} {'wave' if len(steps.waves) == 1 else 'waves'}"
        console.print(f"{saved}, by moving {_pods(len(plan.moves))} in {waves}.", markup=False)
    if len(steps.curve) > 1:
        shown = spread_out(steps.curve, POINTS)
        points = ", ".join(f"{one.moves:,} save {one.saving:,}" for one in shown)
        cut = " The limits end the plan before that." if steps.limited else ""
        console.print(f"Moves and what they save: {points}.{cut}", markup=False)
    if steps.staying:
        console.print()
        console.print("Pods that may not move:", style="bold")
        for reason, count in sorted(steps.staying, key=lambda one: (-one[1], one[0]))[:SHOWN]:
            console.print(f"  {_pods(count)}: {reason}", markup=False, soft_wrap=True)
    if plan.kept:
        console.print()
        console.print("Nodes that stay in use:", style="bold")
        for node, reason in plan.kept[:SHOWN]:
            console.print(f"  {node}: {reason}", markup=False, soft_wrap=True)
        if len(plan.kept) > SHOWN:
            console.print(f"  … {len(plan.kept) - SHOWN} more; -o json lists every node", markup=False)


def _pods(count: int) -> str:
    return f"{count:,} pod" if count == 1 else f"{count:,} pods"


def spread_out(points: Sequence[Point], most: int) -> list[Point]:
    """A few points of many, the last one among them."""
    if len(points) <= most + 1:
        return list(points[1:])
    return [points[round(step * (len(points) - 1) / most)] for step in range(1, most + 1)]


def _print_waiting(console: Console, plan: Answer, total_nodes: int) -> None:
    """Unplaced pods, those with the same reason together."""
    groups: dict[str, list[Waiting]] = defaultdict(list)
    for one in plan.unplaced:
        groups[unschedulable_message(total_nodes, one.reasons, one.fix)].append(one)
    ordered = sorted(groups.items(), key=lambda group: (-len(group[1]), group[0]))
    if ordered:
        console.print()
        console.print("Unplaced:", style="bold red")
    for message, waiting in ordered[:SHOWN]:
        more = f" and {len(waiting) - 1} more" if len(waiting) > 1 else ""
        console.print(f"  {waiting[0].pod}{more}: {message}", markup=False, soft_wrap=True)
    if len(ordered) > SHOWN:
        console.print(f"  … {len(ordered) - SHOWN} more reasons; -o json lists every pod")


def _next_command(plan: Answer) -> str:
    if plan.unplaced:
        return "yunchi plan … -o json | jq .unplaced   (every waiting pod with its reasons)"
    if plan.moves:
        return "yunchi plan … -o json | jq .moves   (every move with its reason)"
    return "yunchi plan … -o json | jq .placements   (which pod goes where)"
