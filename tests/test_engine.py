"""Promises held against real runs: the same seed, interruption, damage, other machines, one writer."""

import json
import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch

from agents.mind import Minds
from arena.errors import BuildError, ConfigError, DivergenceError, EnvironmentFault, InvariantError
from lineage import engine, numerics, rundir
from lineage.record.family import Family
from lineage.record.provenance import versions
from lineage.record.store import FILE_NAME, Store
from lineage.world import World
from tests.runs import (
    EVERY,
    ROUNDS,
    SEED,
    Crash,
    copied,
    crash_after,
    files_of,
    go_on,
    history_of,
    lively,
    play,
    python,
    refused,
    rounds_left,
    rows_of,
    verified,
)
from tests.tampering import opened, without_guards


class Whole(NamedTuple):
    """A finished run that nobody disturbed."""

    directory: Path
    summary: engine.RunSummary
    history: dict[str, list[tuple[Any, ...]]]

    @property
    def head(self) -> str:
        """Where every way of playing this run must end."""
        return self.summary.head


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Whole:
    """The run that all others are compared with."""
    directory = tmp_path_factory.mktemp("whole") / "run"
    summary = play(directory, lively())
    return Whole(directory, summary, history_of(directory))


@pytest.fixture(scope="module")
def crashed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same run, cut off without warning after 13 rounds; checkpoints of rounds 4 and 9 are there."""
    directory = tmp_path_factory.mktemp("crashed") / "run"
    crash_after(engine.start(directory, lively(), SEED), 13)
    return directory


@pytest.fixture
def cut(crashed: Path, tmp_path: Path) -> Path:
    """A copy of the crashed run."""
    return copied(crashed, tmp_path / "cut")


def checkpoints_in(directory: Path) -> list[Path]:
    """Return the checkpoint files, newest first."""
    return sorted((directory / "checkpoints").iterdir(), reverse=True)


def edit(directory: Path, statement: str, *values: object) -> None:
    """Change a database behind the back of its guards."""
    with opened(directory) as connection:
        without_guards(connection, lambda: connection.execute(statement, values))


# ---- the same seed


def test_the_run_that_is_compared_with_is_worth_it(whole: Whole) -> None:
    """Everything that can happen to an agent happens in it, to learners too, and it verifies on all four levels."""
    rows = whole.history
    kinds = {row[5] for row in rows["event"]}
    assert kinds >= {"birth", "scar", "spawn", "graduation", "death", "censored", "immigration", "round", "closed"}
    heirs = [row for row in rows["agent"] if row[1] is not None]
    assert "dqn" in {row[10] for row in heirs}
    assert whole.summary.status == "finished"
    assert (whole.summary.rounds, len(rows["round"]), len(rows["checkpoint"])) == (ROUNDS, ROUNDS, ROUNDS // EVERY)
    assert whole.summary.updates > 500
    report = verified(whole.directory, whole.head)
    assert report.ok, report.findings
    assert [level.name for level in report.levels] == ["structural", "cryptographic", "accounting", "causal"]
    assert report.checkpoint_line == whole.summary.checkpoint_line


PLAY = """
import json, sys
from pathlib import Path
from tests.runs import lively, play
print(play(Path(sys.argv[1]), lively(), threads=int(sys.argv[2])).head)
"""


def test_another_process_writes_the_same_history(whole: Whole, tmp_path: Path) -> None:
    """Another hash seed, another directory, another working directory: the same bytes."""
    assert python(PLAY, str(tmp_path / "elsewhere"), "1", PYTHONHASHSEED="77", TZ="Asia/Tokyo") == whole.head
    assert history_of(tmp_path / "elsewhere") == whole.history


def test_another_seed_or_configuration_writes_another_history(whole: Whole, tmp_path: Path) -> None:
    """Heads would be worth nothing if they were always the same."""
    heads = {whole.head, play(tmp_path / "seed", lively("rounds=3"), seed=SEED + 1).head}
    heads |= {play(tmp_path / "same", lively("rounds=3")).head}
    heads |= {play(tmp_path / "fee", lively("rounds=3", "body.fee_bps=10.5")).head}
    assert len(heads) == 4
    assert rows_of(tmp_path / "seed")["bar"] != rows_of(tmp_path / "same")["bar"]


def test_global_generators_stay_untouched(tmp_path: Path) -> None:
    """Whoever uses this as a library keeps their own random numbers."""
    random.seed(1)
    np.random.seed(1)
    torch.manual_seed(1)
    before = (random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist())  # type: ignore[index]
    play(tmp_path / "run", lively("rounds=6"))
    after = (random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist())  # type: ignore[index]
    assert before == after


def test_watching_changes_nothing(whole: Whole, tmp_path: Path) -> None:
    """An observer that looks at everything after each round, and consumes global randomness, sees the same history."""
    seen: list[int] = []

    def on_round(running: engine.Engine) -> None:
        world = running.world
        seen.append(running.rounds_done)
        world.arena.observe()
        world.minds.q_values(world.arena.obs)
        world.datacollector.collect(world)
        running.summary()
        assert [view.equity for view in world.agents]
        assert world.state_arrays()
        random.random()
        np.random.random()
        torch.rand(1)

    with engine.start(tmp_path / "run", lively(), SEED) as started:
        assert started.run(on_round=on_round).head == whole.head
    assert seen == list(range(1, ROUNDS + 1))
    assert history_of(tmp_path / "run") == whole.history


# ---- interrupted and resumed


@pytest.mark.parametrize("stops", [(1,), (5,), (ROUNDS - 1,), (3, 8, 9, 10, 17)])
def test_interrupted_and_resumed_is_the_same_history(whole: Whole, tmp_path: Path, stops: tuple[int, ...]) -> None:
    """Row for row in every table but that of sessions; checkpoints of the same rounds have the same hash."""
    directory = tmp_path / "run"
    with engine.start(directory, lively(), SEED) as running:
        summary = running.run(should_stop=rounds_left(stops[0]))
        assert (summary.status, summary.rounds) == ("interrupted", stops[0])
    for stop in stops[1:]:
        with engine.resume(directory) as running:
            assert running.run(should_stop=rounds_left(stop - running.rounds_done)).rounds == stop
    ended = go_on(directory)
    assert (ended.status, ended.head, ended.root) == ("finished", whole.head, whole.summary.root)
    assert history_of(directory) == whole.history
    counted = ("born", "died", "alive", "scars", "generations", "agent_steps", "updates", "deaths_by_cause")
    assert all(getattr(ended, name) == getattr(whole.summary, name) for name in counted)
    assert len(rows_of(directory)["session"]) == len(stops) + 1
    report = verified(directory, whole.head, replay=False)
    assert report.ok, report.findings


def test_a_stop_before_the_first_round_or_between_two_writes_nothing(tmp_path: Path) -> None:
    """No checkpoint, no session: nothing was done."""
    directory = tmp_path / "run"
    with engine.start(directory, lively("rounds=7"), SEED) as running:
        assert running.run(should_stop=lambda: True).rounds == 0
    assert not (directory / "checkpoints").exists()
    with engine.resume(directory) as running:
        running.run(should_stop=rounds_left(6))
    before = files_of(directory)
    for _ in range(2):
        with engine.resume(directory) as running:
            assert running.run(should_stop=rounds_left(6 - running.rounds_done)).status == "interrupted"
    assert files_of(directory) == before
    assert go_on(directory).status == "finished"


def test_a_crash_loses_at_most_the_running_round(whole: Whole, cut: Path) -> None:
    """What was recorded stays, fewer rounds than lie between two checkpoints are computed again."""
    before = rows_of(cut)
    assert len(before["round"]) == 13
    with engine.resume(cut) as resumed:
        assert resumed.rounds_done == 10
        assert resumed.run().head == whole.head
    after = rows_of(cut)
    assert all(after[table][: len(rows)] == rows for table, rows in before.items() if table in ("event", "round"))
    assert history_of(cut) == whole.history
    assert verified(cut, whole.head).ok


def test_a_crash_right_after_a_checkpoint_still_recomputes(whole: Whole, tmp_path: Path) -> None:
    """The checkpoint of the last recorded round proves nothing by itself; the one before it is used."""
    directory = tmp_path / "run"
    crash_after(engine.start(directory, lively(), SEED), 15)
    with engine.resume(directory) as resumed:
        assert resumed.rounds_done == 10
        assert resumed.run().head == whole.head


def test_resuming_a_finished_run_changes_not_one_byte(whole: Whole, tmp_path: Path) -> None:
    """The same summary once more."""
    directory = copied(whole.directory, tmp_path / "run")
    before = files_of(directory)
    again = go_on(directory)
    assert (again.status, again.head, again.checkpoint_line) == ("finished", whole.head, whole.summary.checkpoint_line)
    assert (again.born, again.died, again.updates) == (whole.summary.born, whole.summary.died, whole.summary.updates)
    assert files_of(directory) == before


STATE = ("market", "senses", "bodies", "accounts", "brains", "replay", "minds", "clock.next_agent_id")


@pytest.mark.parametrize("part", STATE)
def test_a_restore_that_forgets_a_part_does_not_go_on(cut: Path, part: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sabotage: whichever part of a checkpoint is left as it is in a new world, the recorded rounds do not follow."""
    original = World.restore

    def restore(self: World, saved: dict[str, np.ndarray], family: Family) -> None:
        fresh = {name: value.copy() for name, value in self.state_arrays().items()}
        names = [name for name in saved if name.startswith(part)]
        assert names
        original(self, saved | {name: fresh.get(name, np.array([0])) for name in names}, family)

    monkeypatch.setattr(World, "restore", restore)
    with pytest.raises((DivergenceError, InvariantError)):
        go_on(cut)


