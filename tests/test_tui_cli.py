"""`watch` and the app on the command line: what is refused, what is printed, and a terminal left as it was."""

import json
import os
import pty
import re
import select
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest

from lineage.record.store import FILE_NAME
from tests.commands import call, tiny
from tests.histories import write_history
from tests.test_import_contracts import modules_after
from tui import cli_watch
from tui.actions import SCREENS
from tui.bench_tui import LIMITS, TerminalFigures, table
from tui.running import RunRequest, arguments_of
from tui.theme import SYMBOLS, THEMES
from tui.watching import choose_look

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A made-up run."""
    directory = tmp_path_factory.mktemp("runs") / "made-up"
    directory.mkdir()
    write_history(directory, rounds=8)
    return directory


def test_one_frame_is_printed_without_a_terminal(run: Path) -> None:
    """As text of the size that was asked for; nothing of it is colour, nothing of the run is changed."""
    before = (run / FILE_NAME).read_bytes()
    done = call("watch", run, "--once", "--size", "90x26", "--at", "3")
    assert (done.code, done.err) == (0, "")
    lines = done.out.split("\n")
    assert len(lines) == 27
    assert max(map(len, lines)) <= 90
    assert "round 4/8" in done.out and "REPLAY -4" in done.out
    assert "\x1b" not in done.out
    assert (run / FILE_NAME).read_bytes() == before


def test_a_round_outside_the_run_is_refused(run: Path, tmp_path: Path) -> None:
    """As every other command does: one line, exit code 2, nothing printed or written."""
    for more in (("--once",), ("--svg", tmp_path / "a.svg"), ()):
        done = call("watch", run, *more, "--at", "99999")
        assert (done.code, done.out) == (2, "")
        assert "--at 99999: the run holds rounds 0 to 7" in done.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("screen", SCREENS)
def test_every_screen_can_be_printed(run: Path, screen: str) -> None:
    """In ASCII too, where nothing else may appear."""
    done = call("watch", run, "--once", "--size", "80x24", "--screen", screen, "--symbols", "ascii", "--theme", "mono")
    assert done.code == 0
    assert [char for char in done.out if not char.isascii() and char != "─"] == []


def test_one_frame_is_drawn_as_svg(run: Path, tmp_path: Path) -> None:
    """A file that is there already is not overwritten."""
    done = call("watch", run, "--svg", tmp_path / "a.svg", "--size", "160x45")
    assert done.code == 0
    assert (tmp_path / "a.svg").read_text().startswith("<svg")
    again = call("watch", run, "--svg", tmp_path / "a.svg")
    assert again.code == 2
    assert "exists already" in again.err


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["nowhere"], 2, "no run is recorded"), (["foreign"], 4, "not an SQLite database"),
        (["run", "--once", "--size", "0x9"], 2, "COLUMNSxLINES"),
        (["run", "--once", "--size", "big"], 2, "COLUMNSxLINES"),
        (["run", "--once", "--screen", "arenaa"], 2, "arena"), (["run", "--once", "--at", "-1"], 2, "at"),
        (["run"], 5, "no terminal"), (["run", "--svg", "no/where.svg"], 5, "no such file"),
    ],
)  # fmt: skip
def test_bad_input_is_one_line(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                               arguments: list[str], code: int, words: str) -> None:  # fmt: skip
    """The stated exit code, one line, no traceback."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / FILE_NAME).write_text("no database")
    (tmp_path / "run").symlink_to(run)
    done = call("watch", *arguments)
    assert done.code == code, done.err
    assert words in done.err
    assert done.err.count("\n") == 1
    assert done.out == ""


def test_a_window_of_one_cell_is_drawn(run: Path) -> None:
    """Nothing fits, nothing breaks."""
    assert call("watch", run, "--once", "--size", "1x1").code == 0


def test_without_a_terminal_live_means_plain_lines(tmp_path: Path) -> None:
    """`run --live` into a pipe says why, and runs all the same."""
    done = call("run", "small", "--rounds", "2", "--out", tmp_path / "run", "--live", *tiny())
    assert done.code == 0
    assert "is no terminal; running with plain lines" in done.err
    assert "round 2/2" in done.err


