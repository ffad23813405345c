"""The palette: every action found by name, with the reason beside those that cannot be done.

Our own, because the library's raises when it is closed while it still gathers (Textual 8.2: found by random keys).
"""

from typing import TYPE_CHECKING, cast

from textual import events, on
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Input

from tui import paint
from tui.actions import Action
from tui.paint import Part
from tui.widgets.base import ListPane
from tui.widgets.facts import Facts

if TYPE_CHECKING:
    from tui.app import ArenaApp


class Found(ListPane):
    """The actions that match, one a line."""

    found: tuple[Action, ...] = ()

    def count(self) -> int:
        """Return how many there are."""
        return len(self.found)

    def said_of(self, action: Action) -> tuple[str, str]:
        """Return what an action does, or why it cannot be done, and the role of that."""
        reason = self.arena.reason_against(action)
        return (f"not now: {reason}", "warn") if reason else (action.help, "dim")

    def entry(self, index: int, width: int) -> list[Part]:
        """Return an action: key, name, and what is said of it."""
        action, look = self.found[index], self.look
        said, role = self.said_of(action)
        return [
            (f"{action.shown_key:>7} ", look.bold("accent")),
            (f"{action.label:<11}", look["text" if role == "dim" else "faint"]),
            (paint.fit(said, max(0, width - 19), self.symbols), look[role]),
        ]

    def place(self, index: int) -> None:
        """Put the cursor on an action and tell all about it."""
        super().place(index)
        cast("Palette", self.screen).tell()

    def entered(self) -> None:
        """Do what is under the cursor."""
        if self.found:
            cast("Palette", self.screen).take(self.found[self.cursor])


class Palette(ModalScreen[None]):
    """Searches the actions."""

    @property
    def arena(self) -> "ArenaApp":
        """Return the app."""
        return cast("ArenaApp", self.app)

    def compose(self) -> ComposeResult:
        """Put the question above the answers."""
        with Vertical(id="palette"):
            yield Input(id="query", placeholder="what to do")
            found = Found(id="found")
            found.can_focus = False
            found.found = matching(self.arena.actions, "")
            yield found
            yield Facts("", id="told")

    def on_mount(self) -> None:
        """Take over the look."""
        self.set_class(self.arena.look.symbols.name == "ascii", "-ascii")
        self.tell()

    def tell(self) -> None:
        """Say what the list may have no room for: all that is said of the action under the cursor."""
        for pane, told in zip(self.query(Found), self.query(Facts), strict=False):
            said, role = pane.said_of(pane.found[pane.cursor]) if pane.found else ("nothing is called so", "dim")
            told.draw([[(said, self.arena.look[role])]])
            told.show(None, self.arena.link)

    @on(Input.Changed, "#query")
    def search(self, event: Input.Changed) -> None:
        """List what matches."""
        event.stop()
        for pane in self.query(Found):
            pane.found, pane.cursor, pane.top = matching(self.arena.actions, event.value), 0, 0
            pane.repaint()
        self.tell()

    def on_key(self, event: events.Key) -> None:
        """Move in the list, choose, or close."""
        steps = {"up": -1, "down": 1, "pageup": -8, "pagedown": 8}
        for pane in self.query(Found):
            if event.key in steps and pane.count():
                pane.place(pane.cursor + steps[event.key])
            elif event.key == "enter":
                pane.entered()
            elif event.key in ("escape", "ctrl+p", "ctrl+c"):
                self.take(None)
            else:
                return
            event.stop()
            event.prevent_default()

    def take(self, action: Action | None) -> None:
        """Close, then do what was chosen."""
        if self.app.screen is self:
            self.app.pop_screen()
            if action is not None:
                self.arena.action_act(action.id)


def matching(actions: tuple[Action, ...], text: str) -> tuple[Action, ...]:
    """Return the actions in whose name or help every word occurs, names before helps."""
    words = text.lower().split()
    named = [one for one in actions if all(word in one.label.lower() or word in one.id for word in words)]
    told = [one for one in actions if all(word in f"{one.label} {one.help}".lower() for word in words)]
    return (*named, *(one for one in told if one not in named))
