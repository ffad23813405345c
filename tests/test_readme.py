"""The README and docs say what is true: every command in them runs, every file they name exists."""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.commands import TINY, call, tape_text

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
SCALE = {
    "LINEAGE_ARENA_" + assignment.partition("=")[0].replace(".", "_").upper(): assignment.partition("=")[2]
    for assignment in (*TINY, "rounds=3")
}
"""The same commands on a tiny population."""


def blocks(language: str) -> list[str]:
    """Return the fenced blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", README, flags=re.DOTALL | re.MULTILINE)


def command_lines() -> Iterator[list[str]]:
    """Yield every shell command as words, comments taken off."""
    for block in blocks("sh"):
        for line in block.splitlines():
            if words := shlex.split(line, comments=True):
                yield words


def test_every_command_of_the_readme_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In order, in one directory, scaled down; each leaves with 0. The Python blocks follow."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "prices.csv").write_text(tape_text(150))
    ran = 0
    for words in command_lines():
        if words[0] == "lineage-arena":
            done = call(*words[1:], env=SCALE)
            assert done.code == 0, f"{words}: {done.err}"
            ran += 1
    assert ran >= 10
    for block in blocks("python"):
        environment = {**os.environ, **SCALE, "PYTHONPATH": str(ROOT)}
        done_block = subprocess.run(
            [sys.executable, "-c", block], capture_output=True, text=True, check=False, cwd=tmp_path, env=environment
        )
        assert done_block.returncode == 0, done_block.stderr
        assert done_block.stdout.strip()


def test_every_make_target_of_the_readme_exists() -> None:
    """`make x` in the README is a target of the Makefile, and each target for people is in `make help`."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, flags=re.MULTILINE))
    assert {words[1] for words in command_lines() if words[0] == "make"} <= targets
    for target in ("run", "test", "test-all", "check", "bench", "clean"):
        assert target in targets
        assert f"make {target} " in makefile


def test_only_known_programs_are_called() -> None:
    """The README needs nothing that a fresh clone does not have."""
    assert {words[0] for words in command_lines()} == {"make", "lineage-arena"}


@pytest.mark.parametrize("name", ["README.md", "docs/promises.md", "data/README.md", "CHANGELOG.md"])
def test_files_that_documents_name_exist(name: str) -> None:
    """Links and test files in the documents point at something."""
    text = (ROOT / name).read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#:]+)\)", text) + re.findall(r"\btests/test_\w+\.py", text):
        assert (ROOT / target).exists(), target


def test_the_exit_codes_in_the_documents_are_the_programs() -> None:
    """The table of docs/promises.md has every code."""
    from tui.diagnostics import ExitCode

    text = (ROOT / "docs" / "promises.md").read_text(encoding="utf-8")
    written = {int(code) for code in re.findall(r"^\| (\d+) \|", text, flags=re.MULTILINE)}
    assert written == {int(code) for code in ExitCode}


def test_a_command_that_does_not_run_would_be_found() -> None:
    """Sabotage: the same check on a misspelt command fails."""
    assert call("run", "eazy", env=SCALE).code != 0
