"""What opens over a screen: a box that scrolls, closed by the key that goes back."""

from typing import TYPE_CHECKING, Final, cast

from rich.text import Text
from textual import events
from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from tui.theme import Look

if TYPE_CHECKING:
    from tui.app import ArenaApp

_LINES: Final = {"up": -1, "down": 1, "top": -(10**6), "bottom": 10**6}
_PAGES: Final = {"page_up": -1, "page_down": 1}
_PASSED_ON: Final = ("back", "quit", "help", "theme", "picture")


class Dialogue(ModalScreen[None]):
    """A text over a screen; bindings of the app do not reach it, so it looks its keys up in the same table."""

    def __init__(self, title: str) -> None:
        super().__init__()
        self._title = title

    @property
    def arena(self) -> "ArenaApp":
        """Return the app."""
        return cast("ArenaApp", self.app)

    @property
    def look(self) -> Look:
        """Return colours and glyphs."""
        return self.arena.look

    def compose(self) -> ComposeResult:
        """Put the text into a box that scrolls."""
        box = VerticalScroll(Static(self.words(), id="words", markup=False), id="box")
        box.border_title = Content(self._title)
        box.border_subtitle = Content("esc closes")
        yield box

    def words(self) -> Text:
        """Return what it says at first."""
        return Text()

    def on_mount(self) -> None:
        """Take over the look."""
        self.set_class(self.look.symbols.name == "ascii", "-ascii")
        for box in self.query("#box"):  # none when it was closed before it was there
            box.focus()

    def on_key(self, event: events.Key) -> None:
        """Scroll, close, or hand an action to the app."""
        action = next((one for one in self.arena.actions if event.key in one.keys), None)
        if action is None:
            return
        boxes = self.query("#box").results(VerticalScroll)
        box = next(iter(boxes), None)
        if box is None:
            return
        if action.id in _LINES:
            box.scroll_relative(y=_LINES[action.id], animate=False)
        elif action.id in _PAGES:
            box.scroll_relative(y=_PAGES[action.id] * max(1, box.size.height - 1), animate=False)
        elif action.id in _PASSED_ON:
            self.arena.action_act(action.id)
        else:
            return
        event.stop()
        event.prevent_default()

    def on_click(self, event: events.Click) -> None:
        """Close when the screen behind is clicked."""
        if event.widget is self:
            self.arena.action_act("back")
