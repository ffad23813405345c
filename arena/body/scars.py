"""Scars: what leaves one, and the only place where damage changes. It never falls."""

from typing import NamedTuple

import numpy as np

from arena import spec
from arena.body.orders import Orders
from arena.body.state import TRADING, Bodies, living, some
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


def _give(bodies: Bodies, hit: np.ndarray, kind: int, severity: int, scars: ScarConfig) -> list[ScarMark]:
    """Add a scar to seats hit [N] i64. On paper it hurts (the reward feels it) but leaves no mark."""
    points = points_of(severity, scars)
    bodies.pending_scar_points[hit] += points
    seats = hit[bodies.status[hit] == TRADING]
    bodies.damage[seats] += points
    bodies.scars[seats] += 1
    if severity >= spec.SEVERE:
        bodies.severe_scars[seats] += 1
    damage, drawdown = bodies.damage[seats].tolist(), bodies.drawdown[seats].tolist()
    return [
        ScarMark(seat, kind, severity, points, total, round(loss * 10_000))
        for seat, total, loss in zip(seats.tolist(), damage, drawdown, strict=True)
    ]


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
        if some(hit):
            found += _give(bodies, np.flatnonzero(hit & living(bodies)), kind, severity, scars)
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
            found += _give(bodies, np.array([seat]), spec.TRADE_LOSS, severity, scars)
        bodies.drawdown_step[seat] = steps[seat]
    burden = bodies.round_fees >= scars.fee_burden_bps * 1e-4 * np.maximum(bodies.equity, 1.0)
    found += _give(bodies, np.flatnonzero(alive & burden), spec.FEE_BURDEN, spec.MINOR, scars)
    bodies.round_fees[:] = 0.0
    return found
