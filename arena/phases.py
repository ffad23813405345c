"""The seats' part of a tick, phase by phase: what `arena.core` and the trading desk have done to every body.

This is the specification. Where a compiler is there, `arena.kernel.phases.KernelPhases` does the same in C with the
same bytes, so nobody needs to know which of the two plays.
"""

from typing import NamedTuple

import numpy as np

from arena import spec
from arena.body import accounting, reward
from arena.body.orders import Limits, Orders, action_mask, decide_orders, limits_of
from arena.body.risk import stop_fires
from arena.body.state import APPRENTICE, Accounts, Bodies, living, spread
from arena.config import BodyConfig, LifeConfig, RewardConfig, ScarConfig
from arena.market.clearing import Clearing
from arena.senses.indicators import MarketSenses
from arena.senses.observe import crowding_of, observe


class Rules(NamedTuple):
    """The sections of the configuration that the phases follow."""

    body: BodyConfig
    scars: ScarConfig
    life: LifeConfig
    reward: RewardConfig


class Rewarded(NamedTuple):
    """What a tick was worth to each seat."""

    parts: np.ndarray  # [P,K] f64, reward.PARTS[preset]
    total: np.ndarray  # [P] f32, their clipped sum
    ruined: np.ndarray  # [P] bool, the paper account was lost


class NumpyPhases:
    """The phases of the bodies in `markets` markets; `close`, `atr` and `moved` are [M] f64 throughout.

    obs [P,D] f32 and mask [P,A] bool are written at every look; the limits are those of the latest `allow`.
    """

    def __init__(self, bodies: Bodies, accounts: Accounts, rules: Rules) -> None:
        """Work in place on these bodies and accounts."""
        self.bodies, self.accounts, self.rules = bodies, accounts, rules
        self.markets, self.population = len(accounts.estate), len(bodies.status)
        self.obs = np.zeros((self.population, spec.OBS_DIM), dtype=np.float32)  # [P,D]
        self.mask = np.zeros((self.population, spec.N_ACTIONS), dtype=bool)  # [P,A]
        self.limits = Limits(np.zeros(self.population), np.zeros(self.population))

    def observe(self, senses: MarketSenses) -> None:
        """Write what every seat sees of the bars up to now and of itself."""
        alive = living(self.bodies)
        columns = senses.columns(crowding_of(self.bodies, alive, self.markets))
        endowment = self.rules.body.endowment
        observe(columns, senses.close, senses.sigma, self.bodies, endowment, self.obs, alive)

    def allow(self, close: np.ndarray) -> None:
        """Write what is legal now, and keep the limits that orders will be held to."""
        body = self.rules.body
        self.limits = limits_of(self.bodies, spread(close, self.population), body)
        action_mask(self.bodies, living(self.bodies), self.limits, body, self.rules.scars, self.mask)

    def stops(self, close: np.ndarray, atr: np.ndarray) -> np.ndarray:
        """Return [P] bool whose stop has fired; good until the next call."""
        return stop_fires(self.bodies, spread(close, self.population), spread(atr, self.population))

    def decide(self, actions: np.ndarray, close: np.ndarray, stop: np.ndarray) -> Orders:
        """Turn actions [P] into orders and count the illegal ones; stop: [P] bool, who must sell everything."""
        price = spread(close, self.population)
        orders = decide_orders(self.bodies, actions, self.mask, self.limits, price, stop, self.rules.body)
        self.bodies.invalid_actions += orders.illegal
        return orders

    def totals(self, orders: Orders) -> tuple[np.ndarray, np.ndarray]:
        """Return (buy cash [M], sell shares [M]) of the orders that reach the auction."""
        return accounting.auction_totals(orders, self._on_paper(), self.markets)

    def settle(self, orders: Orders, clearing: Clearing, depth: np.ndarray) -> accounting.Fills:
        """Fill the orders and book every cent; depth: [M]."""
        fee_rate = self.limits.fee_rate
        return accounting.settle(self.bodies, self.accounts, orders, self._on_paper(), clearing, depth, fee_rate)

    def pay_arrears(self) -> np.ndarray:
        """Let those who owe living costs pay what they can; return [M] what the estate received."""
        return accounting.pay_arrears(self.bodies, self.accounts)

    def mark(self, close: np.ndarray) -> None:
        """Value every account at the last close."""
        accounting.mark(self.bodies, spread(close, self.population))

    def check(self) -> None:
        """Raise InvariantError if a cent or a share appeared or vanished."""
        accounting.check_conservation(self.accounts, self.bodies)

    def reward(self, past: reward.Before, moved: np.ndarray) -> Rewarded:
        """Return what the tick was worth; moved: log return of the bar. Paper accounts that were lost stay lost."""
        body, life = self.rules.body, self.rules.life
        ruined = self._on_paper() & (self.bodies.equity < life.ruin_fraction * body.endowment)
        moves, config = spread(moved, self.population), self.rules.reward
        parts = reward.reward_parts(self.bodies, past, ruined, moves, body.endowment, config)
        return Rewarded(parts, reward.total(parts, config), ruined)

    def _on_paper(self) -> np.ndarray:
        on_paper: np.ndarray = self.bodies.status == APPRENTICE
        return on_paper
