"""Scripted strategies: the yardsticks that learners are measured against. All respect the mask."""

from typing import Final

import numpy as np

from agents.policy import LEGAL_CHOICE, LEGAL_COUNT, mask_bits
from arena.spec import BUY_LARGE, BUY_MEDIUM, BUY_SMALL, COLUMN_INDEX, HOLD, N_ACTIONS, SELL_ALL

STRATEGIES: Final = ("random", "hold", "trend", "meanrev", "oracle")
RANDOM, BUY_AND_HOLD, TREND, MEANREV, ORACLE = range(len(STRATEGIES))

TREND_ENTER: Final = 0.5
TREND_EXIT: Final = -0.5
"""trend: buys above, sells below these values of return_25 (standard deviations over 25 bars).

Log-growth per 1,000 bars at 10 bp a trade, 32 markets x 3,000 bars, drift .0014 / .0028 / 0: thresholds 0
give +.24 / +.83 / -.07, +-.25 +.26 / +.85 / -.04, **+-.5 +.27 / +.84 / -.03**, +-1 +.28 / +.80 / -.01 (each
+-.03, +-.05, +-.02); the oracle makes +.63 / +1.27 / 0.
"""
MEANREV_ENTER: Final = -1.5
MEANREV_EXIT: Final = 0.0
"""meanrev: buys below, sells above these values of return_10. It loses in every market with a drift."""


def _largest_buy() -> np.ndarray:
    table = np.full(2**N_ACTIONS, HOLD, dtype=np.int8)
    bits = np.arange(2**N_ACTIONS)
    for action in (BUY_SMALL, BUY_MEDIUM, BUY_LARGE):
        table[(bits >> action) & 1 > 0] = action
    return table


_LARGEST_BUY: Final = _largest_buy()
_SELL_OR_HOLD: Final = np.where((np.arange(2**N_ACTIONS) >> SELL_ALL) & 1 > 0, SELL_ALL, HOLD).astype(np.int8)


def decide(
    strategy: np.ndarray, obs: np.ndarray, mask: np.ndarray, regime: np.ndarray, u: np.ndarray
) -> np.ndarray:
    """Return actions [N] i8.

    strategy [N] i8 index into STRATEGIES; obs [N,D]; mask [N,A] bool; regime [N] i8, the sign of the
    next bar's true drift (0: none), which only the oracle looks at; u [N,2] f64 in [0, 1).
    """
    bits = mask_bits(mask)
    trend = obs[:, COLUMN_INDEX["return_25"]]
    swing = obs[:, COLUMN_INDEX["return_10"]]
    buy = (
        (strategy == BUY_AND_HOLD)
        | ((strategy == TREND) & (trend > TREND_ENTER))
        | ((strategy == MEANREV) & (swing < MEANREV_ENTER))
        | ((strategy == ORACLE) & (regime > 0))
    )
    sell = (
        ((strategy == TREND) & (trend < TREND_EXIT))
        | ((strategy == MEANREV) & (swing > MEANREV_EXIT))
        | ((strategy == ORACLE) & (regime < 0))
    )
    action = np.where(buy, _LARGEST_BUY[bits], np.where(sell, _SELL_OR_HOLD[bits], np.int8(HOLD)))
    anywhere = LEGAL_CHOICE[bits, (u[:, 1] * LEGAL_COUNT[bits]).astype(np.int64)]
    chosen: np.ndarray = np.where(strategy == RANDOM, anywhere, action)
    return chosen
