"""What a trader's own history comes to: ratios, durations, realised profit; plain arrays over markets."""

from dataclasses import dataclass

import numpy as np

from arena.body.accounting import Fills
from arena.body.state import Bodies, some
from arena.envs.trader.columns import RATIO_BARS

STILL = 1e-24
"""A variance of returns below this is rounding: no ratio."""


@dataclass(slots=True)
class Record:
    """The traders' histories; every number is 0 at an episode's start."""

    table: np.ndarray  # [7,M] f64, rows as below

    @classmethod
    def allocate(cls, markets: int) -> "Record":
        """Return the record of M fresh traders."""
        return cls(np.zeros((7, markets)))

    def clear(self, market: int) -> None:
        """Forget one trader's history."""
        self.table[:, market] = 0.0

    @property
    def idle(self) -> np.ndarray:
        """[M] bars since something was held or sold."""
        idle: np.ndarray = self.table[IDLE]
        return idle


BARS, GAIN, SQUARES, DOWNSIDE, IDLE, REALISED, DURATIONS = range(7)
"""Rows: returns so far; sum of the simple returns of equity, of their squares, of the squares of the losses among them;
bars since something was held or sold; profit of closed trades, cash units; bars held, over closed trades."""


def write(record: Record, bodies: Bodies, fills: Fills, equity_before: np.ndarray, held_bars: np.ndarray) -> None:
    """Enter one bar; equity_before, held_bars: [M] as they were when it opened. Call after the accounts were marked."""
    table = record.table
    earned = bodies.equity / equity_before - 1.0
    lost = np.minimum(earned, 0.0)
    one = np.ones(len(earned))
    table[:REALISED] += np.array((one, earned, earned * earned, lost * lost, one))
    busy = (bodies.shares > 0.0) | (fills.sold > 0.0)
    if some(busy):
        table[REALISED] += bodies.closed_profit
        table[DURATIONS] += held_bars * (busy & (bodies.shares <= 0.0))
        table[IDLE] *= ~busy


def ratios(record: Record, bars_per_year: float) -> np.ndarray:
    """Return [2,M] f64, a year's Sharpe and Sortino ratio of the episode so far, 0 before RATIO_BARS bars.

    Sharpe 1994 with the sample's standard deviation; Sortino & Price 1994 with the root of the mean squared loss.
    """
    table = record.table
    bars = np.maximum(table[BARS], RATIO_BARS)
    mean = table[GAIN] / bars
    spread = np.array(((table[SQUARES] - mean * table[GAIN]) / (bars - 1.0), table[DOWNSIDE] / bars))
    says = (spread > STILL) & (table[BARS] >= RATIO_BARS)
    found: np.ndarray = mean * bars_per_year**0.5 / np.sqrt(np.maximum(spread, STILL)) * says
    return found
