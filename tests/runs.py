"""Real runs of the engine, small enough for a second: births, deaths and immigrants within twenty rounds."""

import hashlib
import math
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from arena.errors import StoreError
from lineage import engine, settings
from lineage.config import RunConfig
from lineage.record.schema import TABLES
from lineage.record.store import FILE_NAME
from lineage.record.verify import VerifyReport, verify

ROOT = Path(__file__).parent.parent
ROUNDS, EVERY, SEED = 20, 5, 5

LIVELY = (
    "arena.seats=8", "arena.ticks_per_round=8", f"rounds={ROUNDS}", f"record.checkpoint_every={EVERY}",
    "market.warmup_bars=128", "market.drift=0.01", "market.drift_stay=0.95", "population.oracle=1",
    "market.impact_bps=4", "body.fee_bps=2", "body.living_cost_bps=10", "body.wealth_cost_bps=10",
    "body.aging_rounds=150", "scars.drawdown_step=0.12", "mind.hidden=[16, 16]", "mind.replay_capacity=256",
    "mind.learn_start=32", "mind.update_every=1", "mind.n_step=1",
    "life.founder_apprentice_rounds=2", "life.heir_apprentice_rounds=1", "life.founders_fraction=0.75",
    "life.max_age_rounds=15", "life.ruin_fraction=0.04", "life.spawn_wealth=1.05", "life.spawn_min_trades=2",
    "life.spawn_min_win_rate=0", "life.spawn_cooldown_rounds=2", "life.immigration_per_round=0.5",
)  # fmt: skip
"""An oracle that soon has children, learners that retire early, and strangers in their seats.

Whatever decides how lively it gets is given here, so that a new calibration of the defaults does not change it.
"""

Rows = dict[str, list[tuple[Any, ...]]]


def lively(*assignments: str) -> RunConfig:
    """Return the configuration of a lively run, with further `a.b=c` assignments."""
    return settings.load("small", assignments=[*LIVELY, *assignments], environment={}).config


def play(directory: Path, config: RunConfig, seed: int = SEED, **options: Any) -> engine.RunSummary:
    """Play a whole run."""
    with engine.start(directory, config, seed, **options) as started:
        return started.run()


def go_on(directory: Path, **options: Any) -> engine.RunSummary:
    """Resume a run and play it to its end."""
    with engine.resume(directory, **options) as resumed:
        return resumed.run()


def rounds_left(count: int) -> Callable[[], bool]:
    """Return a `should_stop` that lets `count` rounds pass."""
    asked = iter(range(count))
    return lambda: next(asked, None) is None


class Crash(Exception):
    """What ends a run in the middle without its knowing."""


def crash_after(engine_: engine.Engine, rounds: int) -> None:
    """Play until `rounds` rounds are recorded, then drop everything as a crash would."""

    def on_round(running: engine.Engine) -> None:
        if running.rounds_done == rounds:
            raise Crash

    try:
        with engine_:
            engine_.run(on_round=on_round)
    except Crash:
        return
    raise AssertionError(f"the run ended before {rounds} rounds")


def rows_of(directory: Path) -> Rows:
    """Return every row of every table, and of `agent` and `event`, in the order of the keys; floats bit for bit."""
    with closing(sqlite3.connect(directory / FILE_NAME)) as connection:
        found: Rows = {}
        for table in (*TABLES, "agent", "event"):
            keys = [row[1] for row in connection.execute(f"PRAGMA table_info({table})") if row[5]] or ["1"]
            rows = connection.execute(f"SELECT * FROM {table} ORDER BY {', '.join(keys)}").fetchall()
            found[table] = [tuple(map(_exact, row)) for row in rows]
        return found


def _exact(value: Any) -> Any:
    """Return a double with its sign: 0.0 == -0.0 for Python, not for us."""
    return (value, math.copysign(1.0, value)) if isinstance(value, float) else value


def history_of(directory: Path) -> Rows:
    """Return what must not depend on when somebody stopped: all rows but the sessions and their own checkpoints.

    An interruption may leave a checkpoint of its own; those of every fifth round are the same in file and hash.
    """
    rows = rows_of(directory)
    del rows["session"]
    rows["checkpoint"] = [row[:4] for row in rows["checkpoint"] if (row[0] + 1) % EVERY == 0]
    return rows


def files_of(directory: Path) -> dict[str, str]:
    """Return the hash of every file of a run, but for lock, log and what an open database leaves."""
    passing = ("run.lock", "log.jsonl", f"{FILE_NAME}-wal", f"{FILE_NAME}-shm")
    return {
        str(path.relative_to(directory)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(directory.rglob("*"))
        if path.is_file() and path.name not in passing
    }


def verified(directory: Path, head: str, *, replay: bool = True) -> VerifyReport:
    """Return the report of all levels, the history played again unless told otherwise."""

    def play_again(where: Path) -> list[str]:
        identical, found = engine.replay(where)
        return [] if identical else [found]

    return verify(directory, replay=replay, head=head, replayer=play_again)


def refused(directory: Path, words: str, kind: type[StoreError] = StoreError, **options: Any) -> None:
    """Assert that a run cannot be resumed: exit 4, one line, nothing changed."""
    rows, files = rows_of(directory), files_of(directory)
    with pytest.raises(StoreError, match=words) as caught:
        go_on(directory, **options)
    assert type(caught.value) is kind
    assert caught.value.exit_code == 4
    assert "\n" not in str(caught.value)
    assert rows_of(directory) == rows
    assert {**files_of(directory), FILE_NAME: ""} == {**files, FILE_NAME: ""}


def copied(source: Path, target: Path) -> Path:
    """Return a copy of a run's directory."""
    shutil.copytree(source, target)
    return target


def python(program: str, *arguments: str, **environment: str) -> str:
    """Run a program in a process of its own and return what it prints."""
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **environment},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()
