"""A real, finished run, tampered with: every edit is found given the head; nothing is found in a clean copy."""

import random
import sqlite3
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from lineage import engine
from lineage.record import verify_chain
from lineage.record.schema import TABLES
from lineage.record.store import FILE_NAME
from tests.runs import SEED, copied, go_on, lively, rounds_left, rows_of, verified
from tests.tampering import (
    CHEATS,
    change_one_byte,
    columns_of,
    delete_last_row,
    delete_row,
    key_of,
    opened,
    swap_rows,
    without_guards,
)

ROUNDS = 40

NOTICED_ONLY_IN_PART = {("session", delete_row), ("session", delete_last_row)}
"""The newest session is under no hash but its own: it can vanish. Its first one cannot, nor any change of one."""

IMPOSSIBLE = {("run", swap_rows)}
"""One row cannot be swapped."""


class Kept(NamedTuple):
    """A finished run that no test changes, and the head that its owner wrote down."""

    directory: Path
    head: str


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Kept:
    """Forty rounds, interrupted once: two sessions, births of all kinds, deaths, scars, nine checkpoints."""
    directory = tmp_path_factory.mktemp("kept") / "run"
    with engine.start(directory, lively(f"rounds={ROUNDS}", "population.oracle=2"), SEED) as started:
        started.run(should_stop=rounds_left(13))
    head = go_on(directory).head
    rows = rows_of(directory)
    assert all(len(rows[table]) > 1 for table in TABLES if table != "run")
    return Kept(directory, head)


@pytest.fixture
def copy(kept: Kept, tmp_path: Path) -> Path:
    """A directory with its own copy."""
    return copied(kept.directory, tmp_path / "copy")


def found(directory: Path, kept: Kept) -> bool:
    """Whether verify has something to say, given the head."""
    report = verified(directory, kept.head, replay=False)
    assert report.ok == (not report.findings)
    return not report.ok


def tamper(directory: Path, cheat: Callable[[sqlite3.Connection], Any]) -> Any:
    """Let somebody cheat with the guards out of the way and put back afterwards; return what they say."""
    told: list[Any] = []
    with opened(directory) as connection:
        without_guards(connection, lambda: told.append(cheat(connection)))
    return told[0]


def test_twenty_clean_copies_have_no_finding(kept: Kept, tmp_path: Path) -> None:
    """No false alarm: copied, guards taken off and put back, opened and closed by the engine."""
    for number in range(20):
        directory = copied(kept.directory, tmp_path / f"{number}")
        if number % 2:
            tamper(directory, lambda connection: None)
        if number == 19:
            go_on(directory)
        assert not found(directory, kept)


def change_bytes(copy: Path, kept: Kept, count: int, seed: int) -> tuple[Counter[str], list[str]]:
    """Change one byte of `count` random cells, one at a time; return how often each type was hit, and what was missed.

    The tables take turns, so that the small ones get as many edits as the large ones.
    """
    dice, path, done = random.Random(seed), copy / FILE_NAME, 0
    original = path.read_bytes()
    hit: Counter[str] = Counter()
    missed: list[str] = []
    while done < count:
        path.write_bytes(original)
        table = TABLES[done % len(TABLES)]
        told = tamper(copy, lambda connection, t=table: change_one_byte(connection, t, dice))  # type: ignore[misc]
        if told is None:
            continue
        done += 1
        value = told.partition(" ")[2].partition(" -> ")[0]
        hit["text" if value.startswith("'") else "null" if value == "None" else "real" if "." in value else "int"] += 1
        if not found(copy, kept):
            missed.append(told)
    return hit, missed


def test_two_hundred_changed_bytes_are_found(copy: Path, kept: Kept) -> None:
    """Integers, reals, texts and NULLs of every table."""
    hit, missed = change_bytes(copy, kept, 200, seed=1)
    assert missed == []
    assert min(hit["int"], hit["real"], hit["text"]) > 20


@pytest.mark.slow
def test_two_thousand_changed_bytes_are_found(copy: Path, kept: Kept) -> None:
    """The same ten times over, with other dice."""
    hit, missed = change_bytes(copy, kept, 2000, seed=2)
    assert missed == []
    assert min(hit["int"], hit["real"], hit["text"]) > 200


