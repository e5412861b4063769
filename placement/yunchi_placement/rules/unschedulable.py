"""Cordoned nodes take only items that tolerate the cordon."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from yunchi_placement.problem import Node, Taint, Toleration
from yunchi_placement.rules.taints import tolerates

CORDON = Taint("node.kubernetes.io/unschedulable", "", "NoSchedule")


def schedulable_mask(nodes: Sequence[Node], tolerations: tuple[Toleration, ...]) -> npt.NDArray[np.bool_]:
    """Nodes that are not cordoned, or all of them for an item that tolerates the cordon."""
    if tolerates(tolerations, CORDON):
        return np.ones(len(nodes), dtype=np.bool_)
    return np.array([not node.unschedulable for node in nodes], dtype=np.bool_)
