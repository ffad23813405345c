"""Screen 5: price, volume, regimes, crowding, the houses' books, and the fills of the selected agent."""

from collections.abc import Iterable

import numpy as np
from textual.containers import Vertical
from textual.widget import Widget

from lineage.ask.frames import Frame
from lineage.ask.trace import Trace
from tui import paint
from tui.paint import Part
from tui.screens.arena import price_picture
from tui.screens.page import Page
from tui.theme import Look
from tui.widgets.chart import Chart, Curve, Picture
from tui.widgets.facts import Facts, fact

Lines = list[list[Part]]


class MarketScreen(Page):
    """One market."""

    def body(self) -> Iterable[Widget]:
        """Return charts at the left, books and fills at the right."""
        yield Vertical(Chart(id="m_price"), Chart(id="m_all"), Chart(id="m_crowd"), id="m_left")
        yield Vertical(Facts("Books", id="books"), Facts("Fills", id="fills"), id="m_right")

    def fill(self, frame: Frame | None) -> None:
        """Draw the chosen market."""
        if frame is None or frame.round < 0:
            return
        app = self.arena
        log = app.view.log_scale
        self.query_one("#m_price", Chart).draw(price_picture(frame, log=log))
        self.query_one("#m_all", Chart).draw(history_picture(frame, app.look, log=log))
        self.query_one("#m_crowd", Chart).draw(crowding_picture(frame))
        self.query_one("#books", Facts).draw(book_lines(frame, app.look))
        trace = app.recomputer.get(app.directory, frame.round)
        state = app.recomputer.progress or app.recomputer.failure
        selected = app.view.selected
        detail = f"of #{selected} in round {frame.round}" if selected else ""
        self.query_one("#fills", Facts).draw(fill_lines(frame, selected, trace, state, app.look), "Fills", detail)


def history_picture(frame: Frame, look: Look, *, log: bool) -> Picture:
    """Return the whole run's price by round; the axis shows when the regime turned."""
    regime = frame.markets["regime"][:, frame.market]
    turns = np.flatnonzero(np.diff(regime)) + 1
    marks = [(float(at), look.symbols.up if regime[at] > 0 else look.symbols.down, "gain" if regime[at] > 0 else "loss")
             for at in turns]  # fmt: skip
    return Picture("Whole run", (Curve("", frame.markets["close"][:, frame.market], "accent"),),
                   last_round=float(frame.round), log=log, marks=marks, details=[("by regime", "dim")])  # fmt: skip


def crowding_picture(frame: Frame) -> Picture:
    """Return the share of the living that hold shares."""
    return Picture("Crowding", (Curve("", 100.0 * frame.series["invested"], "scar"),),
                   last_round=float(frame.round), details=[("% of all agents hold shares", "dim")])  # fmt: skip


def book_lines(frame: Frame, look: Look) -> Lines:
    """Return the market's regime, its traders, and where the money is."""
    market = {name: float(values[-1, frame.market]) for name, values in frame.markets.items()}
    up = market["regime"] > 0
    bars = frame.bars
    spread = 100.0 * (bars["high"][-1] / bars["low"][-1] - 1.0) if len(bars["high"]) else np.nan
    names = {"house_cash": "house", "fees": "fees", "estate": "estate", "flow_fees": "new fees"}
    price = f"{market['close']:,.{2 if market['close'] >= 10 else 4}f}"
    volume = paint.whole(float(bars["volume"][-1])) if len(bars["volume"]) else "-"
    regime = ("gain", f"{look.symbols.up} up") if up else ("loss", f"{look.symbols.down} down")
    count, source = frame.info.config.arena.markets, frame.info.config.market.source
    which = f"{frame.market} of {count}, {source}" if count > 1 else source
    return [
        fact(look, "market", ("text", which), width=10),
        fact(look, "regime", regime, width=10),
        fact(look, "price", ("*text", price), ("dim", f"  range {spread:.2f}%"), width=10),
        fact(look, "volume", ("text", volume), width=10),
        fact(look, "traders", ("text", f"{market['trading']:.0f}, {market['apprentices']:.0f} on paper"), width=10),
        *(fact(look, title, ("text", paint.whole(market[name])), width=10) for name, title in names.items()),
    ]


def fill_lines(frame: Frame, selected: int | None, trace: Trace | None, state: str, look: Look) -> Lines:
    """Return an agent's fills in this round, and how much of the volume agents crossed among themselves."""
    if trace is None:
        words = paint.clean(state) or f"press d: round {frame.round} is computed again, compared"
        return [[("fills are not recorded", look["dim"])], [(words, look["warn"])]]
    crossed = float(trace.markets["crossed"][:, frame.market].sum())
    total = crossed + float(np.abs(trace.markets["imbalance"][:, frame.market]).sum())
    share = f"{crossed / total:.1%} among agents, the rest with the house" if total else "no trade"
    lines: Lines = [fact(look, "crossed", ("text", share))]
    for one in trace.decisions(selected) if selected else ():
        if one.traded:
            side = ("gain", f"{look.symbols.up} buy ") if one.spent > 0 else ("loss", f"{look.symbols.down} sell")
            amount = f"{one.spent or one.proceeds:>10,.2f} at {one.price:,.3f}  fee {one.fee:.2f}  "
            lines.append(fact(look, f"{one.tick:>8}", side, ("text", amount), ("dim", one.reason)))
    if len(lines) == 1:
        lines.append([(f"#{selected} did not trade in this round" if selected else "nobody is selected", look["dim"])])
    lines.append([(trace.note, look["birth" if trace.identical else "death"])])
    return lines
