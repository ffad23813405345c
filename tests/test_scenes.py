"""Real runs of every kind of world start cleanly or not at all, resume after a cut, and verify on all four levels."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from arena.errors import ArenaError, EnvironmentFault
from arena.market.tape import read_tape
from lineage import engine
from lineage.record.store import FILE_NAME
from tests.runs import SEED, crash_after, go_on, lively, play, refused, rows_of, verified

STEPS = (
    "lineage.rundir.Lock.__init__", "lineage.numerics.pin_torch", "lineage.engine.World", "lineage.numerics.probe",
    "lineage.engine.to_toml", "lineage.rundir.write_text", "lineage.rundir.copy_file", "lineage.rundir.note",
    "lineage.engine.session", "lineage.record.store.check_identity", "lineage.record.store.migrate",
    "lineage.record.store.Store._insert_session", "pathlib.Path.replace", "lineage.record.store.Store.open_writer",
    "lineage.engine.Ledger", "lineage.engine.Engine.__init__",
)  # fmt: skip


@pytest.mark.parametrize("step", STEPS)
def test_a_start_that_fails_leaves_nothing(step: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At whichever step, by a fault or by Ctrl-C: a new directory is gone with its parents, an empty one is empty."""
    tape = tape_of(tmp_path, 170)
    config = on_tape(tape, "rounds=2")
    (tmp_path / "empty").mkdir()
    before = sorted(tmp_path.rglob("*"))

    def fail(*_: object, **__: object) -> None:
        raise fault

    for directory, fault in ((tmp_path / "a" / "b", EnvironmentFault("no")), (tmp_path / "empty", KeyboardInterrupt())):
        with monkeypatch.context() as patch:
            patch.setattr(step, fail)
            with pytest.raises(type(fault)):
                engine.start(directory, config, SEED, tape=tape)
        assert sorted(tmp_path.rglob("*")) == before


# ---- other populations, other worlds


def test_scripted_agents_play_and_verify(tmp_path: Path) -> None:
    """One of each strategy beside the learners; all but the quiet one trade."""
    strategies = ("random", "hold", "trend", "meanrev", "oracle")
    config = lively("rounds=15", "life.max_age_rounds=0", *(f"population.{name}=1" for name in strategies))
    summary = play(tmp_path / "run", config)
    with closing(sqlite3.connect(tmp_path / "run" / FILE_NAME)) as connection:
        rows = connection.execute(
            "SELECT a.mind, max(r.shares), max(r.closed_trades), max(r.updates) FROM agent a"
            " JOIN agent_round r USING (agent_id) WHERE a.inheritance = 'founder' GROUP BY a.mind"
        ).fetchall()
    found = {mind: (shares, closed, updates) for mind, shares, closed, updates in rows}
    assert set(found) == {*strategies, "dqn"}
    assert all(found[mind][0] > 0 for mind in found), "everybody held shares at some round's end"
    assert all(found[mind][1] > 0 for mind in ("random", "trend", "meanrev", "oracle"))
    assert [mind for mind in found if found[mind][2] > 0] == ["dqn"]
    assert verified(tmp_path / "run", summary.head).ok


