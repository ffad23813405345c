"""What is installed: four top-level packages, one version, the data files."""

import importlib.metadata
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import lineage
from arena.errors import ConfigError, EnvironmentFault
from lineage import scenarios
from tui import packages
from tui.doctor import EXTRAS

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def test_version_is_the_same_everywhere() -> None:
    """pyproject.toml, lineage.__version__ and the changelog agree."""
    assert PROJECT["version"] == lineage.__version__
    assert f"## {lineage.__version__}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_doctor_knows_every_extra_by_what_it_brings() -> None:
    """One that it looked for under another name would be called installed, or missing, whatever is there."""
    declared = {
        extra: {re.split("[>=<!~; ]", requirement)[0] for requirement in requirements}
        for extra, requirements in PROJECT["optional-dependencies"].items()
        if extra not in ("test", "dev")
    }
    assert declared == {extra: {name} for extra, name in EXTRAS.items()}


def test_the_four_packages_are_importable_from_one_folder() -> None:
    """arena, agents, lineage and tui lie side by side."""
    assert packages.NAMES == ("arena", "agents", "lineage", "tui")
    assert packages.find_conflict() == ""


def test_every_package_folder_is_found_by_the_build() -> None:
    """A folder with Python in it has an __init__.py and falls under an include pattern."""
    for name in packages.NAMES:
        assert (ROOT / name / "py.typed").exists()
        for file in (ROOT / name).rglob("*.py"):
            assert (file.parent / "__init__.py").exists(), file


def test_data_holds_no_python() -> None:
    """data/ is files, never an import package."""
    assert not list((ROOT / "data").rglob("*.py"))


def test_data_files_are_declared_for_installation() -> None:
    """Each file of data/ falls under a declared pattern of the build."""
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]["data-files"]
    shipped = {path for patterns in declared.values() for pattern in patterns for path in ROOT.glob(pattern)}
    assert {path for path in (ROOT / "data").rglob("*") if path.is_file()} <= shipped


def test_data_is_found_in_an_installation(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Away from a checkout, the scenarios are found through the distribution's own file list."""
    target = tmp_path / "share" / "lineage-arena" / "scenarios" / "easy.toml"
    target.parent.mkdir(parents=True)
    target.write_text("[market]\ndrift = 0.0028  # twice\n")

    class Entry:
        def as_posix(self) -> str:
            return "../../../share/lineage-arena/scenarios/easy.toml"

        def locate(self) -> Path:
            return target

    monkeypatch.setattr(scenarios, "__file__", str(tmp_path / "site-packages" / "lineage" / "scenarios.py"))
    monkeypatch.setattr(importlib.metadata, "files", lambda name: [Entry()])
    scenarios.data_files.cache_clear()
    try:
        assert scenarios.scenario_path("easy") == target
        monkeypatch.setattr(importlib.metadata, "files", lambda name: [])
        scenarios.data_files.cache_clear()
        with pytest.raises(EnvironmentFault, match="not installed"):
            scenarios.scenario_names()
    finally:
        scenarios.data_files.cache_clear()


def test_a_path_is_not_a_scenario_name() -> None:
    """No name can climb out of data/scenarios."""
    for name in ("../../pyproject", "/etc/passwd", "easy.toml", "scenarios/easy"):
        with pytest.raises(ConfigError, match="scenario"):
            scenarios.scenario_path(name)


def test_a_foreign_package_of_the_same_name_is_named(tmp_path: Path) -> None:
    """A rival `agents` earlier on the path ends the program with exit 5 and its place."""
    (tmp_path / "agents").mkdir()
    (tmp_path / "agents" / "__init__.py").write_text("")
    program = (
        f"import sys; sys.path[:0] = [{str(tmp_path)!r}, {str(ROOT)!r}];"
        "import tui.cli; sys.exit(tui.cli.invoke(['version']))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 5
    assert done.stderr.startswith("error: package 'agents' comes from")
    assert str(tmp_path) in done.stderr
    assert done.stderr.count("\n") == 1


def test_constraints_pin_every_dependency_exactly() -> None:
    """Each core dependency stands in constraints.txt with ==."""
    pinned = {
        line.partition("==")[0].lower()
        for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
        if line and not line.startswith("#")
    }
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    assert all("==" in line for line in lines if line and not line.startswith("#"))
    for requirement in PROJECT["dependencies"]:
        name = requirement.replace("<", ">").partition(">")[0].lower()
        assert name in pinned, name
    assert "torch==2.13.0" in lines
