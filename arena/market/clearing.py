"""The uniform-price call auction against a log-linear background supply, in closed form.

Agents send cash to spend B and shares to sell S; the house sells shares for Lambda (ln p - m) cash, so the
auction clears where B - S p = Lambda (ln p - m). In units of the depth, b = B/Lambda and
s = S e^m/Lambda, the offset x = ln p - m solves b - s e^x = x, that is x = b - W0(s e^b). The depth is in cash,
so that the same notional moves every price by the same fraction. The permanent impact is log-linear because
a square-root one, for example, admits riskless round trips (Huberman & Stanzl 2004); that this form admits
none at a constant reservation price is shown in docs/decisions/0003-market.md.
"""

from typing import Any, NamedTuple

import numpy as np

from arena.arrays import plain_if_one

_TINY = 1e-300
HALLEY_STEPS = 3
"""Of Halley's iteration for one auction."""


class Clearing(NamedTuple):
    """The result of one auction in every market."""

    price: np.ndarray  # [M] f64, one price for all, cash units a share
    log_price: np.ndarray  # [M] f64
    buy_fill: np.ndarray  # [M] f64, share of the buyers' cash that is spent, 0..1
    sell_fill: np.ndarray  # [M] f64, share of the offered shares that is sold, 0..1
    collared: np.ndarray  # [M] bool, the price stopped at the collar


def lambert_w0(z: np.ndarray) -> np.ndarray:
    """Return [M] f64, the principal branch W0(z) of w e^w = z, for z [M] >= 0.

    Source: Corless et al. 1996, "On the Lambert W function", section 5 (Halley's iteration).
    """
    w = np.log1p(z)
    w = np.where(w > 3.0, w - 0.5 * np.log(np.maximum(w, 1.0)), w)
    root: np.ndarray = -_halley(-w, 0.0, z, 4)
    return root


def _halley(x: Any, b: Any, s: Any, steps: int) -> Any:
    """Return [M] f64, the solution of b - s e^x = x from the start x, after a fixed number of steps.

    A fixed number, so that a market never depends on its neighbours. No in-place operators: on arrays of
    one element numpy takes three times as long for them.
    """
    for _ in range(steps):
        g = s * np.exp(x)
        f = b - g - x
        slope = g + 1.0
        x = x + f / (slope + 0.5 * f * (g / slope))
    return x


@plain_if_one
def _offset(b: Any, s: Any) -> Any:
    """Return [M] f64, x = b - W0(s e^b) to the last bits where |x| <= 1, and beyond 1 on the right side of it.

    Solved for x itself: e^b may overflow, and b - W0 cancels in a balanced auction. The start is Newton's
    step from the reservation price, which errs by x^2 / 2 and never to the left.
    """
    b = np.minimum(b, 3.0 * s + 500.0)  # a larger purchase is as far beyond 1, and would overflow e^x
    return _halley((b - s) / (1.0 + s), b, s, HALLEY_STEPS)


def clear(m: np.ndarray, depth: np.ndarray, collar: float, buy_cash: np.ndarray, sell_shares: np.ndarray) -> Clearing:
    """Clear one auction in every market.

    m: [M] log reservation price. depth: [M] Lambda, cash units per unit of log price, inf for no impact.
    collar: largest |ln p - m|, at most 1. buy_cash: [M] cash units net of fees, >= 0. sell_shares: [M] >= 0.
    """
    b = buy_cash / depth
    s = sell_shares * np.exp(m) / depth
    x = _offset(b, s)
    collared = np.abs(x) > collar
    if not np.logical_or.reduce(collared):
        log_price = m + x
        return Clearing(np.exp(log_price), log_price, np.ones(len(m)), np.ones(len(m)), collared)
    x = np.clip(x, -collar, collar)
    offered = s * np.exp(x)  # the shares on sale, in cash and units of the depth, like b
    # The house takes the collar's worth on its side; what is left of the heavy side goes unfilled, pro rata.
    for_buyers, for_sellers = x + offered, b - x
    buy_fill = np.where(collared & (x > 0.0), for_buyers / np.maximum(np.maximum(b, for_buyers), _TINY), 1.0)
    sell_fill = np.where(collared & (x < 0.0), for_sellers / np.maximum(np.maximum(offered, for_sellers), _TINY), 1.0)
    log_price = m + x
    return Clearing(np.exp(log_price), log_price, buy_fill, sell_fill, collared)
