"""The reward of the trading environment: seven named components and their weights.

u = reference_volatility; every component is clipped to [-5, 5]; the reward is the weighted sum, and the weights, as
given, sum to .90: nothing rescales them.

    profit_and_loss   ln(E_t/E_{t-1}) / u
    transaction_cost  -(fees + slippage) / (E_{t-1} u); slippage is what the fill cost against the reservation price.
                      The profit is already net of it: this counts it once more, on purpose
    time_efficiency   when something is sold: tanh(return of what was sold / (u sqrt(bars held)))
    sharpe            change of tanh((Sharpe - 1)/3): a change, so that a lucky past earns no standing bonus
    drawdown          -(deepening of the drawdown) / u
    position_sizing   -(weight over w*)/w*, w* = min(max_weight, target_volatility/rms20)
    holding           -1 while flat and idle for more than patience_bars
"""

from typing import Final, NamedTuple

import msgspec
import numpy as np

from arena.body.state import some
from arena.envs.trader.config import RewardWeights, TraderConfig

COMPONENTS: Final = tuple(field.name for field in msgspec.structs.fields(RewardWeights))
CLIP: Final = 5.0


class Bar(NamedTuple):
    """What one bar brought, all [M] f64."""

    equity_before: np.ndarray
    equity: np.ndarray
    costs: np.ndarray  # fees and slippage, cash units
    trade_return: np.ndarray  # of what was sold, net; 0 without a sale
    held_bars: np.ndarray  # of what was sold
    sharpe: np.ndarray
    sharpe_before: np.ndarray
    deeper: np.ndarray  # change of the drawdown
    weight: np.ndarray
    rms_20: np.ndarray
    idle: np.ndarray  # bars flat without a trade


def components(bar: Bar, config: TraderConfig) -> np.ndarray:
    """Return [7,M] f64 in the order of COMPONENTS, not yet weighted."""
    unit = config.reference_volatility
    floor = 1e-6 * config.body.endowment
    best = np.minimum(config.body.max_weight, config.target_volatility / bar.rms_20)
    timely = bar.trade_return
    if some(timely):
        timely = timely / (unit * np.sqrt(np.maximum(bar.held_bars, 1.0)))
    squashed = np.tanh(np.array((timely, (bar.sharpe - 1.0) / 3.0, (bar.sharpe_before - 1.0) / 3.0)))
    before = np.maximum(bar.equity_before, floor)
    parts = np.array((
        np.log(np.maximum(bar.equity, floor) / before) / unit,
        -bar.costs / (before * unit),
        squashed[0],
        squashed[1] - squashed[2],
        -np.maximum(bar.deeper, 0.0) / unit,
        -np.maximum(bar.weight / np.maximum(best, 1e-12) - 1.0, 0.0),
        -(bar.idle > config.patience_bars).astype(np.float64),
    ))  # fmt: skip
    clipped: np.ndarray = np.minimum(np.maximum(parts, -CLIP), CLIP)
    return clipped


def weights_of(config: TraderConfig) -> np.ndarray:
    """Return [7,1] f64 in the order of COMPONENTS."""
    return np.array([[getattr(config.rewards, name)] for name in COMPONENTS])
