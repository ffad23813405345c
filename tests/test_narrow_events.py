"""Schema 3 stores less: its views show what the tables of schema 2 showed, at the same price, and cannot lie."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lineage.ask.canned import canned_queries
from lineage.record.digests import canonical
from lineage.record.events import Birth
from lineage.record.family import Kin
from lineage.record.ledger import birth_payload, event_hash
from lineage.record.schema import connect_reader, migrate
from lineage.record.store import FILE_NAME
from lineage.record.verify import verify
from tests.histories import write_history
from tests.runs import copied
from tests.tampering import opened, without_guards

BIG = 2**63 - 1
TEXT = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=20)
SHA = st.binary(min_size=32, max_size=32).map(bytes.hex)
COUNT = st.integers(0, BIG)


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A made-up history with children of children, that no test changes."""
    directory = tmp_path_factory.mktemp("history")
    write_history(directory, 16)
    return directory


@pytest.fixture(scope="module")
def reader(history: Path) -> Iterator[sqlite3.Connection]:
    """The same, open for reading."""
    with closing(connect_reader(history / FILE_NAME)) as connection:
        yield connection


@pytest.fixture(scope="module")
def empty() -> Iterator[sqlite3.Connection]:
    """A database of the newest schema without a row."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        migrate(connection)
        yield connection


def shown(connection: sqlite3.Connection, birth: Birth, kin: Kin) -> str:
    """Store one birth without its payload and return what the view makes of it."""
    hashes = bytes(32), bytes.fromhex(birth.weights_sha256)
    row = (
        birth.agent_id, birth.parent_id, kin.founder, kin.depth, kin.jump, "teal-owl", birth.market, birth.seat, 0,
        birth.tick, birth.mind, birth.inheritance, birth.endowment_cents, birth.birthmark, birth.apprentice_rounds,
    )  # fmt: skip
    genome = bytes.fromhex(str(birth_payload(birth, kin)["genome_sha256"]))
    connection.execute("BEGIN")
    try:
        connection.execute(f"INSERT INTO stored_agent VALUES ({'?, ' * 16}?)", (*row, genome, hashes[1]))
        event = (7, 0, birth.agent_id, 0, birth.tick, "birth", None, hashes[0])
        connection.execute("INSERT INTO stored_event VALUES (?, ?, ?, ?, ?, ?, ?, ?)", event)
        (text,) = connection.execute("SELECT payload FROM event").fetchone()
        return str(text)
    finally:
        connection.execute("ROLLBACK")


births = st.builds(
    Birth, st.integers(2, BIG), st.none() | st.just(1), COUNT, COUNT, COUNT, TEXT, TEXT, COUNT, COUNT, COUNT,
    st.dictionaries(TEXT, st.floats(allow_nan=False), max_size=2), st.just("") | SHA,
)  # fmt: skip


@given(births, COUNT)
def test_the_payload_of_a_birth_is_rebuilt_byte_for_byte(empty: sqlite3.Connection, birth: Birth, depth: int) -> None:
    """Any numbers, any printable text with quotes and backslashes in it: the text that was hashed."""
    kin = Kin(1, depth, 1)
    assert shown(empty, birth, kin) == canonical(birth_payload(birth, kin))


def test_a_birth_rebuilt_wrongly_would_be_found() -> None:
    """Sabotage: another order of keys, a forgotten escape, a NULL parent: the comparison above fails."""
    birth = Birth(2, None, 3, 4, 5, 'a "b" \\c', "immigrant", 6, 7, 8, {}, "")
    kin = Kin(1, 0, 1)
    for right, wrong in (
        ('\'","parent":\' || coalesce(a.parent_id, 0)', '\'","parent":\' || coalesce(a.parent_id, 1)'),
        ("replace(replace(a.mind, '\\', '\\\\'), '\"', '\\\"')", "a.mind"),
        (',"market":\' || a.market', ',"market":\' || a.seat'),
    ):
        with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
            migrate(connection)
            (sql,) = connection.execute("SELECT sql FROM sqlite_schema WHERE name = 'event'").fetchone()
            assert right in sql
            assert shown(connection, birth, kin) == canonical(birth_payload(birth, kin))
            connection.execute("DROP VIEW event")
            connection.execute(sql.replace(right, wrong))
            assert shown(connection, birth, kin) != canonical(birth_payload(birth, kin))


def test_every_hash_follows_from_what_the_view_shows(reader: sqlite3.Connection) -> None:
    """Payloads of births, the hash before, agents and runs: a stranger's recipe works on the view as it did before."""
    (run_id,) = reader.execute("SELECT run_id FROM run").fetchone()
    kinds = set()
    for event_id, index, agent, seq, tick, kind, payload, prev, digest in reader.execute("SELECT * FROM event"):
        assert event_hash(run_id, event_id, agent or 0, seq, index, tick, kind, payload, prev) == digest
        kinds.add(kind)
    assert kinds >= {"birth", "spawn", "death", "scar", "round", "closed"}


def test_an_identity_is_the_hash_of_the_birth(reader: sqlite3.Connection) -> None:
    """One row an agent, in the columns of old."""
    rows = reader.execute("SELECT a.identity, e.hash FROM agent a JOIN event e USING (agent_id) WHERE e.kind = 'birth'")
    pairs = rows.fetchall()
    assert len(pairs) == reader.execute("SELECT count(*) FROM stored_agent").fetchone()[0] > 8
    assert all(identity == digest and len(digest) == 64 for identity, digest in pairs)


