"""Price formation in C: `arena.market.background.Market` once more, byte for byte, for the default source.

The exponentials are numpy's, on the same numbers. A price at the collar and a reservation price of the caller's own are
left to numpy.
"""

import ctypes
from collections.abc import Sequence
from typing import Final

import numpy as np

from arena.config import MarketConfig
from arena.kernel.binding import Driver, MarketJob, address, library
from arena.market.background import Market
from arena.market.bars import Bars
from arena.market.clearing import HALLEY_STEPS, Clearing
from arena.market.shocks import Path
from arena.market.tape import Tape

_AUCTION: Final = ("m", "b", "s", "x", "e", "log_price")  # [M] f64 each


class KernelMarket(Driver, Market):
    """Markets of the source `franke_westerhoff` in C."""

    def __init__(
        self, config: MarketConfig, markets: int, ticks_per_round: int, seed: int, endowment: float,
        paths: Sequence[Path] | None, kernel: ctypes.CDLL,
    ) -> None:  # fmt: skip
        """Prepare M markets."""
        super().__init__(config, markets, ticks_per_round, seed, endowment, None, paths)
        self._clearing: Clearing | None = None  # of the kernel's latest auction
        self._ones, self._within = np.ones(markets), np.zeros(markets, dtype=bool)
        for constant in (self._ones, self._within):
            constant.flags.writeable = False
        self._wire(kernel)

    def _wire(self, kernel: ctypes.CDLL) -> None:
        """Tell the kernel where everything is."""
        markets, k = self.markets, self._config.sub_ticks
        shapes = dict.fromkeys(_AUCTION, (markets,)) | {
            "now": (4, markets), "noise": (2, markets, k), "drift": (markets,), "volume": (markets,),
            "jump": (markets,), "given": (2, markets), "path": (markets, k), "exps": (2, markets),
            "prices": (markets, k), "after": (3, markets), "bars": (6, markets),
        }  # fmt: skip
        self._room: dict[str, np.ndarray] = {name: np.zeros(shape) for name, shape in shapes.items()}
        kept = self._room | {"ladder": self._ladder, "depth": self.depth, "base_volume": self._base_volume}
        self._kernel, self._clearing = kernel, None
        self._job = MarketJob(
            markets=markets, auctions=k, collar=self._config.collar, volatility=self._config.volatility,
            **{name: address(array) for name, array in kept.items()},
        )  # fmt: skip
        self._at = ctypes.addressof(self._job)

    def reserve(self) -> np.ndarray:
        """Return m [M], the log reservation price of the next opening auction."""
        drawn, state, bar, room = self._drawn(), self.state, self._bar, self._room
        now = room["now"]
        now[0], now[1], now[2], now[3] = state.log_close, state.last_return, state.value, state.fundamentalists
        room["noise"][:] = drawn.noise[bar]
        room["drift"][:] = drawn.drift[bar]
        if drawn.jump is not None:
            room["jump"][:] = drawn.jump[bar]
        self._job.jumps = drawn.jump is not None
        self._kernel.arena_reserve(self._at)
        exps = room["exps"]
        np.exp(exps, out=exps)
        self._next_share, self._path = 1.0 / (1.0 + exps[0]), room["path"]
        self._reservation = room["m"].copy()
        return self._reservation

    def clear(self, m: np.ndarray, buy_cash: np.ndarray, sell_shares: np.ndarray) -> Clearing:
        """Clear the opening auction."""
        self._clearing = None
        if m is not self._reservation:
            return super().clear(m, buy_cash, sell_shares)
        room, kernel, at = self._room, self._kernel, self._at
        given, e, prices = room["given"], room["e"], room["prices"]
        given[0], given[1] = buy_cash, sell_shares
        kernel.arena_bid(at)
        for _ in range(HALLEY_STEPS):
            np.exp(e, out=e)
            kernel.arena_step(at)
        if kernel.arena_meet(at):
            return super().clear(m, buy_cash, sell_shares)
        np.exp(prices, out=prices)
        self._clearing = Clearing(prices[:, 0].copy(), room["log_price"].copy(), self._ones, self._ones, self._within)
        return self._clearing

    def roll_bar(self, clearing: Clearing, crossed_notional: np.ndarray, imbalance_notional: np.ndarray) -> Bars:
        """Play the rest of the bar, advance the state and return the closed bar."""
        if clearing is not self._clearing:
            return super().roll_bar(clearing, crossed_notional, imbalance_notional)
        drawn, state, bar, room = self._drawn(), self.state, self._bar, self._room
        given = room["given"]
        given[0], given[1] = crossed_notional, imbalance_notional
        room["volume"][:] = drawn.volume[bar]
        self._kernel.arena_roll(self._at)
        after, bars = room["after"].copy(), room["bars"].copy()
        state.log_close, state.last_return, state.value = after[0], after[1], after[2]
        state.fundamentalists = self._next_share
        state.regime, state.crisis = drawn.regime[bar + 1], drawn.crisis[bar + 1]
        self._bar, self._clearing = bar + 1, None
        return Bars(bars[0], bars[1], bars[2], bars[3], bars[4], bars[5])


def market_of(
    config: MarketConfig, markets: int, ticks_per_round: int, seed: int, endowment: float, tape: Tape | None = None,
    paths: Sequence[Path] | None = None,
) -> Market:  # fmt: skip
    """Return these markets: in C where there is a kernel for their source, else in numpy; no byte tells which."""
    kernel = library()
    if kernel is None or tape is not None or config.source != "franke_westerhoff":
        return Market(config, markets, ticks_per_round, seed, endowment, tape, paths)
    return KernelMarket(config, markets, ticks_per_round, seed, endowment, paths, kernel)
