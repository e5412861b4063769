"""Disruption budgets while victims are chosen."""

from __future__ import annotations

from collections.abc import Iterable

from yunchi_placement.problem import Budget


class Budgets:
    """How many victims each budget covers. Beyond `allowed`, every one of them is a violation."""

    def __init__(self, budgets: Iterable[Budget]) -> None:
        self.allowed = {budget.name: budget.allowed for budget in budgets}
        self.used = dict.fromkeys(self.allowed, 0)

    def take(self, names: Iterable[str], step: int) -> None:
        """Count an item evicted (1) or no longer so (-1)."""
        for name in names:
            self.used[name] += step

    def over(self, names: Iterable[str]) -> bool:
        """Whether one of the budgets is exceeded: an item that it covers would relieve it by staying."""
        return any(self.used[name] > self.allowed[name] for name in names)

    def spent(self, names: Iterable[str]) -> bool:
        """Whether evicting one more item under these budgets is a violation."""
        return any(self.used[name] >= self.allowed[name] for name in names)

    @property
    def violations(self) -> int:
        """Evictions beyond what is allowed, over all budgets; it does not depend on who came first."""
        return sum(max(0, used - self.allowed[name]) for name, used in self.used.items() if used)
