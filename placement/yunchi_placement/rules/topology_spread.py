"""Hard topology spread (DoNotSchedule): the item's domain may exceed the emptiest one by max_skew at most."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from yunchi_placement.rules.tallies import Skew, Tally, Ties, at_nodes


def spread_mask(counts: npt.NDArray[np.int64], tallies: list[Tally], ties: Ties, nodes: int) -> npt.NDArray[np.bool_]:
    """Nodes where all spread constraints hold; a node outside a constraint's domains fails it."""
    mask = np.ones(nodes, dtype=np.bool_)
    for skew in ties.spread:
        tally = tallies[skew.tally]
        most = least(counts, tally, skew) + skew.max_skew - skew.own
        mask &= (tally.column >= 0) & (at_nodes(counts, tally) <= most)
    return mask


def least(counts: npt.NDArray[np.int64], tally: Tally, skew: Skew) -> int:
    """The count of the emptiest eligible domain; 0 with fewer domains than min_domains."""
    inside = counts[tally.start : tally.stop]
    return 0 if inside.size < max(1, skew.min_domains) else int(inside.min())
