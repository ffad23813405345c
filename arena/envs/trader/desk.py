"""One bar of M traders, each alone in a market of its own: the same auction, orders and books as everywhere.

What differs from `arena.core`: no living costs, scars or births; a risk manager; the seven-part reward. Nothing of bar
t+1 exists when the action for it is chosen.
"""

import math
from collections.abc import Sequence
from typing import Final, NamedTuple

import msgspec
import numpy as np

from arena import rng
from arena.body import accounting, lifecycle
from arena.body.orders import Orders
from arena.body.state import ESTATE, Accounts, Bodies, some
from arena.config import LifeConfig, RewardConfig, ScarConfig
from arena.envs import auditing, rewards7
from arena.envs.risk_manager import NO_STOP, RiskManager
from arena.envs.trader import one
from arena.envs.trader import record as records
from arena.envs.trader.columns import N_SIGNALS, PORTFOLIO, POSITION, Observation
from arena.envs.trader.config import FIRST_FEATURES, TraderConfig, warmup_bars
from arena.envs.trader.features import SPAN
from arena.envs.trader.record import Record
from arena.envs.trader.sight import LiveSight, Sight, TapeBook, TapeSight
from arena.envs.trader.signals import SignalProvider, checked
from arena.kernel.market import market_of
from arena.kernel.phases import phases_of
from arena.market.background import Market
from arena.market.shocks import Path
from arena.market.tape import Tape
from arena.phases import Rules

_UNHURT: Final = (ScarConfig(), LifeConfig(), RewardConfig())
"""Nobody here is scarred, dies or earns by these."""
_TAPE_LEAD: Final = 128
"""Bars before an episode that the tape's market is told of; the senses have the whole past."""
_BLOCK: Final = 256
"""Bars that a synthetic market draws at once: fixed, so that the length of an episode decides nothing else."""


class Recorded(NamedTuple):
    """A tape and all that is seen of it."""

    tape: Tape
    book: TapeBook


class Played(NamedTuple):
    """What one bar brought."""

    price: np.ndarray  # [M] f64 of the auction, cash units
    orders: Orders
    fills: accounting.Fills
    parts: np.ndarray  # [7,M] f64, rewards7.COMPONENTS
    reward: np.ndarray  # [M] f64
    events: np.ndarray  # [M,E] bool, risk_manager.EVENTS
    ruined: np.ndarray  # [M] bool, the episode is lost


class _Before(NamedTuple):
    """What a bar's reward is measured from, all [M] f64."""

    equity: np.ndarray
    held_bars: np.ndarray
    entry_price: np.ndarray
    drawdown: np.ndarray


