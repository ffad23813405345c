"""The terminal app: one loop that asks for the newest moment, shows it, and carries out actions.

Reading happens in a thread (tui/reader.py), playing in another process (tui/control.py); both speak to the app
through messages, and only the app touches widgets. Nothing here ever waits.
"""

import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from textual.app import App
from textual.screen import Screen

from lineage.ask.archive import Wish
from lineage.ask.frames import Columns, Frame
from tui import ahead, doing, prompts
from tui.actions import ACTIONS, Action, Situation
from tui.control import Playing
from tui.messages import (
    ActionChosen,
    AgentChosen,
    EventChosen,
    FrameReady,
    ReadFailed,
    Recomputed,
    RoundChosen,
    RunChosen,
    SortChosen,
)
from tui.model import RESORT_SECONDS, Link, Order, Pace, View, columns_of, epitaph, reorder, settle
from tui.reader import OpenReader, Reader, Reading, silent_seconds
from tui.recompute import Recomputer
from tui.screens.agent import AgentScreen
from tui.screens.arena import ArenaScreen
from tui.screens.lineage import LineageScreen
from tui.screens.market import MarketScreen
from tui.screens.page import Page
from tui.screens.palette import Palette
from tui.screens.runs import RunsScreen
from tui.screens.training import TrainingScreen
from tui.theme import THEMES, Look, textual_theme
from tui.tidying import Tidier
from tui.widgets.events import EventList

REFRESH_SECONDS = 0.1
SLOW_PAINT_SECONDS = 0.05
NOTICE_SECONDS = 4.0
STILL_SECONDS = 10.0

_PAGES: dict[str, str | Callable[[], Screen[Any]]] = {
    "arena": ArenaScreen, "lineage": LineageScreen, "agent": AgentScreen, "training": TrainingScreen,
    "market": MarketScreen, "runs": RunsScreen,
}  # fmt: skip


