"""The senses in C: `arena.senses.indicators.MarketSenses` once more, byte for byte."""

import ctypes

import numpy as np

from arena.kernel.binding import Driver, SensesJob, address, library
from arena.market.bars import Bars
from arena.senses.indicators import ROOT, WEIGHTS, MarketSenses


class KernelSenses(Driver, MarketSenses):
    """The indicators in C; the logarithms are numpy's, on the same numbers."""

    def __init__(self, markets: int, kernel: ctypes.CDLL) -> None:
        """Start blind."""
        super().__init__(markets)
        self._wire(kernel)

    def _wire(self, kernel: ctypes.CDLL) -> None:
        """Tell the kernel where everything is."""
        state, markets = self.state, len(self.state.close)
        self._bar, self._logs, self._args = np.zeros((4, markets)), np.zeros((3, markets)), np.zeros((6, markets))
        arrays = {
            "bars_seen": state.bars_seen, "history": state.history, "averages": state.averages, "p_up": state.p_up,
            "close": state.close, "sigma": state.sigma, "columns": state.columns, "weights": WEIGHTS, "root": ROOT,
            "bar": self._bar, "logs": self._logs, "args": self._args,
        }  # fmt: skip
        self._kernel = kernel
        self._job = SensesJob(markets=markets, **{name: address(array) for name, array in arrays.items()})
        self._at = ctypes.addressof(self._job)

    def update(self, bars: Bars) -> None:
        """Take in one closed bar of every market."""
        bar, logs, args = self._bar, self._logs, self._args
        bar[0], bar[1], bar[2], bar[3] = bars.high, bars.low, bars.close, bars.volume
        np.log(bar[:3], out=logs)
        self._kernel.arena_take_in(self._at)
        np.log(args, out=args)
        self._kernel.arena_refresh(self._at)


def senses_of(markets: int) -> MarketSenses:
    """Return the senses of so many markets: in C where there is a kernel, else in numpy; no byte tells which."""
    kernel = library()
    return MarketSenses(markets) if kernel is None else KernelSenses(markets, kernel)
