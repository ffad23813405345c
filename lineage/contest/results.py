"""A tournament's results: one SQLite file, written match by match, that knows which tournament it belongs to."""

import fcntl
import json
import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final, Self

from arena.errors import ConfigError, EnvironmentFault, StoreError
from lineage.config import to_plain
from lineage.contest.matches import MatchResult, SeatResult
from lineage.contest.tournament_plan import Match, Plan, other_build
from lineage.contest.tournament_prepare import described
from lineage.record.digests import config_text
from lineage.record.provenance import session as machine

APPLICATION_ID: Final = 0x4C41544E  # "LATN"
VERSION: Final = 1

_SCHEMA: Final = """
BEGIN IMMEDIATE;
PRAGMA application_id = 1279349838;  -- "LATN"
PRAGMA user_version = 1;
-- Which tournament; exactly one row. Equal hashes: equal results.
CREATE TABLE tournament (
    spec_sha256 TEXT PRIMARY KEY CHECK (length(spec_sha256) = 64),
    format TEXT NOT NULL, first_seed INTEGER NOT NULL, end_seed INTEGER NOT NULL, ticks INTEGER NOT NULL,
    seats INTEGER NOT NULL, rounds INTEGER NOT NULL, whole_life INTEGER NOT NULL,
    mixes_json TEXT NOT NULL, limits_json TEXT NOT NULL, versions_json TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE player (
    player INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, kind TEXT NOT NULL, role TEXT NOT NULL,
    league TEXT NOT NULL,  -- frozen or evolving: ranked apart
    behind INTEGER,  -- agents from whom it was chosen as one of the best
    about TEXT NOT NULL, sha256 TEXT NOT NULL
) STRICT;
CREATE TABLE world (
    world INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, config_json TEXT NOT NULL,
    tape TEXT NOT NULL, tape_sha256 TEXT NOT NULL, ticks_per_round INTEGER NOT NULL,
    windows INTEGER  -- of the tape that share no bar; NULL without a tape
) STRICT;
-- A match that is not here has not been played yet.
CREATE TABLE match (
    match_key TEXT PRIMARY KEY, world INTEGER NOT NULL REFERENCES world (world), seed INTEGER NOT NULL,
    mix TEXT NOT NULL, status TEXT NOT NULL CHECK (status IN ('done', 'failed')),
    error TEXT NOT NULL, traceback TEXT NOT NULL  -- of a failed match; --resume plays it again
) STRICT, WITHOUT ROWID;
CREATE TABLE seat (
    match_key TEXT NOT NULL REFERENCES match (match_key), seat INTEGER NOT NULL,  -- or the agent of a population
    player INTEGER NOT NULL REFERENCES player (player),
    growth REAL,  -- log-growth per 1,000 ticks; NULL: forfeited, or shorter than a round
    ticks INTEGER NOT NULL, rounds INTEGER NOT NULL, died INTEGER NOT NULL, trades INTEGER NOT NULL,
    invested REAL NOT NULL, invalid INTEGER NOT NULL, drawdown REAL NOT NULL,
    forfeit TEXT NOT NULL,  -- why the match was lost without playing on
    curve BLOB NOT NULL,  -- equity in endowments, little-endian f32
    PRIMARY KEY (match_key, seat)
) STRICT, WITHOUT ROWID;
CREATE INDEX seat_by_player ON seat (player);
-- Who worked on it, and when: the only table that two runs of one tournament differ in.
CREATE TABLE session (
    session INTEGER PRIMARY KEY, started_at TEXT NOT NULL, engine TEXT NOT NULL, jobs INTEGER NOT NULL,
    command TEXT NOT NULL,  -- that plays it again, into a new file
    spec TEXT NOT NULL,  -- the specification's text, '' when it was given as flags
    provenance TEXT NOT NULL
) STRICT;
CREATE VIEW result AS
    SELECT world.name AS world, match.seed, match.mix, player.name AS player, seat.seat, seat.growth, seat.died,
        seat.trades, seat.drawdown, seat.forfeit
    FROM seat JOIN match USING (match_key) JOIN player USING (player) JOIN world ON world.world = match.world;
COMMIT;
"""

TABLES: Final = {
    "tournament": "SELECT * FROM tournament",
    "player": "SELECT * FROM player ORDER BY player",
    "world": "SELECT world, name, config_json, tape_sha256, ticks_per_round, windows FROM world ORDER BY world",
    "match": "SELECT * FROM match ORDER BY match_key",
    "seat": "SELECT * FROM seat ORDER BY match_key, seat",
}
"""What is equal however a tournament was played: every table but the sessions and the paths of tapes."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One seat's result with its match."""

    world: int
    seed: int
    mix: str
    match_key: str
    result: SeatResult


