"""The 23 features and ten regime indicators, one bar at a time, for M markets at once.

The cost at one market is the number of numpy calls, so: decaying averages are one stacked recursion; every window that
is added up is a row of one history, added up afresh at each bar by one `reduceat` over nested windows, so that no
error can pile up; highs and lows likewise. All else is elementwise: a market's bits depend on its own bars only.
Formulas: arena.envs.trader.columns.
"""

from typing import Final

import numpy as np

from arena.envs.trader import averages as avg
from arena.envs.trader.columns import N_FEATURES, REGIME
from arena.market.bars import Bars

SPAN: Final = 256
"""Bars that the longest window takes."""
RMS_FLOOR: Final = 1e-6
"""A market calmer than .0001 % a bar is at rest."""

_WIDTH: Final = 4 * SPAN  # the history is shifted once in _WIDTH - SPAN bars instead of at each
_R, _R2, _R5, _R5_2, _R16, _R16_2, _ABS, _PARKINSON, _CLOSE, _VOLUME, _TYPICAL, _UP_FLOW, _DOWN_FLOW = range(13)
_SUMMED: Final = 13
_HIGHS, _LOWS, _CLOSES = range(_SUMMED, _SUMMED + 3)  # rows of which the largest is taken; lows with their sign turned
_LOG_CLOSE, _RMS_20 = range(_SUMMED + 3, _SUMMED + 5)
_ROWS: Final = _SUMMED + 5
_WINDOWS: Final = (5, 14, 20, 50, 96, 100, 241, 256)
_W5, _W14, _W20, _W50, _W96, _W100, _W241, _W256 = range(8)
_STARTS: Final = SPAN - np.array(_WINDOWS)[::-1]  # segments between nested windows, the oldest first
_TOPS: Final = np.array([0, 86])  # within the last 100 bars: all of them but 14, then the last 14
TIE: Final = 1e-12  # typical prices this close (relative) are the same price: they differ by rounding only
UNBIASED_5: Final = 99.0 / (5.0 * 96.0 * (1.0 - 5.0 / 100.0))
UNBIASED_16: Final = 255.0 / (16.0 * 241.0 * (1.0 - 16.0 / 256.0))
LN16: Final = float(np.log(16.0))
DOUBLE_LN2: Final = float(4.0 * np.log(2.0))


