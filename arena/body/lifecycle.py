"""Life: living costs, graduation, death and birth. Every birth is a transfer; nobody comes back.

The phases of a round's end, in the order in which lineage.world calls them:
living costs -> graduations -> scars (arena.body.scars) -> deaths -> births and immigrants.
"""

import math
from typing import NamedTuple

import numpy as np

from arena.body.accounting import mark, pay_arrears
from arena.body.state import APPRENTICE, EMPTY, ESTATE, TRADING, Accounts, Bodies, living, some
from arena.config import BodyConfig, LifeConfig, ScarConfig
from arena.errors import InvariantError


class Death(NamedTuple):
    """The end of the agent in `seat`; its position is sold at the next auction."""

    seat: int
    cause: str  # of spec.DEATH_CAUSES
    equity: float
    ruin: float  # the equity under which it is bankrupt


class BodyGenes(NamedTuple):
    """The genes that the body feels."""

    position_scale: float
    stop_atr: float
    reward_weights: tuple[float, float, float]  # drawdown, scar, ruin


def charge_living_costs(bodies: Bodies, accounts: Accounts, close: np.ndarray, body: BodyConfig) -> np.ndarray:
    """Charge every living agent a round of life; damage, wealth and age make it dearer. Returns [M] paid to the estate.

    What cash cannot pay stays as arrears and forces a sale at the next auction.
    """
    wealth = np.maximum(bodies.equity - body.endowment, 0.0)
    cost = (body.living_cost_bps * body.endowment + body.wealth_cost_bps * wealth) * 1e-4
    if body.aging_rounds > 0.0:
        cost = cost * (1.0 + bodies.age_rounds / body.aging_rounds)
    bodies.arrears += np.where(living(bodies), cost * (1.0 + bodies.damage * 0.01), 0.0)
    received = pay_arrears(bodies, accounts)
    mark(bodies, close)
    return received


def grow_older(bodies: Bodies) -> None:
    """Add a round to everybody's age and take one from every apprenticeship."""
    bodies.age_rounds += living(bodies)
    bodies.apprentice_rounds -= bodies.status == APPRENTICE


def graduate(bodies: Bodies) -> list[tuple[int, float]]:
    """Close the paper account of those whose apprenticeship is over and open the real one.

    Returns (seat, equity that the paper account ended with).
    """
    done = np.flatnonzero((bodies.status == APPRENTICE) & (bodies.apprentice_rounds <= 0))
    ended = [(int(seat), float(bodies.equity[seat])) for seat in done]
    for seat in done:
        endowment = float(bodies.trust[seat])
        bodies.trust[seat] = 0.0
        bodies.status[seat] = TRADING
        _open_account(bodies, int(seat), endowment)
    return ended


def _open_account(bodies: Bodies, seat: int, cash: float) -> None:
    """Start an account, paper or real, with nothing but cash."""
    bodies.cash[seat] = bodies.equity[seat] = bodies.reward_equity[seat] = bodies.peak_equity[seat] = cash
    for column in (bodies.shares, bodies.entry_price, bodies.arrears, bodies.drawdown, bodies.trade_profit):
        column[seat] = 0.0
    bodies.drawdown_step[seat] = bodies.holding_ticks[seat] = 0
    bodies.round_fees[seat] = bodies.closed_profit[seat] = 0.0


def reopen_paper(bodies: Bodies, ruined: np.ndarray, endowment: float) -> None:
    """Give apprentices who lost their paper account [P] bool a new one: the lesson was free, and is counted."""
    for seat in np.flatnonzero(ruined):
        bodies.paper_ruins[seat] += 1
        _open_account(bodies, int(seat), endowment)


def bury(bodies: Bodies, life: LifeConfig, body: BodyConfig, scars: ScarConfig) -> list[Death]:
    """Return this round's deaths in seat order and turn their seats into estates under sale."""
    trading = bodies.status == TRADING
    ruin = life.ruin_fraction * body.endowment
    bankrupt = trading & ((bodies.equity < ruin) | (bodies.equity <= 0.0))
    broken = trading & (bodies.damage >= scars.fatal_points)
    retired = trading & (life.max_age_rounds > 0) & (bodies.age_rounds >= life.max_age_rounds)
    deaths: list[Death] = []
    for seat in np.flatnonzero(bankrupt | broken | retired):
        cause = "bankrupt" if bankrupt[seat] else "terminal_damage" if broken[seat] else "retired"
        deaths.append(Death(int(seat), cause, float(bodies.equity[seat]), ruin))
        bodies.status[seat] = ESTATE
        bodies.arrears[seat] = 0.0
    return deaths


