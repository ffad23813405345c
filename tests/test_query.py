"""`query`: canned and own SQL on a run; nothing that is asked can change a byte, last forever or fill the memory."""

import hashlib
import json
import signal
import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from arena.errors import ArenaError, ConfigError, EnvironmentFault, StoreError
from lineage.ask import query
from lineage.ask.canned import Canned, bind, canned, canned_queries, read_canned
from lineage.ask.query import Cell, ask, placeholders, plain, run_query, value_of
from lineage.ask.reading import open_run
from lineage.record.store import FILE_NAME
from tests.commands import Result, call
from tests.runs import copied, lively, play
from tests.tampering import opened, without_guards


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real run with births, deaths and scars."""
    directory = tmp_path_factory.mktemp("real") / "run"
    play(directory, lively())
    return directory


def digest(directory: Path) -> str:
    """Return the hash of a run's database."""
    return hashlib.sha256((directory / FILE_NAME).read_bytes()).hexdigest()


@pytest.mark.parametrize("name", sorted(canned_queries()))
def test_every_canned_query_answers(run: Path, name: str) -> None:
    """With the first agent who has a child where it wants one; and its names are columns of an object."""
    query = canned(name)
    with open_run(run) as connection:
        (agent,) = connection.execute("SELECT min(parent_id) FROM agent").fetchone()
        (child,) = connection.execute("SELECT min(agent_id) FROM agent WHERE parent_id = ?", (agent,)).fetchone()
        both = {"agent": str(agent), "other": str(child)}
        given = {one.name: both[one.name] for one in query.parameters if one.default is None}
        answer = ask(connection, query.sql, bind(connection, query, given))
    assert len(set(answer.columns)) == len(answer.columns)
    assert answer.rows or name in ("alarms", "causes", "graveyard")
    assert query.title.endswith(".")
    flags = [part for key, one in given.items() for part in ("--param", f"{key}={one}")]
    printed = call("query", run, name, *flags, "--json")
    assert printed.code == 0, printed.err
    rows = [tuple(row.values()) for row in json.loads(printed.out)["rows"]]
    assert rows == [tuple(map(plain, row)) for row in answer.rows]


def test_the_list_names_every_query_with_its_parameters(run: Path) -> None:
    """`query RUN list`, which does not even need the run."""
    done = call("query", run, "list", "--json")
    listed = {row["name"]: row for row in json.loads(done.out)["rows"]}
    assert listed.keys() == canned_queries().keys()
    assert listed["descendants"]["parameters"] == "agent, rows=100"


