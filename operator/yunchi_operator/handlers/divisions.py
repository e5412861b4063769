"""Division: its code, level and parent are checked."""

from __future__ import annotations

from yunchi_operator.api.kinds import DivisionStatus
from yunchi_operator.handlers.context import Context
from yunchi_operator.handlers.store import Key
from yunchi_operator.tenancy.divisions import decide


async def reconcile(context: Context, key: Key) -> float | None:
    """Bring a Division's status up to date."""
    division = context.store.divisions.get(key)
    if division is None:
        return None
    verdict = decide(division, context.store.divisions_by_code(), context.tables)
    status = DivisionStatus(
        conditions=context.conditions(division, [verdict]), observed_generation=division.metadata.generation
    )
    await context.write_status(division, status)
    return None