# ---- damaged checkpoints

Damage = Callable[[Path], object]


def flip(path: Path) -> None:
    """Change one byte in the middle."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


DAMAGES: dict[str, Damage] = {
    "one byte": flip,
    "cut short": lambda path: path.write_bytes(path.read_bytes()[:-1]),
    "empty": lambda path: path.write_bytes(b""),
    "text": lambda path: path.write_text("not a checkpoint"),
    "gone": lambda path: path.unlink(),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_newest_checkpoint_falls_back_to_an_older_one(whole: Whole, cut: Path, damage: str) -> None:
    """The older one is used, the history is the same, and the damaged file is written anew."""
    newest = checkpoints_in(cut)[0]
    DAMAGES[damage](newest)
    with engine.resume(cut) as resumed:
        assert resumed.rounds_done == 5
        assert resumed.run().head == whole.head
    assert history_of(cut) == whole.history
    assert verified(cut, whole.head, replay=False).ok


def test_with_all_checkpoints_damaged_the_beginning_is_good_enough(whole: Whole, cut: Path) -> None:
    """From round 0 on, with the same end."""
    for path in checkpoints_in(cut):
        flip(path)
    with engine.resume(cut) as resumed:
        assert resumed.rounds_done == 0
        assert resumed.run().head == whole.head
    assert history_of(cut) == whole.history


def test_a_damaged_checkpoint_of_a_finished_run_is_mended(whole: Whole, tmp_path: Path) -> None:
    """Verify misses it, resume writes the same bytes again, verify is content."""
    directory = copied(whole.directory, tmp_path / "run")
    before = files_of(directory)
    for path in checkpoints_in(directory):
        flip(path)
    assert not verified(directory, whole.head, replay=False).ok
    assert go_on(directory).head == whole.head
    assert files_of(directory) == before
    assert verified(directory, whole.head, replay=False).ok


def test_a_forged_checkpoint_is_noticed_by_the_rounds_that_follow_from_it(cut: Path) -> None:
    """Somebody makes an agent rich in a checkpoint and puts the file's new hash, and the row's, in place."""
    from lineage.record.checkpoint import read_checkpoint, write_checkpoint
    from lineage.record.store import checkpoint_hash

    arrays, metadata = read_checkpoint(checkpoints_in(cut)[0])
    seat = int(np.flatnonzero(arrays["bodies.cash"] > 0)[0])
    arrays["bodies.cash"][seat] += 1000.0
    arrays["accounts.house_cash"][0] -= 1000.0
    forged = write_checkpoint(cut, 9, arrays, metadata)
    older, newer = rows_of(cut)["checkpoint"]
    self_hash = checkpoint_hash(9, forged.file, forged.sha256, newer[3], older[4])
    edit(cut, "UPDATE checkpoint SET sha256 = ?, self_hash = ? WHERE round = 9", forged.sha256, self_hash)
    assert verified(cut, newer[3], replay=False).ok  # the file's own books cannot tell
    refused(cut, "comes out differently", DivergenceError)


# ---- other machines, other builds, other histories


@pytest.mark.parametrize("index", [10, 12])
def test_a_stored_head_that_was_edited_stops_the_resume(cut: Path, index: int) -> None:
    """The first or the last recomputed round: DivergenceError."""
    edit(cut, "UPDATE round SET head = ? WHERE round = ?", "0" * 64, index)
    refused(cut, f"round {index} comes out differently", DivergenceError)


def test_an_edited_head_under_the_checkpoint_stops_the_resume(cut: Path) -> None:
    """The events do not lead to it."""
    edit(cut, "UPDATE round SET head = ? WHERE round = 9", "0" * 64)
    refused(cut, "do not lead to its head")


def other_arithmetic(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the learner compute the last bit of its weights differently."""
    original = Minds.learn

    def learn(self: Minds, *arguments: Any) -> int:
        updates = original(self, *arguments)
        if updates:
            params = self.brains.params
            torch.nextafter(params, torch.full_like(params, torch.inf), out=params)
        return updates

    monkeypatch.setattr(Minds, "learn", learn)