SCENES = {
    "patron and dispersal in three markets": (
        "arena.markets=3", "arena.seats=4", "life.patron=true", "life.dispersal=1", "life.immigration_per_round=0.1",
        "life.founders_fraction=0.5", "life.max_age_rounds=0", "life.spawn_min_trades=1", "population.oracle=2",
    ),
    "gbm, darwinian": ("market.source=gbm", "lineage.inheritance=darwinian"),
    "crisis, baldwinian, mutated": (
        "market.crisis_hazard=0.05", "lineage.inheritance=baldwinian", "lineage.weight_mutation=0.05",
    ),
    "n-step, hard target, plain network": (
        "mind.n_step=3", "mind.target=hard", "mind.hard_target_every=20", "mind.dueling=false", "mind.double=false",
        "mind.updates_per_phase=2", "mind.update_every=3", "lineage.inherit_moments=false",
    ),
    "ruin without mercy": ("life.ruin_fraction=0.98", "life.spawn_wealth=2.0", "life.max_age_rounds=0"),
    "extinction": ("life.max_age_rounds=9", "life.immigration_per_round=0", "life.spawn_min_trades=999"),
    "fatal scars": (
        "scars.minor_points=5", "scars.moderate_points=5", "scars.severe_points=6", "scars.fatal_points=6",
        "scars.drawdown_step=0.05", "life.max_age_rounds=0",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", SCENES)
def test_every_scene_resumes_and_verifies(name: str, tmp_path: Path) -> None:
    """Cut off at round 12 and resumed: the head of the undisturbed run, and a history that holds on all levels."""
    config = lively("rounds=15", *SCENES[name])
    crash_after(engine.start(tmp_path / "run", config, SEED), 12)
    ended = go_on(tmp_path / "run")
    report = verified(tmp_path / "run", ended.head)  # replay plays it undisturbed from the seed
    assert report.ok, report.findings
    rows = rows_of(tmp_path / "run")
    if name.startswith("patron"):
        markets = {row[0]: row[6] for row in rows["agent"]}
        abroad = [row[0] for row in rows["agent"] if row[1] is not None and markets[row[1]] != row[6]]
        payers = [json.loads(row[6])["payer"] for row in rows["event"] if row[5] == "immigration"]
        assert abroad
        assert "patron" in payers
    if name == "extinction":
        assert (ended.alive, ended.status) == (0, "finished")
    if name.startswith("ruin"):
        assert ended.deaths_by_cause["bankrupt"] > 0
    if name.startswith("fatal"):
        assert ended.deaths_by_cause["terminal_damage"] > 0


def tape_of(folder: Path, bars: int) -> Path:
    """Write a tape of daily bars that wander, in a file as banks and brokers write them."""
    draw = np.random.Generator(np.random.Philox(11))
    close = 50.0 * np.exp(np.cumsum(draw.normal(0.0005, 0.02, bars)))
    opened = np.roll(close, 1) * np.exp(draw.normal(0.0, 0.004, bars))
    high, low = np.maximum(opened, close) * 1.007, np.minimum(opened, close) * 0.993
    days = np.datetime64("2019-01-01") + np.arange(bars)
    lines = ["Date,Open,High,Low,Close,Volume"]
    lines += [
        f"{day},{a!r},{b!r},{c!r},{d!r},{1000 + index}"
        for index, (day, a, b, c, d) in enumerate(
            zip(days, opened.tolist(), high.tolist(), low.tolist(), close.tolist(), strict=True)
        )
    ]
    path = folder / "bars of X.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def on_tape(tape: Path, *assignments: str) -> Any:
    """Return a lively configuration that plays a tape."""
    read = read_tape(tape)
    config = lively(*assignments)
    market = msgspec.structs.replace(
        config.market, source="tape", tape_name=read.name, tape_sha256=read.sha256, impact_bps=0.0
    )
    return msgspec.structs.replace(config, market=market)


def test_a_tape_is_played_as_it_is_recorded(tmp_path: Path) -> None:
    """Opens, times and volumes are the file's, bit for bit; the run resumes from its own copy and verifies."""
    tape = tape_of(tmp_path, 420)
    read = read_tape(tape)
    config = on_tape(tape, "rounds=36", "arena.markets=2", "arena.seats=4")
    directory = tmp_path / "run"
    crash_after(engine.start(directory, config, SEED, tape=tape), 17)
    tape.unlink()
    ended = go_on(directory)
    with closing(sqlite3.connect(directory / FILE_NAME)) as connection:
        for market in range(2):
            query = "SELECT open, high, low, close, volume, time FROM bar WHERE market = ? ORDER BY tick"
            bars = list(zip(*connection.execute(query, (market,)), strict=True))
            assert len(bars[0]) == 128 + 36 * 8
            recorded = (read.open, read.high, read.low, read.close, read.volume)
            for stored, column in zip(bars, recorded, strict=False):
                assert list(stored) == column[: len(stored)].tolist()
            assert list(bars[5]) == read.times[: len(bars[5])]
    report = verified(directory, ended.head)
    assert report.ok, report.findings
    assert ended.scars > 0


def test_a_tape_that_changed_or_vanished_is_refused(tmp_path: Path) -> None:
    """The run's own copy is the tape; another one under its name is not."""
    tape = tape_of(tmp_path, 300)
    directory = tmp_path / "run"
    crash_after(engine.start(directory, on_tape(tape, "rounds=20"), SEED, tape=tape), 7)
    copy = directory / tape.name
    original = copy.read_bytes()
    copy.write_bytes(original + b"2030-01-01,1,1,1,1,1\n")
    refused(directory, "put the original tape back")
    copy.unlink()
    with pytest.raises(ArenaError) as caught:
        engine.resume(directory)
    assert caught.value.exit_code == 3
    copy.write_bytes(original)
    assert go_on(directory).status == "finished"
