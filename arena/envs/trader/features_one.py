"""The features of one market in plain floats: what `FeatureBook` computes for many, four times as fast for one.

At one market an array operation costs its call, a float next to nothing. `FeatureBook` is the reference: a test holds
the two equal to rounding. Every window is added up afresh here too. Formulas: arena.envs.trader.columns.
"""

import math
from bisect import bisect_right, insort

import numpy as np

from arena.envs.trader import averages as avg
from arena.envs.trader.columns import N_FEATURES, REGIME
from arena.envs.trader.features import DOUBLE_LN2, LN16, RMS_FLOOR, SPAN, TIE, UNBIASED_5, UNBIASED_16
from arena.market.bars import Bars

_KEEP = 2 * SPAN
"""Values that a list is cut back to at least; it is cut at twice as many."""


class OneFeatureBook:
    """Raw features and regime of one market; the same attributes as FeatureBook, arrays with M = 1."""

    def __init__(self) -> None:
        """Start blind; what a window reaches before the first bar counts as 0."""
        self.bars_seen = 0
        self.raw = np.zeros((N_FEATURES, 1))
        self.regime = np.zeros((1, len(REGIME)), dtype=np.float32)
        self.close, self.atr, self.rms_20 = np.zeros(1), np.zeros(1), np.full(1, RMS_FLOOR)
        self._past = [[0.0] * _KEEP for _ in range(15)]
        self._ranked = [0.0] * SPAN  # the last 256 rms20 in order
        self._highs_lows: list[tuple[float, float]] = []  # of the last 14 bars
        self._bar = (0.0, 0.0, 0.0)  # close, high, low of the bar before
        self._first, self._second = [0.0] * 9, [0.0] * 2
        self._tables: list[tuple[list[float], list[float], list[float], list[float]]] = avg.plain_tables()

    def returns(self, count: int) -> np.ndarray:
        """Return [1,count] f64 the newest log returns, the newest last; count <= 256."""
        return np.array([self._past[0][-count:]])

    def update(self, bars: Bars, sentiment: np.ndarray, clock: tuple[float, float], *, regime: bool = True) -> None:
        """Take in one closed bar; see FeatureBook.update."""
        opened, high, low, close, volume, vwap = (float(column[0]) for column in bars)
        if self.bars_seen == 0:
            self._bar = (close, high, low)
            self._past[14] = [math.log(close)] * _KEEP
        self.bars_seen += 1
        self._remember(high, low, close, volume)
        self._average(high, low, close)
        row = self._prices(opened, high, low, close, volume, vwap) + self._indicators(high, low, close)
        self.raw[:, 0] = (*row, float(sentiment[0]), *clock)
        self._rank()
        if regime:
            self.regime[0] = self._regime(close)
        self._bar = (close, high, low)
        self.close, self.atr = bars.close, np.array((self._first[avg.RANGE_14],))

    def _remember(self, high: float, low: float, close: float, volume: float) -> None:
        """Append to the lists; those of returns hold their squares beside them."""
        past = self._past
        if len(past[0]) >= 2 * _KEEP:
            self._past = past = [values[-_KEEP:] for values in past]
        r, r2, r5, r5_2, r16, r16_2, path, parkinson, closes, volumes, typicals, ups, downs, _, logs = past
        log_close, seen = math.log(close), self.bars_seen - 1
        for lag, moves, squares in ((1, r, r2), (5, r5, r5_2), (16, r16, r16_2)):
            move = log_close - logs[-min(lag, seen)] if seen else 0.0
            moves.append(move)
            squares.append(move * move)
        path.append(abs(r[-1]))
        spread = math.log(high) - math.log(low)
        parkinson.append(spread * spread)
        typical = (high + low + close) / 3.0
        rise = typical - typicals[-1]
        flow = typical * volume if abs(rise) > TIE * typical else 0.0
        ups.append(flow if rise > 0.0 else 0.0)
        downs.append(flow if rise < 0.0 else 0.0)
        closes.append(close)
        volumes.append(volume)
        typicals.append(typical)
        logs.append(log_close)

    def _average(self, high: float, low: float, close: float) -> None:
        """Move all decaying averages one bar on."""
        before, high_before, low_before = self._bar
        decay, gain, decay_2, gain_2 = self._tables[min(self.bars_seen - 1, len(self._tables) - 1)]
        change, up, down = close - before, high - high_before, low_before - low
        moved = max(high, before) - min(low, before)
        values = (
            close, close, close, max(change, 0.0), max(-change, 0.0), moved,
            up if up > down and up > 0.0 else 0.0, down if down > up and down > 0.0 else 0.0, moved,
        )  # fmt: skip
        first = [a * d + g * x for a, d, g, x in zip(self._first, decay, gain, values, strict=True)]
        self._first = first
        plus, minus = first[avg.UP_14], first[avg.DOWN_14]
        staged = (first[avg.EMA12] - first[avg.EMA26], 100.0 * abs(plus - minus) / max(plus + minus, 1e-300))
        self._second = [a * d + g * x for a, d, g, x in zip(self._second, decay_2, gain_2, staged, strict=True)]

    def _prices(
        self, opened: float, high: float, low: float, close: float, volume: float, vwap: float
    ) -> tuple[float, ...]:
        """Return columns 0 to 5."""
        before, usual = math.log(self._bar[0]), sum(self._past[9][-20:]) / 20.0
        log_close = self._past[14][-1]
        return (
            math.log(opened) - before, math.log(high) - before, math.log(low) - before, log_close - before,
            math.log((volume + 1.0) / (usual + 1.0)), math.log(vwap) - log_close,
        )  # fmt: skip

    def _indicators(self, high: float, low: float, close: float) -> tuple[float, ...]:
        """Return columns 6 to 19."""
        past, first, second = self._past, self._first, self._second
        closes, typicals = past[8][-20:], past[10][-20:]
        middle, typical = sum(closes) / 20.0, sum(typicals) / 20.0
        deviation = math.sqrt(sum([(x - middle) ** 2 for x in closes]) / 20.0)
        scatter = sum([abs(x - typical) for x in typicals]) / 20.0
        floor = 1e-12 * close
        up_flow, down_flow = sum(past[11][-14:]), sum(past[12][-14:])
        top, bottom = self._range(high, low)
        macd = first[avg.EMA12] - first[avg.EMA26]
        gain, loss = first[avg.GAIN_14], first[avg.LOSS_14]
        logs = past[14]
        return (
            _quotient(gain - loss, gain + loss, floor),
            macd / close, second[avg.SIGNAL_9] / close, macd / close - second[avg.SIGNAL_9] / close,
            first[avg.RANGE_14] / close,
            _quotient(closes[-1] - middle, 4.0 * deviation, floor), 4.0 * deviation / middle,
            second[avg.ADX_14] / 100.0,
            _quotient(first[avg.UP_14] - first[avg.DOWN_14], first[avg.MOVED_14], floor),
            _quotient(2.0 * close - top - bottom, top - bottom, floor),
            _quotient(typicals[-1] - typical, scatter, floor) / (200.0 * 0.015),
            _quotient(up_flow - down_flow, up_flow + down_flow, floor),
            math.expm1(logs[-1] - logs[-11]),
            logs[-1] - math.log(first[avg.EMA50]),
        )  # fmt: skip

    def _range(self, high: float, low: float) -> tuple[float, float]:
        """Return the highest high and the lowest low of the last 14 bars."""
        past = self._highs_lows
        past.append((high, low))
        if len(past) > 14:
            del past[0]
        return max([bar[0] for bar in past]), min([bar[1] for bar in past])

    def _rank(self) -> None:
        """Add the newest rms20 to the ordered ones and take the oldest out."""
        rms = max(math.sqrt(sum(self._past[1][-20:]) / 20.0), RMS_FLOOR)
        kept = self._past[13]
        kept.append(rms)
        del self._ranked[bisect_right(self._ranked, kept[-SPAN - 1]) - 1]
        insort(self._ranked, rms)
        self.rms_20 = np.array((rms,))

    def _regime(self, close: float) -> tuple[float, ...]:
        """Return the ten regime indicators."""
        past, logs = self._past, self._past[14]
        rms_20 = past[13][-1]
        squares = past[1][-100:]
        sum_100 = sum(squares)
        rms_50 = max(math.sqrt(sum(squares[50:]) / 50.0), RMS_FLOOR)
        rms_100 = max(math.sqrt(sum_100 / 100.0), RMS_FLOOR)
        parkinson = max(math.sqrt(sum(past[7][-20:]) / (20.0 * DOUBLE_LN2)), RMS_FLOOR)
        volumes = past[9][-50:]
        busy = (sum(volumes[-5:]) / 5.0 + 1.0) / (sum(volumes) / 50.0 + 1.0)
        vr5 = _variance_ratio((logs[-1] - logs[-101]) / 100, sum_100, 100, past[2], past[3], 5, UNBIASED_5)
        mean = (logs[-1] - logs[-257]) / 256
        vr16 = _variance_ratio(mean, sum(past[1][-256:]), 256, past[4], past[5], 16, UNBIASED_16)
        return (
            math.tanh(math.log(rms_20 / rms_100)), bisect_right(self._ranked, rms_20) / (0.5 * SPAN) - 1.0,
            math.tanh(math.log(parkinson / rms_20)),
            math.tanh((logs[-1] - logs[-51]) / (2.0 * rms_50 * 50.0**0.5)),
            math.tanh((logs[-1] - logs[-11]) / (rms_20 * 10.0**0.5)),
            (logs[-1] - logs[-21]) / max(sum(past[6][-20:]), RMS_FLOOR), min(vr5 - 1.0, 1.0),
            max(min(math.log(max(vr16, 1e-9)) / LN16, 1.0), -1.0),
            max(close / max(past[8][-100:]) - 1.0, -0.2) / 0.2, math.tanh(math.log(busy)),
        )  # fmt: skip


def _quotient(above: float, below: float, floor: float) -> float:
    return above / below if below > floor else 0.0


def _variance_ratio(
    mean: float, squares: float, n: int, many: list[float], many_2: list[float], q: int, unbiased: float
) -> float:
    """Return VR(q) from the mean and the summed squares of n returns, and q-bar returns and their squares."""
    drift, count = q * mean, n - q + 1
    short = squares - n * mean * mean
    long = sum(many_2[-count:]) - 2.0 * drift * sum(many[-count:]) + count * drift * drift
    return unbiased * long / max(short, RMS_FLOOR * RMS_FLOOR * (n - 1))
