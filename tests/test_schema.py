"""The schema: its guards by hand through sqlite3, its views, and who is let in."""

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from arena.errors import SchemaVersionError, StoreError
from lineage.record import schema
from lineage.record.schema import AGENT_ROUND, BAR, MARKET_ROUND, SCHEMA_VERSION, TABLES, connect_reader
from lineage.record.store import FILE_NAME
from tests.histories import write_history


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database that no test changes."""
    directory = tmp_path_factory.mktemp("history")
    write_history(directory, 12)
    return directory / FILE_NAME


@pytest.fixture
def database(history: Path, tmp_path: Path) -> Iterator[sqlite3.Connection]:
    """A writable copy, opened like anybody would: plain sqlite3, no pragma."""
    with closing(sqlite3.connect(shutil.copy(history, tmp_path), isolation_level=None)) as connection:
        yield connection


def dump(connection: sqlite3.Connection) -> dict[str, list[tuple[object, ...]]]:
    """Return all rows of all tables."""
    return {table: connection.execute(f"SELECT * FROM {table}").fetchall() for table in TABLES}


@pytest.mark.parametrize("table", TABLES)
def test_history_cannot_be_changed_by_accident(database: sqlite3.Connection, table: str) -> None:
    """UPDATE, DELETE, REPLACE, INSERT OR REPLACE and UPSERT are refused; the rows stay."""
    before = dump(database)
    columns = [row[1] for row in database.execute(f"PRAGMA table_info({table})")]
    last, names = columns[-1], ", ".join(columns)
    keys = ", ".join(row[1] for row in database.execute(f"PRAGMA table_info({table})") if row[5])
    for statement in (
        f"UPDATE {table} SET {last} = {last}",
        f"DELETE FROM {table}",
        f"REPLACE INTO {table} SELECT * FROM {table}",
        f"INSERT OR REPLACE INTO {table} SELECT * FROM {table} LIMIT 1",
        f"UPDATE OR REPLACE {table} SET {last} = {last}",
        f"INSERT INTO {table} ({names}) SELECT {names} FROM {table} WHERE true LIMIT 1 "
        f"ON CONFLICT ({keys}) DO UPDATE SET {last} = excluded.{last}",
    ):
        with pytest.raises(sqlite3.IntegrityError, match="append-only"):
            database.execute(statement)
    assert dump(database) == before


def test_replace_through_a_second_unique_key_is_refused(database: sqlite3.Connection) -> None:
    """REPLACE deletes the rows of every unique index it meets, not only of the primary key."""
    before = dump(database)
    for statement in (
        "REPLACE INTO run SELECT '0123456789abcdef', seed, scenario, config_json, versions_json, inputs_json,"
        " genesis FROM run",
    ):
        with pytest.raises(sqlite3.IntegrityError, match="append-only"):
            database.execute(statement)
    assert dump(database) == before


def test_no_table_has_a_second_unique_key(database: sqlite3.Connection) -> None:
    """So that the guard on the primary key is all that REPLACE has to get past; `run` may hold one row at all."""
    for table in TABLES:
        keys = {row[1] for row in database.execute(f"PRAGMA index_list({table})") if row[2] and row[3] != "pk"}
        assert not keys, table


def test_the_views_take_no_writes(database: sqlite3.Connection) -> None:
    """Old names, old columns, for reading only."""
    for view in ("agent", "event"):
        for statement in (
            f"UPDATE {view} SET agent_id = 1",
            f"DELETE FROM {view}",
            f"REPLACE INTO {view} SELECT * FROM {view}",
        ):
            with pytest.raises(sqlite3.OperationalError, match="because it is a view"):
                database.execute(statement)


def test_without_its_insert_guard_replace_would_pass(database: sqlite3.Connection) -> None:
    """Sabotage: the delete guard alone does not stop REPLACE, so the insert guard is not decoration."""
    database.execute("DROP TRIGGER gene_no_replace")
    database.execute("REPLACE INTO gene SELECT agent_id, name, value + 1 FROM gene")


def test_a_parent_is_older_than_its_child(database: sqlite3.Connection) -> None:
    """CHECK (parent_id < agent_id) makes cycles impossible."""
    with pytest.raises(sqlite3.IntegrityError, match="CHECK"):
        database.execute(
            "INSERT INTO stored_agent SELECT 500, 501, 1, 1, 1, clan, market, seat, 0, 0, mind, inheritance, 0, 0, 0,"
            " genome_sha256, weights_sha256 FROM stored_agent WHERE agent_id = 1"
        )


def test_tables_are_strict(database: sqlite3.Connection) -> None:
    """A BLOB, which is what SQLite makes of a numpy scalar, is refused."""
    with pytest.raises(sqlite3.IntegrityError, match="cannot store BLOB"):
        database.execute("INSERT INTO gene VALUES (1, 'new', x'00')")
    tables = {row[1]: row for row in database.execute("PRAGMA table_list")}
    assert all(tables[name][5] == 1 for name in TABLES)


NEVER_FOLLOWED = {("stored_agent", "jump_id"), ("stored_event", "round")}
"""References from which nobody asks the way back: their rows are never deleted, and a round has its span of events."""


def test_every_foreign_key_has_an_index(database: sqlite3.Connection) -> None:
    """So that joins and checks stay cheap, but where the index would serve nobody and cost 8 bytes a row."""
    for table in TABLES:
        leading = {row[1] for row in database.execute(f"PRAGMA table_info({table})") if row[5] == 1}
        for _, name, _, _, partial in database.execute(f"PRAGMA index_list({table})"):
            if not partial:
                leading.add(database.execute(f"PRAGMA index_info({name})").fetchone()[2])
        for row in database.execute(f"PRAGMA foreign_key_list({table})"):
            assert (row[3] in leading) == ((table, row[3]) not in NEVER_FOLLOWED), f"{table}.{row[3]}"


@pytest.mark.parametrize(
    ("table", "spec"), [("bar", BAR), ("market_round", MARKET_ROUND), ("agent_round", AGENT_ROUND)]
)
def test_column_tables_and_sql_agree(database: sqlite3.Connection, table: str, spec: dict[str, str]) -> None:
    """Names, order and types of the digested columns are those of the database."""
    rows = [(row[1], row[2]) for row in database.execute(f"PRAGMA table_info({table})")]
    types = {"i": "INTEGER", "f": "REAL", "t": "TEXT", "o": "REAL"}
    digested = rows if table == "bar" else rows[1:]
    assert digested == [(name, types[kind]) for name, kind in spec.items()]


def test_views_answer_without_trusting_the_schema(history: Path) -> None:
    """Every view can be read through the read-only connection, and they agree with each other."""
    with closing(connect_reader(history)) as reader:
        views = [name for kind, name in schema.expected_objects() if kind == "view"]
        counts = {name: len(reader.execute(f"SELECT * FROM {name}").fetchall()) for name in views}
        known = {"agent_life", "extant", "scar_load", "round_summary", "clan_summary", "alife_phylogeny", "fossil"}
        assert set(views) == known | {"agent", "event"}
        (agents,) = reader.execute("SELECT count(*) FROM agent").fetchone()
        assert counts["agent_life"] == counts["alife_phylogeny"] == agents
        assert counts["round_summary"] == 12
        fates = dict(reader.execute("SELECT fate, count(*) FROM agent_life GROUP BY fate"))
        assert set(fates) <= {"bankrupt", "terminal_damage", "retired", "censored"}
        assert counts["extant"] == fates["censored"]
        (worst,) = reader.execute("SELECT max(damage) FROM agent_life").fetchone()
        row = "SELECT max(damage) FROM agent_round"
        assert reader.execute(row).fetchone() == (worst,)
        assert reader.execute("SELECT sum(members) FROM clan_summary").fetchone() == (agents,)
        kinds = {kind for (kind,) in reader.execute("SELECT DISTINCT scar_kind FROM scar_load")}
        assert "trade_loss" in kinds
        assert reader.execute("SELECT ancestor_list FROM alife_phylogeny WHERE id = 1").fetchone() == ("[none]",)


def test_a_reader_cannot_write(history: Path) -> None:
    """Read-only file mode and query_only."""
    with closing(connect_reader(history)) as reader, pytest.raises(sqlite3.OperationalError, match="readonly"):
        reader.execute("CREATE TABLE other (x)")


def test_a_history_on_a_read_only_disk_can_be_read(
    history: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where no log can be created beside it, the file is opened as immutable; with a log it never is."""
    monkeypatch.setattr("os.access", lambda path, mode: False)
    with closing(connect_reader(Path(shutil.copy(history, tmp_path)))) as reader:
        assert reader.execute("SELECT count(*) FROM round").fetchone() == (12,)
        assert [path.name for path in tmp_path.iterdir()] == [FILE_NAME]


