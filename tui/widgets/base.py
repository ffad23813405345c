"""What every pane has in common: the app's moment, its look, and lines that always have their width."""

from typing import TYPE_CHECKING, cast

from rich.cells import cell_len, set_cell_size
from rich.style import Style
from textual import events
from textual.content import Content
from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget

from lineage.ask.frames import Frame
from tui import paint
from tui.messages import AgentChosen
from tui.model import Link, View
from tui.paint import Part
from tui.theme import Look, Symbols

if TYPE_CHECKING:
    from tui.app import ArenaApp


class Pane(Widget):
    """A widget that paints its lines from a frame."""

    frame: Frame | None = None
    link: Link = Link()
    under: Style = Style.null()  # what lies under every line
    headline: str = ""  # the whole text of the upper border; what fits of it is seen

    @property
    def arena(self) -> "ArenaApp":
        """Return the app."""
        return cast("ArenaApp", self.app)

    @property
    def view(self) -> View:
        """Return what the person has chosen."""
        return self.arena.view

    @property
    def look(self) -> Look:
        """Return colours and glyphs."""
        return self.arena.look

    @property
    def symbols(self) -> Symbols:
        """Return the glyphs."""
        return self.arena.look.symbols

    def show(self, frame: Frame | None, link: Link) -> None:
        """Take over a new moment; what is not on the screen is not computed."""
        self.frame, self.link = frame, link
        if self.is_on_screen:
            self.prepare()
            self.refresh()

    @property
    def is_on_screen(self) -> bool:
        """Return whether it has a place in the present layout."""
        return self.is_attached and bool(self.display) and self.size.width > 0 and self.size.height > 0

    def prepare(self) -> None:
        """Compute what all lines need; called once a frame and after a change of size."""

    def on_resize(self) -> None:
        """Compute again what depends on the size, the text in the border too: it may have been set without room."""
        self.prepare()
        self.head(self.headline)
        self.refresh()

    def paint_line(self, y: int, width: int) -> list[Part]:
        """Return line y of the content, from the top of the pane."""
        return []

    def render_lines(self, crop: Region) -> list[Strip]:
        """Paint some lines; what lies under them is looked up once, not for every line."""
        self.under = self.rich_style
        return super().render_lines(crop)

    def render_line(self, y: int) -> Strip:
        """Paint one line over the pane's own background."""
        width = self.size.width
        return paint.line(self.paint_line(y, width), width, self.under)

    def choose(self, agent_id: int, *, entered: bool = False) -> None:
        """Select an agent at once, so that no frame in between takes the cursor back, and tell the app."""
        self.view.selected = agent_id
        self.post_message(AgentChosen(agent_id, entered=entered))

    def head(self, text: str) -> None:
        """Set the text in the pane's upper border; never markup, only when it changes."""
        self.headline = text
        text = paint.fit(text, min(cell_len(text), max(0, self.size.width - 4)), self.symbols)
        if str(self.border_title or "") != text:
            self.border_title = Content(text)


class ListPane(Pane, can_focus=True):
    """A pane of any number of lines of which only the visible ones are painted, with a cursor that stays in sight.

    It scrolls by itself: a ScrollView lays the whole screen out again whenever the number of its lines changes, which
    here is every round, and that took as long as painting (docs/decisions/0012-terminal.md).
    """

    cursor: int = 0
    top: int = 0  # the first entry that can be seen
    fixed: int = 0  # lines above that do not scroll

    def count(self) -> int:
        """Return how many lines there are to scroll over."""
        return 0

    def entry(self, index: int, width: int) -> list[Part]:
        """Return one of the lines that scroll."""
        return []

    def heading(self, y: int, width: int) -> list[Part]:
        """Return one of the fixed lines."""
        return []

    def moved(self) -> None:
        """The person moved the cursor."""

    def entered(self) -> None:
        """The person entered the line under the cursor."""

    def marks_cursor(self) -> bool:
        """Return whether the cursor's line is to be seen."""
        return True

    @property
    def room(self) -> int:
        """Return how many entries can be seen at once."""
        return max(0, self.size.height - self.fixed)

    def resized(self) -> None:
        """Keep cursor and scroll within the number of lines there are now."""
        lines = self.count()
        self.cursor = max(0, min(self.cursor, lines - 1))
        self.top = max(0, min(self.top, lines - self.room))

    def on_resize(self) -> None:
        """Keep the cursor in sight."""
        self.resized()
        self.reveal()

    def render_line(self, y: int) -> Strip:
        """Paint a fixed line or the entry that is scrolled there, and the scroll bar's cell."""
        width, height, lines = self.size.width, self.size.height, self.count()
        room = height - self.fixed
        bar = lines > room > 2
        inner = width - bar
        if y < self.fixed:
            return paint.line(self.heading(y, inner), width, self.under)
        index = y - self.fixed + self.top
        if index >= lines:
            return paint.line((), width, self.under)
        parts = self.entry(index, inner)
        if bar:
            parts = [*_fitted(parts, inner), self._bar_cell(y - self.fixed, room, lines)]
        chosen = index == self.cursor and self.marks_cursor()
        return paint.line(parts, width, self.under + self.look.cursor if chosen else self.under)

    def _bar_cell(self, y: int, room: int, lines: int) -> Part:
        size = max(1, room * room // lines)
        begin = self.top * (room - size) // max(1, lines - room)
        inside = begin <= y < begin + size
        return self.symbols.thumb if inside else self.symbols.trunk, self.look["dim" if inside else "faint"]

    def move(self, lines: int) -> None:
        """Move the cursor by some lines, and the view with it."""
        if self.count():
            self.place(self.cursor + lines)
            self.moved()

    def place(self, index: int) -> None:
        """Put the cursor on a line and scroll as little as needed."""
        self.cursor = max(0, min(index, self.count() - 1))
        self.reveal()
        self.refresh()

    def reveal(self) -> None:
        """Scroll so that the cursor is in sight."""
        self.top = max(min(self.top, self.cursor), self.cursor - self.room + 1, 0)

    def scroll_lines(self, lines: int) -> None:
        """Scroll without moving the cursor."""
        self.top = max(0, min(self.top + lines, self.count() - self.room))
        self.refresh()

    def index_at(self, event: events.MouseEvent) -> int | None:
        """Return the entry under the mouse, None when there is none; the scroll bar scrolls instead."""
        offset = event.get_content_offset(self)
        if offset is None or offset.y < self.fixed:
            return None
        if offset.x == self.size.width - 1 and self.count() > self.room > 2:
            self.top = (offset.y - self.fixed) * (self.count() - self.room) // max(1, self.room - 1)
            self.refresh()
            return None
        index = offset.y - self.fixed + self.top
        return index if index < self.count() else None

    def on_click(self, event: events.Click) -> None:
        """Choose a line, enter it at the second click."""
        index = self.index_at(event)
        if index is not None:
            self.place(index)
            self.entered() if event.chain > 1 else self.moved()

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        """Scroll down."""
        self.scroll_lines(3)
        event.stop()

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        """Scroll up."""
        self.scroll_lines(-3)
        event.stop()

    @property
    def page(self) -> int:
        """Return how many lines a page has."""
        return max(1, self.room - 1)


def _fitted(parts: list[Part], width: int) -> list[Part]:
    """Return parts that take exactly `width` cells."""
    fitted: list[Part] = []
    for text, style in parts:
        size = cell_len(text)
        if size >= width:
            return [*fitted, (set_cell_size(text, width), style)]
        fitted.append((text, style))
        width -= size
    return [*fitted, (" " * width, Style.null())]
