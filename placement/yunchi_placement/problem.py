"""What the engine is asked: frozen values, integers only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

OPERATORS = frozenset({"In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"})
EFFECTS = frozenset({"NoSchedule", "NoExecute", "PreferNoSchedule"})
NAME_FIELD = "metadata.name"
HOST_KEY = "kubernetes.io/hostname"
LIMIT = 1 << 62
"""Sums of amounts stay below this, so that 64-bit arithmetic is exact."""


class InvalidProblem(ValueError):  # noqa: N818 - the name is what a caller reads in a log
    """The problem contradicts itself; the message names the object and the field."""


@dataclass(frozen=True, slots=True)
class Taint:
    """A node's refusal of items that do not tolerate it."""

    key: str
    value: str = ""
    effect: str = "NoSchedule"


@dataclass(frozen=True, slots=True)
class Toleration:
    """An item's tolerance; key None with Exists tolerates all, effect None means every effect."""

    key: str | None = None
    operator: Literal["Exists", "Equal"] = "Equal"
    value: str = ""
    effect: str | None = None


@dataclass(frozen=True, slots=True)
class Requirement:
    """One test of a label (or field); Gt and Lt take exactly one integer."""

    key: str
    operator: str
    values: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class NodeTerm:
    """Requirements that must all hold; an empty term matches no node."""

    labels: tuple[Requirement, ...] = ()
    fields: tuple[Requirement, ...] = ()


@dataclass(frozen=True, slots=True)
class Constraints:
    """Where an item may go. `required` None means anywhere; otherwise one of its terms must match."""

    selector: tuple[tuple[str, str], ...] = ()
    required: tuple[NodeTerm, ...] | None = None
    tolerations: tuple[Toleration, ...] = ()


@dataclass(frozen=True, slots=True)
class Near:
    """Required pod affinity: another item of `group` is in the same domain, which is the value of label `key`.

    As in Kubernetes, an item counts only if it is in the groups of all terms of the one that asks. The first of a set
    may start anywhere the labels exist: if no placed item counts for any of the terms, and the item is in all of the
    groups itself, the terms hold.
    """

    key: str
    group: str


@dataclass(frozen=True, slots=True)
class Apart:
    """Required pod anti-affinity, in both directions: no item of `group` in the same domain of label `key`.

    A node without the label is in no domain: nothing conflicts there.
    """

    key: str
    group: str


@dataclass(frozen=True, slots=True)
class Spread:
    """Hard topology spread: no domain has many more of the group than the emptiest.

    On the domain of the node, items of `group` (this one included, if it is one of them) exceed those of the
    emptiest eligible domain by at most `max_skew`.

    Eligible nodes have the keys of all spreads of the item, match its selector and required node affinity if
    `honor_affinity`, and have no hard taint that it does not tolerate if `honor_taints`. Items count only on
    eligible nodes. With fewer than `min_domains` eligible domains the emptiest counts as 0.
    """

    key: str
    group: str
    max_skew: int = 1
    min_domains: int = 1
    honor_affinity: bool = True
    honor_taints: bool = False


@dataclass(frozen=True, slots=True)
class Wish:
    """A preference: breaks ties once packing is settled, and never costs anything.

    `weight` counts for a node (below 0: against it) where the `term` matches; or once for each item of the group of
    `near` that is in the node's domain; or, with neither, once for each PreferNoSchedule taint that is not tolerated.
    """

    weight: int
    term: NodeTerm | None = None
    near: Near | None = None


@dataclass(frozen=True, slots=True)
class HostPort:
    """A port taken on the host. The IP 0.0.0.0 (all) conflicts with every other IP."""

    port: int
    protocol: str = "TCP"
    ip: str = "0.0.0.0"  # noqa: S104 - Kubernetes' name for all addresses; nothing listens here


