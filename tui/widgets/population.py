"""The population table: any number of agents, only the visible rows painted, the cursor stays on its agent."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from textual import events

from lineage.ask.frames import PAPER, TRADING, Frame
from tui import paint
from tui.messages import SortChosen
from tui.paint import Part
from tui.theme import Look
from tui.widgets.base import ListPane
from tui.words import scar_meter


@dataclass(frozen=True, slots=True)
class Row:
    """One agent's values for the cells of its line."""

    look: Look
    values: Mapping[str, float]
    clan: str
    change: float  # equity in percent against the beginning of the trail
    trail: np.ndarray
    status: int


Cell = Callable[[Row, int], Part]


@dataclass(frozen=True, slots=True)
class Column:
    """One column of the table; those of high priority number go first when the table is narrow."""

    key: str  # what it is sorted and filtered by
    title: str
    width: int
    priority: int
    cell: Cell
    left: bool = False


def _number(key: str, role: str = "text", suffix: str = "") -> Cell:
    def cell(row: Row, width: int) -> Part:
        value = row.values[key]
        return paint.fit(paint.whole(value) + (suffix if value == value else ""), width, right=True), row.look[role]

    return cell


def _small(key: str) -> Cell:
    return lambda row, width: (paint.fit(paint.short(row.values[key]), width, right=True), row.look["dim"])


def _clan(row: Row, width: int) -> Part:
    return paint.fit(row.clan, width, row.look.symbols), row.look["dim" if row.status != 2 else "text"]


def _equity(row: Row, width: int) -> Part:
    role = "paper" if row.status == PAPER else paint.trend(row.values["pnl"])
    return paint.fit(paint.whole(row.values["equity"]), width, right=True), row.look[role]


def _change(row: Row, width: int) -> Part:
    text = paint.signed(row.change, row.look.symbols)
    return paint.fit(text, width, right=True), row.look[paint.trend(row.change)]


def _trail(row: Row, width: int) -> Part:
    text = paint.sparkline(row.trail[-width:], row.look.symbols)
    return paint.fit(text, width, right=True), row.look[paint.trend(row.change)]


def _weight(row: Row, width: int) -> Part:
    return paint.meter(row.values["weight"], width, row.look.symbols), row.look["accent"]


def _scars(row: Row, width: int) -> Part:
    text, role = scar_meter(row.values["damage"], row.look.symbols)
    return paint.fit(text, width), row.look[role]


def _state(row: Row, width: int) -> Part:
    word, role = {1: ("paper", "paper"), 2: ("real", "text"), 3: ("dead", "death")}.get(row.status, ("?", "dim"))
    return paint.fit(word, width), row.look[role]


COLUMNS: Final = (
    Column("clan", "clan", 15, 2, _clan, left=True),
    Column("gen", "gen", 3, 3, _number("gen")),
    Column("age", "age", 4, 6, _number("age", "dim")),
    Column("equity", "equity", 8, 0, _equity),
    Column("pnl", "change", 6, 4, _change),
    Column("pnl", "last rounds", 12, 8, _trail),
    Column("weight", "in shares", 9, 9, _weight, left=True),
    Column("draw", "draw", 5, 7, _number("draw", "text", "%")),
    Column("damage", "scars", 5, 1, _scars, left=True),
    Column("damage", "dmg", 4, 10, _number("damage", "dim")),
    Column("win", "won", 4, 11, _number("win", "dim", "%")),
    Column("trades", "trades", 6, 12, _number("trades", "dim")),
    Column("kids", "kids", 4, 5, _number("kids", "birth")),
    Column("status", "money", 5, 13, _state, left=True),
    Column("eps", "expl", 5, 14, _number("eps", "dim", "%")),
    Column("entropy", "entropy", 7, 15, _small("entropy")),
    Column("loss", "loss", 7, 16, _small("loss")),
)
_ID_WIDTH: Final = 9  # cursor, state, id


def fitting(width: int) -> list[Column]:
    """Return the columns that fit a width, the most important ones, in the order of the table."""
    room, chosen = width - _ID_WIDTH, []
    for column in sorted(COLUMNS, key=lambda one: one.priority):
        if column.width + 1 > room:
            break
        chosen.append(column)
        room -= column.width + 1
    return [column for column in COLUMNS if column in chosen]


