"""Between choosing a node and binding the pod: its claims get volumes there, and are waited for.

Meanwhile the pod counts on its node. The volume controller and the provisioners do the binding; this only writes the
choice, and watches what becomes of it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from yunchi_operator.api.core import Pod
from yunchi_operator.kube.binding import Target
from yunchi_operator.kube.claims import SELECTED_NODE, prebind, select_node
from yunchi_operator.kube.client import ApiError, KubeClient
from yunchi_operator.scheduling.volume_claims import prebinding
from yunchi_operator.scheduling.volume_uses import is_bound
from yunchi_operator.scheduling.volumes import Storage, VolumeVerdict

log = logging.getLogger(__name__)

BOUND_WITHIN_SECONDS = 600.0
"""kube-scheduler's own patience."""


@dataclass(slots=True)
class _Waiting:
    """A pod whose claims are on the way; ``seen`` are those that were seen to ask for the node."""

    target: Target
    pod: Pod
    verdict: VolumeVerdict
    chosen: Mapping[str, str] = field(default_factory=dict)
    written: bool = False
    seen: set[str] = field(default_factory=set)


class VolumeBinder:
    """The pods that wait for their volumes.

    Args:
        client: connection to the API server.
        storage: live stores.
        ready: called when all claims of a pod are bound.
        failed: called with a pod's key and the reason when they will not be: place it anew.
        allowed: asked before each write; while false nothing is sent (the Lease may be another's).
    """

    def __init__(
        self,
        client: KubeClient,
        storage: Storage,
        *,
        ready: Callable[[Target], None],
        failed: Callable[[str, str], None],
        allowed: Callable[[], bool] = lambda: True,
    ) -> None:
        self._client = client
        self._storage = storage
        self._ready = ready
        self._failed = failed
        self._allowed = allowed
        self._waiting: dict[str, _Waiting] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, target: Target, pod: Pod, verdict: VolumeVerdict, labels: Mapping[str, str]) -> None:
        """Write the choice for a pod's claims on a node with these labels; answers come by the callbacks."""
        taken = frozenset(volume for one in self._waiting.values() for volume in one.chosen.values())
        chosen = self._storage.choose(pod, target.node, labels, taken)
        if chosen is None:
            self._failed(target.key, "its volumes have been taken by others")
            return
        self._waiting[target.key] = _Waiting(target, pod, verdict, chosen, seen=set(verdict.waits))
        task = asyncio.create_task(self._write(self._waiting[target.key]), name=f"volumes of {target.key}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def forget(self, key: str) -> None:
        """A pod is gone, or is placed anew; unknown ones are fine."""
        self._waiting.pop(key, None)

    def review(self) -> None:
        """Look at the claims again: something about storage has changed."""
        for one in list(self._waiting.values()):
            self._look_at(one)

    def stop(self) -> None:
        """Write no more."""
        for task in self._tasks:
            task.cancel()

    async def _write(self, one: _Waiting) -> None:
        try:
            for claim, volume in one.chosen.items():
                if not self._allowed():
                    return
                known = self._storage.volumes[volume]
                patch = prebinding(self._storage.claims[claim], known)
                await prebind(self._client, volume, known.metadata.resource_version, patch)
            for claim in one.verdict.to_select:
                if claim not in one.chosen and self._allowed():
                    await select_node(self._client, claim, one.target.node)
        except (ApiError, KeyError) as error:
            if self._waiting.get(one.target.key) is one:
                self._give_up(one, f"its volumes could not be asked for: {error}")
            return
        one.written = True
        self._look_at(one)

    def _look_at(self, one: _Waiting) -> None:
        key = one.target.key
        if not one.written or self._waiting.get(key) is not one:
            return
        claims = {*one.verdict.to_select, *one.verdict.waits, *one.chosen}
        states = {claim: self._storage.claims.get(claim) for claim in claims}
        if any(claim is None for claim in states.values()):
            self._give_up(one, "a claim of it is gone")
        elif all(claim is not None and is_bound(claim) for claim in states.values()):
            del self._waiting[key]
            self._ready(one.target)
        elif lost := self._taken_back(one):
            self._give_up(one, f"no volume could be made on {one.target.node} for claim {lost}")

    def _taken_back(self, one: _Waiting) -> str:
        """A claim whose provisioner has given up on the node, or "". Our own write may not be seen yet."""
        for claim in (*one.verdict.waits, *one.verdict.to_select):
            asks = SELECTED_NODE in self._storage.claims[claim].metadata.annotations
            if asks:
                one.seen.add(claim)
            elif claim in one.seen and not is_bound(self._storage.claims[claim]):
                return claim
        return ""

    def _give_up(self, one: _Waiting, why: str) -> None:
        del self._waiting[one.target.key]
        self._failed(one.target.key, why)
