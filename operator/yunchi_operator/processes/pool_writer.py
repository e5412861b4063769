"""Writes the status of NodePools, slowly and only where something changed."""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime

from yunchi_operator.api import names
from yunchi_operator.kube.apply import apply_status
from yunchi_operator.kube.client import ApiError, KubeClient
from yunchi_operator.scheduling.pool_status import observe, status_of
from yunchi_operator.scheduling.view import View

log = logging.getLogger(__name__)


class PoolWriter:
    """One pass over all pools per interval."""

    def __init__(self, client: KubeClient, view: View, interval_seconds: float) -> None:
        self._client = client
        self._view = view
        self._interval_seconds = interval_seconds

    async def run(self) -> None:
        """Write for ever; a failed write is tried again with the next pass."""
        while True:
            await self.write()
            await asyncio.sleep(self._interval_seconds)

    async def write(self) -> int:
        """One pass; returns how many statuses were written."""
        written = 0
        usages = observe(self._view.pools.values(), self._view.nodes.values(), self._view.ledger)
        for name, usage in usages.items():
            pool = self._view.pools.get(name)
            status = status_of(pool, usage, datetime.now(UTC)) if pool else None
            if pool is None or status is None:
                continue
            try:
                await apply_status(
                    self._client,
                    "NodePool",
                    "",
                    name,
                    status,
                    uid=pool.metadata.uid,
                    manager=names.FIELD_MANAGER_SCHEDULER,
                )
                written += 1
            except ApiError as error:
                log.warning("NodePool %s: status not written: %s", name, error)
        return written
