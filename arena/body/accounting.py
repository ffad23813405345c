"""Money: fills, marks and the conservation identity. Nothing here creates or destroys a cent.

After every tick, per market, to 1e-9 relative:
    shares of agents + house_shares = shares_total
    cash of agents + trust + house_cash + fees + estate = cash_total + patron + transfers
"""

from typing import Any, NamedTuple

import numpy as np

from arena.arrays import plain_if_one
from arena.body.orders import Orders, real
from arena.body.state import APPRENTICE, Accounts, Bodies, some, spread
from arena.errors import InvariantError
from arena.market.clearing import Clearing

TOLERANCE = 1e-9


class Fill(NamedTuple):
    """What one auction did to each seat, paper included; all [P] f64."""

    spent: np.ndarray  # cash that bought shares
    sold: np.ndarray  # shares
    proceeds: np.ndarray  # cash that sold shares brought
    fee: np.ndarray  # cash units
    net: np.ndarray  # shares bought less sold


class Fills(NamedTuple):
    """What the auction did to each seat."""

    spent: np.ndarray  # [P] f64, cash that bought shares
    proceeds: np.ndarray  # [P] f64, cash that sold shares brought
    fee: np.ndarray  # [P] f64, cash units
    sold: np.ndarray  # [P] f64, shares
    crossed: np.ndarray  # [M] f64, notional exchanged between agents
    imbalance: np.ndarray  # [M] f64, notional that met the house


def open_accounts(accounts: Accounts, seats: int, endowment: float, price: np.ndarray) -> None:
    """Give every market's house its opening balance at price [M]: ten endowments a seat, in cash and in shares."""
    accounts.house_cash[:] = 10.0 * seats * endowment
    accounts.house_shares[:] = 10.0 * seats * endowment / price


def per_market(columns: np.ndarray, markets: int) -> np.ndarray:
    """Return [K,M], the sum over each market's seats of columns [K,P]."""
    sums: np.ndarray = np.add.reduce(columns.reshape(len(columns), markets, -1), axis=-1)
    return sums


def seal_totals(accounts: Accounts, bodies: Bodies) -> None:
    """Fix C0 and X0 once the founders hold their endowments."""
    cash, shares, trust = _agent_sums(accounts, bodies)
    accounts.cash_total[:] = cash + trust + accounts.house_cash + accounts.fees + accounts.estate
    accounts.shares_total[:] = shares + accounts.house_shares


def auction_totals(orders: Orders, on_paper: np.ndarray, markets: int) -> tuple[np.ndarray, np.ndarray]:
    """Return (buy cash [M], sell shares [M]) of the orders that reach the auction: paper [P] bool never does."""
    buy, sell = per_market(_real_only(np.array((orders.buy_cash, orders.sell_shares)), on_paper), markets)
    return buy, sell


def _real_only(columns: np.ndarray, on_paper: np.ndarray) -> np.ndarray:
    """Return columns [K,P] with zeros for apprentices [P] bool."""
    return np.where(on_paper, 0.0, columns) if some(on_paper) else columns


def settle(
    bodies: Bodies,
    accounts: Accounts,
    orders: Orders,
    on_paper: np.ndarray,
    clearing: Clearing,
    depth: np.ndarray,
    fee_rate: np.ndarray,
) -> Fills:
    """Fill all orders at the auction's price and book every cent; paper orders move paper only.

    on_paper: [P] bool; depth: [M] Lambda, cash units per unit of log price; fee_rate: [P]. A paper order pays the
    price that it would have caused by itself: p exp(B/Lambda) for a buy, p exp(-S p/Lambda) for a sale, so that an
    apprentice learns from honest costs.
    """
    markets, seats_total = len(depth), len(on_paper)
    price = spread(clearing.price, seats_total)
    spent, sold = orders.buy_cash, orders.sell_shares
    if some(clearing.collared):
        spent = spent * np.where(on_paper, 1.0, spread(clearing.buy_fill, seats_total))
        sold = sold * np.where(on_paper, 1.0, spread(clearing.sell_fill, seats_total))
    if some(on_paper):
        own_impact = np.where(on_paper, (spent - sold * price) / spread(depth, seats_total), 0.0)
        price = price * np.exp(own_impact)
    flows = np.empty((4, seats_total))
    flows[0] = spent
    proceeds = np.multiply(sold, price, out=flows[1])
    fee = np.add(spent, proceeds, out=flows[2])
    fee *= fee_rate
    net = np.subtract(spent / price, sold, out=flows[3])
    _book_trades(bodies, on_paper, Fill(spent, sold, proceeds, fee, net))
    bodies.cash += proceeds - spent - fee
    np.maximum(bodies.shares, 0.0, out=bodies.shares)
    if some(bodies.cash < 0.0):
        forgive_rounding(bodies)
    bodies.round_fees += fee
    real_spent, real_proceeds, real_fee, real_net = per_market(_real_only(flows, on_paper), markets)
    met_house = real_spent - real_proceeds
    accounts.house_cash += met_house
    accounts.house_shares -= real_net
    accounts.fees += real_fee
    return Fills(spent, proceeds, fee, sold, np.minimum(real_spent, real_proceeds), np.abs(met_house))


def forgive_rounding(bodies: Bodies) -> None:
    """Set cash that a fill left below 0 to 0. Raises InvariantError when it is more than rounding explains."""
    if bodies.cash.min() < -1e-6:
        raise InvariantError(f"seat {int(bodies.cash.argmin())}: cash fell to {bodies.cash.min():.6f} in a fill")
    np.maximum(bodies.cash, 0.0, out=bodies.cash)


