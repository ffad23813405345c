"""Only what changed is painted and sent, and it is what painting everything anew would show."""

import asyncio
import gc
import subprocess
import sys
from collections.abc import Callable, Iterable
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace

import pytest
from rich.style import Style
from textual.strip import Strip

from arena.rng import stream
from tests.screens import Puppet, Stage, staged, strips
from tui import ahead, packages, paint
from tui.actions import SCREENS
from tui.bench_terminal import Heard
from tui.bench_tui import loss_of
from tui.paint import Part
from tui.tidying import EVERY_SECONDS, PAUSE_SECONDS, Tidier
from tui.watching import SWITCH_SECONDS, run_app
from tui.widgets.base import Pane


@pytest.fixture(autouse=True)
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is written anywhere else, and no other run is read."""
    monkeypatch.chdir(tmp_path)


def counted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return a list that grows by one for every line that is painted."""
    lines: list[int] = []
    real = paint.line

    def line(parts: Iterable[Part], width: int, over: Callable[[Style], Style]) -> Strip:
        lines.append(width)
        return real(parts, width, over)

    monkeypatch.setattr(paint, "line", line)
    return lines


def test_nothing_is_painted_when_nothing_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same moment shown again costs no line; a cursor that moves by one costs the two lines that it is on."""

    async def run() -> tuple[int, int]:
        async with staged((120, 40)) as stage:
            lines = counted(monkeypatch)
            await stage.settle()
            same = len(lines)
            await stage.press("j")
            await stage.settle()
            return same, len(lines) - same

    same, moved = asyncio.run(run())
    assert same == 0
    assert 0 < moved <= 6  # two in the table, two in the lines of descent, the header's and the footer's notice


def cells(stage: Stage) -> list[list[tuple[str, str]]]:
    """Return every cell of the screen with its style."""
    return [[(char, str(part.style)) for part in strip for char in part.text] for strip in strips(stage.app)]


@pytest.mark.parametrize("screen", SCREENS)
def test_what_stays_is_what_would_be_painted_anew(screen: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Through rounds, keys, a notice, time travel, another theme: kept lines equal those of a screen painted whole."""

    async def run() -> None:
        async with staged((100, 30), puppet=Puppet()) as stage:
            stage.app.action_act(f"show_{screen}")
            for keys in (("j", "space"), ("t", "left"), ("T",), ("end", "f")):
                stage.projector.newest = max(20, stage.projector.newest - 3)
                await stage.press(*keys)
                kept = cells(stage)
                for pane in stage.app.screen.query(Pane):
                    pane.refresh()
                await stage.pilot.pause()
                assert cells(stage) == kept, (screen, keys)

    monkeypatch.setattr("tui.screens.runs.list_runs", lambda parent: [])
    asyncio.run(run())


def test_a_line_that_was_forgotten_would_be_found() -> None:
    """Sabotage: a pane that takes its lines for unchanged fails the comparison above."""

    async def run() -> bool:
        async with staged((100, 30)) as stage:
            stale = stage.app.screen.query_one("#population", Pane)
            stale.repaint = lambda: None  # type: ignore[method-assign]
            await stage.press("s")
            kept = cells(stage)
            stale.refresh()
            await stage.pilot.pause()
            return cells(stage) != kept

    assert asyncio.run(run())


def test_screens_are_made_ahead(monkeypatch: pytest.MonkeyPatch) -> None:
    """By two names that the library keeps to itself: says which one a new Textual lacks."""
    monkeypatch.setattr(ahead, "BUILD_SECONDS", 0.0)

    async def run() -> None:
        async with staged((100, 30)) as stage:
            app = stage.app
            gone = [name for name in ahead.NEEDED if not hasattr(app, name)]
            assert not gone, f"Textual {version('textual')} has no App.{', App.'.join(gone)}: adapt tui/ahead.py"
            await app.build_screens()
            made = {name: app._screen_stacks[name][0] for name in SCREENS}
            for name, screen in made.items():
                app.action_act(f"show_{name}")
                await stage.settle()
                assert app.screen is screen
                assert "seed 7" in stage.text().split("\n")[1]

    monkeypatch.setattr("tui.screens.runs.list_runs", lambda parent: [])
    asyncio.run(run())


