import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from controlplane import launch
from controlplane.errors import ControlPlaneError
from controlplane.launch import ExitedError, wait_for
from controlplane.pids import Identity, end_all, recorded
from controlplane.ports import free_ports
from controlplane.processes import Process, minimal_environment, start

HACK = Path(__file__).parents[3] / "hack"
LINE = "4321 (a (b) c) S 1 4321 4321 0 -1 4194304 1 2 3 4 5 6 7 8 20 0 1 0 987654 1 2 3"


def wait_recorded(folder: Path, name: str) -> Identity:
    found: list[Identity] = []

    def there() -> bool:
        found[:] = [identity for key, identity in recorded(folder / "run").items() if key == name]
        return bool(found)

    wait_for(there, [], f"{name}.pid", timeout=20)
    return found[0]


def test_a_stat_line_is_read_whatever_the_command_is_called() -> None:
    assert Identity.parse(LINE) == Identity(4321, 987654)
    assert Identity.parse(LINE[:40]) is None
    assert Identity.parse("") is None


def test_this_process_is_alive_and_a_recycled_number_is_not() -> None:
    me = Identity.of(os.getpid())
    assert me is not None
    assert me.alive()
    assert not Identity(me.pid, me.start + 1).alive()


def test_a_zombie_counts_as_gone() -> None:
    child = subprocess.Popen(["/bin/true"])
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert Identity.of(child.pid) is None
    assert child.wait() == 0


def test_somebody_else_with_the_recorded_number_is_not_killed(tmp_path: Path) -> None:
    stranger = subprocess.Popen(["/bin/sleep", "600"], start_new_session=True)
    try:
        identity = Identity.of(stranger.pid)
        assert identity is not None
        line = LINE.replace("4321", str(stranger.pid), 1).replace("987654", str(identity.start - 1))
        (tmp_path / "etcd.pid").write_text(line)
        assert end_all(tmp_path) == []
        assert stranger.poll() is None
        assert list(tmp_path.iterdir()) == []
    finally:
        stranger.kill()
        stranger.wait()


def test_a_child_is_recorded_as_itself_and_stopped(tmp_path: Path) -> None:
    process = start("napper", ["/bin/sleep", "600"], tmp_path)
    identity = wait_recorded(tmp_path, "napper")
    assert identity.pid == process.pid
    assert os.getpgid(process.pid) == process.pid != os.getpgid(0)
    process.stop()
    assert process.popen.returncode == -signal.SIGTERM
    assert not identity.alive()
    assert recorded(tmp_path / "run") == {}
    process.stop()


def test_a_child_that_ignores_sigterm_is_killed(tmp_path: Path) -> None:
    process = start("deaf", ["/bin/sh", "-c", "trap '' TERM; echo ready; while :; do sleep 1; done"], tmp_path)
    wait_for(lambda: "ready" in process.log_text(), [process], "the trap", timeout=20)
    process.stop(timeout=0.1)
    assert process.popen.returncode == -signal.SIGKILL


def test_what_an_owner_left_is_ended_with_its_children(tmp_path: Path) -> None:
    process = start("family", ["/bin/sh", "-c", "sleep 600 & echo $! ; wait"], tmp_path)
    wait_for(lambda: process.log_text().strip().isdigit(), [process], "the grandchild", timeout=20)
    grandchild = Identity.of(int(process.log_text()))
    assert grandchild is not None
    reaper = threading.Thread(target=process.popen.wait)  # init does that for an orphan
    reaper.start()
    assert end_all(tmp_path / "run") == ["family"]
    reaper.join()
    wait_for(lambda: not grandchild.alive(), [], "the grandchild's end", timeout=20)
    assert not grandchild.alive()


def test_children_of_a_killed_owner_end(tmp_path: Path) -> None:
    program = (
        "import sys, time; from pathlib import Path; from controlplane.processes import start, start_reaper; "
        "folder = Path(sys.argv[1]); start_reaper(folder); "
        "start('napper', ['/bin/sleep', '600'], folder); time.sleep(600)"
    )
    owner = subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], env=os.environ | {"PYTHONPATH": str(HACK)})
    parts = [wait_recorded(tmp_path, name) for name in ("napper", "reaper")]
    owner.kill()
    owner.wait()
    wait_for(lambda: not any(part.alive() for part in parts), [], "the end of the parts", timeout=30)
    assert not any(part.alive() for part in parts)


def test_children_outlive_the_thread_that_started_them(tmp_path: Path) -> None:
    made: list[Process] = []
    thread = threading.Thread(target=lambda: made.append(start("napper", ["/bin/sleep", "600"], tmp_path)))
    thread.start()
    thread.join()
    identity = wait_recorded(tmp_path, "napper")
    assert identity.alive()
    made[0].stop()
    assert not identity.alive()


def test_children_do_not_see_the_users_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", "/home/somebody/.kube/config")
    monkeypatch.setenv("HTTPS_PROXY", "http://example.invalid")
    environment = minimal_environment(tmp_path)
    assert environment["HOME"] == str(tmp_path)
    assert not {"KUBECONFIG", "HTTPS_PROXY"} & set(environment)


def test_waiting_for_a_process_that_ended_shows_its_log(tmp_path: Path) -> None:
    process = start("brief", ["/bin/sh", "-c", "echo cannot do that; exit 4"], tmp_path)
    with pytest.raises(ExitedError, match=r"brief ended \(4\) before the moon was there:\ncannot do that"):
        wait_for(lambda: False, [process], "the moon")


def test_waiting_has_an_end(tmp_path: Path) -> None:
    process = start("napper", ["/bin/sleep", "600"], tmp_path)
    with pytest.raises(ControlPlaneError, match="No moon after 0 s"):
        wait_for(lambda: False, [process], "moon", timeout=0.0)
    process.stop()


def test_free_ports_are_distinct_and_free() -> None:
    ports = free_ports(20)
    assert len(set(ports)) == 20
    held = [socket.create_server(("127.0.0.1", port)) for port in ports]
    assert [server.getsockname()[1] for server in held] == ports
    for server in held:
        server.close()


def test_taken_ports_are_not_given() -> None:
    with socket.create_server(("127.0.0.1", free_ports(1)[0])) as server:
        taken = server.getsockname()[1]
        assert all(taken not in free_ports(40) for _ in range(20))


def test_left_overs_of_a_folder_are_removed(tmp_path: Path) -> None:
    for name in ("data/member", "logs", "certificates", "run"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "mine.txt").write_text("kept")
    launch.clear(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine.txt", "run"]
