"""Packing maps as inline SVG: a column for each node, filled from below by namespace; a histogram for many nodes."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from yunchi_operator.cli.markup import text
from yunchi_operator.scheduling.problem import Built
from yunchi_placement import Node

MOST_NODES: Final = 500
"""Above this, a pool is drawn as a histogram."""
COLOURS: Final = (
    "#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00",
    "#7f7f00", "#5d3a9b", "#40b0a6", "#994f00", "#1f4e79", "#b66dff",
)  # fmt: skip
"""Told apart by colour-blind people too; none of them means good or bad."""
OTHERS: Final = "#8c8c8c"
_WIDTH, _GAP, _HEIGHT, _ROW = 14, 4, 90, 60
_OUTLINE: Final = 'fill="none" stroke="#8c8c8c"'
_EMPTIED: Final = 'fill="none" stroke="#1a1a1a" stroke-dasharray="3 2"'


@dataclass(frozen=True, slots=True)
class Load:
    """What is on the nodes at one moment.

    Attributes:
        amounts: requested amounts by node and namespace, in the order of the problem's resources.
    """

    amounts: Mapping[str, Mapping[str, tuple[int, ...]]]

    @classmethod
    def of(cls, built: Built, places: Sequence[str | None]) -> Load:
        """Sum up the items by the node where each is."""
        sums: dict[str, dict[str, tuple[int, ...]]] = defaultdict(dict)
        for item, node in zip(built.problem.items, places, strict=True):
            if node is not None:
                namespace = item.name.partition("/")[0]
                before = sums[node].get(namespace)
                after = item.requests if before is None else tuple(map(int.__add__, before, item.requests))
                sums[node][namespace] = after
        return cls(sums)

    def total(self, node: str) -> tuple[int, ...]:
        """All namespaces together."""
        return tuple(map(sum, zip(*self.amounts.get(node, {}).values(), strict=True)))


def tightest(node: Node, total: Sequence[int]) -> int:
    """The resource that is used most, as a share of what the node has."""
    shares = [asked / has if has else 0.0 for asked, has in zip(total, node.capacity, strict=False)]
    return max(range(len(shares)), key=lambda resource: (shares[resource], -resource)) if shares else 0


class Palette:
    """A colour for each of the namespaces that ask for most cpu, one for all others."""

    def __init__(self, load: Load) -> None:
        asked: Counter[str] = Counter()
        for parts in load.amounts.values():
            for namespace, amounts in parts.items():
                asked[namespace] += amounts[0]
        ranked = sorted(asked, key=lambda namespace: (-asked[namespace], namespace))
        self._colours = dict(zip(ranked, COLOURS, strict=False))
        self._rest = len(ranked) - len(self._colours)

    def of(self, namespace: str) -> str:
        """A namespace's colour."""
        return self._colours.get(namespace, OTHERS)

    def stacked(self, parts: Mapping[str, tuple[int, ...]], resource: int) -> list[tuple[str, int]]:
        """Colour and amount of one node's namespaces, in the legend's order; all others together come last."""
        sums = dict.fromkeys((*self._colours.values(), OTHERS), 0)
        for namespace, amounts in parts.items():
            sums[self.of(namespace)] += amounts[resource]
        return [(colour, amount) for colour, amount in sums.items() if amount]

    def legend(self) -> str:
        """What the colours mean."""
        entries = [*self._colours.items(), *([(f"{self._rest} others", OTHERS)] if self._rest else [])]
        spans = [f"<span>{_swatch(colour)}{text(namespace)}</span>" for namespace, colour in entries]
        return f'<p class="legend">{"".join(spans)}</p>'


def _swatch(colour: str) -> str:
    return f'<svg width="10" height="10"><rect width="10" height="10" fill="{colour}"/></svg>'


def columns(
    nodes: Sequence[Node], load: Load, palette: Palette, resources: Sequence[str], emptied: frozenset[str], title: str
) -> str:
    """A column for each node, as high as its tightest resource is used; emptied nodes are dashed outlines."""
    lines = -(-len(nodes) // _ROW)
    width, height = min(len(nodes), _ROW) * (_WIDTH + _GAP), lines * (_HEIGHT + 2 * _GAP)
    parts = []
    for number, node in enumerate(nodes):
        x = number % _ROW * (_WIDTH + _GAP) + 1
        y = number // _ROW * (_HEIGHT + 2 * _GAP) + 1
        parts.append(_column(node, load, palette, resources, x, y, emptied=node.name in emptied))
    return (
        f'<svg width="{width + 2}" height="{height + 2}" viewBox="0 0 {width + 2} {height + 2}" role="img" '
        f'aria-label="{text(title)}">{"".join(parts)}</svg>'
    )


def _column(
    node: Node, load: Load, palette: Palette, resources: Sequence[str], x: int, y: int, *, emptied: bool
) -> str:
    total = load.total(node.name)
    resource = tightest(node, total)
    has = node.capacity[resource] if node.capacity else 0
    share = total[resource] / has if total and has else 0.0
    rects, bottom = [], float(y + _HEIGHT)
    for colour, amount in palette.stacked(load.amounts.get(node.name, {}), resource):
        high = min(_HEIGHT * amount / has if has else 0.0, bottom - y)
        bottom -= high
        if high > 0:
            rects.append(f'<rect x="{x}" y="{bottom:.1f}" width="{_WIDTH}" height="{high:.1f}" fill="{colour}"/>')
    state = "emptied" if emptied else f"{share:.0%} of its {resources[resource]}" if total else "not in use"
    look = _EMPTIED if emptied else _OUTLINE
    frame = f'<rect x="{x}" y="{y}" width="{_WIDTH}" height="{_HEIGHT}" {look}/>'
    return f"<g><title>{text(node.name)}: {text(state)}</title>{''.join(rects)}{frame}</g>"


def histogram(nodes: Sequence[Node], load: Load, title: str) -> str:
    """How many nodes in use are how full, for pools too large to draw each node."""
    counts = [0] * 10
    for node in nodes:
        total = load.total(node.name)
        if total:
            resource = tightest(node, total)
            share = total[resource] / node.capacity[resource] if node.capacity[resource] else 1.0
            counts[min(9, int(share * 10))] += 1
    most, wide, parts = max(counts) or 1, 60, []
    for step, count in enumerate(counts):
        high, x = _HEIGHT * count / most, step * (wide + _GAP)
        parts.append(
            f"<g><title>{count} nodes</title>"
            f'<rect x="{x}" y="{_HEIGHT + 14 - high:.1f}" width="{wide}" height="{high:.1f}" fill="{COLOURS[0]}"/>'
            f'<text x="{x}" y="{_HEIGHT + 10 - high:.1f}" font-size="11">{count or ""}</text>'
            f'<text x="{x}" y="{_HEIGHT + 28}" font-size="11">{step * 10}–{step * 10 + 10} %</text></g>'
        )
    size = f'width="{10 * (wide + _GAP)}" height="{_HEIGHT + 34}"'
    return f'<svg {size} role="img" aria-label="{text(title)}">{"".join(parts)}</svg>'
