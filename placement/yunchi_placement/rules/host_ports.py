"""Host ports, stated as anti-affinity by host: two items conflict if protocol and port agree and the IPs overlap."""

from __future__ import annotations

from collections.abc import Iterable

from yunchi_placement.problem import HostPort

PREFIX = "host-port/"
ALL = "0.0.0.0"  # noqa: S104 - Kubernetes' name for all addresses; nothing listens here
Names = frozenset[str]


def port_groups(ports: Iterable[HostPort]) -> tuple[Names, Names]:
    """Groups and avoided groups that say the same as the ports.

    Everyone on a port is in its group `any`; who takes all addresses avoids `any`, who takes one address avoids
    that address and those who take all.
    """
    groups: set[str] = set()
    avoids: set[str] = set()
    for port in ports:
        base = f"{PREFIX}{port.protocol}/{port.port}/"
        ip = port.ip or ALL
        groups |= {f"{base}any", f"{base}{ip}"}
        avoids |= {f"{base}any"} if ip == ALL else {f"{base}{ip}", f"{base}{ALL}"}
    return frozenset(groups), frozenset(avoids)
