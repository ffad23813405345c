"""The line of time: how much happened when, and where we are; click or drag to travel."""

import numpy as np
from textual import events

from tui import paint, plot
from tui.messages import RoundChosen
from tui.paint import Part
from tui.widgets.base import Pane

_EDGE = 8  # cells for the round numbers at both ends


class Scrubber(Pane):
    """All rounds of the run in one line: births above deaths by weight, the thumb on the round that is shown."""

    def __init__(self) -> None:
        super().__init__(id="scrubber")
        self._dragging = False

    def paint_line(self, y: int, width: int) -> list[Part]:
        """Return births in the first line, deaths in the second, the thumb through both."""
        frame, look, symbols = self.frame, self.look, self.symbols
        room = width - 2 * _EDGE
        if frame is None or frame.newest < 0 or room < 4:
            return []
        kind, role, name = (("birth", "birth", symbols.born), ("death", "death", symbols.dead))[y % 2]
        counts = np.full(frame.newest + 1, np.nan)
        counts[: len(frame.series[kind])] = frame.series[kind]
        first = 1 if kind == "birth" else 0  # the founders would leave nothing to be seen of all later births
        known = self.arena.history
        if known is not None and len(known[kind]) > len(frame.series[kind]):
            counts[:] = np.concatenate((known[kind], counts))[: len(counts)]
        counts[:first] = np.nan
        _, tops = plot.column_extremes(counts, room)
        text = paint.sparkline(np.where(tops > 0, tops, np.nan), symbols)
        thumb = min(room - 1, int((frame.round + 0.5) / (frame.newest + 1) * room))
        live = self.view.at is None
        chosen = look["dim"] if live else look.bold("warn")
        here = f"{name} {'0' if y == 0 else ''}"
        end = f"{frame.newest}" if y == 0 else f"@{frame.round}"
        return [
            (f"{here:>{_EDGE - 1}} ", look["dim"]),
            (text[:thumb], look[role]),
            (symbols.thumb, chosen),
            (text[thumb + 1 :], look["faint"]),
            (f" {end:<{_EDGE - 1}}", chosen if y else look["dim"]),
        ]

    def round_at(self, x: int) -> int | None:
        """Return the round of a column."""
        room = self.size.width - 2 * _EDGE
        if self.frame is None or self.frame.newest < 0 or room < 4:
            return None
        share = (x - _EDGE + 0.5) / room
        return max(0, min(self.frame.newest, int(share * (self.frame.newest + 1))))

    def _choose(self, x: int) -> None:
        at = self.round_at(x)
        if at is not None:
            self.post_message(RoundChosen(at))

    def on_mouse_down(self, event: events.MouseDown) -> None:
        """Begin to drag."""
        self._dragging = True
        self.capture_mouse()
        self._choose(event.x)

    def on_mouse_move(self, event: events.MouseMove) -> None:
        """Drag."""
        if self._dragging:
            self._choose(event.x)

    def on_mouse_up(self) -> None:
        """End dragging."""
        self._dragging = False
        self.release_mouse()
