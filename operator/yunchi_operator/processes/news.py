"""What the watches tell, noted: ledger, mirror and waiting room learn of it; nothing is decided here."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping

from yunchi_operator.api.core import Namespace, Node, Pod
from yunchi_operator.api.kinds import NodePool
from yunchi_operator.api.names import SCHEDULER_NAME
from yunchi_operator.kube.binding import Target
from yunchi_operator.kube.narrator import Narrator, Note
from yunchi_operator.processes.preemptor import Preemptor
from yunchi_operator.processes.volume_binder import VolumeBinder
from yunchi_operator.processes.waiting_room import WaitingRoom
from yunchi_operator.scheduling import cycle
from yunchi_operator.scheduling.claims_to_room import too_many
from yunchi_operator.scheduling.mirror import Mirror
from yunchi_operator.scheduling.nodes import allocatable
from yunchi_operator.scheduling.stating import PodGroup
from yunchi_operator.scheduling.view import View, is_ours
from yunchi_operator.scheduling.wakeups import NodeCame, PodCame, PodLeft, RulesChanged, StorageChanged

log = logging.getLogger(__name__)

LATELY_SECONDS = 10.0
"""In which two schedulers can have chosen the same room without knowing."""


class News:
    """Handlers for the reflectors; ``volume_binder`` and ``preemptor`` are set before the watches start."""

    def __init__(
        self, view: View, *, room: WaitingRoom, mirror: Mirror, narrator: Narrator, now: Callable[[], float]
    ) -> None:
        self.volume_binder: VolumeBinder
        self.preemptor: Preemptor
        self._view = view
        self._room = room
        self._mirror = mirror
        self._narrator = narrator
        self._now = now
        self._lately: dict[str, float] = {}  # bound by us, and when

    def on_node(self, key: str, old: Node | None, new: Node | None) -> None:
        """A node came, changed or went."""
        del key
        if not cycle.node_differs(old, new):
            return
        self._mirror.touch_nodes()
        if new is not None and cycle.node_may_help(old, new):
            self._room.wake(NodeCame(new))

    def on_pod(self, key: str, old: Pod | None, new: Pod | None) -> None:
        """A pod came, changed, was bound, finished or went; finished ones leave the selected set."""
        if new is None or (old is not None and old.metadata.uid != new.metadata.uid):
            self._forget(key)
        if new is None:
            return
        if new.spec.node_name:
            self._seated(key, new)
        elif is_ours(new):
            self._waiting(key, new)
            if old is not None and (old.spec, old.metadata.labels) != (new.spec, new.metadata.labels):
                self._room.wake_one(key)
        else:
            self._forget(key)

    def on_namespace(self, key: str, old: Namespace | None, new: Namespace | None) -> None:
        """A namespace's labels came or changed: rules about neighbours may read differently now."""
        del key
        before, after = (one.metadata.labels if one else {} for one in (old, new))
        if before != after:
            self._mirror.reset()
            self._room.wake(RulesChanged())

    def on_pool(self, key: str, old: NodePool | None, new: NodePool | None) -> None:
        """A pool's nodes or their cost may have changed; its status, which we write, does not matter."""
        del key
        if old is None or new is None or old.spec != new.spec:
            self._mirror.touch_nodes()

    def on_storage(self, key: str, old: object, new: object) -> None:
        """A claim, a volume or anything else of storage came, changed or went."""
        del key, old
        self.volume_binder.review()
        if new is not None:
            self._room.wake(StorageChanged())

    def on_pod_group(self, key: str, old: PodGroup | None, new: PodGroup | None) -> None:
        """A PodGroup came, changed or went: its members' gang is another."""
        del key
        if old is None or new is None or old.spec != new.spec:
            self._mirror.reset()
            for pod in self._view.pods.values():
                if pod.spec.scheduling_group is not None and pod.key in self._room:
                    self._room.add(pod)
            self._room.wake(RulesChanged())

    def on_bound_by_us(self, key: str) -> None:
        """A binding of ours was done; the watch will show it, too."""
        self._lately[key] = self._now()

    def tidy(self) -> None:
        """Forget what is long past."""
        horizon = self._now() - LATELY_SECONDS
        self._lately = {key: at for key, at in self._lately.items() if at > horizon}

    def leave(self, key: str) -> None:
        """A pod takes no room any more, or never did: others may have it."""
        self._mirror.touch(key)
        self.volume_binder.forget(key)
        node = self._view.ledger.leave(key)
        if node is not None:
            self._room.wake(PodLeft(self._free(node)))

    def _seated(self, key: str, pod: Pod) -> None:
        try:
            load = self._view.load_of(pod)
        except ValueError as error:
            log.error("%s", error)  # noqa: TRY400 - the API server lets no such pod in
            return
        if self._view.ledger.seat_of(key) not in {None, pod.spec.node_name}:
            log.warning("%s: bound to %s by somebody else", key, pod.spec.node_name)
        self._mirror.touch(key)
        if self._view.ledger.confirm(key, pod.spec.node_name, load):
            self._room.wake(PodCame())
            self._look_for_excess(pod)
        if key in self._room:
            self._settle(key)

    def _look_for_excess(self, pod: Pod) -> None:
        """Another scheduler may have bound a pod to the room that we were giving away."""
        if pod.spec.scheduler_name != SCHEDULER_NAME:
            victims = too_many(self._view, pod.spec.node_name, self._lately)
            self.preemptor.take_back(victims, pod.spec.node_name, pod.key)

    def _waiting(self, key: str, pod: Pod) -> None:
        self._room.add(pod)
        if pod.status.nominated_node_name and key not in self._view.nominations:
            self._view.nominations[key] = pod.status.nominated_node_name  # a predecessor of ours was making room
            self._mirror.touch(key)
        if pod.spec.scheduling_gates:
            target = Target(pod.metadata.namespace, pod.metadata.name, pod.metadata.uid, "")
            text = "Scheduling is blocked due to non-empty scheduling gates"
            self._narrator.unschedulable(Note(target, "SchedulingGated", text))

    def _forget(self, key: str) -> None:
        """A pod is gone: its room may be what others wait for."""
        self._settle(key)
        self._view.facts.forget(key)
        self.leave(key)

    def _settle(self, key: str) -> None:
        self._room.remove(key)
        self._narrator.forget(key)
        self.preemptor.settle(key)

    def _free(self, name: str) -> Mapping[str, int]:
        node = self._view.nodes.get(name)
        taken = self._view.ledger.requested(name)
        return {r: amount - taken.get(r, 0) for r, amount in allocatable(node).items()} if node else {}
