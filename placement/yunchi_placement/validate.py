"""Whether a problem is sound; every message names the object, the field and the remedy.

Problems are large and mostly sound, so whole columns are tried at once, and only a column that is at fault is
walked to find the culprit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from operator import attrgetter

from yunchi_placement.problem import (
    EFFECTS,
    LIMIT,
    NAME_FIELD,
    OPERATORS,
    Cards,
    Constraints,
    HostPort,
    InvalidProblem,
    Item,
    Node,
    Problem,
    Requirement,
    Spread,
    Taint,
    Wish,
    as_int,
)

PROTOCOLS = ("TCP", "UDP", "SCTP")

MOST_WEIGHT = 1_000_000
"""Of a wish: sums over a cluster of any size stay exact."""


def validate(problem: Problem) -> None:
    """Check sizes, names, signs, operators and references.

    Raises:
        InvalidProblem: naming the object, the field at fault and the remedy.
    """
    _distinct("resource", problem.resources)
    _distinct("node", [node.name for node in problem.nodes])
    _distinct("item", [item.name for item in problem.items])
    width = len(problem.resources)
    _matrix("node", "capacity", [(node.name, node.capacity) for node in problem.nodes], width)
    _matrix("item", "requests", [(item.name, item.requests) for item in problem.items], width)
    _numbers("node", "cost", problem.nodes, least=0)
    _numbers("item", "priority", problem.items)
    _numbers("item", "move_cost", problem.items, least=0)
    _sums(problem)
    _nodes(problem.nodes)
    _items(problem)
    _gangs_and_budgets(problem)
    _limits(problem)
    _cards(problem)


def _distinct(what: str, names: Sequence[str]) -> None:
    if len(set(names)) == len(names):
        return
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise InvalidProblem(f"{what} {name}: the name occurs more than once; give each {what} a name of its own")
        seen.add(name)


def _is_int(value: object) -> bool:
    """A plain integer. True is one for Python and 1.0 equals one: both are mistakes here."""
    return isinstance(value, int) and not isinstance(value, bool)


def _matrix(what: str, field: str, rows: Sequence[tuple[str, tuple[int, ...]]], width: int) -> None:
    vectors = [vector for _, vector in rows]
    sound = (
        set(map(len, vectors)) <= {width}
        and set(map(type, chain.from_iterable(vectors))) <= {int}
        and min(chain.from_iterable(vectors), default=0) >= 0
    )
    if sound:
        return
    for name, vector in rows:
        _vector(f"{what} {name}: {field}", vector, width)


def _vector(where: str, amounts: tuple[int | None, ...], width: int) -> None:
    """Refuse wrong widths and what is no amount; None passes, which only caps may hold."""
    if len(amounts) != width:
        raise InvalidProblem(f"{where} has {len(amounts)} amounts for {width} resources; give one per resource")
    for amount in amounts:
        if amount is not None:
            _amount(where, amount)


def _amount(where: str, amount: int) -> None:
    if not _is_int(amount):
        raise InvalidProblem(f"{where} holds {amount!r}, which is not an integer; use whole numbers of a smaller unit")
    if amount < 0:
        raise InvalidProblem(f"{where} holds the negative amount {amount}; use 0 or more")


def _numbers(what: str, field: str, owners: Sequence[Node | Item], least: int | None = None) -> None:
    get: Callable[[object], int] = attrgetter(field)
    values = list(map(get, owners))
    if set(map(type, values)) <= {int} and (least is None or min(values, default=least) >= least):
        return
    for owner, value in zip(owners, values, strict=True):
        _number(f"{what} {owner.name}: {field}", value, least)


def _number(where: str, value: int, least: int | None = None) -> None:
    if not _is_int(value):
        raise InvalidProblem(f"{where} {value!r} is not an integer; use a whole number")
    if least is not None and value < least:
        below = "is negative" if value < 0 else "is too small"
        raise InvalidProblem(f"{where} {value} {below}; use {least} or more")


def _sums(problem: Problem) -> None:
    rows = [node.capacity for node in problem.nodes]
    rows += [item.requests for item in problem.items]
    for resource, column in zip(problem.resources, zip(*rows, strict=True), strict=False):
        if sum(column) >= LIMIT:
            raise InvalidProblem(f"resource {resource}: amounts add up beyond 2^62; use a larger unit")
    if sum(node.cost for node in problem.nodes) >= LIMIT:
        raise InvalidProblem("node costs add up beyond 2^62 micro-units; use a larger unit")


def _nodes(nodes: Sequence[Node]) -> None:
    for node in nodes:
        if node.taints:
            _taints(node.name, node.taints)


def _taints(name: str, taints: Sequence[Taint]) -> None:
    for taint in taints:
        if taint.effect not in EFFECTS:
            raise InvalidProblem(
                f"node {name}: taint {taint.key}: unknown effect {taint.effect!r}; use one of {_either(EFFECTS)}"
            )


def _items(problem: Problem) -> None:
    """Check what items carry. Items of a workload share their tuples, so each tuple is checked once."""
    gangs = {gang.name for gang in problem.gangs}
    budgets = {budget.name for budget in problem.budgets}
    seen: set[int] = set()
    for item in problem.items:
        if item.gang and item.gang not in gangs:
            raise InvalidProblem(f"item {item.name}: gang {item.gang!r} is unknown; add it to the problem's gangs")
        if item.budgets and not item.budgets <= budgets:
            unknown = min(item.budgets - budgets)
            raise InvalidProblem(f"item {item.name}: budget {unknown!r} is unknown; add it to the problem's budgets")
        if id(item.constraints) not in seen:
            seen.add(id(item.constraints))
            _constraints(item.name, item.constraints)
        if item.near or item.apart:
            _terms(item)
        if item.spread and id(item.spread) not in seen:
            seen.add(id(item.spread))
            _spreads(item.name, item.spread)
        if item.ports and id(item.ports) not in seen:
            seen.add(id(item.ports))
            _ports(item.name, item.ports)
        if item.wishes and id(item.wishes) not in seen:
            seen.add(id(item.wishes))
            _wishes(item.name, item.wishes)


def _wishes(name: str, wishes: Iterable[Wish]) -> None:
    for wish in wishes:
        where = f"item {name}: wish"
        if not _is_int(wish.weight) or abs(wish.weight) > MOST_WEIGHT:
            raise InvalidProblem(f"{where}: weight {wish.weight!r} is no whole number up to {MOST_WEIGHT:,}")
        if wish.near is not None and wish.term is not None:
            raise InvalidProblem(f"{where}: term and near are both set; make two wishes of it")
        if wish.near is not None:
            _key_and_group(where, wish.near.key, wish.near.group)
        if wish.term is not None:
            _constraints(name, Constraints(required=(wish.term,)))


def _constraints(name: str, constraints: Constraints) -> None:
    for toleration in constraints.tolerations:
        if toleration.operator not in ("Exists", "Equal"):
            raise InvalidProblem(
                f"item {name}: toleration: unknown operator {toleration.operator!r}; use Exists or Equal"
            )
        if toleration.effect and toleration.effect not in EFFECTS:
            raise InvalidProblem(
                f"item {name}: toleration: unknown effect {toleration.effect!r}; use one of {_either(EFFECTS)}, "
                "or None for all"
            )
    for term in constraints.required or ():
        for requirement in (*term.labels, *term.fields):
            _requirement(name, requirement)
        for field in term.fields:
            if field.key != NAME_FIELD:
                raise InvalidProblem(f"item {name}: node field {field.key!r} is unknown; only {NAME_FIELD} is")


def _requirement(name: str, requirement: Requirement) -> None:
    where = f"item {name}: requirement on {requirement.key}"
    if requirement.operator not in OPERATORS:
        raise InvalidProblem(f"{where}: unknown operator {requirement.operator!r}; use one of {_either(OPERATORS)}")
    if requirement.operator in ("Gt", "Lt"):
        if len(requirement.values) != 1 or as_int(requirement.values[0]) is None:
            raise InvalidProblem(f"{where}: {requirement.operator} needs exactly one integer")
    elif requirement.operator in ("In", "NotIn") and not requirement.values:
        raise InvalidProblem(f"{where}: {requirement.operator} needs at least one value")


def _terms(item: Item) -> None:
    for field, terms in (("near", item.near), ("apart", item.apart)):
        for term in terms:
            _key_and_group(f"item {item.name}: {field}", term.key, term.group)


def _key_and_group(where: str, key: str, group: str) -> None:
    if not key:
        raise InvalidProblem(f"{where}: the key is empty; name the label that makes the domains")
    if not group:
        raise InvalidProblem(f"{where}: the group is empty; name the group that is meant")


def _spreads(name: str, spreads: Sequence[Spread]) -> None:
    for spread in spreads:
        where = f"item {name}: spread over {spread.key}"
        _key_and_group(where, spread.key, spread.group)
        _number(f"{where}: max_skew", spread.max_skew, least=1)
        _number(f"{where}: min_domains", spread.min_domains, least=1)


def _ports(name: str, ports: Iterable[HostPort]) -> None:
    for port in ports:
        where = f"item {name}: host port {port.port}"
        if not _is_int(port.port) or not 1 <= port.port <= 65535:
            raise InvalidProblem(f"{where} is no port; use 1 to 65535")
        if port.protocol not in PROTOCOLS:
            raise InvalidProblem(f"{where}: unknown protocol {port.protocol!r}; use one of {_either(PROTOCOLS)}")
        if not port.ip:
            raise InvalidProblem(f"{where}: the ip is empty; 0.0.0.0 stands for all")


def _gangs_and_budgets(problem: Problem) -> None:
    _distinct("gang", [gang.name for gang in problem.gangs])
    _distinct("budget", [budget.name for budget in problem.budgets])
    for gang in problem.gangs:
        if not gang.name:
            raise InvalidProblem("a gang has no name; items name their gang by it")
        _number(f"gang {gang.name}: least", gang.least, least=1)
    for budget in problem.budgets:
        _number(f"budget {budget.name}: allowed", budget.allowed, least=0)


def _limits(problem: Problem) -> None:
    _distinct("cap", [cap.name for cap in problem.caps])
    pools = {node.pool for node in problem.nodes}
    width = len(problem.resources)
    for cap in problem.caps:
        _vector(f"cap {cap.name}: amounts", cap.amounts, width)
        if cap.pool and cap.pool not in pools:
            raise InvalidProblem(
                f"cap {cap.name}: pool {cap.pool!r} is unknown; name the pool of a node, or leave the cap out"
            )
    for headroom in problem.headroom:
        where = f"headroom of pool {headroom.pool!r}"
        if not headroom.pool or headroom.pool not in pools:
            raise InvalidProblem(f"{where}: the pool is unknown; name the pool of a node, or leave the headroom out")
        if None in headroom.amounts:
            raise InvalidProblem(f"{where}: amounts hold None; 0 keeps nothing free")
        _vector(f"{where}: amounts", headroom.amounts, width)


def _cards(problem: Problem) -> None:
    _distinct("cards", [cards.resource for cards in problem.cards])
    for cards in problem.cards:
        if cards.resource not in problem.resources:
            raise InvalidProblem(
                f"cards: resource {cards.resource!r} is unknown; use one of {_either(problem.resources)}"
            )
        _number(f"cards of {cards.resource}: units", cards.units, least=1)
        _whole_cards(problem, cards, problem.resources.index(cards.resource))
    if problem.cards:
        _held_cards(problem)


def _whole_cards(problem: Problem, cards: Cards, index: int) -> None:
    units = cards.units
    for node in problem.nodes:
        if node.capacity[index] % units:
            raise InvalidProblem(
                f"node {node.name}: capacity of {node.capacity[index]} {cards.resource} is no whole number of cards; "
                f"use a multiple of {units}, or correct the units of the cards"
            )
    for item in problem.items:
        asked = item.requests[index]
        if asked > units and asked % units:
            raise InvalidProblem(
                f"item {item.name}: request of {asked} {cards.resource} is no whole number of cards; "
                f"ask for {asked // units * units} or {asked // units * units + units}, or for less than {units}"
            )


def _held_cards(problem: Problem) -> None:
    """Cards that a running item is said to hold must be as many as it asks for.

    A number beyond the node's cards is let pass: a node may have lost cards that work still holds.
    """
    kinds = [(problem.resources.index(cards.resource), cards.units) for cards in problem.cards]
    for item in problem.items:
        if not item.cards or item.node is None:
            continue
        where = f"item {item.name}: cards {item.cards}"
        if not all(_is_int(card) and card >= 0 for card in item.cards):
            raise InvalidProblem(f"{where} are no card numbers; use 0 or more, or leave them out if unknown")
        needed = [-(-item.requests[index] // units) for index, units in kinds]
        if len(item.cards) != sum(needed) or len(set(item.cards)) < max(needed):
            raise InvalidProblem(f"{where} are not the {sum(needed)} that it asks for; leave them out if unknown")


def _either(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))
