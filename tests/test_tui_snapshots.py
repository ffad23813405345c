"""What the screens look like: every screen at every size, in every theme, in every state, as reviewable text.

`SNAPSHOTS=write` in the environment writes them anew; look at the difference before it is committed.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from lineage.ask.runs import RunLine
from tests.films import ROUNDS, extinct
from tests.screens import Puppet, Stage, staged
from tui.actions import SCREENS
from tui.messages import EventChosen, FrameReady
from tui.model import Link, View
from tui.theme import SYMBOLS, THEMES, Look
from tui.widgets.base import Pane

FOLDER = Path(__file__).parent / "snapshots"
SIZES = ((160, 45), (100, 30), (80, 24), (60, 20))

State = Callable[[Stage], Awaitable[None]]


async def _paused(stage: Stage) -> None:
    assert stage.puppet
    stage.puppet.link = Link("paused", ROUNDS, 2.0)


async def _stopping(stage: Stage) -> None:
    assert stage.puppet
    stage.puppet.link = Link("stopping", ROUNDS)


async def _gone(stage: Stage) -> None:
    assert stage.puppet
    stage.puppet.link = Link("gone", message="error: out of memory; use fewer seats or a smaller replay")


async def _trouble(stage: Stage) -> None:
    stage.projector.failure = "made-up/run.sqlite: the file was removed or replaced while it was watched; open it again"


async def _replay(stage: Stage) -> None:
    stage.app.action_act("travel")
    stage.app.view.at = 20


async def _filtered(stage: Stage) -> None:
    await stage.press("slash", *"gen>0", "enter")


async def _mistyped(stage: Stage) -> None:
    await stage.press("slash", *"genn>0")


async def _followed(stage: Stage) -> None:
    await stage.press("f")
    stage.app.view.notice = ""


async def _marked(stage: Stage) -> None:
    stage.app.action_act("show_lineage")
    stage.app.view.marks = (30, 61)


async def _whole(stage: Stage) -> None:
    stage.app.action_act("show_lineage")
    stage.app.action_act("whole")


async def _finished(stage: Stage) -> None:
    stage.projector.closed = True


async def _extinct(stage: Stage) -> None:
    stage.projector.newest = -1
    stage.app.on_frame_ready(FrameReady(extinct()))


async def _help(stage: Stage) -> None:
    await stage.press("question_mark")


async def _why(stage: Stage) -> None:
    death = next(event for event in stage.app.frame.events if event.kind == "death")  # type: ignore[union-attr]
    stage.app.post_message(EventChosen(death))
    await stage.settle()
    await asyncio.sleep(0.25)


async def _speed(stage: Stage) -> None:
    await stage.press("minus", "minus")


async def _blocked(stage: Stage) -> None:
    await stage.press("left")


async def _compared(stage: Stage) -> None:
    await stage.press("6")
    await stage.app.workers.wait_for_complete()
    await stage.press("m", "j", "m")


async def _log(stage: Stage) -> None:
    stage.app.action_act("show_training")
    stage.app.action_act("log")


RUNS = [
    RunLine(Path("made-up"), "", "0123456789abcdef", 7, "made-up", 60, 84, 55, 60, 3, False, "ab" * 32, 12_345.6, 29),
    RunLine(Path("other"), "", "fedcba9876543210", 8, "default", 300, 90, 70, 1_200, 4, True, "cd" * 32, None, 0),
    RunLine(Path("foreign"), problem="foreign/run.sqlite: not an SQLite database; restore it from a copy"),
]

STATES: dict[str, State] = {
    "paused": _paused, "stopping": _stopping, "gone": _gone, "trouble": _trouble, "replay": _replay,
    "filtered": _filtered, "mistyped": _mistyped, "followed": _followed, "marked": _marked, "whole": _whole,
    "finished": _finished, "extinct": _extinct, "help": _help, "why": _why, "speed": _speed, "blocked": _blocked,
    "log": _log, "compared": _compared,
}  # fmt: skip
WITH_ENGINE = ("paused", "stopping", "gone", "speed")


async def reset(stage: Stage) -> None:
    """Begin anew on the first screen, without an engine."""
    app = stage.app
    while app.screen is not app.page():
        app.pop_screen()
    app.page().close_prompt()  # type: ignore[union-attr]
    app.action_act("show_arena")
    app.view, app.engine, app.link = View(), None, Link()
    stage.projector.newest, stage.projector.closed, stage.projector.failure = ROUNDS - 1, False, ""
    stage.projector.forget()
    await stage.settle()
    app.page().first_focus()  # type: ignore[union-attr]


async def every_screen(taken: dict[str, str]) -> None:
    """Take each screen at each size, then in each theme, then with the plainer symbols."""
    async with staged() as stage:
        for width, height in SIZES:
            await stage.pilot.resize_terminal(width, height)
            for name in SCREENS:
                stage.app.action_act(f"show_{name}")
                await stage.settle()
                taken[f"{name}-{width}x{height}"] = stage.text()
        await stage.pilot.resize_terminal(80, 24)
        for theme in THEMES:
            stage.app.apply_look(Look(theme, SYMBOLS["braille"]))
            for name in SCREENS:
                stage.app.action_act(f"show_{name}")
                await stage.settle()
                taken[f"{name}-{theme}"] = stage.styled()
        for symbols in ("block", "ascii"):
            stage.app.apply_look(Look("mono", SYMBOLS[symbols]))
            for name in ("arena", "lineage"):
                stage.app.action_act(f"show_{name}")
                await stage.settle()
                taken[f"{name}-{symbols}"] = stage.text()
        for width, height in ((39, 24), (80, 11), (1, 1)):
            await stage.pilot.resize_terminal(width, height)
            await stage.settle()
            taken[f"small-{width}x{height}"] = stage.text()


async def every_state(taken: dict[str, str]) -> None:
    """Take each state of run, engine and person."""
    async with staged(puppet=Puppet()) as stage:
        for name, change in STATES.items():
            await reset(stage)
            stage.puppet = Puppet()
            stage.app.engine = stage.puppet if name in WITH_ENGINE else None
            await stage.settle()
            await change(stage)
            await stage.settle()
            taken[f"state-{name}"] = stage.text()
    for name, puppet in (("starting", Puppet(Link("starting"))), ("empty", None)):
        async with staged(puppet=puppet, prepare=lambda projector: setattr(projector, "newest", -1)) as stage:
            taken[f"state-{name}"] = stage.text()


@pytest.fixture(scope="module")
def taken(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Return every picture by name, taken in two sessions of the app."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("empty", numbered=False))
        patch.setattr("tui.screens.runs.list_runs", lambda parent: RUNS)
        patch.setattr("tui.recompute.Recomputer.start", lambda *given: None)
        found: dict[str, str] = {}
        asyncio.run(every_screen(found))
        asyncio.run(every_state(found))
    return found


NAMES = (
    *(f"{name}-{width}x{height}" for width, height in SIZES for name in SCREENS),
    *(f"{name}-{theme}" for theme in THEMES for name in SCREENS),
    *(f"{name}-{symbols}" for symbols in ("block", "ascii") for name in ("arena", "lineage")),
    *(f"small-{size}" for size in ("39x24", "80x11", "1x1")),
    *(f"state-{name}" for name in (*STATES, "starting", "empty")),
)


@pytest.mark.parametrize("name", NAMES)
def test_a_screen_looks_as_it_was_reviewed(taken: dict[str, str], name: str) -> None:
    """The text, and for themes the styles, are those in tests/snapshots."""
    path = FOLDER / f"{name}.txt"
    if os.environ.get("SNAPSHOTS") == "write":
        FOLDER.mkdir(exist_ok=True)
        path.write_text(taken[name] + "\n", encoding="utf-8")
    assert taken[name] + "\n" == path.read_text(encoding="utf-8")


def test_there_are_enough_of_them_and_none_too_many() -> None:
    """At least sixty, and no file that no test looks at."""
    assert len(NAMES) >= 60
    assert {path.stem for path in FOLDER.glob("*.txt")} == set(NAMES)


def test_no_line_is_wider_than_the_terminal(taken: dict[str, str]) -> None:
    """What is drawn fits: at every size every line has at most as many cells."""
    for width, height in SIZES:
        for name in SCREENS:
            lines = taken[f"{name}-{width}x{height}"].split("\n")
            assert len(lines) == height
            assert max(map(len, lines)) <= width


def test_every_hue_is_doubled_by_a_glyph(taken: dict[str, str]) -> None:
    """Mono shows the same characters as the default theme but for the letters that name bands."""
    for name in ("arena", "agent", "training", "market", "runs"):
        mono, colour = (taken[f"{name}-{theme}"].split("\n")[:48:2] for theme in ("mono", "arena"))
        assert mono == colour, name


async def titles(stage: Stage) -> dict[str, str]:
    """Wait without showing anything anew, and return the text in the border of every pane that can be seen."""
    for _ in range(5):
        await stage.pilot.pause()
    return {str(pane.id): pane.headline for pane in stage.app.screen.query(Pane) if pane.is_on_screen}


@pytest.mark.parametrize("screen", ["arena", "agent", "training", "market", "runs"])
def test_a_title_is_there_as_soon_as_its_pane_has_room(screen: str) -> None:
    """A pane that was hidden or narrow gets its whole title with its size, not with the next round: a run may be over.

    The size changes while nothing is shown anew, so the titles have to come from the change itself.
    """

    async def both() -> tuple[dict[str, str], dict[str, str]]:
        async with staged((40, 12)) as stage:
            stage.app.action_act(f"show_{screen}")
            await stage.settle()
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(stage.app, "show", lambda: None)
                patch.setattr(stage.app, "pull", lambda: None)
                await stage.pilot.resize_terminal(160, 45)
                grown = await titles(stage)
            await stage.settle()
            return grown, await titles(stage)

    grown, wanted = asyncio.run(both())
    assert grown == wanted
    assert len(list(filter(None, wanted.values()))) >= 2


def test_a_long_path_hides_no_trouble() -> None:
    """The banner says what is wrong also where the name of the directory alone fills the line."""
    directory = Path("/" + "/".join(["a-deep-directory"] * 8))

    async def banner() -> str:
        async with staged((80, 24), directory=directory) as stage:
            stage.app.view.banner = f"{directory}/run.sqlite: the file was removed or replaced; open the run again"
            stage.app.show()
            for _ in range(5):
                await stage.pilot.pause()
            return stage.text().split("\n")[-2]

    assert asyncio.run(banner()).endswith("run.sqlite: the file was removed or replaced; open the run again")


def test_a_changed_screen_would_be_found(taken: dict[str, str]) -> None:
    """Sabotage: the same comparison of another moment fails."""
    assert taken["state-replay"] != taken["arena-80x24"]
    assert taken["arena-light"] != taken["arena-dark"]
