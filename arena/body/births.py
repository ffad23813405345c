"""Who may be born, where, and who pays: the body's side of every birth.

What a newborn gets of a mind is not this layer's business: the caller seats it (`lifecycle.seat_newborn`)
before it asks for the next place.
"""

import math
from typing import NamedTuple

import numpy as np

from arena import rng
from arena.body import lifecycle
from arena.body.state import Accounts, Bodies
from arena.config import ArenaConfig, BodyConfig, LifeConfig, ScarConfig


class Claim(NamedTuple):
    """A birth that is paid for and has a seat."""

    parent: int  # seat
    seat: int
    birthmark: int  # damage points that the child is born with
    equity_before: float  # the parent's, cash units
    cash_before: float


class Arrival(NamedTuple):
    """An immigrant's seat, and who paid its endowment."""

    seat: int
    payer: str  # estate or patron


def claim_birth(
    bodies: Bodies,
    accounts: Accounts,
    parent: int,
    round_index: int,
    dispersal_key: np.uint64,
    config: tuple[ArenaConfig, BodyConfig, ScarConfig, LifeConfig],
) -> Claim | None:
    """Let an eligible parent pay for a child and return the child's place; None when no seat is free."""
    sizes, body, scars, life = config
    seat = _nursery(bodies, parent, round_index, dispersal_key, sizes, life)
    if seat is None:
        return None
    claim = Claim(
        parent,
        seat,
        lifecycle.birthmark_of(bodies, parent, scars),
        float(bodies.equity[parent]),
        float(bodies.cash[parent]),
    )
    lifecycle.pay_endowment(bodies, accounts, parent, seat // sizes.seats, body.endowment)
    bodies.next_birth_round[parent] = round_index + life.spawn_cooldown_rounds
    return claim


def _nursery(
    bodies: Bodies, parent: int, round_index: int, dispersal_key: np.uint64, sizes: ArenaConfig, life: LifeConfig
) -> int | None:
    """Return the seat for a child: in the parent's market, or, by dispersal, in another."""
    home = parent // sizes.seats
    chance, where = rng.uniforms(dispersal_key, bodies.agent_id[parent : parent + 1], round_index, 2)[0]
    if sizes.markets > 1 and chance < life.dispersal:
        away = (home + 1 + int(where * (sizes.markets - 1))) % sizes.markets
        return lifecycle.free_seat(bodies, away, sizes.seats)
    return lifecycle.free_seat(bodies, home, sizes.seats)


def arrivals_of_round(life: LifeConfig, markets: int, round_index: int, immigration_key: np.uint64) -> list[int]:
    """Return [M] how many immigrants ask for a seat in each market this round."""
    chances = rng.uniforms(immigration_key, np.arange(markets), round_index, 1)[:, 0]
    return [math.floor(life.immigration_per_round + chance) for chance in chances]


def claim_arrival(
    bodies: Bodies, accounts: Accounts, market: int, sizes: ArenaConfig, body: BodyConfig, life: LifeConfig
) -> Arrival | None:
    """Pay for an immigrant and return its place; None when no seat is free or nobody pays.

    The estate pays, or the patron where the scenario allows one.
    """
    seat = lifecycle.free_seat(bodies, market, sizes.seats)
    if seat is None:
        return None
    if accounts.estate[market] >= body.endowment:
        accounts.estate[market] -= body.endowment
        return Arrival(seat, "estate")
    if not life.patron:
        return None
    accounts.patron[market] += body.endowment
    return Arrival(seat, "patron")