@pytest.mark.parametrize(
    ("content", "error", "words"),
    [
        (None, StoreError, "no run is recorded"),
        (b"", StoreError, "not an SQLite database"),
        (b"a,b\n1,2\n" * 100, StoreError, "not an SQLite database"),
        (b"SQLite format 3\x00" + bytes(5000), StoreError, "open for reading"),
    ],
)
def test_files_that_are_no_run_are_named(
    tmp_path: Path, content: bytes | None, error: type[StoreError], words: str
) -> None:
    """Missing, empty, text, garbage behind a good beginning: StoreError in one line."""
    path = tmp_path / FILE_NAME
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(error, match=words) as caught:
        connect_reader(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("pragma", "error", "words"),
    [
        ("application_id = 7", StoreError, "is not a lineage-arena run"),
        (f"user_version = {SCHEMA_VERSION + 1}", SchemaVersionError, "is newer than this build's"),
        ("user_version = 0", SchemaVersionError, "was never completed"),
    ],
)
def test_foreign_and_newer_databases_are_refused_by_name(
    history: Path, tmp_path: Path, pragma: str, error: type[StoreError], words: str
) -> None:
    """An ordinary SQLite file, and one of a later build."""
    path = Path(shutil.copy(history, tmp_path))
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA {pragma}")
    with pytest.raises(error, match=words):
        connect_reader(path)


