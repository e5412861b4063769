"""Column generation for accelerator pools: patterns of one node each, chosen together.

Where few large items meet few cards, the plan's volumes say little about how nodes fill. Here a column is a way to
fill one node of a kind (Gilmore and Gomory 1961). The master problem buys columns until every item is covered; its
dual prices tell CP-SAT which pattern is worth adding next; a restricted integer master picks the patterns. Used by
the effort `best` only: it takes seconds, not milliseconds.
"""

from __future__ import annotations

from yunchi_placement.columns.generate import Settings, repack

__all__ = ["Settings", "repack"]
