"""The choice of a learner: made once, recorded in the genesis, kept by resume and replay, refused with the cure."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from agents import fused
from arena import native
from arena.errors import EnvironmentFault
from lineage import engine
from lineage.config import RunConfig
from tests.commands import call, tiny
from tests.kernels import LEARNER, empty_cache, needs_kernel
from tests.runs import lively
from tests.worlds import tiny_config

LEARNERS = ["fast", "reference", pytest.param("fused", marks=needs_kernel)]


@pytest.fixture
def no_compiler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A machine without a compiler and without a cached kernel, in a process that has not asked yet."""
    monkeypatch.setattr(native, "COMPILERS", ())
    yield from empty_cache(tmp_path / "kernels", monkeypatch, fused._library)


def short(rounds: int) -> RunConfig:
    """Return a lively population with fewer rounds."""
    return replace(lively(), rounds=rounds)


def inputs(directory: Path) -> dict[str, Any]:
    """Return what the run's row says about its inputs."""
    with closing(sqlite3.connect(directory / "run.sqlite")) as connection:
        found: dict[str, Any] = json.loads(connection.execute("SELECT inputs_json FROM run").fetchone()[0])
    return found


@pytest.mark.parametrize("learner", LEARNERS)
def test_the_learner_is_part_of_the_genesis_and_of_the_replay(learner: fused.LearnerName, tmp_path: Path) -> None:
    """Each name is recorded, and a replay comes out identical with it, whatever `auto` would be."""
    with engine.start(tmp_path / "run", short(4), 3, learner=learner) as started:
        assert started.run().learner == learner
    assert inputs(tmp_path / "run") == {"learner": learner}
    identical, found = engine.replay(tmp_path / "run")
    assert identical, found


@needs_kernel
def test_two_learners_make_two_runs_of_one_seed(tmp_path: Path) -> None:
    """Different arithmetic, different genesis: nobody takes the one for a failed replay of the other."""
    heads = []
    for learner in ("fused", "fast"):
        done = call(
            "run", "small", "--rounds", "1", "--learner", learner, "--out", tmp_path / learner, "--json", *tiny()
        )
        assert done.code == 0, done.err
        heads.append(json.loads(done.out)["run"])
    assert heads[0] != heads[1]


@needs_kernel
def test_a_fused_run_cannot_go_on_without_a_compiler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """resume and replay stop with exit 5 and the cure; nothing is changed."""
    directory = tmp_path / "run"
    with engine.start(directory, short(6), 3) as started:
        started.run(should_stop=lambda: started.rounds_done >= 3)
    before = (directory / "run.sqlite").read_bytes()
    monkeypatch.setattr(fused, "_library", lambda: "no C compiler: install one or set $CC")
    for arguments in (("resume", directory), ("verify", directory, "--replay")):
        done = call(*arguments)
        assert done.code == 5 and "install one or set $CC" in done.err and "made by the fused learner" in done.err
        assert done.err.rstrip().count("\n") <= 1 and "Traceback" not in done.err
    assert (directory / "run.sqlite").read_bytes() == before
    monkeypatch.undo()
    assert call("resume", directory, "--quiet").code == 0


def test_a_fast_run_goes_on_wherever_it_is(tmp_path: Path) -> None:
    """A run without the kernel keeps to its learner where there is a kernel."""
    directory = tmp_path / "run"
    with engine.start(directory, short(4), 3, learner="fast") as started:
        started.run(should_stop=lambda: started.rounds_done >= 2)
    with engine.resume(directory) as resumed:
        assert resumed.run().learner == "fast"


@pytest.mark.usefixtures("no_compiler")
def test_without_a_compiler_a_run_tells_why_it_is_slower(tmp_path: Path) -> None:
    """One line on stderr, exit 0; with --learner fused exit 5 and nothing left behind."""
    done = call("run", "small", "--rounds", "1", "--out", tmp_path / "run", *tiny())
    assert done.code == 0 and "learner fast: no C compiler" in done.err
    refused = call("run", "small", "--rounds", "1", "--out", tmp_path / "none", "--learner", "fused", *tiny())
    assert refused.code == 5 and "no C compiler" in refused.err and not (tmp_path / "none").exists()
    with pytest.raises(EnvironmentFault, match="no C compiler"):
        engine.start(tmp_path / "none", tiny_config(), 1, learner="fused")


def test_the_environment_names_a_learner(tmp_path: Path) -> None:
    """LINEAGE_ARENA_LEARNER is read, the flag is stronger, a wrong name is exit 2."""
    environment = {"LINEAGE_ARENA_LEARNER": "reference"}
    done = call("run", "small", "--rounds", "1", "--out", tmp_path / "a", "--json", *tiny(), env=environment)
    assert json.loads(done.out)["learner"] == "reference"
    done = call("run", "small", "--rounds", "1", "--out", tmp_path / "b", "--json", "--learner", "fast", *tiny(),
                env=environment)  # fmt: skip
    assert json.loads(done.out)["learner"] == "fast"
    wrong = call("run", "small", "--learner", "quick", "--out", tmp_path / "c")
    assert wrong.code == 2 and "quick" in wrong.err and not (tmp_path / "c").exists()


def test_doctor_says_which_learner_and_why(monkeypatch: pytest.MonkeyPatch) -> None:
    """A line of its own; without a kernel a warning, no failure."""
    lines = {line.split()[1]: line for line in call("doctor").out.splitlines()}
    assert LEARNER in lines["learner"]
    monkeypatch.setattr(fused, "_library", lambda: "no C compiler: install one")
    done = call("doctor")
    assert done.code == 0 and "warn learner       fast: no C compiler: install one" in done.out
