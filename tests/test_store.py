"""The only writer: whole rounds or nothing, and errors with a cure."""

import resource
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import numpy as np
import pytest

from arena.errors import ConfigError, EnvironmentFault, SchemaVersionError, StoreError
from lineage.record.checkpoint import CheckpointFile
from lineage.record.ledger import Ledger
from lineage.record.provenance import session, versions
from lineage.record.schema import TABLES, connect_reader
from lineage.record.sealed import SealedRound
from lineage.record.store import FILE_NAME, Store
from tests.histories import TICKS, make_run, play, write_history


def sealed_rounds(count: int = 3) -> list[SealedRound]:
    """Return the first rounds of a made-up history."""
    ledger = Ledger(make_run(count).genesis)
    return [ledger.seal_round(record) for _, record in play(count)]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """A new and empty history."""
    opened = Store.create(tmp_path / FILE_NAME, make_run(3))
    yield opened
    opened.abandon()


def count(store: Store, table: str) -> int:
    """Return how many rows a table has."""
    return int(store.connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0])


def test_a_round_is_written_whole(store: Store) -> None:
    """Every table gets its rows; heads and rounds can be asked for."""
    rounds = sealed_rounds()
    for sealed in rounds:
        store.commit_round(sealed)
    assert count(store, "event") == sum(len(sealed.events) for sealed in rounds)
    assert count(store, "bar") == 3 * 2 * TICKS
    assert count(store, "agent_round") == sum(len(sealed.seats["agent_id"]) for sealed in rounds)
    assert store.last_round() == 2
    assert [store.stored_head(index) for index in range(4)] == [*(sealed.head for sealed in rounds), None]
    assert store.run_row() == make_run(3)
    assert not store.is_closed()


def test_values_come_back_exactly(store: Store) -> None:
    """Doubles bit for bit, NaN as NULL, no BLOB but the hashes, small integer types as integers."""
    for sealed in sealed_rounds():
        store.commit_round(sealed)
    for sealed in sealed_rounds():
        for name in ("equity", "reward", "loss"):
            query = f"SELECT {name} FROM agent_round WHERE round = ? ORDER BY agent_id"
            stored = [row[0] for row in store.connection.execute(query, (sealed.round,))]
            expected = sealed.seats[name].tolist()
            assert all(a is None if np.isnan(b) else a == b for a, b in zip(stored, expected, strict=True))
    for table in set(TABLES) - {"policy_blob"}:
        for row in store.connection.execute(f"SELECT * FROM {table}"):
            blobs = [value for value in row if isinstance(value, bytes)]
            assert {len(blob) for blob in blobs} <= {32}
            assert len(blobs) == {"stored_event": 1, "stored_agent": 2}.get(table, 0)


def test_a_round_that_fails_halfway_leaves_nothing(store: Store) -> None:
    """The last statement of the transaction fails: the first one is gone too."""
    (sealed,) = sealed_rounds(1)
    sealed.seats["status"][-1] = 9  # breaks a CHECK of the last table written
    with pytest.raises(StoreError, match="write round 0"):
        store.commit_round(sealed)
    assert [count(store, table) for table in TABLES if table != "run"] == [0] * (len(TABLES) - 1)


def test_the_same_round_twice_is_refused(store: Store) -> None:
    """History is append-only for the writer as well."""
    (sealed,) = sealed_rounds(1)
    store.commit_round(sealed)
    with pytest.raises(StoreError, match="append-only"):
        store.commit_round(sealed)


def test_a_closed_run_says_so(tmp_path: Path) -> None:
    """And the head of the end is there."""
    ledger = write_history(tmp_path, 3)
    store = Store.open_writer(tmp_path / FILE_NAME)
    assert store.is_closed()
    assert store.closed_head() == ledger.head
    store.close()


def test_closing_folds_the_log_into_one_file(tmp_path: Path) -> None:
    """Afterwards the database is a single file with statistics."""
    write_history(tmp_path, 3)
    assert not list(tmp_path.glob(f"{FILE_NAME}-*"))
    with closing(connect_reader(tmp_path / FILE_NAME)) as reader:
        assert reader.execute("SELECT count(*) FROM sqlite_stat1").fetchone()[0] > 0


def test_an_existing_run_is_not_overwritten(tmp_path: Path) -> None:
    """ConfigError, and the file stays as it was."""
    write_history(tmp_path, 2)
    before = (tmp_path / FILE_NAME).read_bytes()
    with pytest.raises(ConfigError, match="already"):
        Store.create(tmp_path / FILE_NAME, make_run())
    assert (tmp_path / FILE_NAME).read_bytes() == before


