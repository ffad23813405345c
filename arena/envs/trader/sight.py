"""What a trader sees of its market: computed bar by bar where its own orders move prices, once for all on a tape.

Both ways run the same books, `FeatureBook` (for one market `OneFeatureBook`) and `RowBook`; on a tape nothing that a
trader does changes a bar, so the rows of a whole file are computed when it is opened, each from its own past.
"""

from datetime import datetime
from typing import Final, Protocol

import numpy as np

from arena.envs.trader.columns import N_FEATURES, N_ROWS
from arena.envs.trader.config import TraderConfig
from arena.envs.trader.features import FeatureBook
from arena.envs.trader.features_one import OneFeatureBook
from arena.envs.trader.normalise import RowBook
from arena.errors import DataError
from arena.market.bars import Bars
from arena.market.tape import Tape

_WEEK: Final = [(float(np.sin(2 * np.pi * day / 7)), float(np.cos(2 * np.pi * day / 7))) for day in range(5)]


class Sight(Protocol):
    """The senses of M traders; every array is of the bar that closed last."""

    close: np.ndarray  # [M] f64, cash units
    atr: np.ndarray  # [M] f64, ATR14, cash units
    rms_20: np.ndarray  # [M] f64, root mean square of the last 20 log returns
    raw: np.ndarray  # [23,M] f64, features before normalisation
    regime: np.ndarray  # [M,10] f32

    def update(self, bars: Bars, sentiment: np.ndarray) -> None:
        """Take in one closed bar; sentiment: [M] f64."""

    def technical(self) -> np.ndarray:
        """Return [M,24,23] f32, a fresh array."""

    def returns(self, count: int) -> np.ndarray:
        """Return [M,count] f64, the newest log returns, the newest last; count <= 256."""


class LiveSight:
    """Senses of M synthetic markets, from their first bar on; a bar is a weekday, the first one a Monday."""

    def __init__(self, markets: int, config: TraderConfig, warmup_bars: int) -> None:
        """Start blind; rows are normalised from the last 24 bars of the warm-up on."""
        self._features = OneFeatureBook() if markets == 1 else FeatureBook(markets)
        self._rows = RowBook(markets, config.window, config.normalisation)
        self._warmup_bars = warmup_bars
        self.returns = self._features.returns
        self.technical = self._rows.rows

    def update(self, bars: Bars, sentiment: np.ndarray) -> None:
        """Take in one closed bar; sentiment: [M] f64."""
        features = self._features
        bar = features.bars_seen
        features.update(bars, sentiment, _WEEK[bar % 5], regime=bar >= self._warmup_bars - 1)
        self._rows.add(features.raw, scaled=bar >= self._warmup_bars - N_ROWS)
        self.close, self.atr, self.rms_20 = features.close, features.atr, features.rms_20
        self.raw, self.regime = features.raw, features.regime


class TapeBook:
    """All rows of one tape, each from its own past; shared by every episode on it."""

    def __init__(self, tape: Tape, config: TraderConfig, warmup_bars: int, sentiment: np.ndarray | None) -> None:
        """Run the features over the whole tape; sentiment [T], in [-1, 1], of each bar's close. Raises DataError."""
        bars = len(tape.times)
        if bars <= warmup_bars:
            raise DataError(
                f"{tape.name}: {bars} bars are too few, the warm-up takes {warmup_bars} (window {config.window}) and "
                "an episode at least one; use a longer tape or a smaller window"
            )
        moods = np.zeros(bars) if sentiment is None else np.asarray(sentiment, dtype=np.float64)
        if moods.shape != (bars,) or not np.all(np.abs(moods) <= 1.0):
            raise DataError(f"{tape.name}: sentiment is not one number in [-1, 1] for each of its {bars} bars")
        book, rows = OneFeatureBook(), RowBook(1, config.window, config.normalisation)
        self.raw, self.technical = np.zeros((bars, N_FEATURES)), np.zeros((bars, N_FEATURES), dtype=np.float32)
        self.regime = np.zeros((bars, book.regime.shape[1]), dtype=np.float32)
        self.close, self.atr, self.rms_20 = tape.close, np.zeros(bars), np.zeros(bars)
        self.log_returns = np.diff(np.log(tape.close), prepend=np.log(tape.close[:1]))  # [T]
        clocks = clocks_of(tape.times)
        for bar in range(bars):
            now = slice(bar, bar + 1)
            opened, high, low, close = tape.open[now], tape.high[now], tape.low[now], tape.close[now]
            whole = Bars(opened, high, low, close, tape.volume[now], (high + low + close) / 3.0)
            book.update(whole, moods[now], clocks[bar], regime=bar >= warmup_bars - 1)
            rows.add(book.raw, scaled=bar >= warmup_bars - N_ROWS)
            self.raw[bar], self.technical[bar] = book.raw[:, 0], rows.newest()[0]
            self.regime[bar], self.atr[bar], self.rms_20[bar] = book.regime[0], book.atr[0], book.rms_20[0]


class TapeSight:
    """Senses of M traders on windows of one tape."""

    def __init__(self, book: TapeBook, last_closed: np.ndarray) -> None:
        """Look at bar last_closed [M] of the tape."""
        self._book = book
        self._bar = last_closed
        self._look()

    def update(self, bars: Bars, sentiment: np.ndarray) -> None:
        """Go one bar on; what is seen is the book's."""
        self._bar = self._bar + 1
        self._look()

    def swap(self, book: TapeBook) -> None:
        """Look into another book from now on."""
        self._book = book
        self._look()

    def technical(self) -> np.ndarray:
        """Return [M,24,23] f32, a fresh array."""
        rows: np.ndarray = self._book.technical[self._bar[:, None] + _LAST_ROWS]
        return rows

    def returns(self, count: int) -> np.ndarray:
        """Return [M,count] f64, the newest log returns, the newest last; count <= 256."""
        found: np.ndarray = self._book.log_returns[self._bar[:, None] + np.arange(1 - count, 1)]
        return found

    def _look(self) -> None:
        book, bar = self._book, self._bar
        self.close, self.atr, self.rms_20 = book.close[bar], book.atr[bar], book.rms_20[bar]
        self.raw, self.regime = book.raw[bar].T, book.regime[bar]


_LAST_ROWS: Final = np.arange(1 - N_ROWS, 1)


def clocks_of(times: list[str]) -> list[tuple[float, float]]:
    """Return (sine, cosine) of each bar's hour of the day or, where bars have no clock, of its weekday."""
    found = []
    for text in times:
        moment = datetime.fromisoformat(text)
        phase = (moment.hour + moment.minute / 60.0) / 24.0 if "T" in text else moment.weekday() / 7.0
        found.append((float(np.sin(2 * np.pi * phase)), float(np.cos(2 * np.pi * phase))))
    return found