@dataclass(frozen=True, slots=True)
class Node:
    """A node: capacity by `Problem.resources`, cost in micro-units (a cost of "1" is 1_000_000).

    `zone` and `pool` name where it stands and to whom caps and headroom apply; "" means none. `unschedulable`
    is a cordon. A label `kubernetes.io/hostname` is a label like any other.
    """

    name: str
    capacity: tuple[int, ...]
    labels: tuple[tuple[str, str], ...] = ()
    taints: tuple[Taint, ...] = ()
    unschedulable: bool = False
    cost: int = 1_000_000
    zone: str = ""
    pool: str = ""


@dataclass(frozen=True, slots=True)
class Item:
    """A thing to place, or (with `node` set) one that runs there.

    Attributes:
        requests: amounts by `Problem.resources`.
        node: where it runs. `solve` leaves it there; `consolidate` may move it if it is `movable`.
        movable: whether it may be moved; if not, `stays` says why, for people.
        move_cost: what moving it costs, in moves (1 is an ordinary item; 0 is free).
        owner: the workload it belongs to, for people and for fair choices.
        keeps_node: False for an item of a DaemonSet or a mirror: it takes room, but its node need not stay for it.
        groups: names of the selectors that select it. What other items avoid, seek or spread over.
        avoids: groups of which no member may share its node, in both directions.
        gang: name of its gang in `Problem.gangs`, or "".
        budgets: names of the disruption budgets that cover it.
        cards: for a running item, the numbers of the cards that it holds, where that is known; kind by kind in the
            order of `Problem.cards`.
        wishes: what it would like, if that costs nothing.
    """

    name: str
    requests: tuple[int, ...]
    constraints: Constraints = Constraints()
    node: str | None = None
    movable: bool = False
    keeps_node: bool = True
    priority: int = 0
    groups: frozenset[str] = frozenset()
    avoids: frozenset[str] = frozenset()
    near: tuple[Near, ...] = ()
    apart: tuple[Apart, ...] = ()
    spread: tuple[Spread, ...] = ()
    ports: frozenset[HostPort] = frozenset()
    gang: str = ""
    budgets: frozenset[str] = frozenset()
    owner: str = ""
    stays: str = ""
    move_cost: int = 1
    cards: tuple[int, ...] = ()
    wishes: tuple[Wish, ...] = ()


@dataclass(frozen=True, slots=True)
class Gang:
    """Items that are placed together: at least `least` of them (running ones included), or none of the pending."""

    name: str
    least: int


@dataclass(frozen=True, slots=True)
class Cap:
    """A limit: items of `group` ("" means all) on nodes of `pool` ("" means all) ask for no more than `amounts`.

    None in `amounts` means no limit for that resource. What runs already counts, and stays even above the limit.
    """

    name: str
    amounts: tuple[int | None, ...]
    group: str = ""
    pool: str = ""


@dataclass(frozen=True, slots=True)
class Headroom:
    """Amounts that placing must leave free in a pool, of the capacity of its nodes that are not cordoned."""

    pool: str
    amounts: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Cards:
    """A resource that comes in cards of `units` each (a node has capacity / units of them).

    A request below `units` must sit on one card, beside others if they fit; a larger one is a multiple of
    `units` and takes whole, empty cards.
    """

    resource: str
    units: int


@dataclass(frozen=True, slots=True)
class Budget:
    """A disruption budget: at most `allowed` of the items that it covers may be on the move at a time."""

    name: str
    allowed: int


@dataclass(frozen=True, slots=True)
class Problem:
    """Nodes and items over the same ordered resources (millicores, bytes, counts)."""

    resources: tuple[str, ...]
    nodes: tuple[Node, ...]
    items: tuple[Item, ...]
    gangs: tuple[Gang, ...] = ()
    caps: tuple[Cap, ...] = ()
    headroom: tuple[Headroom, ...] = ()
    cards: tuple[Cards, ...] = ()
    budgets: tuple[Budget, ...] = ()


def as_int(text: str) -> int | None:
    """Read a decimal 64-bit integer the way Kubernetes does; None if it is none."""
    digits = text[1:] if text[:1] in ("+", "-") else text
    if not (digits.isascii() and digits.isdigit()):
        return None
    value = int(text)
    return value if -(1 << 63) <= value < (1 << 63) else None