class Results:
    """An open results file; one writer at a time."""

    def __init__(self, connection: sqlite3.Connection, lock: IO[bytes] | None, path: Path) -> None:
        self.connection = connection
        self.path = path
        self._lock = lock

    @classmethod
    def create(cls, path: Path, plan: Plan, windows: Sequence[int | None]) -> Self:
        """Make the file of a tournament. Raises ConfigError when the name is taken."""
        try:
            path.open("xb").close()
        except FileExistsError:
            cure = "go on with --resume, or choose another name" if path.is_file() else "name a file"
            raise ConfigError(f"--out {path}: exists already; {cure}") from None
        results = cls(*_opened(path), path)
        with _named(path):
            results.connection.executescript(_SCHEMA)
            _write_plan(results.connection, plan, windows)
        return results

    @classmethod
    def resume(cls, path: Path, plan: Plan, windows: Sequence[int | None]) -> Self:
        """Open the file that this tournament has begun; raises ConfigError for another's, naming what differs."""
        if not path.exists():
            return cls.create(path, plan, windows)
        if not path.is_file():
            raise ConfigError(f"--out {path}: is no file; name the file of the results")
        results = cls(*_opened(path), path)
        try:
            with _named(path):
                if path.stat().st_size == 0:  # a start was killed before its first row
                    results.connection.executescript(_SCHEMA)
                _check_kind(results.connection, path)
                if results.connection.execute("SELECT count(*) FROM tournament").fetchone()[0] == 0:
                    _write_plan(results.connection, plan, windows)
                _check_same(results, plan)
        except BaseException:
            results.close()
            raise
        return results

    @classmethod
    def read(cls, path: Path) -> Self:
        """Open a file to look at. Raises ConfigError when there is none, StoreError when it is no results file."""
        if not path.is_file():
            raise ConfigError(f"{path}: no results of a tournament are here; name the file that --out named")
        with _named(path):
            mode = "rw" if os.access(path, os.W_OK) else "ro"  # what a killed writer began is rolled back by a reader
            connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode={mode}", uri=True, timeout=10.0)
            try:
                connection.execute("PRAGMA trusted_schema = OFF")
                connection.execute("PRAGMA query_only = ON")
                _check_kind(connection, path)
                if connection.execute("SELECT count(*) FROM tournament").fetchone()[0] != 1:
                    raise StoreError(f"{path}: holds no tournament; start it again")
            except BaseException:
                connection.close()
                raise
        return cls(connection, None, path)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file and let others write it."""
        self.connection.close()
        if self._lock is not None:
            self._lock.close()

    def begin_session(self, engine: str, jobs: int, command: str = "", spec: str = "") -> None:
        """Note who works on it from now on."""
        about = machine(1, "cpu", "", {"engine": engine, "jobs": jobs})
        with _named(self.path), self.connection:
            self.connection.execute(
                "INSERT INTO session (started_at, engine, jobs, command, spec, provenance) VALUES (?, ?, ?, ?, ?, ?)",
                (about.started_at, engine, jobs, command, spec, about.provenance),
            )

    def write(self, matches: dict[str, Match], results: Sequence[MatchResult]) -> None:
        """Write finished matches, all in one transaction; a failed one of earlier is replaced."""
        with _named(self.path), self.connection:
            for result in results:
                match = matches[result.key]
                self.connection.execute("DELETE FROM match WHERE match_key = ? AND status = 'failed'", (result.key,))
                row = (result.key, match.ground, match.seed, match.mix, result.status, result.error, result.traceback)
                self.connection.execute("INSERT INTO match VALUES (?, ?, ?, ?, ?, ?, ?)", row)
                self.connection.executemany(
                    "INSERT INTO seat VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    [
                        (result.key, s.seat, s.player, s.growth, s.ticks, s.rounds, int(s.died), s.trades, s.invested,
                         s.invalid, s.drawdown, s.forfeit, s.curve)
                        for s in result.seats
                    ],
                )  # fmt: skip

    def done(self) -> set[str]:
        """Return the keys of the matches that need not be played again."""
        with _named(self.path):
            return {row[0] for row in self.connection.execute("SELECT match_key FROM match WHERE status = 'done'")}

    def failed(self) -> list[tuple[str, str]]:
        """Return (key, error) of the matches that failed."""
        with _named(self.path):
            rows = self.connection.execute(
                "SELECT match_key, error FROM match WHERE status = 'failed' ORDER BY match_key"
            )
            return [(str(key), str(error)) for key, error in rows]

    def cells(self) -> list[Cell]:
        """Return every seat's result, in the order of the keys."""
        with _named(self.path):
            rows = self.connection.execute(
                "SELECT match.world, match.seed, match.mix, match_key, seat.seat, player, growth, ticks, seat.rounds,"
                " died, trades, invested, invalid, drawdown, forfeit, curve"
                " FROM seat JOIN match USING (match_key) ORDER BY match_key, seat.seat"
            )
            return [_cell(row) for row in rows]

    def rows(self, table: str) -> list[dict[str, Any]]:
        """Return one of TABLES as plain rows."""
        with _named(self.path):
            cursor = self.connection.execute(TABLES[table])
            names = [column[0] for column in cursor.description]
            return [dict(zip(names, row, strict=True)) for row in cursor]

    def sessions(self) -> list[dict[str, Any]]:
        """Return who worked on it."""
        with _named(self.path):
            cursor = self.connection.execute("SELECT started_at, engine, jobs, command, spec, provenance FROM session")
            names = [column[0] for column in cursor.description]
            return [dict(zip(names, row, strict=True)) for row in cursor]


