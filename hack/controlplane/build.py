"""Compile one pinned tool with Go, with a heartbeat, a timeout and a readable failure."""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

from controlplane.errors import ControlPlaneError
from controlplane.storage import HEARTBEAT_SECONDS, Progress, cache_root, install
from controlplane.versions import GO_FOLDER, Tool

_TIMEOUT_VARIABLE = "YUNCHI_BUILD_TIMEOUT"
_TIMEOUT_SECONDS = 3600.0
_TAIL_LINES = 20


def build(tool: Tool, go: Path, target: Path, progress: Progress) -> None:
    """Build a tool and install it.

    Args:
        tool: What to build.
        go: The Go command.
        target: Where the executable belongs.
        progress: Told when the build starts, goes on and ends.

    Raises:
        ControlPlaneError: The build failed or took too long; the message holds the end of the compiler's output.
    """
    root = cache_root()
    root.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    progress(f"{tool.name} {tool.version}: building (a first build takes minutes)")
    with tempfile.TemporaryDirectory(dir=root, prefix=".build-") as name:
        scratch = Path(name)
        for file in ("go.mod", "go.sum"):
            shutil.copyfile(GO_FOLDER / tool.folder / file, scratch / file)
        log = scratch / "log"
        with log.open("wb") as output:
            compiler = subprocess.Popen(
                _command(tool, go, scratch),
                cwd=scratch,
                env=_environment(go),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            _watch(compiler, tool, started, progress)
        if compiler.returncode:
            raise ControlPlaneError(_failure(tool, log))
        install(scratch / tool.name, target)
    progress(f"{tool.name} {tool.version}: built in {time.monotonic() - started:.0f} s")


def _command(tool: Tool, go: Path, scratch: Path) -> list[str]:
    output = str(scratch / tool.name)
    return [str(go), "build", "-trimpath", "-ldflags", tool.linker_flags, "-o", output, tool.package]


def _environment(go: Path) -> dict[str, str]:
    ignored = {"GOOS", "GOARCH", "GOEXPERIMENT", "GOROOT", "GOBIN"}
    kept = {key: value for key, value in os.environ.items() if key not in ignored}
    path = f"{go.parent}{os.pathsep}{kept.get('PATH', os.defpath)}"
    flags = "-mod=readonly -buildvcs=false"
    return kept | {"CGO_ENABLED": "0", "GOFLAGS": flags, "GOWORK": "off", "GOTOOLCHAIN": "local", "PATH": path}


def _watch(compiler: subprocess.Popen[bytes], tool: Tool, started: float, progress: Progress) -> None:
    limit = float(os.environ.get(_TIMEOUT_VARIABLE, _TIMEOUT_SECONDS))
    try:
        while True:
            try:
                compiler.wait(max(0.0, min(HEARTBEAT_SECONDS, started + limit - time.monotonic())))
            except subprocess.TimeoutExpired:
                elapsed = time.monotonic() - started
                if elapsed >= limit:
                    raise ControlPlaneError(
                        f"{tool.name}: the build took more than {limit:.0f} s. "
                        f"Give it longer with {_TIMEOUT_VARIABLE}=SECONDS; what was compiled so far is kept by Go"
                    ) from None
                progress(f"{tool.name} {tool.version}: still building ({elapsed:.0f} s)")
            else:
                return
    finally:
        if compiler.poll() is None:
            os.killpg(compiler.pid, signal.SIGKILL)
            compiler.wait()


def _failure(tool: Tool, log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    tail = "\n".join(lines[-_TAIL_LINES:])
    text = tail.lower()
    if "no space left" in text:
        remedy = "The disk is full: Go's caches need about 8 GiB (see `go env GOCACHE GOMODCACHE`)."
    elif any(sign in text for sign in ("dial tcp", "timeout", "connection refused", "no such host", "proxyconnect")):
        remedy = "Go could not download the modules: check the network, or set GOPROXY to a module proxy you can reach."
    else:
        remedy = "Fix what the compiler says and retry; `go clean -modcache` helps after a broken download."
    return f"Building {tool.name} {tool.version} failed:\n{tail}\n{remedy}"
