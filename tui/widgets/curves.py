"""Small multiples: one line a figure, its name, its course, its newest value."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tui import paint, plot
from tui.paint import Part
from tui.plot import Floats
from tui.widgets.base import Pane


@dataclass(frozen=True, slots=True)
class Course:
    """One figure over rounds."""

    name: str
    values: Floats
    role: str = "accent"
    text: str = ""  # in place of the newest value


class Curves(Pane):
    """A pane of courses, as many as it has lines."""

    def __init__(self, title: str, *, id: str | None = None) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id)
        self._title = title
        self._courses: Sequence[Course] = ()

    def draw(self, courses: Sequence[Course], title: str = "") -> None:
        """Show something else."""
        self._courses = courses
        self.head(title or self._title)

    def paint_line(self, y: int, width: int) -> list[Part]:
        """Return one course."""
        if y >= len(self._courses):
            return []
        course, look = self._courses[y], self.look
        newest = float(course.values[-1]) if len(course.values) else np.nan
        text = course.text or paint.short(newest)
        width -= 1
        room = width - 10 - max(7, len(text) + 1)
        parts: list[Part] = [(f" {paint.fit(course.name, 10, self.symbols)}", look["dim"])]
        if room > 3:
            known = course.values if len(course.values) else np.full(1, np.nan)
            if self.symbols.name == "braille":
                low, high = plot.bounds_of([known])
                cells, _ = plot.plot([known], low, high, room, 1, self.symbols)
                line = "".join(cells[0])
            else:
                _, tops = plot.column_extremes(known, room)
                line = paint.sparkline(tops, self.symbols)
            parts.append((line, look[course.role]))
        return [*parts, (paint.fit(text, width - 10 - max(room, 0), right=True), look["text"])]
