"""Two statements about the regime: which way prices drift, and whether moves persist.

Both are pure functions of arrays; the caller keeps the state.
"""

from typing import Any

import numpy as np

from arena.arrays import plain_if_one

STAY = 0.99
"""Probability that the hidden drift keeps its sign from one bar to the next."""

DRIFT = 0.14
"""Size of the hidden drift in units of the standard deviation of a bar's return."""


@plain_if_one
def filter_step(p_up: Any, z: Any) -> Any:
    """Return P(drift is up | returns up to z), given p_up = P(up | returns before z).

    p_up: [M] f64 in [0, 1]; z: [M] f64, the newest return in standard deviations -> [M] f64.
    One step of the two-state filter of Hamilton (1989): predict with STAY, then weigh both states by
    the density of z under a drift of +-DRIFT. The density is Student-t with 4 degrees of freedom and unit
    variance, f(z) ~ (2 + z^2)^(-5/2): with the normal density one outlier would drown many bars.
    """
    prior = (2.0 * STAY - 1.0) * p_up + (1.0 - STAY)
    rise, fall = z - DRIFT, z + DRIFT
    ratio = (fall * fall + 2.0) / (rise * rise + 2.0)
    odds = ratio * ratio * np.sqrt(ratio) * prior  # f(z | up) / f(z | down) x P(up)
    return odds / (odds + (1.0 - prior))


def variance_ratio(log_close: np.ndarray, q: int, floor: float) -> np.ndarray:
    """Return VR(q) - 1 of the closes in the window: above 0 when moves persist, below when they revert.

    log_close: [M,n+1] f64 -> [M] f64, unbounded. Lo & MacKinlay 1988, overlapping q-bar returns, both variances
    unbiased. 0 with fewer than 2q returns; a standard deviation under `floor` a bar counts as `floor`.
    """
    n = log_close.shape[1] - 1
    if n < 2 * q:
        return np.zeros(len(log_close))
    mean = (log_close[:, -1:] - log_close[:, :1]) / n  # [M,1]
    one = log_close[:, 1:] - log_close[:, :-1] - mean  # [M,n]
    many = log_close[:, q:] - log_close[:, :-q] - q * mean  # [M,n-q+1]
    # np.add.reduce along the contiguous axis adds each row in the same order however many rows there are.
    short = np.add.reduce(one * one, axis=1)
    long = np.add.reduce(many * many, axis=1)
    long *= (n - 1) / (q * (n - q + 1) * (1.0 - q / n))
    excess: np.ndarray = (long - short) / np.maximum(short, floor * floor * (n - 1))
    return excess
