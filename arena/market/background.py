"""The background of every market: where the reservation price comes from, tick by tick.

A bar is K auctions. The first one, the opening auction, is where the agents trade; the other K - 1
have the background alone and make the bar's high, low and close. `begin_round` draws everything that is
random in a round; a tick is then a few array operations, whatever the number of markets.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from arena.arrays import plain_if_one
from arena.config import BodyConfig, MarketConfig
from arena.errors import ArenaError, ConfigError, DataError
from arena.market import franke_westerhoff as fw
from arena.market import shocks
from arena.market.bars import Bars
from arena.market.clearing import Clearing, clear
from arena.market.tape import Tape

FULL_ORDER = 0.9
"""A full-size order as a share of the endowment: BUY_LARGE at position scale 10."""

_TURNOVER = 100.0
"""Mean background volume of a quiet bar, in endowments."""


@dataclass(slots=True)
class MarketState:
    """What a round starts from; enough to draw and play it again."""

    log_close: np.ndarray  # [M] f64, log of the last close
    last_return: np.ndarray  # [M] f64, log return of the last bar
    value: np.ndarray  # [M] f64, log fundamental value
    fundamentalists: np.ndarray  # [M] f64, their share among the background traders
    regime: np.ndarray  # [M] i8, sign of the next bar's drift, 0 when there is none
    crisis: np.ndarray  # [M] bool, a crisis is on


def depth_of(market: MarketConfig, body: BodyConfig) -> float:
    """Return Lambda in cash units per unit of log price: .9 endowments move any price by impact_bps."""
    return _depth(market, body.endowment)


def _depth(market: MarketConfig, endowment: float) -> float:
    if market.source == "tape" or market.impact_bps == 0.0:
        return float("inf")
    return FULL_ORDER * endowment / (market.impact_bps * 1e-4)


class Market:
    """Price formation of M markets through one run.

    Per tick: `reserve`, `clear`, `roll_bar`; before the first tick of a round: `begin_round`. To resume,
    restore the arrays of `state` and begin the round: the bars come out bit for bit.
    """

    def __init__(
        self,
        config: MarketConfig,
        markets: int,
        ticks_per_round: int,
        seed: int,
        endowment: float,
        tape: Tape | None = None,
        paths: Sequence[shocks.Path] | None = None,
    ) -> None:
        """Prepare M markets at the first price; endowment in cash units sets depth and volume.

        paths: [M] the history of each market, by default one a market from `seed`; equal paths get equal shocks.
        Raises ConfigError when source and tape disagree, DataError when the tape is too short.
        """
        if (config.source == "tape") != (tape is not None):
            raise ConfigError(
                f"market.source: {config.source!r} {'needs' if tape is None else 'does not take'} a tape; "
                "set market.source = 'tape' and name a file, or neither"
            )
        self._config, self._ticks, self._tape = config, ticks_per_round, tape
        self._paths = shocks.paths_of(seed, markets) if paths is None else list(paths)
        self.markets = markets
        self._first_bar = np.array([path.first_bar for path in self._paths])  # [M]
        last = int(self._first_bar.max())
        self.tape_rounds = None if tape is None else _whole_rounds(tape, last + config.warmup_bars, ticks_per_round)
        price = np.full(markets, config.start_price) if tape is None else tape.open[self._first_bar]  # [M]
        self.depth = np.full(markets, _depth(config, endowment))  # [M] f64, cash units, fixed for life
        log_price = np.log(price)
        self.state = MarketState(
            log_close=log_price,
            last_return=np.zeros(markets),
            value=log_price.copy(),
            fundamentalists=np.full(markets, fw.resting_share()),
            regime=np.zeros(markets, np.int8) if tape else shocks.first_regime(config, self._paths),
            crisis=np.zeros(markets, dtype=bool),
        )
        self._scales = fw.noise_scales() if config.source == "franke_westerhoff" else np.array([config.volatility])
        self._base_volume = _TURNOVER * endowment / price  # shares a bar
        k = config.sub_ticks
        self._ladder = np.maximum(1.0, np.arange(k)) / k  # [K] share of the bar's drift: the opening, then since it
        self._path = np.zeros((markets, k))  # log moves of the current bar
        self._next_share = self.state.fundamentalists  # [M] of the bar after the current one
        self._shocks: shocks.Shocks | None = None
        self._bar = 0  # next row of the round's shocks, or of the tape

    @property
    def regime(self) -> np.ndarray:
        """[M] i8: the sign of the true drift of the next bar, 0 without drift; only an oracle may look."""
        return self.state.regime

    def begin_round(self, round_index: int) -> None:
        """Draw everything random in this round, or set the tape to its first bar."""
        if self._tape is None:
            self._draw(round_index, self._ticks)
            return
        if self.tape_rounds is not None and not 0 <= round_index < self.tape_rounds:
            raise DataError(
                f"{self._tape.name}: round {round_index} lies outside the tape's {self.tape_rounds} rounds of "
                f"{self._ticks} ticks after the warm-up; run fewer rounds or use a longer tape"
            )
        self._bar = self._config.warmup_bars + round_index * self._ticks

    def _draw(self, round_index: int, ticks: int) -> None:
        start = (self.state.regime, self.state.crisis)
        self._shocks = shocks.draw(self._config, self._scales, ticks, self._paths, round_index, start)
        self._bar = 0

    def warm_up(self) -> list[Bars]:
        """Play the bars that pass before the first agent acts: one block, round -1 of the streams."""
        return list(self.warming_up())

    def warming_up(self) -> Iterator[Bars]:
        """Yield the bars of `warm_up` one by one, the state in between being that of each bar's close."""
        if self._tape is None:
            self._draw(-1, self._config.warmup_bars)
        else:
            self._bar = 0
        nothing = np.zeros(self.markets)
        for _ in range(self._config.warmup_bars):
            clearing = self.clear(self.reserve(), nothing, nothing)
            yield self.roll_bar(clearing, nothing, nothing)

    def bar_times(self, round_index: int) -> list[str] | None:
        """Return the ISO 8601 times of the first market's bars in a round (-1: the warm-up's); None without a tape."""
        if self._tape is None:
            return None
        start = int(self._first_bar[0])
        if round_index < 0:
            return self._tape.times[start : start + self._config.warmup_bars]
        first = start + self._config.warmup_bars + round_index * self._ticks
        return self._tape.times[first : first + self._ticks]

    def reserve(self) -> np.ndarray:
        """Return m [M], the log reservation price of the next opening auction, from bars up to now."""
        if self._tape is not None:
            opening: np.ndarray = np.log(self._tape.open[self._first_bar + self._bar])
            return opening
        drawn, state, bar = self._drawn(), self.state, self._bar
        if self._config.source == "gbm":
            path = drawn.noise[bar, 0]  # [M,K]
            # The drift is the price's: without the Ito term a driftless log price is a price that grows.
            move = drawn.drift[bar] - 0.5 * self._config.volatility**2
        else:
            share = state.fundamentalists
            gap = state.value - state.log_close
            noise = drawn.noise[bar]  # [2,M,K]
            path = noise[1] + share[:, None] * (noise[0] - noise[1])
            move = fw.expected_move(share, gap, state.last_return) + drawn.drift[bar]
            # The attractiveness of this bar's close decides the shares of the next bar, as in the paper.
            self._next_share = fw.next_share(share, gap)
        path = path + move[:, None] * self._ladder
        if drawn.jump is not None:
            path[:, 0] += drawn.jump[bar]
        self._path = path
        m: np.ndarray = state.log_close + path[:, 0]
        return m

    def clear(self, m: np.ndarray, buy_cash: np.ndarray, sell_shares: np.ndarray) -> Clearing:
        """Clear the opening auction: see `arena.market.clearing.clear`."""
        clearing = clear(m, self.depth, self._config.collar, buy_cash, sell_shares)
        if self._tape is None:
            return clearing
        # exp(ln open) may miss the recorded open by one ulp; a tape fills at the recorded price.
        return clearing._replace(price=self._tape.open[self._first_bar + self._bar])

    def roll_bar(self, clearing: Clearing, crossed_notional: np.ndarray, imbalance_notional: np.ndarray) -> Bars:
        """Play the rest of the bar, advance the state and return the closed bar.

        crossed_notional: [M] cash value traded between agents. imbalance_notional: [M] traded with the house.
        """
        if self._tape is not None:
            return self._roll_tape(self._tape)
        drawn, state, bar = self._drawn(), self.state, self._bar
        path = self._path
        path[:, 0] = 0.0
        prices = np.exp(clearing.log_price[:, None] + path)  # [M,K]
        prices[:, 0] = clearing.price
        log_close = clearing.log_price + path[:, -1]
        state.last_return = log_close - state.log_close
        state.log_close = log_close
        if self._config.source == "franke_westerhoff":
            state.value = state.value + drawn.drift[bar]
            state.fundamentalists = self._next_share
        state.regime = drawn.regime[bar + 1]
        state.crisis = drawn.crisis[bar + 1]
        self._bar = bar + 1
        pace = state.last_return / self._config.volatility
        volume = _volume(
            crossed_notional, imbalance_notional, clearing.price, self._base_volume * drawn.volume[bar], pace
        )
        high, low = np.maximum.reduce(prices, axis=1), np.minimum.reduce(prices, axis=1)
        vwap = np.add.reduce(prices, axis=1) / prices.shape[1]
        return Bars(clearing.price, high, low, prices[:, -1].copy(), volume, vwap)

    def _roll_tape(self, tape: Tape) -> Bars:
        bar, state = self._bar, self.state
        columns = (tape.open, tape.high, tape.low, tape.close, tape.volume)
        opened, high, low, close, volume = (column[self._first_bar + bar] for column in columns)
        log_close = np.log(close)
        state.last_return = log_close - state.log_close
        state.log_close = log_close
        state.value = log_close.copy()
        self._bar = bar + 1
        return Bars(opened, high, low, close, volume, (high + low + close) / 3.0)

    def _drawn(self) -> shocks.Shocks:
        if self._shocks is None or self._bar >= len(self._shocks.drift):
            raise ArenaError("market: no bar is left in this round; call begin_round first")
        return self._shocks


@plain_if_one
def _volume(crossed: Any, imbalance: Any, price: Any, quiet: Any, pace: Any) -> Any:
    """Return [M] shares of a bar: what agents traded, and the background's, more of it in a bar that moves."""
    return (crossed + abs(imbalance)) / price + quiet * (1.0 + abs(pace))


def _whole_rounds(tape: Tape, warmup_bars: int, ticks_per_round: int) -> int:
    rounds = (len(tape.times) - warmup_bars) // ticks_per_round
    if rounds < 1:
        raise DataError(
            f"{tape.name}: {len(tape.times)} bars are too few, the warm-up takes {warmup_bars} and one round "
            f"{ticks_per_round}; use a longer tape, or lower market.warmup_bars or arena.ticks_per_round"
        )
    return rounds
