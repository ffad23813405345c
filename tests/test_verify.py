"""Verify finds every change: of a byte, of a row, of the story; and nothing in a clean history."""

import dataclasses
import json
import random
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from arena.errors import ConfigError, StoreError
from lineage.config import to_plain
from lineage.record.events import RoundRecord
from lineage.record.genesis import run_row
from lineage.record.ledger import Ledger
from lineage.record.note import parse_checkpoint
from lineage.record.provenance import session
from lineage.record.schema import TABLES, expected_objects
from lineage.record.store import FILE_NAME, Store
from lineage.record.verify import VerifyReport, verify
from tests.histories import TICKS, World, make_config, make_run, write_history
from tests.tampering import CHEATS, change_one_byte, delete_last_row, opened, swap_rows, without_guards

ROUNDS = 9

# One row cannot be swapped, and one session is all that this history has.
IMPOSSIBLE = {("run", swap_rows), ("session", swap_rows)}


class Kept(NamedTuple):
    """A history that no test changes, and what was written down of it."""

    directory: Path
    line: str
    head: str


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Kept:
    """One clean history for the whole module."""
    directory = tmp_path_factory.mktemp("kept")
    ledger = write_history(directory, ROUNDS)
    return Kept(directory, ledger.checkpoint_line(), ledger.head)


@pytest.fixture
def copy(kept: Kept, tmp_path: Path) -> Path:
    """A directory with its own copy."""
    shutil.copytree(kept.directory, tmp_path / "copy")
    return tmp_path / "copy"


def check(directory: Path, kept: Kept) -> VerifyReport:
    """Verify against what was kept elsewhere."""
    return verify(directory, checkpoint=kept.line, head=kept.head)


@pytest.mark.parametrize("seed", range(4))
def test_clean_histories_verify(tmp_path: Path, seed: int) -> None:
    """No false alarm: closed or not, at any length, with and without what was kept."""
    for rounds, close in ((1, False), (5, True), (9, False), (14, True)):
        directory = tmp_path / f"{rounds}"
        directory.mkdir()
        ledger = write_history(directory, rounds, seed, close=close)
        report = verify(directory, checkpoint=ledger.checkpoint_line(), head=ledger.head)
        assert report.ok, report.findings
        assert (report.head, report.root, report.run_id) == (ledger.head, ledger.root, ledger.run_id)
        assert report.checkpoint_line == ledger.checkpoint_line()
        assert verify(directory).ok


def test_a_run_in_progress_verifies_and_extends_its_earlier_checkpoints(tmp_path: Path) -> None:
    """With the writer still open, after each round; every line kept on the way still holds at the end."""
    run, world = make_run(5), World(7)
    store, ledger = Store.create(tmp_path / FILE_NAME, run, session(1, "cpu")), Ledger(run.genesis)
    lines, heads = [], []
    for index in range(3):
        store.commit_round(ledger.seal_round(world.play(index)))
        lines.append(ledger.checkpoint_line())
        heads.append(ledger.head)
        for line, head in zip(lines, heads, strict=True):
            assert verify(tmp_path, checkpoint=line, head=head).ok
    store.close()


def test_the_report_is_plain_data(kept: Kept) -> None:
    """as_dict can be printed as JSON, and names the three levels."""
    plain = json.loads(json.dumps(check(kept.directory, kept).as_dict()))
    assert plain["ok"] is True
    assert [level["name"] for level in plain["levels"]] == ["structural", "cryptographic", "accounting"]
    assert plain["checkpoint_line"] == kept.line


@pytest.mark.parametrize("table", TABLES)
def test_every_changed_byte_of_every_table_is_found(copy: Path, kept: Kept, table: str) -> None:
    """Twenty-five random edits of values in each table, with the guards put back afterwards."""
    dice, path, found = random.Random(table), copy / FILE_NAME, 0
    original = path.read_bytes()
    while found < 25:
        path.write_bytes(original)
        done: list[str | None] = []
        with opened(copy) as connection:
            without_guards(connection, lambda c=connection, d=done: d.append(change_one_byte(c, table, dice)))  # type: ignore[misc]
        if done[0] is not None:
            assert not check(copy, kept).ok, done[0]
            found += 1


@pytest.mark.parametrize(
    ("table", "cheat"), [(table, cheat) for table in TABLES for cheat in CHEATS if (table, cheat) not in IMPOSSIBLE]
)
def test_every_deleted_swapped_added_or_replaced_row_is_found(
    copy: Path, kept: Kept, table: str, cheat: Callable[[sqlite3.Connection, str, random.Random], None]
) -> None:
    """Several times in each table that has enough rows."""
    dice, path = random.Random(table), copy / FILE_NAME
    original = path.read_bytes()
    for _ in range(1 if cheat is delete_last_row else 3):
        path.write_bytes(original)
        with opened(copy) as connection:
            without_guards(connection, lambda c=connection: cheat(c, table, dice))  # type: ignore[misc]
        report = check(copy, kept)
        assert not report.ok
        assert report.findings


