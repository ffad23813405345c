"""What an environment offers to those who check it: another future, and its books.

`arena.checks` looks for two methods on any environment, ours or not: `change_future(after)`, called right after
`reset`, makes everything that the world draws or reads later than tick `after` different; `books()` returns
{name: (have, should)}. Environments on an Arena get both from here.
"""

import dataclasses
import math
from typing import Any, Protocol

import numpy as np

from arena.body.state import EMPTY, ESTATE, TRADING, Accounts, Bodies
from arena.market.background import Market
from arena.market.shocks import Shocks
from arena.market.tape import Tape

_LIFT = 1.37
"""Factor on every later recorded price: far beyond what any rounding hides."""


def change_future(market: Market, after: int) -> None:
    """Make every bar later than tick `after` another one; call it before the first tick of round 0.

    Bars of ticks 1..after stay what they are. Recorded bars are changed in a copy of the tape.
    """
    if market._tape is not None:
        first = int(market._first_bar.min()) + market._config.warmup_bars + after
        market._tape = _other_tape(market._tape, first)
        return
    begin_round = market.begin_round

    def begin_other_round(round_index: int) -> None:
        begin_round(round_index)
        _turn_shocks(market._drawn(), max(after - round_index * market._ticks, 0))

    market.begin_round = begin_other_round  # type: ignore[method-assign]
    _turn_shocks(market._drawn(), after)


def _turn_shocks(drawn: Shocks, first: int) -> None:
    """Turn the signs of all later shocks and drifts, and let other volumes trade."""
    drawn.noise[first:] *= -1.0
    drawn.drift[first:] *= -1.0
    drawn.regime[first:] *= -1
    drawn.volume[first:] *= _LIFT


def _other_tape(tape: Tape, first: int) -> Tape:
    changed: dict[str, Any] = {}
    for name in ("open", "high", "low", "close", "volume"):
        column = getattr(tape, name).copy()
        column[first:] *= _LIFT
        changed[name] = column
    return dataclasses.replace(tape, **changed)


class Audited(Protocol):
    """Bodies and accounts of M markets with S seats each: an Arena, or what plays by its rules."""

    bodies: Bodies
    accounts: Accounts
    markets: int
    seats: int


def books(arena: Audited) -> dict[str, tuple[float, float]]:
    """Return {account: (have, should)} of every market, added up seat by seat with exact sums.

    It shares nothing with accounting.check_conservation but the accounts themselves.
    """
    bodies, accounts = arena.bodies, arena.accounts
    found: dict[str, tuple[float, float]] = {}
    for market in range(arena.markets):
        seats = range(market * arena.seats, (market + 1) * arena.seats)
        real = [seat for seat in seats if bodies.status[seat] in (TRADING, ESTATE)]
        cash = [float(bodies.cash[seat]) for seat in real]
        trust = [float(bodies.trust[seat]) for seat in seats]
        kept = [float(getattr(accounts, name)[market]) for name in ("house_cash", "fees", "estate")]
        given = [float(getattr(accounts, name)[market]) for name in ("cash_total", "patron", "transfers")]
        shares = [float(bodies.shares[seat]) for seat in real] + [float(accounts.house_shares[market])]
        found[f"cash of market {market}"] = (math.fsum(cash + trust + kept), math.fsum(given))
        found[f"shares of market {market}"] = (math.fsum(shares), float(accounts.shares_total[market]))
        empty = [seat for seat in seats if bodies.status[seat] == EMPTY]
        found[f"money in free seats of market {market}"] = (float(np.abs(bodies.cash[empty]).sum()), 0.0)
    return found
