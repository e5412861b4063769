"""Preemption: which running items to evict so that pending ones of higher priority fit, for a whole batch at once.

Semantics are those of kube-scheduler's default preemption; what differs is that the batch is served jointly: the room
that a victim leaves is shared, and no victim is evicted that the batch as a whole can do without.
"""

from yunchi_placement.preemption.answer import Nomination, Victim
from yunchi_placement.preemption.preempt import preempt

__all__ = ["Nomination", "Victim", "preempt"]