def content(path: Path) -> object:
    """Return all rows of all tables, or that they cannot be read.

    Sorted: a damaged statistic can change the order in which SQLite scans, which is not content.
    """
    try:
        with closing(sqlite3.connect(path)) as connection:
            return {table: sorted(map(repr, connection.execute(f"SELECT * FROM {table}"))) for table in TABLES}
    except (sqlite3.Error, UnicodeDecodeError):
        return "unreadable"


def test_flipped_bits_of_the_file_that_change_content_are_found(copy: Path, kept: Kept) -> None:
    """Random single bits of the whole file; never a traceback, and no content changes unnoticed."""
    dice, path = random.Random(1), copy / FILE_NAME
    original, clean = path.read_bytes(), content(path)
    changes = 0
    for _ in range(150):
        damaged = bytearray(original)
        damaged[dice.randrange(len(damaged))] ^= 1 << dice.randrange(8)
        path.write_bytes(damaged)
        report = check(copy, kept)
        if content(path) != clean:
            changes += 1
            assert not report.ok
    assert changes > 30


def test_files_cut_short_or_overwritten_are_found(copy: Path, kept: Kept) -> None:
    """Any length, and runs of zeros anywhere: a finding, never a traceback."""
    dice, path = random.Random(2), copy / FILE_NAME
    original, clean = path.read_bytes(), content(path)
    for cut in [0, 1, 16, 99, 100, *range(1000, len(original), len(original) // 15)]:
        path.write_bytes(original[:cut])
        assert not check(copy, kept).ok
    for _ in range(15):
        start = dice.randrange(len(original) - 600)
        path.write_bytes(original[:start] + bytes(600) + original[start + 600 :])
        report = check(copy, kept)
        assert not report.ok or content(path) == clean


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("UPDATE stored_event SET payload = CAST(x'ff' AS TEXT) WHERE event_id = 15", "Could not decode"),
        ("UPDATE stored_event SET payload = '{' WHERE kind = 'birth'", "cannot be read"),
        ("UPDATE stored_event SET payload = '[]' WHERE kind = 'spawn'", "cannot be read"),
        ("UPDATE stored_event SET payload = '{\"root\":1.5}' WHERE kind = 'round'", "cannot be read"),
        ("UPDATE stored_event SET hash = zeroblob(31)", "does not follow"),
        ("UPDATE stored_event SET kind = 'joy' WHERE event_id = 3", "not a kind of event"),
        ("UPDATE run SET config_json = '[]'", "genesis"),
        ("UPDATE stored_agent SET clan = char(0) || 'x' || char(10) WHERE agent_id = 1", "clan"),
        ("DELETE FROM run", "table run"),
        ("DELETE FROM stored_event", "events"),
        ("DELETE FROM round", "cannot be read"),
        ("UPDATE gene SET value = 9e999", "genes"),
        ("DROP TABLE gene", "gene is missing"),
        ("DROP VIEW extant", "view extant is missing"),
        ("DROP INDEX agent_by_parent", "index agent_by_parent is missing"),
        ("CREATE TABLE other (x)", "table other does not belong"),
        ("CREATE TRIGGER helper AFTER INSERT ON stored_event BEGIN SELECT 1; END", "trigger helper does not belong"),
    ],
)
def test_damage_of_every_kind_is_a_finding(copy: Path, kept: Kept, statement: str, words: str) -> None:
    """Bad UTF-8, bad JSON, wrong types, emptied and dropped tables: printable one-line findings."""
    with opened(copy) as connection:
        if statement == "DROP TABLE gene":
            connection.execute("DROP TRIGGER gene_no_delete")
            connection.execute(statement)
        else:
            without_guards(connection, lambda: connection.execute(statement))
    report = check(copy, kept)
    assert not report.ok
    assert any(words in text for text in report.findings), report.findings
    assert all(text.isprintable() for text in report.findings)


