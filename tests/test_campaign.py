"""A campaign of tampering: bits, rows, pages, cut and rewritten files, each found by the level that promises it.

What is promised is the content: everything that a query on a table can show. Bits in free space, in counters that
SQLite keeps for itself and in its statistics change no answer; those flips are counted, and must change none.
"""

import random
import shutil
import sqlite3
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import pytest

from benchmarks import history
from lineage import engine
from lineage.record import verify_chain
from lineage.record.events import RoundRecord
from lineage.record.schema import TABLES, schema_objects
from lineage.record.store import FILE_NAME
from lineage.record.verify import VerifyReport, verify
from tests.histories import make_run, write_history
from tests.runs import SEED, copied, lively, play, verified
from tests.tampering import (
    CHEATS,
    change_one_byte,
    delete_last_row,
    opened,
    swap_rows,
    without_guards,
)

ROUNDS = 6

IMPOSSIBLE = {("run", swap_rows), ("session", swap_rows), ("checkpoint", swap_rows)}
"""One row cannot be swapped; one session and one checkpoint are all that this history has."""


class Kept(NamedTuple):
    """A history that no test changes, and the line that its owner wrote down."""

    directory: Path
    line: str


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Kept:
    """One small clean history for the whole module."""
    directory = tmp_path_factory.mktemp("kept")
    return Kept(directory, write_history(directory, ROUNDS).checkpoint_line())


@pytest.fixture
def copy(kept: Kept, tmp_path: Path) -> Path:
    """A directory with its own copy."""
    return copied(kept.directory, tmp_path / "copy")


def failed(report: VerifyReport) -> set[str]:
    """Return the levels that found something."""
    return {level.name for level in report.levels if not level.ok}


def content(path: Path) -> object:
    """Return the schema and all rows of all tables, or that they cannot be read."""
    try:
        with closing(sqlite3.connect(path)) as connection:
            rows = {table: sorted(map(repr, connection.execute(f"SELECT * FROM {table}"))) for table in TABLES}
            return schema_objects(connection), rows
    except (sqlite3.Error, UnicodeDecodeError):
        return "unreadable"


def flip_bits(copy: Path, kept: Kept, count: int, seed: int) -> Counter[str]:
    """Flip single random bits of the file, one at a time; return how often which level found it, or nobody had to."""
    dice, path, tally = random.Random(seed), copy / FILE_NAME, Counter[str]()
    original, clean = path.read_bytes(), content(path)
    for _ in range(count):
        place, bit = dice.randrange(len(original)), 1 << dice.randrange(8)
        with path.open("r+b") as file:
            file.seek(place)
            file.write(bytes([original[place] ^ bit]))
        report = verify(copy, checkpoint=kept.line)
        if report.ok:
            assert content(path) == clean, f"byte {place}, bit {bit}: content changed, nothing was found"
            tally["no content changed"] += 1
        else:
            tally["found"] += 1
            tally.update(failed(report))
        for leftover in ("-wal", "-shm", "-journal"):
            path.with_name(path.name + leftover).unlink(missing_ok=True)
        with path.open("r+b") as file:
            file.seek(place)
            file.write(bytes([original[place]]))
    assert verify(copy, checkpoint=kept.line).ok
    return tally


def unused_share(directory: Path) -> float:
    """Return the share of the file's bytes that hold nothing: free space inside pages, and free pages."""
    with closing(sqlite3.connect(directory / FILE_NAME)) as connection:
        size, unused = connection.execute("SELECT sum(pgsize), sum(unused) FROM dbstat").fetchone()
    return 1.0 - float(size - unused) / (directory / FILE_NAME).stat().st_size


def test_random_bits_of_the_file_that_change_content_are_found(copy: Path, kept: Kept) -> None:
    """A sample of the campaign."""
    tally = flip_bits(copy, kept, 150, seed=1)
    assert tally["found"] > 40


@pytest.mark.slow
def test_ten_thousand_random_bits_that_change_content_are_found(copy: Path, kept: Kept) -> None:
    """The whole campaign: not one changes content unnoticed, and every level has its share."""
    tally = flip_bits(copy, kept, 10_000, seed=2)
    print(dict(tally))
    assert tally["found"] + tally["no content changed"] == 10_000
    assert tally["no content changed"] <= 10_000 * (unused_share(copy) + 0.02)
    assert min(tally["structural"], tally["cryptographic"]) > 500


def tampered(copy: Path, cheat: Callable[[sqlite3.Connection], object]) -> object:
    """Let somebody cheat with the guards out of the way and put back afterwards; return what they say."""
    told: list[object] = []
    with opened(copy) as connection:
        without_guards(connection, lambda: told.append(cheat(connection)))
    return told[0]


