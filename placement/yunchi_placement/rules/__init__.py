"""The rules, one module each, in the order in which kube-scheduler runs its filters.

Each module answers for all nodes at once (a numpy mask); what one item sees of a node never depends on the
order in which nodes or items were given.
"""

from __future__ import annotations

from yunchi_placement.rules.caps import CapRow
from yunchi_placement.rules.cards import CardTable
from yunchi_placement.rules.host_ports import port_groups
from yunchi_placement.rules.node_affinity import Labels, affinity_mask, term_mask
from yunchi_placement.rules.pod_affinity import near_mask
from yunchi_placement.rules.pod_anti_affinity import Conflicts, apart_mask
from yunchi_placement.rules.resources import fit_counts, fits_mask
from yunchi_placement.rules.taints import Taints
from yunchi_placement.rules.tallies import Layout, Skew, Tally, Ties
from yunchi_placement.rules.topology_spread import spread_mask
from yunchi_placement.rules.unschedulable import schedulable_mask

__all__ = [
    "CapRow",
    "CardTable",
    "Conflicts",
    "Labels",
    "Layout",
    "Skew",
    "Taints",
    "Tally",
    "Ties",
    "affinity_mask",
    "apart_mask",
    "fit_counts",
    "fits_mask",
    "near_mask",
    "port_groups",
    "schedulable_mask",
    "spread_mask",
    "term_mask",
]
