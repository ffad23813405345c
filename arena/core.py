"""One tick of the world on one page: observe, decide, meet in the auction, mark, scar, reward.

Nothing of bar t+1 exists when the action for it is chosen: `step` receives actions that were decided
on `observe()`'s arrays, clears them in the opening auction of bar t+1 and only then makes the rest of it.
"""

from typing import NamedTuple

import numpy as np

from arena import spec
from arena.arrays import dump, restore
from arena.body import accounting, lifecycle, reward, scars
from arena.body.orders import Orders, action_mask, decide_orders
from arena.body.risk import stop_fires
from arena.body.state import APPRENTICE, Accounts, Bodies, living
from arena.config import ArenaConfig, BodyConfig, LifeConfig, MarketConfig, RewardConfig, ScarConfig
from arena.market.background import Market
from arena.market.bars import Bars
from arena.market.clearing import Clearing
from arena.market.tape import Tape
from arena.senses.indicators import MarketSenses
from arena.senses.observe import observe


class WorldConfig(NamedTuple):
    """The sections of the configuration that the world itself needs."""

    arena: ArenaConfig
    market: MarketConfig
    body: BodyConfig
    scars: ScarConfig
    life: LifeConfig
    reward: RewardConfig


class Tick(NamedTuple):
    """Everything that one tick brought."""

    bars: Bars
    clearing: Clearing
    orders: Orders
    fills: accounting.Fills
    reward_parts: np.ndarray  # [P,K], reward.PARTS[preset]
    reward: np.ndarray  # [P] f32
    done: np.ndarray  # [P] bool, the account was lost: nothing follows from here
    scars: list[scars.ScarMark]
    freed_seats: list[int]  # estates that were fully sold
    estate_costs: np.ndarray  # [M] living costs that the estate received
    estate_deaths: np.ndarray  # [M] money of the dead that the estate received


class Arena:
    """Markets, senses and bodies with one lifetime; knows nothing of learning or ancestry."""

    def __init__(self, config: WorldConfig, seed: int, tape: Tape | None = None) -> None:
        self.config = config
        self.markets = config.arena.markets
        self.seats = config.arena.seats
        self.population = self.markets * self.seats
        self.market = Market(
            config.market, self.markets, config.arena.ticks_per_round, seed, config.body.endowment, tape
        )
        self.senses = MarketSenses(self.markets)
        self.bodies = Bodies.allocate(self.population)
        self.accounts = Accounts.allocate(self.markets)
        self.obs = np.zeros((self.population, spec.OBS_DIM), dtype=np.float32)  # [P,D]
        self.mask = np.zeros((self.population, spec.N_ACTIONS), dtype=bool)  # [P,A]

    def open_markets(self) -> list[Bars]:
        """Let the warm-up pass, open the houses' accounts, and return the warm-up's bars."""
        warm_up = self.market.warm_up()
        for bars in warm_up:
            self.senses.update(bars)
        accounting.open_accounts(self.accounts, self.seats, self.config.body.endowment, self.senses.close)
        return warm_up

    def per_seat(self, per_market: np.ndarray) -> np.ndarray:
        """Return [P] from [M]."""
        return per_market.repeat(self.seats)

    def living(self) -> np.ndarray:
        """Return [P] bool: apprentices and real traders."""
        return living(self.bodies)

    def crowding(self) -> np.ndarray:
        """Return [M] f64 the share of living agents that hold shares, real or paper."""
        alive = self.living()
        counted = np.array(((self.bodies.shares > 0.0) & alive, alive)).reshape(2, self.markets, -1)
        held, seated = np.add.reduce(counted, axis=-1, dtype=np.int64)
        share: np.ndarray = held / np.maximum(seated, 1)
        return share

    def observe(self) -> tuple[np.ndarray, np.ndarray]:
        """Write and return (obs [P,D] f32, mask [P,A] bool) from bars up to now."""
        columns = self.senses.columns(self.crowding())
        close = self.senses.close
        observe(columns, close, self.senses.sigma, self.bodies, self.config.body.endowment, self.obs)
        action_mask(self.bodies, self.per_seat(close), self.config.body, self.config.scars, self.mask)
        return self.obs, self.mask

    def step(self, actions: np.ndarray) -> Tick:
        """Play one tick with actions [P] that were decided on the latest `observe()`."""
        config, bodies, accounts = self.config, self.bodies, self.accounts
        past = reward.before(bodies, config.reward)
        close = self.per_seat(self.senses.close)
        stop = stop_fires(bodies, close, self.per_seat(self.senses.atr))
        orders = decide_orders(bodies, actions, self.mask, close, stop, config.body)
        bodies.invalid_actions += orders.illegal
        reservation = self.market.reserve()
        clearing = self.market.clear(reservation, *accounting.auction_totals(bodies, orders, self.markets))
        fills = accounting.settle(bodies, accounts, orders, clearing, self.market.depth, config.body)
        estate_costs = accounting.pay_arrears(bodies, accounts)
        invested = bodies.shares > 0.0
        bars = self.market.roll_bar(clearing, fills.crossed, fills.imbalance)
        accounting.mark(bodies, self.per_seat(bars.close))
        freed, estate_deaths = lifecycle.close_estates(bodies, accounts)
        accounting.check_conservation(accounts, bodies)
        marks = self._scar(orders, fills, clearing, reservation, bars, invested)
        ruined = (bodies.status == APPRENTICE) & (bodies.equity < config.life.ruin_fraction * config.body.endowment)
        parts = reward.reward_parts(bodies, past, ruined, config.body.endowment, config.reward)
        if ruined.any():
            lifecycle.reopen_paper(bodies, ruined, config.body.endowment)
        self.senses.update(bars)
        total = reward.total(parts, config.reward)
        return Tick(
            bars, clearing, orders, fills, parts, total, ruined, marks, freed, estate_costs, estate_deaths
        )  # fmt: skip

    def _scar(
        self,
        orders: Orders,
        fills: accounting.Fills,
        clearing: Clearing,
        reservation: np.ndarray,
        bars: Bars,
        invested: np.ndarray,
    ) -> list[scars.ScarMark]:
        """Give this tick's scars: stops, forced sales, slipped fills, a crash while invested."""
        limits = self.config.scars
        slippage = np.abs(clearing.log_price - reservation)  # [M]
        filled = (fills.spent > 0.0) | (fills.sold > 0.0)
        slipped = self.per_seat(slippage > limits.slippage_limit) & filled
        crashed = self.per_seat(np.log(bars.close / self.senses.close) <= limits.crash_return) & invested
        return scars.scars_of_tick(self.bodies, orders, slipped, crashed, limits)

    def state_arrays(self) -> dict[str, np.ndarray]:
        """Return all mutable state between two rounds, for a checkpoint; views, not copies."""
        return (
            dump("bodies", self.bodies)
            | dump("accounts", self.accounts)
            | dump("market", self.market.state)
            | dump("senses", self.senses.state)
        )

    def restore(self, saved: dict[str, np.ndarray]) -> None:
        """Put the arrays of `state_arrays` back in place."""
        for prefix, state in (
            ("bodies", self.bodies),
            ("accounts", self.accounts),
            ("market", self.market.state),
            ("senses", self.senses.state),
        ):
            restore(prefix, state, saved)
