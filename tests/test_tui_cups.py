"""Tournaments on the screen of runs: found by what they are, read as `tournament show` prints them, or said why not."""

import asyncio
import json
import subprocess
from pathlib import Path
from threading import Event

import pytest

from lineage.contest.results import APPLICATION_ID as KIND
from lineage.contest.results import Results
from lineage.contest.tournament_table import table_of
from tests import tournaments
from tests.screens import staged
from tui import cups
from tui.cups import Cup, Cups, Standing, cup_of, find
from tui.screens.runs import cup_lines
from tui.theme import SYMBOLS, Look
from tui.tournament_table import plain

LOOK = Look("arena", SYMBOLS["braille"])


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A results file with two seeds."""
    path = tmp_path_factory.mktemp("cups") / "cup.sqlite"
    tournaments.played(path, tournaments.plan()).close()
    return path


def text(found: tuple[Cup, ...] | None, width: int = 100) -> str:
    """Return the lines without their styles."""
    return "\n".join("".join(part for part, _ in line) for line in cup_lines(found, LOOK, width))


def test_the_standings_are_those_of_tournament_show(played: Path) -> None:
    """The same players in the same order, with strength, interval, share of firsts and growth."""
    with Results.read(played) as results:
        table = table_of(results, resamples=50)
        told = json.loads(json.dumps(plain(table, results)))
    cup = cup_of(played, told)
    assert [row.name for row in cup.leagues[0][1]] == [row.name for row in table.leagues[0].rows]
    assert "crossed, easy, seeds 0:2" in cup.said
    shown = text((cup,))
    for row in cup.leagues[0][1]:
        assert row.name in shown
        if row.strength is not None:
            assert f"{row.strength:+.2f}" in shown


def test_results_files_are_known_by_what_they_are(played: Path, tmp_path: Path) -> None:
    """Not by their names: here and one above, the newest first; a run's database or a text is none."""
    assert int.from_bytes(cups.APPLICATION_ID, "big") == KIND
    runs = tmp_path / "runs"
    runs.mkdir()
    (tmp_path / "x.dat").write_bytes(played.read_bytes())
    (runs / "run.sqlite").write_bytes(b"SQLite format 3\x00" + bytes(100))
    (runs / "notes.sqlite").write_text("a text")
    assert find(runs) == [tmp_path / "x.dat"]
    assert find(tmp_path / "missing" / "missing") == []


def test_a_file_is_read_again_only_when_it_has_changed(played: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading takes a process and seconds; a look takes neither."""
    reads: list[Path] = []

    def read(path: Path) -> Cup:
        reads.append(path)
        return Cup(path)

    monkeypatch.setattr(cups, "read", read)
    known = Cups()
    assert known.look(played.parent) == known.look(played.parent)
    assert reads == [played]


def test_who_leaves_waits_for_one_file_at_most(played: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading eight of them takes a quarter of a minute."""
    runs = tmp_path / "runs"
    runs.mkdir()
    for name in ("a.sqlite", "b.sqlite", "c.sqlite"):
        (runs / name).write_bytes(played.read_bytes())
    reads: list[Path] = []
    known = Cups()

    def read(path: Path) -> Cup:
        reads.append(path)
        known.end()
        return Cup(path)

    monkeypatch.setattr(cups, "read", read)
    assert [cup.path for cup in known.look(runs)] == reads
    assert len(reads) == 1


def test_tournaments_are_read_by_one_thread_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """The directory is looked at every three seconds; what takes longer to read is not read twice at once."""
    begun, read_on = list[Path](), Event()

    def look(self: Cups, folder: Path) -> tuple[Cup, ...]:
        begun.append(folder)
        read_on.wait(10.0)
        return ()

    monkeypatch.setattr(Cups, "look", look)
    monkeypatch.setattr("tui.screens.runs.list_runs", lambda parent: [])

    async def run() -> None:
        async with staged() as stage:
            try:
                await stage.press("6")
                for _ in range(3):
                    stage.app.screen.look_around()  # type: ignore[attr-defined]
                    await asyncio.sleep(0.05)
                assert len(begun) == 1
            finally:
                read_on.set()

    asyncio.run(run())


@pytest.mark.parametrize(
    ("code", "out", "err", "words"),
    [(3, b"", b"error: it is damaged\n", "error: it is damaged"), (0, b"no JSON", b"", "unreadable"),
     (0, b"{}", b"", "unreadable"), (1, b"", b"", "exit code 1")],
)  # fmt: skip
def test_what_cannot_be_read_says_why(
    code: int, out: bytes, err: bytes, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One line below its name; the others are shown."""
    done = subprocess.CompletedProcess([], code, out, err)
    monkeypatch.setattr(subprocess, "run", lambda *given, **more: done)
    assert words in text((cups.read(Path("bad.sqlite")),))


def test_nothing_there_says_how_to_make_one() -> None:
    """The two commands; before the first look, that it is being looked for."""
    assert "lineage-arena tournament init cup.toml" in text(())
    assert "looking" in text(None)


def test_hostile_names_and_undefined_figures_are_drawn() -> None:
    """Escapes in a name are text; a player without figures has dashes; narrow panes lose only the drawing."""
    rows = (Standing("\x1b[2Jbad", False, None, None, None, None, None, "3 of 8"),
            Standing("fine", True, 0.5, 0.1, 0.9, 1.0, -0.2, "0 of 8"))  # fmt: skip
    cup = Cup(Path("cup.sqlite"), said="crossed", leagues=(("evolving", rows),))
    for width in (20, 60, 160):
        shown = text((cup,), width)
        assert "\x1b" not in shown
        assert "populations that live on" in shown
        assert "3 of 8" in shown
