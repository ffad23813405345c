"""The app without a terminal, as text: what stands where, and in which style."""

import asyncio
import string
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.style import Style
from textual.pilot import Pilot

from tests.films import HOME, Projector
from tui.actions import ACTIONS, Action
from tui.app import ArenaApp
from tui.model import Link
from tui.theme import SYMBOLS, Look

PATIENCE_SECONDS = 5.0


@dataclass
class Puppet:
    """Stands where the engine's process stands and notes what it is told."""

    link: Link = field(
        default_factory=lambda: Link("playing", 60, 0.0, 9.0, 4_000.0, 3_000.0, {"act": 2.0, "learn": 6.0})
    )
    heard: list[str] = field(default_factory=list)

    def send(self, command: str) -> None:
        """Note a command."""
        self.heard.append(command)

    def poll(self) -> Link:
        """Return what is known of the engine."""
        return self.link


@dataclass
class Stage:
    """An app under test with everything around it that a test moves."""

    app: ArenaApp
    pilot: Pilot[Any]
    projector: Projector
    puppet: Puppet | None
    clock: list[float]

    async def settle(self) -> None:
        """Let everything that was asked for happen, until two looks at the screen are the same.

        One pause is not enough: it ends when the process uses little time, which is also so where others use it all.
        """
        self.app.rest_until = 0.0  # however slow the machine is
        self.app.pull()
        for _ in range(3):
            await asyncio.sleep(0)
        await self.pilot.pause()
        self.app.show()
        seen, end = strips(self.app), time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < end:
            await self.pilot.pause()
            seen, before = strips(self.app), seen
            if seen == before:
                break

    async def press(self, *keys: str) -> None:
        """Press keys one after another, then wait."""
        await self.pilot.press(*keys)
        await self.settle()

    def text(self) -> str:
        """Return what is on the screen."""
        return "\n".join(strip.text.rstrip() for strip in strips(self.app))

    def styled(self) -> str:
        """Return what is on the screen with a letter for the style of each cell, and what the letters mean."""
        return styled(self.app)


@asynccontextmanager
async def staged(
    size: tuple[int, int] = (80, 24), *, look: Look | None = None, puppet: Puppet | None = None,
    actions: tuple[Action, ...] = ACTIONS, prepare: Callable[[Projector], object] = lambda projector: None,
    directory: Path = HOME,
) -> AsyncIterator[Stage]:  # fmt: skip
    """Run the app on the made-up film; nothing is refreshed but by `settle`."""
    clock = [0.0]
    projectors: list[Projector] = []

    def project(_: Path, on_frame: Any, on_failure: Any) -> Projector:
        projectors.append(Projector(on_frame, on_failure))
        prepare(projectors[-1])
        return projectors[-1]

    app = ArenaApp(
        directory, look=look or Look("arena", SYMBOLS["braille"]), actions=actions, clock=lambda: clock[0],
        engine=puppet, open_reader=project,
    )  # fmt: skip
    async with app.run_test(size=size) as pilot:
        stage = Stage(app, pilot, projectors[0], puppet, clock)
        await stage.settle()
        yield stage


def strips(app: ArenaApp) -> list[Any]:
    """Return the lines of the screen."""
    return app.screen._compositor.render_strips(app.screen.size)


def styled(app: ArenaApp) -> str:
    """Return text lines, each followed by its styles as letters, and the legend."""
    letters: dict[str, str] = {}
    lines = []
    for strip in strips(app):
        marks = "".join(_letter(letters, segment.style) * len(segment.text) for segment in strip)
        lines += [strip.text.rstrip(), marks.rstrip(".")]
    legend = [f"{letter} {name}" for name, letter in letters.items()]
    return "\n".join([*lines, "", *legend])


def _letter(letters: dict[str, str], style: Style | None) -> str:
    name = str(style.without_color) + " " + (f"{_colour(style.color)} on {_colour(style.bgcolor)}") if style else "none"
    name = name.replace("none none", "none").strip()
    if name not in letters:
        letters[name] = (string.ascii_letters + string.digits + "?")[min(len(letters), 62)]
    return letters[name]


def _colour(colour: Any) -> str:
    return colour.triplet.hex if colour is not None and colour.triplet else "default"
