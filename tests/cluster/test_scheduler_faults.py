"""The scheduler process under kill -9, stopped clocks, a control plane that goes away and a network that lies.

After each: every pod is on one node for good, or waits and is told why; none is lost, and no node is too full.
"""

from __future__ import annotations

import itertools
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from controlplane.cluster import ControlPlane
from support import charts
from support.clusters import clean, wait_until
from support.fault_proxy import FaultProxy, Profile
from support.scheduler_process import ours
from support.storms import BRISK, HASTY, PATIENT, Keeper, Storm, StormScheduler, account

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(150)]

TOO_LARGE = "1000"


@pytest.fixture(scope="module")
def plane(pool: ControlPlane) -> ControlPlane:
    clean(pool)
    charts.install(pool)
    return pool


@pytest.fixture(autouse=True)
def _free_lease(plane: ControlPlane) -> Iterator[None]:
    """A scheduler that was killed leaves its Lease to the next test, which need not wait for it."""
    yield
    plane.request("DELETE", f"/apis/coordination.k8s.io/v1/namespaces/{charts.NAMESPACE}/leases/yunchi-scheduler")


def through(
    plane: ControlPlane, proxy: FaultProxy, folder: Path, name: str, *options: str, **settings: tuple[float, ...]
) -> StormScheduler:
    kubeconfig = proxy.kubeconfig(account(plane), folder / f"{name}.kubeconfig")
    return StormScheduler(plane, folder, name, *options, kubeconfig=kubeconfig, **settings)  # type: ignore[arg-type]


def kept(plane: ControlPlane, folder: Path, lease: tuple[float, float, float], replicas: int = 1) -> Keeper:
    return Keeper(lambda name: StormScheduler(plane, folder, name, lease=lease), replicas)


@pytest.mark.timeout(300)
def test_killed_twenty_times_in_one_storm(plane: ControlPlane, namespace: str, tmp_path: Path) -> None:
    chance = random.Random(20261121)
    with Storm(plane, namespace, nodes=92) as storm, kept(plane, tmp_path, HASTY, replicas=2) as keeper:
        keeper.leader()
        storm.create(5, TOO_LARGE, "large")
        storm.create(400, "700m", "first")
        wait_until(lambda: len(storm.witness.pods) > 100, "the storm")
        for kill in range(20):
            leader = keeper.leader()
            storm.create(80, "700m", f"more-{kill}")  # it never runs dry
            if chance.random() < 0.5:
                time.sleep(chance.uniform(0.0, 0.6))
            else:
                more = storm.witness.bound + chance.randint(1, 120)
                wait_until(lambda: storm.witness.bound >= more or leader.ended, "some bindings", 10.0)  # noqa: B023
            assert storm.witness.bound < len(storm.expected) - 5
            if kill == 10:
                leader.stop()
            else:
                leader.kill()
            keeper.tend()
        storm.settle(pending=5, timeout=60.0)
        assert len(storm.expected) == 2005
        assert keeper.starts >= 22
        assert len({pod.node for pod in storm.witness.pods.values() if pod.node}) <= 92


def test_a_leader_that_was_stopped_beyond_its_lease_binds_nothing_more(
    plane: ControlPlane, namespace: str, tmp_path: Path
) -> None:
    with (
        Storm(plane, namespace, nodes=19) as storm,
        FaultProxy(plane, Profile(delay=(0.2, 0.4))) as former_way,
        FaultProxy(plane) as heir_way,
        through(plane, former_way, tmp_path, "former", lease=BRISK) as former,
    ):
        former.wait_leading()
        with through(plane, heir_way, tmp_path, "heir", lease=BRISK) as heir:
            storm.create(400, "700m")
            storm.wait_bound(50)
            former.process.send_signal(signal.SIGSTOP)
            wait_until(lambda: heir.leads, "the heir to lead", 15.0)
            storm.wait_bound(300)
            former.process.send_signal(signal.SIGCONT)
            resumed = time.monotonic()
            assert former.process.wait(10) == 1
            storm.settle()
            late = [call for call in former_way.calls if call.at > resumed and call.method != "GET"]
            assert [call.path for call in late if call.is_binding] == []
            assert "yunchi-scheduler lost" in former.log.read_text()
            taken = min(call.at for call in heir_way.bindings)
            assert max(call.at for call in former_way.bindings) < taken
            assert len(former_way.bindings) < 400