def test_every_column_of_every_table_is_under_a_hash(copy: Path, kept: Kept) -> None:
    """One edit in each column, the middle row: no cell that nobody looks at."""
    dice, path = random.Random(3), copy / FILE_NAME
    original = path.read_bytes()
    columns = 0
    for table in TABLES:
        with opened(copy) as connection:
            names = columns_of(connection, table)
        for name in names:
            path.write_bytes(original)
            told = tamper(copy, lambda c, t=table, n=name: change_column(c, t, n, dice))  # type: ignore[misc]
            assert found(copy, kept), told
            columns += 1
    assert columns > 100


def change_column(connection: sqlite3.Connection, table: str, column: str, dice: random.Random) -> str:
    """Change one cell of a column as little as its type allows; return what was done."""
    keys = key_of(connection, table)
    rows = connection.execute(f"SELECT {column}, {', '.join(keys)} FROM {table} ORDER BY {', '.join(keys)}").fetchall()
    before, *key = rows[len(rows) // 2]
    kind = {row[1]: row[2] for row in connection.execute(f"PRAGMA table_info({table})")}[column]
    after: object = f"{before or ''}x"
    if kind == "INTEGER":
        after = (before or 0) + dice.choice((1_000_003, 7_000_003))
    elif kind == "BLOB":
        after = bytes(before) + b"x"
    elif kind == "REAL":
        after = (before or 0.0) * (1 + 2**-50) + 2.0**-60
    where = " AND ".join(f"{name} = ?" for name in keys)
    connection.execute(f"UPDATE {table} SET {column} = ? WHERE {where}", [after, *key])
    return f"{table}.{column}: {before!r} -> {after!r}"


@pytest.mark.parametrize("table", TABLES)
def test_rows_deleted_swapped_inserted_or_replaced_are_found(copy: Path, kept: Kept, table: str) -> None:
    """Each kind of edit, twice, in each table of a real run."""
    dice, path = random.Random(table), copy / FILE_NAME
    original = path.read_bytes()
    for cheat in CHEATS:
        if (table, cheat) in NOTICED_ONLY_IN_PART | IMPOSSIBLE:
            continue
        for _ in range(2):
            path.write_bytes(original)
            tamper(copy, lambda connection, c=cheat: c(connection, table, dice))  # type: ignore[misc]
            assert found(copy, kept), cheat.__name__


@pytest.mark.parametrize(("session", "noticed"), [(1, True), (2, False)])
def test_what_is_not_promised_about_sessions(copy: Path, kept: Kept, session: int, noticed: bool) -> None:
    """The first session cannot vanish unnoticed; the newest one can, and docs/promises.md says so."""
    tamper(copy, lambda connection: connection.execute("DELETE FROM session WHERE session_id = ?", (session,)))
    assert found(copy, kept) == noticed


def test_without_the_head_a_history_cut_short_would_pass(kept: Kept, tmp_path: Path) -> None:
    """The same run stopped earlier is a good history of its own: only the head tells."""
    directory = tmp_path / "short"
    with engine.start(directory, lively(f"rounds={ROUNDS}", "population.oracle=2"), SEED) as started:
        started.run(should_stop=rounds_left(20))
    assert not found(directory, Kept(directory, started.ledger.head))
    assert found(directory, kept)


def test_a_verifier_without_its_digests_misses_edits(
    copy: Path, kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sabotage: with the digests of the tables left out, edits of agents' and markets' rows go unnoticed."""
    monkeypatch.setattr(verify_chain, "_check_table", lambda *_: None)
    monkeypatch.setattr(verify_chain, "_check_bars", lambda *_: None)
    assert not found(copy, kept)
    _, missed = change_bytes(copy, kept, 60, seed=4)
    assert {told.partition(".")[0] for told in missed} >= {"bar", "agent_round"}


def test_a_verifier_without_event_hashes_misses_edits(
    copy: Path, kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sabotage: one that believes the stored hash of an event lets payloads change."""
    stored = {row[0]: row[7].hex() for row in rows_of(copy)["stored_event"]}
    monkeypatch.setattr(verify_chain, "event_hash", lambda run, event_id, *_: stored[event_id])
    assert not found(copy, kept)
    worse = "replace(payload, '\"drawdown_bps\":', '\"drawdown_bps\":1')"
    edit = f"UPDATE stored_event SET payload = {worse} WHERE kind = 'scar'"
    tamper(copy, lambda connection: connection.execute(edit))
    assert not found(copy, kept)
    monkeypatch.undo()
    assert found(copy, kept)
