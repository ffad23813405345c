"""Databases of every schema version: read as they are, migrated by the first write and not before."""

import gzip
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from arena.errors import DataError, StoreError
from lineage import rewind
from lineage.record import schema
from lineage.record.digests import Columns, table_digest, table_from_rows, tidy
from lineage.record.policies import load_policy, policies_of
from lineage.record.provenance import session
from lineage.record.schema import SCHEMA_VERSION, connect_reader, expected_objects, schema_objects, version_of
from lineage.record.store import FILE_NAME, Store
from lineage.record.verify import verify
from tests.commands import call
from tests.runs import files_of, go_on
from tests.tampering import opened, without_guards

FIXTURES = Path(__file__).parent / "fixtures"
VERSIONS = range(1, SCHEMA_VERSION + 1)


@pytest.fixture(params=VERSIONS)
def old(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A run's directory with the database of a build of that schema."""
    return unpacked(int(request.param), tmp_path)


def unpacked(version: int, directory: Path) -> Path:
    """Return a directory with the fixture of a schema version."""
    with gzip.open(FIXTURES / f"schema-v{version}.sqlite.gz") as packed, (directory / FILE_NAME).open("wb") as file:
        shutil.copyfileobj(packed, file)
    return directory


def version_in(directory: Path) -> int:
    """Return the schema version of a run's database."""
    with closing(sqlite3.connect(directory / FILE_NAME)) as connection:
        return version_of(connection)


@pytest.mark.parametrize("version", VERSIONS)
def test_the_fixture_is_of_its_version_and_small(version: int, tmp_path: Path) -> None:
    """There is one for every schema that ever was, exactly as that schema's build wrote it."""
    directory = unpacked(version, tmp_path)
    assert version_in(directory) == version
    assert (FIXTURES / f"schema-v{version}.sqlite.gz").stat().st_size < 40_000
    with closing(sqlite3.connect(directory / FILE_NAME)) as connection:
        assert schema_objects(connection) == expected_objects(version)


def test_every_version_verifies_and_reading_changes_nothing(old: Path) -> None:
    """Levels, listing and a policy: answered or refused in words, not a byte of the file written."""
    before = files_of(old)
    report = verify(old)
    assert report.ok, report.findings
    version = version_in(old)
    assert call("policy", "list", old).code == 0
    with closing(connect_reader(old / FILE_NAME)) as reader:
        if version == 1:
            with pytest.raises(DataError, match="schema 1, which keeps none"):
                load_policy(reader, 1)
            with pytest.raises(DataError, match="schema 1, which keeps none"):
                policies_of(reader, "fossils")
        else:
            assert load_policy(reader, 1).is_learner
    assert files_of(old) == before
    assert version_in(old) == version


def test_the_first_write_migrates_and_the_old_rounds_still_verify(old: Path) -> None:
    """Opening for writing leaves the schema alone; a note of a session brings it up, with all guards in place."""
    version = version_in(old)
    store = Store.open_writer(old / FILE_NAME)
    assert version_of(store.connection) == version
    number = store.record_session(session(1, "cpu"))
    store.close()
    assert number > 1
    with closing(sqlite3.connect(old / FILE_NAME)) as connection:
        assert schema_objects(connection) == expected_objects()
    report = verify(old)
    assert report.ok, report.findings


def answers(directory: Path) -> dict[str, str]:
    """Return what people get out of a run: rows under the old names, exports, proofs, heads, a picture of its state."""
    told = {name: call("export", directory, "--format", name).out for name in ("csv", "alife", "newick")}
    told |= {f"prove {what}": call("prove", directory, *what.split()).out for what in ("event 3", "checkpoint")}
    told |= {name: call("query", directory, name, "--json").out for name in ("run", "causes", "graveyard", "rounds")}
    with closing(connect_reader(directory / FILE_NAME)) as reader:
        for view in ("agent", "event", "agent_life", "scar_load", "round_summary", "clan_summary", "alife_phylogeny"):
            told[view] = repr(reader.execute(f"SELECT * FROM {view} ORDER BY 1, 2").fetchall())
    report = verify(directory)
    return told | {"verified": repr((report.ok, report.head, report.root, report.checkpoint_line))}


def test_a_migrated_file_gives_the_same_answers(old: Path) -> None:
    """Every value under the old names, every export, proof, root and head, before and after."""
    before = answers(old)
    store = Store.open_writer(old / FILE_NAME)
    with store._transaction("migrate"):
        pass
    store.close()
    assert version_in(old) == SCHEMA_VERSION
    assert answers(old) == before
    assert len(before["event"]) > 2_000


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("UPDATE event SET prev_hash = replace(prev_hash, 'a', 'b') WHERE event_id = 4", "events do not follow"),
        ("UPDATE event SET payload = replace(payload, '\"seat\":', '\"seat\":1') WHERE kind = 'birth'", "events"),
        ("UPDATE event SET hash = upper(hash) WHERE event_id = 4", "NOT NULL constraint failed: stored_event.hash"),
        ("UPDATE agent SET identity = replace(identity, 'a', 'b')", "agents do not follow"),
        ("UPDATE agent SET market = market + 1", "events do not follow"),
        ("DELETE FROM event WHERE kind = 'birth' AND agent_id = 2", "do not follow"),
    ],
)
def test_a_tampered_file_is_not_migrated(tmp_path: Path, statement: str, words: str) -> None:
    """What schema 3 does not store could vanish with the migration: so it is compared, and refused with advice."""
    directory = unpacked(2, tmp_path)
    with closing(sqlite3.connect(directory / FILE_NAME, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")
        for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'trigger'").fetchall():
            connection.execute(f"DROP TRIGGER {name}")
        assert connection.execute(statement).rowcount > 0
        for (kind, _), sql in expected_objects(2).items():
            if kind == "trigger":
                connection.execute(sql)
    store = Store.open_writer(directory / FILE_NAME)
    with pytest.raises(StoreError, match=rf"({words}).*run verify"):
        store.record_session(session(1, "cpu"))
    store.abandon()
    assert version_in(directory) == 2
    with closing(sqlite3.connect(directory / FILE_NAME)) as connection:
        assert schema_objects(connection) == expected_objects(2)
    assert not verify(directory).ok


def test_a_resume_that_is_refused_leaves_the_old_schema(old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another build cannot go on with the run: the one that began it still can."""
    version, before = version_in(old), files_of(old)
    monkeypatch.setattr(rewind, "versions", lambda: {"lineage_arena": "9.9.9"})
    with pytest.raises(StoreError, match="recorded with another build"):
        go_on(old)
    assert version_in(old) == version
    assert {**files_of(old), FILE_NAME: ""} == {**before, FILE_NAME: ""}


def test_a_migration_that_fails_anywhere_leaves_the_older_schema(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every statement of every later migration in turn: nothing between old and new, and then it can be done."""
    steps = schema.migrations()
    for version, script in steps[1:]:
        statements = [at for at in range(len(script)) if script.startswith(("CREATE", "ALTER", "COMMIT"), at)
                      and script[at - 1] == "\n"]  # fmt: skip
        assert len(statements) > 3
        for at in statements:
            broken = script[:at] + "BROKEN " + script[at:]
            monkeypatch.setattr(schema, "migrations", lambda b=broken, v=version: [*steps[: v - 1], (v, b)])
            with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
                with pytest.raises(sqlite3.OperationalError, match="BROKEN"):
                    schema.migrate(connection)
                assert version_of(connection) == version - 1
                assert schema_objects(connection) == expected_objects(version - 1)
                monkeypatch.setattr(schema, "migrations", lambda: steps)
                schema.migrate(connection)
                assert version_of(connection) == SCHEMA_VERSION


def test_an_older_version_number_on_a_newer_file_is_found(tmp_path: Path) -> None:
    """Whoever sets the number back to be judged by older rules is told that the schema does not fit."""
    directory = unpacked(SCHEMA_VERSION, tmp_path)
    with closing(sqlite3.connect(directory / FILE_NAME)) as connection:
        connection.execute("PRAGMA user_version = 1")
    report = verify(directory)
    assert any("does not belong here" in text or "was changed" in text for text in report.findings)
    assert any("its schema has no place" in text for text in report.findings)


def test_a_value_slipped_into_a_column_that_came_later_is_found(tmp_path: Path) -> None:
    """Rounds from before the column are digested without it, but only while it is empty there."""
    directory = unpacked(1, tmp_path)
    store = Store.open_writer(directory / FILE_NAME)
    store.record_session(session(1, "cpu"))
    store.close()
    assert verify(directory).ok
    with opened(directory) as connection:
        without_guards(
            connection, lambda: connection.execute("UPDATE agent_round SET probe_gain = 1.5 WHERE round = 0")
        )
    report = verify(directory)
    assert any("round 0: rows of agents were changed" in text for text in report.findings), report.findings


def test_an_optional_column_counts_only_where_it_holds_something() -> None:
    """Left out, empty and never heard of are one digest; a value, and where it stands, make others."""
    old: Columns = {"a": "i"}
    new: Columns = {"a": "i", "b": "o"}
    rows = {"a": np.array([1, 2])}

    def digest(*values: float) -> str:
        return table_digest(new, tidy(new, rows | {"b": np.array(values)}, "here"))

    bare = table_digest(old, tidy(old, rows, "here"))
    assert table_digest(new, tidy(new, rows, "here")) == digest(np.nan, np.nan) == bare
    assert len({bare, digest(0.0, np.nan), digest(np.nan, 0.0), digest(0.0, 0.0)}) == 4
    assert table_digest(new, table_from_rows(new, [(1,), (2,)])) == bare
