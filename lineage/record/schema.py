"""The schema of a run's database: its columns, its migrations, and how to open it.

`PRAGMA user_version` is the only record of the schema's version: it changes in the same transaction
as the tables. (A separate table of applied migrations would hold wall-clock times inside a file whose
every row is hashed, and could disagree with the version.)
"""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import cache
from pathlib import Path
from typing import Final

from arena.errors import ArenaError, EnvironmentFault, SchemaVersionError, StoreError
from lineage.record.digests import Columns

APPLICATION_ID: Final = 0x4C41524E  # "LARN"
SCHEMA_VERSION: Final = 3

BAR: Final[Columns] = {
    "market": "i", "tick": "i", "open": "f", "high": "f", "low": "f", "close": "f", "volume": "f", "vwap": "f",
    "time": "t",
}  # fmt: skip
"""Columns of table `bar`, in order."""

MARKET_ROUND: Final[Columns] = {
    "market": "i", "close": "f", "regime": "i", "trading": "i", "apprentices": "i", "agents_cash": "f",
    "agents_shares": "f", "trust": "f", "house_cash": "f", "house_shares": "f", "fees": "f", "estate": "f",
    "patron": "f", "transfers": "f", "cash_total": "f", "shares_total": "f", "flow_living_costs": "f",
    "flow_deaths": "f", "flow_immigration": "f", "flow_patron": "f", "flow_fees": "f",
}  # fmt: skip
"""Columns of table `market_round` after `round`, in order."""

AGENT_ROUND: Final[Columns] = {
    "agent_id": "i", "market": "i", "seat": "i", "status": "i", "age_rounds": "i", "equity": "f", "cash": "f",
    "shares": "f", "drawdown": "f", "damage": "i", "scars": "i", "closed_trades": "i", "won_trades": "i",
    "offspring": "i", "invalid_actions": "i", "reward": "f", "loss": "f", "td_error": "f", "grad_norm": "f",
    "q_mean": "f", "q_max": "f", "entropy": "f", "weight_change": "f", "replay_fill": "f", "updates": "i",
    "epsilon": "f", "probe_gain": "o",
}  # fmt: skip
"""Columns of table `agent_round` after `round`, in order."""

TABLES: Final = (
    "run", "stored_agent", "gene", "round", "stored_event", "bar", "market_round", "agent_round", "checkpoint",
    "session", "policy_blob", "policy",
)  # fmt: skip

_MIGRATIONS: Final = Path(__file__).with_name("migrations")
_MAGIC: Final = b"SQLite format 3\x00"


def migrations() -> list[tuple[int, str]]:
    """Return (version it leads to, SQL text) of each migration, oldest first."""
    return [(int(path.name[:4]), path.read_text(encoding="utf-8")) for path in sorted(_MIGRATIONS.glob("*.sql"))]


def migrate(connection: sqlite3.Connection, upto: int | None = None) -> None:
    """Bring an empty or older database of ours to schema `upto`, else the newest; each step is one transaction.

    Each file begins, sets `user_version` and commits by itself; a failing one is rolled back. References are not
    enforced meanwhile: tables that others refer to are rebuilt.
    """
    current = version_of(connection)
    (enforced,) = connection.execute("PRAGMA foreign_keys").fetchone()
    connection.create_function("lineage_unhex", 1, _unhex, deterministic=True)
    connection.execute("PRAGMA foreign_keys = OFF")
    try:
        for version, script in migrations():
            if version > current and (upto is None or version <= upto):
                connection.executescript(script)
    except BaseException:
        connection.rollback()  # inside a transaction, references could not be switched on again
        raise
    finally:
        if enforced:
            connection.execute("PRAGMA foreign_keys = ON")


def _unhex(text: object) -> bytes | None:
    """Return the bytes of lower-case hex digits, None for anything else: the column refuses it."""
    try:
        data = bytes.fromhex(str(text))
    except ValueError:
        return None
    return data if data.hex() == text else None


@cache
def expected_objects(version: int = SCHEMA_VERSION) -> dict[tuple[str, str], str]:
    """Return {(type, name): SQL} of every table, index, view and trigger of a schema."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        migrate(connection, version)
        return schema_objects(connection)


def schema_objects(connection: sqlite3.Connection) -> dict[tuple[str, str], str]:
    """Return {(type, name): SQL} of a database, without SQLite's own tables and automatic indexes."""
    rows = connection.execute("SELECT type, name, sql FROM sqlite_schema").fetchall()
    return {(kind, name): str(sql) for kind, name, sql in rows if not str(name).startswith("sqlite_")}


