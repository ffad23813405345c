"""The same two lines on top of every screen: which screen, which moment, which run."""

import numpy as np
from textual import events

from tui import paint
from tui.actions import SCREENS
from tui.messages import ActionChosen
from tui.model import mode_of
from tui.paint import Part
from tui.theme import Look, Symbols
from tui.widgets.base import Pane

_MARKS = {
    "live": "live", "paused": "paused", "replay": "replay", "finished": "done", "extinct": "dead", "gone": "gone",
    "trouble": "gone", "waiting": "flat", "starting": "flat", "empty": "flat", "stopping": "paused",
}  # fmt: skip


class Header(Pane):
    """Tabs and mode, then the run's progress."""

    def __init__(self) -> None:
        super().__init__(id="header")
        self._spans: list[tuple[int, int, str]] = []

    def paint_line(self, y: int, width: int) -> list[Part]:
        """Return the tabs, or the state of the run."""
        return self._tabs(width) if y == 0 else self._state(width)

    def _tabs(self, width: int) -> list[Part]:
        look = self.look
        mode = mode_of(self.frame, self.view, self.link)
        badge = f"{getattr(self.symbols, _MARKS[mode.name])} {mode.text} "
        brand = " lineage-arena " if width >= 84 else " "
        names = [f" {i + 1} {name.capitalize()} " for i, name in enumerate(SCREENS)]
        if len(brand) + sum(map(len, names)) + len(badge) > width:
            names = [text if SCREENS[i] == self.view.screen else f" {i + 1} " for i, text in enumerate(names)]
        parts: list[Part] = [(brand, look.bold("accent"))]
        left, self._spans = len(brand), []
        for screen, text in zip(SCREENS, names, strict=True):
            here = screen == self.view.screen
            self._spans.append((left, left + len(text), screen))
            left += len(text)
            parts.append((text, look.bold("text") + look.cursor if here else look["dim"]))
        parts.append((" " * max(1, width - left - len(badge)), look["dim"]))
        return [*parts, (badge, look.bold(mode.role))]

    def _state(self, width: int) -> list[Part]:
        frame, look, symbols = self.frame, self.look, self.symbols
        if frame is None:
            words = self.link.message or ("the engine is starting" if self.link.state == "starting" else "reading")
            return [(f" {paint.clean(words)}", look["dim"])]
        done, total = frame.round + 1, frame.rounds_total
        rate = self.arena.rounds_per_s
        name = paint.clean(frame.info.scenario)
        groups: list[tuple[int, list[Part]]] = [
            (0, [(f" {name}", look.bold("text")), (f" seed {frame.info.seed}", look["dim"])]),
            (0, [(f"round {done}", look["text"]), (f"/{total}", look["dim"])]),
            (4, [*_progress(done / total, symbols, look), (f"{done / total:4.0%}", look["dim"])]),
            (1, [(f"{symbols.alive} {frame.alive}", look.bold("birth")), (" alive", look["dim"])]),
            (3, [(f"{symbols.born} {frame.people.born_by(frame.round)}", look["birth"]), (" born", look["dim"])]),
            (2, [(f"{symbols.dead} {frame.total('death')}", look["death"]), (" died", look["dim"])]),
            (5, [(f"{symbols.scar} {frame.total('scar')}", look["scar"]), (" scars", look["dim"])]),
            (6, [(f"gen {frame.generations}", look["text"])]),
        ]
        if not frame.closed and np.isfinite(rate) and self.link.state != "paused":
            groups.insert(3, (7, [(f"{paint.short(rate)} rounds/s", look["dim"])]))
            if rate > 0:
                groups.insert(4, (8, [(f"{paint.duration((total - frame.newest - 1) / rate)} left", look["dim"])]))
        if self.link.running and self.link.speed:
            groups.append((3, [(f"speed {self.link.speed:g}", look["warn"])]))
        while sum(_size(group) + 3 for _, group in groups) > width + 3 and any(rank for rank, _ in groups):
            groups.remove(max(groups, key=lambda one: one[0]))
        parts: list[Part] = []
        for _, group in groups:
            parts += [("   ", look["faint"]), *group] if parts else group
        return parts

    def on_click(self, event: events.Click) -> None:
        """Show the screen whose tab was clicked."""
        for left, right, screen in self._spans:
            if event.y == 0 and left <= event.x < right:
                self.post_message(ActionChosen(f"show_{screen}"))


def _progress(share: float, symbols: Symbols, look: Look) -> list[Part]:
    """Return ten cells, what is done and what is to come."""
    done = paint.meter(share, 10, symbols).rstrip()
    return [(done, look["accent"]), (symbols.rule * (10 - len(done)), look["rule"])]


def _size(group: list[Part]) -> int:
    return sum(len(text) for text, _ in group)
