"""Screen 4: how the minds learn: curves over all learners, where the time goes, alarms."""

from collections.abc import Iterable
from typing import Final

import numpy as np
from textual.containers import Grid
from textual.widget import Widget

from lineage.ask.frames import Frame
from tui import paint
from tui.model import Link
from tui.paint import Part
from tui.screens.page import Page
from tui.theme import Look
from tui.widgets.chart import Chart, Curve, Picture
from tui.widgets.facts import Facts
from tui.words import describe

CHARTS: Final = (
    ("reward", "Reward of a round", "birth"), ("loss", "Loss", "loss"), ("entropy", "Entropy of actions", "accent"),
    ("epsilon", "Exploring", "scar"), ("weight_change", "Weights moved since birth", "accent"),
    ("td_error", "TD error", "loss"), ("grad_norm", "Gradient norm", "dim"), ("q_max", "Largest Q", "accent"),
    ("updates", "Updates a round", "dim"),
)  # fmt: skip
"""(series, title, role) of each chart, the most important first: small windows show fewer."""


class TrainingScreen(Page):
    """Learning curves."""

    def body(self) -> Iterable[Widget]:
        """Return nine charts and a line of facts."""
        yield Grid(*(Chart(id=f"chart_{name}") for name, _, _ in CHARTS), Facts("Time", id="times"), id="charts")

    def fill(self, frame: Frame | None) -> None:
        """Draw the curves."""
        if frame is None or frame.round < 0:
            return
        log = self.arena.view.log_scale
        alarms = np.flatnonzero(frame.series["alarm"])[:200]
        marks = [(float(at), self.arena.look.symbols.alarm, "warn") for at in alarms]
        for name, title, role in CHARTS:
            self.query_one(f"#chart_{name}", Chart).draw(
                Picture(
                    title, (Curve("", frame.series[name], role),), last_round=float(frame.round), log=log, marks=marks
                )
            )
        self.query_one("#times", Facts).draw(time_lines(frame, self.arena.link, self.arena.look))


def time_lines(frame: Frame, link: Link, look: Look) -> list[list[Part]]:
    """Return where the engine's time goes, and the newest alarms."""
    total = sum(link.phase_seconds.values())
    split: list[Part] = [("time  ", look["dim"])]
    if total > 0:
        for index, (name, seconds) in enumerate(link.phase_seconds.items()):
            text = f"{name.replace('_', ' ')} {seconds / total:.0%} "
            split.append((paint.meter(seconds / total, 6, look.symbols).rstrip() + " " + text, look.series[index % 8]))
    else:
        split.append(("the time split is known for an engine that this app started", look["faint"]))
    speed: list[Part] = [("speed ", look["dim"])]
    if link.running:
        speed.append(
            (
                f"{paint.short(link.updates_per_s)} updates/s  {paint.short(link.steps_per_s)} agent steps/s",
                look["text"],
            )
        )
    else:
        updates = frame.series["updates"]
        speed.append((f"{paint.whole(float(updates.sum()))} updates so far", look["text"]))
    alarms = [event for event in frame.events if event.kind == "alarm"]
    said = [describe(event, frame.people, look.symbols) for event in alarms[:3]]
    total_alarms = frame.total("alarm")
    words: list[Part] = [("alarms ", look["dim"]), (f"{total_alarms}  ", look["warn" if total_alarms else "text"])]
    words += [(f"{one.text}  ", look["warn"]) for one in said]
    return [split, speed, words]