class Population(ListPane):
    """Everybody of a moment, sorted and filtered."""

    fixed = 1

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id)
        self._shown: list[Column] = []

    def prepare(self) -> None:
        """Put the cursor on the agent that it was on."""
        self._shown = fitting(self.size.width)
        view = self.view
        self.resized()
        self.head("Population", *self._details(self.frame))
        if view.selected is not None:
            place = {agent: index for index, agent in enumerate(view.order.ids)}
            if view.selected in place:
                index = place[view.selected]
                if index != self.cursor or view.followed is not None:
                    self.cursor = index
                    self.reveal()

    def _details(self, frame: Frame | None) -> list[Part]:
        if frame is None or frame.round < 0:
            return []
        listed, there, look = len(self.view.order.ids), len(frame.seats["agent_id"]), self.look
        paper = int((frame.seats["status"] == PAPER).sum())
        some = f"{listed} of {there}" if listed != there else f"{there}"
        details = [(f"{some}{f', {paper} on paper' if paper else ''}", look["dim"])]
        if self.view.filter_text:
            details.append((f" filter {paint.clean(self.view.filter_text)}", look["warn"]))
        return details

    def count(self) -> int:
        """Return how many agents are listed."""
        return len(self.view.order.ids)

    def heading(self, y: int, width: int) -> list[Part]:
        """Return the heads of the columns, the sorted one marked."""
        view, look = self.view, self.look
        parts: list[Part] = [(paint.fit("  id", _ID_WIDTH), look["dim"])]
        marked = False
        for column in self._shown:
            mark = ""
            if column.key == view.sort and not marked:
                mark, marked = self.symbols.down if view.descending else self.symbols.up, True
            text = paint.fit(f"{column.title}{mark}", column.width, right=not column.left)
            parts += [(" ", look["dim"]), (text, look.bold("accent") if mark else look["dim"])]
        return parts

    def entry(self, index: int, width: int) -> list[Part]:
        """Return the line of one agent."""
        frame = self.arena.frame  # the one that the list was made of
        if frame is None or index >= len(self.view.order.rows):
            return []
        place = int(self.view.order.rows[index])
        seats, look, symbols = frame.seats, self.look, self.symbols
        agent_id, status = int(seats["agent_id"][place]), int(seats["status"][place])
        trail = frame.trail["equity"][place]
        known = trail[np.isfinite(trail)]
        change = 100.0 * (known[-1] / known[0] - 1.0) if len(known) > 1 and known[0] > 0 else np.nan
        row = Row(look, {key: values[place] for key, values in self.arena.columns.items()},
                  paint.clean(self.arena.columns["clan"][place]), float(change), trail, status)  # fmt: skip
        glyph, role = symbols.alive, "birth"
        if status != TRADING:
            glyph, role = (symbols.paper, "paper") if status == PAPER else (symbols.dead, "death")
        lead = symbols.follow if agent_id == self.view.followed else " "
        if agent_id in self.view.marks:
            lead = symbols.mark
        if index == self.cursor and lead == " ":
            lead = symbols.cursor
        parts = [(lead, look["accent"]), (glyph, look[role]), (paint.fit(f" #{agent_id}", _ID_WIDTH - 2), look["text"])]
        for column in self._shown:
            parts += [(" ", look["text"]), column.cell(row, column.width)]
        return parts

    def moved(self) -> None:
        """Tell whom the cursor is on."""
        if self.view.order.ids:
            self.choose(self.view.order.ids[self.cursor])

    def entered(self) -> None:
        """Open the agent under the cursor."""
        if self.view.order.ids:
            self.choose(self.view.order.ids[self.cursor], entered=True)

    def on_click(self, event: events.Click) -> None:
        """Sort by the head of a column."""
        offset = event.get_content_offset(self)
        if offset is not None and offset.y == 0 and (key := self._head_at(offset.x)):
            self.post_message(SortChosen(key))

    def _head_at(self, x: int) -> str | None:
        if x < _ID_WIDTH:
            return "id"
        left = _ID_WIDTH
        for column in self._shown:
            left += column.width + 1
            if x < left:
                return column.key
        return None
