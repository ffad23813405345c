"""A chart of one or more curves: values at the left, rounds below, the newest value at the right."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from rich.style import Style
from textual import events

from tui import paint, plot
from tui.messages import RoundChosen
from tui.paint import Part
from tui.plot import Floats
from tui.widgets.base import Pane

_GUTTER = 7  # cells for the values at the left


@dataclass(frozen=True, slots=True)
class Curve:
    """One line of a chart."""

    name: str
    values: Floats
    role: str = ""  # a role of the theme; "" takes the next colour of the series


@dataclass(frozen=True, slots=True)
class Picture:
    """What a chart shows."""

    title: str
    curves: Sequence[Curve] = ()
    bars: Floats = field(default_factory=lambda: np.zeros(0))  # drawn below, as a volume
    first_round: float = 0.0  # of the first value
    last_round: float = 0.0  # of the last
    log: bool = False
    marks: Sequence[tuple[float, str, str]] = ()  # (round, glyph, role) on the time axis
    details: Sequence[tuple[str, str]] = ()  # (text, role), said in the upper border behind the values


class Chart(Pane):
    """Curves over rounds; the mouse reads values, a click travels in time."""

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id, classes=classes)
        self.picture = Picture("")
        self._rows: list[list[Part]] = []
        self._hover: int | None = None

    def draw(self, picture: Picture) -> None:
        """Show something else from the next frame on."""
        self.picture = picture

    def prepare(self) -> None:
        """Compute all lines of the plot."""
        picture, width, height = self.picture, self.size.width, self.size.height
        gutter = _GUTTER if width >= 24 else 0
        volume = 1 if len(picture.bars) and height >= 4 else 0
        axis = 1 if height >= 5 else 0
        room, rows = width - gutter, height - volume - axis
        self._rows = []
        if room < 1 or rows < 1:
            return
        curves = [_scaled(curve.values, picture.log) for curve in picture.curves]
        low, high = plot.bounds_of(curves)
        cells, owner = plot.plot(curves, low, high, room, rows, self.symbols)
        labels = {round((high - value) / (high - low) * (rows - 1)): value
                  for value in plot.ticks(low, high, max(2, rows // 3))}  # fmt: skip
        styles = self.styles_of(picture.curves)
        for y in range(rows):
            label = paint.short(10.0 ** labels[y] if picture.log else labels[y]) if y in labels else ""
            parts: list[Part] = [(f"{label:>{gutter - 1}} ", self.look["dim"])] if gutter else []
            self._rows.append(parts + _runs(cells[y], owner[y], styles))
        if volume:
            _, tops = plot.column_extremes(picture.bars, room)
            text = paint.sparkline(np.where(np.isfinite(tops), tops, np.nan), self.symbols)
            self._rows.append([(" " * gutter + text, self.look["volume"])])
        if axis:
            self._rows.append(self._axis(gutter, room))
        self.head(picture.title, *self._details())

    def styles_of(self, curves: Sequence[Curve]) -> list[Style]:
        """Return the style of each curve."""
        series = self.look.series
        return [self.look[curve.role] if curve.role else series[i % len(series)] for i, curve in enumerate(curves)]

    def _axis(self, gutter: int, room: int) -> list[Part]:
        """Return the line of rounds, with marks on it and the round under the mouse."""
        picture = self.picture
        span = picture.last_round - picture.first_round
        first, last = f"{picture.first_round:.0f}", f"{picture.last_round:.0f}"
        text = list(first + " " * max(0, room - len(first) - len(last)) + last)[:room]
        roles = ["faint"] * len(text)
        for round_index, glyph, role in picture.marks:
            if span > 0 and picture.first_round <= round_index <= picture.last_round:
                place = min(int((round_index - picture.first_round) / span * room), len(text) - 1)
                text[place], roles[place] = glyph, role
        if self._hover is not None and 0 <= self._hover - gutter < len(text):
            text[self._hover - gutter], roles[self._hover - gutter] = self.symbols.thumb, "accent"
        return [(" " * gutter, self.look["dim"])] + [
            (char, self.look[role]) for char, role in zip(text, roles, strict=True)
        ]

    def _details(self) -> list[Part]:
        """Return the curves' names and values in their colours: under the mouse, else the newest ones."""
        picture, look, details = self.picture, self.look, []
        if picture.log:
            details.append(("log", look["dim"]))
        for curve, style in zip(picture.curves, self.styles_of(picture.curves), strict=True):
            index = self._index(len(curve.values))
            value = curve.values[index] if len(curve.values) else np.nan
            if len(picture.curves) > 1 and not np.isfinite(value):
                continue
            details.append((f"{curve.name} {paint.short(float(value))}".strip(), style))
        details += [(text, look[role]) for text, role in picture.details]
        if self._hover is not None and (at := self.round_at(self._hover)) is not None:
            details.append((f"@{at}", look["accent"]))
        return details

    def _index(self, count: int) -> int:
        gutter = _GUTTER if self.size.width >= 24 else 0
        room = self.size.width - gutter
        if self._hover is None or room < 1 or self._hover < gutter:
            return count - 1
        return max(0, min(count - 1, int((self._hover - gutter + 0.5) / room * count)))

    def round_at(self, x: int) -> int | None:
        """Return the round in a column."""
        gutter = _GUTTER if self.size.width >= 24 else 0
        room, picture = self.size.width - gutter, self.picture
        if room < 1 or x < gutter or picture.last_round <= picture.first_round:
            return None
        return int(picture.first_round + (x - gutter + 0.5) / room * (picture.last_round - picture.first_round))

    def paint_line(self, y: int, width: int) -> list[Part]:
        """Return a line of the plot."""
        return self._rows[y] if y < len(self._rows) else []

    def on_mouse_move(self, event: events.MouseMove) -> None:
        """Read the values under the mouse."""
        self._hover = event.get_content_offset_capture(self).x
        self.prepare()
        self.repaint()

    def on_leave(self) -> None:
        """Show the newest values again."""
        self._hover = None
        self.prepare()
        self.repaint()

    def on_click(self, event: events.Click) -> None:
        """Travel to the round that was clicked."""
        offset = event.get_content_offset(self)
        if offset is not None and (at := self.round_at(offset.x)) is not None:
            self.post_message(RoundChosen(at))


def _scaled(values: Floats, log: bool) -> Floats:
    """Return values, or their decimal logarithm where they have one."""
    if not log:
        return values
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(values > 0, np.log10(np.where(values > 0, values, 1.0)), np.nan)


def _runs(characters: list[str], owner: np.ndarray, styles: Sequence[Style]) -> list[Part]:
    """Return characters as few parts: neighbours of one series belong together."""
    edges = [0, *(np.flatnonzero(np.diff(owner)) + 1).tolist(), len(characters)]
    return [
        ("".join(characters[a:b]), styles[owner[a]] if owner[a] >= 0 else Style.null())
        for a, b in itertools.pairwise(edges)
    ]
