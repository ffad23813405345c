"""What `record`, `rewards7` and `Desk` compute for many traders, in plain floats for one: six times as fast.

The array forms are the reference; tests/test_solo.py plays both side by side. Formulas: there.
"""

import math

import numpy as np

from arena.body.accounting import Fills
from arena.body.state import Bodies
from arena.envs.rewards7 import CLIP
from arena.envs.trader.columns import PORTFOLIO, POSITION, RATIO_BARS
from arena.envs.trader.config import TraderConfig
from arena.envs.trader.record import STILL, Record

_BOUNDS = tuple((one.low, one.high) for one in (*POSITION, *PORTFOLIO))


def write(record: Record, bodies: Bodies, fills: Fills, equity_before: float, held_bars: float) -> None:
    """Enter one bar: record.write."""
    bars, gain, squares, downside, idle, realised, durations = record.table[:, 0].tolist()
    earned = float(bodies.equity[0]) / equity_before - 1.0
    lost = min(earned, 0.0)
    held, sold = bodies.shares[0] > 0.0, fills.sold[0] > 0.0
    if held or sold:
        realised += float(bodies.closed_profit[0])
        durations += 0.0 if held else held_bars
    idle = 0.0 if held or sold else idle + 1.0
    record.table[:, 0] = (
        bars + 1.0, gain + earned, squares + earned * earned, downside + lost * lost, idle, realised, durations,
    )  # fmt: skip


def ratios(record: Record, bars_per_year: float) -> np.ndarray:
    """Return [2,1] f64: record.ratios."""
    bars, gain, squares, downside = record.table[:4, 0].tolist()
    if bars < RATIO_BARS:
        return np.zeros((2, 1))
    mean = gain / bars
    spread = ((squares - mean * gain) / (bars - 1.0), downside / bars)
    scale = mean * bars_per_year**0.5
    return np.array([[scale / math.sqrt(one) if one > STILL else 0.0] for one in spread])


def components(bar: tuple[float, ...], config: TraderConfig) -> np.ndarray:
    """Return [7,1] f64: rewards7.components; bar: the numbers of a rewards7.Bar, in its order."""
    before, equity, costs, trade_return, held_bars, sharpe, sharpe_before, deeper, weight, rms_20, idle = bar
    unit = config.reference_volatility
    floor = 1e-6 * config.body.endowment
    before = max(before, floor)
    best = max(min(config.body.max_weight, config.target_volatility / rms_20), 1e-12)
    timely = math.tanh(trade_return / (unit * math.sqrt(max(held_bars, 1.0)))) if trade_return else 0.0
    parts = (
        math.log(max(equity, floor) / before) / unit,
        -costs / (before * unit),
        timely,
        math.tanh((sharpe - 1.0) / 3.0) - math.tanh((sharpe_before - 1.0) / 3.0),
        -max(deeper, 0.0) / unit,
        -max(weight / best - 1.0, 0.0),
        -1.0 if idle > config.patience_bars else 0.0,
    )
    return np.array([[min(max(part, -CLIP), CLIP)] for part in parts])


def blocks(bodies: Bodies, record: Record, ratio: np.ndarray, close: float, endowment: float) -> np.ndarray:
    """Return [1,13] f32, position and portfolio: Desk's blocks."""
    equity, shares = float(bodies.equity[0]), float(bodies.shares[0])
    held, trades = shares > 0.0, int(bodies.closed_trades[0])
    entry = float(bodies.entry_price[0]) if held else close
    realised, durations = record.table[5:7, 0].tolist()
    closed = max(trades, 1)
    row = (
        entry / close - 1.0, shares * close / max(equity, 1e-9), close / entry - 1.0,
        (float(bodies.holding_ticks[0]) + 1.0) / 240.0 if held else 0.0, 1.0 if held else 0.0,
        math.log(max(equity / endowment, 1e-3)), float(bodies.drawdown[0]),
        math.tanh(float(ratio[0, 0]) / 3.0), math.tanh(float(ratio[1, 0]) / 3.0), realised / endowment,
        math.log1p(trades) / 7.0, durations / (240.0 * closed), float(bodies.won_trades[0]) / closed,
    )  # fmt: skip
    within = [[min(max(value, low), high) for value, (low, high) in zip(row, _BOUNDS, strict=True)]]
    return np.array(within, dtype=np.float32)
