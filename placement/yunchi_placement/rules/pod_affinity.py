"""Required pod affinity: the domain already holds a member of the group, or nobody does and this is the first."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from yunchi_placement.rules.tallies import Tally, Ties, at_nodes


def near_mask(counts: npt.NDArray[np.int64], tallies: list[Tally], ties: Ties, nodes: int) -> npt.NDArray[np.bool_]:
    """Nodes where all affinity terms hold."""
    mask = np.ones(nodes, dtype=np.bool_)
    rows = [tallies[number] for number in ties.near]
    first = ties.starts and not any(counts[row.start : row.stop].any() for row in rows)
    for row in rows:
        mask &= row.column >= 0 if first else at_nodes(counts, row) > 0
    return mask
