"""From actions to orders: what is legal, how much it is, and who is forced to sell."""

import functools
from typing import NamedTuple

import numpy as np

from arena import spec
from arena.body.state import ESTATE, TRADING, Bodies, some
from arena.config import BodyConfig, ScarConfig

_FRACTION = np.array(spec.BUY_FRACTION)  # [A]
_OPENINGS = slice(spec.BUY_SMALL, spec.BUY_LARGE + 1)
_BUYS = _FRACTION[[spec.BUY_SMALL, spec.BUY_MEDIUM, spec.BUY_LARGE, spec.ADD_TO_POSITION], None]  # [4,1]
_SOLD = np.zeros(spec.N_ACTIONS)  # [A] share of the position that an action sells
_SOLD[spec.SELL_PARTIAL], _SOLD[spec.SELL_ALL] = 0.5, 1.0


class Orders(NamedTuple):
    """Orders for the next opening auction, one a seat."""

    executed: np.ndarray  # [P] i8, the action that takes effect: illegal ones have become HOLD
    buy_cash: np.ndarray  # [P] f64, cash that buys shares; the fee comes on top
    sell_shares: np.ndarray  # [P] f64
    stopped: np.ndarray  # [P] bool, sold by the stop
    liquidated: np.ndarray  # [P] bool, sold because living costs could not be paid
    illegal: np.ndarray  # [P] bool, the agent asked for something that its mask forbids


class Limits(NamedTuple):
    """What damage and accounts allow each seat between an observation and the orders that follow from it."""

    room: np.ndarray  # [P] f64, the largest cash amount that may still buy shares
    fee_rate: np.ndarray  # [P] f64, the fee as a fraction of notional: damage makes every trade dearer


def limits_of(bodies: Bodies, close: np.ndarray, body: BodyConfig) -> Limits:
    """Return the limits of all seats; `close` is [P] or [1], the last close."""
    damage = bodies.damage * 0.01
    rate = (1.0 + damage) * (body.fee_bps * 1e-4)
    room = 1.0 - damage
    np.maximum(room, 0.0, out=room)
    room *= body.max_weight
    room *= bodies.equity
    room -= bodies.shares * close
    return Limits(np.minimum(room, bodies.cash / (1.0 + rate)), rate)


def action_mask(
    bodies: Bodies, alive: np.ndarray, limits: Limits, body: BodyConfig, scars: ScarConfig, out: np.ndarray
) -> np.ndarray:
    """Write which actions are legal now into `out` [P,A] bool; `alive` is [P] bool.

    Seats without a living agent may only HOLD.
    """
    affordable = limits.room >= body.min_notional
    affordable &= alive
    held = bodies.shares > 0.0
    held &= alive
    open_ok = affordable > held
    buys = (bodies.position_scale * bodies.equity) * _BUYS >= body.min_notional  # [4,P]
    opens, more = buys[:-1], buys[-1]
    opens &= open_ok
    opens[-1] &= bodies.damage < scars.buy_large_limit
    more &= held
    more &= affordable
    more &= bodies.damage < scars.add_limit
    out[:, spec.HOLD] = True
    out[:, _OPENINGS] = opens.T
    out[:, spec.SELL_PARTIAL] = held
    out[:, spec.SELL_ALL] = held
    out[:, spec.ADD_TO_POSITION] = more
    return out


@functools.cache
def _row_starts(seats_total: int) -> np.ndarray:
    """Return [P] where each seat's row begins in a flat [P*A] mask."""
    starts = np.arange(seats_total) * spec.N_ACTIONS
    starts.flags.writeable = False
    return starts


def decide_orders(
    bodies: Bodies, actions: np.ndarray, mask: np.ndarray, limits: Limits, close: np.ndarray, stop: np.ndarray,
    body: BodyConfig,
) -> Orders:  # fmt: skip
    """Turn actions [P] into orders; forced sales override what the agent wants.

    mask and limits are those of the latest observation. close: [P] or [1], last close; stop: [P] bool, the stop has
    fired. An illegal action becomes HOLD.
    """
    legal = mask.ravel().take(_row_starts(len(actions)) + actions)
    illegal = (bodies.agent_id >= 0) > legal
    executed = (actions * legal).astype(np.int8, copy=False)  # HOLD is 0
    stopped, liquidated = _force(bodies, executed, stop)
    wanted = _FRACTION.take(executed)
    wanted *= bodies.position_scale
    wanted *= bodies.equity
    buy_cash = np.minimum(np.maximum(limits.room, 0.0), np.maximum(wanted, 0.0))
    sell_shares = _SOLD.take(executed)
    sell_shares *= bodies.shares
    rest_too_small = sell_shares * close < body.min_notional
    rest_too_small &= executed == spec.SELL_PARTIAL
    np.copyto(sell_shares, bodies.shares, where=rest_too_small)
    return Orders(executed, buy_cash, sell_shares, stopped, liquidated, illegal)


def _force(bodies: Bodies, executed: np.ndarray, stop: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Overwrite the actions of those who must sell; return who is stopped and who is liquidated, [P] bool each."""
    estate = bodies.status == ESTATE
    indebted = bodies.arrears > 0.0
    if not some(estate) and not some(indebted) and not some(stop):
        return stop, indebted
    has_shares = bodies.shares > 0.0
    liquidated = indebted & has_shares & ~estate
    stopped = stop & has_shares & ~estate
    executed[liquidated] = spec.SELL_PARTIAL
    executed[(estate & has_shares) | stopped] = spec.SELL_ALL
    return stopped, liquidated & ~stopped


def real(bodies: Bodies) -> np.ndarray:
    """Return [P] bool: seats whose orders reach the auction."""
    mask: np.ndarray = bodies.status >= TRADING
    return mask
