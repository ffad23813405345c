"""The reward of one tick as a named sum; nothing else in the project defines one.

`log_equity`: log-equity change net of all costs, in units of the reference volatility, less parts for a
deeper drawdown, for new scars and for ruin; the weights are genes. Losses are not weighted twice: 2:1 loss
aversion a tick makes "never trade" optimal unless the per-tick Sharpe ratio exceeds .27. With a benchmark weight b the
market's own log return is taken off b times: no action changes it, so the order of actions stays, but half of the
noise goes at b = .5, because a tick in cash then says as much about the market as a tick in shares (a baseline, as in
Williams 1992; docs/decisions/0008-learning.md).
`lineage5`: capital gain, capital loss (2:1, on closed trades only), drawdown, scars, win rate and bankruptcy.
"""

from typing import Final, NamedTuple

import numpy as np

from arena.body.state import APPRENTICE, Bodies
from arena.config import RewardConfig

PARTS: Final = {
    "log_equity": ("growth", "benchmark", "drawdown", "scar", "ruin"),
    "lineage5": ("capital_gain", "capital_loss", "drawdown", "scar", "win_rate", "ruin"),
}
FLOOR: Final = 1e-3
"""Equity counts as at least this share of the endowment."""
_LINEAGE5_UNIT: Final = 100.0  # cash units of profit at an endowment of 10,000 that earn one point
_LINEAGE5_ENDOWMENT: Final = 10_000.0
_LINEAGE5_RUIN: Final = 10.0
_NOTHING: Final = np.zeros(0)


class Before(NamedTuple):
    """What the reward needs to remember from before the tick."""

    drawdown: np.ndarray  # [P]
    win_rate: np.ndarray  # [P]; empty unless the preset is lineage5
    scars: np.ndarray  # [P] scars in life; empty unless the preset is lineage5


def win_rate(bodies: Bodies) -> np.ndarray:
    """Return [P] won over closed trades of the present account (paper while an apprentice), 0 without trades."""
    paper = bodies.status == APPRENTICE
    closed = np.where(paper, bodies.paper_trades, bodies.closed_trades)
    won = np.where(paper, bodies.paper_wins, bodies.won_trades)
    rate: np.ndarray = won / np.maximum(closed, 1)
    return rate


def before(bodies: Bodies, config: RewardConfig) -> Before:
    """Remember what the reward compares with."""
    drawdown = bodies.drawdown.copy()
    if config.preset != "lineage5":
        return Before(drawdown, _NOTHING, _NOTHING)
    return Before(drawdown, win_rate(bodies), bodies.scars.copy())


def reward_parts(
    bodies: Bodies,
    past: Before,
    ruined: np.ndarray,
    market_return: np.ndarray,
    endowment: float,
    config: RewardConfig,
) -> np.ndarray:
    """Return [P,K] the parts named in PARTS[config.preset]; the reward is their clipped sum.

    ruined: [P] bool, the account was lost in this tick. market_return: [P] or [1], log return of each seat's market.
    Call after the accounts were marked; it closes the books of the tick: the next reward is measured from the
    present equity.
    """
    floor = FLOOR * endowment
    growth = np.log(np.maximum(bodies.equity, floor) / np.maximum(bodies.reward_equity, floor))
    deeper = np.maximum(bodies.drawdown - past.drawdown, 0.0)
    points = bodies.pending_scar_points
    parts = np.empty((len(PARTS[config.preset]), len(growth)))
    if config.preset == "log_equity":
        unit = 1.0 / config.reference_volatility
        np.multiply(growth, unit, out=parts[0])
        parts[1] = np.where(bodies.agent_id >= 0, -(config.benchmark_weight * market_return) * unit, -0.0)
        np.negative(bodies.reward_weights.T, out=parts[2:])
        parts[2] *= deeper
        parts[2] *= unit
        parts[3] *= points
        parts[4] *= ruined
    else:
        profit = bodies.closed_profit / _LINEAGE5_UNIT * (_LINEAGE5_ENDOWMENT / endowment)
        parts[:] = (
            np.maximum(profit, 0.0),
            2.0 * np.minimum(profit, 0.0),
            -10.0 * deeper,
            -1.0 * np.maximum(bodies.scars - past.scars, points > 0.0),
            2.0 * (win_rate(bodies) - past.win_rate),
            -_LINEAGE5_RUIN * ruined,
        )
    bodies.reward_equity[:] = bodies.equity
    bodies.pending_scar_points.fill(0.0)
    return parts.T  # column by column in memory: numpy is slow at summing rows of four


def total(parts: np.ndarray, config: RewardConfig) -> np.ndarray:
    """Return [P] f32 the clipped sum of the parts [P,K]."""
    summed = np.add.reduce(parts, axis=1)
    np.maximum(summed, -config.clip, out=summed)
    np.minimum(summed, config.clip, out=summed)
    clipped: np.ndarray = summed.astype(np.float32)
    return clipped
