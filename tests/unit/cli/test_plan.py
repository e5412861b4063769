"""`yunchi plan` through the installed entry point, as a user runs it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from yunchi_operator.cli.main import cli

ROOT = Path(__file__).parents[3]
YUNCHI = Path(sys.executable).with_name("yunchi")
SMALL = ROOT / "examples" / "small"
QUICK = SMALL / "cluster.yaml"


def run(*args: str | Path, env: dict[str, str] | None = None, **options: Any) -> subprocess.CompletedProcess[str]:
    command = [str(YUNCHI), *map(str, args)]
    return subprocess.run(
        command,
        capture_output=True,
        encoding="utf-8",
        check=False,
        env=os.environ | (env or {}),
        timeout=120,
        **options,
    )


@pytest.fixture
def fits(tmp_path: Path) -> Path:
    """The small example without the pod that has no place."""
    documents = [one for one in yaml.safe_load_all(QUICK.read_text()) if one["metadata"]["name"] != "maps-0"]
    path = tmp_path / "fits.yaml"
    path.write_text(yaml.safe_dump_all(documents))
    return path


# -- exit codes and streams -------------------------------------------------------------------------------------------


def test_everything_placed_is_0_and_stdout_is_only_the_answer(fits: Path) -> None:
    done = run("plan", fits, "-o", "json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["unplaced"] == []
    assert "greedy" in done.stderr


def test_unplaced_is_3_with_reasons(fits: Path) -> None:
    done = run("plan", SMALL, "-o", "json")
    assert done.returncode == 3
    (unplaced,) = json.loads(done.stdout)["unplaced"]
    assert unplaced["pod"] == "transport/maps-0"
    assert {reason["rule"]: reason["nodes"] for reason in unplaced["reasons"]} == {
        "taint:yunchi.io/pool": 1,
        "node-affinity": 2,
        "resources:cpu": 1,
    }
    assert run("plan", fits, "-q").stderr == ""


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["plan"], "Missing argument 'PATH...'"),
        (["plan", "nowhere.yaml"], "nowhere.yaml: no such file or folder"),
        (["plan", QUICK, "--max-moves", "3"], "--max-moves needs --mode consolidate"),
        (["plan", QUICK, "--mode", "repack", "--threshold", "0.5"], "--threshold needs --mode consolidate"),
        (["plan", QUICK, "--mode", "consolidate", "--max-nodes", "x"], "neither a count such as 12 nor a share such"),
        (["plan", QUICK, "--mode", "consolidate", "--max-nodes", "101%"], "'101%' is neither a count"),
        (["plan", QUICK, "--mode", "consolidate", "--max-moves", "-1"], "Invalid value for '--max-moves'"),
        (
            ["plan", QUICK, "--merge", "suzhou"],
            "--merge suzhou: no such CloudTenancy among the manifests; there are: none",
        ),
        (["plan", QUICK, "--mode", "wrong"], "Invalid value for '--mode'"),
        (["plan", QUICK, "--seed", "-1"], "Invalid value for '--seed'"),
        (["plan", QUICK, "--lose-node", "nanjing-kunpeng-2"], "did you mean nanjing-kunpeng-1?"),
        (["plan", QUICK, "--lose-zone", "x"], "zones are: 320100, 320500"),
        (["plam", QUICK], "No such command 'plam'"),
        (["completion", "tcsh"], "'tcsh' is not one of"),
    ],
)
def test_bad_usage_and_input_are_2_with_nothing_on_stdout(args: list[str | Path], message: str) -> None:
    done = run(*args)
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr


def test_a_typing_error_is_2_and_names_file_document_line_and_field(tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(QUICK.read_text().replace("nodeSelector: {kubernetes.io/arch: amd64}", "nodeSelektor: {}", 1))
    line = path.read_text()[: path.read_text().index("nodeSelektor")].count("\n") + 1
    done = run("plan", path)
    assert (done.returncode, done.stdout) == (2, "")
    assert (
        f"{path}: document 9, line {line}: Pod tax/ledger-0: spec.nodeSelektor: unknown field; did you mean"
        in done.stderr
    )


@pytest.mark.parametrize("form", ["table", "json", "yaml", "html"])
def test_a_closed_pipe_gives_no_traceback(fits: Path, form: str) -> None:
    read, write = os.pipe()
    os.close(read)
    with subprocess.Popen([str(YUNCHI), "plan", str(fits), "-o", form], stdout=write, stderr=subprocess.PIPE) as done:
        os.close(write)
        _, errors = done.communicate(timeout=120)
    assert done.returncode == 141
    assert b"Traceback" not in errors
    assert b"Exception ignored" not in errors


LISTEN_TO_CTRL_C = "import signal; signal.signal(signal.SIGINT, signal.SIG_DFL)"


def test_ctrl_c_is_130_without_a_traceback() -> None:
    # A job in the background (nohup, some runners) hands SIGINT down as ignored; a terminal does not.
    command = [
        sys.executable,
        "-c",
        f"{LISTEN_TO_CTRL_C}; import os; os.execv({str(YUNCHI)!r}, ['yunchi', 'plan', '-'])",
    ]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, stdout=subprocess.PIPE) as waiting:
        assert waiting.stderr is not None
        assert b"reading" in waiting.stderr.readline()
        time.sleep(0.2)  # until it waits for input
        waiting.send_signal(signal.SIGINT)
        answer, errors = waiting.communicate(timeout=60)
    assert (waiting.returncode, answer) == (130, b"")
    assert b"Traceback" not in errors
    assert b"interrupted" in errors


# -- the answer -------------------------------------------------------------------------------------------------------

NUMBER = (int, float)
SCHEMA: dict[str, Any] = {
    "placements": [{"pod": str, "node": str}],
    "moves": [{"pod": str, "from": str, "to": str, "reason": str}],
    "evictions": [{"pod": str, "reason": str}],
    "unplaced": [{"pod": str, "reasons": [{"rule": str, "nodes": int}], "fix": str}],
    "emptiedNodes": [str],
    "keptNodes": [{"node": str, "reason": str}],
    "nodesUsed": int,
    "cost": NUMBER,
    "bound": {"nodes": int, "cost": NUMBER},
    "gap": NUMBER,
    "seconds": NUMBER,
    "stages": [{"name": str, "placed": int, "nodesUsed": int, "cost": NUMBER, "note": str}],
}


def conforms(value: Any, schema: Any, path: str = "$") -> list[str]:
    """Where a document differs from the published schema."""
    if isinstance(schema, dict):
        if not isinstance(value, dict) or list(value) != list(schema):
            return [path]
        return [fault for key in schema for fault in conforms(value[key], schema[key], f"{path}.{key}")]
    if isinstance(schema, list):
        if not isinstance(value, list):
            return [path]
        return [fault for n, one in enumerate(value) for fault in conforms(one, schema[0], f"{path}[{n}]")]
    return [] if isinstance(value, schema) and not isinstance(value, bool) else [path]


@pytest.mark.parametrize(
    "options",
    [(), ("--mode", "repack"), ("--lose-node", "suzhou-kunpeng-1"), ("--lose-zone", "320500"), ("--effort", "fast")],
)
def test_the_json_form_is_the_published_one(options: tuple[str, ...]) -> None:
    document = json.loads(run("plan", SMALL, "-o", "json", "-q", *options).stdout)
    assert conforms(document, SCHEMA) == []


OWNED = {"ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "x", "controller": True}]}
STEPS = {"curve": [{"saving": NUMBER, "moves": int, "nodes": int}], "waves": [[str]]}


@pytest.fixture
def owned(tmp_path: Path) -> Path:
    """The small example as a cluster holds it: its pods are of controllers; one of them is protected by a budget."""
    documents = list(yaml.safe_load_all(QUICK.read_text()))
    for one in documents:
        if one["kind"] == "Pod":
            one["metadata"] |= OWNED
    path = tmp_path / "owned.yaml"
    path.write_text(yaml.safe_dump_all(documents))
    return path


def test_consolidation_moves_what_may_move(owned: Path) -> None:
    document = json.loads(run("plan", owned, "--mode", "consolidate", "-o", "json", "-q").stdout)
    assert conforms(document, SCHEMA | STEPS) == []
    assert [(one["pod"], one["from"], one["to"]) for one in document["moves"]] == [
        ("health/portal-0", "nanjing-kunpeng-1", "suzhou-kunpeng-1")
    ]
    assert document["emptiedNodes"] == ["nanjing-kunpeng-1"]
    assert document["waves"] == [["health/portal-0"]]
    assert document["cost"] == 25
    assert len(document["keptNodes"]) == document["nodesUsed"]


def test_a_disruption_budget_forbids_the_move(owned: Path) -> None:
    budget = {
        "apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "all", "namespace": "health"},
        "spec": {"selector": {}, "minAvailable": "100%"},
    }  # fmt: skip
    path = owned.with_name("budget.json")
    path.write_text(json.dumps(budget))
    document = json.loads(run("plan", owned, path, "--mode", "consolidate", "-o", "json", "-q").stdout)
    assert document["moves"] == []
    reasons = {one["node"]: one["reason"] for one in document["keptNodes"]}
    assert reasons["nanjing-kunpeng-1"].startswith("health/portal-0: PodDisruptionBudget health/all allows no")


def test_the_table_says_what_moves_save_and_what_stays(owned: Path) -> None:
    printed = run("plan", owned, "--mode", "consolidate", "-q").stdout
    assert "Saves 1 of 4 nodes, cost 10, by moving 1 pod in 1 wave." in printed
    assert "Emptied: nanjing-kunpeng-1" in printed
    assert "Nodes that stay in use:" in printed
    bare = run("plan", QUICK, "--mode", "consolidate", "-q").stdout
    assert "  3 pods: no controller would recreate it" in bare


def test_claims_decide_where_a_pod_may_go(tmp_path: Path) -> None:
    def named(kind: str, name: str, version: str = "v1", **rest: object) -> dict[str, object]:
        return {"apiVersion": version, "kind": kind, "metadata": {"name": name}, **rest}

    def node(name: str) -> dict[str, object]:
        meta = {"name": name, "labels": {"kubernetes.io/hostname": name}}
        return named("Node", name, status={"allocatable": {"cpu": "4", "memory": "8Gi", "pods": "9"}}) | {
            "metadata": meta
        }

    def pod(name: str, claim: str) -> dict[str, object]:
        volumes = [{"name": "d", "persistentVolumeClaim": {"claimName": claim}}]
        return named("Pod", name, spec={"schedulerName": "yunchi", "containers": [{"name": "c"}], "volumes": volumes})

    host = {"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": ["b"]}]}
    bound = {"metadata": {"name": "data", "annotations": {"pv.kubernetes.io/bind-completed": "yes"}}}
    items = [
        *(node(name) for name in ("a", "b", "c")),
        named("PersistentVolume", "v", spec={"nodeAffinity": {"required": {"nodeSelectorTerms": [host]}}}),
        named("PersistentVolumeClaim", "data", spec={"volumeName": "v"}) | bound,
        pod("db", "data"),
        pod("lost", "typo"),
    ]
    given = tmp_path / "all.json"
    given.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))
    found = run("plan", given, "-o", "json")
    answer = json.loads(found.stdout)
    assert answer["placements"] == [{"pod": "default/db", "node": "b"}]
    assert [(one["pod"], one["reasons"]) for one in answer["unplaced"]] == [
        ("default/lost", [{"rule": "volumes:claim-missing", "nodes": 3}])
    ]
    assert "create claim default/typo" in answer["unplaced"][0]["fix"]


def test_repack_of_the_example_frees_a_node() -> None:
    document = json.loads(run("plan", SMALL, "--mode", "repack", "-o", "json").stdout)
    assert document["emptiedNodes"] == ["nanjing-kunpeng-1"]
    assert document["moves"] == [
        {
            "pod": "health/portal-0",
            "from": "nanjing-kunpeng-1",
            "to": "suzhou-kunpeng-1",
            "reason": "empties node nanjing-kunpeng-1",
        }
    ]
    assert (document["cost"], document["bound"]["cost"], document["gap"]) == (25, 25, 0.0)


def test_yaml_says_the_same_as_json() -> None:
    forms = [run("plan", SMALL, "-q", "-o", form).stdout for form in ("json", "yaml")]
    documents = [yaml.safe_load(form) | {"seconds": 0} for form in forms]
    assert documents[0] == documents[1]


@pytest.mark.parametrize(
    "options",
    [
        (),
        ("--mode", "repack", "--objective", "nodes", "--seed", "3", "--effort", "best"),
        ("--mode", "consolidate", "--max-moves", "3", "--max-nodes", "50%", "--threshold", "0.1"),
    ],
)
def test_the_same_question_gets_the_same_bytes_but_for_seconds(options: tuple[str, ...]) -> None:
    answers = {
        re.sub(
            r'"seconds": [0-9.e-]+', "", run("plan", SMALL, "-o", "json", *options, env={"PYTHONHASHSEED": seed}).stdout
        )
        for seed in ("1", "2", "3")
    }
    assert len(answers) == 1


@pytest.mark.parametrize("mode", [[], ["--mode", "repack"]])
def test_the_readme_shows_what_the_command_prints(mode: list[str]) -> None:
    readme = (SMALL / "README.md").read_text()
    command = " ".join(["$ yunchi plan examples/small", *mode]) + "\n"
    shown = readme.split(command, 1)[1].split("```", 1)[0]
    printed = run("plan", "examples/small", *mode, "-q", cwd=ROOT).stdout
    seconds = re.compile(r"\. [0-9.]+ s\.$", re.MULTILINE)
    assert seconds.sub("", printed).strip() == seconds.sub("", shown).strip()


# -- the terminal -----------------------------------------------------------------------------------------------------


def test_no_colour_without_a_terminal_and_utf8_whatever_lang_says() -> None:
    done = run("plan", SMALL, env={"LC_ALL": "C", "LANG": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"})
    assert "→" in done.stdout
    assert "\x1b[" not in done.stdout + done.stderr


@pytest.mark.parametrize(("name", "colours"), [("NO_COLOR", False), ("YUNCHI_TEST_NOTHING", True)])
def test_no_color_is_honoured_on_a_terminal(name: str, *, colours: bool) -> None:
    master, slave = os.openpty()
    env = {key: value for key, value in os.environ.items() if key != "NO_COLOR"} | {name: "1", "TERM": "xterm-256color"}
    with subprocess.Popen(
        [str(YUNCHI), "plan", str(SMALL), "-q"], stdout=slave, stderr=subprocess.DEVNULL, env=env
    ) as done:
        os.close(slave)
        printed = b""
        while chunk := _read(master):
            printed += chunk
        done.wait(timeout=60)
    os.close(master)
    text = printed.decode()
    assert "unplaced" in text
    assert bool(re.search(r"\x1b\[(1;)?3[0-9]m", text)) is colours


def _read(master: int) -> bytes:
    try:
        return os.read(master, 65536)
    except OSError:  # the other end of a terminal closes with an error
        return b""


def test_chinese_names_keep_the_columns_aligned(tmp_path: Path) -> None:
    from rich.cells import cell_len

    nodes = [
        {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {"name": f"n{number}", "labels": {"topology.kubernetes.io/zone": zone}},
            "status": {"allocatable": {"cpu": "4", "pods": "9"}},
        }
        for number, zone in enumerate(["卫健委", "ascii-zone", "泰州市大数据局"])
    ]
    path = tmp_path / "zh.json"
    path.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": nodes}, ensure_ascii=False))
    lines = [line for line in run("plan", path).stdout.splitlines() if line.startswith(("-  ", "POOL"))]
    assert len(lines) == 4
    assert len({cell_len(line) for line in lines}) == 1


def test_the_heartbeat_is_one_line_per_stage_without_a_terminal(fits: Path) -> None:
    lines = run("plan", fits).stderr.splitlines()
    assert all(re.match(r" *[0-9.]+s \S", line) for line in lines), lines
    assert "reading" in lines[0]


# -- the other commands -----------------------------------------------------------------------------------------------


def test_version() -> None:
    found = json.loads(run("version", "-o", "json").stdout)
    assert set(found) == {"yunchi", "ortools", "python"}
    assert run("version").stdout.startswith(f"yunchi {found['yunchi']} ")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts_name_the_program(shell: str) -> None:
    done = run("completion", shell)
    assert done.returncode == 0
    assert "_YUNCHI_COMPLETE" in done.stdout


def test_usage_follows_the_name_it_was_called_by() -> None:
    called = subprocess.run(
        [str(YUNCHI.with_name("kubectl-yunchi")), "plan", "-h"], capture_output=True, text=True, check=True
    )
    assert called.stdout.startswith("Usage: kubectl yunchi plan [OPTIONS] PATH...")


def test_help_lists_every_command_and_each_can_be_loaded() -> None:
    listed = run("--help").stdout
    for name in ("completion", "operator", "plan", "scheduler", "version"):
        assert re.search(rf"^  {name} ", listed, re.MULTILINE)
        assert CliRunner().invoke(cli, [name, "--help"]).exit_code == 0


def test_plan_loads_neither_kopf_nor_a_kubernetes_client() -> None:
    code = (
        "import sys; from click.testing import CliRunner; from yunchi_operator.cli.main import cli;"
        f"CliRunner().invoke(cli, ['plan', {str(QUICK)!r}]);"
        "print([name for name in ('kopf', 'kubernetes', 'aiohttp', 'prometheus_client') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
