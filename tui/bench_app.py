"""The measured side of `bench tui`: the app in a terminal of its own, timing itself.

    python -m tui.bench_app watch RUN SECONDS OUT     paint, keys and share of a core while a run is written
    python -m tui.bench_app tree AGENTS OUT           a lineage of so many agents: opening and scrolling

`tui.bench_tui` starts it on a pseudo-terminal, so that everything a person would pay for is paid for.
"""

import asyncio
import json
import sys
import time
from pathlib import Path

import numpy as np
from textual import events
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

KEYS = ("j", "j", "j", "k", "pagedown", "pageup", "s", "4", "1", "2", "1", "f", "f", "t", "left", "right", "end")
"""What is pressed while it is measured: moving, sorting, switching screens, following, travelling."""

LONGEST_KEY = 2.0
SETTLING = 2.0  # seconds before anything counts


class MeasuredApp(ArenaApp):
    """The app with a stop-watch."""

    paints: list[float]
    keys: list[float]

    def __init__(self, directory: Path, seconds: float) -> None:
        super().__init__(directory, look=Look(THEMES[0], SYMBOLS["braille"]))
        self.paints, self.keys = [], []
        self.wall = self.processor = 0.0
        self._seconds = seconds
        self._done: asyncio.Event | None = None

    def on_mount(self) -> None:
        """Start the measurement beside the app."""
        self.run_worker(self._time_it(), exclusive=True)

    def action_act(self, action_id: str) -> None:
        """Carry out an action, and say so once it can be seen."""
        super().action_act(action_id)
        if self._done is not None:
            self.call_after_refresh(self._done.set)

    def painted(self, began: float) -> None:
        """Note how long a refresh took, from the frame's arrival to the written screen."""
        self.paints.append(time.perf_counter() - began)
        super().painted(began)

    async def _time_it(self) -> None:
        """Watch for half of the time, press keys in the other half."""
        await asyncio.sleep(SETTLING)
        self.paints.clear()
        wall, processor = time.perf_counter(), time.process_time()
        await asyncio.sleep(self._seconds / 2)
        self.wall, self.processor = time.perf_counter() - wall, time.process_time() - processor
        end = time.perf_counter() + self._seconds / 2
        press = 0
        while time.perf_counter() < end:
            await asyncio.sleep(0.07)
            await self._press(KEYS[press % len(KEYS)])
            press += 1
        self.exit(0)

    async def _press(self, key: str) -> None:
        """Press a key and wait until its effect is on the screen."""
        done = asyncio.Event()
        began = time.perf_counter()
        self._done = done
        self.post_message(events.Key(key, key if len(key) == 1 else None))
        try:
            await asyncio.wait_for(done.wait(), LONGEST_KEY)
        except TimeoutError:  # a key that changes nothing paints nothing
            return
        self.keys.append(time.perf_counter() - began)


def watch(directory: Path, seconds: float) -> dict[str, list[float]]:
    """Return what the app measured of itself."""
    app = MeasuredApp(directory, seconds)
    run_app(app)
    return {"paints": app.paints, "keys": app.keys, "wall": [app.wall], "processor": [app.processor]}


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
    what, subject, *rest = arguments
    found = watch(Path(subject), float(rest[0])) if what == "watch" else tree(int(subject))
    Path(rest[-1]).write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