def test_every_guard_is_missed_when_it_is_gone_or_changed(copy: Path, kept: Kept) -> None:
    """Each trigger: dropped, and put back as one that does nothing."""
    path = copy / FILE_NAME
    original = path.read_bytes()
    guards = [(name, sql) for (kind, name), sql in expected_objects().items() if kind == "trigger"]
    assert len(guards) == 3 * len(TABLES)
    for name, sql in guards:
        for toothless, words in (("", "is missing"), (sql.replace("RAISE(ABORT", "coalesce('ABORT'"), "was changed")):
            path.write_bytes(original)
            with opened(copy) as connection:
                connection.execute(f"DROP TRIGGER {name}")
                connection.execute(toothless)
            assert any(name in text and words in text for text in check(copy, kept).findings)


def test_a_cut_off_end_is_found_only_with_what_was_kept(tmp_path: Path, kept: Kept) -> None:
    """A shorter history of the same run is a valid one: that is why heads are kept elsewhere."""
    write_history(tmp_path, 8, close=False, run=make_run(ROUNDS))
    assert verify(tmp_path).ok
    assert not verify(tmp_path, checkpoint=kept.line).ok
    assert not verify(tmp_path, head=kept.head).ok


def test_a_full_rewrite_is_found_only_with_what_was_kept(tmp_path: Path, kept: Kept) -> None:
    """Another story with all hashes recomputed stands by itself; the kept line and head expose it."""
    write_history(tmp_path, ROUNDS, seed=8, run=make_run(ROUNDS))
    assert verify(tmp_path).ok
    assert not verify(tmp_path, checkpoint=kept.line).ok
    assert not verify(tmp_path, head=kept.head).ok


def test_a_changed_checkpoint_file_is_found_and_a_pruned_one_is_not_missed(copy: Path, kept: Kept) -> None:
    """Files are shortcuts: they may go, but not change."""
    first, second, *_ = sorted((copy / "checkpoints").iterdir())
    first.unlink()
    assert check(copy, kept).ok
    second.write_bytes(second.read_bytes()[:-1] + b"x")
    report = check(copy, kept)
    assert not report.ok
    assert "checkpoint of round 7" in report.findings[0]


@pytest.mark.parametrize("line", ["", "x", "lineage-arena/12 3 4", "lineage-arena/0123456789abcdef 5 " + "g" * 64])
def test_a_malformed_checkpoint_line_is_a_usage_error(kept: Kept, line: str) -> None:
    """Exit 2, not a finding about the run."""
    with pytest.raises(ConfigError, match="copy the whole line"):
        verify(kept.directory, checkpoint=line)
    with pytest.raises(ConfigError, match="64 hex digits"):
        verify(kept.directory, head=line)


def test_a_checkpoint_of_another_run_or_the_future_does_not_fit(kept: Kept) -> None:
    """Both are findings."""
    _, size, root = parse_checkpoint(kept.line)
    assert not verify(kept.directory, checkpoint=f"lineage-arena/{'0' * 16} {size} {root}").ok
    assert not verify(kept.directory, checkpoint=kept.line.replace(f" {size} ", f" {size + 1} ")).ok


def test_a_directory_without_a_run_is_a_store_error(tmp_path: Path) -> None:
    """There is nothing to verify."""
    with pytest.raises(StoreError, match=FILE_NAME):
        verify(tmp_path)


def test_replay_is_a_level_of_its_own(kept: Kept) -> None:
    """What the replayer finds different is a finding; no replayer, no promise."""
    same = verify(kept.directory, replay=True, replayer=lambda directory: [])
    assert same.ok
    assert same.levels[-1].name == "causal"
    assert not verify(kept.directory, replay=True, replayer=lambda directory: ["round 3 differs"]).ok
    assert not verify(kept.directory, replay=True).ok

    def fail(directory: Path) -> list[str]:
        raise StoreError("no tape")

    assert "no tape" in verify(kept.directory, replay=True, replayer=fail).findings[0]


def events_of(record: RoundRecord, kind: str) -> Iterator[dict[str, int | str]]:
    """Yield the payloads of a kind."""
    return (event.payload for event in record.events if event.kind == kind)


def edit(kind: str, **changes: int | str) -> Callable[[RoundRecord], object]:
    """Return a tamperer that overwrites entries of payloads."""

    def tamper(record: RoundRecord) -> None:
        for payload in events_of(record, kind):
            payload.update(changes)

    return tamper


def add(column: str, amount: float, where: str = "markets") -> Callable[[RoundRecord], object]:
    """Return a tamperer that adds to one entry of a column."""

    def tamper(record: RoundRecord) -> None:
        table = getattr(record, where)
        if len(table[column]):
            table[column] = table[column].copy()
            table[column][0] += table[column].dtype.type(amount)

    return tamper


def bankrupt_but_rich(record: RoundRecord) -> None:
    """The dead had more than the line of ruin."""
    for payload in events_of(record, "death"):
        if payload["cause"] == "bankrupt":
            payload["equity_cents"] = 500_001