def test_a_standby_binds_the_rest_after_kill_9_of_the_leader(
    plane: ControlPlane, namespace: str, tmp_path: Path
) -> None:
    with (
        Storm(plane, namespace, nodes=19) as storm,
        FaultProxy(plane, Profile(delay=(0.1, 0.3))) as way,
        through(plane, way, tmp_path, "doomed", lease=BRISK) as doomed,
    ):
        doomed.wait_leading()
        with StormScheduler(plane, tmp_path, "heir", lease=BRISK) as heir:
            storm.create(400, "700m")
            storm.wait_bound(50)
            doomed.kill()
            assert heir.metric('yunchi_bind_total{result="bound"}') is None
            storm.settle()
            assert (heir.metric('yunchi_bind_total{result="bound"}') or 0) >= 100


def test_etcd_and_api_server_are_killed_and_come_back(plane: ControlPlane, namespace: str, tmp_path: Path) -> None:
    with Storm(plane, namespace, nodes=37) as storm, kept(plane, tmp_path, PATIENT) as keeper:
        keeper.leader()
        storm.create(800, "700m")
        storm.wait_bound(60)
        for part in ("etcd", "kube-apiserver"):
            plane.processes[part].kill()
        assert storm.witness.bound < 800
        time.sleep(1.0)
        for part in ("etcd", "kube-apiserver"):
            plane.restart(part)
        wait_until(lambda: keeper.leader() and storm.witness.bound >= 800, "the rest", 40.0)
        storm.settle()


def test_a_leader_gives_up_when_it_cannot_renew_and_its_successor_goes_on(
    plane: ControlPlane, namespace: str, tmp_path: Path
) -> None:
    with Storm(plane, namespace, nodes=19) as storm, kept(plane, tmp_path, BRISK) as keeper:
        leader = keeper.leader()
        storm.create(400, "700m")
        storm.wait_bound(40)
        plane.processes["kube-apiserver"].kill()
        assert wait_until(lambda: leader.ended, "the leader to give up its Lease", 10.0)
        assert leader.process.returncode == 1
        assert "yunchi-scheduler lost" in leader.log.read_text()
        plane.restart("kube-apiserver")
        keeper.leader()
        storm.settle()


def test_the_solver_is_killed_and_hangs(plane: ControlPlane, namespace: str, tmp_path: Path) -> None:
    chance = random.Random(4)
    with (
        Storm(plane, namespace, nodes=28) as storm,
        StormScheduler(plane, tmp_path, "scheduler", "--solve-timeout", "2") as scheduler,
    ):
        scheduler.wait_leading()
        ended: set[int] = set()
        for wave in range(6):
            storm.create(80, "700m", f"wave-{wave}")
            worker = wait_until(lambda: {scheduler.worker} - {None} - ended, "a solver", 10.0).pop()
            time.sleep(chance.uniform(0.0, 0.4))
            os.kill(worker, signal.SIGKILL)
            ended.add(worker)
        storm.settle()
        died = scheduler.metric('yunchi_solve_total{objective="cost",status="died"}')
        assert died, "no solver was killed at work"
        storm.create(1, "100m", "wake")
        storm.settle()
        worker = wait_until(lambda: scheduler.worker, "a solver", 10.0)
        os.kill(worker, signal.SIGSTOP)
        started = time.monotonic()
        storm.create(100, "700m", "hung")
        storm.settle()
        assert time.monotonic() - started < 10.0
        assert scheduler.metric('yunchi_solve_total{objective="cost",status="timeout"}') == 1.0
        assert not Path(f"/proc/{worker}").exists()
        storm.create(5, TOO_LARGE, "large")
        storm.settle(pending=5)
        assert not scheduler.ended


PROFILES = {
    "slow": Profile(delay=(0.0, 0.8), watch_life=(2.0, 4.0)),
    "broken before": Profile(drop_before=0.15, delay=(0.0, 0.05), watch_life=(0.5, 2.0)),
    "done though it looked broken": Profile(drop_after=0.4, watch_life=(0.5, 2.0)),
    "refusing": Profile(statuses=((429, 0.12), (500, 0.04), (503, 0.04)), conflict=0.08, watch_gone=0.3),
    "everything": Profile(
        delay=(0.0, 0.2),
        drop_before=0.05,
        drop_after=0.1,
        statuses=((429, 0.04), (500, 0.02), (503, 0.02)),
        conflict=0.05,
        cut_answer=0.05,
        watch_gone=0.2,
        watch_life=(0.3, 1.5),
        lease=True,
    ),
}