class _Interrupted(sqlite3.Connection):
    """A connection on which somebody presses Ctrl-C in the middle of a script."""

    def executescript(self, script: str, /) -> sqlite3.Cursor:
        """Do the first half and go no further."""
        super().executescript(script.partition("\nCREATE VIEW")[0])
        raise KeyboardInterrupt


def test_an_interrupted_migration_leaves_nothing_and_references_enforced() -> None:
    """No half of a schema, no open transaction, no connection that no longer looks at references."""
    with closing(sqlite3.connect(":memory:", isolation_level=None, factory=_Interrupted)) as connection:
        connection.execute("PRAGMA foreign_keys = ON")
        with pytest.raises(KeyboardInterrupt):
            schema.migrate(connection)
        assert not connection.in_transaction
        assert connection.execute("PRAGMA foreign_keys").fetchone() == (1,)
        assert connection.execute("SELECT count(*) FROM sqlite_schema").fetchone() == (0,)


def test_a_failing_migration_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A step and its version are one transaction."""
    version, script = schema.migrations()[0]
    broken = script.replace("CREATE VIEW clan_summary", "CREATE VUE clan_summary")
    monkeypatch.setattr(schema, "migrations", lambda: [(version, broken)])
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        with pytest.raises(sqlite3.OperationalError, match="VUE"):
            schema.migrate(connection)
        assert connection.execute("SELECT count(*) FROM sqlite_schema").fetchone() == (0,)
        assert connection.execute("PRAGMA user_version").fetchone() == (0,)
