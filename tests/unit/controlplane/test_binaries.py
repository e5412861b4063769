"""The order in which binaries are looked for, with shell scripts in the place of binaries."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from controlplane import binaries
from controlplane.binaries import binaries_folder, ensure_binaries, ensure_tool, reported_version
from controlplane.errors import ControlPlaneError
from controlplane.storage import Progress, cache_root, exclusive, install
from controlplane.versions import TOOLS, Tool

HACK = Path(__file__).parents[3] / "hack"


def fake(path: Path, version: str, code: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\necho 'tool v{version}'\nexit {code}\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """An empty cache, no assets, and a build that writes scripts; the names of what was built."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("KUBEBUILDER_ASSETS", raising=False)
    names: list[str] = []

    def build(tool: Tool, go: Path, target: Path, progress: Progress) -> None:
        names.append(tool.name)
        fake(target, tool.version)

    monkeypatch.setattr(binaries, "build", build)
    monkeypatch.setattr(binaries, "find_go", lambda progress: Path("/nowhere/go"))
    return names


def silent(message: str) -> None:
    assert message


def test_an_empty_cache_is_filled_once_and_in_order(built: list[str]) -> None:
    first = ensure_binaries(silent)
    assert built == [tool.name for tool in TOOLS]
    assert built[:3] == ["etcd", "kube-apiserver", "kube-controller-manager"]
    assert ensure_binaries(silent) == first
    assert len(built) == len(TOOLS)
    assert all(path.parent == binaries_folder() for path in vars(first).values())


def test_assets_come_first_where_their_version_fits(
    built: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assets = tmp_path / "assets"
    fake(assets / "etcd", next(tool.version for tool in TOOLS if tool.name == "etcd"))
    fake(assets / "kubectl", "1.30.0")
    fake(assets / "kube-apiserver", "1.36.3", code=1)
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(assets))
    said: list[str] = []
    found = ensure_binaries(said.append)
    assert found.etcd == assets / "etcd"
    assert found.kubectl.parent == found.kube_apiserver.parent == binaries_folder()
    assert "etcd" not in built
    assert any("kubectl is 1.30.0, 1.36.3 is needed" in line for line in said)
    assert any("kube-apiserver is not runnable" in line for line in said)


def test_a_cached_binary_of_a_wrong_version_or_broken_is_built_again(built: list[str]) -> None:
    ensure_binaries(silent)
    fake(binaries_folder() / "kwok", "0.1.0")
    (binaries_folder() / "helm").write_bytes(b"\x7fELF cut short")
    built.clear()
    ensure_binaries(silent)
    assert built == ["kwok", "helm"]


def test_the_scratch_of_a_killed_build_goes(built: list[str]) -> None:
    left = cache_root() / ".build-left" / "log"
    left.parent.mkdir(parents=True)
    left.touch()
    ensure_binaries(silent)
    assert built
    assert not left.parent.exists()


def test_one_tool_alone(built: list[str]) -> None:
    assert ensure_tool("helm", silent) == binaries_folder() / "helm"
    promtool = ensure_tool("promtool", silent)
    assert built == ["helm", "promtool"]
    assert promtool.parent != binaries_folder()
    with pytest.raises(ControlPlaneError, match="no tool named 'hlem'"):
        ensure_tool("hlem", silent)


def test_a_build_of_the_wrong_version_is_not_kept(built: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert built == []
    monkeypatch.setattr(binaries, "build", lambda tool, go, target, progress: fake(target, "9.9.9"))
    with pytest.raises(ControlPlaneError, match=r"etcd was built but says it is 9\.9\.9"):
        ensure_binaries(silent)
    assert not (binaries_folder() / "etcd").exists()


def test_what_does_not_run_has_no_version(tmp_path: Path) -> None:
    assert reported_version(TOOLS[0], tmp_path / "missing") is None
    assert reported_version(TOOLS[0], fake(tmp_path / "failing", "1.2.3", code=2)) is None
    assert reported_version(TOOLS[0], fake(tmp_path / "fine", "1.2.3")) == "1.2.3"


def test_two_callers_build_once(tmp_path: Path) -> None:
    program = """
import sys, time; from pathlib import Path; from controlplane import binaries
def build(tool, go, target, progress):
    with open(sys.argv[1], "a") as log: log.write(tool.name + "\\n")
    time.sleep(0.05)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(f"#!/bin/sh\\necho {tool.version}\\n"); target.chmod(0o755)
binaries.build = build; binaries.find_go = lambda progress: Path("/nowhere/go")
binaries.ensure_binaries(lambda message: None)
"""
    log = tmp_path / "log"
    environment = os.environ | {"PYTHONPATH": str(HACK), "XDG_CACHE_HOME": str(tmp_path), "KUBEBUILDER_ASSETS": ""}
    callers = [subprocess.Popen([sys.executable, "-c", program, str(log)], env=environment) for _ in range(3)]
    assert [caller.wait(60) for caller in callers] == [0, 0, 0]
    assert sorted(log.read_text().split()) == sorted(tool.name for tool in TOOLS)


def test_a_held_lock_is_waited_for_and_told(tmp_path: Path) -> None:
    said: list[str] = []
    lock = tmp_path / "deep" / "lock"
    with (
        exclusive(lock, silent),
        pytest.raises(ControlPlaneError, match="end it and retry"),
        exclusive(lock, said.append, timeout=0.0),
    ):
        pytest.fail("two held the lock")
    with exclusive(lock, said.append, timeout=0.0):
        assert lock.exists()
    assert said == []


def test_waiting_for_a_lock_says_so(tmp_path: Path) -> None:
    said: list[str] = []
    with (
        exclusive(tmp_path / "lock", silent),
        pytest.raises(ControlPlaneError),
        exclusive(tmp_path / "lock", said.append, timeout=0.2),
    ):
        pytest.fail("two held the lock")
    assert len(said) == 1
    assert "waiting for another build" in said[0]


def test_an_installed_file_replaces_the_old_one_and_leaves_no_rest(tmp_path: Path) -> None:
    source, target = fake(tmp_path / "source", "2.0.0"), fake(tmp_path / "bin" / "tool", "1.0.0")
    install(source, target)
    assert target.read_text() == source.read_text()
    assert os.access(target, os.X_OK)
    with pytest.raises(FileNotFoundError):
        install(tmp_path / "missing", target)
    assert [path.name for path in target.parent.iterdir()] == ["tool"]
    assert target.read_text() == source.read_text()


def test_the_cache_follows_xdg(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_root() == tmp_path / "yunchi" / "controlplane"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert cache_root() == tmp_path / "home" / ".cache" / "yunchi" / "controlplane"
