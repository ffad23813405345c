"""Matches on Ray: the tables of any other engine, whoever is lost on the way; the engine's own logic needs no Ray."""

import importlib.util
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from lineage.contest import engines, engines_ray, tournament_plan
from lineage.contest.batches import batches
from lineage.contest.matches import MatchResult
from lineage.contest.results import Results
from lineage.contest.tournament_plan import decode_matches, matches_of
from tests.commands import call
from tests.tournaments import HERE, plan, tables

needs_ray = pytest.mark.skipif(
    importlib.util.find_spec("ray") is None,
    reason="ray is not installed: pip install -c constraints.txt 'lineage-arena[ray]' (python below 3.14, 260 MB)",
)


class LostError(Exception):
    """What the stand-in raises for a task whose workers died."""


class Stand:
    """A stand-in for the module `ray`: tasks are played when they are waited for, some of them lose their worker."""

    exceptions = SimpleNamespace(RayError=LostError)

    def __init__(self, lost: Callable[[int], bool] = lambda matches: False) -> None:
        """`lost`: whether a task of so many matches is lost for good."""
        self.lost, self.most, self.is_down, self.options = lost, 0, False, dict[str, Any]()
        self.flying: list[tuple[Any, ...]] = []

    def remote(self, **options: Any) -> Callable[..., Any]:
        """Return what makes a function a task."""
        self.options = options
        return lambda task: SimpleNamespace(remote=lambda *given: self._start(task, *given))

    def _start(self, *task: Any) -> tuple[Any, ...]:
        self.flying.append(task)
        self.most = max(self.most, len(self.flying))
        return task

    def put(self, value: bytes) -> bytes:
        """Share a value."""
        return value

    def wait(self, flying: list[Any], num_returns: int, timeout: float) -> tuple[list[Any], list[Any]]:
        """Finish the task that began last, so that results come in another order than they were asked for."""
        return flying[-num_returns:], flying[:-num_returns]

    def get(self, task: Any) -> bytes:
        """Return what it found."""
        self.flying.remove(task)
        function, shared, given = task
        if self.lost(len(decode_matches(given))):
            raise LostError("the worker died\nunexpectedly")
        found: bytes = function(shared, given)
        return found

    def shutdown(self) -> None:
        """Note that it is over."""
        self.is_down = True


MADE = plan(seeds="0:3")
PARTS = batches(MADE, matches_of(MADE), 1)


def on_stand(ray: Stand, should_stop: Callable[[], bool] = lambda: False) -> Iterator[list[MatchResult]]:
    """Play the small tournament, a batch a match but for the first of eight."""
    (whole,) = PARTS
    parts = [whole[:8], *([match] for match in whole[8:])]
    return engines_ray.on_ray(ray, 2, MADE, parts, should_stop)


def by_key(parts: Iterator[list[MatchResult]]) -> dict[str, MatchResult]:
    """Return results by match, each there once."""
    found = [result for part in parts for result in part]
    assert len({result.key for result in found}) == len(found)
    return {result.key: result for result in found}


LOCAL = by_key(engines.in_this_process(MADE, PARTS, lambda: False))


def test_tasks_find_what_this_process_finds() -> None:
    """Whatever order they end in; a few in flight for each processor, Ray told to retry, and shut down at the end."""
    ray = Stand()
    assert by_key(on_stand(ray)) == LOCAL
    assert ray.most == 2 * engines_ray.AHEAD
    assert ray.options == {"num_cpus": 1, "max_retries": engines.ATTEMPTS - 1}
    assert ray.is_down


def test_a_lost_batch_is_played_match_by_match() -> None:
    """One match in it may be what kills workers: the others have their results."""
    assert by_key(on_stand(Stand(lost=lambda matches: matches > 1))) == LOCAL


def test_a_match_that_is_always_lost_is_given_up() -> None:
    """With Ray's words in one line; what was never lost is done."""
    found = by_key(on_stand(Stand(lost=lambda matches: matches == 1)))
    assert len(found) == len(LOCAL)
    assert sorted(result.status for result in found.values()) == ["done"] * 8 + ["failed"] * (len(LOCAL) - 8)
    failed = next(result for result in found.values() if result.status == "failed")
    assert failed.error == "Ray lost it 3 times: the worker died unexpectedly; --resume tries it again"


def test_told_to_stop_what_flies_is_landed() -> None:
    """Nothing new is begun; Ray is shut down."""
    ray, asked = Stand(), iter([False, False])
    found = by_key(on_stand(ray, lambda: next(asked, True)))
    assert 0 < len(found) < len(LOCAL) and not ray.flying and ray.is_down
    assert all(LOCAL[key] == result for key, result in found.items())


