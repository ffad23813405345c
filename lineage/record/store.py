"""The only writer of a run's database: one transaction a round, and nothing is ever changed."""

import contextlib
import dataclasses
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from arena.errors import ConfigError, EnvironmentFault, StoreError
from lineage.record.checkpoint import CheckpointFile
from lineage.record.digests import canonical, rows_of, sha256_text
from lineage.record.genesis import RunRow
from lineage.record.leaves import is_closed
from lineage.record.provenance import Session
from lineage.record.schema import (
    SCHEMA_VERSION,
    check_file,
    check_identity,
    connect_reader,
    migrate,
    named_error,
    store_errors,
    version_of,
)
from lineage.record.sealed import PolicyRow, SealedClose, SealedRound

FILE_NAME = "run.sqlite"
"""Name of the database inside a run's directory."""

LOG_BYTES = 16 * 2**20
"""Size from which the write-ahead log is folded into the file."""

_RUN = "INSERT INTO run VALUES (?, ?, ?, ?, ?, ?, ?)"
_AGENT = "INSERT INTO stored_agent VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_GENE = "INSERT INTO gene VALUES (?, ?, ?)"
_ROUND = "INSERT INTO round VALUES (?, ?, ?, ?, ?, ?, ?)"
_EVENT = "INSERT INTO stored_event VALUES (?1, ?2, ?3, ?4, ?5, ?6, CASE WHEN ?6 <> 'birth' THEN ?7 END, ?8)"
_BAR = "INSERT INTO bar VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
_MARKET = "INSERT INTO market_round VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_SEAT = (
    "INSERT INTO agent_round VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?,"
    " ?)"
)
_BLOB = "INSERT INTO policy_blob VALUES (?, ?)"
_POLICY = "INSERT INTO policy VALUES (?, ?, ?, ?, ?)"
_CHECKPOINT = "INSERT INTO checkpoint VALUES (?, ?, ?, ?, ?)"
_SESSION = "INSERT INTO session VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"


def checkpoint_hash(round_index: int, file: str, sha256: str, head: str, before: str) -> str:
    """Return a checkpoint row's self_hash; `before` is that of the row before, "" for the first."""
    row = {"before": before, "file": file, "head": head, "round": round_index, "sha256": sha256}
    return sha256_text(canonical(row, "checkpoint"))


