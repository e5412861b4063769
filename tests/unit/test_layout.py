"""The layout rules that keep the house liveable."""

import importlib
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("folder", ["operator", "placement"])
def test_source_folder_holds_only_its_package(folder: str) -> None:
    entries = {entry.name for entry in (ROOT / folder).iterdir()} - {"__pycache__"}
    assert entries == {f"yunchi_{folder}"}


def test_standard_operator_module_is_not_shadowed() -> None:
    module = importlib.import_module("operator")
    assert module.itemgetter(1)("ab") == "b"
    assert ROOT not in Path(str(module.__file__)).parents


def test_modules_are_rooms_not_halls() -> None:
    sources = [path for folder in ("operator", "placement", "hack") for path in (ROOT / folder).rglob("*.py")]
    assert sources
    too_long = {str(path.relative_to(ROOT)): n for path in sources if (n := len(path.read_text().splitlines())) > 500}
    assert too_long == {}


def test_both_readmes_have_the_same_skeleton() -> None:
    def skeleton(name: str) -> list[str]:
        """Heading levels and code blocks, in order."""
        kept, inside = [], False
        for line in (ROOT / name).read_text(encoding="utf-8").splitlines():
            if line.startswith("```"):
                inside = not inside
            if inside or line.startswith("```"):
                kept.append(line)
            elif line.startswith("#"):
                kept.append(line.split(" ")[0])
        return kept

    english = skeleton("README.md")
    assert english.count("##") >= 6
    assert english == skeleton("README.zh-CN.md")


def test_every_dependency_is_explained() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    names = {requirement.split(">")[0].split("=")[0] for requirement in wanted}
    told = (ROOT / "docs" / "dependencies.md").read_text().lower()
    assert {name for name in names if f"| {name.lower()} |" not in told} == set()


def test_locks_carry_hashes_and_no_addresses() -> None:
    for name in ("runtime.txt", "dev.txt"):
        text = (ROOT / "requirements" / name).read_text()
        assert "--hash=sha256:" in text
        assert "://" not in text
