"""The phases of a tick in C: `arena.phases.NumpyPhases` once more, byte for byte.

A phase is one call over all seats, two where a logarithm or an exponential lies between: those are numpy's, on the same
numbers. What happens to few (a debt, an arrear, a wrong book, an action that is none) is left to numpy.
"""

import ctypes
from typing import Final

import numpy as np

from arena.body import accounting, reward
from arena.body.accounting import Fills
from arena.body.orders import Orders
from arena.body.state import Accounts, Bodies
from arena.kernel.binding import ACCOUNTS, BODIES, Driver, Job, address, library
from arena.market.clearing import Clearing
from arena.phases import NumpyPhases, Rewarded, Rules
from arena.senses.indicators import MarketSenses
from arena.senses.observe import EQUITY_FLOOR
from arena.spec import N_MARKET

_IN_DEBT, _OWES = 1, 2  # what arena_settle found
_GIVEN: Final = ("close", "sigma", "atr", "price", "buy_fill", "sell_fill", "depth", "moved")  # [M] f64 each
_MOST: Final = 2**62  # a damage that nobody reaches


class KernelPhases(Driver, NumpyPhases):
    """The phases in C. Columns of bodies and accounts must stay the arrays that they are: the kernel knows where."""

    def __init__(self, bodies: Bodies, accounts: Accounts, rules: Rules, kernel: ctypes.CDLL) -> None:
        """Work in place on these bodies and accounts."""
        super().__init__(bodies, accounts, rules)
        self._owes = True  # whether somebody may
        self._wire(kernel)

    def _wire(self, kernel: ctypes.CDLL) -> None:
        """Tell the kernel where everything is."""
        markets, population, rules = self.markets, self.population, self.rules
        body, scars, config = rules.body, rules.scars, rules.reward
        self._given = {name: np.zeros(markets) for name in _GIVEN}
        self._columns = np.zeros((markets, N_MARKET), dtype=np.float32)
        self._stop, self._actions = np.zeros(population, dtype=bool), np.zeros(population, dtype=np.int8)
        self._rows, self._crowding = np.zeros(population // markets), np.zeros(markets)
        self._logs = np.zeros((2, population))
        kept = {
            "obs": self.obs, "mask": self.mask, "stop": self._stop, "room": self.limits.room,
            "fee_rate": self.limits.fee_rate, "rows": self._rows, "logs": self._logs, "crowding": self._crowding,
            "columns": self._columns, "actions": self._actions, **self._given,
            **{name: getattr(self.bodies, name) for name in BODIES},
            **{name: getattr(self.accounts, name) for name in ACCOUNTS},
        }  # fmt: skip
        self._kernel = kernel
        self._job = Job(
            markets=markets, seats=population // markets, buy_large_limit=min(scars.buy_large_limit, _MOST),
            add_limit=min(scars.add_limit, _MOST), endowment=body.endowment,
            equity_floor=EQUITY_FLOOR * body.endowment, reward_floor=reward.FLOOR * body.endowment,
            fee=body.fee_bps * 1e-4, max_weight=body.max_weight, min_notional=body.min_notional,
            ruin=rules.life.ruin_fraction * body.endowment, unit=1.0 / config.reference_volatility,
            benchmark=config.benchmark_weight, clip=config.clip, tolerance=accounting.TOLERANCE,
            **{name: address(array) for name, array in kept.items()},
        )  # fmt: skip
        self._at = ctypes.addressof(self._job)
        self._orders: Orders | None = None  # whose arrays the job has
        self._held: tuple[np.ndarray, ...] = ()  # those arrays

    def observe(self, senses: MarketSenses) -> None:
        """Write what every seat sees."""
        self._given["close"][:] = senses.close
        self._given["sigma"][:] = senses.sigma
        self._columns[:] = senses.state.columns
        self._kernel.arena_look(self._at)
        np.log(self._logs, out=self._logs)
        self._kernel.arena_see(self._at)

    def allow(self, close: np.ndarray) -> None:
        """Write what is legal now."""
        self._given["close"][:] = close
        self._kernel.arena_allow(self._at)

    def stops(self, close: np.ndarray, atr: np.ndarray) -> np.ndarray:
        """Return [P] bool whose stop has fired."""
        self._given["close"][:] = close
        self._given["atr"][:] = atr
        self._kernel.arena_stops(self._at)
        return self._stop

    def decide(self, actions: np.ndarray, close: np.ndarray, stop: np.ndarray) -> Orders:
        """Turn actions [P] into orders."""
        self._given["close"][:] = close
        if stop is not self._stop:
            self._stop[:] = stop
        self._actions[:] = actions
        cash_and_shares, flags = np.empty((2, self.population)), np.empty((4, self.population), dtype=bool)
        self._job.orders, self._job.flags = address(cash_and_shares), address(flags)
        self._orders, self._held = None, (cash_and_shares, flags)
        if self._kernel.arena_decide(self._at):
            return super().decide(actions, close, stop)
        self._orders = Orders(
            flags[0].view(np.int8), cash_and_shares[0], cash_and_shares[1], flags[1], flags[2], flags[3]
        )
        return self._orders

    def totals(self, orders: Orders) -> tuple[np.ndarray, np.ndarray]:
        """Return (buy cash [M], sell shares [M]) of the real orders."""
        self._point_to(orders)
        sums = np.empty((2, self.markets))
        self._job.totals = address(sums)
        self._kernel.arena_totals(self._at)
        return sums[0], sums[1]

    def settle(self, orders: Orders, clearing: Clearing, depth: np.ndarray) -> Fills:
        """Fill the orders and book every cent."""
        self._point_to(orders)
        given, job, kernel = self._given, self._job, self._kernel
        given["price"][:] = clearing.price
        given["buy_fill"][:] = clearing.buy_fill
        given["sell_fill"][:] = clearing.sell_fill
        given["depth"][:] = depth
        flows, met = np.empty((5, self.population)), np.empty((2, self.markets))
        job.flows, job.totals = address(flows), address(met)
        on_paper = kernel.arena_fill(self._at)
        if on_paper:
            np.exp(self._logs[0], out=self._logs[0])
        found = kernel.arena_settle(self._at, on_paper)
        self._owes = bool(found & _OWES)
        if found & _IN_DEBT:
            accounting.forgive_rounding(self.bodies)
        return Fills(flows[0], flows[1], flows[2], flows[4], met[0], met[1])

    def pay_arrears(self) -> np.ndarray:
        """Let those who owe living costs pay what they can, if `settle` found any."""
        return super().pay_arrears() if self._owes else np.zeros(self.markets)

    def mark(self, close: np.ndarray) -> None:
        """Value every account at the last close."""
        self._given["close"][:] = close
        self._kernel.arena_mark(self._at)

    def check(self) -> None:
        """Raise InvariantError if a cent or a share appeared or vanished."""
        if self._kernel.arena_check(self._at):
            super().check()

    def reward(self, past: reward.Before, moved: np.ndarray) -> Rewarded:
        """Return what the tick was worth."""
        if self.rules.reward.preset != "log_equity":
            return super().reward(past, moved)
        job, kernel, population = self._job, self._kernel, self.population
        parts, total = np.empty((5, population)), np.empty(population, dtype=np.float32)
        ruined = np.empty(population, dtype=bool)
        self._given["moved"][:] = moved
        job.past, job.parts, job.reward = address(past.drawdown), address(parts), address(total)
        job.ruined = address(ruined)
        kernel.arena_growth(self._at)
        np.log(self._logs[0], out=self._logs[0])
        kernel.arena_reward(self._at)
        return Rewarded(parts.T, total, ruined)

    def _point_to(self, orders: Orders) -> None:
        """Let the job have these orders, if it has others."""
        if orders is self._orders:
            return
        cash_and_shares = np.array((orders.buy_cash, orders.sell_shares), dtype=np.float64)
        self._job.orders = address(cash_and_shares)
        self._orders, self._held = orders, (cash_and_shares,)


def phases_of(bodies: Bodies, accounts: Accounts, rules: Rules) -> NumpyPhases:
    """Return the phases of these bodies: in C where there is a kernel, else in numpy; no byte tells which."""
    kernel = library()
    return NumpyPhases(bodies, accounts, rules) if kernel is None else KernelPhases(bodies, accounts, rules, kernel)
