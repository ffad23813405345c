"""The tree of all lines: trunks in columns, side branches to the right, long unbranched runs as one line."""

import time
from dataclasses import dataclass

import numpy as np
from textual import work

from lineage.ask.frames import FATES, Everybody
from tui import paint
from tui.paint import Part
from tui.trunks import Lines, Trunks, lay_out, list_lines
from tui.widgets.base import ListPane

LARGE = 20_000
"""More agents than this are laid out in a thread, and not again before twenty times as long has passed."""

_NO_LINES = Lines(np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64))


@dataclass(frozen=True, slots=True, eq=False)
class Layout:
    """A forest laid out for one moment."""

    people: Everybody
    round: int
    alive: np.ndarray  # [n] bool
    trunks: Trunks
    seconds: float  # that it took


def layout_of(people: Everybody, round_index: int) -> Layout:
    """Lay out everybody born until a round."""
    began = time.perf_counter()
    born = people.born_by(round_index)
    alive = people.alive_at(round_index)
    trunks = lay_out(people.parent[:born], people.depth[:born], alive)
    return Layout(people, round_index, alive, trunks, time.perf_counter() - began)


class LineageTree(ListPane):
    """All lines with living ends, or everybody; folds, marks, heirs."""

    def __init__(self, *, id: str | None = None, small: bool = False) -> None:  # noqa: A002 - Textual's name
        """`small`: a glance beside other panes, living lines only."""
        super().__init__(id=id)
        self._small = small
        self._layout: Layout | None = None
        self._lines = _NO_LINES
        self._folded: set[int] = set()
        self._made_for: tuple[object, ...] = ()
        self._laid_at = 0.0

    @property
    def whole(self) -> bool:
        """Return whether everybody is listed."""
        layout = self._layout
        nobody = layout is not None and not layout.alive.any()
        return nobody or (self.view.whole_tree and not self._small)

    def prepare(self) -> None:
        """Lay out the forest when somebody was born or died since, then list its lines."""
        frame = self.frame
        if frame is None or frame.round < 0:
            self._layout, self._lines = None, _NO_LINES
            self.resized()
            return
        old = self._layout
        if old is None or old.round != frame.round or old.people is not frame.people:
            if len(frame.people) <= LARGE:
                self._layout = layout_of(frame.people, frame.round)
            elif old is None or time.monotonic() - self._laid_at > 20.0 * old.seconds:
                self._laid_at = time.monotonic()
                self._lay_out_aside(frame.people, frame.round)
        self.list_lines()

    @work(thread=True, exclusive=True, group="layout")
    def _lay_out_aside(self, people: Everybody, round_index: int) -> None:
        """Lay out a large forest without holding up the keys."""
        layout = layout_of(people, round_index)
        if self.is_attached:
            self.app.call_from_thread(self._take, layout)

    def _take(self, layout: Layout) -> None:
        self._layout = layout
        self.list_lines()
        self.repaint()

    def list_lines(self) -> None:
        """List the lines of the layout, and put the cursor on the selected agent."""
        layout, view = self._layout, self.view
        if layout is None:
            return
        born = len(layout.alive)
        kept = {one - 1 for one in (view.selected, *view.marks) if one is not None and one <= born}
        folded = {row for row in self._folded if row < born}
        made_for = (layout, self.whole, frozenset(folded), frozenset(kept))
        if made_for != self._made_for:
            self._made_for = made_for
            parent = layout.people.parent[:born]
            self._lines = list_lines(
                layout.trunks, parent, layout.alive, whole=self.whole, folded=folded, kept=() if self.whole else kept
            )
        self.resized()
        self.head(*self._headline(layout))
        if view.selected is not None and view.selected <= born:
            index = self._line_of(view.selected - 1)
            if index is not None and index != self.cursor:
                self.cursor = index
                self.reveal()

    def _line_of(self, row: int) -> int | None:
        """Return the line of an agent, None when it is hidden: lines are in the order of places."""
        layout = self._layout
        if layout is None or not len(self._lines.rows):
            return None
        places = layout.trunks.place[self._lines.rows]
        index = int(np.searchsorted(places, layout.trunks.place[row], side="right")) - 1
        if index < 0:
            return None
        found = int(self._lines.rows[index])
        run = layout.trunks.place[row] - places[index]
        return index if found == row or 0 < run < int(self._lines.hidden[index]) else None

    def _headline(self, layout: Layout) -> tuple[str, Part]:
        """Return the title and what is to be said of it."""
        born, living = len(layout.alive), int(layout.alive.sum())
        clans = len(np.unique(layout.people.founder[:born][layout.alive]))
        if self._small:
            return "Living lines", (f"{clans} clans", self.look["dim"])
        what = "Everybody" if self.whole else "Living lines"
        return what, (f"{living} of {born} alive, {clans} clans", self.look["dim"])

    def count(self) -> int:
        """Return how many lines there are."""
        return len(self._lines.rows)

    def entry(self, index: int, width: int) -> list[Part]:
        """Return one line: its trunks, its agent or its run."""
        layout, look, symbols = self._layout, self.look, self.symbols
        if layout is None or self.frame is None:
            return []
        row, hidden = int(self._lines.rows[index]), int(self._lines.hidden[index])
        people = layout.people
        parts: list[Part] = [(self._rail(row, width), look["faint"])]
        if hidden:
            return [*parts, (f"{symbols.more} ", look["dim"]), (f"+{hidden} generations", look["dim"])]
        alive = bool(layout.alive[row])
        glyph, role = (symbols.alive, "birth") if alive else (symbols.dead, "death")
        agent = row + 1
        if agent in self.view.marks:
            glyph, role = symbols.mark, "warn"
        elif agent == self.view.followed:
            glyph, role = symbols.follow, "accent"
        name = paint.clean(people.clan(row))
        parts += [(f"{glyph} ", look[role]), (f"#{agent}", look.bold("text") if alive else look["dim"])]
        if people.parent[row] < 0:
            parts.append((f" {name}", look.series[row % len(look.series)] + look.bold("text").without_color))
        parts.append((f"  g{int(people.depth[row])}", look["dim"]))
        return parts + self._facts(row, alive)

    def _rail(self, row: int, width: int) -> str:
        """Return what stands left of an agent: the trunks that pass by, then its place in its own trunk."""
        layout, symbols = self._layout, self.symbols
        if layout is None:
            return ""
        trunks, parent, heir = layout.trunks, int(layout.people.parent[row]), int(layout.trunks.heir[row])
        begins = parent < 0 or int(trunks.heir[parent]) != row
        goes_on = heir >= 0 and row not in self._folded and (self.whole or int(trunks.living[heir]) > 0)
        deep = min(int(trunks.level[row]), max(2, width // 6))
        passing = f"{symbols.trunk} " * (deep - (parent >= 0 and begins))
        beside = symbols.branch if parent >= 0 and begins else ""
        own = (symbols.head if goes_on else " ") if begins else symbols.trunk if goes_on else symbols.tail
        return passing + beside + own

    def _facts(self, row: int, alive: bool) -> list[Part]:
        """Return what is worth knowing of an agent behind its name."""
        layout, look, symbols = self._layout, self.look, self.symbols
        if layout is None or self.frame is None:
            return []
        people, trunks = layout.people, layout.trunks
        parts: list[Part] = []
        if alive:
            seat = self.frame.seat_of(row + 1)
            if seat is not None:
                equity, damage = self.frame.seats["equity"][seat], self.frame.seats["damage"][seat]
                parts.append((f"  {paint.short(float(equity))}", look[paint.trend(equity - self.frame.info.endowment)]))
                if damage > 0:
                    parts.append((f" {symbols.scar}{int(damage)}", look["scar"]))
        else:
            word = FATES[int(people.fate[row])].replace("_", " ")
            parts.append((f"  r{int(people.birth_round[row])}-{int(people.end_round[row])} {word}", look["faint"]))
        below, living = int(trunks.size[row]) - 1, int(trunks.living[row]) - alive
        if row in self._folded and below:
            parts.append((f"  {symbols.more} {below} folded, {living} alive", look["dim"]))
        elif below:
            gone = below - living
            parts.append((f"  {living} alive" if living else "", look["birth"]))
            parts.append((f"  {symbols.dead}{gone}" if gone else "", look["faint"]))
        return parts

    def fold(self) -> None:
        """Hide or show the descendants of the line under the cursor."""
        if self._layout is not None and self.count():
            row = int(self._lines.rows[self.cursor])
            self._folded ^= {row}
            self.list_lines()
            self.repaint()

    def moved(self) -> None:
        """Tell whom the cursor is on."""
        if self.count():
            self.choose(int(self._lines.rows[self.cursor]) + 1)

    def entered(self) -> None:
        """Open the agent under the cursor."""
        if self.count():
            self.choose(int(self._lines.rows[self.cursor]) + 1, entered=True)