class Desk:
    """M traders from the first bar to the last."""

    def __init__(
        self,
        config: TraderConfig,
        seeds: Sequence[int],
        recorded: Recorded | None = None,
        signals: SignalProvider | None = None,
    ) -> None:
        """Let the warm-up pass and give everybody an endowment; one seed a market."""
        self.config, self.signals = config, signals
        self.markets, self.seats = len(seeds), 1
        self.bars_left, self._bar = config.max_steps, 0
        self._taped = recorded is not None
        self.probabilities = np.full((self.markets, N_SIGNALS), 0.5, dtype=np.float32)  # [M,3]
        if signals is not None:
            signals.reset(self.markets)
        self.market, self.sight = self._open(seeds, recorded)
        self.bodies, self.accounts = Bodies.allocate(self.markets), Accounts.allocate(self.markets)
        self.record = Record.allocate(self.markets)
        self.risk = RiskManager(config, self.markets, seeds[0])
        self._phases = phases_of(self.bodies, self.accounts, Rules(config.body, *_UNHURT))
        self.mask = self._phases.mask  # [M,A] bool
        self.ratios = np.zeros((2, self.markets))  # Sharpe, Sortino
        self._weights = rewards7.weights_of(config)
        accounting.open_accounts(self.accounts, 1, config.body.endowment, self.sight.close)
        for market in range(self.markets):
            self._seat(market)
        accounting.seal_totals(self.accounts, self.bodies)
        self.market.begin_round(0)
        self._look()

    def _open(self, seeds: Sequence[int], recorded: Recorded | None) -> tuple[Market, Sight]:
        """Return the markets at the close before the first auction, and what is seen of them."""
        config, warmup = self.config, warmup_bars(self.config)
        endowment = config.body.endowment
        if recorded is None:
            live = msgspec.structs.replace(config.market, warmup_bars=warmup)
            paths = [Path(seed, 0) for seed in seeds]
            market = market_of(live, self.markets, _BLOCK, seeds[0], endowment, paths=paths)
            sight = LiveSight(self.markets, config, warmup)
            mood = market.state.fundamentalists
            for bar, bars in enumerate(market.warming_up()):
                sight.update(bars, self._mood(mood))
                if bar >= FIRST_FEATURES:
                    self._predict(sight)
                mood = market.state.fundamentalists
            return market, sight
        length = len(recorded.tape.times)
        self.bars_left = min(config.max_steps, length - warmup)
        last = length - self.bars_left
        starts = [int(rng.stream(seed, "tape window").integers(warmup, last + 1)) for seed in seeds]
        paths = [Path(seed, 0, start - _TAPE_LEAD) for seed, start in zip(seeds, starts, strict=True)]
        taped = msgspec.structs.replace(config.market, source="tape", warmup_bars=_TAPE_LEAD)
        market = market_of(taped, self.markets, self.bars_left, seeds[0], endowment, recorded.tape, paths)
        tape_sight = TapeSight(recorded.book, np.array(starts) - 1)
        if self.signals is not None:
            for lead in range(SPAN, 1, -1):
                past = np.array(starts) - lead
                self.signals.predict(recorded.book.raw[past], recorded.book.close[past])
        self._predict(tape_sight)
        return market, tape_sight

    def _mood(self, share: np.ndarray) -> np.ndarray:
        """Return [M] fundamentalists less chartists of the bar in which `share` were the fundamentalists."""
        if self._taped or self.config.market.source != "franke_westerhoff":
            return np.zeros(self.markets)
        mood: np.ndarray = 2.0 * share - 1.0
        return mood

    def _predict(self, sight: Sight) -> None:
        if self.signals is not None:
            self.probabilities = checked(self.signals.predict(sight.raw.T, sight.close), self.markets)

    def _seat(self, market: int) -> None:
        """Seat a fresh trader with an endowment."""
        stop = self.config.risk.stop_atr or NO_STOP
        lifecycle.seat_newborn(
            self.bodies, market, market, endowment=self.config.body.endowment, birthmark=0, apprentice_rounds=0,
            birth_round=0, genes=lifecycle.BodyGenes(self.config.position_scale, stop, (0.0, 0.0, 0.0)),
        )  # fmt: skip

    def step(self, actions: np.ndarray) -> Played:
        """Play one bar with actions [M] that were decided on the latest observation."""
        config, bodies, phases, sight = self.config, self.bodies, self._phases, self.sight
        before = _Before(
            bodies.equity.copy(), bodies.holding_ticks + 1.0, bodies.entry_price.copy(), bodies.drawdown.copy()
        )
        orders = phases.decide(actions, sight.close, self.risk.forced())
        orders, trimmed = self.risk.trimmed(orders, bodies, sight.close)
        events = self.risk.events(actions, orders, trimmed, bodies)
        mood = self.market.state.fundamentalists
        reservation = self.market.reserve()
        clearing = self.market.clear(reservation, *phases.totals(orders))
        fills = phases.settle(orders, clearing, self.market.depth)
        bars = self.market.roll_bar(clearing, fills.crossed, fills.imbalance)
        phases.mark(bars.close)
        phases.check()
        sight.update(bars, self._mood(mood))
        self._predict(sight)
        score = self._score_one if self.markets == 1 else self._score
        parts = score(before, fills, np.abs(clearing.log_price - reservation))
        self._go_on()
        self._look()
        ruined = bodies.equity < config.ruin_fraction * config.body.endowment
        reward = np.add.reduce(parts * self._weights, axis=0)
        return Played(clearing.price, orders, fills, parts, reward, events, ruined)

    def _score(self, before: _Before, fills: accounting.Fills, gap: np.ndarray) -> np.ndarray:
        """Enter the bar in the records and return [7,M] its reward components; gap: [M] of the auction's log price."""
        bodies, sight, bars_per_year = self.bodies, self.sight, self.config.bars_per_year
        records.write(self.record, bodies, fills, before.equity, before.held_bars)
        sharpe_before = self.ratios[0]
        self.ratios = records.ratios(self.record, bars_per_year)
        costs, trade_return = _trading(fills, gap, before.entry_price)
        bar = rewards7.Bar(
            before.equity, bodies.equity, costs, trade_return, before.held_bars, self.ratios[0], sharpe_before,
            bodies.drawdown - before.drawdown, bodies.shares * sight.close / np.maximum(bodies.equity, 1e-9),
            sight.rms_20, self.record.idle,
        )  # fmt: skip
        return rewards7.components(bar, self.config)

    def _score_one(self, before: _Before, fills: accounting.Fills, gap: np.ndarray) -> np.ndarray:
        """Do the same for a single market, in plain floats."""
        bodies, sight = self.bodies, self.sight
        equity_before, held_bars = float(before.equity[0]), float(before.held_bars[0])
        one.write(self.record, bodies, fills, equity_before, held_bars)
        sharpe_before = float(self.ratios[0, 0])
        self.ratios = one.ratios(self.record, self.config.bars_per_year)
        spent, proceeds, sold = float(fills.spent[0]), float(fills.proceeds[0]), float(fills.sold[0])
        fee, cost = float(fills.fee[0]), float(before.entry_price[0]) * sold
        equity = float(bodies.equity[0])
        bar = (
            equity_before, equity, fee + math.expm1(float(gap[0])) * (spent + proceeds),
            (proceeds - fee) / cost - 1.0 if cost > 0.0 else 0.0, held_bars, float(self.ratios[0, 0]), sharpe_before,
            float(bodies.drawdown[0]) - float(before.drawdown[0]),
            float(bodies.shares[0]) * float(sight.close[0]) / max(equity, 1e-9), float(sight.rms_20[0]),
            float(self.record.idle[0]),
        )  # fmt: skip
        return one.components(bar, self.config)

    def _go_on(self) -> None:
        """Count the bar, and let a synthetic market draw its next ones where a block ends."""
        self.bars_left -= 1
        self._bar += 1
        if not self._taped and self._bar % _BLOCK == 0:
            self.market.begin_round(self._bar // _BLOCK)

    def _look(self) -> None:
        """Decide what is legal now, and what the risk manager will do."""
        sight, risk = self.sight, self.config.risk
        returns = sight.returns(risk.var_bars) if risk.value_at_risk > 0.0 else _CALM
        self.risk.look(self.bodies, sight.close, sight.atr, returns)
        self._phases.allow(sight.close)
        self.risk.restrict(self.mask)

    def change_future(self, after: int, sentiment: np.ndarray | None) -> None:
        """Before the first bar: let everything later than bar `after` differ, recorded bars and their rows too."""
        auditing.change_future(self.market, after)
        tape = self.market._tape
        if tape is not None and isinstance(self.sight, TapeSight):
            self.sight.swap(TapeBook(tape, self.config, warmup_bars(self.config), sentiment))

    def bury(self, market: int) -> None:
        """Let the ruined trader's position be sold in the next auction."""
        self.bodies.status[market] = ESTATE

    def replace(self, market: int) -> None:
        """Seat a fresh trader where the estate was; the patron pays. What no auction took goes to the house for 0."""
        bodies, accounts = self.bodies, self.accounts
        accounts.house_shares[market] += bodies.shares[market]
        bodies.shares[market] = 0.0
        lifecycle.close_estates(bodies, accounts)
        accounts.patron[market] += self.config.body.endowment
        self._seat(market)
        self.record.clear(market)
        self.risk.clear(market)
        self.ratios[:, market] = 0.0
        self._look()

    def observe(self) -> Observation:
        """Return fresh arrays of the present, one row a market: {block: [M,...] f32}."""
        if self.markets == 1:
            close = float(self.sight.close[0])
            blocks = one.blocks(self.bodies, self.record, self.ratios, close, self.config.body.endowment)
        else:
            blocks = self._blocks()
        return {
            "technical": self.sight.technical(),
            "sl_probs": self.probabilities.copy(),
            "position": blocks[:, : len(POSITION)],
            "portfolio": blocks[:, len(POSITION) :],
            "regime": self.sight.regime.copy(),
        }

    def _blocks(self) -> np.ndarray:
        """Return [M,13] f32: position, then portfolio."""
        bodies, record, endowment, close = self.bodies, self.record.table, self.config.body.endowment, self.sight.close
        held = bodies.shares > 0.0
        entry = np.where(held, bodies.entry_price, close)
        trades = np.maximum(bodies.closed_trades, 1)
        sharpe, sortino = np.tanh(self.ratios / 3.0)
        blocks = np.array((
            entry / close - 1.0, bodies.shares * close / np.maximum(bodies.equity, 1e-9), close / entry - 1.0,
            (bodies.holding_ticks + 1.0) / 240.0 * held, held,
            np.log(np.maximum(bodies.equity / endowment, 1e-3)), bodies.drawdown, sharpe, sortino,
            record[records.REALISED] / endowment, np.log1p(bodies.closed_trades) / 7.0,
            record[records.DURATIONS] / (240.0 * trades), bodies.won_trades / trades,
        ))  # fmt: skip
        within: np.ndarray = np.minimum(np.maximum(blocks.T, _LOW), _HIGH).astype(np.float32)
        return within


_CALM: Final = np.zeros(1)
_LOW, _HIGH = np.array([(reading.low, reading.high) for reading in (*POSITION, *PORTFOLIO)]).T


def _trading(fills: accounting.Fills, gap: np.ndarray, entry_before: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return [M] fees and what the fill cost against the reservation price, and [M] the net return of what was sold."""
    turnover = fills.spent + fills.proceeds
    if not some(turnover):
        return turnover, turnover
    cost = entry_before * fills.sold
    sold = cost > 0.0
    made = np.where(sold, (fills.proceeds - fills.fee) / np.where(sold, cost, 1.0) - 1.0, 0.0)
    return fills.fee + np.expm1(gap) * turnover, made