def born(changes: dict[str, Any], parent: bool) -> Callable[[RoundRecord], object]:
    """Return a tamperer that changes every birth with, or without, a parent."""

    def tamper(record: RoundRecord) -> None:
        record.births = [
            dataclasses.replace(birth, **changes) if (birth.parent_id is not None) == parent else birth
            for birth in record.births
        ]

    return tamper


def dead_with_another_equity(record: RoundRecord) -> None:
    """The row of the dead tells another equity than the event."""
    table = record.agents
    table["equity"] = np.where(table["status"] == 3, table["equity"] + 1.0, table["equity"])


STORIES: list[tuple[str, Callable[[RoundRecord], object]]] = [
    ("cash appeared or vanished", add("agents_cash", 0.1)),
    ("cash appeared or vanished", add("house_cash", -1.0)),
    ("shares appeared or vanished", add("house_shares", 0.01)),
    ("the estate does not follow its flows", add("flow_living_costs", 1.0)),
    ("the estate does not follow its flows", add("flow_deaths", 1.0)),
    ("the patron's account does not follow", add("flow_patron", 1.0)),
    ("the fees do not follow", add("flow_fees", 1.0)),
    ("immigrants cost other than was paid", edit("immigration", endowment_cents=1)),
    ("immigrants cost other than was paid", edit("immigration", payer="estate")),
    ("transfers between markets do not cancel", add("transfers", 5.0)),
    ("head count", add("trading", 1)),
    ("the damage so far is", edit("scar", total_damage=3)),
    ("is not its severity's", edit("scar", damage=-5)),
    ("it heals", edit("scar", damage=-5)),
    ("contradicts its events", add("damage", -1, "agents")),
    ("contradicts its events", add("scars", 1, "agents")),
    ("contradicts its events", add("offspring", 1, "agents")),
    ("contradicts its events", add("seat", 1, "agents")),
    ("another equity", dead_with_another_equity),
    ("bankrupt with too much equity", bankrupt_but_rich),
    ("the line of ruin", edit("death", ruin_cents=600_000)),
    ("points of damage do not kill", edit("death", cause="terminal_damage")),
    ("retired before its time", edit("death", cause="retired", age_rounds=999)),
    ("is not a cause of death", edit("death", cause="boredom")),
    ("ends with damage", edit("death", damage=1)),
    ("ends with damage", edit("censored", damage=1)),
    ("too poor to have a child", edit("spawn", equity_before_cents=1_999_000)),
    ("its cash is less than the endowment", edit("spawn", cash_before_cents=999_000)),
    ("is not what its parent paid", edit("spawn", endowment_cents=999_999)),
    ("is not what its parent paid", edit("spawn", child_market=9)),
    ("its parent's damage gives", born({"birthmark": 99}, parent=True)),
    ("a founder with a birthmark", born({"birthmark": 1}, parent=False)),
    ("are announced", born({"inheritance": "founder"}, parent=False)),
    ("in the first round only", born({"inheritance": "founder"}, parent=False)),
    ("are announced", born({"inheritance": "immigrant"}, parent=False)),
    ("graduates with another endowment", edit("graduation", endowment_cents=1)),
]


@pytest.mark.parametrize(("words", "tamper"), STORIES)
def test_a_story_that_does_not_add_up_is_found_though_every_hash_is_right(
    tmp_path: Path, words: str, tamper: Callable[[RoundRecord], object]
) -> None:
    """The accounting level alone speaks: the first two are content."""
    run, world = make_run(16), World(7)
    store, ledger = Store.create(tmp_path / FILE_NAME, run, session(1, "cpu")), Ledger(run.genesis)
    for index in range(16):
        record = world.play(index)
        record.state_sha256 = ""
        if index == 15:
            record.events += world.censored(16 * TICKS - 1)
            record.policies += world.last_policies()
        tamper(record)
        store.commit_round(ledger.seal_round(record))
    store.abandon()
    report = verify(tmp_path)
    assert [level.ok for level in report.levels] == [True, True, False], report.findings
    assert any(words in text for text in report.findings), report.findings


def test_rules_come_from_the_runs_own_configuration(tmp_path: Path) -> None:
    """The same story under a stricter line of ruin is not the same promise."""
    plain = to_plain(make_config(16))
    plain["life"]["ruin_fraction"] = 0.1  # type: ignore[index]
    write_history(tmp_path, 16, run=run_row(plain, 7, {}, {}))
    report = verify(tmp_path)
    assert any("the line of ruin is 100000 cents" in text for text in report.findings)