class Store:
    """An open history that one process appends to."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        """Take over an open connection; use `create` or `open_writer`."""
        self.path = path
        self.connection = connection
        self._fold_at = LOG_BYTES

    @classmethod
    def create(cls, path: Path, run: RunRow, session: Session | None = None) -> "Store":
        """Create the database of a new run: there with its first rows, or not there at all.

        Raises ConfigError when the file exists, EnvironmentFault when it cannot be written.
        """
        if path.exists():
            raise ConfigError(f"{path}: a run is recorded here already; resume it or choose another directory")
        if not -(2**63) <= run.seed < 2**63:
            raise ConfigError(f"seed: {run.seed} does not fit 64 bits; choose a smaller one")
        fresh = path.with_name(path.name + ".partial")
        _discard(fresh)
        try:
            store = cls(path, _connect(fresh))
            with closing(store.connection), store._transaction("create the run"):
                store.connection.execute(_RUN, dataclasses.astuple(run))
                if session is not None:
                    store._insert_session(session)
            fresh.replace(path)
            return cls.open_writer(path)
        except BaseException:
            _discard(fresh)
            _discard(path)
            raise

    @classmethod
    def open_writer(cls, path: Path) -> "Store":
        """Open an existing run for appending.

        Raises StoreError for a missing, foreign or damaged file, SchemaVersionError for a newer
        schema, EnvironmentFault when the machine stands in the way.
        """
        check_file(path)
        store = cls(path, _connect(path))
        try:
            with store_errors(path, "open for writing"):
                (runs,) = store.connection.execute("SELECT count(*) FROM run").fetchone()
                if runs != 1:
                    raise StoreError(f"{path}: table run holds {runs} rows, not 1; start the run again elsewhere")
        except BaseException:
            store.connection.close()
            raise
        return store

    @classmethod
    def open_reader(cls, path: Path) -> "Store":
        """Open an existing run read-only, for replay and comparison. Raises as `open_writer`."""
        check_file(path)
        return cls(path, connect_reader(path))

    @contextmanager
    def _transaction(self, doing: str) -> Iterator[None]:
        """All or nothing; SQLite's errors come out as ours. The first write brings an older file to this schema."""
        try:
            if version_of(self.connection) < SCHEMA_VERSION:
                migrate(self.connection)
            self.connection.execute("BEGIN IMMEDIATE")
            yield
            self.connection.execute("COMMIT")
        except BaseException as error:
            with contextlib.suppress(sqlite3.Error):
                if self.connection.in_transaction:
                    self.connection.execute("ROLLBACK")
            if isinstance(error, sqlite3.Error):
                raise named_error(error, self.path, doing) from error
            raise

    def commit_round(self, sealed: SealedRound, checkpoint: CheckpointFile | None = None) -> None:
        """Write one round, and the checkpoint taken at its end, in one transaction."""
        span = (sealed.round, sealed.first_tick, sealed.last_tick, sealed.first_event_id, len(sealed.events))
        with self._transaction(f"write round {sealed.round}"):
            run = self.connection.executemany
            self.connection.execute(_ROUND, (*span, sealed.root, sealed.head))
            run(_AGENT, map(tuple, sealed.agents))  # binding a named tuple takes half a microsecond more
            run(_GENE, sealed.genes)
            run(_EVENT, map(tuple, sealed.events))
            run(_BAR, rows_of(sealed.bars))
            run(_MARKET, [(sealed.round, *row) for row in rows_of(sealed.markets)])
            run(_SEAT, [(sealed.round, *row) for row in rows_of(sealed.seats)])
            self._insert_policies(sealed.policies)
            if checkpoint is not None:
                self._insert_checkpoint(checkpoint)
        self._fold_log()

    def _fold_log(self) -> None:
        """Fold a long write-ahead log into the file.

        SQLite does so by itself only when nobody reads, and of eight that poll one always does: a log grew by 4 MB a
        second. Here the writer waits a moment for those who are reading; new ones do not hold it up.
        """
        log = self.path.with_name(f"{self.path.name}-wal")
        size = log.stat().st_size if log.exists() else 0
        if size < self._fold_at:
            return
        with contextlib.suppress(sqlite3.OperationalError):  # the round is safe; a full disk will be met soon enough
            self.connection.execute("PRAGMA busy_timeout = 1000")
            (busy, _, _) = self.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            self._fold_at = 2 * size if busy else LOG_BYTES  # a reader that will not end must not slow us down
        with contextlib.suppress(sqlite3.OperationalError):
            self.connection.execute("PRAGMA busy_timeout = 10000")

    def _insert_policies(self, policies: list[PolicyRow]) -> None:
        self.connection.executemany(_BLOB, [(row.blob_sha256, row.blob) for row in policies])
        rows = [(row.agent_id, row.reason, row.round, row.blob_sha256, row.weights_sha256) for row in policies]
        self.connection.executemany(_POLICY, rows)

    def commit_closed(self, sealed: SealedClose) -> None:
        """Write the end of the run."""
        with self._transaction("close the run"):
            self.connection.executemany(_EVENT, map(tuple, sealed.events))
            self._insert_policies(sealed.policies)

    def record_checkpoint(self, checkpoint: CheckpointFile) -> None:
        """Note a checkpoint of a round that is already written; the same one twice is no error.

        Raises StoreError when another file is noted for that round, or a newer round has one.
        """
        with self._transaction(f"note the checkpoint of round {checkpoint.round}"):
            self._insert_checkpoint(checkpoint)

    def _insert_checkpoint(self, checkpoint: CheckpointFile) -> None:
        place = f"{self.path}: checkpoint of round {checkpoint.round}"
        head = self.stored_head(checkpoint.round)
        if head is None:
            raise StoreError(f"{place}: the round itself is not recorded; write it first")
        noted = self.connection.execute("SELECT round, sha256, self_hash FROM checkpoint ORDER BY round").fetchall()
        if any(row[:2] == (checkpoint.round, checkpoint.sha256) for row in noted):
            return
        if noted and noted[-1][0] >= checkpoint.round:
            raise StoreError(f"{place}: another one is noted for round {noted[-1][0]}; run verify on this directory")
        before = noted[-1][2] if noted else ""
        values = (checkpoint.round, checkpoint.file, checkpoint.sha256, head)
        self.connection.execute(_CHECKPOINT, (*values, checkpoint_hash(*values, before)))

    def record_session(self, session: Session) -> int:
        """Write down that a process works on this run; returns the session's number, from 1."""
        with self._transaction("note the session"):
            return self._insert_session(session)

    def _insert_session(self, session: Session) -> int:
        (number,) = self.connection.execute("SELECT coalesce(max(session_id), 0) + 1 FROM session").fetchone()
        self.connection.execute(_SESSION, (number, *dataclasses.astuple(session), session.self_hash(number)))
        return int(number)

    def run_row(self) -> RunRow:
        """Return the run's row."""
        with store_errors(self.path, "read the run's row"):
            return RunRow(*self.connection.execute("SELECT * FROM run").fetchone())

    def stored_head(self, round_index: int) -> str | None:
        """Return the head (hex) that a round ended with, None when it is not recorded."""
        with store_errors(self.path, "read a head"):
            row = self.connection.execute("SELECT head FROM round WHERE round = ?", (round_index,)).fetchone()
        return None if row is None else str(row[0])

    def last_round(self) -> int:
        """Return the newest recorded round, -1 when there is none."""
        with store_errors(self.path, "read the newest round"):
            return int(self.connection.execute("SELECT coalesce(max(round), -1) FROM round").fetchone()[0])

    def is_closed(self) -> bool:
        """Return whether the run has ended."""
        with store_errors(self.path, "read the end"):
            return is_closed(self.connection)

    def closed_head(self) -> str | None:
        """Return the head (hex) that the run was closed with, None while it is open."""
        with store_errors(self.path, "read the end"):
            row = self.connection.execute(
                "SELECT hash FROM event WHERE kind = 'closed' AND event_id = (SELECT max(event_id) FROM event)"
            ).fetchone()
        return None if row is None else str(row[0])

    def first_session(self) -> tuple[int, str, str]:
        """Return (threads, device, numerics fingerprint) that the run was started with.

        Raises StoreError when no session is recorded.
        """
        with store_errors(self.path, "read the first session"):
            row = self.connection.execute(
                "SELECT threads, device, numerics FROM session ORDER BY session_id LIMIT 1"
            ).fetchone()
        if row is None:
            raise StoreError(f"{self.path}: no session is recorded: the start was cut short; start again elsewhere")
        return int(row[0]), str(row[1]), str(row[2])

    def checkpoints(self) -> list[CheckpointFile]:
        """Return the noted checkpoints, newest first; their files may be gone."""
        with store_errors(self.path, "read the checkpoints"):
            rows = self.connection.execute("SELECT round, file, sha256 FROM checkpoint ORDER BY round DESC").fetchall()
        return [CheckpointFile(*row) for row in rows]

    def close(self) -> None:
        """Gather statistics, fold the write-ahead log into the file, and let go of it."""
        try:
            with store_errors(self.path, "close"):
                if self.connection.total_changes:  # whoever only looked leaves the file as it was
                    self.connection.execute("ANALYZE")
                self.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        finally:
            self.connection.close()

    def abandon(self) -> None:
        """Let go of the file without another write, after a fault."""
        with contextlib.suppress(sqlite3.Error):
            self.connection.close()


def _discard(path: Path) -> None:
    for suffix in ("", "-wal", "-shm", "-journal"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def _connect(path: Path) -> sqlite3.Connection:
    """Open for writing; close again on any refusal.

    A new file gets the newest schema, and no write-ahead log yet: that lies beside it and could not be renamed along.
    An older file keeps its schema until the first write: a run that cannot go on here can still go on where it began.
    """
    fresh = not path.exists()
    with store_errors(path, "open for writing"):
        try:
            connection = sqlite3.connect(path, timeout=10.0, isolation_level=None)
        except sqlite3.OperationalError as error:
            raise EnvironmentFault(f"{path}: {error}; check the directory and its permissions") from error
        try:
            if fresh:
                migrate(connection)
            else:
                check_identity(connection, path)
                connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA journal_size_limit = 16777216")  # what the log shrinks to when it is reused
            connection.execute("PRAGMA synchronous = NORMAL")
            connection.execute("PRAGMA cache_size = -65536")  # KiB at most: keys of a long history stay at hand
            connection.execute("PRAGMA foreign_keys = ON")
            connection.execute("PRAGMA trusted_schema = OFF")
        except BaseException:
            connection.close()
            raise
    return connection
