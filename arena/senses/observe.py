"""The observation of every seat: its market's columns beside what it knows of itself."""

import numpy as np

from arena.body.state import APPRENTICE, Bodies, living
from arena.spec import CLIP, N_MARKET, N_OWN

EQUITY_FLOOR = 1e-3
"""Equity counts as at least this share of the endowment, so that ratios stay finite in ruin."""


def observe(
    columns: np.ndarray,
    close: np.ndarray,
    sigma: np.ndarray,
    bodies: Bodies,
    endowment: float,
    out: np.ndarray,
) -> None:
    """Write the observation of all seats into `out`; free seats and estates see zeros.

    columns: [M,N_MARKET] f32, close and sigma: [M] f64 of the bar that just closed; out: [P,OBS_DIM] f32.
    Equity and its peak are taken as last marked. Formulas: arena.spec.OWN_COLUMNS.
    """
    markets, seats_total = len(close), len(out)
    out.reshape(markets, -1, out.shape[1])[:, :, :N_MARKET] = columns[:, None, :]
    own = _own_columns(close, sigma, bodies, endowment, seats_total)
    np.maximum(own, -CLIP, out=own)
    np.minimum(own, CLIP, out=own)
    out[:, N_MARKET:] = own.T
    alive = living(bodies)
    if not alive.all():
        out[~alive] = 0.0


def _own_columns(
    close: np.ndarray, sigma: np.ndarray, bodies: Bodies, endowment: float, seats_total: int
) -> np.ndarray:
    """Return [N_OWN,P] f64, not yet clipped, in the order of arena.spec.OWN_COLUMNS."""
    seats = seats_total // len(close)
    price, sd = close.repeat(seats), sigma.repeat(seats)  # [P]
    equity = np.maximum(bodies.equity, EQUITY_FLOOR * endowment)
    on_paper = bodies.status == APPRENTICE
    held = (bodies.shares > 0.0) & (bodies.entry_price > 0.0)
    gain = np.ones(seats_total)
    np.divide(price, bodies.entry_price, out=gain, where=held)
    wins = np.where(on_paper, bodies.paper_wins, bodies.won_trades)
    trades = np.where(on_paper, bodies.paper_trades, bodies.closed_trades)

    own = np.empty((N_OWN, seats_total))
    own[0] = bodies.shares * price / equity
    own[1] = bodies.cash / equity
    own[2] = np.log(gain) / (10.0 * sd)
    own[3] = 10.0 * np.minimum(equity / np.maximum(bodies.peak_equity, equity) - 1.0, 0.0)
    own[4] = np.log(equity / endowment)
    own[5] = (2.0 * wins + 10.0) / (trades + 10.0) - 1.0
    own[6] = np.minimum(bodies.age_rounds / 500.0, 1.0)
    own[7] = bodies.damage / 100.0
    own[8] = np.where(on_paper, 0.0, own[7])
    own[9] = np.minimum(bodies.holding_ticks / 50.0, 1.0)
    own[10] = on_paper
    return own