def test_without_the_private_names_screens_are_made_when_they_are_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another Textual costs the time that was saved, and nothing else."""
    monkeypatch.setattr(ahead, "BUILD_SECONDS", 0.0)
    monkeypatch.setattr(ahead, "NEEDED", (*ahead.NEEDED, "_no_such_name"))

    async def run() -> None:
        async with staged((100, 30)) as stage:
            await stage.app.build_screens()
            assert "market" not in stage.app._screen_stacks
            await stage.press("5")
            assert stage.app.page() is stage.app.screen and "seed 7" in stage.text()

    asyncio.run(run())


@pytest.mark.parametrize(("given", "wanted"), [({}, "240"), ({"TEXTUAL_FPS": "30"}, "30")])
def test_the_library_is_told_how_often_to_paint_before_it_is_imported(given: dict[str, str], wanted: str) -> None:
    """What the person's environment says wins."""
    environment = {name: value for name, value in packages.environment().items() if name != "TEXTUAL_FPS"} | given
    command = [sys.executable, "-c", "import tui.app, textual.constants; print(textual.constants.MAX_FPS)"]
    done = subprocess.run(command, env=environment, capture_output=True, check=True, text=True)
    assert done.stdout.strip() == wanted


def test_only_the_app_changes_the_interpreter_and_gives_it_back() -> None:
    """Threads take turns sooner while it runs, and as before when it has left, also by an error."""
    seen: list[float] = []

    def run() -> None:
        seen.append(sys.getswitchinterval())
        raise RuntimeError("it broke")

    before = sys.getswitchinterval(), gc.get_threshold()
    with pytest.raises(RuntimeError, match="it broke"):
        run_app(SimpleNamespace(tidier=Tidier(), run=run))  # type: ignore[arg-type]
    assert seen == [pytest.approx(SWITCH_SECONDS)]
    assert (sys.getswitchinterval(), gc.get_threshold()) == before


def test_memory_is_tidied_in_a_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not while somebody types, not again at once, never before `begin`; the collector is given back as it was."""
    now, collected = [0.0], []
    monkeypatch.setattr(gc, "collect", lambda: collected.append(now[0]))
    monkeypatch.setattr(gc, "freeze", lambda: None)
    monkeypatch.setattr(gc, "unfreeze", lambda: None)
    before = gc.get_threshold()
    tidier = Tidier(lambda: now[0])
    now[0] = 10 * EVERY_SECONDS
    assert not tidier.tidy()
    tidier.begin()
    try:
        assert gc.get_threshold()[2] > 10**5
        now[0] += EVERY_SECONDS
        tidier.typed()
        assert not tidier.tidy()
        now[0] += PAUSE_SECONDS
        assert tidier.tidy()
        assert not tidier.tidy()
    finally:
        tidier.end()
    assert collected == [now[0]]
    assert gc.get_threshold() == before


def test_a_loss_of_speed_is_measured_round_by_round() -> None:
    """Three percent are found among rounds of all lengths and noise; none where there is none."""
    random = stream(3, "rounds")
    rounds = 0.07 * random.uniform(0.7, 1.3, size=(10, 12))
    alone, again = rounds * random.normal(1.0, 0.02, size=(2, 10, 12))
    loss, (low, high) = loss_of(alone, rounds / 0.97 * random.normal(1.0, 0.02, size=(10, 12)))
    assert low < loss < high
    assert abs(loss - 0.03) < 0.01
    assert 0.0 < low < high < 0.06
    none, _ = loss_of(alone, again)
    assert abs(none) < 0.01


def test_what_the_measured_app_says_is_heard_however_it_is_cut() -> None:
    """Marks are found across the borders of what is read at once, and in the midst of a long picture."""
    text = b"x" * 9_000 + b"\x1b]5151;ready\x07" + b"y" * 9_000 + b"\x1b]5151;seen 1\x07\x1b]5151;seen 2\x07z"
    for step in (7, 1_000, len(text)):
        heard = Heard()
        for begin in range(0, len(text), step):
            heard.take(text[begin : begin + step], 1.0)
        assert [word for _, word in heard.said] == ["ready", "seen 1", "seen 2"], step
