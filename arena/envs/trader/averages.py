"""The decaying averages behind the features: one stacked recursion, seeded as TA-Lib seeds each of them.

a_t = DECAY[t] a_{t-1} + GAIN[t] x_t, a row of both tables a bar since the first; the last row holds for ever.
"""

from typing import Final

import numpy as np

EMA12, EMA26, EMA50, GAIN_14, LOSS_14, RANGE_14, UP_14, DOWN_14, MOVED_14 = range(9)
"""Rows of the first stage; MOVED_14 is the true range as the directional indicators smooth it."""
SIGNAL_9, ADX_14 = range(2)
"""Rows of the second stage, which averages what the first one gives."""

_BARS: Final = 64
MACD_START: Final = 25
"""The bar of the first MACD: both of its EMAs begin here with the mean of their own period's closes."""
DX_START: Final = 14


def _mean_then(first: int, period: int, weight: float) -> tuple[np.ndarray, np.ndarray]:
    """Return decay and gain [_BARS+1]: the plain mean of `period` values from bar `first` on, then `weight`."""
    count = np.maximum(np.arange(_BARS + 1) - first + 1, 1)
    gain = np.where(count <= period, 1.0 / count, weight)
    return 1.0 - gain, gain


def _wilder_sum() -> tuple[np.ndarray, np.ndarray]:
    """Return decay and gain of Wilder's sums / 14: bars 1..13 are added up, only then does the sum decay."""
    bars = np.arange(_BARS + 1)
    return np.where(bars < 14, 1.0, 13.0 / 14.0), np.where(bars > 0, 1.0 / 14.0, 0.0)


def _table(rows: list[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """Return [_BARS+1,2,K,1]: decay and gain of K averages."""
    table: np.ndarray = np.array(rows).transpose(2, 1, 0)[..., None].copy()
    return table


_WILDER = _mean_then(1, 14, 1.0 / 14.0)
_FIRST: Final = _table([
    _mean_then(MACD_START - 11, 12, 2.0 / 13.0), _mean_then(0, 26, 2.0 / 27.0), _mean_then(0, 50, 2.0 / 51.0),
    _WILDER, _WILDER, _WILDER, _wilder_sum(), _wilder_sum(), _wilder_sum(),
])  # fmt: skip
_SECOND: Final = _table([_mean_then(MACD_START, 9, 0.2), _mean_then(DX_START, 14, 1.0 / 14.0)])


def first_stage(averages: np.ndarray, values: np.ndarray, bar: int) -> None:
    """Move averages [9,M] on by values [9,M] of bar number `bar`."""
    decay, gain = _FIRST[min(bar, _BARS)]
    averages *= decay
    averages += gain * values


def second_stage(averages: np.ndarray, values: np.ndarray, bar: int) -> None:
    """Move averages [2,M] on by the MACD and the DX [2,M] of bar number `bar`; earlier values than the first fade."""
    decay, gain = _SECOND[min(bar, _BARS)]
    averages *= decay
    averages += gain * values


def plain_tables() -> list[tuple[list[float], list[float], list[float], list[float]]]:
    """Return decay and gain of the first stage and of the second as lists, a tuple for each bar."""
    return [
        (*(one[:, 0].tolist() for one in first), *(one[:, 0].tolist() for one in second))
        for first, second in zip(_FIRST, _SECOND, strict=True)
    ]
