"""The user's cache of built binaries: where it is, its lock, and installing into it without half-written files."""

import contextlib
import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from controlplane.errors import ControlPlaneError

Progress = Callable[[str], None]
HEARTBEAT_SECONDS = 15.0
_LOCK_TIMEOUT_SECONDS = 2 * 3600.0


def cache_root() -> Path:
    """Folder of everything this package caches for the user."""
    base = os.environ.get("XDG_CACHE_HOME")
    root = Path(base) if base and Path(base).is_absolute() else Path.home() / ".cache"
    return root / "yunchi" / "controlplane"


@contextlib.contextmanager
def exclusive(path: Path, progress: Progress, timeout: float = _LOCK_TIMEOUT_SECONDS) -> Iterator[None]:
    """Hold a file lock, telling the user now and then that somebody else has it.

    Args:
        path: The lock file; it is created and stays.
        progress: Told when waiting.
        timeout: Seconds after which waiting is given up.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as handle:
        _wait_for(handle.fileno(), path, progress, timeout)
        try:
            yield
        finally:
            fcntl.flock(handle.fileno(), fcntl.LOCK_UN)


def _wait_for(descriptor: int, path: Path, progress: Progress, timeout: float) -> None:
    started = time.monotonic()
    told = started - HEARTBEAT_SECONDS
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            now = time.monotonic()
            if now - started >= timeout:
                held = f"Another process has held {path} for {timeout:.0f} s"
                raise ControlPlaneError(f"{held}; end it and retry") from None
            if now - told >= HEARTBEAT_SECONDS:
                progress(f"waiting for another build to finish ({now - started:.0f} s)")
                told = now
            time.sleep(0.1)
        else:
            return


def install(source: Path, target: Path) -> None:
    """Put an executable in place in one step, so that nobody ever sees half of it.

    Args:
        source: The finished file, on any file system.
        target: Where it belongs.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}-")
    os.close(descriptor)
    temporary = Path(name)
    try:
        shutil.copyfile(source, temporary)
        temporary.chmod(0o755)
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


def remove_scratch() -> None:
    """Remove what builds that were killed left; call it with the cache's lock held."""
    for pattern in (".build-*", ".go-bin-*"):
        for path in cache_root().glob(pattern):
            shutil.rmtree(path, ignore_errors=True)
