"""The auction: its closed form, its conservation, and that no round trip through it pays."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import lambertw

from arena.market.clearing import clear, lambert_w0

_SIZES = st.lists(st.floats(0.0, 1e7), min_size=1, max_size=9)


def test_lambert_w_equals_scipy() -> None:
    """Over the range that auctions reach, and far beyond it, to a few ulps."""
    z = np.logspace(-8, 6, 20_001)
    assert np.max(np.abs(lambert_w0(z) / lambertw(z).real - 1.0)) < 5e-16
    far = np.logspace(-300, 300, 2_001)
    assert np.max(np.abs(lambert_w0(far) / lambertw(far).real - 1.0)) < 2e-14
    assert lambert_w0(np.zeros(1))[0] == 0.0


def test_price_equals_the_closed_form() -> None:
    """ln p = c - W0((S/Lambda) e^c) with c = m + B/Lambda, all the way to a collar of 1."""
    rng = np.random.default_rng(3)
    m, depth = rng.normal(4.6, 1.0, 5_000), 10.0 ** rng.uniform(5.0, 8.0, 5_000)
    sell = depth * np.exp(-m) * 10.0 ** rng.uniform(-6.0, 0.5, 5_000)
    buy = depth * 10.0 ** rng.uniform(-6.0, 0.5, 5_000)
    done = clear(m, depth, 1.0, buy, sell)
    c = m + buy / depth
    expected = np.clip(c - lambert_w0(sell / depth * np.exp(c)), m - 1.0, m + 1.0)
    np.testing.assert_allclose(done.log_price, expected, rtol=0.0, atol=1e-13)
    assert 50 < done.collared.sum() < 2_500


@given(buys=_SIZES, seed=st.integers(0, 2**32 - 1))
@settings(max_examples=60, deadline=None)
def test_price_solves_the_supply_equation(buys: list[float], seed: int) -> None:
    """B - S p = Lambda (ln p - m) holds at the price of every auction that the collar leaves alone."""
    rng = np.random.default_rng(seed)
    buy = np.array(buys)
    sell = rng.uniform(0.0, 1e5, len(buy)) * (rng.random(len(buy)) < 0.7)
    m, depth = rng.normal(4.6, 1.0, len(buy)), 10.0 ** rng.uniform(5.0, 8.0, len(buy))
    done = clear(m, depth, 1.0, buy, sell)
    free = ~done.collared
    supplied = depth * (done.log_price - m)
    error = (buy - sell * done.price - supplied) / (depth + buy)
    assert np.all(np.abs(error[free]) < 1e-12)
    assert np.all(done.buy_fill[free] == 1.0)
    assert np.all(done.sell_fill[free] == 1.0)


@given(seed=st.integers(0, 2**32 - 1), collar=st.floats(0.001, 0.5))
@settings(max_examples=60, deadline=None)
def test_cleared_cash_balances_with_the_house(seed: int, collar: float) -> None:
    """Cash spent equals cash received plus what the house takes in, collared or not; fills lie in 0..1."""
    rng = np.random.default_rng(seed)
    count = 64
    m, depth = rng.normal(4.6, 1.0, count), np.full(count, 1e6)
    buy = 10.0 ** rng.uniform(-2.0, 8.0, count) * (rng.random(count) < 0.8)
    sell = 10.0 ** rng.uniform(-2.0, 6.0, count) * (rng.random(count) < 0.8)
    done = clear(m, depth, collar, buy, sell)
    assert np.all(np.abs(done.log_price - m) <= collar * (1.0 + 1e-9))
    for fill in (done.buy_fill, done.sell_fill):
        assert np.all((fill >= 0.0) & (fill <= 1.0))
    spent, proceeds = done.buy_fill * buy, done.sell_fill * sell * done.price
    imbalance = (spent - proceeds - depth * (done.log_price - m)) / (depth + spent + proceeds)
    assert np.max(np.abs(imbalance)) < 1e-12


def test_collar_rations_the_heavy_side_only() -> None:
    """A flood of buyers is filled pro rata at the upper collar, the sellers in full; and the mirror image."""
    m, depth = np.log(np.array([100.0, 100.0])), np.array([1e6, 1e6])
    done = clear(m, depth, 0.1, np.array([1e9, 10.0]), np.array([5.0, 1e7]))
    assert done.collared.all()
    np.testing.assert_allclose(done.price, 100.0 * np.exp([0.1, -0.1]))
    np.testing.assert_allclose(done.buy_fill, [(1e6 * 0.1 + 5.0 * done.price[0]) / 1e9, 1.0])
    np.testing.assert_allclose(done.sell_fill, [1.0, (1e6 * 0.1 + 10.0) / (1e7 * done.price[1])])


def test_absurd_orders_stay_finite() -> None:
    """Orders thousands of depths large clear at the collar, or balance, without a warning."""
    m, depth = np.full(7, np.log(100.0)), np.full(7, 200.0)
    buy = np.array([0.0, 1e-300, 100.0 * 5_000.0, 1e300, 1e300, 1e300, 1e11])
    sell = np.array([1e9, 1e9, 5_000.0, 0.0, 1e300, 1e-300, 1.0])
    done = clear(m, depth, 0.5, buy, sell)
    assert done.collared.tolist() == [True, True, False, True, True, True, True]
    np.testing.assert_allclose(done.log_price - m, [-0.5, -0.5, 0.0, 0.5, -0.5, 0.5, 0.5], atol=1e-9)
    assert np.all(np.isfinite(np.array(done, dtype=np.float64)))


def test_infinite_depth_never_moves_the_price() -> None:
    """Without impact everybody trades at the reservation price exactly, in any size."""
    m = np.log(np.array([7.0, 100.0, 3e5]))
    done = clear(m, np.full(3, np.inf), 0.1, np.array([1e12, 0.0, 5.0]), np.array([0.0, 1e12, 5.0]))
    assert np.array_equal(done.log_price, m)
    assert np.array_equal(done.price, np.exp(m))
    assert not done.collared.any()
    assert np.all(done.buy_fill == 1.0)


def test_the_same_cash_moves_every_price_by_the_same_fraction() -> None:
    """B - S p = Lambda x knows no price: a full order's impact is 5 bp at 4 cents and at 40,000."""
    m = np.log(np.array([0.04, 7.0, 100.0, 40_000.0]))
    depth = np.full(4, 9_000.0 / 5e-4)
    bought = clear(m, depth, 0.1, np.full(4, 9_000.0), np.zeros(4)).log_price - m
    np.testing.assert_allclose(bought, 5e-4, rtol=1e-10)
    sold = clear(m, depth, 0.1, np.zeros(4), 9_000.0 / np.exp(m)).log_price - m
    np.testing.assert_allclose(sold, -lambertw(5e-4).real, rtol=1e-10)


