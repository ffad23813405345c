"""The risk manager of the trading environment: what is sold without being asked, and what may not be bought.

Everything is decided at a bar's close and happens in the next auction, at the auction's price: a stop is a reason to
sell, never a price. The same stops in the arena leave scars (arena.body.risk, arena.body.scars).
"""

from typing import Final

import numpy as np

from arena import spec
from arena.body.orders import Orders
from arena.body.risk import stop_fires
from arena.body.state import Bodies, some
from arena.envs.trader.config import TraderConfig
from arena.envs.trader.value_at_risk import standard_draws, value_at_risk

EVENTS: Final = (
    "stop_loss", "drawdown_limit", "trim", "cooling", "value_at_risk", "position_cap", "min_notional", "exposure",
    "correlation",
)  # fmt: skip
"""stop_loss, drawdown_limit, trim: something was sold. The others: a buy was refused; position_cap: or cut."""
STOP_LOSS, DRAWDOWN_LIMIT, TRIM, COOLING, VALUE_AT_RISK, POSITION_CAP, MIN_NOTIONAL, EXPOSURE, CORRELATION = range(9)

BUYS: Final = np.array(spec.BUY_FRACTION) > 0.0  # [A]
_SIZES: Final = np.array(spec.BUY_FRACTION)  # [A]
NO_STOP: Final = 1e15
"""Stop distance in average true ranges of a body whose stop never fires."""


class RiskManager:
    """The limits of M traders, each with one instrument."""

    def __init__(self, config: TraderConfig, markets: int, seed: int) -> None:
        """Begin with no limit hit; seed: of the Monte Carlo draws."""
        self._config, self._limits = config, config.risk
        self._draws = standard_draws(seed, config.market.tail_df, config.risk)
        self.peak = np.full(markets, config.body.endowment)  # [M] that the drawdown limit counts from
        self.cooling = np.zeros(markets, dtype=np.int64)  # [M] bars without buying that are left
        self.stopped = np.zeros(markets, dtype=bool)  # [M] the stop has fired
        self.closing = np.zeros(markets, dtype=bool)  # [M] the drawdown limit has
        self.too_risky = np.zeros((markets, spec.N_ACTIONS), dtype=bool)  # [M,A] by value at risk
        self.unit_risk = np.zeros(markets)  # [M] value at risk of a cash unit invested; 0 while the limit is off

    def clear(self, market: int) -> None:
        """Begin anew with one trader."""
        self.peak[market] = self._config.body.endowment
        self.cooling[market] = 0
        self.stopped[market] = self.closing[market] = False

    def look(self, bodies: Bodies, close: np.ndarray, atr: np.ndarray, returns: np.ndarray) -> None:
        """Decide, at the close of a bar, about the next auction; close, atr: [M]; returns: [M,n], the newest last."""
        limits, held = self._limits, bodies.shares > 0.0
        if limits.stop_loss > 0.0:
            self.stopped = held & (close <= (1.0 - limits.stop_loss) * bodies.entry_price)
        if limits.stop_atr > 0.0:
            self.stopped = stop_fires(bodies, close, atr) | (self.stopped & (limits.stop_loss > 0.0))
        if limits.max_drawdown > 0.0:
            self._drawdown(bodies, held)
        if limits.value_at_risk > 0.0:
            self.unit_risk = value_at_risk(returns, limits, self._draws)
            weight = (bodies.shares * close / np.maximum(bodies.equity, 1e-9))[:, None]
            after = np.minimum(weight + _SIZES * bodies.position_scale[:, None], self._config.body.max_weight)
            self.too_risky = BUYS & (np.maximum(after, weight) * self.unit_risk[:, None] > limits.value_at_risk)

    def _drawdown(self, bodies: Bodies, held: np.ndarray) -> None:
        """Let the cooling period pass; drawdown counts anew from the equity at which the limit was hit."""
        self.cooling -= self.cooling > 0
        np.maximum(self.peak, bodies.equity, out=self.peak)
        hit = (bodies.equity <= (1.0 - self._limits.max_drawdown) * self.peak) & (self.cooling == 0)
        self.closing = hit
        if some(hit):
            self.closing = hit & held
            self.cooling[hit] = self._limits.cooling_bars
            self.peak[hit] = bodies.equity[hit]

    def restrict(self, mask: np.ndarray) -> None:
        """Take away from mask [M,A] what the limits forbid."""
        if self._limits.max_drawdown > 0.0:
            mask &= ~(BUYS & (self.cooling > 0)[:, None])
        if self._limits.value_at_risk > 0.0:
            mask &= ~self.too_risky

    def forced(self) -> np.ndarray:
        """Return [M] bool: everything is sold in the next auction."""
        return self.stopped | self.closing

    def trimmed(self, orders: Orders, bodies: Bodies, close: np.ndarray) -> tuple[Orders, np.ndarray]:
        """Return the orders with what must go of positions over their cap, and [M] bool where."""
        body = self._config.body
        excess = bodies.shares * close - body.max_weight * bodies.equity
        over = excess >= body.min_notional
        if not (self._limits.trim and some(over)):
            return orders, over & False
        over &= (orders.sell_shares <= 0.0) & (orders.buy_cash <= 0.0)
        return orders._replace(sell_shares=np.where(over, excess / close, orders.sell_shares)), over

    def events(self, actions: np.ndarray, orders: Orders, trimmed: np.ndarray, bodies: Bodies) -> np.ndarray:
        """Return [M,E] bool, in the order of EVENTS, what this auction's orders met; call before they are filled."""
        found = np.zeros((len(actions), len(EVENTS)), dtype=bool)
        forced, buys = self.forced(), BUYS.take(actions)
        held = bodies.shares > 0.0
        if some(forced) or some(trimmed):
            found[:, STOP_LOSS] = self.stopped & held
            found[:, DRAWDOWN_LIMIT] = self.closing
            found[:, TRIM] = trimmed
            buys &= ~forced
        if not some(buys):
            return found
        wanted = _SIZES[actions] * bodies.position_scale * bodies.equity
        found[:, POSITION_CAP] = buys & (orders.buy_cash > 0.0) & (orders.buy_cash < wanted * (1.0 - 1e-9))
        if not some(orders.illegal):
            return found
        refused = buys & orders.illegal & (held == (actions == spec.ADD_TO_POSITION))
        found[:, COOLING] = refused & (self.cooling > 0)
        refused &= ~found[:, COOLING]
        found[:, VALUE_AT_RISK] = refused & self.too_risky[np.arange(len(actions)), actions]
        refused &= ~found[:, VALUE_AT_RISK]
        small = (wanted < self._config.body.min_notional) | ~held
        found[:, MIN_NOTIONAL] = refused & small
        found[:, POSITION_CAP] |= refused & ~small
        return found


def names_of(events: np.ndarray) -> tuple[str, ...]:
    """Return the names of events [E] bool."""
    return tuple(name for name, happened in zip(EVENTS, events.tolist(), strict=True) if happened)
