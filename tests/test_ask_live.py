"""Reading while somebody writes: no torn round, no busy error, a write-ahead log that stays bounded."""

import dataclasses
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from lineage.ask.facts import graves
from lineage.ask.phylogeny import metrics
from lineage.ask.query import run_query
from lineage.ask.reading import check_round, open_run, snapshot
from lineage.ask.tree import read_tree
from lineage.record.ledger import Ledger
from lineage.record.provenance import session
from lineage.record.store import FILE_NAME, LOG_BYTES, Store
from tests.histories import World, make_run, write_history
from tests.tampering import opened, without_guards

READERS = 8
LOG_LIMIT = 3 * LOG_BYTES


@dataclass
class Scene:
    """What the writer and its readers saw."""

    directory: Path
    until: float
    written: int = 0
    largest_log: int = 0
    polls: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)


def write(scene: Scene) -> None:
    """Write made-up rounds as fast as they come, until the time is up."""
    run = make_run(rounds=1_000_000)
    first = dataclasses.replace(session(1, "cpu"), started_at="2024-01-01T00:00:00+00:00")
    store, ledger, world = Store.create(scene.directory / FILE_NAME, run, first), Ledger(run.genesis), World(7)
    log = scene.directory / f"{FILE_NAME}-wal"
    while time.monotonic() < scene.until:
        record = world.play(scene.written)
        record.state_sha256 = ""  # checkpoints are files of their own
        store.commit_round(ledger.seal_round(record))
        scene.written += 1
        scene.largest_log = max(scene.largest_log, log.stat().st_size if log.exists() else 0)
        time.sleep(0.002)
    store.close()


def whole_round(scene: Scene) -> None:
    """Read the newest round in one snapshot and hold it against itself."""
    with open_run(scene.directory) as connection, snapshot(connection):
        newest = check_round(connection, None)
        (promised,) = connection.execute("SELECT n_events FROM round WHERE round = ?", (newest,)).fetchone()
        (told,) = connection.execute("SELECT count(*) FROM event WHERE round = ?", (newest,)).fetchone()
        born = connection.execute("SELECT count(*) FROM agent").fetchone()
        births = connection.execute("SELECT count(*) FROM event WHERE kind = 'birth'").fetchone()
        tree = read_tree(connection)
        dead = len(graves(connection, newest, 1_000_000))
        if promised != told or born != births or tree.present != newest or (~tree.extant).sum() != dead:
            scene.faults.append(f"round {newest}: {promised} {told} {born} {births} {tree.present} {dead}")


def measured(scene: Scene) -> None:
    """Compute metrics, as a watching terminal would."""
    with open_run(scene.directory) as connection:
        metrics(read_tree(connection))


def queried(scene: Scene) -> None:
    """Ask in SQL."""
    run_query(scene.directory, "SELECT * FROM round_summary ORDER BY round DESC LIMIT 5")


POLLS: tuple[Callable[[Scene], None], ...] = (whole_round, measured, queried)


def read(scene: Scene, number: int) -> None:
    """Poll in turns until the time is up; every error is a fault."""
    while time.monotonic() < scene.until:
        poll = POLLS[number % len(POLLS)]
        number += 1
        try:
            poll(scene)
        except Exception as error:
            scene.faults.append(f"{poll.__name__}: {type(error).__name__}: {error}")
        scene.polls[poll.__name__] += 1
        time.sleep(0.01)


def played(directory: Path, seconds: float) -> Scene:
    """Let one writer and READERS readers at it."""
    scene = Scene(directory, time.monotonic() + seconds)
    writer = threading.Thread(target=write, args=(scene,))
    writer.start()
    while scene.written == 0 and writer.is_alive():
        time.sleep(0.01)
    readers = [threading.Thread(target=read, args=(scene, number)) for number in range(READERS)]
    for thread in readers:
        thread.start()
    for thread in (*readers, writer):
        thread.join()
    return scene


def held(scene: Scene, least: int) -> None:
    """Assert what is promised."""
    assert scene.faults == []
    assert scene.written >= least
    assert min(scene.polls.values()) >= least
    assert scene.largest_log < LOG_LIMIT


def test_readers_of_a_live_run_see_whole_rounds(tmp_path: Path) -> None:
    """Three seconds, eight readers."""
    held(played(tmp_path, 3.0), least=5)


@pytest.mark.slow
def test_readers_of_a_live_run_see_whole_rounds_for_a_minute(tmp_path: Path) -> None:
    """A minute, eight readers: the log stays bounded."""
    held(played(tmp_path, 60.0), least=100)


def test_a_torn_round_would_be_seen(tmp_path: Path) -> None:
    """Sabotage: one event of the newest round is missing, and the reader's check says so."""
    write_history(tmp_path, rounds=6, close=False)  # closing would add to the last round
    scene = Scene(tmp_path, 0.0)
    whole_round(scene)
    assert scene.faults == []
    with opened(tmp_path) as connection:
        last = "SELECT min(event_id) FROM event WHERE round = (SELECT max(round) FROM round)"

        def cheat() -> object:
            return connection.execute(f"DELETE FROM stored_event WHERE event_id = ({last})")

        without_guards(connection, cheat)
    whole_round(scene)
    assert len(scene.faults) == 1


def test_the_log_is_folded_while_somebody_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond its bound the writer folds it; a reader that will not end delays that, and never stops the writer."""
    monkeypatch.setattr("lineage.record.store.LOG_BYTES", 64 * 1024)
    run = make_run(rounds=1000)
    store, ledger, world = Store.create(tmp_path / FILE_NAME, run), Ledger(run.genesis), World(7)
    log = tmp_path / f"{FILE_NAME}-wal"

    def grown(rounds: range) -> Iterator[int]:
        for index in rounds:
            record = world.play(index)
            record.state_sha256 = ""
            store.commit_round(ledger.seal_round(record))
            yield log.stat().st_size

    assert max(grown(range(20))) < 256 * 1024
    with open_run(tmp_path) as connection, snapshot(connection):
        assert check_round(connection, None) == 19
        held_up = max(grown(range(20, 40)))
        assert check_round(connection, None) == 19
    assert held_up > 256 * 1024
    assert max(grown(range(40, 140))) < 3 * max(held_up, 4 * 2**20)  # alone, SQLite folds it at 4 MB by itself
    store.close()
