"""Imports go one way, and nobody pays for what a command does not use."""

import resource
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def modules_after(statement: str) -> set[str]:
    """Return the modules that are loaded after a statement ran in a fresh interpreter."""
    program = f"import sys\n{statement}\nprint('\\n'.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT)
    return set(done.stdout.split())


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    """Run the import contracts over a tree."""
    program = "import sys; from importlinter.cli import lint_imports_command as lint; lint(sys.argv[1:])"
    command = [sys.executable, "-c", program, "--no-cache", "--config", str(folder / "pyproject.toml")]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)


def test_imports_go_one_way() -> None:
    """tui -> lineage -> agents -> arena, and nobody else's contracts are broken either."""
    done = lint(ROOT)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("package", "statement"),
    [("arena", "import agents.qnet"), ("agents", "import arena.body.state"), ("lineage", "import rich.live")],
)
def test_a_wrong_import_breaks_the_contracts(tmp_path: Path, package: str, statement: str) -> None:
    """Sabotage: one import against the grain fails the check."""
    for name in ("arena", "agents", "lineage", "tui"):
        for file in (ROOT / name).rglob("*.py"):
            target = tmp_path / file.relative_to(ROOT)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(file.read_bytes())
    (tmp_path / "pyproject.toml").write_bytes((ROOT / "pyproject.toml").read_bytes())
    (tmp_path / package / "smuggler.py").write_text(f'"""A smuggler."""\n\n{statement}\n')
    done = lint(tmp_path)
    assert done.returncode != 0
    assert "smuggler" in done.stdout


def test_a_headless_run_loads_no_terminal_library() -> None:
    """What the static graph cannot see: deferred imports of the engine and the world."""
    loaded = modules_after("import lineage.world, lineage.engine")
    assert not {name for name in loaded if name.split(".")[0] == "textual"}
    assert "rich.live" not in loaded
    assert "click" not in loaded


def test_help_loads_nothing_heavy() -> None:
    """`--help` and `version` answer without the learner, the model library or the terminal library."""
    for arguments in ("['--help']", "['run', '--help']", "['version']"):
        loaded = modules_after(f"from tui.cli import invoke; invoke({arguments})")
        assert not loaded & {"torch", "numpy", "mesa", "textual", "rich", "pandas", "sqlite3"}


def test_help_is_fast() -> None:
    """Under 200 ms of processor time, the best of five: what a person waits for where nothing else runs."""
    times = []
    for _ in range(5):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, "-m", "tui.cli", "--help"], capture_output=True, check=True, cwd=ROOT)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        times.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    assert 0.0 < min(times) < 0.2
