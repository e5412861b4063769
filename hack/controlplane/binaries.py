"""Find the control plane's executables, or build and cache them."""

import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from controlplane.build import build
from controlplane.errors import ControlPlaneError
from controlplane.storage import Progress, cache_root, exclusive, remove_scratch
from controlplane.toolchain import find_go
from controlplane.versions import EXTRA_TOOLS, TOOLS, Tool, parse_version, pin_key

ASSETS_VARIABLE = "KUBEBUILDER_ASSETS"


@dataclass(frozen=True)
class Binaries:
    """Absolute paths of the executables of a control plane, each verified to be the pinned version."""

    etcd: Path
    kube_apiserver: Path
    kube_controller_manager: Path
    kube_scheduler: Path
    kubectl: Path
    kwok: Path
    helm: Path


def say(message: str) -> None:
    """Print progress to standard error at once, also where that is a file or a pipe.

    Args:
        message: One line.
    """
    print(f"controlplane: {message}", file=sys.stderr, flush=True)


def binaries_folder() -> Path:
    """The cache folder that holds the pinned binaries once they are built."""
    return cache_root() / pin_key(TOOLS)


def ensure_binaries(progress: Progress = say) -> Binaries:
    """Paths of all executables; what is missing is built, which takes minutes the first time.

    Args:
        progress: Told which binary is found where, and how a build goes.

    Raises:
        ControlPlaneError: A binary is missing and cannot be built; the message says why and what helps.
    """
    found = ensure_tools(TOOLS, progress)
    return Binaries(**{tool.name.replace("-", "_"): found[tool.name] for tool in TOOLS})


def ensure_tool(name: str, progress: Progress = say) -> Path:
    """Path of one executable, built if need be.

    Args:
        name: Such as `helm` or `promtool`.
        progress: Told how it goes.
    """
    for tools in (TOOLS, EXTRA_TOOLS):
        for tool in tools:
            if tool.name == name:
                return ensure_tools(tools, progress, only=name)[name]
    known = ", ".join(tool.name for tool in (*TOOLS, *EXTRA_TOOLS))
    raise ControlPlaneError(f"There is no tool named {name!r} here. Known: {known}")


def ensure_tools(tools: tuple[Tool, ...], progress: Progress, only: str | None = None) -> dict[str, Path]:
    """Executables by name: from KUBEBUILDER_ASSETS, then from the cache, then built.

    Args:
        tools: The tools that share a cache folder.
        progress: Told how it goes.
        only: Just this one of them.
    """
    folder = cache_root() / pin_key(tools)
    wanted = [tool for tool in tools if only in {None, tool.name}]
    found = _existing(wanted, folder, progress)
    missing = [tool for tool in wanted if tool.name not in found]
    if missing:
        with exclusive(cache_root() / "lock", progress):
            found |= _cached(missing, folder)  # another process may just have built them
            _build_all([tool for tool in missing if tool.name not in found], folder, progress)
            found |= {tool.name: folder / tool.name for tool in missing}
    return found


def reported_version(tool: Tool, path: Path) -> str | None:
    """The version an executable says it is, or None if it does not run.

    Args:
        tool: How to ask.
        path: The executable.
    """
    try:
        run = subprocess.run(
            [path, *tool.version_arguments],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            stdin=subprocess.DEVNULL,
            env=os.environ | {"KUBECONFIG": os.devnull},
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return parse_version(run.stdout or run.stderr) if run.returncode == 0 else None


def _existing(tools: list[Tool], folder: Path, progress: Progress) -> dict[str, Path]:
    found: dict[str, Path] = {}
    assets = os.environ.get(ASSETS_VARIABLE)
    if assets:
        found = _from_assets(tools, Path(assets), progress)
    return found | _cached([tool for tool in tools if tool.name not in found], folder)


def _from_assets(tools: list[Tool], assets: Path, progress: Progress) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for tool in tools:
        path = assets.absolute() / tool.name
        if not path.exists():
            continue
        version = reported_version(tool, path)
        if version == tool.version:
            found[tool.name] = path
        else:
            progress(f"{ASSETS_VARIABLE}: {path} is {version or 'not runnable'}, {tool.version} is needed: not used")
    return found


def _cached(tools: list[Tool], folder: Path) -> dict[str, Path]:
    present = [(tool, folder / tool.name) for tool in tools if os.access(folder / tool.name, os.X_OK)]
    with ThreadPoolExecutor(max_workers=8) as threads:
        versions = list(threads.map(lambda item: reported_version(*item), present))
    return {tool.name: path for (tool, path), version in zip(present, versions, strict=True) if version == tool.version}


def _build_all(tools: list[Tool], folder: Path, progress: Progress) -> None:
    if not tools:
        return
    started = time.monotonic()
    remove_scratch()
    progress(f"to build: {', '.join(tool.name for tool in tools)}; kept in {folder}")
    go = find_go(progress)
    for number, tool in enumerate(tools, 1):
        path = folder / tool.name
        build(tool, go, path, lambda message, number=number: progress(f"[{number}/{len(tools)}] {message}"))  # type: ignore[misc]
        version = reported_version(tool, path)
        if version != tool.version:
            path.unlink(missing_ok=True)
            raise ControlPlaneError(f"{tool.name} was built but says it is {version}, not {tool.version}")
    progress(f"all built in {time.monotonic() - started:.0f} s")