def test_empty_auction_clears_at_the_reservation_price() -> None:
    """No orders: p = e^m, bit for bit."""
    m = np.array([4.6, -2.0])
    assert np.array_equal(clear(m, np.full(2, 1e4), 0.1, np.zeros(2), np.zeros(2)).log_price, m)


@given(seed=st.integers(0, 2**32 - 1), count=st.integers(1, 17))
@settings(max_examples=40, deadline=None)
def test_a_market_does_not_notice_its_neighbours(seed: int, count: int) -> None:
    """One market alone gives the bytes that it gives among others, in any place, collared ones included."""
    rng = np.random.default_rng(seed)
    m, depth = rng.normal(4.6, 1.0, count), 10.0 ** rng.uniform(4.0, 8.0, count)
    buy, sell = 10.0 ** rng.uniform(0.0, 8.0, count), 10.0 ** rng.uniform(0.0, 5.0, count)
    together = clear(m, depth, 0.1, buy, sell)
    order = rng.permutation(count)
    shuffled = clear(m[order], depth[order], 0.1, buy[order], sell[order])
    for all_rows, moved in zip(together, shuffled, strict=True):
        assert np.array_equal(all_rows[order], moved)
    for i in range(count):
        alone = clear(m[i : i + 1], depth[i : i + 1], 0.1, buy[i : i + 1], sell[i : i + 1])
        for all_rows, single in zip(together, alone, strict=True):
            assert all_rows[i] == single[0]


def _random_trades(rng: np.random.Generator, loops: int, steps: int) -> np.ndarray:
    """Return [steps, loops] net cash trades, in units of the depth; the trade that closes a loop follows them."""
    sizes: np.ndarray = 10.0 ** rng.uniform(-4.0, -1.1, (steps, loops)) * rng.choice([-1.0, 1.0], (steps, loops))
    # Half of the loops trade slices of one size one way and undo them in a block: the known attack.
    half = loops // 2
    sizes[:, :half] = np.abs(sizes[:1, :half]) * rng.choice([-1.0, 1.0], half)
    return sizes