class ArenaApp(App[int]):
    """Watches one run; plays it too when it was given an engine."""

    MODES = _PAGES  # a stack of screens each: fast switching between screens of one stack raises
    ENABLE_COMMAND_PALETTE = False  # ours: tui/screens/palette.py
    CSS_PATH = Path(__file__).with_name("app.tcss")
    TITLE = "lineage-arena"
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (80, "-normal"), (110, "-wide"), (150, "-rich")]  # noqa: RUF012
    VERTICAL_BREAKPOINTS = [(0, "-short"), (24, "-middle"), (36, "-tall")]  # noqa: RUF012

    def __init__(
        self,
        directory: Path,
        *,
        look: Look,
        engine: Playing | None = None,
        actions: Sequence[Action] = ACTIONS,
        clock: Callable[[], float] = time.monotonic,
        open_reader: OpenReader = Reader,
    ) -> None:
        """Watch a directory; `engine` writes it, if this app started one; `clock` says when rows may change places."""
        super().__init__()
        for name in THEMES:
            self.register_theme(textual_theme(name))
        self.theme = look.theme
        self.directory = directory
        self.look = look
        self.engine = engine
        self.actions = tuple(actions)
        self.now = clock
        self.view = View()
        self.frame: Frame | None = None
        self.history: Columns | None = None  # the longest series seen: the time line also shows what is yet to come
        self.columns: dict[str, np.ndarray] = {}
        self.link = Link()
        self.rounds_per_s = math.nan
        self._pace = Pace()
        self.recomputer = Recomputer(lambda: self.post_message(Recomputed()))
        self._open_reader = open_reader
        self._reader: Reading | None = None
        self._wished: Wish | None = None  # what it was asked for last
        self.first_screen = "arena"
        self.newest_read = -1  # the newest round that the reader has seen
        self.prompt_for = "filter"  # what the text in the prompt is meant for
        self._noticed, self.tidier = (0.0, ""), Tidier()
        self.rest_until = 0.0  # refreshes are skipped until then when painting is slow
        for action in self.actions:
            for key in action.keys:
                self.bind(key, f"act('{action.id}')", description=action.label, show=False)

    def get_theme_variable_defaults(self) -> dict[str, str]:
        """Return what themes of others do not define."""
        return {"rule": "#30363d"}

    def on_mount(self) -> None:
        """Open the first screen, begin to read."""
        self.view.screen = self.first_screen
        self.switch_mode(self.first_screen)
        self.open_run(self.directory)
        self.set_interval(REFRESH_SECONDS, self.pull)
        if not self.is_headless:
            self.run_worker(self.build_screens(), group="screens")

    async def build_screens(self) -> None:
        """Make the other screens while the first is looked at."""
        await ahead.build_screens(self, _PAGES)

    def open_run(self, directory: Path) -> None:
        """Watch another directory from now on."""
        if self._reader is not None:
            self._reader.close()
        self.directory = directory
        self.frame, self.history, self.columns = None, None, {}
        self._pace, self.rounds_per_s = Pace(silent_seconds(directory)), math.nan
        self._reader = self._open_reader(
            directory,
            lambda frame: self.post_message(FrameReady(frame)),
            lambda text, there: self.post_message(ReadFailed(text, there=there)),
        )
        self.pull()

    def on_unmount(self) -> None:
        """Let go of the file."""
        self.recomputer.cancel()
        if self._reader is not None:
            self._reader.close()

    def on_recomputed(self, message: Recomputed) -> None:
        """Show how far a computation is, or what it found."""
        self.show()

    def apply_look(self, look: Look) -> None:
        """Change colours and glyphs everywhere."""
        self.look = look
        self.theme = look.theme
        self.show()

    def pull(self) -> None:
        """Ask for what is newest, unless the last answer is still being worked on; play what is travelled."""
        frame, view = self.frame, self.view
        if view.playing and view.at is not None and frame is not None and frame.round == view.at:
            view.at, view.playing = min(view.at + 1, frame.newest), view.at + 1 < frame.newest
        now, link = self.now(), self.engine.poll() if self.engine is not None else self.link
        changed, self.link = link != self.link, link
        if view.notice and view.notice == self._noticed[1] and now - self._noticed[0] > NOTICE_SECONDS:
            view.notice = ""
        if view.notice != self._noticed[1]:
            self._noticed, changed = (now, view.notice), True
        if view.order.kept and now - view.order.made_at >= RESORT_SECONDS:
            self.arrange()  # paused or stopped: no other moment comes that would be sorted
            changed = True
        still = self._pace.still_for(now) > STILL_SECONDS
        if changed or still != view.still:
            view.still = still
            self.show()
        if self._reader is not None and not self._reader.busy and time.monotonic() >= self.rest_until:
            self._wished = self.view.wish()
            self._reader.ask(self._wished)

    def demand(self) -> None:
        """Ask for what the person has just chosen, if it is not what is being read anyway: the newest wish wins."""
        if self._reader is not None and self.view.wish() != self._wished:
            self._wished = self.view.wish()
            self._reader.ask(self._wished)

    def on_frame_ready(self, message: FrameReady) -> None:
        """Take over a new moment."""
        frame = message.frame
        if frame.info.directory != self.directory:
            return  # of the run before
        self.frame, self.newest_read = frame, frame.newest
        self.view.banner = ""
        if self.history is None or len(frame.series["round"]) >= len(self.history["round"]):
            self.history = frame.series
        self.rounds_per_s = self._pace.note(self.now(), frame.newest)
        self.arrange()
        began = time.perf_counter()
        self.show()
        self.call_after_refresh(self.painted, began)

    def painted(self, began: float) -> None:
        """Give the terminal a rest after a slow refresh: half the rate."""
        if time.perf_counter() - began > SLOW_PAINT_SECONDS:
            self.rest_until = time.monotonic() + 2 * REFRESH_SECONDS
        self.tidier.tidy()

    def on_read_failed(self, message: ReadFailed) -> None:
        """Keep the last frame and say what is wrong; a run that is only about to begin is no trouble."""
        waiting = not message.there and self.link.state in ("starting", "playing", "paused")
        self.view.banner = "" if waiting else message.text
        self.show()

    def notify_person(self, text: str) -> None:
        """Say something in the footer, for its whole time also when it was said a moment ago."""
        self.view.notice, self._noticed = text, (self.now(), text)
        self.show()

    def farewell(self) -> str:
        """Return what became of a run that has ended, "" while it goes on or is travelled."""
        return epitaph(self.frame) if self.frame is not None and self.view.at is None else ""

    def trouble(self) -> str:
        """Return what the banner says, "" when nothing is wrong."""
        if self.link.state == "gone":
            return f"the engine has gone: {self.link.message}; this is the last frame, `resume` continues the run"
        return self.view.banner

    def arrange(self) -> None:
        """Sort, filter, follow."""
        frame, view = self.frame, self.view
        if frame is None or frame.round < 0:
            self.columns, view.order = {}, Order(())
            return
        self.columns = columns_of(frame)
        view.order = reorder(view.order, frame, view, self.now(), self.columns)
        settle(frame, view)

    def show(self) -> None:
        """Hand the present moment to the present screen."""
        if self.is_running and isinstance(self.screen, Page) and self.screen.is_attached:
            with self.batch_update():
                self.screen.show(self.frame, self.link)

    def page(self) -> Page | None:
        """Return the page on top, or under a dialogue."""
        pages = [screen for screen in self.screen_stack if isinstance(screen, Page)]
        return pages[-1] if pages else None

    def situation(self) -> Situation:
        """Return what decides which actions can be done."""
        listed = self.focused if isinstance(self.focused, EventList) else None
        under = listed.current.kind if listed is not None and listed.current is not None else ""
        return Situation(self.view.screen, self.frame, self.view, self.link, self.engine is not None, under)

    def delay_update(self, delay: float = 0.0) -> None:
        """Show another screen at once: the library waits 50 ms, in case it does not fill itself in time."""

    def action_act(self, action_id: str) -> None:
        """Carry out an action, or say why it cannot be done."""
        self.tidier.typed()
        action = next((one for one in self.actions if one.id == action_id), None)
        if action is None:
            return
        reason = self.reason_against(action)
        if reason:
            self.notify_person(f"{action.label}: {reason}")
        else:
            doing.DO[action_id](self)
            self._noticed = (self.now(), self.view.notice)
            if action.group == "Move":
                return  # the list has painted itself and tells whom it is on
            self.arrange()
        self.demand()
        self.show()

    async def action_quit(self) -> None:
        """Leave, also by the terminal library's own key."""
        doing.leave(self)

    def action_help_quit(self) -> None:
        """Leave by Ctrl-C too: nothing is lost, an engine stops with a checkpoint."""
        doing.leave(self)

    def action_command_palette(self) -> None:
        """Open the palette."""
        if not isinstance(self.screen, Palette):
            self.push_screen(Palette())

    def reason_against(self, action: Action) -> str:
        """Return why an action cannot be done right now, "" when it can."""
        if self.view.screen not in action.screens:
            return f"it belongs to the screen{'s' * (len(action.screens) > 1)} {', '.join(action.screens)}"
        return action.blocked(self.situation())

    def on_action_chosen(self, message: ActionChosen) -> None:
        """Carry out what was clicked."""
        self.action_act(message.action_id)

    def on_agent_chosen(self, message: AgentChosen) -> None:
        """Select an agent; open it when it was entered."""
        self.view.selected = message.agent_id
        if self.view.followed is not None:
            self.view.followed = message.agent_id
        if message.entered:
            doing.show_screen(self, "agent")
        self.demand()
        if message.entered or self.view.screen != "arena":
            self.show()
        elif page := self.page():
            page.show_lists(self.frame, self.link)  # a cursor that moves leaves the charts as they are

    def on_event_chosen(self, message: EventChosen) -> None:
        """Explain an event."""
        doing.explain(self, message.event)

    def on_sort_chosen(self, message: SortChosen) -> None:
        """Sort by a column, or the other way round."""
        doing.sort_by(self, message.column)
        self.arrange()
        self.show()

    def on_round_chosen(self, message: RoundChosen) -> None:
        """Travel."""
        self.view.at = message.round
        self.demand()
        self.show()

    def on_run_chosen(self, message: RunChosen) -> None:
        """Watch another run."""
        doing.open_other(self, Path(message.directory))

    def judge_prompt(self, text: str) -> str:
        """Return what is wrong with the text in the prompt, "" when nothing is."""
        return prompts.judge(self, text)

    def take_prompt(self, text: str) -> bool:
        """Carry out the text in the prompt; False when it cannot be read."""
        if prompts.judge(self, text):
            return False
        prompts.take(self, text)
        self.arrange()
        self.demand()
        self.show()
        return True
