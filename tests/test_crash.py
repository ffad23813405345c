"""kill -9 at any moment: what was recorded stays, and resume ends on the head of the run that nobody killed."""

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from arena.errors import ConfigError, EnvironmentFault
from lineage import engine
from lineage.record.store import FILE_NAME
from tests.runs import (
    EVERY,
    ROOT,
    ROUNDS,
    SEED,
    Rows,
    copied,
    go_on,
    history_of,
    lively,
    play,
    rounds_left,
    rows_of,
    verified,
)
from tests.victims import PAUSE, POINTS

KILLED = -signal.SIGKILL


class Victims:
    """The server that forks victims, and the means to kill them."""

    def __init__(self) -> None:
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.victims"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment, cwd=ROOT,
        )  # fmt: skip
        self.read()

    def read(self) -> int:
        """Return the one number of the next line."""
        assert self.process.stdout is not None
        (value,) = json.loads(self.process.stdout.readline()).values()
        return int(value)

    def send(self, directory: Path, do: str, point: str = "") -> int:
        """Let a victim start or resume a run; return its pid."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"directory": str(directory), "do": do, "point": point}) + "\n")
        self.process.stdin.flush()
        return self.read()

    def kill_after(self, directory: Path, do: str, seconds: float) -> int:
        """Kill a victim some time after it began; return its exit code, 0 when it was faster."""
        pid = self.send(directory, do)
        time.sleep(seconds)
        with contextlib.suppress(ProcessLookupError):  # it may have ended
            os.kill(pid, signal.SIGKILL)
        return self.read()


@pytest.fixture(scope="module")
def victims() -> Iterator[Victims]:
    """One server for the module."""
    server = Victims()
    yield server
    assert server.process.stdin is not None
    server.process.stdin.close()
    server.process.wait(timeout=60)
    assert server.process.stdout is not None
    server.process.stdout.close()


class Undisturbed:
    """The run that nobody killed."""

    def __init__(self, directory: Path) -> None:
        self.head = play(directory, lively()).head
        self.history = history_of(directory)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    """Played in this process."""
    return Undisturbed(tmp_path_factory.mktemp("undisturbed") / "run")


@pytest.fixture(scope="module")
def duration(victims: Victims, tmp_path_factory: pytest.TempPathFactory) -> float:
    """Seconds that a victim lives when it is let live."""
    began = time.monotonic()
    victims.send(tmp_path_factory.mktemp("unharmed") / "run", "start")
    assert victims.read() == 0
    return time.monotonic() - began


def remains(directory: Path) -> Rows:
    """Return what a crash left, without touching it: reading would fold the write-ahead log into the file."""
    copy = copied(directory, directory.with_name("remains-" + directory.name + str(time.monotonic_ns())))
    return rows_of(copy)


def recovers(directory: Path, undisturbed: Undisturbed) -> int:
    """Resume a killed run and hold it against the undisturbed one; return how many rounds were computed again."""
    before = remains(directory)
    recorded = len(before["round"])
    with engine.resume(directory) as resumed:
        again = recorded - resumed.rounds_done
        assert resumed.run().head == undisturbed.head
    after = rows_of(directory)
    for table in before:
        assert set(before[table]) <= set(after[table]), table
    assert after["event"][: len(before["event"])] == before["event"]
    assert history_of(directory) == undisturbed.history
    assert not list(directory.rglob("*.partial"))
    report = verified(directory, undisturbed.head, replay=False)
    assert report.ok, report.findings
    return again


def kill_at_random(victims: Victims, undisturbed: Undisturbed, place: Path, dice: random.Random, longest: float) -> int:
    """Start a run, kill it, and perhaps its resumptions too; return how many kills it took."""
    kills, do = 0, "start"
    while kills == 0 or dice.random() < 0.5:
        code = victims.kill_after(place, do, dice.uniform(0.0, longest))
        assert code in (0, KILLED)
        if not (place / FILE_NAME).exists():  # before anything was recorded: there is no run, and it says so
            with pytest.raises(ConfigError, match="no run is recorded here"):
                engine.resume(place)
            return 1
        kills += 1
        do = "resume"
    assert recovers(place, undisturbed) <= EVERY
    return kills


@pytest.mark.parametrize("many", [5, pytest.param(25, marks=pytest.mark.slow)])
def test_kills_at_random_moments(
    many: int, victims: Victims, undisturbed: Undisturbed, duration: float, tmp_path: Path
) -> None:
    """Somewhere between the start and the end: neither the dice nor the test decide where exactly."""
    dice, kills = random.Random(many), 0
    while kills < many:
        kills += kill_at_random(victims, undisturbed, tmp_path / f"run-{kills}", dice, duration)


@pytest.mark.parametrize("point", POINTS)
def test_a_kill_where_it_hurts_most(victims: Victims, undisturbed: Undisturbed, tmp_path: Path, point: str) -> None:
    """Between a file and its name, between a checkpoint and its round, inside a transaction, at the end."""
    directory = tmp_path / "run"
    victims.send(directory, "start", point)
    assert victims.read() == KILLED
    if point == "the database has no name yet":
        with pytest.raises(ConfigError, match="no run is recorded here"):
            engine.resume(directory)
        with pytest.raises(ConfigError, match="not empty and holds no run"):
            engine.start(directory, lively(), SEED)
        return
    assert recovers(directory, undisturbed) <= EVERY


def test_a_resume_that_is_killed_is_resumed(victims: Victims, undisturbed: Undisturbed, tmp_path: Path) -> None:
    """Killed at the second checkpoint, killed again at the end, and again before the file is closed."""
    directory = tmp_path / "run"
    for do, point in (
        ("start", "a checkpoint is half written"), ("resume", "the last round is written, the end is not"),
        ("resume", "the log is not yet folded into the file"),
    ):  # fmt: skip
        victims.send(directory, do, point)
        assert victims.read() == KILLED
    assert recovers(directory, undisturbed) <= EVERY
    assert len(rows_of(directory)["round"]) == ROUNDS


def test_a_living_writer_of_another_process_is_respected(
    victims: Victims, undisturbed: Undisturbed, tmp_path: Path
) -> None:
    """Two processes on one run: the second leaves with code 5 and the first one's pid, and disturbs nothing."""
    directory = tmp_path / "run"
    with engine.start(directory, lively(), SEED) as mine:
        mine.run(should_stop=rounds_left(7))
        victims.send(directory, "resume")
        assert victims.read() == 1
    pid = victims.send(directory, "resume", PAUSE)
    deadline = time.monotonic() + 60
    while (directory / "run.lock").read_text() != str(pid):
        assert time.monotonic() < deadline
        time.sleep(0.005)
    with pytest.raises(EnvironmentFault, match=f"process {pid} is writing this run"):
        engine.resume(directory)
    while stopped(pid) is False:
        assert time.monotonic() < deadline
        time.sleep(0.005)
    os.kill(pid, signal.SIGCONT)
    assert victims.read() == 0
    assert go_on(directory).head == undisturbed.head


def stopped(pid: int) -> bool:
    """Return whether a process was stopped by a signal."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"