def test_no_color_means_mono() -> None:
    """NO_COLOR and an encoding without braille choose what can be shown; what is asked for wins."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NO_COLOR", "1")
        assert choose_look(None, None).theme == "mono"
        assert choose_look("light", "block").theme == "light"
        patch.delenv("NO_COLOR")
        assert choose_look(None, None).theme == THEMES[0]
        patch.setattr("sys.stdout", open(os.devnull, "w", encoding="ascii"))  # noqa: SIM115, PTH123
        assert choose_look(None, None).symbols is SYMBOLS["ascii"]
        sys.stdout.close()


def test_choices_of_the_command_line_are_those_of_the_app() -> None:
    """Written out there so that `--help` need not load the app."""
    assert cli_watch.SCREENS == SCREENS
    options = {option.name: option.type for option in cli_watch.watch.params}
    assert tuple(options["theme"].choices) == THEMES  # type: ignore[attr-defined]
    assert tuple(options["symbols"].choices) == tuple(SYMBOLS)  # type: ignore[attr-defined]


def test_watching_needs_neither_torch_nor_the_engine() -> None:
    """The app reads; only an engine computes."""
    loaded = modules_after("import tui.watching, tui.bench_tui")
    assert not loaded & {"torch", "mesa", "gymnasium", "lineage.world", "lineage.engine"}


def test_the_same_run_is_asked_for_in_another_process(tmp_path: Path) -> None:
    """A request as a command line leads to the same request."""
    request = RunRequest(
        scenario="easy", file=Path("a.toml"), assignments=("rounds=3", "arena.seats=4"), rounds=9, seed=4,
        market="gbm", threads=2, device="cpu", learner="fast",
    )  # fmt: skip
    words = arguments_of(request, tmp_path)
    assert words[:2] == ["run", "easy"]
    for part in ("--config a.toml", "--rounds 9", "--seed 4", f"--out {tmp_path}", "--market gbm", "--threads 2",
                 "--device cpu", "--learner fast", "--set rounds=3", "--set arena.seats=4"):  # fmt: skip
        assert part in " ".join(words)


def in_terminal(arguments: list[str], keys: bytes, wait_for: bytes, **environment: str) -> tuple[int, bytes, bool]:
    """Run on a terminal of its own, press keys once something is seen; exit code, output, terminal as before."""
    ours, theirs = pty.openpty()
    before = termios.tcgetattr(theirs)
    process = subprocess.Popen(
        [sys.executable, "-m", "tui.cli", *arguments], stdin=theirs, stdout=theirs, stderr=theirs, cwd=ROOT,
        env={**os.environ, "TERM": "xterm-256color", "COLUMNS": "80", "LINES": "24", **environment},
        start_new_session=True,
    )  # fmt: skip
    seen, pressed, end = b"", False, time.monotonic() + 60.0
    while process.poll() is None and time.monotonic() < end:
        ready, _, _ = select.select([ours], [], [], 0.1)
        if ready:
            seen += os.read(ours, 65536)
        if not pressed and wait_for in seen:
            pressed = True
            os.write(ours, keys)
    process.kill()
    process.wait()
    while select.select([ours], [], [], 0.1)[0]:
        seen += os.read(ours, 65536)
    restored = termios.tcgetattr(theirs) == before
    os.close(ours)
    os.close(theirs)
    return process.returncode, seen, restored


def test_the_terminal_is_left_as_it_was(run: Path) -> None:
    """Real keys on a real terminal: the app opens, is left with q, and nothing of it stays."""
    code, seen, restored = in_terminal(["watch", str(run)], b"q", b"FINISHED")
    assert code == 0
    assert restored
    assert seen.rindex(b"\x1b[?1049l") > seen.rindex(b"\x1b[?1049h")
    assert b"Traceback" not in seen


@pytest.mark.parametrize("term", ["dumb", ""])
def test_a_dumb_terminal_is_told(run: Path, term: str) -> None:
    """One line and exit code 5."""
    code, seen, restored = in_terminal(["watch", str(run)], b"", b"never", TERM=term)
    assert code == 5
    assert restored
    assert re.search(rb"error: watch: the terminal calls itself .* cannot be drawn on", seen)


@pytest.mark.slow
def test_no_arguments_open_a_living_world(tmp_path: Path) -> None:
    """The first minute of a stranger: births within seconds, q stops the engine, what is left verifies and resumes."""
    code, seen, restored = in_terminal(
        ["run", "small", "--rounds", "100000", "--live", "--out", str(tmp_path / "run")], b"q", b"alive"
    )
    assert code == 0, seen[-500:]
    assert restored
    assert b"continue with: lineage-arena resume" in seen
    assert call("verify", tmp_path / "run").code == 0


def test_figures_of_the_terminal_are_held_against_their_limits() -> None:
    """A figure over its limit is called OVER; the JSON has the limits beside the figures."""
    keys = {"j": 5.0, "1": 20.0, "end": 40.0}
    rest = (0.2, 0.01, (-0.02, 0.03), 0.015, 10**6, 6_000, 1.0, 0.1, keys)
    good = TerminalFigures(256, 120, 40, 10.0, 9.9, 12.0, 30.0, *rest)
    assert "OVER" not in table(good)
    assert table(good).count("ok, below") == len(LIMITS)
    assert "-2.0% to +3.0%" in table(good) and "end 40" in table(good)
    bad = TerminalFigures(256, 120, 40, 30.0, 9.9, 12.0, 30.0, *rest)
    assert table(bad).count("OVER") == 1
    assert json.dumps(LIMITS)
