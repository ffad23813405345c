"""Scars: what leaves one, and the only place where damage changes. It never falls."""

from typing import NamedTuple

import numpy as np

from arena import spec
from arena.body.orders import Orders
from arena.body.state import TRADING, Bodies, living
from arena.config import ScarConfig

_FATAL_STEP = 8


class ScarMark(NamedTuple):
    """One new scar of the agent in `seat`."""

    seat: int
    kind: int  # index of spec.SCAR_KINDS
    severity: int  # index of spec.SEVERITIES
    points: int  # damage it brought
    total_damage: int  # damage after it
    drawdown_bps: int  # drawdown when it was given


def points_of(severity: int, scars: ScarConfig) -> int:
    """Return the damage points of a severity."""
    return (scars.minor_points, scars.moderate_points, scars.severe_points, scars.fatal_points)[severity]


def _give(bodies: Bodies, seat: int, kind: int, severity: int, scars: ScarConfig) -> ScarMark | None:
    """Add a scar to a seat. On paper it hurts (the reward feels it) but leaves no mark."""
    points = points_of(severity, scars)
    bodies.pending_scar_points[seat] += points
    if bodies.status[seat] != TRADING:
        return None
    bodies.damage[seat] += points
    bodies.scars[seat] += 1
    if severity >= spec.SEVERE:
        bodies.severe_scars[seat] += 1
    drawdown_bps = round(float(bodies.drawdown[seat]) * 10_000)
    return ScarMark(seat, kind, severity, points, int(bodies.damage[seat]), drawdown_bps)


def _give_all(bodies: Bodies, hit: np.ndarray, kind: int, severity: int, scars: ScarConfig) -> list[ScarMark]:
    marks = (_give(bodies, int(seat), kind, severity, scars) for seat in np.flatnonzero(hit))
    return [mark for mark in marks if mark is not None]


def scars_of_tick(
    bodies: Bodies, orders: Orders, slipped: np.ndarray, crashed: np.ndarray, scars: ScarConfig
) -> list[ScarMark]:
    """Give the scars that events leave at once.

    slipped: [P] bool, an order was filled beyond the limit; crashed: [P] bool, shares were held through a crash.
    """
    found: list[ScarMark] = []
    for hit, kind, severity in (
        (orders.stopped, spec.STOP_LOSS, spec.MINOR),
        (orders.liquidated, spec.LIQUIDATION, spec.MODERATE),
        (slipped, spec.SLIPPAGE, spec.MINOR),
        (crashed, spec.MARKET_CRASH, spec.MODERATE),
    ):
        if hit.any():
            found += _give_all(bodies, hit & living(bodies), kind, severity, scars)
    return found


def scars_of_round(bodies: Bodies, scars: ScarConfig) -> list[ScarMark]:
    """Give one scar for every further step of drawdown, and one for a round of costly trading.

    Steps: the first below a peak is minor, the second moderate, further ones severe, from the eighth on fatal.
    """
    alive = living(bodies)
    steps = np.floor(bodies.drawdown / scars.drawdown_step + 1e-9).astype(np.int32)
    found: list[ScarMark] = []
    for seat in np.flatnonzero(alive & (steps > bodies.drawdown_step)):
        for step in range(int(bodies.drawdown_step[seat]) + 1, int(steps[seat]) + 1):
            severity = spec.FATAL if step >= _FATAL_STEP else min(step - 1, spec.SEVERE)
            mark = _give(bodies, int(seat), spec.TRADE_LOSS, severity, scars)
            if mark is not None:
                found.append(mark)
        bodies.drawdown_step[seat] = steps[seat]
    burden = bodies.round_fees >= scars.fee_burden_bps * 1e-4 * np.maximum(bodies.equity, 1.0)
    found += _give_all(bodies, alive & burden, spec.FEE_BURDEN, spec.MINOR, scars)
    bodies.round_fees[:] = 0.0
    return found
