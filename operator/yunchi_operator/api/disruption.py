"""PodDisruptionBudgets: how many pods of an application may be away at a time."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from yunchi_operator.api.checks import LABEL_OPERATORS, Finding
from yunchi_operator.api.core import ObjectMeta
from yunchi_operator.api.fields import Fields
from yunchi_operator.api.kinds import LabelSelector

VERSION: Final = "policy/v1"
_SHARE: Final = re.compile(r"[0-9]{1,9}%", re.ASCII)


class BudgetSpec(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """Which pods, and how many of them must stay or may go: a count or a share such as ``25%``."""

    selector: LabelSelector | None = None
    min_available: int | str | None = None
    max_unavailable: int | str | None = None


class BudgetStatus(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """What the disruption controller found; absent in manifests that people write."""

    disruptions_allowed: int | None = None


class PodDisruptionBudget(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """A ``policy/v1`` PodDisruptionBudget."""

    metadata: ObjectMeta
    spec: BudgetSpec = BudgetSpec()
    status: BudgetStatus = BudgetStatus()

    @property
    def key(self) -> str:
        """``namespace/name``."""
        return f"{self.metadata.namespace or 'default'}/{self.metadata.name}"


def known_fields(meta: Fields) -> Fields:
    """The fields of the kind, for finding typing errors; ``meta`` are those of all metadata."""
    test = Fields(frozenset({"key", "operator", "values"}))
    selector = Fields(frozenset({"matchLabels", "matchExpressions"}), {"matchExpressions": test})
    names = frozenset({"selector", "minAvailable", "maxUnavailable", "unhealthyPodEvictionPolicy"})
    spec = Fields(names, {"selector": selector})
    return Fields(frozenset({"apiVersion", "kind", "metadata", "spec", "status"}), {"metadata": meta, "spec": spec})


def check(decoded: PodDisruptionBudget, raw: Mapping[str, Any]) -> Iterator[Finding]:
    """Faults of a budget."""
    del raw
    spec = decoded.spec
    if spec.min_available is not None and spec.max_unavailable is not None:
        yield Finding(("spec", "maxUnavailable"), "minAvailable is given too; a budget takes one of the two")
    for name, value in (("minAvailable", spec.min_available), ("maxUnavailable", spec.max_unavailable)):
        good = value is None or (value >= 0 if isinstance(value, int) else bool(_SHARE.fullmatch(value)))
        if not good:
            yield Finding(("spec", name), f"{value!r} is neither a count nor a share; write for example 1 or 25%")
    for index, test in enumerate(spec.selector.match_expressions if spec.selector else ()):
        if test.operator not in LABEL_OPERATORS:
            path = ("spec", "selector", "matchExpressions", index, "operator")
            yield Finding(path, f"{test.operator!r} is not one of {', '.join(LABEL_OPERATORS)}")


def scaled(value: int | str, total: int) -> int:
    """A count as it is; a share of ``total`` rounded up, as Kubernetes does for both limits."""
    if isinstance(value, int):
        return value
    return -(-total * int(value.removesuffix("%")) // 100)
