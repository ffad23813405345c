"""docs/data-model.md is true: every table and column, no more, no fewer; every statement and command in docs/ runs."""

import json
import re
import shlex
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from lineage.record.schema import APPLICATION_ID, SCHEMA_VERSION, migrate
from lineage.record.store import FILE_NAME
from tests.commands import TINY, call, tape_text
from tests.datamodel import METADATA, PAGE, ROOT, metadata_text, payloads, relations
from tests.runs import lively, play

SCALE = {
    "LINEAGE_ARENA_" + assignment.partition("=")[0].replace(".", "_").upper(): assignment.partition("=")[2]
    for assignment in TINY
}
"""The same commands on a tiny population."""


def schema() -> dict[str, list[tuple[str, str]]]:
    """Return {table or view: [(column, declared type)]} of the newest schema."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        migrate(connection)
        names = [
            name
            for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type IN ('table', 'view')")
            if not name.startswith("sqlite_")
        ]
        return {name: [row[1:3] for row in connection.execute(f"PRAGMA table_xinfo({name})")] for name in names}


def test_every_table_and_column_is_described_and_none_invented() -> None:
    """Names, order and types as in the real schema."""
    described = {
        name: [(column, told.type) for column, told in relation.columns.items()]
        for name, relation in relations().items()
    }
    real = schema()
    assert described.keys() == real.keys()
    for name, columns in real.items():
        assert described[name] == columns, name


def test_every_column_has_a_meaning() -> None:
    """Nothing is left empty but units of what has none."""
    for name, relation in relations().items():
        assert relation.about, name
        for column, told in relation.columns.items():
            assert len(told.meaning) > 2, f"{name}.{column}"


def test_the_page_names_the_version() -> None:
    """user_version and application_id are those of the program."""
    text = PAGE.read_text(encoding="utf-8")
    assert f"version ({SCHEMA_VERSION})" in text
    assert str(APPLICATION_ID) in text


def test_a_column_that_is_missing_or_invented_would_be_found() -> None:
    """Sabotage: the comparison fails on a page with one line less, or one more."""
    text, real = PAGE.read_text(encoding="utf-8"), schema()
    line = next(line for line in text.splitlines() if line.startswith("| `jump_id`"))
    for wrong in (text.replace(line + "\n", "", 1), text.replace(line, f"{line}\n| `luck` | REAL | | luck |", 1)):
        columns = [(column, told.type) for column, told in relations(wrong)["stored_agent"].columns.items()]
        assert columns != real["stored_agent"]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real run with births, deaths and immigrants."""
    directory = tmp_path_factory.mktemp("lively") / "run"
    play(directory, lively("rounds=24"))
    return directory


def test_events_of_a_real_run_hold_what_the_page_says(run: Path) -> None:
    """The keys of every payload; `round` may have counts, `censored` weights, scripted minds none."""
    told = payloads()
    seen = set()
    with closing(sqlite3.connect(run / FILE_NAME)) as connection:
        for kind, payload in connection.execute("SELECT DISTINCT kind, payload FROM event"):
            keys = set(json.loads(payload))
            seen.add(kind)
            if kind == "round":
                assert told[kind] <= keys
            elif kind == "censored":
                assert told[kind] - {"weights_sha256"} <= keys <= told[kind]
            else:
                assert keys == told[kind], kind
    assert seen >= told.keys() - {"alarm"}


def test_what_is_null_is_what_the_page_says(run: Path) -> None:
    """No 0 or -1 stands for something undefined."""
    with closing(sqlite3.connect(run / FILE_NAME)) as connection:
        (founders,) = connection.execute("SELECT count(*) FROM agent WHERE parent_id IS NULL").fetchone()
        (roots,) = connection.execute("SELECT count(*) FROM agent WHERE depth = 0").fetchone()
        (undefined,) = connection.execute(
            "SELECT count(*) FROM agent_round WHERE updates = 0 AND loss IS NOT NULL"
        ).fetchone()
        negative = connection.execute("SELECT count(*) FROM agent_life WHERE end_round < birth_round").fetchone()[0]
    assert founders == roots > 0
    assert (undefined, negative) == (0, 0)


def blocks(page: Path, language: str) -> list[str]:
    """Return the fenced blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)


GAMES = ("evaluation", "policies-and-sweeps", "tournaments")
"""Pages whose commands play many games."""

PAGES = [
    pytest.param(page, id=page.stem, marks=[pytest.mark.slow] if page.stem in GAMES else [])
    for page in sorted((ROOT / "docs").glob("*.md"))
]


@pytest.mark.parametrize("page", PAGES)
def test_every_statement_and_command_of_the_docs_runs(
    page: Path, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Statements on a real run; commands in order, in one directory, scaled down: each leaves with 0."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "prices.csv").write_text(tape_text(600))
    shutil.copy(ROOT / "examples" / "my_policy.py", tmp_path)
    with closing(sqlite3.connect(f"file:{run / FILE_NAME}?mode=ro", uri=True)) as connection:
        for block in blocks(page, "sql"):
            for statement in filter(str.strip, block.split(";")):
                assert connection.execute(statement).fetchall(), statement
    for block in blocks(page, "sh"):
        for line in block.splitlines():
            words = shlex.split(line, comments=True)
            if words and words[0] == "lineage-arena":
                done = call(*words[1:], env=SCALE)
                assert done.code == 0, f"{words}: {done.err}"


def test_the_metadata_of_datasette_is_the_page_and_the_queries() -> None:
    """data/datasette.json is written by `python -m tests.datamodel`; it is as fresh as its sources."""
    assert METADATA.read_text(encoding="utf-8") == metadata_text()
