"""The observation of every seat: its market's columns beside what it knows of itself."""

import numpy as np

from arena.body.state import APPRENTICE, Bodies, living, some, spread
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
    seen: np.ndarray | None = None,
) -> None:
    """Write the observation of all seats into `out`; free seats and estates see zeros, unless `seen` [P] bool is given.

    columns: [M,N_MARKET] f32, close and sigma: [M] f64 of the bar that just closed; out: [P,OBS_DIM] f32.
    Equity and its peak are taken as last marked. Formulas: arena.spec.OWN_COLUMNS.
    """
    markets = len(close)
    out.reshape(markets, -1, out.shape[1])[:, :, :N_MARKET] = columns[:, None, :]
    own = _own_columns(close, sigma, bodies, endowment)
    np.maximum(own, -CLIP, out=own)
    np.minimum(own, CLIP, out=own)
    out[:, N_MARKET:] = own.T
    seen = living(bodies) if seen is None else seen
    if np.count_nonzero(seen) < len(seen):
        out[~seen] = 0.0


def crowding_of(bodies: Bodies, alive: np.ndarray, markets: int) -> np.ndarray:
    """Return [M] f64 the share of the living [P] bool that hold shares, real or paper."""
    held = (bodies.shares > 0.0) & alive
    if markets == 1:
        return np.array([int(np.count_nonzero(held)) / max(int(np.count_nonzero(alive)), 1)])
    holders, seated = np.add.reduce(np.array((held, alive)).reshape(2, markets, -1), axis=-1, dtype=np.int64)
    share: np.ndarray = holders / np.maximum(seated, 1)
    return share


def _own_columns(close: np.ndarray, sigma: np.ndarray, bodies: Bodies, endowment: float) -> np.ndarray:
    """Return [N_OWN,P] f64, not yet clipped, in the order of arena.spec.OWN_COLUMNS."""
    seats_total = len(bodies.equity)
    price, sd = spread(close, seats_total), spread(sigma, seats_total)
    equity = np.maximum(bodies.equity, EQUITY_FLOOR * endowment)
    on_paper = bodies.status == APPRENTICE
    wins, trades = bodies.won_trades, bodies.closed_trades
    if some(on_paper):
        wins, trades = np.where(on_paper, bodies.paper_wins, wins), np.where(on_paper, bodies.paper_trades, trades)

    own = np.empty((N_OWN, seats_total))
    np.divide(np.multiply(bodies.shares, price, out=own[0]), equity, out=own[0])
    np.divide(bodies.cash, equity, out=own[1])
    own[2] = 1.0
    np.divide(price, bodies.entry_price, out=own[2], where=(bodies.shares > 0.0) & (bodies.entry_price > 0.0))
    np.divide(np.log(own[2], out=own[2]), 10.0 * sd, out=own[2])
    np.divide(equity, np.maximum(bodies.peak_equity, equity), out=own[3])
    own[3] -= 1.0
    np.minimum(own[3], 0.0, out=own[3])
    own[3] *= 10.0
    np.log(np.divide(equity, endowment, out=own[4]), out=own[4])
    np.divide(2.0 * wins + 10.0, trades + 10.0, out=own[5])
    own[5] -= 1.0
    np.minimum(np.divide(bodies.age_rounds, 500.0, out=own[6]), 1.0, out=own[6])
    np.divide(bodies.damage, 100.0, out=own[7])
    np.multiply(own[7], ~on_paper, out=own[8])
    np.minimum(np.divide(bodies.holding_ticks, 50.0, out=own[9]), 1.0, out=own[9])
    own[10] = on_paper
    return own
