"""The uniform-price call auction against a log-linear background supply, in closed form.

Agents send cash to spend B and shares to sell S; the house sells lambda (ln p - m) shares, so the
auction clears where B/p - S = lambda (ln p - m). In units of the depth, b = B/(lambda e^m) and
s = S/lambda, the offset x = ln p - m solves (x + s) e^x = b, that is x = W0(b e^s) - s. The permanent
impact is log-linear because every other form admits riskless round trips (Huberman & Stanzl 2004).
"""

from typing import NamedTuple

import numpy as np

_HALLEY_STEPS = 4


class Clearing(NamedTuple):
    """The result of one auction in every market."""

    price: np.ndarray  # [M] f64, one price for all, cash units a share
    log_price: np.ndarray  # [M] f64
    buy_fill: np.ndarray  # [M] f64, share of the buyers' cash that is spent, 0..1
    sell_fill: np.ndarray  # [M] f64, share of the offered shares that is sold, 0..1
    collared: np.ndarray  # [M] bool, the price stopped at the collar


def lambert_w0(z: np.ndarray, shift: np.ndarray) -> np.ndarray:
    """Return [M] f64, W0(z e^shift) - shift, for z [M] >= 0 and shift [M] >= 0; plain W0(z) where shift is 0.

    Solving for the difference keeps e^shift from overflowing and the small offset of a balanced
    auction from cancelling. Always four Halley steps, so that a row never depends on its neighbours.
    Source: Corless et al. 1996, "On the Lambert W function", section 5 (Halley's iteration).
    """
    x: np.ndarray = np.log(np.exp(-shift) + z)  # log1p(z) where the shift is 0
    w = x + shift
    if np.maximum.reduce(w) > 3.0:  # rows below 3 subtract an exact 0
        x = x - 0.5 * np.log(np.maximum(w, 1.0)) * (w > 3.0)
    # No in-place operators here: on arrays of one element numpy takes three times as long for them.
    one, half = np.ones(len(z)), np.full(len(z), 0.5)
    for _ in range(_HALLEY_STEPS):
        g = z * np.exp(-x)
        f = g - x - shift
        slope = g + one
        x = x + f / (slope - half * f * g / slope)
    return x


def clear(
    m: np.ndarray, depth: np.ndarray, collar: float, buy_cash: np.ndarray, sell_shares: np.ndarray
) -> Clearing:
    """Clear one auction in every market.

    m: [M] log reservation price. depth: [M] lambda, shares per unit of log price, inf for no impact.
    collar: largest |ln p - m|. buy_cash: [M] cash units net of fees, >= 0. sell_shares: [M] >= 0.
    """
    b = buy_cash * np.exp(-m) / depth
    s = sell_shares / depth
    x = lambert_w0(b, s)
    collared = np.abs(x) > collar
    if not np.logical_or.reduce(collared):
        log_price = m + x
        return Clearing(np.exp(log_price), log_price, np.ones(len(m)), np.ones(len(m)), collared)
    x = np.clip(x, -collar, collar)
    bought = b * np.exp(-x)  # in units of the depth, like s
    # The house takes the collar's worth on its side; what is left of the heavy side goes unfilled, pro rata.
    buy_fill = np.where(collared & (x > 0.0), np.minimum(1.0, (x + s) / np.maximum(bought, 1e-300)), 1.0)
    sell_fill = np.where(collared & (x < 0.0), np.minimum(1.0, (bought - x) / np.maximum(s, 1e-300)), 1.0)
    log_price = m + x
    return Clearing(np.exp(log_price), log_price, buy_fill, sell_fill, collared)