def test_a_machine_that_rounds_otherwise_is_told_by_its_fingerprint(cut: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything is computed again, with the cure."""
    other_arithmetic(monkeypatch)
    refused(cut, "other bits than the run was started with .* resume with --threads 1 --device cpu", DivergenceError)


def test_a_difference_that_the_fingerprint_misses_shows_in_the_rounds(
    cut: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the probe blinded, the first recomputed round differs: DivergenceError, nothing written."""
    known = Store.open_reader(cut / FILE_NAME)
    fingerprint = known.first_session()[2]
    known.abandon()
    other_arithmetic(monkeypatch)
    monkeypatch.setattr(numerics, "probe", lambda *_: fingerprint)
    refused(cut, "round 10 comes out differently", DivergenceError)
    assert not engine.replay(cut)[0]


def test_another_fingerprint_is_refused_with_the_cure(cut: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message names threads and device of the first session; replay says that it can prove nothing here."""
    monkeypatch.setattr(numerics, "probe", lambda *_: "f" * 64)
    refused(cut, "with 3 threads on cpu .* resume with --threads 1 --device cpu", DivergenceError, threads=3)
    identical, found = engine.replay(cut)
    assert not identical
    assert "proves nothing" in found


def test_an_end_that_comes_out_otherwise_is_a_divergence(
    whole: Whole, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The closing events are compared as well."""
    directory = copied(whole.directory, tmp_path / "run")
    monkeypatch.setattr(World, "censored_events", lambda self: [])
    refused(directory, "the end of the run comes out differently", DivergenceError)
    assert engine.replay(directory) == (False, "the end of the run comes out differently")


def test_another_build_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run recorded with another numpy names it; whoever edits the versions afterwards breaks the genesis."""
    directory = tmp_path / "run"
    other = {**versions(), "numpy": "1.0"}
    monkeypatch.setattr(engine, "versions", lambda: other)
    crash_after(engine.start(directory, lively(), SEED), 2)
    refused(directory, r"recorded with another build: numpy 1\.0 \(here ", BuildError)
    edit(directory, "UPDATE run SET versions_json = ?", json.dumps(versions(), sort_keys=True, separators=(",", ":")))
    refused(directory, "do not lead to the genesis")


@pytest.mark.parametrize("column", ["config_json", "seed"])
def test_an_edited_configuration_is_refused(cut: Path, column: str) -> None:
    """Another fee or another seed in the run's row: the genesis does not follow."""
    if column == "seed":
        edit(cut, "UPDATE run SET seed = seed + 1")
    else:
        edit(cut, "UPDATE run SET config_json = replace(config_json, '\"rounds\":20', '\"rounds\":200')")
    refused(cut, "do not lead to the genesis")


PROBE = """
import sys
from pathlib import Path
from lineage import numerics
from tests.runs import lively, play
numerics.pin_torch()
threads = int(sys.argv[2])
print(numerics.probe(lively(), "cpu", threads, "auto"), play(Path(sys.argv[1]), lively(), threads=threads).head)
"""

_SCALAR = "AVX2 FMA3 X86_V3 AVX512F AVX512CD AVX512_SKX AVX512_CLX AVX512_CNL AVX512_ICL AVX512_SPR X86_V4"
MACHINES = {
    "two threads": ("2", {}),
    "three threads": ("3", {}),
    "torch without vectors": ("1", {"ATEN_CPU_CAPABILITY": "default"}),
    "MKL's common path": ("1", {"MKL_CBWR": "COMPATIBLE"}),
    "numpy without vectors": ("1", {"NPY_DISABLE_CPU_FEATURES": _SCALAR, "PYTHONWARNINGS": "ignore"}),
}


@pytest.mark.slow
@pytest.mark.parametrize("machine", MACHINES)
def test_a_machine_with_the_same_fingerprint_writes_the_same_history(
    whole: Whole, tmp_path: Path, machine: str
) -> None:
    """Libraries told to use other kernels, as on another processor: no other head under the same fingerprint."""
    threads, environment = MACHINES[machine]
    found, head = python(PROBE, str(tmp_path / "run"), threads, **environment).split()
    store = Store.open_reader(whole.directory / FILE_NAME)
    mine = store.first_session()[2]
    store.abandon()
    assert found != mine or head == whole.head


# ---- one writer


def test_a_second_writer_is_refused_with_the_pid(cut: Path) -> None:
    """Exit 5 at once; the first one is not disturbed."""
    with engine.resume(cut) as first:
        with pytest.raises(EnvironmentFault, match=f"process {os.getpid()} is writing this run") as caught:
            engine.resume(cut)
        assert caught.value.exit_code == 5
        with pytest.raises(ConfigError, match="holds a run already"):
            engine.start(cut, lively(), SEED)
        assert first.run(should_stop=rounds_left(1)).rounds == 11
    engine.resume(cut).close()


def test_two_starts_at_once_leave_the_first_one_alone(tmp_path: Path) -> None:
    """The second one comes between the first one's lock and its database: refused, and nothing is removed."""
    directory = tmp_path / "run"
    claimed = rundir.claim(directory)
    with pytest.raises(EnvironmentFault, match=f"process {os.getpid()} is writing"):
        engine.start(directory, lively(), SEED)
    assert (directory / "run.lock").read_text() == str(os.getpid())
    claimed.undo()
    assert not directory.exists()


def test_the_engine_lets_go_of_everything_when_a_round_fails(cut: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An exception out of a round leaves lock and database free, and the record as it was."""
    monkeypatch.setattr(World, "play_round", lambda self: (_ for _ in ()).throw(Crash()))
    rows = rows_of(cut)
    with pytest.raises(Crash):
        go_on(cut)
    monkeypatch.undo()
    assert rows_of(cut) == rows
    assert go_on(cut).status == "finished"
