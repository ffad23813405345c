"""What the six screens share: header, body, time line, banner, prompt, footer; and a word when there is no room."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, cast

from textual import events, on
from textual.app import ComposeResult
from textual.containers import Container
from textual.content import Content
from textual.geometry import Size
from textual.screen import Screen
from textual.widget import Widget
from textual.widgets import Input, Static

from lineage.ask.frames import Frame
from tui.model import Link
from tui.widgets.base import ListPane, Pane
from tui.widgets.footer import Banner, Footer
from tui.widgets.header import Header
from tui.widgets.scrubber import Scrubber

if TYPE_CHECKING:
    from tui.app import ArenaApp

TALL = 36
"""Lines from which the line of time is always there."""

SMALLEST = (40, 12)
"""Columns and lines below which nothing useful can be shown."""


class Page(Screen[None]):
    """One of the six screens."""

    AUTO_FOCUS = ""  # else the prompt would be the first
    ready: bool = False  # its panes are there
    panes: tuple[Pane, ...] = ()
    _shown: bool = False  # since it was resumed
    _styled: tuple[str, Size] = ("", Size(0, 0))  # what its styles were looked up for

    @property
    def arena(self) -> "ArenaApp":
        """Return the app."""
        return cast("ArenaApp", self.app)

    def compose(self) -> ComposeResult:
        """Put the common parts around the body."""
        yield Header()
        with Container(id="body"):
            yield from self.body()
        yield Static("", id="small", markup=False)
        yield Scrubber()
        yield Banner(id="banner")
        prompt = Input(id="prompt")
        prompt.display = False
        yield prompt
        yield Footer()

    def body(self) -> Iterable[Widget]:
        """Return the panes of this screen."""
        return ()

    def on_mount(self) -> None:
        """Give the keys to the first list; from now on it can show something."""
        self.ready, self.panes = True, tuple(self.query(Pane))
        self.set_class(self.arena.look.symbols.name == "ascii", "-ascii")
        self.first_focus()

    def first_focus(self) -> None:
        """Give the keys to the first list."""
        lists = list(self.query(ListPane))
        if lists:
            lists[0].focus()
        else:
            self.set_focus(None)

    def on_screen_resume(self, event: events.ScreenResume) -> None:
        """Catch up with what happened while another screen was shown.

        The styles of all widgets are looked up again only where theme or size are others than at the last time, and
        nothing is shown again that was shown by the key: both together were half of the time to another screen.
        """
        styled = (self.arena.theme, self.app.size)
        event.refresh_styles, self._styled = styled != self._styled, styled
        if not self._shown:
            self.call_after_refresh(self.arena.show)

    def on_screen_suspend(self) -> None:
        """Note that this screen falls behind from now on."""
        self._shown = False

    def on_resize(self) -> None:
        """Say so when there is no room."""
        width, height = self.app.size
        small = width < SMALLEST[0] or height < SMALLEST[1]
        self.set_class(small, "too-small")
        need = f"{SMALLEST[0]}x{SMALLEST[1]} is needed, this is {width}x{height}"
        self.query_one("#small", Static).update(Content(need))
        self.lay_out()

    def show(self, frame: Frame | None, link: Link) -> None:
        """Hand a moment to every pane that can be seen."""
        if not self.ready:
            return
        self._shown = True
        self.set_class(self.arena.look.symbols.name == "ascii", "-ascii")
        self.lay_out()
        self.fill(frame)
        for pane in self.panes:
            pane.show(frame, link)

    def lay_out(self) -> None:
        """Give time line and banner their lines when they are needed.

        Set on the widgets themselves: a class on the screen looks every style of every widget up again.
        """
        room, height = not self.has_class("too-small"), self.app.size.height
        timeline = self.arena.view.at is not None or height >= TALL
        banner = bool(self.arena.trouble() or self.arena.farewell())
        for pane, wanted in ((self.query_one(Scrubber), timeline), (self.query_one(Banner), banner)):
            if pane.display != (wanted and room):
                pane.display = wanted and room

    def show_lists(self, frame: Frame | None, link: Link) -> None:
        """Hand a moment to the lists only."""
        for pane in self.panes if self.ready else ():
            if isinstance(pane, ListPane):
                pane.show(frame, link)

    def fill(self, frame: Frame | None) -> None:
        """Compute what the panes of this screen are given, beyond the frame."""

    def ask(self, label: str, value: str) -> None:
        """Open the prompt."""
        prompt = self.query_one("#prompt", Input)
        prompt.border_title = Content(label)
        prompt.value = value
        prompt.display = True
        prompt.focus()

    def close_prompt(self) -> bool:
        """Close the prompt; False when it was not open."""
        prompt = self.query_one("#prompt", Input)
        if not prompt.display:
            return False
        prompt.display = False
        self.first_focus()
        return True

    @on(Input.Changed, "#prompt")
    def prompt_changed(self, event: Input.Changed) -> None:
        """Say at once what is wrong with the text."""
        event.stop()
        problem = self.arena.judge_prompt(event.value)
        event.input.border_subtitle = Content(problem)
        event.input.set_class(bool(problem), "wrong")

    @on(Input.Submitted, "#prompt")
    def prompt_entered(self, event: Input.Submitted) -> None:
        """Take the text when it can be read, else stay open."""
        event.stop()
        if self.arena.take_prompt(event.value):
            self.close_prompt()
