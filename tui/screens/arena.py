"""Screen 1: who lives, what the market does, how the minds are, what just happened."""

from collections.abc import Iterable

import numpy as np
from textual.containers import Vertical
from textual.widget import Widget

from lineage.ask.frames import Frame
from tui import paint
from tui.screens.page import Page
from tui.widgets.chart import Chart, Curve, Picture
from tui.widgets.curves import Course, Curves
from tui.widgets.events import EventList
from tui.widgets.lineage import LineageTree
from tui.widgets.population import Population


class ArenaScreen(Page):
    """The population in its market."""

    def body(self) -> Iterable[Widget]:
        """Return population and events at the left, charts and lines at the right."""
        yield Vertical(Population(id="population"), EventList(id="events"), id="left")
        yield Vertical(
            Chart(id="price"),
            Chart(id="wealth"),
            LineageTree(id="lines", small=True),
            Curves("Learning", id="learning"),
            id="right",
        )

    def fill(self, frame: Frame | None) -> None:
        """Draw price, wealth and learning."""
        if frame is None or frame.round < 0:
            return
        self.query_one("#price", Chart).draw(price_picture(frame, log=self.arena.view.log_scale))
        self.query_one("#wealth", Chart).draw(wealth_picture(frame, log=self.arena.view.log_scale))
        self.query_one("#learning", Curves).draw(learning_courses(frame, self.arena.link.updates_per_s))


def price_picture(frame: Frame, *, log: bool = False) -> Picture:
    """Return the price of the chosen market over the last ticks, its volume below."""
    ticks_per_round = frame.info.config.arena.ticks_per_round
    since = int(np.searchsorted(frame.bars["tick"], min(0.0, frame.last_tick)))  # the warm-up is no part of the run
    bars = {name: values[since:] for name, values in frame.bars.items()}
    first = bars["tick"][0] / ticks_per_round if len(bars["tick"]) else 0.0
    change = 100.0 * (bars["close"][-1] / bars["close"][0] - 1.0) if len(bars["close"]) else np.nan
    which = f" {frame.market}" if frame.info.config.arena.markets > 1 else ""
    return Picture(
        title=f"Market{which}",
        details=[(f"{change:+.1f}%", paint.trend(change))],
        curves=(Curve("", bars["close"], "accent"),),
        bars=bars["volume"],
        first_round=first,
        last_round=float(frame.round),
        log=log,
    )


def wealth_picture(frame: Frame, *, log: bool = False) -> Picture:
    """Return mean and best equity of those who trade real money."""
    series = frame.series
    return Picture(
        title="Wealth",
        curves=(Curve("best", series["best_equity"], "accent"), Curve("mean", series["mean_equity"], "birth")),
        first_round=0.0,
        last_round=float(frame.round),
        log=log,
    )


def learning_courses(frame: Frame, updates_per_s: float) -> list[Course]:
    """Return how the minds are, in order of importance."""
    series = frame.series
    speed = f"{paint.short(updates_per_s)}/s" if np.isfinite(updates_per_s) else ""
    return [
        Course("reward", series["reward"], "birth"),
        Course("loss", series["loss"], "loss"),
        Course("entropy", series["entropy"], "accent"),
        Course("exploring", series["epsilon"], "scar"),
        Course("moved", series["weight_change"], "accent"),
        Course("memory", series["replay_fill"], "dim"),
        Course("updates", series["updates"], "dim", speed),
        Course("invested", series["invested"], "accent"),
        Course("largest Q", series["q_max"], "dim"),
        Course("alarms", np.cumsum(series["alarm"]), "warn"),
    ]