def _book_trades(bodies: Bodies, on_paper: np.ndarray, fill: Fill) -> None:
    """Update positions, average entry prices and the record of closed trades."""
    buys, sells = fill.spent > 0.0, fill.sold > 0.0
    cost = bodies.entry_price * bodies.shares
    cost += fill.spent + fill.fee
    profit = fill.proceeds - fill.fee
    profit -= bodies.entry_price * fill.sold
    bodies.trade_profit += np.where(sells, profit, 0.0)
    held = bodies.shares > 0.0  # before this fill, then also after it
    bodies.shares += fill.net
    np.divide(cost, bodies.shares, out=bodies.entry_price, where=buys)
    remains = bodies.shares > 0.0
    held &= remains
    bodies.holding_ticks += 1
    bodies.holding_ticks *= held
    bodies.closed_profit.fill(0.0)
    closed = sells > remains
    if not some(closed):
        return
    won = closed & (bodies.trade_profit > 0.0)
    bodies.closed_trades += closed > on_paper
    bodies.won_trades += won > on_paper
    if some(on_paper):
        bodies.paper_trades += closed & on_paper
        bodies.paper_wins += won & on_paper
    np.copyto(bodies.closed_profit, bodies.trade_profit, where=closed)
    for column in (bodies.trade_profit, bodies.entry_price, bodies.shares):
        np.copyto(column, 0.0, where=closed)


def pay_arrears(bodies: Bodies, accounts: Accounts) -> np.ndarray:
    """Pay living costs from cash as far as it goes; real money goes to the estate. Returns [M] what it got."""
    markets = len(accounts.estate)
    if not some(bodies.arrears):
        return np.zeros(markets)
    paid = np.minimum(bodies.cash, bodies.arrears)
    bodies.cash -= paid
    bodies.arrears -= paid
    received: np.ndarray = np.where(real(bodies), paid, 0.0).reshape(markets, -1).sum(axis=1)
    accounts.estate += received
    return received


def mark(bodies: Bodies, close: np.ndarray) -> None:
    """Value every account at the last close, [P] or [1]; peaks and drawdowns follow."""
    equity, peak = bodies.equity, bodies.peak_equity
    np.multiply(bodies.shares, close, out=equity)
    equity += bodies.cash
    equity -= bodies.arrears
    np.copyto(bodies.drawdown_step, 0, where=equity > peak)
    np.maximum(equity, peak, out=peak)
    has_peak = peak > 0.0
    loss = np.divide(equity, np.where(has_peak, peak, 1.0), out=bodies.drawdown)
    np.subtract(1.0, loss, out=loss)
    loss *= has_peak


def _agent_sums(accounts: Accounts, bodies: Bodies) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    markets = len(accounts.estate)
    on_paper = bodies.status == APPRENTICE
    cash, shares = per_market(_real_only(np.array((bodies.cash, bodies.shares)), on_paper), markets)
    trust = bodies.trust.reshape(markets, -1).sum(axis=1) if some(on_paper) else np.zeros(markets)
    return cash, shares, trust


def agent_totals(accounts: Accounts, bodies: Bodies) -> dict[str, np.ndarray]:
    """Return {"agents_cash", "agents_shares", "trust"}, each [M]."""
    cash, shares, trust = _agent_sums(accounts, bodies)
    return {"agents_cash": cash, "agents_shares": shares, "trust": trust}


@plain_if_one
def _breach(
    cash: Any, shares: Any, trust: Any, house_cash: Any, house_shares: Any, fees: Any, estate: Any, cash_due: Any,
    patron: Any, transfers: Any, shares_due: Any,
) -> Any:  # fmt: skip
    """Return [M] by how much a market's gap in cash or shares exceeds what rounding explains; NaN if not finite."""
    cash_gap = cash + trust + house_cash + fees + estate - (cash_due + patron + transfers)
    shares_gap = shares + house_shares - shares_due
    cash_excess = abs(cash_gap) - TOLERANCE * (abs(cash_due) + cash + abs(house_cash))
    return np.maximum(cash_excess, abs(shares_gap) - TOLERANCE * (shares_due + abs(house_shares)))


def check_conservation(accounts: Accounts, bodies: Bodies) -> None:
    """Raise InvariantError, naming market and gap, if a cent or a share appeared or vanished."""
    sums = cash, shares, trust = _agent_sums(accounts, bodies)
    own = accounts
    breach = _breach(
        *sums, own.house_cash, own.house_shares, own.fees, own.estate, own.cash_total, own.patron, own.transfers,
        own.shares_total,
    )  # fmt: skip
    if np.count_nonzero(breach <= 0.0) < len(breach):
        market = int(np.argmin(breach <= 0.0))
        have = cash + trust + own.house_cash + own.fees + own.estate
        cash_gap = have - (own.cash_total + own.patron + own.transfers)
        shares_gap = shares + own.house_shares - own.shares_total
        raise InvariantError(
            f"market {market}: cash is off by {cash_gap[market]:+.9f} and shares by {shares_gap[market]:+.9f}; "
            "money may only move between accounts"
        )
    ok, reason = bodies.check_valid() if some(bodies.cash < 0.0) else (True, "")
    if not ok:
        raise InvariantError(f"bodies: {reason}")
