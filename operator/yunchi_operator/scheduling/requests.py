"""What a pod takes on a node, computed as kube-scheduler 1.36 computes it, in the engine's integers.

Also applies the API server's defaults (a missing request is the limit), so that a manifest that never saw an API
server counts the same as the object that it would become.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from yunchi_operator.api.core import Container, ContainerStatus, Pod, Quantities, Resources
from yunchi_operator.api.quantities import scaled_list

Amounts = dict[str, int]


def pod_requests(pod: Pod) -> Amounts:
    """Effective requests by resource, ``pods: 1`` included; millicores for cpu, whole units otherwise.

    Raises:
        ValueError: a quantity cannot be read; the message names pod, container and resource.
    """
    if _is_plain(pod):
        amounts = _container_requests(pod, pod.spec.containers[0].resources)
    else:
        amounts = _container_total(pod)
        amounts.update(_pod_level(pod, amounts))
        _add(amounts, _read(pod, "overhead", pod.spec.overhead))
    amounts["pods"] = 1
    return {resource: amount for resource, amount in amounts.items() if amount}


def supports_pod_level(resource: str) -> bool:
    """Whether a pod may ask for this resource as a whole, instead of per container."""
    return resource in ("cpu", "memory") or resource.startswith("hugepages-")


def _is_plain(pod: Pod) -> bool:
    """One container and nothing else: most pods, and they are many."""
    spec, status = pod.spec, pod.status
    return (
        len(spec.containers) == 1
        and not spec.init_containers
        and not spec.overhead
        and not spec.resources.requests
        and not spec.resources.limits
        and not any(one.resources for one in status.container_statuses)
    )


def _container_total(pod: Pod) -> Amounts:
    """Sum of containers and sidecars, or the largest moment of the start-up, whichever is more, per resource.

    The i-th init container runs beside all sidecars that stand before it.
    """
    total: Amounts = {}
    for _, asked in _effective(pod, pod.spec.containers, pod.status.container_statuses):
        _add(total, asked)
    sidecars: Amounts = {}
    start_up: Amounts = {}
    sidecar_names = {one.name for one in pod.spec.init_containers if one.restart_policy == "Always"}
    running = [status for status in pod.status.init_container_statuses if status.name in sidecar_names]
    for container, asked in _effective(pod, pod.spec.init_containers, running):
        if container.restart_policy == "Always":
            _add(total, asked)
            _add(sidecars, asked)
            _raise_to(start_up, sidecars)
        else:
            moment = dict(asked)
            _add(moment, sidecars)
            _raise_to(start_up, moment)
    _raise_to(total, start_up)
    return total


def _effective(
    pod: Pod, containers: Iterable[Container], statuses: Iterable[ContainerStatus]
) -> list[tuple[Container, Amounts]]:
    """Each container with its requests; a resize under way counts with the larger amounts."""
    by_name = {status.name: status for status in statuses if status.resources is not None}
    found = []
    for container in containers:
        asked = _container_requests(pod, container.resources, container.name)
        status = by_name.get(container.name)
        if status is not None and status.resources is not None:
            asked = _resized(pod, asked, status.resources, status.allocated_resources)
        found.append((container, asked))
    return found


def _resized(pod: Pod, asked: Amounts, actual: Resources, allocated: Quantities) -> Amounts:
    """The larger of asked, actuated and allocated; an infeasible resize will never happen, so asked is left out."""
    infeasible = any(c.type == "PodResizePending" and c.reason == "Infeasible" for c in pod.status.conditions)
    amounts = {} if infeasible else dict(asked)
    _raise_to(amounts, _read(pod, "status.resources.requests", actual.requests))
    _raise_to(amounts, _read(pod, "status.allocatedResources", allocated))
    return amounts


def _container_requests(pod: Pod, resources: Resources, name: str = "") -> Amounts:
    """Requests with the API server's default: a resource with only a limit asks for the limit."""
    if resources.limits:
        return _read(pod, f"container {name}" if name else "container", {**resources.limits, **resources.requests})
    return _read(pod, f"container {name}" if name else "container", resources.requests)


def _pod_level(pod: Pod, containers: Amounts) -> Amounts:
    """Requests of the pod as a whole, defaulted as the API server does; empty when it sets none."""
    resources = pod.spec.resources
    asked = {r: amount for r, amount in _read(pod, "resources", resources.requests).items() if supports_pod_level(r)}
    if resources.limits:
        for resource, amount in containers.items():
            if resource in ("cpu", "memory"):
                asked.setdefault(resource, amount)
        for resource, amount in _read(pod, "resources", resources.limits).items():
            if supports_pod_level(resource):
                asked.setdefault(resource, amount)
    if asked and pod.status.resources is not None:
        resized = _resized(pod, asked, pod.status.resources, pod.status.allocated_resources)
        asked = {resource: resized.get(resource, 0) for resource in asked}
    return asked


def _read(pod: Pod, where: str, quantities: Quantities) -> Amounts:
    try:
        return scaled_list(quantities)
    except ValueError as error:
        raise ValueError(f"pod {pod.key}: {where}: {error}") from error


def _add(total: Amounts, more: Mapping[str, int]) -> None:
    for resource, amount in more.items():
        total[resource] = total.get(resource, 0) + amount


def _raise_to(total: Amounts, least: Mapping[str, int]) -> None:
    for resource, amount in least.items():
        if amount > total.get(resource, 0):
            total[resource] = amount
