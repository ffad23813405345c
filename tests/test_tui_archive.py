"""A run as frames: what they hold, read at once or while it grows; and a file that is in trouble."""

import asyncio
import json
import shutil
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from arena.errors import StoreError
from lineage.ask.archive import Archive, Wish
from lineage.ask.frames import BAR_COLUMNS, FATES, SEAT_COLUMNS
from lineage.ask.runs import list_runs
from lineage.ask.tree import read_tree
from lineage.ask.why import explain
from lineage.record.schema import connect_reader
from lineage.record.store import FILE_NAME
from tests.histories import TICKS, write_history
from tests.tampering import opened as cheating
from tests.tampering import without_guards
from tui.app import ArenaApp
from tui.reader import Reader
from tui.snapshot import screen_text, settled
from tui.theme import SYMBOLS, Look

ROUNDS = 14
LOOK = Look("arena", SYMBOLS["braille"])


@pytest.fixture(scope="module")
def made_up(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A made-up history of two markets, with births, scars, deaths and alarms."""
    directory = tmp_path_factory.mktemp("made-up")
    write_history(directory, rounds=ROUNDS)
    return directory


def rows(directory: Path, statement: str, *values: object) -> list[tuple[Any, ...]]:
    """Return what the database says."""
    with closing(sqlite3.connect(directory / FILE_NAME)) as connection:
        return connection.execute(statement, values).fetchall()


def edit(directory: Path, statement: str, *values: object) -> None:
    """Change a history behind its guards."""
    with cheating(directory) as connection:
        without_guards(connection, lambda: connection.execute(statement, values))


def opened(directory: Path) -> Archive:
    """Return an archive that has read everything."""
    archive = Archive(directory)
    while archive.refresh():
        pass
    return archive


def test_a_frame_is_what_the_database_says(made_up: Path) -> None:
    """Seats, counts, people and bars of a round against plain SQL."""
    with opened(made_up) as archive:
        for at in (0, 5, ROUNDS - 1):
            frame = archive.frame(Wish(at=at, market=1))
            seats = rows(
                made_up, f"SELECT {', '.join(SEAT_COLUMNS)} FROM agent_round WHERE round = ? ORDER BY agent_id", at
            )
            np.testing.assert_array_equal(np.array(seats, dtype=float).T, [frame.seats[name] for name in SEAT_COLUMNS])
            assert (
                frame.total("death")
                == rows(made_up, "SELECT count(*) FROM event WHERE kind = 'death' AND round <= ?", at)[0][0]
            )
            assert (
                frame.people.born_by(at) == rows(made_up, "SELECT count(*) FROM agent WHERE birth_round <= ?", at)[0][0]
            )
            assert (
                frame.alive
                == rows(made_up, "SELECT count(*) FROM agent_round WHERE round = ? AND status < 3", at)[0][0]
            )
            last = rows(
                made_up,
                "SELECT close FROM bar WHERE market = 1 AND tick <= ? ORDER BY tick DESC LIMIT 1",
                frame.last_tick,
            )
            assert frame.bars["close"][-1] == last[0][0]
            assert all(event.round <= at for event in frame.events)
        assert frame.closed


def test_people_are_the_tree(made_up: Path) -> None:
    """Parents, founders, depths and ends are those of lineage.ask.tree at every round."""
    with opened(made_up) as archive, closing(connect_reader(made_up / FILE_NAME)) as connection:
        for at in range(ROUNDS):
            tree, people = read_tree(connection, at), archive.people
            born = people.born_by(at)
            assert tree.ids.tolist() == list(range(1, born + 1))
            assert tree.parent.tolist() == people.parent[:born].tolist()
            assert tree.founder.tolist() == people.founder[:born].tolist()
            assert tree.depth.tolist() == people.depth[:born].tolist()
            assert tree.extant.tolist() == people.alive_at(at).tolist()
            assert [tree.name(row) for row in range(born)] == [people.clan(row) for row in range(born)]


def test_common_ancestors_are_the_recursion(made_up: Path) -> None:
    """The climb by birth finds the same ancestor as two lines compared."""
    with opened(made_up) as archive:
        people = archive.people
        for one in range(len(people)):
            for other in range(0, len(people), 3):
                shared = [row for row in people.line(one) if row in people.line(other)]
                assert people.mrca(one, other) == (shared[0] if shared else None)


def test_a_growing_run_is_read_in_parts(tmp_path: Path) -> None:
    """Round by round or at once: the same frame; nothing is read twice."""
    shown = []
    for rounds in (3, 7, ROUNDS):
        (tmp_path / str(rounds)).mkdir()
        write_history(tmp_path / str(rounds), rounds=rounds, close=False)
    shutil.copytree(tmp_path / "3", tmp_path / "run")
    with Archive(tmp_path / "run") as archive:
        for rounds in (3, 7, ROUNDS):
            with closing(sqlite3.connect(tmp_path / "run" / FILE_NAME)) as connection:
                connection.execute("ATTACH ? AS more", (str(tmp_path / str(rounds) / FILE_NAME),))
                known = connection.execute("SELECT max(round) FROM main.round").fetchone()[0]
                for table in ("round", "stored_event", "market_round", "agent_round"):
                    connection.execute(f"INSERT INTO main.{table} SELECT * FROM more.{table} WHERE round > {known}")
                born = "INSERT INTO main.stored_agent SELECT * FROM more.stored_agent"
                connection.execute(f"{born} WHERE birth_round > {known}")
                connection.execute(
                    "INSERT INTO main.bar SELECT * FROM more.bar WHERE NOT EXISTS "
                    "(SELECT 1 FROM main.bar b WHERE b.market = bar.market AND b.tick = bar.tick)"
                )
                connection.commit()
            assert archive.refresh()
            assert not archive.refresh()
            shown.append(archive.frame(Wish()))
    with opened(tmp_path / str(ROUNDS)) as whole:
        wanted, found = whole.frame(Wish()), shown[-1]
    for name in ("series", "markets", "seats", "bars"):
        for column, values in getattr(wanted, name).items():
            np.testing.assert_array_equal(values, getattr(found, name)[column], err_msg=f"{name}.{column}")
    for name in ("parent", "end_round", "fate", "birth_round"):
        np.testing.assert_array_equal(getattr(wanted.people, name), getattr(found.people, name), err_msg=name)
    assert wanted.events == found.events


def test_bars_are_those_of_the_moment_and_only_new_ones_are_read(
    made_up: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Forwards, back and to another market, with a window that the run outgrows: (round, market, rounds read)."""
    window, read = 4 * TICKS, 0
    monkeypatch.setattr("lineage.ask.archive.BARS_SHOWN", window)
    bars = ", ".join(BAR_COLUMNS)
    asked = f"SELECT {bars} FROM bar WHERE market = ? AND tick > ? AND tick <= ? ORDER BY tick"
    with opened(made_up) as archive:
        table = archive._table

        def counting(statement: str, columns: Any, *values: int) -> Any:
            nonlocal read
            got = table(statement, columns, *values)
            read += len(got["tick"]) if "FROM bar" in statement else 0
            return got

        monkeypatch.setattr(archive, "_table", counting)
        for at, market, due in (
            (0, 0, 1), (1, 0, 1), (1, 0, 0), (6, 0, 4), (7, 0, 1), (9, 0, 2), (3, 0, 4),
            (3, 1, 4), (4, 1, 1), (4, 0, 4), (13, 0, 4), (13, 0, 0), (12, 0, 4),
        ):  # fmt: skip
            read = 0
            frame = archive.frame(Wish(at=at, market=market))
            wanted = rows(made_up, asked, market, frame.last_tick - window, frame.last_tick)
            np.testing.assert_array_equal(np.array(wanted, dtype=float).T, [frame.bars[name] for name in BAR_COLUMNS])
            assert (read, len(wanted)) == (due * TICKS, min(at + 1, 4) * TICKS), (at, market)


def test_a_dossier_checks_the_chain(made_up: Path, tmp_path: Path) -> None:
    """Every hash of a life is computed again; an edited scar is found."""
    with opened(made_up) as archive:
        for agent in range(1, len(archive.people) + 1):
            dossier = archive.frame(Wish(agent_id=agent)).dossier
            assert dossier is not None
            assert dossier.chain_ok, dossier.chain_note
    scarred = rows(made_up, "SELECT agent_id, event_id, payload FROM event WHERE kind = 'scar' LIMIT 1")[0]
    shutil.copytree(made_up, tmp_path / "run")
    payload = json.dumps(json.loads(scarred[2]) | {"damage": 99})
    edit(tmp_path / "run", "UPDATE stored_event SET payload = ? WHERE event_id = ?", payload, scarred[1])
    with opened(tmp_path / "run") as archive:
        dossier = archive.frame(Wish(agent_id=scarred[0])).dossier
    assert dossier is not None and not dossier.chain_ok
    assert "does not follow" in dossier.chain_note


def test_every_end_scar_and_birth_can_be_explained(made_up: Path) -> None:
    """The chain of causes begins with the ledger and says what is missing; nothing raises."""
    with opened(made_up) as archive:
        frame = archive.frame(Wish())
        told = 0
        for event in frame.events:
            if event.kind in ("death", "scar", "birth", "graduation") and event.agent_id:
                dossier = archive.frame(Wish(agent_id=event.agent_id)).dossier
                assert dossier is not None
                steps = explain(event, dossier, frame.info, frame.people, None)
                assert steps[0].source == "ledger"
                assert all(line for step in steps for line in step.lines)
                assert event.kind not in ("death", "scar") or any(step.source == "missing" for step in steps)
                told += 1
    assert told > 20
    assert {FATES[int(one)] for one in frame.people.fate} >= {"alive", "bankrupt"} or told


def shown(directory: Path, *, size: tuple[int, int] = (100, 30), screen: str = "arena") -> str:
    """Return the screen of a run."""

    async def run() -> str:
        app = ArenaApp(directory, look=LOOK)
        app.first_screen = screen
        async with app.run_test(size=size) as pilot:
            await settled(pilot, 20.0)
            return screen_text(app)

    return asyncio.run(run())


@pytest.mark.parametrize("screen", ["arena", "lineage", "agent", "runs"])
def test_hostile_names_are_text(made_up: Path, tmp_path: Path, screen: str) -> None:
    """Markup, escapes and control characters in a clan's or a scenario's name are shown, not obeyed."""
    shutil.copytree(made_up, tmp_path / "run")
    nasty = "[/red][bold]\x1b[2J\x07\n\u202e名"
    edit(tmp_path / "run", "UPDATE stored_agent SET clan = ?", nasty)
    edit(tmp_path / "run", "UPDATE run SET scenario = ?", nasty)
    text = shown(tmp_path / "run", screen=screen, size=(160, 45))
    assert "\x1b" not in text and "\x07" not in text and "\u202e" not in text
    assert "[/red]" in text


async def _in_trouble(directory: Path, harm: Any, words: str) -> tuple[str, str]:
    """Open a run, harm it, and return the screen before and after."""
    app = ArenaApp(directory, look=LOOK)
    async with app.run_test(size=(120, 30)) as pilot:
        await settled(pilot, 20.0)
        before = screen_text(app)
        harm(directory / FILE_NAME)
        end = time.monotonic() + 20.0
        while words not in app.view.banner and time.monotonic() < end:
            app.view.at = 3 if app.view.at is None else None  # ask for something else each time
            app.pull()
            await pilot.pause(0.05)
        while words not in screen_text(app) and time.monotonic() < end:
            await pilot.pause(0.05)
        return before, screen_text(app)


def vanish(path: Path) -> None:
    """Take the file away."""
    path.unlink()


def truncate(path: Path) -> None:
    """Cut the file short."""
    with path.open("r+b") as file:
        file.truncate(9_000)


def replaced(path: Path) -> None:
    """Put another file in its place."""
    path.unlink()
    path.write_text("something else")


@pytest.mark.parametrize(
    ("harm", "words"), [(vanish, "removed or replaced"), (truncate, "run.sqlite"), (replaced, "not an SQLite database")]
)
def test_trouble_leaves_a_banner_and_the_last_frame(made_up: Path, tmp_path: Path, harm: Any, words: str) -> None:
    """A file that vanishes, is cut short or replaced while it is watched: a line, and everything else stays."""
    shutil.copytree(made_up, tmp_path / "run")
    before, after = asyncio.run(_in_trouble(tmp_path / "run", harm, words))
    assert words in after
    assert "DISCONNECTED" in after
    assert before.split("\n")[4][:40] == after.split("\n")[4][:40]


def test_a_locked_database_is_read_all_the_same(made_up: Path, tmp_path: Path) -> None:
    """A writer in the middle of a transaction holds up no reader of a write-ahead log."""
    shutil.copytree(made_up, tmp_path / "run")
    with closing(sqlite3.connect(tmp_path / "run" / FILE_NAME, isolation_level=None)) as writer:
        writer.execute("PRAGMA journal_mode = WAL")
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("INSERT INTO gene VALUES (1, 'unheard of', 0.5)")
        assert "round 14/14" in shown(tmp_path / "run")
        writer.execute("ROLLBACK")


def test_reading_leaves_no_open_transaction(made_up: Path) -> None:
    """Between two frames the reader holds nothing, so that the writer's log can be folded in."""
    with opened(made_up) as archive:
        archive.frame(Wish())
        assert not archive._connection.in_transaction


def test_a_foreign_or_empty_file_is_refused(tmp_path: Path) -> None:
    """One line each, StoreError."""
    with pytest.raises(StoreError, match="no run is recorded"):
        Archive(tmp_path)
    with closing(sqlite3.connect(tmp_path / FILE_NAME)) as connection:
        connection.execute("CREATE TABLE t (x)")
        connection.commit()
    with pytest.raises(StoreError, match="not a lineage-arena run"):
        Archive(tmp_path)


def test_the_reader_answers_the_last_wish(made_up: Path) -> None:
    """Asked many times at once it answers with the newest wish, and not twice with the same."""
    frames: list[int] = []
    reader = Reader(made_up, lambda frame: frames.append(frame.round), lambda text, there: frames.append(-9))
    for at in range(ROUNDS):
        reader.ask(Wish(at=at))
    end = time.monotonic() + 10.0
    while (not frames or frames[-1] != ROUNDS - 1) and time.monotonic() < end:
        time.sleep(0.01)
    count = len(frames)
    for _ in range(5):
        reader.ask(Wish(at=ROUNDS - 1))
        time.sleep(0.02)
    reader.close()
    assert frames[-1] == ROUNDS - 1
    assert len(frames) == count


def test_runs_of_a_directory_are_listed(made_up: Path, tmp_path: Path) -> None:
    """Good ones with their figures, bad ones with their reason, other things not at all."""
    shutil.copytree(made_up, tmp_path / "good")
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / FILE_NAME).write_text("no database")
    (tmp_path / "other").mkdir()
    lines = {line.directory.name: line for line in list_runs(tmp_path)}
    assert set(lines) == {"good", "bad"}
    assert lines["good"].rounds == ROUNDS and lines["good"].closed
    assert "not an SQLite database" in lines["bad"].problem
    assert list_runs(tmp_path / "nowhere") == []
