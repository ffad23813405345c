"""Value at risk of one bar, and correlation: what a risk manager asks before a trade.

A portfolio of K instruments is asked through the returns that its present weights would have earned: their variance is
w' Sigma w, so one function answers for one instrument and for many. A loss is positive; a gain at that confidence is 0.
Source: Jorion 2006, "Value at Risk", chapters 5, 10 and 12.
"""

from statistics import NormalDist

import numpy as np

from arena.envs.trader.config import RiskLimits
from arena.rng import stream

_FLAT = 1e-12
"""A standard deviation of returns below this says nothing about correlation."""


def standard_draws(seed: int, tail_df: float, limits: RiskLimits) -> np.ndarray:
    """Return [var_draws] f64 of unit-variance Student-t shocks: the law of the default market's own."""
    rng = stream(seed, "value at risk")
    draws: np.ndarray = rng.standard_t(tail_df, limits.var_draws) * np.sqrt((tail_df - 2.0) / tail_df)
    return draws


def value_at_risk(returns: np.ndarray, limits: RiskLimits, draws: np.ndarray) -> np.ndarray:
    """Return [N] f64, the loss in one bar that is not exceeded with limits.var_confidence, as a share; at least 0.

    returns: [N,n] f64, n returns of each of N portfolios. draws: see `standard_draws`; monte_carlo only. historical:
    the percentile of the returns, linearly interpolated; variance_covariance: normal with their mean and sample
    standard deviation; monte_carlo: the percentile of shocks scaled to both.
    """
    tail = 1.0 - limits.var_confidence
    if limits.var_method == "historical":
        worst = np.percentile(returns, 100.0 * tail, axis=1)
    else:
        normal = limits.var_method == "variance_covariance"
        shock = NormalDist().inv_cdf(tail) if normal else float(np.percentile(draws, 100.0 * tail))
        worst = returns.mean(axis=1) + shock * returns.std(axis=1, ddof=1)
    loss: np.ndarray = np.maximum(-worst, 0.0)
    return loss


def correlations(returns: np.ndarray) -> np.ndarray:
    """Return [K,K] f64, Pearson's correlation of returns [K,n]; 0 with an instrument that does not move."""
    away = returns - returns.mean(axis=1, keepdims=True)
    size = np.sqrt((away * away).sum(axis=1))
    moving = size > _FLAT * np.sqrt(returns.shape[1])
    unit = np.where(moving[:, None], away / np.where(moving, size, 1.0)[:, None], 0.0)
    found: np.ndarray = unit @ unit.T
    return found
