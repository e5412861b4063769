"""Caps of groups and headroom of pools: limits on what items ask for together, over a set of nodes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
UNLIMITED = 1 << 62


@dataclass(frozen=True, slots=True, eq=False)
class CapRow:
    """One limit: the nodes that it watches, and the group ("" for everyone)."""

    name: str
    group: str
    inside: Mask


def exceeded(left: Ints, request: Ints) -> bool:
    """Whether one more request would pass the limit; a limit that is passed already refuses only what it asks of."""
    return bool(((request > 0) & (request > left)).any())


def slack(left: Ints, request: Ints, count: int) -> bool:
    """Whether `count` requests could never reach the limit."""
    return bool((request * count <= left)[request > 0].all())
