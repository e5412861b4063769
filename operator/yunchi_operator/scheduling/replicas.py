"""Reading a pod once for all its replicas: what placement needs to know of them is the same."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import Any, Final

import msgspec

from yunchi_operator.api.core import Pod, PodSpec
from yunchi_operator.api.sharing import POD_STATUS
from yunchi_operator.scheduling.facts import PodFacts, pod_facts

_SPEC: Final = tuple(one.name for one in msgspec.structs.fields(PodSpec) if one.name != "node_name")


class Replicas:
    """Remembers what it has read. Call it with each pod, all of which must live as long as it does.

    Two pods are alike when they hold the same values, and the very same objects where these have parts: reading from
    manifests keeps equal parts once. Pods that only look alike are read twice, which is right, too.
    """

    def __init__(self, most: int = sys.maxsize) -> None:
        """Remember at most so many readings; then start anew."""
        self._known: dict[tuple[Any, ...], PodFacts] = {}
        self._most = most

    def __call__(self, pod: Pod) -> PodFacts:
        """As ``pod_facts``.

        Raises:
            ValueError: a quantity cannot be read.
        """
        meta, spec = pod.metadata, pod.spec
        leaving = meta.deletion_timestamp is not None
        parts = [meta.labels, meta.annotations, meta.owner_references]
        parts += [getattr(pod.status, name) for name in POD_STATUS]
        seen = (meta.namespace, leaving, *map(_mark, parts))
        likeness = seen + tuple([_mark(getattr(spec, name)) for name in _SPEC])
        facts = self._known.get(likeness)
        if facts is None:
            if len(self._known) >= self._most:
                self._known.clear()
            facts = self._known[likeness] = pod_facts(pod)
            return facts
        return replace(facts, pod=pod, key=pod.key)


def _mark(value: object) -> object:
    """A scalar is itself; an object is known by where it is."""
    return value if value is None or isinstance(value, str | int) else id(value)
