"""What each pod is to a solve: to be placed, taking room, or none of our business. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from yunchi_operator.api.core import Pod
from yunchi_operator.api.names import DO_NOT_DISRUPT, SCHEDULER_NAME
from yunchi_operator.scheduling import unsupported
from yunchi_operator.scheduling.facts import PodFacts
from yunchi_operator.scheduling.movable import Movability, unmodelled
from yunchi_operator.scheduling.stating import LeftOut, Stated, Surroundings, left_out, stated


class Role(Enum):
    """What a pod is to a solve."""

    IGNORED = "finished, going before it ever ran, or another scheduler's"
    GATED = "held by a scheduling gate"
    FIXED = "takes room where it is"
    WANTED = "to be placed"


def role_of(pod: Pod, *, scheduler_name: str = SCHEDULER_NAME, all_schedulers: bool = False) -> Role:
    """Sort a pod as kube-scheduler does: bound ones count until they finish, even while they terminate."""
    if pod.status.phase in ("Succeeded", "Failed"):
        return Role.IGNORED
    if pod.spec.node_name:
        return Role.FIXED
    if pod.metadata.deletion_timestamp or not (all_schedulers or pod.spec.scheduler_name == scheduler_name):
        return Role.IGNORED
    return Role.GATED if pod.spec.scheduling_gates else Role.WANTED


@dataclass(frozen=True, slots=True)
class Placed:
    """A pod that is on a node and stays there."""

    facts: PodFacts
    node: str


class Sorter:
    """Sorts pods into fixed, wanted and left out.

    Attributes:
        home: for wanted pods that run already, their node.
        kept: of those that could be moved as far as the mode goes, the ones that stay, and why.
    """

    def __init__(
        self,
        node_names: set[str],
        *,
        frees: bool = False,
        scheduler_name: str = SCHEDULER_NAME,
        all_schedulers: bool = False,
        movability: Movability | None = None,
        around: Surroundings | None = None,
    ) -> None:
        self.fixed: list[Placed] = []
        self.wanted: list[PodFacts] = []
        self.left_out: list[LeftOut] = []
        self.home: dict[str, str] = {}
        self.kept: dict[str, str] = {}
        self._frees = frees or movability is not None
        self._scheduler_name = scheduler_name
        self._all = all_schedulers
        self._nodes = node_names
        self._movability = movability
        self._around = around or Surroundings()
        self._counts: Counter[str] = Counter()

    def take(self, pod: Pod, facts_of: Callable[[Pod], PodFacts]) -> None:
        """Sort one pod."""
        role = role_of(pod, scheduler_name=self._scheduler_name, all_schedulers=self._all)
        if role is Role.FIXED and pod.spec.node_name not in self._nodes:
            self._counts["unknown-node"] += 1
        elif role is Role.FIXED:
            self._take_bound(facts_of(pod))
        elif role is Role.WANTED:
            self._want(facts_of(pod))
        elif role is Role.GATED:
            self._counts["gated"] += 1
        elif not pod.spec.node_name and not pod.metadata.deletion_timestamp and pod.status.phase in ("", "Pending"):
            self._counts["foreign"] += 1

    def _take_bound(self, facts: PodFacts) -> None:
        if self._frees and self._is_ours(facts.pod) and not facts.belongs_to_node:
            reason = self._movability.why_stays(facts) if self._movability else _stays(facts)
            found = stated(facts, self._around) if reason is None else None
            if isinstance(found, Stated):
                self.home[facts.key] = facts.pod.spec.node_name
                self.wanted.append(found.facts)
                return
            self.kept[facts.key] = reason or self._unstated(found)
        self.fixed.append(Placed(facts, facts.pod.spec.node_name))

    def _unstated(self, found: LeftOut | None) -> str:
        rule = found.rule if found else ""
        return unmodelled(rule.removeprefix(unsupported.PREFIX)) if self._movability else rule

    def _is_ours(self, pod: Pod) -> bool:
        return self._all or pod.spec.scheduler_name == self._scheduler_name

    def _want(self, facts: PodFacts) -> None:
        found = stated(facts, self._around)
        if isinstance(found, LeftOut):
            self.left_out.append(found)
        else:
            self.wanted.append(found.facts)

    def leave_out(self, facts: PodFacts, what: str) -> None:
        """A pod that is bound stays where it is; one that is pending is reported."""
        home = self.home.pop(facts.key, None)
        if home is None:
            self.left_out.append(left_out(facts.pod, what))
        else:
            self.kept[facts.key] = unmodelled(what) if self._movability else f"{unsupported.PREFIX}{what}"
            self.fixed.append(Placed(facts, home))

    def set_aside(self, why: Callable[[PodFacts], str | None]) -> None:
        """Leave out the wanted pods for which there is a rule that cannot be stated."""
        wanted, self.wanted = self.wanted, []
        for facts in wanted:
            what = why(facts)
            if what is None:
                self.wanted.append(facts)
            else:
                self.leave_out(facts, what)

    @property
    def pods(self) -> list[Pod]:
        """The fixed ones, then the wanted."""
        return [placed.facts.pod for placed in self.fixed] + [facts.pod for facts in self.wanted]

    def notes(self) -> list[str]:
        """What people should know about pods that are no part of the answer."""
        texts = {
            "gated": "{} pending pods are held by scheduling gates and wait",
            "foreign": "{} pending pods of other schedulers are ignored; --all-schedulers includes them",
            "unknown-node": "{} pods are bound to nodes that are not given, and count nowhere",
        }
        return [text.format(self._counts[what]) for what, text in texts.items() if self._counts[what]]


def _stays(facts: PodFacts) -> str | None:
    """Why a bound pod of ours is not moved, or None."""
    if facts.pod.metadata.annotations.get(DO_NOT_DISRUPT) == "true":
        return f"annotation {DO_NOT_DISRUPT}"
    if facts.pod.metadata.deletion_timestamp:
        return "is terminating"
    return f"{unsupported.PREFIX}{facts.unsupported}" if facts.unsupported else None
