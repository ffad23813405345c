"""The measured side of `bench tui`: the app in a terminal of its own, which says when what was typed can be seen.

    python -m tui.bench_app watch RUN OUT        paints and share of a core while a run is written
    python -m tui.bench_app tree AGENTS OUT      a lineage of so many agents: opening and scrolling

`tui.bench_tui` starts it on a pseudo-terminal, types into that, and reads what is written: an answer to a key is a
mark behind the bytes that paint its effect, so that everything a person would wait for is in the time.
"""

import asyncio
import json
import signal
import sys
import time
from pathlib import Path
from typing import Final

import numpy as np
from textual.geometry import Region

from lineage.ask.archive import Wish
from lineage.ask.frames import (
    BAR_COLUMNS,
    COUNTED,
    MARKET_SERIES,
    SEAT_COLUMNS,
    SERIES,
    STILL_ALIVE,
    Everybody,
    Frame,
    RunInfo,
)
from lineage.config import RunConfig
from tui.app import ArenaApp
from tui.messages import FrameReady
from tui.theme import SYMBOLS, THEMES, Look
from tui.watching import run_app
from tui.widgets.lineage import LineageTree

MARK: Final = b"\x1b]5151;"
"""Begins what the app says to whoever measures; terminals skip such a sequence, and BEL ends it."""


class MeasuredApp(ArenaApp):
    """The app with a stop-watch; SIGUSR1 starts and stops it, SIGTERM ends the app."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory, look=Look(THEMES[0], SYMBOLS["braille"]))
        self.paints: list[float] = []
        self.wall = self.processor = 0.0  # while it was running
        self.began: tuple[float, float] | None = None
        self._pressed = self._answered = 0  # keys, and those whose effect was written

    def on_mount(self) -> None:
        """Listen to the signals."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGUSR1, self.turn)
        loop.add_signal_handler(signal.SIGTERM, self.exit, 0)

    def turn(self) -> None:
        """Start the stop-watch, or stop it."""
        wall, processor = time.perf_counter(), time.process_time()
        if self.began is not None:
            self.wall += wall - self.began[0]
            self.processor += processor - self.began[1]
        self.began = (wall, processor) if self.began is None else None

    def say(self, what: str) -> None:
        """Tell whoever measures, behind everything that was written so far."""
        if self._driver is not None:
            self._driver.write(f"{MARK.decode()}{what}\x07")

    def action_act(self, action_id: str) -> None:
        """Carry out an action, and say so once its effect has been written."""
        super().action_act(action_id)
        self._pressed += 1
        self.call_after_refresh(self.answer)

    def answer(self) -> None:
        """Answer a key, unless something is still to be painted or the moment that it asked for is not there yet."""
        if self._answered == self._pressed:
            return
        if self._is_dirty():
            self.call_after_refresh(self.answer)
        elif self._is_effective():
            self._answered = self._pressed
            self.say(f"seen {self._answered}")

    def _is_dirty(self) -> bool:
        screen, page = self.screen, self.page()
        waiting = screen._dirty_widgets or screen._layout_required or screen._repaint_required
        return bool(waiting) or page is None or any(pane._repaint_required for pane in page.panes)

    def _is_effective(self) -> bool:
        frame, view = self.frame, self.view
        if frame is None or frame.round != (frame.newest if view.at is None else view.at):
            return False
        return view.screen != "agent" or (frame.dossier is not None and frame.dossier.agent_id == view.selected)

    def painted(self, began: float) -> None:
        """Note how long a refresh took, from the frame's arrival to the written screen."""
        if self._is_dirty():
            self.call_after_refresh(self.painted, began)
            return
        if self.began is not None:
            self.paints.append(time.perf_counter() - began)
        super().painted(began)
        self.answer()

    async def build_screens(self) -> None:
        """Tell when every screen is there and the run has been read."""
        await super().build_screens()
        while self.frame is None:
            await asyncio.sleep(0.1)
        self.say("ready")


def watch(directory: Path) -> dict[str, list[float]]:
    """Return what the app measured of itself until it was ended."""
    app = MeasuredApp(directory)
    run_app(app)
    return {"paints": app.paints, "wall": [app.wall], "processor": [app.processor]}