def check_identity(connection: sqlite3.Connection, path: Path) -> int:
    """Return the schema version of an opened file. Raises StoreError on a foreign file.

    Raises SchemaVersionError when it was written by a newer build, or has no schema at all.
    """
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    version = version_of(connection)
    if application != APPLICATION_ID:
        raise StoreError(f"{path}: application id {application:#x} is not a lineage-arena run; name another directory")
    if version > SCHEMA_VERSION:
        raise SchemaVersionError(
            f"{path}: schema {version} is newer than this build's {SCHEMA_VERSION}; upgrade lineage-arena"
        )
    if version < 1:
        raise SchemaVersionError(f"{path}: schema {version} was never completed; start the run again elsewhere")
    return version


def version_of(connection: sqlite3.Connection) -> int:
    """Return the schema version of an open database."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    return int(version)


def check_file(path: Path) -> None:
    """Raise StoreError unless the path is a file that begins like an SQLite database and is all there."""
    if not path.is_file():
        raise StoreError(f"{path}: no run is recorded here; name a run's directory or start one with `run`")
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            header = file.read(100)
    except OSError as error:
        raise EnvironmentFault(f"{path}: cannot be read ({error.strerror}); check its permissions") from error
    if header[: len(_MAGIC)] != _MAGIC or len(header) < 100:
        raise StoreError(f"{path}: not an SQLite database; restore it from a copy")
    # SQLite itself opens a file that was cut short. With a log beside it the header may be ahead.
    page, pages = int.from_bytes(header[16:18], "big"), int.from_bytes(header[28:32], "big")
    promised = (65536 if page == 1 else page) * pages
    if size < promised and not _has_log(path):
        raise StoreError(f"{path}: cut short at {size} of {promised} bytes; restore it from a copy")


def _has_log(path: Path) -> bool:
    """Whether rounds wait in a write-ahead log; read-only readers leave an empty one behind."""
    log = path.with_name(path.name + "-wal")
    return log.exists() and log.stat().st_size > 0


_CURES: Final = {
    "SQLITE_FULL": "the disk is full; free space, then resume",
    "SQLITE_READONLY": "the file is read-only; make it writable, then resume",
    "SQLITE_BUSY": "another process is writing; stop it, then resume",
    "SQLITE_LOCKED": "another process is writing; stop it, then resume",
    "SQLITE_IOERR": "the disk refused to read or write; check it, then resume",
    "SQLITE_CANTOPEN": "the file cannot be opened; check the directory's permissions",
    "SQLITE_NOMEM": "memory is exhausted; free some, then resume",
    "SQLITE_TOOBIG": "a row is larger than SQLite allows; check its limits",
}


def named_error(error: Exception, path: Path, doing: str) -> ArenaError:
    """Return the error of ours that an SQLite error means, in one line with its cure."""
    name = getattr(error, "sqlite_errorname", "") or ""
    text = " ".join(str(error).split())
    for prefix, cure in _CURES.items():
        if name.startswith(prefix):
            return EnvironmentFault(f"{path}: {doing}: {text}; {cure}")
    return StoreError(f"{path}: {doing}: {text}; run verify on this directory")


@contextmanager
def store_errors(path: Path, doing: str) -> Iterator[None]:
    """Turn SQLite errors inside the block into EnvironmentFault or StoreError."""
    try:
        yield
    except (sqlite3.Error, UnicodeDecodeError) as error:  # a damaged schema can garble the message itself
        raise named_error(error, path, doing) from error


def connect_reader(path: Path) -> sqlite3.Connection:
    """Return a read-only connection that trusts nothing in the file; close it after use.

    Raises StoreError for a missing, foreign or damaged file, SchemaVersionError for a newer one.
    """
    check_file(path)
    with store_errors(path, "open for reading"):
        # Where no log can be created beside the file (a read-only disk), SQLite reads it only as immutable.
        frozen = not os.access(path.parent, os.W_OK) and not _has_log(path)
        uri = path.resolve().as_uri() + ("?mode=ro&immutable=1" if frozen else "?mode=ro")
        connection = sqlite3.connect(uri, uri=True, timeout=10.0, isolation_level=None)
        try:
            connection.execute("PRAGMA trusted_schema = OFF")
            connection.execute("PRAGMA query_only = ON")
            check_identity(connection, path)
        except BaseException:
            connection.close()
            raise
    return connection
