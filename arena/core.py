"""One tick of the world on one page: observe, decide, meet in the auction, mark, scar, reward.

Nothing of bar t+1 exists when the action for it is chosen: `step` receives actions that were decided
on `observe()`'s arrays, clears them in the opening auction of bar t+1 and only then makes the rest of it.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from arena.arrays import dump, restore
from arena.body import accounting, lifecycle, reward, scars
from arena.body.orders import Orders
from arena.body.state import Accounts, Bodies, living, some, spread
from arena.config import ArenaConfig, BodyConfig, LifeConfig, MarketConfig, RewardConfig, ScarConfig
from arena.errors import StoreError
from arena.kernel.market import market_of
from arena.kernel.phases import phases_of
from arena.kernel.senses import senses_of
from arena.market.bars import Bars
from arena.market.clearing import Clearing
from arena.market.shocks import Path
from arena.market.tape import Tape
from arena.phases import Rules
from arena.senses.observe import crowding_of, observe

_NOBODY = np.zeros(0, dtype=bool)


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


class RoundEnd(NamedTuple):
    """What the end of a round did to the bodies; births follow."""

    living_costs: np.ndarray  # [M] that the estate received
    graduations: list[tuple[int, float]]  # (seat, equity that the paper account ended with)
    scars: list[scars.ScarMark]
    deaths: list[lifecycle.Death]


class Arena:
    """Markets, senses and bodies with one lifetime; knows nothing of learning or ancestry."""

    def __init__(
        self, config: WorldConfig, seed: int, tape: Tape | None = None, paths: Sequence[Path] | None = None
    ) -> None:
        """Open nothing yet; `paths` [M] say which history each market follows, by default all differ."""
        self.config = config
        self.markets = config.arena.markets
        self.seats = config.arena.seats
        self.population = self.markets * self.seats
        self.market = market_of(
            config.market, self.markets, config.arena.ticks_per_round, seed, config.body.endowment, tape, paths
        )
        self.senses = senses_of(self.markets)
        self.bodies = Bodies.allocate(self.population)
        self.accounts = Accounts.allocate(self.markets)
        rules = Rules(config.body, config.scars, config.life, config.reward)
        self._phases = phases_of(self.bodies, self.accounts, rules)
        self.obs = self._phases.obs  # [P,D] f32
        self.mask = self._phases.mask  # [P,A] bool

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
        return crowding_of(self.bodies, self.living(), self.markets)

    def observe(self) -> tuple[np.ndarray, np.ndarray]:
        """Write and return (obs [P,D] f32, mask [P,A] bool) from bars up to now."""
        self._phases.observe(self.senses)
        self._phases.allow(self.senses.close)
        return self.obs, self.mask

    def last_look(self, seats: np.ndarray) -> np.ndarray:
        """Return what agents who have just died see, [N,D] f32: their accounts as last marked. Call before the sale."""
        seen = np.zeros(self.population, dtype=bool)
        seen[seats] = True
        out = np.empty_like(self.obs)
        columns, close = self.senses.columns(self.crowding()), self.senses.close
        observe(columns, close, self.senses.sigma, self.bodies, self.config.body.endowment, out, seen)
        rows: np.ndarray = out[seats]
        return rows

    def step(self, actions: np.ndarray) -> Tick:
        """Play one tick with actions [P] that were decided on the latest `observe()`."""
        config, bodies, phases, close = self.config, self.bodies, self._phases, self.senses.close
        past = reward.before(bodies, config.reward)
        orders = phases.decide(actions, close, phases.stops(close, self.senses.atr))
        reservation = self.market.reserve()
        clearing = self.market.clear(reservation, *phases.totals(orders))
        fills = phases.settle(orders, clearing, self.market.depth)
        estate_costs = phases.pay_arrears()
        invested = bodies.shares > 0.0
        bars = self.market.roll_bar(clearing, fills.crossed, fills.imbalance)
        phases.mark(bars.close)
        freed, estate_deaths = lifecycle.close_estates(bodies, self.accounts)
        phases.check()
        moved = np.log(bars.close / close)
        marks = self._scar(orders, fills, np.abs(clearing.log_price - reservation), moved, invested)
        parts, total, ruined = phases.reward(past, moved)
        if some(ruined):
            lifecycle.reopen_paper(bodies, ruined, config.body.endowment)
        self.senses.update(bars)
        return Tick(
            bars, clearing, orders, fills, parts, total, ruined, marks, freed, estate_costs, estate_deaths
        )  # fmt: skip

    def end_round(self) -> RoundEnd:
        """Charge a round of life, let everybody grow older, graduate, scar and die."""
        config, bodies = self.config, self.bodies
        close = self.per_seat(self.senses.close)
        costs = lifecycle.charge_living_costs(bodies, self.accounts, close, config.body)
        lifecycle.grow_older(bodies)
        graduations = lifecycle.graduate(bodies)
        marks = scars.scars_of_round(bodies, config.scars)
        return RoundEnd(costs, graduations, marks, lifecycle.bury(bodies, config.life, config.body, config.scars))

    def _scar(
        self,
        orders: Orders,
        fills: accounting.Fills,
        slippage: np.ndarray,
        moved: np.ndarray,
        invested: np.ndarray,
    ) -> list[scars.ScarMark]:
        """Give this tick's scars: stops, forced sales, slipped fills, a crash while invested.

        slippage: [M] |log price - reservation price| of the auction; moved: [M] log return of the bar.
        """
        limits = self.config.scars
        slipped, crashed = slippage > limits.slippage_limit, moved <= limits.crash_return  # [M]
        hit_by_fill, hit_by_crash = _NOBODY, _NOBODY
        if some(slipped):
            hit_by_fill = spread(slipped, self.population) & ((fills.spent > 0.0) | (fills.sold > 0.0))
        if some(crashed):
            hit_by_crash = spread(crashed, self.population) & invested
        return scars.scars_of_tick(self.bodies, orders, hit_by_fill, hit_by_crash, limits)

    def state_arrays(self) -> dict[str, np.ndarray]:
        """Return all mutable state between two rounds, for a checkpoint; views, not copies."""
        return (
            dump("bodies", self.bodies)
            | dump("accounts", self.accounts)
            | dump("market", self.market.state)
            | dump("senses", self.senses.state)
        )

    def restore(self, saved: dict[str, np.ndarray]) -> None:
        """Put the arrays of `state_arrays` back in place. Raises StoreError when they are not those of an arena."""
        for prefix, state in (
            ("bodies", self.bodies),
            ("accounts", self.accounts),
            ("market", self.market.state),
            ("senses", self.senses.state),
        ):
            restore(prefix, state, saved)
        seen = int(self.senses.state.bars_seen[0])
        if seen < 0:  # it says where in the history the kernel writes
            raise StoreError(f"checkpoint: senses.bars_seen is {seen}, below 0; remove the file, an older one serves")
