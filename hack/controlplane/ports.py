"""Free loopback ports."""

import random
import socket

from controlplane.errors import ControlPlaneError

# Below the ports that the kernel gives to outgoing connections, so that none of those takes one between look and use.
_FIRST, _LAST = 20000, 32000
_TRIES = 500


def free_ports(count: int) -> list[int]:
    """Distinct ports on 127.0.0.1 that nobody listens on.

    Somebody else may still take one before it is used: whoever uses them retries with others.

    Args:
        count: How many.
    """
    held: list[socket.socket] = []
    try:
        for port in random.sample(range(_FIRST, _LAST), _TRIES):
            if len(held) == count:
                break
            probe = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                probe.close()
            else:
                held.append(probe)
        if len(held) < count:
            raise ControlPlaneError(f"No {count} free ports on 127.0.0.1 between {_FIRST} and {_LAST}")
        return [probe.getsockname()[1] for probe in held]
    finally:
        for probe in held:
            probe.close()