def test_a_missing_directory_is_an_environment_fault(tmp_path: Path) -> None:
    """Nothing is created beside it."""
    with pytest.raises(EnvironmentFault, match="check"):
        Store.create(tmp_path / "nowhere" / FILE_NAME, make_run())
    assert not list(tmp_path.iterdir())


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """Limit files to `size` bytes: a full disk for one process."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_disk_that_fills_up_stops_between_two_rounds(tmp_path: Path) -> None:
    """EnvironmentFault with a cure; what was committed stays, and the run can go on afterwards."""
    path = tmp_path / FILE_NAME
    store, rounds = Store.create(path, make_run(3)), sealed_rounds(3)
    store.commit_round(rounds[0])
    written = path.with_name(f"{FILE_NAME}-wal").stat().st_size
    with largest_file(written + 100), pytest.raises(EnvironmentFault, match="then resume"):
        store.commit_round(rounds[1])
    store.abandon()
    store = Store.open_writer(path)
    assert store.last_round() == 0
    store.commit_round(rounds[1])
    assert store.stored_head(1) == rounds[1].head
    store.close()


def test_a_creation_that_fails_leaves_no_file(tmp_path: Path) -> None:
    """The half-made database is removed."""
    with largest_file(20_000), pytest.raises(EnvironmentFault):
        Store.create(tmp_path / FILE_NAME, make_run())
    assert not list(tmp_path.iterdir())


def test_a_second_writer_is_an_environment_fault(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """While another process holds the write lock."""
    (sealed,) = sealed_rounds(1)
    with closing(sqlite3.connect(store.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        store.connection.execute("PRAGMA busy_timeout = 10")
        with pytest.raises(EnvironmentFault, match="another process is writing"):
            store.commit_round(sealed)
    store.commit_round(sealed)


@pytest.mark.parametrize(
    ("error", "pragma"),
    [(StoreError, "application_id = 1"), (SchemaVersionError, "user_version = 99")],
)
def test_foreign_and_newer_files_are_not_written(tmp_path: Path, error: type[StoreError], pragma: str) -> None:
    """The refused file keeps its bytes."""
    write_history(tmp_path, 1)
    path = tmp_path / FILE_NAME
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")
        connection.execute(f"PRAGMA {pragma}")
    before = path.read_bytes()
    with pytest.raises(error):
        Store.open_writer(path)
    assert path.read_bytes() == before


def test_files_that_were_cut_short_are_not_opened(tmp_path: Path) -> None:
    """At many lengths: StoreError in one line, though SQLite would open some of them."""
    write_history(tmp_path, 2)
    whole = (tmp_path / FILE_NAME).read_bytes()
    for cut in [*range(0, len(whole), len(whole) // 17), len(whole) - 1]:
        path = tmp_path / f"cut-{cut}.sqlite"
        path.write_bytes(whole[:cut])
        with pytest.raises(StoreError) as caught:
            Store.open_writer(path)
        assert "\n" not in str(caught.value)


def test_checkpoints_are_noted_once_and_in_order(store: Store) -> None:
    """The same one again is no error; another for the same or an earlier round is."""
    rounds = sealed_rounds()
    store.commit_round(rounds[0], CheckpointFile(0, "checkpoints/round-000000.ckpt", "a" * 64))
    store.commit_round(rounds[1])
    store.record_checkpoint(CheckpointFile(0, "checkpoints/round-000000.ckpt", "a" * 64))
    store.record_checkpoint(CheckpointFile(1, "checkpoints/round-000001.ckpt", "b" * 64))
    assert [(file.round, file.sha256[0]) for file in store.checkpoints()] == [(1, "b"), (0, "a")]
    with pytest.raises(StoreError, match="another one is noted"):
        store.record_checkpoint(CheckpointFile(1, "checkpoints/round-000001.ckpt", "c" * 64))
    with pytest.raises(StoreError, match="not recorded"):
        store.record_checkpoint(CheckpointFile(2, "checkpoints/round-000002.ckpt", "d" * 64))


def test_sessions_are_numbered_and_name_no_host(store: Store) -> None:
    """Two processes worked on this run; versions and provenance are ASCII."""
    assert [store.record_session(session(2, "cpu", "f00", {"command": "run"})) for _ in range(2)] == [1, 2]
    (provenance,) = store.connection.execute("SELECT provenance FROM session WHERE session_id = 1").fetchone()
    assert '"name":"lineage-arena"' in provenance
    assert '"command":"run"' in provenance
    assert store.first_session() == (2, "cpu", "f00")
    assert {"lineage_arena", "numpy", "torch", "python"} <= set(versions())


def test_readers_see_whole_rounds_while_a_round_is_written(store: Store, tmp_path: Path) -> None:
    """A reader's transaction keeps its snapshot; the next one sees the new round."""
    rounds = sealed_rounds(2)
    store.commit_round(rounds[0])
    with closing(connect_reader(store.path)) as reader:
        reader.execute("BEGIN")
        assert reader.execute("SELECT max(round) FROM round").fetchone() == (0,)
        store.commit_round(rounds[1])
        assert reader.execute("SELECT max(round) FROM agent_round").fetchone() == (0,)
        reader.execute("COMMIT")
        assert reader.execute("SELECT max(round) FROM round").fetchone() == (1,)


def test_a_copied_file_opens_elsewhere(tmp_path: Path) -> None:
    """One file is the whole history."""
    write_history(tmp_path, 2)
    other = tmp_path / "with space and #" / FILE_NAME
    other.parent.mkdir()
    shutil.copy(tmp_path / FILE_NAME, other)
    with closing(connect_reader(other)) as reader:
        assert reader.execute("SELECT count(*) FROM round").fetchone() == (2,)