def plan(connection: sqlite3.Connection, statement: str) -> str:
    """Return how SQLite would answer, all parameters 1."""
    names = dict.fromkeys(("agent", "other", "rows", "rounds", "at"), 1)
    return "\n".join(row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {statement}", names))


@pytest.mark.parametrize(
    ("statement", "found_by"),
    [
        ("SELECT * FROM event WHERE event_id = 5", "SEARCH e USING INTEGER PRIMARY KEY (rowid=?)"),
        ("SELECT payload FROM event WHERE agent_id = 5 ORDER BY event_id", "USING INDEX event_by_agent (agent_id=?)"),
        ("SELECT seq FROM event WHERE agent_id IS NULL", "USING INDEX event_by_agent (agent_id=?)"),
        ("SELECT count(*) FROM event WHERE kind = 'death'", "USING INDEX event_of_death"),
        ("SELECT payload FROM event WHERE kind = 'scar' AND round > 5", "USING INDEX event_of_scar (round>?)"),
        ("SELECT agent_id FROM agent WHERE parent_id = 3", "USING COVERING INDEX agent_by_parent (parent_id=?)"),
        ("SELECT identity FROM agent WHERE agent_id = 3", "SEARCH a USING INTEGER PRIMARY KEY (rowid=?)"),
        ("SELECT e.tick FROM agent a LEFT JOIN event e ON e.agent_id = a.agent_id AND e.kind = 'death'", "LEFT-JOIN"),
        (canned_queries()["causes"].sql, "USING INDEX event_of_death (round>?)"),
        (canned_queries()["alarms"].sql, "USING INDEX event_of_alarm (round>?)"),
        (canned_queries()["life"].sql, "USING INDEX event_by_agent (agent_id=?)"),
    ],
)
def test_an_index_is_found_through_the_views(reader: sqlite3.Connection, statement: str, found_by: str) -> None:
    """SQLite merges view and question into one: nothing is made beforehand, no table is read from end to end."""
    told = plan(reader, statement)
    assert found_by in told
    assert not any(word in told for word in ("MATERIALIZE", "CO-ROUTINE")), told


def test_a_column_that_is_not_asked_for_is_not_computed(reader: sqlite3.Connection) -> None:
    """The hash before and the payload of births are looked up where they are wanted, and nowhere else."""
    assert "SCALAR SUBQUERY" not in plan(reader, "SELECT event_id, kind, tick, hash FROM event")
    assert "SCALAR SUBQUERY" in plan(reader, "SELECT prev_hash FROM event")


def levels(directory: Path) -> set[str]:
    """Return the levels of verify that found something."""
    return {level.name for level in verify(directory).levels if not level.ok}


def lying(connection: sqlite3.Connection, view: str, right: str, wrong: str) -> None:
    """Put a view in place that shows something else."""
    (sql,) = connection.execute("SELECT sql FROM sqlite_schema WHERE name = ?", (view,)).fetchone()
    assert right in sql
    connection.execute(f"DROP VIEW {view}")
    connection.execute(sql.replace(right, wrong))


def swapped(statement: str, *values: object) -> Callable[[sqlite3.Connection], object]:
    """Return a cheat that runs one statement."""
    return lambda connection: connection.execute(statement, values)


@pytest.mark.parametrize(
    ("cheat", "found"),
    [
        (lambda c: lying(c, "event", "FROM stored_event e", "FROM stored_event e WHERE e.seq > 0"), "structural"),
        (lambda c: lying(c, "event", "e.tick, e.kind,", "e.tick, 'alarm' AS kind,"), "structural"),
        (lambda c: lying(c, "agent", "a.birthmark,", "0 AS birthmark,"), "structural"),
        (swapped("UPDATE stored_event SET hash = (SELECT hash FROM stored_event WHERE event_id = 9 - e.event_id) FROM"
                 " stored_event e WHERE e.event_id = stored_event.event_id AND e.event_id IN (4, 5)"), "cryptographic"),
        (swapped("UPDATE stored_agent SET genome_sha256 = weights_sha256, weights_sha256 = genome_sha256"
                 " WHERE agent_id = 2"), "cryptographic"),
        (swapped("UPDATE stored_agent SET seat = market, market = seat WHERE agent_id = 2"), "cryptographic"),
        (swapped("UPDATE stored_agent SET birth_round = birth_round + 1 WHERE agent_id = 2"), "cryptographic"),
        (swapped("UPDATE stored_event SET payload = ? WHERE event_id = 0", "{}"), "cryptographic"),
        (swapped("UPDATE stored_event SET payload = NULL WHERE kind = 'scar'"), "cryptographic"),
    ],
)  # fmt: skip
def test_views_that_lie_and_bytes_that_are_swapped_are_found(
    history: Path, tmp_path: Path, cheat: Callable[[sqlite3.Connection], object], found: str
) -> None:
    """Nothing is stored twice any more, so every byte must be under a hash, and every view word for word as it was."""
    copy = copied(history, tmp_path / "copy")
    assert levels(copy) == set()
    with opened(copy) as connection:
        without_guards(connection, lambda: cheat(connection))
    assert found in levels(copy)
