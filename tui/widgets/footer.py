"""The last line: what can be done here, or what was just said; and a line above it when something is wrong."""

import os
from typing import Final

from rich.cells import cell_len
from textual import events

from tui import paint
from tui.actions import of_screen
from tui.messages import ActionChosen
from tui.paint import Part
from tui.widgets.base import Pane

_HINT: Final = "   t space replay, 6 runs"
"""What can be done with a run that is over; where there is no room for all, what became of it is cut before this."""


class Footer(Pane):
    """Actions of the screen, the most useful first, as many as fit; those that are blocked are dim."""

    def __init__(self) -> None:
        super().__init__(id="footer")
        self._spans: list[tuple[int, int, str]] = []

    def paint_line(self, y: int, width: int) -> list[Part]:
        """Return the notice of the moment, or the keys."""
        look = self.look
        self._spans = []
        if self.view.notice:
            return [
                (f" {paint.fit(paint.clean(self.view.notice), max(0, width - 1), self.symbols)}", look.bold("warn"))
            ]
        listed = [action for action in of_screen(self.arena.actions, self.view.screen) if action.footer and action.keys]
        listed.sort(key=lambda action: action.footer)
        last = [action for action in listed if action.footer >= 20]
        room = width - sum(len(a.shown_key) + len(a.label) + 3 for a in last)
        parts: list[Part] = []
        left = 0
        situation = self.arena.situation()
        shown = []
        for action in listed:
            size = len(action.shown_key) + len(action.label) + 3
            if action.footer >= 20 or size <= room:
                shown.append(action)
                room -= size if action.footer < 20 else 0
        for action in shown:
            free = not action.blocked(situation)
            key, label = f" {action.shown_key}", f" {action.label} "
            self._spans.append((left, left + len(key) + len(label), action.id))
            left += len(key) + len(label)
            parts += [(key, look.bold("accent") if free else look["faint"]), (label, look["dim" if free else "faint"])]
        return parts

    def on_click(self, event: events.Click) -> None:
        """Do what was clicked; a notice goes away."""
        if self.view.notice:
            self.view.notice = ""
            self.repaint()
        for left, right, action_id in self._spans:
            if left <= event.x < right:
                self.post_message(ActionChosen(action_id))


class Banner(Pane):
    """One line that is there only while something is wrong, or when the run is over."""

    def prepare(self) -> None:
        """Nothing to compute."""

    def paint_line(self, y: int, width: int) -> list[Part]:
        """Return what is wrong, where the run lies left out before the words are cut; else that the run is over."""
        trouble = self.arena.trouble()
        if not trouble:
            ended = f" {self.symbols.done} {paint.clean(self.arena.farewell())}"
            room = max(0, width - len(_HINT))
            text = paint.fit(ended, min(len(ended), room), self.symbols) + _HINT
            return [(paint.fit(text, width, self.symbols), self.look.bold("accent"))]
        text = f" {self.symbols.alarm} {paint.clean(trouble)}"
        if cell_len(text) > width:
            text = text.replace(paint.clean(f"{self.arena.directory}{os.sep}"), "", 1)
        return [(paint.fit(text, width, self.symbols), self.look.bold("warn"))]
