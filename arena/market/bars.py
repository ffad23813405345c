"""The closed bar of every market."""

from typing import NamedTuple

import numpy as np


class Bars(NamedTuple):
    """One bar in every market; high >= max(open, close), low <= min(open, close)."""

    open: np.ndarray  # [M] f64, the auction price, cash units a share
    high: np.ndarray  # [M] f64
    low: np.ndarray  # [M] f64
    close: np.ndarray  # [M] f64
    volume: np.ndarray  # [M] f64, shares
    vwap: np.ndarray  # [M] f64, cash units a share