@pytest.mark.parametrize(
    "sql",
    [
        "DELETE FROM agent", "UPDATE agent SET clan = 'x'", "DELETE FROM stored_event", "DROP VIEW event",
        "INSERT INTO gene VALUES (1, 'x', 1)", "DROP TABLE stored_agent", "DROP TABLE agent",
        "REPLACE INTO gene VALUES (1, 'x', 1)", "CREATE TABLE x (a)", "CREATE TEMP TABLE x (a)",
        "CREATE VIEW x AS SELECT 1", "ALTER TABLE stored_agent RENAME TO x",
        "ATTACH 'x.db' AS x", "DETACH main", "VACUUM",
        "VACUUM INTO 'x.db'",
        "PRAGMA journal_mode = DELETE", "PRAGMA query_only = OFF", "PRAGMA writable_schema = ON",
        "PRAGMA user_version = 9", "PRAGMA wal_checkpoint(TRUNCATE)", "PRAGMA optimize", "PRAGMA trusted_schema = ON",
        "PRAGMA hard_heap_limit = 1",
        "SELECT load_extension('x')", "BEGIN", "COMMIT", "SAVEPOINT x", "REINDEX", "ANALYZE",
        "UPDATE agent SET clan = 'x' RETURNING clan", "WITH x AS (SELECT 1) DELETE FROM agent",
        "INSERT INTO gene SELECT * FROM gene", "CREATE VIRTUAL TABLE x USING fts5(a)",
        "SELECT * FROM pragma_journal_mode('delete')", "UPDATE sqlite_schema SET sql = ''",
        "/* SELECT */ DELETE FROM event",
    ],
)  # fmt: skip
def test_whatever_is_no_reading_is_refused(
    run: Path, sql: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One line that names the deed, exit 2, not a byte changed, no file beside it."""
    monkeypatch.chdir(tmp_path)
    before = digest(run)
    with pytest.raises(ConfigError, match="only reading"):
        run_query(run, sql)
    done = call("query", run, sql)
    assert (done.code, done.out) == (2, "")
    assert done.err.count("\n") == 1
    assert digest(run) == before
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("sql", "words"),
    [
        ("", "empty"), ("   \n", "empty"), ("-- nothing", "returns nothing"), ("SELECT 1; SELECT 2", "one at a time"),
        ("SELCT 1", "syntax error"), ("SELECT bird FROM agent", "no such column"),
        ("SELECT * FROM x", "no such table"),
        ("SELECT :a", "--param a=VALUE"), ("SELECT ?", "positional"), ("SELECT 1\0", "null character"),
        ("SELECT '\ud800'", "surrogates"), ("SELECT hex(zeroblob(900000000))", "too big"),
        ("SELECT abs(-9223372036854775808)", "overflow"),
        ("SELECT " + "(" * 3000 + "1" + ")" * 3000, "parser|overflow|depth"),
        ("SELECT writefile('x', 'y')", "no such function"),
        ("SELECT CAST(x'80' AS TEXT)", "UTF-8"), ("no_such_query", "syntax error"),
    ],
)  # fmt: skip
def test_nonsense_is_explained(run: Path, sql: str, words: str) -> None:
    """One line, exit 2."""
    with pytest.raises(ConfigError, match=words) as caught:
        run_query(run, sql)
    assert "\n" not in str(caught.value)


def test_a_statement_that_never_ends_is_stopped(run: Path) -> None:
    """By the clock, whether it computes before the first row or after."""
    forever = "WITH RECURSIVE c (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) "
    for sql in (forever + "SELECT count(*) FROM c", forever + "SELECT x FROM c WHERE x < 0 OR x = 5"):
        with pytest.raises(ConfigError, match=r"longer than 0\.2 s"):
            run_query(run, sql, timeout_seconds=0.2)
    done = call("query", run, forever + "SELECT max(x) FROM c", "--timeout", "0.2")
    assert done.code == 2


def test_ctrl_c_ends_a_statement(run: Path) -> None:
    """It is the person's stop, not the clock's: exit 130."""
    sqlite3.enable_callback_tracebacks(False)  # Datasette, imported by another test, turns them on for everybody
    endless = "WITH RECURSIVE c (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT count(*) FROM c"
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # in the background of a shell it is ignored
    try:
        threading.Timer(0.3, signal.raise_signal, [signal.SIGINT]).start()
        done = call("query", run, endless, "--timeout", "20")
    finally:
        signal.signal(signal.SIGINT, before)
    assert (done.code, done.out) == (130, ""), done.err


def test_ctrl_c_while_a_statement_is_prepared_is_the_persons_stop(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SQLite would call it a refusal: it asks the authorizer, and there the signal arrives."""

    class Interrupted(frozenset[int]):
        def __contains__(self, action: object) -> bool:
            raise KeyboardInterrupt

    sqlite3.enable_callback_tracebacks(False)
    monkeypatch.setattr(query, "_ALLOWED", Interrupted())
    with pytest.raises(KeyboardInterrupt):
        run_query(run, "SELECT 1")


def test_rows_and_bytes_are_bounded(run: Path) -> None:
    """A limit on rows says so; an answer of gigabytes is refused before it is one."""
    endless = "WITH RECURSIVE c (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT x FROM c"
    answer = run_query(run, endless, limit=7)
    assert (len(answer.rows), answer.more) == (7, True)
    assert not run_query(run, endless + " LIMIT 7", limit=7).more
    with pytest.raises(ConfigError, match="exceeds 64 MiB"):
        run_query(run, endless.replace("SELECT x FROM", "SELECT zeroblob(8000000) FROM"))
    done = call("query", run, endless, "--limit", "3")
    assert done.out.split() == ["x", "1", "2", "3"]
    assert "there are more" in done.err


def test_table_functions_and_pragmas_that_read_work(run: Path) -> None:
    """json_each, the pragma functions, EXPLAIN: what people use to find their way."""
    assert run_query(run, "SELECT value FROM json_each('[1, 2]')").rows == [(1,), (2,)]
    assert ("agent_id",) in run_query(run, "SELECT name FROM pragma_table_info('agent')").rows
    assert run_query(run, "PRAGMA table_info(agent)").rows
    assert run_query(run, "PRAGMA user_version").rows
    assert run_query(run, "EXPLAIN QUERY PLAN SELECT * FROM agent WHERE agent_id = 1").rows
    assert run_query(run, "SELECT json_extract(payload, '$.cause') FROM event WHERE kind = 'death' LIMIT 1").rows


def test_the_walls_come_down_again(run: Path) -> None:
    """After a statement, the connection serves its owner as before."""
    with open_run(run) as connection:
        with pytest.raises(ConfigError):
            ask(connection, "DELETE FROM agent")
        assert connection.execute("PRAGMA query_only").fetchone() == (1,)
        connection.execute("BEGIN")
        connection.execute("COMMIT")
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            connection.execute("DELETE FROM gene")


def test_parameters_are_bound_never_pasted(run: Path) -> None:
    """Numbers are numbers, names of agents become ids, everything else stays text."""
    sql = "SELECT typeof(:a), :a"
    values: list[Cell] = [5, -2.5, "x", "'; DROP TABLE agent; --", None, b"\x00"]
    assert [run_query(run, sql, {"a": value}).rows[0][1] for value in values] == values
    assert [value_of(text) for text in ("5", "-2.5", ".5", "1e3", "5x", "", "nan", "inf", "1e30")] == [
        5, -2.5, 0.5, 1000.0, "5x", "", "nan", "inf", 1e30,
    ]  # fmt: skip
    assert placeholders("SELECT ':no', \":no\", :a, @b, $c, :a -- :no\n/* :no */") == ["a", "b", "c"]
    clan = str(run_query(run, "SELECT clan FROM agent WHERE agent_id = 3").rows[0][0])
    assert '"agent_id": 3,' in call("query", run, "agent", "--param", f"agent={clan}", "--json").out
    for wrong, words in (("agent=0", "never born"), ("agent", "NAME=VALUE"), ("who=3", "no such parameter")):
        done = call("query", run, "agent", "--param", wrong)
        assert done.code == 2
        assert words in done.err
    assert "needs agent" in call("query", run, "agent").err


def test_a_number_of_a_canned_query_is_a_number(run: Path) -> None:
    """SQLite would compare text with rounds and find nothing: an empty answer to a question that was not asked."""
    done = call("query", run, "causes", "--param", "rounds=x")
    assert (done.code, done.out) == (2, "")
    assert "takes a number (how many rounds back)" in done.err
    assert call("query", run, "causes", "--param", "rounds=50").code == 0


def test_stdin_is_a_statement(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`-` reads it; too much or no text is input data, exit 3."""
    import io

    monkeypatch.setattr("sys.stdin", io.StringIO("SELECT count(*) AS n\nFROM agent"))
    assert call("query", run, "-", "--csv").out.startswith("n\n")
    monkeypatch.setattr("sys.stdin", io.StringIO(" " * (2**20 + 1)))
    assert call("query", run, "-").code == 3
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"SELECT '\xff'"), encoding="utf-8"))
    assert call("query", run, "-").code == 3


def test_an_unknown_canned_query_is_named_with_the_nearest(run: Path) -> None:
    """One word is a name, not SQL."""
    done = call("query", run, "ancesters")
    assert done.code == 2
    assert "did you mean 'ancestors'?" in done.err


def test_a_canned_file_whose_header_lies_is_refused(tmp_path: Path) -> None:
    """Parameters are those of the statement, in their order."""
    good = tmp_path / "good.sql"
    good.write_text("-- Who.\n-- :agent = whose\n-- :rows = how many [5]\nSELECT :agent LIMIT :rows\n")
    read = read_canned("good", good)
    assert isinstance(read, Canned)
    assert [(one.name, one.default) for one in read.parameters] == [("agent", None), ("rows", 5)]
    for text in ("SELECT 1", "-- Who.\nSELECT :agent", "-- Who.\n-- :agent = whose\nSELECT 1"):
        bad = tmp_path / "bad.sql"
        bad.write_text(text)
        with pytest.raises(EnvironmentFault, match="header"):
            read_canned("bad", bad)


def asked(directory: Path) -> list[Result]:
    """Ask a damaged or foreign run several questions."""
    return [
        call("query", directory, "SELECT count(*) FROM event WHERE payload LIKE '%x%'"),
        call("lineage", directory, "clans"), call("lineage", directory, "survival"),
        call("lineage", directory, "ancestors", "1"), call("query", directory, "rounds"),
    ]  # fmt: skip


def test_foreign_files_are_recognised(tmp_path: Path) -> None:
    """No database, somebody else's database, an empty file, a directory, nothing at all: no traceback, nothing made."""
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    with closing(sqlite3.connect(foreign / FILE_NAME)) as connection:
        connection.execute("CREATE TABLE agent (agent_id)")
    text = tmp_path / "text"
    text.mkdir()
    (text / FILE_NAME).write_text("hello " * 100)
    empty = tmp_path / "empty"
    empty.mkdir()
    (empty / FILE_NAME).touch()
    for directory, code in ((foreign, 4), (text, 4), (empty, 4), (tmp_path / "none", 2), (tmp_path, 2)):
        before = sorted(tmp_path.rglob("*"))
        for done in asked(directory):
            assert done.code == code, (directory, done)
            assert done.err.startswith("error: ")
            assert done.err.count("\n") == 1
        assert sorted(tmp_path.rglob("*")) == before


def test_corrupt_pages_are_damage_not_bugs(run: Path, tmp_path: Path) -> None:
    """Pages overwritten with noise: an answer or exit 4 in one line, never a traceback; the file stays as it is."""
    whole = (run / FILE_NAME).read_bytes()
    found = set()
    for place in range(1, len(whole) // 4096, max(1, len(whole) // 4096 // 12)):
        directory = tmp_path / str(place)
        directory.mkdir()
        bad = whole[: place * 4096] + hashlib.sha256(str(place).encode()).digest() * 128 + whole[(place + 1) * 4096 :]
        (directory / FILE_NAME).write_bytes(bad)
        for done in asked(directory):
            assert done.code in (0, 2, 4), done
            assert done.code == 0 or done.err.count("\n") == 1
            found.add(done.code)
        assert (directory / FILE_NAME).read_bytes() == bad
    assert 4 in found


HOSTILE = (
    "\x1b[2J\x07\x00", "[red]x[/red]", "=HYPERLINK(1)", "+1", "-1", "@x", "a\nb\r\nc", "\u202eabc", "'quoted'",
    'a"b,c', "",
)  # fmt: skip


def renamed(run: Path, directory: Path, name: str) -> Path:
    """Return a copy of a run in which every clan has a hostile name."""
    copied(run, directory)
    with opened(directory) as connection:
        def cheat() -> object:
            return connection.execute("UPDATE stored_agent SET clan = ?", (name,))

        without_guards(connection, cheat)
    return directory


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_are_only_text(run: Path, tmp_path: Path, name: str) -> None:
    """No control character reaches a table, no formula a CSV, and JSON holds exactly what the file holds."""
    directory = renamed(run, tmp_path / "run", name)
    commands: list[tuple[str, ...]] = [
        ("lineage", "clans"), ("lineage", "tree"), ("lineage", "graveyard"), ("lineage", "champions"),
        ("lineage", "neutral"), ("lineage", "muller"), ("query", "SELECT agent_id, clan FROM agent"),
    ]  # fmt: skip
    for group, *rest in commands:
        done = call(group, directory, *rest)
        assert done.code == 0, done
        assert all(line.isprintable() for line in done.out.splitlines()), done.out
        assert len(done.out.splitlines()) == done.out.count("\n")
        plain_json = call(group, directory, *rest, "--json")
        names = {row["clan"] for row in json.loads(plain_json.out)["rows"] if row["clan"] != "others"}
        assert names <= {name}
        cells = call(group, directory, *rest, "--csv").out
        assert not any(cell.lstrip('"').startswith(("=", "+", "@")) for cell in cells.replace("\n", ",").split(","))


@settings(deadline=None, max_examples=60)
@given(sql=st.text(max_size=60))
def test_no_text_is_a_bug(run: Path, sql: str) -> None:
    """Whatever somebody types: rows or an error of ours."""
    try:
        run_query(run, sql, timeout_seconds=1.0)
    except ArenaError as error:
        assert error.exit_code in (2, 4)


def test_sabotage_the_hash_would_show_a_write(run: Path, tmp_path: Path) -> None:
    """The check that nothing changed can fail."""
    directory = copied(run, tmp_path / "copy")
    before = digest(directory)
    with opened(directory) as connection:
        connection.execute("PRAGMA user_version = 77")
    assert digest(directory) != before


def test_a_damaged_file_is_the_stores_fault_not_the_statements(run: Path, tmp_path: Path) -> None:
    """SQLITE_CORRUPT comes out as StoreError."""
    directory = copied(run, tmp_path / "copy")
    with closing(sqlite3.connect(directory / FILE_NAME)) as connection:
        (page,) = connection.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'gene'").fetchone()
    data = bytearray((directory / FILE_NAME).read_bytes())
    data[(page - 1) * 4096 : page * 4096] = b"\xff" * 4096
    (directory / FILE_NAME).write_bytes(bytes(data))
    with pytest.raises(StoreError, match="run verify"):
        run_query(directory, "SELECT sum(value) FROM gene")
