"""CloudTenancy: its inventory is taken when it is due; a failed look says why and keeps the former inventory."""

from __future__ import annotations

import asyncio
import base64
import binascii
from typing import Any

import msgspec

from yunchi_operator.api.conditions import Verdict, timestamp
from yunchi_operator.api.kinds import CloudTenancy, CloudTenancyStatus, Inventory
from yunchi_operator.handlers.context import Context
from yunchi_operator.handlers.store import Key
from yunchi_operator.kube import paths
from yunchi_operator.kube.apply import read
from yunchi_operator.kube.client import ApiError
from yunchi_operator.kube.members import connect_member
from yunchi_operator.kube.observe import observe_cluster
from yunchi_operator.tenancy import hosts, kubeconfigs
from yunchi_operator.tenancy.inventories import of_hosts
from yunchi_operator.tenancy.observations import LookFailedError, bad, describe, due_in_seconds, good

LOOK_SECONDS = 30.0
"""Longest time for one look at a member cluster."""
RETRY_SECONDS = 30.0
"""After a failed look; sooner when the interval is shorter."""


async def reconcile(context: Context, key: Key) -> float | None:
    """Look at a cloud if that is due, and write what was seen.

    Returns:
        Seconds until the next look, or None when there is no such tenancy.
    """
    tenancy = context.store.tenancies.get(key)
    if tenancy is None or tenancy.metadata.deletion_timestamp is not None:
        return None
    wait_seconds = due_in_seconds(tenancy, context.now())
    if wait_seconds and context.store.divisions.named(tenancy.spec.division) is not None:
        return wait_seconds
    tenancy = await _say_pending(context, tenancy, key)
    try:
        inventory = await _look(context, tenancy)
    except LookFailedError as failure:
        verdicts = bad(failure, has_inventory=tenancy.status.inventory is not None)
        await _write(context, tenancy, verdicts, tenancy.status.inventory, tenancy.status.last_observed_time)
        return min(RETRY_SECONDS, tenancy.spec.interval_seconds)
    await _write(context, tenancy, good(inventory), inventory, timestamp(context.now()))
    return tenancy.spec.interval_seconds


async def _say_pending(context: Context, tenancy: CloudTenancy, key: Key) -> CloudTenancy:
    """Set ``Ready`` to Unknown before the first look: a member cluster may take its time."""
    if tenancy.status.conditions:
        return tenancy
    waiting = Verdict("Ready", "Unknown", "Pending", "the first look is under way")
    await _write(context, tenancy, [waiting], None, None)
    return context.store.tenancies.get(key) or tenancy


async def _write(
    context: Context,
    tenancy: CloudTenancy,
    verdicts: tuple[Verdict, ...] | list[Verdict],
    inventory: Inventory | None,
    observed: str | None,
) -> None:
    status = CloudTenancyStatus(
        conditions=context.conditions(tenancy, verdicts),
        observed_generation=tenancy.metadata.generation,
        last_observed_time=observed,
        inventory=inventory,
    )
    await context.write_status(tenancy, status)


async def _look(context: Context, tenancy: CloudTenancy) -> Inventory:
    spec = tenancy.spec
    if context.store.divisions.named(spec.division) is None:
        message = f"spec.division {spec.division}: there is no Division of that name; create it first"
        raise LookFailedError("DivisionNotFound", message)
    if (secret := spec.source.kubeconfig_secret_ref) is not None:
        return await _look_at_cluster(context, secret.name, secret.key)
    if (config := spec.source.host_list_config_map_ref) is not None:
        return await _read_host_list(context, config.name, config.key)
    raise LookFailedError("InvalidSource", "spec.source: name a kubeconfigSecretRef or a hostListConfigMapRef")


async def _read_host_list(context: Context, name: str, key: str) -> Inventory:
    where = f"ConfigMap {context.namespace}/{name}"
    text = await _value(context, "ConfigMap", name, key, "spec.source.hostListConfigMapRef")
    found, problems = hosts.parse(text)
    if problems:
        raise LookFailedError("InvalidHostList", f"{where}, key {key}: {describe(problems)}", "True")
    return of_hosts(found)


async def _look_at_cluster(context: Context, name: str, key: str) -> Inventory:
    where = f"Secret {context.namespace}/{name}, key {key}"
    encoded = await _value(context, "Secret", name, key, "spec.source.kubeconfigSecretRef")
    try:
        access = kubeconfigs.parse(base64.b64decode(encoded, validate=True).decode())
    except (kubeconfigs.KubeconfigError, binascii.Error, UnicodeDecodeError) as error:
        told = str(error) if isinstance(error, kubeconfigs.KubeconfigError) else "is no text"
        raise LookFailedError("BadKubeconfig", f"{where}: {told}") from None
    try:
        async with asyncio.timeout(LOOK_SECONDS), connect_member(access) as member:
            return await observe_cluster(member)
    except TimeoutError:
        message = f"{where}: {access.server} did not answer in {LOOK_SECONDS:g} s; check the address and the way there"
        raise LookFailedError("Unreachable", message, "False") from None
    except ApiError as error:
        raise _as_failure(error, where) from error
    except (ValueError, msgspec.MsgspecError) as error:
        message = f"{where}: {access.server} gave no list of nodes and pods ({error}); is it an API server?"
        raise LookFailedError("Unreachable", message, "False") from error


def _as_failure(error: ApiError, where: str) -> LookFailedError:
    if error.reason == "BadKubeconfig":
        return LookFailedError("BadKubeconfig", f"{where}: {error.message}")
    if error.status in (401, 403):
        message = f"{where}: {error.message}; the account needs the verb list on nodes and pods, cluster-wide"
        return LookFailedError("Forbidden", message, "True")
    message = f"{where}: {error.message}; check the address in it and the way there"
    return LookFailedError("Unreachable", message, "False")


async def _value(context: Context, kind: str, name: str, key: str, field: str) -> str:
    """One entry of a Secret (still in base64) or ConfigMap of the operator's own namespace."""
    live = await read(context.client, paths.builtin("v1", kind, context.namespace, name))
    if live is None:
        message = f"{field}.name {name}: there is no {kind} {context.namespace}/{name}; create it"
        raise LookFailedError(f"{kind}NotFound", message)
    data: dict[str, Any] = live.get("data") or {}
    if key not in data:
        there = ", ".join(sorted(data)[:10]) or "nothing"
        message = f"{field}.key {key}: {kind} {context.namespace}/{name} has no such key, it has {there}"
        raise LookFailedError("KeyNotFound", message)
    return str(data[key])
