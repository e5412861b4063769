"""What happens to the placing when a scheduler process ends: in order, or without a word."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from controlplane.cluster import ControlPlane
from support import charts
from support.clusters import clean, node_manifest
from support.scheduler_process import make_nodes, node_of, ours, overcommitted, placed, pods_of, start_scheduler

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def plane(pool: ControlPlane) -> ControlPlane:
    clean(pool)
    charts.install(pool)
    return pool


def test_a_standby_takes_over_when_the_first_one_stops(plane: ControlPlane, namespace: str, tmp_path: Path) -> None:
    make_nodes(plane, node_manifest("only"))
    with (
        start_scheduler(plane, tmp_path, name="first") as leader,
        start_scheduler(plane, tmp_path, name="second", leading=False) as standby,
    ):
        assert standby.metric("yunchi_lease_held") == 0.0
        assert plane.create_many([ours("one", namespace)]) == []
        placed(plane, namespace, 1)
        assert standby.metric('yunchi_bind_total{result="bound"}') is None
        assert leader.stop() == 0
        standby.wait_leading()
        assert plane.create_many([ours("two", namespace)]) == []
        placed(plane, namespace, 2)
        assert standby.metric('yunchi_bind_total{result="bound"}') == 1.0
    plane.kubectl("delete", "nodes", "--all", timeout=120)


def test_killed_in_mid_storm_and_started_again_nothing_is_lost(
    plane: ControlPlane, namespace: str, tmp_path: Path
) -> None:
    make_nodes(plane, *(node_manifest(f"n-{n:02}", cpu="16") for n in range(40)))
    count = 800
    with start_scheduler(plane, tmp_path, name="doomed") as doomed:
        assert plane.create_many([ours(f"p-{n:04}", namespace, cpu="700m") for n in range(count)]) == []
        placed(plane, namespace, 50)
        doomed.kill()
    before = {pod["metadata"]["uid"]: node_of(pod) for pod in pods_of(plane, namespace)}
    with start_scheduler(plane, tmp_path, name="heir"):
        placed(plane, namespace, count)
    after = {pod["metadata"]["uid"]: node_of(pod) for pod in pods_of(plane, namespace)}
    assert set(after) == set(before)
    assert all(after[uid] == node for uid, node in before.items() if node)
    assert overcommitted(plane) == {}
    per_node = Counter(after.values())
    assert max(per_node.values()) == 22  # 22 times 700m in 16 cores
    assert len(per_node) <= 38  # 37 is the bound
    plane.kubectl("delete", "nodes", "--all", timeout=120)
