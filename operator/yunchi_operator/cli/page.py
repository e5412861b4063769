"""``yunchi plan -o html``: the answer as one page that needs no network, no script and no other file."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

from yunchi_operator.cli.markup import document, figures, section, table, text
from yunchi_operator.cli.packing_map import MOST_NODES, Load, Palette, columns, histogram
from yunchi_operator.cli.planning import Planned
from yunchi_operator.cli.tables import spread_out
from yunchi_operator.scheduling.answer import Answer, Steps, plain_cost
from yunchi_operator.scheduling.messages import unschedulable_message
from yunchi_operator.scheduling.summary import Row, rows, total
from yunchi_placement import Node

POINTS = 20
"""Of a trade-off, that a table shows."""
FIGURES = ("Pool", "Zone", "Architecture", "Nodes", "Used before", "Used after", "CPU", "Memory", "Cost")


def page(planned: Planned, seconds: float) -> str:
    """The whole page."""
    plan = planned.plan
    count = len(plan.steps.waves) if plan.steps else 0
    waves = f" in {count} {'wave' if count == 1 else 'waves'}" if count else ""
    body = [
        f"<h1>Yunchi 云池: {text(planned.options.mode)} plan</h1>",
        f'<p class="quiet">{text(_question(planned))}</p>',
        _key_figures(plan),
        f"<p>{text(_proof(planned))} Read and solved in {seconds:.1f} s.</p>",
        section("Pods without a node", _unplaced(planned)),
        section("Nodes by pool", _by_pool(planned)),
        section("Packing map", *_maps(planned)),
        section(f"Moves ({len(plan.moves):,}{waves})", _moves(plan)),
        section("Savings by number of moves", _curve(plan.steps)),
        section("Emptied nodes", _listed(plan.emptied)),
        section("Nodes that stay in use, and why", _pairs(("Node", "Reason"), plan.kept)),
        section("Pods that lose their node", _pairs(("Pod", "Reason"), plan.evictions)),
        section("Placements", _pairs(("Pod", "Node"), plan.placements)),
    ]
    return document(f"Yunchi: {planned.options.mode} plan", "\n".join(part for part in body if part))


def _question(planned: Planned) -> str:
    asked = planned.options
    parts = [f"objective {asked.objective}", f"effort {asked.effort}", f"seed {asked.seed}"]
    parts += [f"node {name} lost" for name in asked.lose_nodes]
    parts += [f"zone {name} lost" for name in asked.lose_zones]
    parts += [f"with the cloud of {name}" for name in asked.merge]
    limits = (("moves", asked.max_moves), ("nodes", asked.max_nodes), ("threshold", asked.threshold))
    parts += [f"at most {value:.0%} of nodes" if isinstance(value, float) and name == "nodes" else f"{name} ≤ {value}"
              for name, value in limits if value is not None and name != "threshold"]  # fmt: skip
    if asked.threshold is not None:
        parts.append(f"threshold {asked.threshold:g}")
    return ", ".join(parts)


def _key_figures(plan: Answer) -> str:
    solution = plan.solution
    pairs: list[tuple[str, object]] = [
        ("nodes in use", f"{len(plan.used_before):,} → {len(plan.used_after):,}"),
        ("cost", f"{plain_cost(solution.cost):,}"),
        ("gap to the proven bound", f"{solution.gap:.2%}"),
        ("placed", f"{len(plan.placements):,}"),
        ("moved", f"{len(plan.moves):,}"),
        ("unplaced", f"{len(plan.unplaced):,}"),
    ]
    if plan.emptied:
        pairs.insert(1, ("nodes emptied", f"{len(plan.emptied):,}"))
    return figures(pairs)


def _proof(planned: Planned) -> str:
    bound = planned.plan.solution.bound
    if planned.options.objective == "cost":
        return f"Proven: no placement of the pods placed costs less than {plain_cost(bound.cost):,}."
    return f"Proven: no placement of the pods placed uses fewer nodes than {bound.nodes:,}."


def _unplaced(planned: Planned) -> str:
    nodes = len(planned.built.problem.nodes)
    found = [(one.pod, unschedulable_message(nodes, one.reasons, one.fix)) for one in planned.plan.unplaced]
    return _pairs(("Pod", "Why, and what would help"), found)


def _by_pool(planned: Planned) -> str:
    parts = rows(planned.built, planned.plan, planned.zone_of)
    shown = [_figures(row) for row in (*parts, total(parts))]
    return table(FIGURES, shown, numbers=range(3, 9), total=True)


def _figures(row: Row) -> list[object]:
    shares = [f"{row.share(resource):.0%}" if row.used_after else "-" for resource in (0, 1)]
    return [*row.group, row.nodes, row.used_before, row.used_after, *shares, f"{plain_cost(row.cost_micro):,}"]


def _maps(planned: Planned) -> Iterator[str]:
    """A map for each pool; before and after when something moves."""
    built, plan = planned.built, planned.plan
    after = Load.of(built, plan.solution.assignment)
    before = Load.of(built, _before(planned)) if plan.moves else None
    palette = Palette(after)
    yield "<p>A column is a node, as full as its tightest resource is requested; its tooltip names it. "
    yield "Dashed: emptied.</p>" if plan.emptied else "</p>"
    yield palette.legend()
    emptied = frozenset(plan.emptied)
    for pool, nodes in _pools(planned):
        yield f"<h3>{text(pool)}: {len(nodes):,} nodes</h3>"
        for moment, load in (("before", before), ("after", after)):
            if load is None:
                continue
            title = f"{pool} {moment}"
            yield f'<p class="quiet">{moment}</p>' if before else ""
            if len(nodes) > MOST_NODES:
                yield histogram(nodes, load, title)
            else:
                gone = emptied if moment == "after" else frozenset()
                yield columns(nodes, load, palette, built.problem.resources, gone, title)


def _before(planned: Planned) -> list[str | None]:
    homes = {move.pod: move.source for move in planned.plan.moves}
    places = zip(planned.built.problem.items, planned.built.pods, planned.plan.solution.assignment, strict=True)
    known = {node.name for node in planned.built.problem.nodes}
    found = [item.node or homes.get(item.name) or (pod.spec.node_name or None) for item, pod, _ in places]
    return [home if home in known else None for home in found]


def _pools(planned: Planned) -> list[tuple[str, list[Node]]]:
    """Nodes by pool: those in use first, then the emptied ones, then the idle, each by name."""
    pool_of = dict(planned.built.pool_of)
    emptied = frozenset(planned.plan.emptied)
    found: dict[str, list[Node]] = defaultdict(list)
    for node in planned.built.problem.nodes:
        found[pool_of.get(node.name, "outside all pools")].append(node)
    for nodes in found.values():
        nodes.sort(key=lambda node: (node.name not in planned.plan.used_after, node.name not in emptied, node.name))
    return sorted(found.items())


def _moves(plan: Answer) -> str:
    wave_of: dict[str, int] = {}
    for number, wave in enumerate(plan.steps.waves if plan.steps else (), 1):
        wave_of |= dict.fromkeys(wave, number)
    if not plan.moves:
        return ""
    if plan.steps is None:
        shown: list[Sequence[object]] = [(one.pod, one.source, one.target, one.reason) for one in plan.moves]
        return table(("Pod", "From", "To", "Reason"), shown)
    shown = [(wave_of.get(one.pod, ""), one.pod, one.source, one.target, one.reason) for one in plan.moves]
    return table(("Wave", "Pod", "From", "To", "Reason"), shown, numbers=[0])


def _curve(steps: Steps | None) -> str:
    if steps is None or len(steps.curve) < 2:
        return ""
    shown = [(f"{one.moves:,}", f"{one.saving:,}", f"{one.nodes:,}") for one in spread_out(steps.curve, POINTS)]
    return table(("Moves", "Saving", "Nodes emptied"), shown, numbers=range(3))


def _listed(names: Sequence[str]) -> str:
    return f"<p>{text(', '.join(names))}</p>" if names else ""


def _pairs(heads: tuple[str, str], pairs: Sequence[tuple[str, str]]) -> str:
    return table(heads, pairs) if pairs else ""
