"""Streaming indicators: the market columns of the observation, one bar at a time.

At one to eight markets the cost is the number of numpy calls, so everything that decays is one stacked
exponential average, everything that looks back is a slice of one history, and nothing is a running sum: a
window is added up afresh at each bar and an average forgets, so errors do not pile up over millions of bars.
All sums run along the last axis of one market, all else is elementwise: a market's bits depend on its own bars only.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from arena.arrays import plain_if_one
from arena.market.bars import Bars
from arena.senses.regime import filter_step, variance_ratio
from arena.spec import CLIP, COLUMN_INDEX, N_MARKET

SPANS = (1, 2, 5, 10, 25, 50, 100)
EMA_PERIODS = (10, 25, 50, 100)
WILDER_PERIOD = 14
SIGMA_HALF_LIFE = 100
LOOKBACK = 100  # bars before the newest one that any window needs
_RAMP = 2 * SIGMA_HALF_LIFE  # bars after which every average has its own weight
SIGMA_FLOOR = 1e-6  # a market calmer than .0001 % a bar is at rest

_WIDTH = 3 * LOOKBACK  # history is shifted once in _WIDTH - LOOKBACK bars instead of at each
_CLOSE, _HIGH, _VOLUME = range(3)  # rows of the history
_GAIN, _LOSS, _RANGE, _SQUARE = range(len(EMA_PERIODS), len(EMA_PERIODS) + 4)  # rows of the averages
ROOT = np.sqrt(np.array([*SPANS, *EMA_PERIODS, LOOKBACK], dtype=np.float64))[:, None]  # [12,1]
_LAGS = np.array(SPANS)


def _smoothing() -> np.ndarray:
    """Return [_RAMP+1,8] f64: the weight of the newest value by bars seen before; the last row holds for ever.

    Weight 1/n until a period is full, the period's own weight from then on: exactly TA-Lib's seeding, an EMA with the
    simple average of its first closes, Wilder's averages with that of their first 14 changes.
    """
    bars = np.arange(_RAMP + 1)
    table = np.empty((_RAMP + 1, len(EMA_PERIODS) + 4))
    for row, period in enumerate(EMA_PERIODS):
        table[:, row] = np.where(bars < period, 1.0 / (bars + 1), 2.0 / (period + 1))
    changes = np.maximum(bars, 1)  # the first bar has no change: what it leaves is overwritten by the second
    table[:, _GAIN : _RANGE + 1] = np.maximum(1.0 / changes, 1.0 / WILDER_PERIOD)[:, None]
    table[:, _SQUARE] = np.maximum(1.0 / changes, 1.0 - 0.5 ** (1.0 / SIGMA_HALF_LIFE))
    return table


WEIGHTS = _smoothing()


@plain_if_one
def _balance(gain: Any, loss: Any, close: Any) -> Any:
    """Return [M] RSI/50 - 1 from the average gain and loss; 0 without any move."""
    return (gain - loss) / np.maximum(gain + loss, 1e-12 * close)


@plain_if_one
def _location(high: Any, low: Any, close: Any) -> Any:
    """Return [M] where in its range the bar closed, -1 to 1; 0 without a range."""
    return (2.0 * close - high - low) / np.maximum(high - low, 1e-300)


@dataclass(slots=True)
class SensesState:
    """All that the indicators remember; the newest bar of the history is at 100 + (bars_seen - 1) % 200."""

    bars_seen: np.ndarray  # [1] i64
    history: np.ndarray  # [3,M,_WIDTH] f64: ln close, ln high, volume
    averages: np.ndarray  # [8,M] f64: four EMAs, gain, loss, true range, squared return
    p_up: np.ndarray  # [M] f64, the drift filter
    close: np.ndarray  # [M] f64
    sigma: np.ndarray  # [M] f64
    columns: np.ndarray  # [M,N_MARKET] f32, crowding left at 0


class MarketSenses:
    """The indicators of M markets, from their first bar on."""

    def __init__(self, markets: int) -> None:
        """Start blind: before the first bar all columns are 0."""
        self.state = SensesState(
            bars_seen=np.zeros(1, dtype=np.int64),
            history=np.zeros((3, markets, _WIDTH)),
            averages=np.zeros((len(EMA_PERIODS) + 4, markets)),
            p_up=np.full(markets, 0.5),
            close=np.zeros(markets),
            sigma=np.full(markets, SIGMA_FLOOR),
            columns=np.zeros((markets, N_MARKET), dtype=np.float32),
        )

    @property
    def close(self) -> np.ndarray:
        """[M] f64, the newest close, cash units; a view that the next `update` overwrites."""
        return self.state.close

    @property
    def sigma(self) -> np.ndarray:
        """[M] f64, `sd` of the column table: the standard deviation of one bar's log return; a view."""
        return self.state.sigma

    @property
    def atr(self) -> np.ndarray:
        """[M] f64, ATR14, cash units; a view."""
        range_: np.ndarray = self.state.averages[_RANGE]
        return range_

    def update(self, bars: Bars) -> None:
        """Take in one closed bar of every market; prices above 0, volume at least 0, all finite."""
        state = self.state
        seen = int(state.bars_seen[0])
        logs = np.log(np.array((bars.close, bars.high, bars.low)))  # [3,M]
        before = bars.close if seen == 0 else state.close
        newest = self._remember(seen, logs, bars.volume)
        change = logs[0] - state.history[_CLOSE, :, newest - min(seen, 1)]
        self._average(seen, bars, before, change)
        np.sqrt(state.averages[_SQUARE], out=state.sigma)
        np.maximum(state.sigma, SIGMA_FLOOR, out=state.sigma)
        z = np.minimum(np.maximum(change / state.sigma, -CLIP), CLIP)
        state.p_up[...] = filter_step(state.p_up, z)
        state.close[...] = bars.close
        state.bars_seen[0] = seen + 1
        self._refresh(bars, logs, newest, seen)

    def columns(self, crowding: np.ndarray) -> np.ndarray:
        """Return [M,N_MARKET] f32, a fresh array; crowding: [M] f64, share of the living that hold shares."""
        columns = self.state.columns.copy()
        columns[:, COLUMN_INDEX["crowding"]] = 2.0 * crowding - 1.0
        return columns

    def _remember(self, seen: int, logs: np.ndarray, volume: np.ndarray) -> int:
        """Append to the history; return the index of the newest bar in it."""
        history = self.state.history
        free = _WIDTH - LOOKBACK
        newest = LOOKBACK + seen % free
        if newest == LOOKBACK:
            history[:, :, :LOOKBACK] = history[:, :, free:]
        history[:_VOLUME, :, newest] = logs[:2]
        history[_VOLUME, :, newest] = volume
        return newest

    def _average(self, seen: int, bars: Bars, before: np.ndarray, change: np.ndarray) -> None:
        """Move all exponential averages one bar on."""
        averages = self.state.averages
        step = np.empty_like(averages)
        step[: len(EMA_PERIODS)] = bars.close
        rise = bars.close - before
        np.maximum(rise, 0.0, out=step[_GAIN])
        np.subtract(step[_GAIN], rise, out=step[_LOSS])
        np.subtract(np.maximum(bars.high, before), np.minimum(bars.low, before), out=step[_RANGE])
        np.multiply(change, change, out=step[_SQUARE])
        step -= averages
        step *= WEIGHTS[min(seen, _RAMP)][:, None]
        averages += step

    def _refresh(self, bars: Bars, logs: np.ndarray, newest: int, seen: int) -> None:
        """Compute every column but crowding; `seen` bars came before the newest one."""
        state = self.state
        sigma, averages = state.sigma, state.averages
        back = min(seen, LOOKBACK)
        closes = state.history[_CLOSE, :, newest - back : newest + 1]  # [M,back+1]
        reference = np.empty((len(ROOT), len(sigma)))  # [12,M], log prices that the close is compared with
        reference[: len(SPANS)] = closes.take(back - np.minimum(_LAGS, back), axis=1).T
        reference[len(SPANS) : -1] = averages[: len(EMA_PERIODS)]
        np.log(reference[len(SPANS) : -1], out=reference[len(SPANS) : -1])
        highs = state.history[_HIGH, :, newest - min(seen, LOOKBACK - 1) : newest + 1]
        np.maximum.reduce(highs, axis=1, out=reference[-1])
        gaps = (logs[0] - reference) / (ROOT * sigma)

        work = np.zeros((N_MARKET, len(sigma)))  # in the order of arena.spec.MARKET_COLUMNS
        work[:11] = gaps[:-1]
        work[11] = 2.0 * state.p_up - 1.0
        work[12] = _balance(averages[_GAIN], averages[_LOSS], bars.close)
        work[13] = averages[_RANGE] / (bars.close * sigma) - 1.0
        work[14] = self._volatility_ratio(closes, sigma)
        work[15] = variance_ratio(closes, 5, SIGMA_FLOOR)
        work[16] = gaps[-1]
        work[17] = (logs[1] - logs[2]) / sigma - 1.5
        work[18] = _location(bars.high, bars.low, bars.close)
        work[19] = self._volume_ratio(newest, seen)
        np.maximum(work, -CLIP, out=work)
        np.minimum(work, CLIP, out=work)
        state.columns[...] = work.T

    @staticmethod
    def _volatility_ratio(closes: np.ndarray, sigma: np.ndarray) -> np.ndarray:
        """Return [M] ln(root mean square of the last 20 returns / sigma)."""
        last = closes[:, -21:]
        returns = last[:, 1:] - last[:, :-1]
        mean = np.add.reduce(returns * returns, axis=1) / max(returns.shape[1], 1)
        ratio: np.ndarray = np.log(np.maximum(np.sqrt(mean), SIGMA_FLOOR) / sigma)
        return ratio

    def _volume_ratio(self, newest: int, seen: int) -> np.ndarray:
        """Return [M] ln((SMA5 + 1)/(SMA50 + 1)) of the volume."""
        volume = self.state.history[_VOLUME]
        short, long = min(seen + 1, 5), min(seen + 1, 50)
        recent = np.add.reduce(volume[:, newest + 1 - short : newest + 1], axis=1) / short
        usual = np.add.reduce(volume[:, newest + 1 - long : newest + 1], axis=1) / long
        ratio: np.ndarray = np.log((recent + 1.0) / (usual + 1.0))
        return ratio