def close_estates(bodies: Bodies, accounts: Accounts) -> tuple[list[int], np.ndarray]:
    """Hand the cash of fully sold estates over and free their seats. Returns (seats freed, [M] received)."""
    received = np.zeros(len(accounts.estate))
    estates = bodies.status == ESTATE
    if not some(estates):
        return [], received
    seats_per_market = len(bodies.cash) // len(received)
    sold_out = np.flatnonzero(estates & (bodies.shares <= 0.0))
    for seat in sold_out:
        received[seat // seats_per_market] += bodies.cash[seat]
        bodies.clear_seat(int(seat))
    accounts.estate += received
    return [int(seat) for seat in sold_out], received


def eligible_parents(bodies: Bodies, round_index: int, life: LifeConfig, body: BodyConfig) -> list[int]:
    """Return the seats that may breed now, richest first, ties to the older id.

    The endowment must be there in cash: a child is paid from realised success, never from a mark.
    """
    trades = np.maximum(bodies.closed_trades, 1)
    fit = (
        (bodies.status == TRADING)
        & (bodies.equity >= life.spawn_wealth * body.endowment)
        & (bodies.cash - bodies.arrears >= body.endowment)
        & (bodies.closed_trades >= life.spawn_min_trades)
        & (bodies.won_trades >= life.spawn_min_win_rate * trades)
        & (bodies.severe_scars < life.spawn_max_severe)
        & (bodies.next_birth_round <= round_index)
    )
    seats = np.flatnonzero(fit)
    order = np.lexsort((bodies.agent_id[seats], -bodies.equity[seats]))
    return [int(seat) for seat in seats[order]]


def founders_of(life: LifeConfig, seats: int) -> int:
    """Return how many founders a market of `seats` seats starts with."""
    return math.floor(life.founders_fraction * seats + 1e-9)


def free_seat(bodies: Bodies, market: int, seats_per_market: int) -> int | None:
    """Return the lowest free seat of a market, or None."""
    start = market * seats_per_market
    free = np.flatnonzero(bodies.status[start : start + seats_per_market] == EMPTY)
    return start + int(free[0]) if len(free) else None


def pay_endowment(bodies: Bodies, accounts: Accounts, parent: int, child_market: int, endowment: float) -> None:
    """Move an endowment out of the parent's cash.

    Peak and reward base shrink with it, so that a birth is neither a drawdown nor a loss.
    """
    if bodies.cash[parent] < endowment:
        raise InvariantError(f"seat {parent}: cash {bodies.cash[parent]:.2f} cannot pay the endowment {endowment:.2f}")
    home = parent // (len(bodies.cash) // len(accounts.estate))
    kept = (bodies.equity[parent] - endowment) / bodies.equity[parent]
    bodies.cash[parent] -= endowment
    bodies.equity[parent] -= endowment
    bodies.peak_equity[parent] *= kept
    bodies.reward_equity[parent] *= kept
    bodies.offspring[parent] += 1
    if home != child_market:
        accounts.transfers[home] -= endowment
        accounts.transfers[child_market] += endowment


def seat_newborn(
    bodies: Bodies,
    seat: int,
    agent_id: int,
    *,
    endowment: float,
    birthmark: int,
    apprentice_rounds: int,
    birth_round: int,
    genes: BodyGenes,
) -> None:
    """Put a newborn into an empty seat; its endowment waits in trust while it trades on paper."""
    if bodies.status[seat] != EMPTY:
        raise InvariantError(f"seat {seat} is taken by agent {int(bodies.agent_id[seat])}; births need a free seat")
    bodies.clear_seat(seat)
    bodies.agent_id[seat] = agent_id
    bodies.damage[seat] = birthmark
    bodies.birth_round[seat] = birth_round
    bodies.apprentice_rounds[seat] = apprentice_rounds
    bodies.position_scale[seat] = genes.position_scale
    bodies.stop_atr[seat] = genes.stop_atr
    bodies.reward_weights[seat] = genes.reward_weights
    bodies.status[seat] = APPRENTICE if apprentice_rounds > 0 else TRADING
    bodies.trust[seat] = endowment if apprentice_rounds > 0 else 0.0
    _open_account(bodies, seat, endowment)


def birthmark_of(bodies: Bodies, parent: int, scars: ScarConfig) -> int:
    """Return the damage that a child of `parent` is born with."""
    return int(scars.heritability * int(bodies.damage[parent]))