def _closing_trade(held: np.ndarray, m: np.ndarray, impact: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Return [loops] the cash trade after which nothing is held, nan where no single trade does it (bisection).

    impact: log price move of a net cash trade; a trade N gets N e^-(m + impact(N)) shares.
    """
    low, high = np.full(len(held), -8.0), np.full(len(held), 1.0)  # shares rise with N over all of this
    for _ in range(80):
        middle = 0.5 * (low + high)
        too_much = middle * np.exp(-m - impact(middle)) + held > 0.0
        low, high = np.where(too_much, low, middle), np.where(too_much, middle, high)
    return np.where((low > -7.9) & (high < 0.99), 0.5 * (low + high), np.nan)


def _auction_profit(
    trades: np.ndarray, crossed: np.ndarray, persistence: float, agents: int
) -> tuple[np.ndarray, float]:
    """Return [loops] the coalition's profits, played through the auction with Lambda = 1 and first price 1.

    The net cash and the cash that members cross with each other are split over `agents` accounts.
    persistence: share of the impact that the next reservation price keeps. Loops that no single trade can
    close are left out; the second result is the share that is left.
    """
    loops = trades.shape[1]
    cash, held = np.zeros((agents, loops)), np.zeros((agents, loops))
    share = np.linspace(1.0, 2.0, agents)[:, None]
    share = share / share.sum()
    m, depth = np.zeros(loops), np.ones(loops)
    closes = np.ones(loops, dtype=bool)
    for step, cross in enumerate(crossed):
        net = trades[step] if step < len(trades) else _closing_trade(held.sum(axis=0), m, lambda trade: trade)
        closes = np.isfinite(net)
        net = np.where(closes, net, 0.0)
        expected = np.exp(m + net)  # the price at which this net trade clears
        buys = share * (np.maximum(net, 0.0) + cross)  # [agents, loops] cash
        sells = share[::-1] * (np.maximum(-net, 0.0) + cross) / expected  # [agents, loops] shares
        done = clear(m, depth, 1.0, buys.sum(axis=0), sells.sum(axis=0))
        np.testing.assert_allclose(done.log_price, m + net, atol=1e-11)
        cash += sells * done.price - buys
        held += buys / done.price - sells
        m = persistence * done.log_price
    np.testing.assert_allclose(held.sum(axis=0)[closes], 0.0, atol=1e-10)
    return np.asarray(cash.sum(axis=0)[closes]), float(closes.mean())


@pytest.mark.parametrize("persistence", [1.0, 0.95, 0.8, 0.5, 0.0])
@pytest.mark.parametrize("agents", [1, 3])
def test_no_closed_loop_makes_a_profit(agents: int, persistence: float) -> None:
    """20,000 random round trips of one agent or a colluding group: none gains, whatever decays."""
    rng = np.random.default_rng(agents)
    trades = _random_trades(rng, 20_000, 11)
    crossed = rng.uniform(0.0, 0.2, (12, 20_000)) * (agents > 1)
    profit, closed = _auction_profit(trades, crossed, persistence, agents)
    assert closed > 0.95
    assert profit.max() < 1e-9
    assert np.median(profit) < -1e-5  # and most of them pay for it


def test_square_root_impact_would_admit_a_profit() -> None:
    """Sabotage: the same search finds a riskless gain once the permanent impact is a square root."""

    def impact(trade: np.ndarray) -> np.ndarray:
        move: np.ndarray = np.sign(trade) * np.sqrt(np.abs(trade))
        return move

    trades = _random_trades(np.random.default_rng(1), 20_000, 11)
    log_price: np.ndarray = np.cumsum(impact(trades), axis=0)
    last = _closing_trade((trades * np.exp(-log_price)).sum(axis=0), log_price[-1], impact)
    profit = -(trades.sum(axis=0) + last)
    assert np.isfinite(last).mean() > 0.95
    assert np.nanmax(profit) > 0.1


def test_depth_that_varies_would_admit_a_profit() -> None:
    """Sabotage: buy while the market is deep, push it while it is thin, sell when it is deep again."""
    m, cash, held = np.zeros(1), 0.0, 0.0
    nothing = np.zeros(1)
    for depth, buy in ((1.0, 0.05), (0.01, 0.002)):
        done = clear(m, np.full(1, depth), 1.0, np.full(1, buy), nothing)
        m, cash, held = done.log_price, cash - buy, held + buy / done.price[0]
    done = clear(m, np.ones(1), 1.0, nothing, np.full(1, held))
    assert cash + held * done.price[0] > 0.004
