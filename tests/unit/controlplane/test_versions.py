import platform
import re

import pytest

from controlplane.versions import EXTRA_TOOLS, GO_FOLDER, TOOLS, minimum_go, module_version, parse_version, pin_key


@pytest.mark.parametrize(
    ("printed", "expected"),
    [
        ("etcd Version: 3.7.0\nGit SHA: abc\nGo Version: go1.26.8\n", "3.7.0"),
        ("Kubernetes v1.36.3\n", "1.36.3"),
        ("Client Version: v1.36.3\nKustomize Version: v5.8.1\n", "1.36.3"),
        ("kwok version 0.8.0 go1.26.8 (linux/amd64)\n", "0.8.0"),
        ("v4.3.1+g1234567\n", "4.3.1"),
        ("promtool, version 3.13.5 (branch: , revision: unknown)\n", "3.13.5"),
        ("Kubernetes v1.36.3-rc.0\n", "1.36.3"),
        ("go1.26.8 only\n", None),
        ("listening on 127.0.0.1\n", None),
        ("", None),
    ],
)
def test_the_version_is_found_in_what_tools_print(printed: str, expected: str | None) -> None:
    assert parse_version(printed) == expected


def test_every_tool_has_a_pinned_version() -> None:
    found = {tool.name: tool.version for tool in (*TOOLS, *EXTRA_TOOLS)}
    assert found["kube-apiserver"] == found["kubectl"] == found["kube-scheduler"] == "1.36.3"
    assert all(re.fullmatch(r"\d+\.\d+\.\d+", version) for version in found.values()), found
    assert found["promtool"].startswith("3.")


def test_every_tool_is_a_tool_of_its_module() -> None:
    for tool in (*TOOLS, *EXTRA_TOOLS):
        assert tool.package in (GO_FOLDER / tool.folder / "go.mod").read_text(encoding="utf-8")


def test_every_staging_module_has_the_version_of_kubernetes() -> None:
    text = (GO_FOLDER / "kubernetes" / "go.mod").read_text(encoding="utf-8")
    replaced = dict(re.findall(r"^\s*(k8s\.io/\S+) => k8s\.io/\S+ v(\S+)$", text, re.MULTILINE))
    assert len(replaced) == 32
    assert set(replaced.values()) == {"0." + module_version("kubernetes", "k8s.io/kubernetes").split(".", 1)[1]}
    assert "k8s.io/streaming" in replaced


def test_an_unknown_module_is_an_error() -> None:
    with pytest.raises(LookupError, match="requires no example"):
        module_version("etcd", "example.invalid/none")


def test_kubernetes_is_stamped_with_its_version() -> None:
    flags = next(tool for tool in TOOLS if tool.name == "kubectl").linker_flags
    for part in ("gitVersion=v1.36.3", "gitMajor=1", "gitMinor=36", "-s -w"):
        assert part in flags


def test_the_cache_key_follows_the_pins(monkeypatch: pytest.MonkeyPatch) -> None:
    before = pin_key(TOOLS)
    assert before == pin_key(tuple(reversed(TOOLS)))
    assert before != pin_key(EXTRA_TOOLS)
    monkeypatch.setattr(platform, "machine", lambda: "another")
    assert pin_key(TOOLS) != before


def test_the_oldest_go_that_will_do() -> None:
    assert (1, 25) < minimum_go() < (2,)
