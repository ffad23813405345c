"""From actions to orders: what is legal, how much it is, and who is forced to sell."""

from typing import NamedTuple

import numpy as np

from arena import spec
from arena.body.state import ESTATE, TRADING, Bodies, living
from arena.config import BodyConfig, ScarConfig

_FRACTION = np.array(spec.BUY_FRACTION)  # [A]
_OPENINGS = slice(spec.BUY_SMALL, spec.BUY_LARGE + 1)


class Orders(NamedTuple):
    """Orders for the next opening auction, one a seat."""

    executed: np.ndarray  # [P] i8, the action that takes effect: illegal ones have become HOLD
    buy_cash: np.ndarray  # [P] f64, cash that buys shares; the fee comes on top
    sell_shares: np.ndarray  # [P] f64
    stopped: np.ndarray  # [P] bool, sold by the stop
    liquidated: np.ndarray  # [P] bool, sold because living costs could not be paid
    illegal: np.ndarray  # [P] bool, the agent asked for something that its mask forbids


def fee_rate(bodies: Bodies, body: BodyConfig) -> np.ndarray:
    """Return [P] the fee as a fraction of notional: damage makes every trade dearer."""
    rate: np.ndarray = (1.0 + bodies.damage * 0.01) * (body.fee_bps * 1e-4)
    return rate


def _room(bodies: Bodies, close: np.ndarray, body: BodyConfig) -> np.ndarray:
    """Return [P] the largest cash amount that may still buy shares."""
    limit = body.max_weight * np.maximum(1.0 - bodies.damage * 0.01, 0.0) * bodies.equity
    spendable = bodies.cash / (1.0 + fee_rate(bodies, body))
    room: np.ndarray = np.minimum(limit - bodies.shares * close, spendable)
    return room


def action_mask(
    bodies: Bodies, close: np.ndarray, body: BodyConfig, scars: ScarConfig, out: np.ndarray
) -> np.ndarray:
    """Write which actions are legal now into `out` [P,A] bool; `close` is [P], the last close per seat.

    Seats without a living agent may only HOLD.
    """
    alive = living(bodies)
    flat = bodies.shares <= 0.0
    affordable = _room(bodies, close, body) >= body.min_notional
    open_ok = alive & flat & affordable
    held = alive & ~flat
    out[:, spec.HOLD] = True
    base = bodies.position_scale * bodies.equity
    opens = open_ok & (base * _FRACTION[_OPENINGS, None] >= body.min_notional)  # [3,P]
    opens[-1] &= bodies.damage < scars.buy_large_limit
    out[:, _OPENINGS] = opens.T
    out[:, spec.SELL_PARTIAL] = held
    out[:, spec.SELL_ALL] = held
    large_enough = base * _FRACTION[spec.ADD_TO_POSITION] >= body.min_notional
    out[:, spec.ADD_TO_POSITION] = held & affordable & large_enough & (bodies.damage < scars.add_limit)
    return out


def decide_orders(
    bodies: Bodies, actions: np.ndarray, mask: np.ndarray, close: np.ndarray, stop: np.ndarray, body: BodyConfig
) -> Orders:
    """Turn actions [P] into orders; forced sales override what the agent wants.

    close: [P] last close per seat; stop: [P] bool, the stop has fired. An illegal action becomes HOLD.
    """
    rows = np.arange(len(actions))
    legal = mask[rows, actions]
    illegal = ~legal & (bodies.agent_id >= 0)
    executed = np.where(legal, actions, spec.HOLD).astype(np.int8)
    has_shares = bodies.shares > 0.0
    estate = bodies.status == ESTATE
    liquidated = (bodies.arrears > 0.0) & has_shares & ~estate
    stopped = stop & has_shares & ~estate
    executed[liquidated] = spec.SELL_PARTIAL
    executed[(estate & has_shares) | stopped] = spec.SELL_ALL
    wanted = _FRACTION[executed] * bodies.position_scale * bodies.equity
    buy_cash = np.minimum(np.maximum(_room(bodies, close, body), 0.0), np.maximum(wanted, 0.0))
    half = 0.5 * bodies.shares
    rest_too_small = half * close < body.min_notional
    partial = np.where(rest_too_small, bodies.shares, half)
    sell_shares = np.where(
        executed == spec.SELL_ALL, bodies.shares, np.where(executed == spec.SELL_PARTIAL, partial, 0.0)
    )
    return Orders(executed, buy_cash, sell_shares, stopped, liquidated & ~stopped, illegal)


def real(bodies: Bodies) -> np.ndarray:
    """Return [P] bool: seats whose orders reach the auction."""
    mask: np.ndarray = bodies.status >= TRADING
    return mask
