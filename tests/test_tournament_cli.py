"""`tournament` as a stranger types it: plan, play, resume, show, and every slip in one line."""

import csv
import io
import json
import os
import signal
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import pytest

from lineage.contest.results import Results
from lineage.contest.tournament_spec import EXAMPLE, spec_of
from tests.commands import call
from tests.tournaments import HERE, tables

SPEC = """
seeds = "0:6"
ticks = 20
[[entrant]]
name = "noisy"
script = "oracle"
noise = 0.3
[[world]]
name = "easy"
set = ["market.warmup_bars=128", "arena.ticks_per_round=10"]
"""


PEOPLE = """
[[entrant]]
name = "people"
scenario = "small"
rounds = 40
set = ["arena.seats=4", "mind.hidden=[8,8]"]
"""
"""Forty batches of one match, which come before the others."""


@pytest.fixture
def spec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a specification in a folder that is the current one."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "cup.toml"
    path.write_text(SPEC)
    return path


def test_a_tournament_from_plan_to_table(spec: Path) -> None:
    """Plan, play, show: one table on stdout, all narration on stderr, a second start refused, --resume at once."""
    planned = call("tournament", "plan", spec, "--json")
    facts = json.loads(planned.out)
    assert facts["matches"] == {"alone": 42} and facts["estimated_seconds"] > 0.0
    assert [p["role"] for p in facts["players"]] == ["entrant"] + ["baseline"] * 6
    done = call("tournament", spec)
    assert done.code == 0, done.err
    assert "frozen policies" in done.out and "noisy" in done.out and "42/42 matches" in done.err
    again = call("tournament", spec)
    assert again.code == 2 and "exists already; go on with --resume" in again.err
    resumed = call("tournament", spec, "--resume", "--quiet", "--json")
    assert (resumed.code, resumed.err) == (0, "")
    shown = call("tournament", "show", "cup.sqlite", "--json")
    (league,) = json.loads(shown.out)["leagues"]
    assert len(league["standings"]) == 7 and len(league["differences"]) == 21
    assert len(league["growth_by_block"]) == 6
    rows = list(csv.DictReader(io.StringIO(call("tournament", "show", "cup.sqlite", "--csv").out)))
    assert {row["measure"] for row in rows} >= {"strength", "growth_iqm", "difference", "p_holm", "improvement"}


def test_a_small_tournament_needs_no_file(spec: Path) -> None:
    """Flags name players and worlds; a scripted one that is a baseline is that baseline."""
    flags = ("--entrants", "trend", "--worlds", "easy", "--seeds", "0:1", "--ticks", "10")
    done = call("tournament", *flags, "--out", "small.sqlite", "--json")
    assert done.code == 0, done.err
    assert len(json.loads(done.out)["players"]) == 6
    assert call("tournament", *flags, "--out", "small.sqlite", "--resume", "--quiet").code == 0


def test_the_example_is_a_specification(spec: Path) -> None:
    """`init` writes it once; it is read without a word."""
    assert call("tournament", "init", "mine.toml").code == 0
    assert spec_of(tomllib.loads(EXAMPLE), "mine.toml").seeds == "0:16"
    assert call("tournament", "init", "mine.toml").code == 2


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["nowhere.toml"], 2, "cannot be read"),
        (["shwo", "x"], 2, "did you mean 'show'"),
        ([], 2, "Missing command"),
        (["cup.toml", "--entrants", "trend"], 2, "one of the two"),
        (["--entrants", "trendy"], 2, "did you mean 'trend'"),
        (["--entrants", "trend", "--worlds", "esy"], 2, "did you mean 'easy'"),
        (["--entrants", "trend", "--seeds", "3:3"], 2, "the range is empty"),
        (["--entrants", "x.safetensors"], 3, "x.safetensors"),
        (["--entrants", "trend", "--worlds", "no.csv"], 3, "no.csv"),
        (["cup.toml", "--address", "auto"], 2, "only --engine ray has one"),
        (["show", "cup.toml"], 4, "no results file"),
        (["show", "nothing"], 2, "no results of a tournament"),
        (["show", "nothing", "--json", "--csv"], 2, "choose one of them"),
        (["broken.toml"], 2, "not valid TOML"),
    ],
)
def test_a_slip_is_one_line(spec: Path, arguments: list[str], code: int, words: str) -> None:
    """Exit code, place, cure; no file is left behind."""
    (spec.parent / "broken.toml").write_text("seeds = [\n")
    done = call("tournament", *arguments)
    assert done.code == code, done.err
    assert words in done.err and done.err.count("\n") == 1 and done.out == ""
    assert not list(spec.parent.glob("*.sqlite"))


def test_without_ray_the_cure_is_named(spec: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit 5 before a file is made."""
    monkeypatch.setitem(sys.modules, "ray", None)
    done = call("tournament", spec, "--engine", "ray")
    assert done.code == 5 and "lineage-arena[ray]" in done.err
    assert not (spec.parent / "cup.sqlite").exists()


KILLED_WHILE_WRITING = """
import os, signal, sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("PRAGMA cache_size = 1")
connection.execute("BEGIN IMMEDIATE")
connection.execute("DELETE FROM session")
connection.executemany("INSERT INTO session VALUES (?, '', 'x', 1, '', ?, '')", [(n, "x" * 9000) for n in range(50)])
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_after_a_kill_in_the_middle_of_writing_the_table_is_that_of_before(spec: Path) -> None:
    """What was half written is rolled back by whoever looks first, `show` too."""
    assert call("tournament", spec, "--quiet").code == 0
    before = call("tournament", "show", "cup.sqlite", "--json")
    subprocess.run([sys.executable, "-c", KILLED_WHILE_WRITING, "cup.sqlite"], check=False)
    assert Path("cup.sqlite-journal").stat().st_size > 0
    assert call("tournament", "show", "cup.sqlite", "--json") == before


@pytest.mark.slow
def test_ctrl_c_ends_after_the_running_matches_and_resume_goes_on(spec: Path) -> None:
    """Exit 130 with the command that goes on; then the tables of an undisturbed tournament."""
    spec.write_text(SPEC.replace('"0:6"', '"0:40"') + PEOPLE)
    environment = {**os.environ, "PYTHONPATH": str(HERE.parent), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "tui.cli", "tournament", str(spec), "--jobs", "2"]
    process = subprocess.Popen(
        command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, text=True, start_new_session=True
    )
    until = time.monotonic() + 120.0
    while time.monotonic() < until and not _matches(spec.parent / "cup.sqlite"):
        time.sleep(0.1)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to everybody
    _, err = process.communicate(timeout=120)
    assert process.returncode == 130, err
    assert "--resume" in err and "Traceback" not in err
    kept = _matches(spec.parent / "cup.sqlite")
    assert 0 < kept < 320
    assert call("tournament", spec, "--resume", "--quiet").code == 0
    assert call("tournament", spec, "--out", "whole.sqlite", "--quiet").code == 0
    one, other = (tables(Results.read(spec.parent / name)) for name in ("cup.sqlite", "whole.sqlite"))
    assert one == other


def _matches(path: Path) -> int:
    if not path.exists():
        return 0
    try:
        with Results.read(path) as results:
            return len(results.rows("match"))
    except Exception:
        return 0
