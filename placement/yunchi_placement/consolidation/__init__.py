"""S6: consolidation. Fewer or cheaper nodes for what already runs, with as few moves as that takes, in safe waves."""

from __future__ import annotations

from yunchi_placement.consolidation.answer import Consolidation, Kept, Limits, Move, Point, Unmovable
from yunchi_placement.consolidation.consolidate import consolidate
from yunchi_placement.consolidation.scene import score

__all__ = ["Consolidation", "Kept", "Limits", "Move", "Point", "Unmovable", "consolidate", "score"]
