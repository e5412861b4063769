"""Taints and tolerations: NoSchedule and NoExecute refuse, PreferNoSchedule does not."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from yunchi_placement.problem import Node, Taint, Toleration

Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


def tolerates(tolerations: Iterable[Toleration], taint: Taint) -> bool:
    """Whether one of the tolerations covers the taint."""
    return any(_covers(toleration, taint) for toleration in tolerations)


def _covers(toleration: Toleration, taint: Taint) -> bool:
    if toleration.effect and toleration.effect != taint.effect:
        return False
    if toleration.key and toleration.key != taint.key:
        return False
    return toleration.operator == "Exists" or toleration.value == taint.value


class Taints:
    """Nodes grouped by their hard taints, so that a set of tolerations is checked once per group."""

    def __init__(self, nodes: Sequence[Node]) -> None:
        self._sets: list[tuple[Taint, ...]] = []
        index: dict[tuple[Taint, ...], int] = {}
        self._set_of = np.zeros(len(nodes), dtype=np.int64)
        for position, node in enumerate(nodes):
            hard = tuple(taint for taint in node.taints if taint.effect != "PreferNoSchedule")
            if hard not in index:
                index[hard] = len(self._sets)
                self._sets.append(hard)
            self._set_of[position] = index[hard]

    def tolerated_mask(self, tolerations: tuple[Toleration, ...]) -> Mask:
        """Nodes all of whose hard taints are tolerated."""
        ok = [all(tolerates(tolerations, taint) for taint in hard) for hard in self._sets]
        return np.array(ok, dtype=np.bool_)[self._set_of] if ok else np.zeros(0, dtype=np.bool_)

    def untolerated(self, tolerations: tuple[Toleration, ...], position: int) -> list[Taint]:
        """The hard taints of a node that are not tolerated, in the node's order."""
        return [taint for taint in self._sets[int(self._set_of[position])] if not tolerates(tolerations, taint)]

    def first_untolerated(self, tolerations: tuple[Toleration, ...], nodes: Ints) -> list[tuple[Taint, int]]:
        """For nodes that are not tolerated: the first taint that is to blame, and how many of the nodes it refuses."""
        sets, counts = np.unique(self._set_of[nodes], return_counts=True)
        firsts = [next(t for t in self._sets[number] if not tolerates(tolerations, t)) for number in sets.tolist()]
        return list(zip(firsts, counts.tolist(), strict=True))