def test_a_worker_of_another_build_plays_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its results might differ: every match fails with what differs and the cure."""
    here = tournament_plan.build_here()
    monkeypatch.setattr(tournament_plan, "build_here", lambda: here | {"torch": "1.0"})
    found = by_key(on_stand(Stand()))
    assert {result.status for result in found.values()} == {"failed"}
    assert f"a worker has another build (torch {here['torch']}, here 1.0); install the same" in found.popitem()[1].error


@pytest.mark.parametrize(
    ("flags", "words"),
    [(("--address", "nowhere:1"), "--address nowhere:1: Ray does not answer: no cluster"),
     ((), "--engine ray: Ray cannot be started here: no cluster")],
)  # fmt: skip
def test_a_cluster_that_does_not_answer_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flags: tuple[str, ...], words: str
) -> None:
    """Exit 5, before any file is made."""

    def init(**_: Any) -> None:
        raise ConnectionError("no\ncluster")

    monkeypatch.setitem(sys.modules, "ray", SimpleNamespace(init=init))
    monkeypatch.chdir(tmp_path)
    done = call("tournament", "--entrants", "trend", "--engine", "ray", *flags, "--out", "x.sqlite")
    assert done.code == 5 and words in done.err and done.err.count("\n") == 1
    assert not list(tmp_path.iterdir())


SPEC = """
seeds = "0:5"
ticks = 300
mixes = ["alone", "together"]
[[entrant]]
name = "mine"
class = "my_policy:Momentum"
[[entrant]]
name = "people"
scenario = "small"
rounds = 12
set = ["life.founder_apprentice_rounds=2"]
[[world]]
name = "easy"
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a tournament and what it comes to on this machine without Ray."""
    folder = tmp_path_factory.mktemp("ray")
    (folder / "cup.toml").write_text(SPEC)
    (folder / "my_policy.py").write_bytes((HERE.parent / "examples" / "my_policy.py").read_bytes())
    assert call("tournament", folder / "cup.toml", "--out", folder / "local.sqlite", "--quiet").code == 0
    return folder


def driver(home: Path, out: str, *flags: str) -> subprocess.Popen[str]:
    """Start the tournament on Ray in a process of its own: what Ray does to a process stays there."""
    command = [sys.executable, "-m", "tui.cli", "tournament", str(home / "cup.toml"), "--engine", "ray", "--jobs", "2",
               "--out", str(home / out), "--quiet", *flags]  # fmt: skip
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=home,
        env={**os.environ, "PYTHONPATH": str(HERE.parent), "OMP_NUM_THREADS": "1", "RAY_USAGE_STATS_ENABLED": "0"},
    )  # fmt: skip


def busy_workers(root: int) -> list[int]:
    """Return the processes below `root` in which Ray is playing a task."""
    parents, titles = {}, {}
    for place in Path("/proc").glob("[0-9]*"):
        try:
            parents[int(place.name)] = int((place / "stat").read_text().rpartition(")")[2].split()[1])
            titles[int(place.name)] = (place / "cmdline").read_bytes()
        except OSError:  # it has just ended
            continue

    def is_below(process: int) -> bool:
        while process in parents and process != root:
            process = parents[process]
        return process == root

    return [process for process, title in titles.items() if title.startswith(b"ray::_task") and is_below(process)]


def wait_for(found: Callable[[], Any], process: subprocess.Popen[str]) -> Any:
    """Return the first true value, while the process lives."""
    until = time.monotonic() + 120.0
    while not (value := found()):
        assert process.poll() is None and time.monotonic() < until, process.communicate()
        time.sleep(0.02)
    return value


def tables_in(path: Path) -> dict[str, list[dict[str, Any]]]:
    """Return what must not depend on the engine."""
    with Results.read(path) as results:
        return tables(results)


@needs_ray
@pytest.mark.slow
def test_ray_gives_the_local_tables_though_a_worker_is_killed(home: Path) -> None:
    """SIGKILL to the first worker that plays: its task is tried again, and every row is that of a local tournament."""
    process = driver(home, "ray.sqlite")
    victim = wait_for(lambda: busy_workers(process.pid), process)[0]
    os.kill(victim, signal.SIGKILL)
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    assert out == call("tournament", "show", home / "local.sqlite").out  # what Ray says of the lost worker is no data
    assert tables_in(home / "ray.sqlite") == tables_in(home / "local.sqlite")
    with Results.read(home / "ray.sqlite") as results:
        assert [(row["engine"], row["jobs"]) for row in results.sessions()] == [("ray", 2)]


@needs_ray
@pytest.mark.slow
def test_a_lost_driver_loses_no_finished_match(home: Path) -> None:
    """SIGKILL to the tournament itself: its workers end, --resume goes on, and every row is as if nothing happened."""

    def finished() -> int:
        try:
            return len(tables_in(home / "lost.sqlite")["match"])
        except Exception:  # not begun yet
            return 0

    process = driver(home, "lost.sqlite")
    wait_for(lambda: finished() and busy_workers(process.pid), process)
    workers = busy_workers(process.pid)
    process.kill()
    process.communicate()
    kept = finished()
    assert 0 < kept < len(tables_in(home / "local.sqlite")["match"])
    until = time.monotonic() + 60.0
    while any(Path(f"/proc/{worker}").exists() for worker in workers) and time.monotonic() < until:
        time.sleep(0.1)
    assert not [worker for worker in workers if Path(f"/proc/{worker}").exists()]
    again = driver(home, "lost.sqlite", "--resume")
    _, err = again.communicate(timeout=300)
    assert again.returncode == 0, err
    assert tables_in(home / "lost.sqlite") == tables_in(home / "local.sqlite")
