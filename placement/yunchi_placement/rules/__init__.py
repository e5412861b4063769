"""The rules, one module each, in the order in which kube-scheduler runs its filters.

Each module answers for all nodes at once (a numpy mask); what one item sees of a node never depends on the
order in which nodes or items were given.
"""

from __future__ import annotations

from yunchi_placement.rules.affinity import Labels, affinity_mask
from yunchi_placement.rules.anti_affinity import Conflicts
from yunchi_placement.rules.resources import fit_counts, fits_mask
from yunchi_placement.rules.taints import Taints
from yunchi_placement.rules.unschedulable import schedulable_mask

__all__ = [
    "Conflicts",
    "Labels",
    "Taints",
    "affinity_mask",
    "fit_counts",
    "fits_mask",
    "schedulable_mask",
]