def _cell(row: Sequence[Any]) -> Cell:
    world, seed, mix, key, seat, player, growth, ticks, rounds, died, trades, invested, invalid, drawdown, *rest = row
    result = SeatResult(
        seat, player, growth, ticks, rounds, bool(died), trades, invested, invalid, drawdown, rest[0], rest[1]
    )
    return Cell(world, seed, mix, key, result)


def _opened(path: Path) -> tuple[sqlite3.Connection, IO[bytes]]:
    """Return a connection for writing and the lock that goes with it."""
    lock = path.with_name(path.name + ".lock").open("ab")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.close()
        raise EnvironmentFault(f"{path}: another process is playing this tournament; wait for it or stop it") from None
    with _named(path):
        connection = sqlite3.connect(path, timeout=10.0, isolation_level="IMMEDIATE")
        connection.execute("PRAGMA trusted_schema = OFF")
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA synchronous = NORMAL")
    return connection, lock


def _check_kind(connection: sqlite3.Connection, path: Path) -> None:
    """Raise StoreError unless this is a results file of this schema."""
    (kind,), (version,) = (
        connection.execute("PRAGMA application_id").fetchone(), connection.execute("PRAGMA user_version").fetchone()
    )  # fmt: skip
    if kind != APPLICATION_ID:
        raise StoreError(f"{path}: is no results file of a tournament; name another")
    if version != VERSION:
        raise StoreError(f"{path}: was written by another build (schema {version}, here {VERSION}); use that one")


def _write_plan(connection: sqlite3.Connection, plan: Plan, windows: Sequence[int | None]) -> None:
    with connection:
        limits = {"seconds": plan.limits.seconds, "memory_mb": plan.limits.memory_mb}
        connection.execute(
            "INSERT INTO tournament VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (plan.identity(), plan.format, *plan.seeds, plan.ticks, plan.seats, plan.rounds, int(plan.whole_life),
             json.dumps(plan.mixes), config_text(limits), config_text(plan.versions)),
        )  # fmt: skip
        for number, row in enumerate(described(plan)):
            names = ("name", "kind", "role", "league", "behind", "about", "sha256")
            connection.execute(
                "INSERT INTO player VALUES (?, ?, ?, ?, ?, ?, ?, ?)", (number, *(row[name] for name in names))
            )
        for number, ground in enumerate(plan.grounds):
            config = ground.config
            connection.execute(
                "INSERT INTO world VALUES (?, ?, ?, ?, ?, ?, ?)",
                (number, ground.name, config_text(to_plain(config)), ground.tape, config.market.tape_sha256,
                 config.arena.ticks_per_round, windows[number]),
            )  # fmt: skip


def _check_same(results: Results, plan: Plan) -> None:
    """Raise ConfigError unless the file belongs to this very tournament."""
    (known,) = results.connection.execute("SELECT spec_sha256 FROM tournament").fetchone()
    if known == plan.identity():
        return
    theirs = results.rows("tournament")[0]
    reason = "another specification"
    if odd_build := other_build(json.loads(theirs["versions_json"]), plan.versions):
        reason = f"another build ({odd_build})"
    names = [row["name"] for row in results.rows("player")]
    mine = [player.name for player in plan.players]
    if odd := sorted(set(names) ^ set(mine)):
        reason = f"another specification ({odd[0]!r} plays in only one of them)"
    elif (theirs["first_seed"], theirs["end_seed"]) != plan.seeds:
        reason = f"another specification (seeds {theirs['first_seed']}:{theirs['end_seed']})"
    raise ConfigError(f"{results.path}: holds the results of a tournament of {reason}; choose another --out")


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Turn SQLite's errors into ours."""
    try:
        yield
    except sqlite3.OperationalError as error:
        text = str(error)
        if "no such table" in text or "no such column" in text:
            raise StoreError(f"{path}: is no results file of a tournament of this build; name another") from None
        if any(word in text for word in ("disk", "full", "readonly", "locked", "unable to open")):
            raise EnvironmentFault(f"{path}: {text}; make room and the file writable, then --resume") from None
        raise StoreError(f"{path}: {text}; it is damaged, start again with another --out") from None
    except sqlite3.DatabaseError as error:
        raise StoreError(f"{path}: {error}; it is damaged or no results file, choose another --out") from None
