"""What every pane has in common: the app's moment, its look, and lines that are painted again only when they change."""

import itertools
from typing import TYPE_CHECKING, NamedTuple, Self, cast

from rich.cells import set_cell_size
from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.geometry import Region, Size
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


class Row(NamedTuple):
    """A line as it was painted, and what it was painted from."""

    parts: list[Part]
    under: Style
    strip: Strip


class Pane(Widget):
    """A widget that paints its lines from a frame, and tells the terminal only of those that changed.

    Textual would style every line of a pane again whenever one of them changes; here a line is compared with what it
    was before (docs/decisions/0012-terminal.md). The upper border is painted here too, from `head`.
    """

    frame: Frame | None = None
    link: Link = Link()

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id, classes=classes)
        self._head: tuple[Part, ...] = ()
        self._drawn: list[Row] = []  # from the upper border down; empty when all are to be painted
        self._drawn_for = Size(0, 0)
        self._arena: ArenaApp | None = None
        self._mixed: dict[tuple[Style, Style], Style] = {}  # (under, over) to what the terminal is told
        self.under = Style.null()  # what lies under every line

    @property
    def arena(self) -> "ArenaApp":
        """Return the app."""
        if self._arena is None:
            self._arena = cast("ArenaApp", self.app)
        return self._arena

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
            self.repaint()

    @property
    def is_on_screen(self) -> bool:
        """Return whether it has a place in the present layout."""
        return self.is_attached and bool(self.display) and self.size.width > 0 and self.size.height > 0

    def prepare(self) -> None:
        """Compute what all lines need; called once a frame and after a change of size."""

    def on_resize(self) -> None:
        """Compute again what depends on the size."""
        self.prepare()
        self.repaint()

    def paint_line(self, y: int, width: int) -> list[Part]:
        """Return line y of the content, from the top of the pane."""
        return []

    def row(self, y: int, size: Size) -> tuple[list[Part], Style]:
        """Return line y of the content, which has a size, and what lies under it."""
        return self.paint_line(y, size.width), self.under

    def refresh(self, *regions: Region, repaint: bool = True, layout: bool = False, recompose: bool = False) -> Self:
        """Paint again; without regions every line, because a style may have changed."""
        if repaint and not regions:
            self._drawn = []
        return super().refresh(*regions, repaint=repaint, layout=layout, recompose=recompose)

    def repaint(self) -> None:
        """Paint the lines that are not what they were."""
        if not self._drawn or self._drawn_for != self.outer_size:
            self.refresh()
            return
        top, size, changed = self.gutter.top, self.size, []
        for y, old in enumerate(self._drawn):
            parts, under = self._parts(y - top, size)
            if parts != old.parts or under != old.under:
                self._drawn[y] = self._painted(parts, under)
                changed.append(y - top)
        if changed:
            self.refresh(*(Region(0, first, size.width, count) for first, count in _runs(changed)))

    def render_lines(self, crop: Region) -> list[Strip]:
        """Return some lines, the upper border being the first."""
        size = self.outer_size
        if not self._drawn or self._drawn_for != size:
            self.under, self._drawn_for = self.rich_style, size
            self._mixed.clear()
            top, inner = self.gutter.top, self.size
            self._drawn = [self._painted(*self._parts(y - top, inner)) for y in range(size.height)]
        strips = [row.strip for row in self._drawn[crop.y : crop.bottom]]
        if crop.column_span == (0, size.width):
            return strips
        return [strip.crop(*crop.column_span) for strip in strips]

    def _parts(self, y: int, size: Size) -> tuple[list[Part], Style]:
        return self.row(y, size) if y >= 0 else (self._head_line(size.width), self.under)

    def _painted(self, parts: list[Part], under: Style) -> Row:
        return Row(parts, under, paint.line(parts, self._drawn_for.width, lambda style: self._mix(under, style)))

    def _mix(self, under: Style, over: Style) -> Style:
        """Return one style over another, as the filters of the app leave it: no colour, or colours for dimness."""
        found = self._mixed.get((under, over))
        if found is None:
            segments, background = [Segment("x", under + over)], self.background_colors[1]
            for line_filter in self.get_line_filters():
                segments = line_filter.apply(segments, background)
            found = self._mixed[under, over] = segments[0].style or Style.null()
        return found

    def _head_line(self, width: int) -> list[Part]:
        """Return the upper border with what stands in it, cut where there is no room."""
        look, rule, room = self.look, self.symbols.rule, width - 2
        focused = self.has_focus
        line: list[Part] = [(rule, look["accent" if focused else "rule"])]
        for place, (text, style) in enumerate(self._head):
            text = paint.fit(text, min(paint.cells(text), max(0, room)), self.symbols)
            line.append((text, look.bold("accent") if focused and not place else style))
            room -= paint.cells(text)
        return [*line, (rule * max(1, room + 1), line[0][1])]

    def choose(self, agent_id: int, *, entered: bool = False) -> None:
        """Select an agent at once, so that no frame in between takes the cursor back, and tell the app."""
        self.view.selected = agent_id
        self.post_message(AgentChosen(agent_id, entered=entered))

    def head(self, title: str, *details: Part) -> None:
        """Set what stands in the pane's upper border: its title, then what is to be said of it; never markup."""
        said = [(f" {text}", style) for text, style in details if text]
        self._head = ((f" {title}", self.look.bold("title")), *said, (" ", self.look["rule"]))

    @property
    def headline(self) -> str:
        """Return the text in the upper border, all of it."""
        return "".join(text for text, _ in self._head).strip()


def _runs(lines: list[int]) -> list[tuple[int, int]]:
    """Return (first, count) of each run of neighbouring lines, of which there are some."""
    groups = itertools.groupby(enumerate(lines), key=lambda pair: pair[1] - pair[0])
    return [(found[0][1], len(found)) for _, group in groups if (found := list(group))]


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

    def row(self, y: int, size: Size) -> tuple[list[Part], Style]:
        """Return a fixed line or the entry that is scrolled there, and the scroll bar's cell."""
        lines, room = self.count(), size.height - self.fixed
        bar = lines > room > 2
        inner = size.width - bar
        if y < self.fixed:
            return self.heading(y, inner), self.under
        index = y - self.fixed + self.top
        if index >= lines:
            return [], self.under
        parts = self.entry(index, inner)
        if bar:
            parts = [*_fitted(parts, inner), self._bar_cell(y - self.fixed, room, lines)]
        chosen = index == self.cursor and self.marks_cursor()
        return parts, self.under + self.look.cursor if chosen else self.under

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
        self.repaint()

    def reveal(self) -> None:
        """Scroll so that the cursor is in sight."""
        self.top = max(min(self.top, self.cursor), self.cursor - self.room + 1, 0)

    def scroll_lines(self, lines: int) -> None:
        """Scroll without moving the cursor."""
        self.top = max(0, min(self.top + lines, self.count() - self.room))
        self.repaint()

    def index_at(self, event: events.MouseEvent) -> int | None:
        """Return the entry under the mouse, None when there is none; the scroll bar scrolls instead."""
        offset = event.get_content_offset(self)
        if offset is None or offset.y < self.fixed:
            return None
        if offset.x == self.size.width - 1 and self.count() > self.room > 2:
            self.top = (offset.y - self.fixed) * (self.count() - self.room) // max(1, self.room - 1)
            self.repaint()
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
        size = paint.cells(text)
        if size >= width:
            return [*fitted, (set_cell_size(text, width), style)]
        fitted.append((text, style))
        width -= size
    return [*fitted, (" " * width, Style.null())]