@pytest.mark.parametrize("name", PROFILES)
def test_a_storm_through_a_network_that_lies(plane: ControlPlane, namespace: str, tmp_path: Path, name: str) -> None:
    with Storm(plane, namespace, nodes=10) as storm, FaultProxy(plane, PROFILES[name], seed=5) as proxy:
        numbers = itertools.count()

        def start(_: str) -> StormScheduler:
            return through(plane, proxy, tmp_path, f"scheduler-{next(numbers)}")

        with Keeper(start, replicas=1) as keeper:
            keeper.leader()
            storm.create(5, TOO_LARGE, "large")
            storm.create(200, "700m")
            storm.settle(pending=5)
        accepted = Counter(call.uid for call in proxy.bindings if call.status == 201)
        assert set(accepted.values()) == {1}
        assert len(accepted) == 200
        assert not proxy.faults.keys() & {"server away"}
        assert proxy.faults.total() >= 20 or name == "slow", proxy.faults
        assert keeper.starts == 1 or PROFILES[name].lease


def test_a_node_goes_while_bindings_to_it_are_under_way(plane: ControlPlane, namespace: str, tmp_path: Path) -> None:
    with (
        Storm(plane, namespace, nodes=10) as storm,
        FaultProxy(plane) as proxy,
        through(plane, proxy, tmp_path, "scheduler") as scheduler,
    ):
        scheduler.wait_leading()
        proxy.pace = lambda call: 1.0 if call.is_binding else 0.0
        storm.create(220, "700m")  # as many as there is room for
        wait_until(lambda: len(proxy.bindings) >= 60, "bindings under way")
        sent = Counter(call.node for call in proxy.bindings)
        victim = min((f"n-{n:03}" for n in range(10)), key=lambda node: sent[node])
        assert plane.request("DELETE", f"/api/v1/nodes/{victim}")[0] == 200
        gone = time.monotonic()
        witness = storm.witness
        wait_until(lambda: witness.bound + witness.refused == 220, "each to be bound or told why not", 30.0)
        time.sleep(1.0)
        storm.judge()
        assert victim not in {call.node for call in proxy.bindings if call.at > gone + 0.5}
        assert witness.refused >= 1


def test_a_pod_is_replaced_by_its_namesake_while_it_is_being_bound(
    plane: ControlPlane, namespace: str, tmp_path: Path
) -> None:
    path = f"/api/v1/namespaces/{namespace}/pods"
    with (
        Storm(plane, namespace, nodes=4, cpu="4") as storm,
        FaultProxy(plane) as proxy,
        through(plane, proxy, tmp_path, "scheduler") as scheduler,
    ):
        scheduler.wait_leading()
        waits = {1: 2.0, 2: 4.0}  # the first binding of a pod is answered while the second one is under way
        proxy.pace = lambda call: waits.get(sum(call.path == one.path for one in proxy.bindings), 0.0)
        storm.create(4, "3", "twin")
        wait_until(lambda: len(proxy.bindings) == 4, "all bindings under way")
        for name in sorted(storm.expected):
            assert plane.request("DELETE", f"{path}/{name}?gracePeriodSeconds=0")[0] == 200
        assert plane.create_many([ours(name, namespace, cpu="3") for name in sorted(storm.expected)]) == []
        wait_until(lambda: len(proxy.bindings) == 8, "the namesakes' bindings")
        wait_until(lambda: sum(call.status == 409 for call in proxy.bindings) == 4, "the first ones' refusal")
        storm.create(4, "3", "rival")  # there is no room for them
        storm.settle(pending=4)
        assert {pod.name[:4] for pod in storm.witness.pods.values() if pod.node} == {"twin"}


def test_room_is_not_given_away_while_nobody_knows_what_became_of_a_binding(
    plane: ControlPlane, namespace: str, tmp_path: Path
) -> None:
    with (
        Storm(plane, namespace, nodes=5, cpu="4") as storm,
        FaultProxy(plane) as proxy,
        through(plane, proxy, tmp_path, "scheduler") as scheduler,
    ):
        scheduler.wait_leading()
        proxy.pace = lambda call: 0.5 if call.is_binding else 0.0
        proxy.profile = Profile(drop_after=1.0)
        storm.create(10, "3")  # there is room for five
        wait_until(lambda: len(proxy.bindings) >= 5, "bindings under way")
        proxy.mute_watches(True)
        storm.wait_bound(5)
        time.sleep(8.0)
        proxy.profile = Profile()
        proxy.mute_watches(False)
        storm.settle(pending=5)