class FeatureBook:
    """Raw features and regime of M markets, from their first bar on."""

    def __init__(self, markets: int) -> None:
        """Start blind; what a window reaches before the first bar counts as 0."""
        self.bars_seen = 0
        self.raw = np.zeros((N_FEATURES, markets))  # [23,M] of the newest bar
        self.regime = np.zeros((markets, len(REGIME)), dtype=np.float32)  # [M,10]
        self.close = np.zeros(markets)  # [M] cash units
        self.atr = np.zeros(markets)  # [M] cash units
        self.rms_20 = np.full(markets, RMS_FLOOR)  # [M]
        self._history = np.zeros((_ROWS, markets, _WIDTH))
        self._first = np.zeros((9, markets))
        self._second = np.zeros((2, markets))
        self._bar = (self.close, self.close, self.close)  # close, high, low of the bar before

    def returns(self, count: int) -> np.ndarray:
        """Return [M,count] f64 the newest log returns, the newest last; count <= 256."""
        newest = self._newest()
        return self._history[_R, :, newest - count + 1 : newest + 1]

    def update(self, bars: Bars, sentiment: np.ndarray, clock: tuple[float, float], *, regime: bool = True) -> None:
        """Take in one closed bar of every market; sentiment: [M]; clock: sin and cos of its time.

        regime: whether the ten indicators are wanted; a warm-up wants those of its last bar only.
        """
        if self.bars_seen == 0:
            self._bar = (bars.close, bars.close, bars.close)
        logs = np.log(np.array((bars.open, bars.high, bars.low, bars.close, bars.vwap, self._bar[0])))  # [6,M]
        self.bars_seen += 1
        newest = self._remember(bars, logs)
        self._average(bars)
        window = self._history[:, :, newest - SPAN + 1 : newest + 1]  # [rows,M,256]
        pieces = np.add.reduceat(window[:_SUMMED], _STARTS, axis=2)
        sums = pieces[:, :, ::-1].cumsum(axis=2).transpose(0, 2, 1)  # [13,8,M]
        tops = np.maximum.reduceat(window[_HIGHS:_LOG_CLOSE, :, -100:], _TOPS, axis=2)  # [3,M,2]
        mean_squares = sums[_R2, (_W20, _W50, _W100)] / ((20.0,), (50.0,), (100.0,))
        rms = np.maximum(np.sqrt(mean_squares), RMS_FLOOR)  # [3,M]
        self.rms_20 = rms[0]
        self._history[_RMS_20, :, newest] = rms[0]
        self._features(bars, logs, window, sums, tops)
        self.raw[20] = sentiment
        self.raw[21:] = ((clock[0],), (clock[1],))
        if regime:
            self._regime(window, sums, tops, rms)
        self._bar = (bars.close, bars.high, bars.low)
        self.close = bars.close

    def _newest(self) -> int:
        return SPAN + (self.bars_seen - 1) % (_WIDTH - SPAN)

    def _remember(self, bars: Bars, logs: np.ndarray) -> int:
        """Append to the history and return the index of the newest bar in it."""
        history, newest = self._history, self._newest()
        if newest == SPAN:
            history[:, :, :SPAN] = history[:, :, _WIDTH - SPAN :]
        row = history[:, :, newest]  # [rows,M]
        row[_LOG_CLOSE] = logs[3]
        past = history[_LOG_CLOSE][:, newest - np.minimum((1, 5, 16), self.bars_seen - 1)].T  # [3,M]
        moves = logs[3] - past
        row[_R : _R16 + 1 : 2] = moves
        row[_R2 : _R16_2 + 1 : 2] = moves * moves
        row[_ABS] = np.abs(moves[0])
        spread = logs[1] - logs[2]
        row[_PARKINSON] = spread * spread
        row[_CLOSE] = row[_CLOSES] = bars.close
        row[_VOLUME] = bars.volume
        row[_HIGHS] = bars.high
        row[_LOWS] = -bars.low
        typical = (bars.high + bars.low + bars.close) / 3.0
        before = history[_TYPICAL, :, newest - 1]
        rise = typical - before
        flow = typical * bars.volume * (np.abs(rise) > TIE * typical)
        row[_UP_FLOW] = flow * (rise > 0.0)
        row[_DOWN_FLOW] = flow * (rise < 0.0)
        row[_TYPICAL] = typical
        return newest

    def _average(self, bars: Bars) -> None:
        """Move all decaying averages one bar on."""
        close, high, low = self._bar
        values = np.empty_like(self._first)
        values[: avg.GAIN_14] = bars.close
        change = bars.close - close
        np.maximum(change, 0.0, out=values[avg.GAIN_14])
        np.maximum(-change, 0.0, out=values[avg.LOSS_14])
        np.subtract(np.maximum(bars.high, close), np.minimum(bars.low, close), out=values[avg.RANGE_14])
        up, down = bars.high - high, low - bars.low
        values[avg.UP_14] = up * ((up > down) & (up > 0.0))
        values[avg.DOWN_14] = down * ((down > up) & (down > 0.0))
        values[avg.MOVED_14] = values[avg.RANGE_14]
        avg.first_stage(self._first, values, self.bars_seen - 1)
        first = self._first
        plus, minus = first[avg.UP_14], first[avg.DOWN_14]
        second = np.empty_like(self._second)
        np.subtract(first[avg.EMA12], first[avg.EMA26], out=second[avg.SIGNAL_9])
        np.divide(100.0 * np.abs(plus - minus), np.maximum(plus + minus, 1e-300), out=second[avg.ADX_14])
        avg.second_stage(self._second, second, self.bars_seen - 1)
        self.atr = first[avg.RANGE_14].copy()

    def _features(self, bars: Bars, logs: np.ndarray, window: np.ndarray, sums: np.ndarray, tops: np.ndarray) -> None:
        """Write columns 0 to 19 of `raw`."""
        raw, close, first, second = self.raw, bars.close, self._first, self._second
        raw[:4] = logs[:4] - logs[5]
        np.log((bars.volume + 1.0) / (sums[_VOLUME, _W20] / 20.0 + 1.0), out=raw[4])
        raw[5] = logs[4] - logs[3]
        macd = first[avg.EMA12] - first[avg.EMA26]
        raw[7] = macd / close
        raw[8] = second[avg.SIGNAL_9] / close
        raw[9] = raw[7] - raw[8]
        raw[10] = self.atr / close
        means = sums[_CLOSE : _TYPICAL + 1 : 2, _W20] / 20.0  # [2,M] of close and typical price
        away = window[_CLOSE : _TYPICAL + 1 : 2, :, -20:] - means[:, :, None]  # [2,M,20]
        deviation = np.sqrt(np.add.reduce(away[0] * away[0], axis=1) / 20.0)
        scatter = np.add.reduce(np.abs(away[1]), axis=1) / 20.0
        floor = 1e-12 * close  # below it a window is flat but for rounding
        raw[12] = 4.0 * deviation / means[0]
        raw[13] = second[avg.ADX_14] / 100.0
        raw[16] = away[1, :, -1] / (200.0 * 0.015 * np.maximum(scatter, floor)) * (scatter > floor)
        raw[18] = np.expm1(logs[3] - window[_LOG_CLOSE, :, -11])
        raw[19] = logs[3] - np.log(first[avg.EMA50])
        high, low = tops[_HIGHS - _SUMMED, :, 1], -tops[_LOWS - _SUMMED, :, 1]
        # Five indicators are one quotient each, 0 where there is nothing to divide by.
        above = np.array((
            first[avg.GAIN_14] - first[avg.LOSS_14], away[0, :, -1], first[avg.UP_14] - first[avg.DOWN_14],
            2.0 * close - high - low, sums[_UP_FLOW, _W14] - sums[_DOWN_FLOW, _W14],
        ))  # fmt: skip
        below = np.array((
            first[avg.GAIN_14] + first[avg.LOSS_14], 4.0 * deviation, first[avg.MOVED_14],
            high - low, sums[_UP_FLOW, _W14] + sums[_DOWN_FLOW, _W14],
        ))  # fmt: skip
        raw[_QUOTIENTS] = above / np.maximum(below, floor) * (below > floor)

    def _regime(self, window: np.ndarray, sums: np.ndarray, tops: np.ndarray, rms: np.ndarray) -> None:
        """Write the ten regime indicators."""
        now = window[_LOG_CLOSE, :, -1]
        past = now - window[_LOG_CLOSE][:, (-51, -11, -21)].T  # [3,M] log returns over 50, 10 and 20 bars
        parkinson = np.maximum(np.sqrt(sums[_PARKINSON, _W20] / (20.0 * DOUBLE_LN2)), RMS_FLOOR)
        volume = sums[_VOLUME, (_W5, _W50)] / ((5.0,), (50.0,)) + 1.0  # [2,M]
        ratios = np.log(np.array((rms[0] / rms[2], parkinson / rms[0], volume[0] / volume[1])))
        vr5 = _variance_ratio(sums, (_R5, _W96), (_W100, 100), 5, UNBIASED_5)
        vr16 = _variance_ratio(sums, (_R16, _W241), (_W256, 256), 16, UNBIASED_16)
        at_most = np.add.reduce(window[_RMS_20] <= rms[0][:, None], axis=1)
        squashed = np.tanh(np.array((
            ratios[0], ratios[1], past[0] / (2.0 * rms[1] * 50.0**0.5), past[1] / (rms[0] * 10.0**0.5), ratios[2],
        )))  # fmt: skip
        top = np.maximum.reduce(tops[_CLOSES - _SUMMED], axis=1)
        self.regime[:] = np.array((
            squashed[0], at_most / (0.5 * SPAN) - 1.0, squashed[1], squashed[2], squashed[3],
            past[2] / np.maximum(sums[_ABS, _W20], RMS_FLOOR), np.minimum(vr5 - 1.0, 1.0),
            np.maximum(np.minimum(np.log(np.maximum(vr16, 1e-9)) / LN16, 1.0), -1.0),
            np.maximum(window[_CLOSE, :, -1] / top - 1.0, -0.2) / 0.2, squashed[4],
        )).T  # fmt: skip


_QUOTIENTS: Final = np.array([6, 11, 14, 15, 17])


def _variance_ratio(
    sums: np.ndarray, many: tuple[int, int], one: tuple[int, int], q: int, unbiased: float
) -> np.ndarray:
    """Return [M] VR(q) from sums of q-bar and one-bar returns and of their squares, overlapping, unbiased.

    many: (row, window) of the n-q+1 q-bar returns; one: (window, n) of the n returns.
    """
    (row, window), (whole, n) = many, one
    mean = sums[_R, whole] / n
    short = sums[_R2, whole] - n * mean * mean
    drift = q * mean
    long = sums[row + 1, window] - 2.0 * drift * sums[row, window] + (n - q + 1) * drift * drift
    ratio: np.ndarray = unbiased * long / np.maximum(short, RMS_FLOOR * RMS_FLOOR * (n - 1))
    return ratio
