"""Money: fills, marks and the conservation identity. Nothing here creates or destroys a cent.

After every tick, per market, to 1e-9 relative:
    shares of agents + house_shares = shares_total
    cash of agents + trust + house_cash + fees + estate = cash_total + patron + transfers
"""

from typing import NamedTuple

import numpy as np

from arena.body.orders import Orders, fee_rate, real
from arena.body.state import APPRENTICE, Accounts, Bodies
from arena.config import BodyConfig
from arena.errors import InvariantError
from arena.market.clearing import Clearing

TOLERANCE = 1e-9


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


def auction_totals(bodies: Bodies, orders: Orders, markets: int) -> tuple[np.ndarray, np.ndarray]:
    """Return (buy cash [M], sell shares [M]) of the orders that reach the auction: paper never does."""
    buy, sell = per_market(np.where(real(bodies), np.array((orders.buy_cash, orders.sell_shares)), 0.0), markets)
    return buy, sell


def settle(
    bodies: Bodies, accounts: Accounts, orders: Orders, clearing: Clearing, depth: np.ndarray, body: BodyConfig
) -> Fills:
    """Fill all orders at the auction's price and book every cent; paper orders move paper only.

    depth: [M] Lambda, cash units per unit of log price. A paper order pays the price that it would have caused
    by itself: p exp(B/Lambda) for a buy, p exp(-S p/Lambda) for a sale, so that an apprentice learns from
    honest costs.
    """
    markets = len(depth)
    seats = len(bodies.cash) // markets
    is_real = real(bodies)
    price = clearing.price.repeat(seats)  # [P]
    spent, sold = orders.buy_cash, orders.sell_shares
    if clearing.collared.any():
        spent = spent * np.where(is_real, clearing.buy_fill.repeat(seats), 1.0)
        sold = sold * np.where(is_real, clearing.sell_fill.repeat(seats), 1.0)
    own_impact = np.where(is_real, 0.0, (spent - sold * price) / depth.repeat(seats))
    fill_price = price * np.exp(own_impact)
    bought = spent / fill_price
    proceeds = sold * fill_price
    fee = (spent + proceeds) * fee_rate(bodies, body)
    _book_trades(bodies, spent, bought, sold, proceeds, fee)
    bodies.cash += proceeds - spent - fee
    np.maximum(bodies.shares, 0.0, out=bodies.shares)
    if (bodies.cash < 0.0).any():
        if bodies.cash.min() < -1e-6:
            raise InvariantError(f"seat {int(bodies.cash.argmin())}: cash fell to {bodies.cash.min():.6f} in a fill")
        np.maximum(bodies.cash, 0.0, out=bodies.cash)
    bodies.round_fees += fee
    flows = np.where(is_real, np.array((spent, proceeds, fee, bought - sold)), 0.0)
    real_spent, real_proceeds, real_fee, real_net = per_market(flows, markets)
    accounts.house_cash += real_spent - real_proceeds
    accounts.house_shares -= real_net
    accounts.fees += real_fee
    return Fills(
        spent, proceeds, fee, sold, np.minimum(real_spent, real_proceeds), np.abs(real_spent - real_proceeds)
    )


def _book_trades(
    bodies: Bodies, spent: np.ndarray, bought: np.ndarray, sold: np.ndarray, proceeds: np.ndarray, fee: np.ndarray
) -> None:
    """Update positions, average entry prices and the record of closed trades."""
    buys = spent > 0.0
    cost = bodies.entry_price * bodies.shares + (spent + fee)
    sells = sold > 0.0
    bodies.trade_profit += np.where(sells, proceeds - fee - bodies.entry_price * sold, 0.0)
    was_held = bodies.shares > 0.0
    bodies.shares += bought - sold
    closed = sells & (bodies.shares <= 0.0)
    np.divide(cost, bodies.shares, out=bodies.entry_price, where=buys)
    bodies.holding_ticks += 1
    bodies.holding_ticks *= was_held & (bodies.shares > 0.0)
    bodies.closed_profit[:] = 0.0
    if not closed.any():
        return
    on_paper = bodies.status == APPRENTICE
    won = closed & (bodies.trade_profit > 0.0)
    bodies.closed_trades += closed & ~on_paper
    bodies.won_trades += won & ~on_paper
    bodies.paper_trades += closed & on_paper
    bodies.paper_wins += won & on_paper
    bodies.closed_profit[closed] = bodies.trade_profit[closed]
    bodies.trade_profit[closed] = 0.0
    bodies.entry_price[closed] = 0.0
    bodies.shares[closed] = 0.0


def pay_arrears(bodies: Bodies, accounts: Accounts) -> np.ndarray:
    """Pay living costs from cash as far as it goes; real money goes to the estate. Returns [M] what it got."""
    markets = len(accounts.estate)
    if not bodies.arrears.any():
        return np.zeros(markets)
    paid = np.minimum(bodies.cash, bodies.arrears)
    bodies.cash -= paid
    bodies.arrears -= paid
    received: np.ndarray = np.where(real(bodies), paid, 0.0).reshape(markets, -1).sum(axis=1)
    accounts.estate += received
    return received


def mark(bodies: Bodies, close: np.ndarray) -> None:
    """Value every account at the last close [P]; peaks and drawdowns follow."""
    bodies.equity[:] = bodies.cash + bodies.shares * close - bodies.arrears
    new_peak = bodies.equity > bodies.peak_equity
    bodies.peak_equity[new_peak] = bodies.equity[new_peak]
    bodies.drawdown_step[new_peak] = 0
    has_peak = bodies.peak_equity > 0.0
    loss = 1.0 - bodies.equity / np.where(has_peak, bodies.peak_equity, 1.0)
    bodies.drawdown[:] = np.where(has_peak, loss, 0.0)


def _agent_sums(accounts: Accounts, bodies: Bodies) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    columns = np.array((bodies.cash, bodies.shares, bodies.trust))
    np.copyto(columns[:2], 0.0, where=~real(bodies))
    cash, shares, trust = per_market(columns, len(accounts.estate))
    return cash, shares, trust


def agent_totals(accounts: Accounts, bodies: Bodies) -> dict[str, np.ndarray]:
    """Return {"agents_cash", "agents_shares", "trust"}, each [M]."""
    cash, shares, trust = _agent_sums(accounts, bodies)
    return {"agents_cash": cash, "agents_shares": shares, "trust": trust}


def check_conservation(accounts: Accounts, bodies: Bodies) -> None:
    """Raise InvariantError, naming market and gap, if a cent or a share appeared or vanished."""
    cash, shares, trust = _agent_sums(accounts, bodies)
    have = cash + trust + accounts.house_cash + accounts.fees + accounts.estate
    gap = np.array((
        have - (accounts.cash_total + accounts.patron + accounts.transfers),
        shares + accounts.house_shares - accounts.shares_total,
    ))  # fmt: skip
    scale = np.array((np.abs(accounts.cash_total) + cash, accounts.shares_total))
    scale += np.abs(np.array((accounts.house_cash, accounts.house_shares)))
    fine = (np.abs(gap) <= TOLERANCE * scale) & np.isfinite(have)  # [2,M]
    if not fine.all():
        market = int(np.argmin(fine.all(axis=0)))
        raise InvariantError(
            f"market {market}: cash is off by {gap[0, market]:+.9f} and shares by {gap[1, market]:+.9f}; "
            "money may only move between accounts"
        )
    ok, reason = bodies.check_valid() if (bodies.cash < 0.0).any() else (True, "")
    if not ok:
        raise InvariantError(f"bodies: {reason}")