def change_cells(copy: Path, kept: Kept, count: int, seed: int) -> None:
    """Change one byte of one cell at a time, the tables in turn: the hashes find it, whatever else does.

    An event of the run that is given to agent 0 is hashed as before: that there is no agent 0 is structural.
    """
    dice, path, done = random.Random(seed), copy / FILE_NAME, 0
    original = path.read_bytes()
    while done < count:
        path.write_bytes(original)
        table = TABLES[done % len(TABLES)]
        told = tampered(copy, lambda connection, t=table: change_one_byte(connection, t, dice))  # type: ignore[misc]
        if told is not None:
            done += 1
            level = "structural" if told == "stored_event.agent_id None -> 0" else "cryptographic"
            assert level in failed(verify(copy, checkpoint=kept.line)), told


def test_changed_cells_are_found_by_the_hashes(copy: Path, kept: Kept) -> None:
    """Three in each table."""
    change_cells(copy, kept, 36, seed=3)


@pytest.mark.slow
def test_two_thousand_changed_cells_are_found_by_the_hashes(copy: Path, kept: Kept) -> None:
    """Many more."""
    change_cells(copy, kept, 2_000, seed=4)


@pytest.mark.slow
def test_rows_deleted_swapped_inserted_and_replaced_are_found(copy: Path, kept: Kept) -> None:
    """Ten of each kind in each table; the guards are whole again: the hashes or the order of life find it."""
    path = copy / FILE_NAME
    original = path.read_bytes()
    for table in TABLES:
        for cheat in CHEATS:
            if (table, cheat) in IMPOSSIBLE:
                continue
            for number in range(1 if cheat is delete_last_row else 10):
                path.write_bytes(original)
                dice = random.Random(f"{table} {cheat.__name__} {number}")
                tampered(copy, lambda connection, c=cheat, t=table, d=dice: c(connection, t, d))  # type: ignore[misc]
                levels = failed(verify(copy, checkpoint=kept.line))
                assert levels & {"structural", "cryptographic"}, (table, cheat.__name__)


