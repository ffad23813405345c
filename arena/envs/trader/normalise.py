"""Normalisation: each row of features once, when its bar closes, by the rows of its own trailing window.

A row that has been normalised is never touched again, so nothing later can reach into it.
"""

from typing import Final

import numpy as np

from arena.envs.trader.columns import N_FEATURES, N_ROWS, TIMELESS
from arena.envs.trader.config import Normalisation

CLIP: Final = 5.0
_TINY: Final = 1e-8
_SCALED: Final = len(TIMELESS)  # the temporal columns come last and pass as they are
_NORMAL_IQR: Final = 1.349
"""Interquartile range of the standard normal law."""


def bound(mode: Normalisation) -> float:
    """Return what every column is kept within."""
    return 1.0 if mode == "minmax" else CLIP


def normalise(window: np.ndarray, mode: Normalisation) -> np.ndarray:
    """Return the newest row [21,M] of a window in units of the window; window: [2,21,M,W], values and their squares.

    zscore: (x - mean)/(sd + 1e-8), within 5; minmax: 2 (x - min)/(max - min + 1e-8) - 1; robust: (x - median)/
    (interquartile range/1.349 + 1e-8), within 5, quartiles by linear interpolation. The variance is the mean square
    less the squared mean: features are of the size of their own deviations, so hardly a digit is lost.
    """
    values = window[0]
    newest = values[:, :, -1]
    if mode == "minmax":
        low, high = np.minimum.reduce(values, axis=2), np.maximum.reduce(values, axis=2)
        scaled: np.ndarray = 2.0 * (newest - low) / (high - low + _TINY) - 1.0
        return scaled
    if mode == "zscore":
        centre, square = np.add.reduce(window, axis=3) / window.shape[3]
        unit = np.sqrt(np.maximum(square - centre * centre, 0.0))
    else:
        lower, centre, upper = _quartiles(values)
        unit = (upper - lower) / _NORMAL_IQR
    within: np.ndarray = np.minimum(np.maximum((newest - centre) / (unit + _TINY), -CLIP), CLIP)
    return within


def _quartiles(window: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the three quartiles [21,M] each."""
    places = np.array((0.25, 0.5, 0.75)) * (window.shape[2] - 1)
    below = places.astype(np.int64)
    part = np.partition(window, np.unique((below, below + 1)), axis=2)
    low, high = part[:, :, below], part[:, :, np.minimum(below + 1, window.shape[2] - 1)]
    lower, centre, upper = np.moveaxis(low + (high - low) * (places - below), 2, 0)
    return lower, centre, upper


class RowBook:
    """The last 24 normalised rows of M markets."""

    def __init__(self, markets: int, window: int, mode: Normalisation) -> None:
        """Start empty; `window` bars, the newest included, decide a row's units."""
        self._mode: Normalisation = mode
        self._window = window
        self._width = 3 * max(window, N_ROWS)
        self._raw = np.zeros((2, _SCALED, markets, self._width))  # values and their squares
        self._rows = np.zeros((markets, self._width, N_FEATURES), dtype=np.float32)
        self._next = 0

    def add(self, raw: np.ndarray, *, scaled: bool = True) -> None:
        """Take in the features [23,M] of a closed bar; `scaled` False only keeps them for later windows."""
        if self._next == self._width:
            keep = max(self._window, N_ROWS)
            self._raw[..., :keep] = self._raw[..., -keep:]
            self._rows[:, :keep] = self._rows[:, -keep:]
            self._next = keep
        at = self._next
        values = raw[:_SCALED]
        self._raw[0, ..., at] = values
        self._raw[1, ..., at] = values * values
        self._next = at + 1
        if scaled:
            row = self._rows[:, at]
            row[:, :_SCALED] = normalise(self._raw[..., at + 1 - self._window : at + 1], self._mode).T
            row[:, _SCALED:] = raw[_SCALED:].T

    def rows(self) -> np.ndarray:
        """Return [M,24,23] f32, a fresh array, the oldest row first."""
        return self._rows[:, self._next - N_ROWS : self._next].copy()

    def newest(self) -> np.ndarray:
        """Return [M,23] f32, the newest normalised row; a view."""
        return self._rows[:, self._next - 1]
