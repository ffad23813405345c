"""Fundamentalists and chartists: the structural stochastic volatility model behind the default market.

Franke & Westerhoff 2012, "Structural stochastic volatility in asset pricing dynamics: estimation and
model contest", Journal of Economic Dynamics and Control 36, variant DCA-HPM (discrete choice; herding,
predisposition, misalignment), estimated on the daily S&P 500. See docs/decisions/0003-market.md for
where the constants were checked.
"""

from typing import Any, Final

import numpy as np

from arena.arrays import plain_if_one

MU: Final = 0.01  # price impact of the traders' net demand
BETA: Final = 1.0  # intensity of choice
PHI: Final = 0.12  # fundamentalists' pull towards the value
CHI: Final = 1.50  # chartists' extrapolation of the last return
SIGMA_F: Final = 0.758  # demand noise of the fundamentalists
SIGMA_C: Final = 2.087  # demand noise of the chartists
ALPHA_0: Final = -0.327  # predisposition
ALPHA_N: Final = 1.79  # herding
ALPHA_P: Final = 18.43  # misalignment


def noise_scales() -> np.ndarray:
    """Return [2] f64: standard deviation of the log price move of a pure population of either kind."""
    return MU * np.array([SIGMA_F, SIGMA_C])


def resting_share() -> float:
    """Return the share of fundamentalists that reproduces itself at the fundamental value."""
    share = 0.5
    for _ in range(200):
        share = float(1.0 / (1.0 + np.exp(-BETA * (ALPHA_0 + ALPHA_N * (2.0 * share - 1.0)))))
    return share


@plain_if_one
def next_share(share: Any, gap: Any) -> Any:
    """Return [M], the share of fundamentalists of the next bar; gap: [M] value - log price."""
    a = (ALPHA_P * BETA) * gap * gap + (2.0 * ALPHA_N * BETA) * share + BETA * (ALPHA_0 - ALPHA_N)
    return 1.0 / (1.0 + np.exp(-a))


@plain_if_one
def expected_move(share: Any, gap: Any, last_return: Any) -> Any:
    """Return [M], the log price move of the traders' expected demand over a whole bar."""
    chartist = (MU * CHI) * last_return
    return chartist + share * ((MU * PHI) * gap - chartist)