def forest(agents: int, alive: int = 64) -> Everybody:
    """Return a population of which few live at a time, so that lines are deep: every parent lived a moment ago."""
    rows = np.arange(agents, dtype=np.int64)
    lag = 1 + (rows * 2654435761 % 4294967296) * 5 * alive // 4294967296  # a spread without a generator
    parent = np.where(rows < alive, -1, np.maximum(rows - lag, 0))
    depth, founder = np.zeros(agents, dtype=np.int64), rows.copy()
    above, deep, first = parent.tolist(), depth.tolist(), founder.tolist()
    for row in range(alive, agents):
        deep[row], first[row] = deep[above[row]] + 1, first[above[row]]
    birth = rows // alive
    end = np.where(rows >= agents - alive, STILL_ALIVE, birth + 5)
    zeros = np.zeros(agents, dtype=np.int64)
    return Everybody(
        parent, np.array(first), np.array(deep), zeros, birth, zeros, np.ones(agents, dtype=np.bool_), end,
        np.where(end < STILL_ALIVE, 1, 0),
    )  # fmt: skip


def frame_of(people: Everybody, last: int) -> Frame:
    """Return a frame that has nothing but its people."""
    config = RunConfig()
    none = np.zeros(0)
    return Frame(
        info=RunInfo(Path(), "0" * 16, 0, "forest", "0" * 64, config),
        round=last, newest=last, loaded=last, closed=True,
        people=people, seats=dict.fromkeys(SEAT_COLUMNS, none), trail={"agent_id": none, "equity": none.reshape(0, 1)},
        series={name: np.zeros(1) for name in (*SERIES, *COUNTED)}, market=0,
        markets={name: np.zeros((1, config.arena.markets)) for name in MARKET_SERIES},
        bars=dict.fromkeys(BAR_COLUMNS, none), events=(), dossier=None, last_tick=0,
    )  # fmt: skip


def tree(agents: int) -> dict[str, list[float]]:
    """Return how long a lineage takes from the arrays to its first lines, and one page of it."""
    people = forest(agents)
    app = TreeApp(people, int(people.birth_round[-1]))
    run_app(app)
    return {"opened": [app.opened], "deepest": [float(people.depth.max())], "frames": app.frames}


class TreeApp(ArenaApp):
    """The app with a forest in place of a run."""

    def __init__(self, people: Everybody, last: int) -> None:
        super().__init__(Path(), look=Look(THEMES[0], SYMBOLS["braille"]), open_reader=lambda *given: Silent())
        self.people, self.last = people, last
        self.frames: list[float] = []
        self.opened = 0.0

    def on_mount(self) -> None:
        """Show the forest, then scroll through it."""
        self.run_worker(self._time_it(), exclusive=True)

    async def _time_it(self) -> None:
        """Time the way from a frame to the first lines, then page after page."""
        self.view.whole_tree = True
        self.action_act("show_lineage")
        await asyncio.sleep(0.5)
        began = time.perf_counter()
        self.on_frame_ready(FrameReady(frame_of(self.people, self.last)))
        pane = self.screen.query_one("#tree", LineageTree)
        while not pane.count():
            await asyncio.sleep(0.01)
        self.opened = time.perf_counter() - began
        step = max(1, pane.count() // 200)
        for top in range(0, pane.count() - pane.size.height, step):
            began = time.perf_counter()
            pane.top = top
            pane.repaint()
            pane.render_lines(Region(0, 0, *pane.size))
            self.frames.append(time.perf_counter() - began)
            if len(self.frames) % 20 == 0:
                await asyncio.sleep(0.02)
        self.exit(0)


class Silent:
    """A reader that has nothing to say."""

    busy = False

    def ask(self, wish: Wish) -> None:
        """Say nothing."""

    def close(self) -> None:
        """Say nothing more."""


def main(arguments: list[str]) -> None:
    """Measure what was asked for and write it as JSON."""
    what, subject, out = arguments
    found = watch(Path(subject)) if what == "watch" else tree(int(subject))
    Path(out).write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