def mangled(data: bytes, dice: random.Random) -> tuple[str, bytes]:
    """Return a file with bytes cut off, taken out, put in, zeroed or pages exchanged."""
    page = 4096
    start = dice.randrange(100, len(data) - page)
    length = dice.randrange(1, 600)
    first, second = sorted(dice.sample(range(1, len(data) // page), 2))
    pages = [data[at : at + page] for at in range(0, len(data), page)]
    pages[first], pages[second] = pages[second], pages[first]
    cut = (
        ("cut off", data[: dice.randrange(len(data) - page)]),
        ("taken out", data[:start] + data[start + length :]),
        ("put in", data[:start] + dice.randbytes(length) + data[start:]),
        ("zeroed", data[:start] + bytes(length) + data[start + length :]),
        ("pages exchanged", b"".join(pages)),
    )
    return dice.choice(cut)


def mangle(copy: Path, kept: Kept, count: int, seed: int) -> Counter[str]:
    """Mangle the file in one way at a time; whatever changes its content is found."""
    dice, path, tally = random.Random(seed), copy / FILE_NAME, Counter[str]()
    original, clean = path.read_bytes(), content(path)
    for _ in range(count):
        name, data = mangled(original, dice)
        path.write_bytes(data)
        report = verify(copy, checkpoint=kept.line)
        assert not report.ok or content(path) == clean, name
        assert name not in ("cut off", "taken out") or "structural" in failed(report), name
        tally[name] += not report.ok
        for leftover in ("-wal", "-shm", "-journal"):
            path.with_name(path.name + leftover).unlink(missing_ok=True)
    return tally


def test_mangled_files_are_found(copy: Path, kept: Kept) -> None:
    """Forty of them."""
    assert sum(mangle(copy, kept, 40, seed=5).values()) > 20


@pytest.mark.slow
def test_a_thousand_mangled_files_are_found(copy: Path, kept: Kept) -> None:
    """Every way often."""
    tally = mangle(copy, kept, 1_000, seed=6)
    assert min(tally.values()) > 50


def clean_copy(kept: Kept, target: Path, way: int) -> None:
    """Copy a run as people do: file by file, by VACUUM INTO, by SQLite's backup, and with its guards off and on."""
    shutil.copytree(kept.directory, target)
    path = target / FILE_NAME
    if way == 0:
        return
    if way == 3:
        tampered(target, lambda connection: None)
        return
    path.unlink()
    with closing(sqlite3.connect(f"file:{kept.directory / FILE_NAME}?mode=ro", uri=True)) as source:
        if way == 1:
            source.execute("VACUUM INTO ?", (str(path),))
        else:
            with closing(sqlite3.connect(path)) as goal:
                source.backup(goal)


def check_clean_copies(kept: Kept, tmp_path: Path, count: int) -> None:
    """No false alarm."""
    for number in range(count):
        target = tmp_path / "clean"
        clean_copy(kept, target, number % 4)
        report = verify(target, checkpoint=kept.line)
        assert report.ok, (number % 4, report.findings)
        shutil.rmtree(target)


def test_twenty_clean_copies_have_no_finding(kept: Kept, tmp_path: Path) -> None:
    """Five of each way to copy."""
    check_clean_copies(kept, tmp_path, 20)


@pytest.mark.slow
def test_a_thousand_clean_copies_have_no_finding(kept: Kept, tmp_path: Path) -> None:
    """The same fifty times over."""
    check_clean_copies(kept, tmp_path, 1_000)


def test_replace_with_the_triggers_dropped_is_found_twice(copy: Path, kept: Kept) -> None:
    """The missing guards are structural, the changed row cryptographic."""
    with opened(copy) as connection:
        connection.execute("DROP TRIGGER stored_event_no_replace")
        row = list(connection.execute("SELECT * FROM stored_event WHERE kind = 'round'").fetchone())
        row[6] = row[6].replace(":", ": ", 1)
        connection.execute("REPLACE INTO stored_event VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row)
    assert failed(verify(copy, checkpoint=kept.line)) >= {"structural", "cryptographic"}


def test_a_full_rewrite_is_found_by_the_kept_line_only(tmp_path: Path, kept: Kept) -> None:
    """Another story of the same run with every hash recomputed: three levels are content without what was kept."""
    write_history(tmp_path, ROUNDS, seed=8, run=make_run(ROUNDS))
    assert verify(tmp_path).ok
    assert failed(verify(tmp_path, checkpoint=kept.line)) == {"cryptographic"}


def softened(record: RoundRecord) -> RoundRecord:
    """Let every scar look as if it had come from a smaller drawdown: no rule of accounting knows better."""
    for event in record.events:
        if event.kind == "scar":
            event.payload["drawdown_bps"] = int(event.payload["drawdown_bps"]) - 1
    return record


def test_a_real_run_rewritten_with_all_its_hashes_is_found_by_the_line_and_by_replay(tmp_path: Path) -> None:
    """One entry softened before it is sealed: everything follows from it; seed and code do not."""
    config = lively()
    line = play(tmp_path / "true", config).checkpoint_line
    with engine.start(tmp_path / "forged", config, SEED) as forging:
        honest = forging.world.play_round
        forging.world.play_round = lambda: softened(honest())  # type: ignore[method-assign]
        forged = forging.run()
    assert forged.checkpoint_line != line
    without = verified(tmp_path / "forged", forged.head, replay=False)
    assert without.ok, without.findings
    assert failed(verify(tmp_path / "forged", checkpoint=line)) == {"cryptographic"}
    assert failed(verified(tmp_path / "forged", forged.head)) == {"causal"}
    assert verify(tmp_path / "true", checkpoint=line).ok


def test_a_verifier_without_hashes_would_fail_the_campaign(
    copy: Path, kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sabotage: with the digests of tables left out, a flipped bit changes content unnoticed."""
    monkeypatch.setattr(verify_chain, "_check_table", lambda *_: None)
    monkeypatch.setattr(verify_chain, "_check_bars", lambda *_: None)
    with pytest.raises(AssertionError, match="nothing was found"):
        flip_bits(copy, kept, 400, seed=1)


def test_the_campaign_leaves_nothing_behind(copy: Path, kept: Kept) -> None:
    """A file that was flipped and mended is the same file."""
    before = (copy / FILE_NAME).read_bytes()
    flip_bits(copy, kept, 5, seed=9)
    assert (copy / FILE_NAME).read_bytes() == before


HEAD_OF_SCHEMA_2 = "57ed4c18accac9e4d4d19756cbf0118dc2bdf1da8457f9ac531960fbe2dc889a"
"""What 1,500 agents of seed 1 came to under schemas 1 and 2: how events are stored must not show in what is hashed."""


def test_the_made_up_million_is_a_sound_history(tmp_path: Path) -> None:
    """What benchmarks/history.py writes, in small: order and hashes hold, and in bulk it is the same history."""
    lived, copied_in = tmp_path / "lived", tmp_path / "bulk"
    history.write(lived, 1_500, 1)
    history.write(copied_in, 1_500, 1, bulk=True)
    for directory in (lived, copied_in):
        assert failed(verify(directory)) <= {"accounting"}  # it keeps no books
    assert verify(lived).root == verify(copied_in).root
    assert verify(lived).head == HEAD_OF_SCHEMA_2
    assert len(list(history.ask_everything(lived, 1_500))) > 20
