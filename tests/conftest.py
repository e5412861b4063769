"""Fixtures for every test; the control planes are real ones (see `hack/controlplane`)."""

import itertools
import os
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from controlplane.binaries import Binaries
from controlplane.cluster import DEFAULT_COMPONENTS, ControlPlane, start_control_plane
from support.clusters import CLUSTER_FIXTURES, PREPARED, clean, give_up, prepare_binaries

ControlPlaneFactory = Callable[..., ControlPlane]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        used = CLUSTER_FIXTURES.intersection(getattr(item, "fixturenames", ()))
        if used and item.get_closest_marker("cluster") is None:
            raise pytest.UsageError(f"{item.nodeid} uses {', '.join(sorted(used))}: mark it with pytest.mark.cluster")


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> None:
    """Build before the first test, not within it, where its timeout would run."""
    if session.config.option.collectonly or session.testsfailed:
        return
    if any(CLUSTER_FIXTURES.intersection(getattr(item, "fixturenames", ())) for item in session.items):
        reporter = session.config.pluginmanager.get_plugin("terminalreporter")
        session.config.stash[PREPARED] = prepare_binaries(reporter.write_line if reporter else print)


@pytest.fixture(scope="session", autouse=True)
def _no_foreign_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Whatever a test forgets, it never meets the cluster of the person who runs it."""
    home = tmp_path_factory.mktemp("kube")
    empty = home / "none.kubeconfig"
    empty.write_text("apiVersion: v1\nkind: Config\n", encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KUBECONFIG", str(empty))
        patch.setenv("KUBECACHEDIR", str(home / "cache"))
        for variable in ("HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME"):
            patch.setenv(variable, str(home / variable.lower()))
        patch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
        patch.delenv("KUBERNETES_SERVICE_PORT", raising=False)
        yield


@pytest.fixture(scope="session")
def binaries(request: pytest.FixtureRequest) -> Binaries:
    """The pinned executables; without them the tests that need them skip (with CI=true: fail)."""
    prepared = request.config.stash.get(PREPARED, "the binaries were not prepared")
    if isinstance(prepared, str):
        give_up(prepared)
    assert isinstance(prepared, Binaries)
    return prepared


@pytest.fixture(scope="session")
def pool(binaries: Binaries, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """The control plane that all tests share; it runs no kube-scheduler."""
    with start_control_plane(binaries, tmp_path_factory.mktemp("pool"), name="pool") as plane:
        yield plane
    shutil.rmtree(plane.folder / "data")


@pytest.fixture
def clean_pool(pool: ControlPlane) -> ControlPlane:
    """The shared control plane without nodes, pods and namespaces of earlier tests."""
    clean(pool)
    return pool


@pytest.fixture
def namespace(pool: ControlPlane, request: pytest.FixtureRequest) -> Iterator[str]:
    """A namespace of the shared control plane for this test alone."""
    stem = re.sub(r"[^a-z0-9]+", "-", request.node.name.lower()).strip("-")[:40].strip("-")
    name = f"{stem}-{os.urandom(3).hex()}"
    pool.create_namespace(name)
    yield name
    pool.kubectl("delete", "namespace", name, "--wait=false")


@pytest.fixture
def control_plane_factory(binaries: Binaries, tmp_path: Path) -> Iterator[ControlPlaneFactory]:
    """Makes control planes of the test's own: `factory(name="east", components=...)`; all stop at its end."""
    started: list[ControlPlane] = []
    numbers = itertools.count(1)

    def make(name: str | None = None, components: tuple[str, ...] = DEFAULT_COMPONENTS) -> ControlPlane:
        chosen = name or f"plane-{next(numbers)}"
        plane = start_control_plane(binaries, tmp_path / chosen, name=chosen, components=components)
        started.append(plane)
        return plane

    yield make
    for plane in started:
        plane.stop()
        shutil.rmtree(plane.folder / "data", ignore_errors=True)
