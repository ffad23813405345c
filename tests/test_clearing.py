"""The auction: its closed form, its conservation, and that no round trip through it pays."""

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
    assert np.max(np.abs(lambert_w0(z, np.zeros_like(z)) / lambertw(z).real - 1.0)) < 5e-16
    far = np.logspace(-300, 300, 2_001)
    assert np.max(np.abs(lambert_w0(far, np.zeros_like(far)) / lambertw(far).real - 1.0)) < 2e-14
    assert lambert_w0(np.zeros(1), np.zeros(1))[0] == 0.0


def test_lambert_w_shifted_does_not_overflow() -> None:
    """W0(z e^shift) - shift, where e^shift itself is representable and where it is not."""
    z, shift = np.array([0.3, 2.0, 40.0]), np.array([0.2, 5.0, 30.0])
    expected = lambertw(z * np.exp(shift)).real - shift
    np.testing.assert_allclose(lambert_w0(z, shift), expected, atol=2e-14)
    assert abs(lambert_w0(np.array([900.0]), np.array([900.0]))[0]) < 1e-9  # e^900 would be inf


@given(buys=_SIZES, seed=st.integers(0, 2**32 - 1))
@settings(max_examples=60, deadline=None)
def test_price_solves_the_supply_equation(buys: list[float], seed: int) -> None:
    """B/p - S = lambda (ln p - m) holds at the price of every auction that the collar leaves alone."""
    rng = np.random.default_rng(seed)
    buy = np.array(buys)
    sell = rng.uniform(0.0, 1e5, len(buy)) * (rng.random(len(buy)) < 0.7)
    m, depth = rng.normal(4.6, 1.0, len(buy)), 10.0 ** rng.uniform(3.0, 6.0, len(buy))
    done = clear(m, depth, 1.0, buy, sell)
    free = ~done.collared
    supplied = depth * (done.log_price - m)
    error = (buy / done.price - sell - supplied) / (depth + sell)
    assert np.all(np.abs(error[free]) < 1e-12)
    assert np.all(done.buy_fill[free] == 1.0)
    assert np.all(done.sell_fill[free] == 1.0)


@given(seed=st.integers(0, 2**32 - 1), collar=st.floats(0.001, 0.5))
@settings(max_examples=60, deadline=None)
def test_filled_quantities_balance_with_the_house(seed: int, collar: float) -> None:
    """Filled buys equal filled sells plus what the house supplies, collared or not; fills lie in 0..1."""
    rng = np.random.default_rng(seed)
    count = 64
    m, depth = rng.normal(4.6, 1.0, count), np.full(count, 1e4)
    buy = 10.0 ** rng.uniform(-2.0, 8.0, count) * (rng.random(count) < 0.8)
    sell = 10.0 ** rng.uniform(-2.0, 6.0, count) * (rng.random(count) < 0.8)
    done = clear(m, depth, collar, buy, sell)
    assert np.all(np.abs(done.log_price - m) <= collar * (1.0 + 1e-9))
    for fill in (done.buy_fill, done.sell_fill):
        assert np.all((fill >= 0.0) & (fill <= 1.0))
    bought, sold = done.buy_fill * buy / done.price, done.sell_fill * sell
    imbalance = (bought - sold - depth * (done.log_price - m)) / (depth + bought + sold)
    assert np.max(np.abs(imbalance)) < 1e-12


def test_collar_rations_the_heavy_side_only() -> None:
    """A flood of buyers is filled pro rata at the upper collar, the sellers in full; and the mirror image."""
    m, depth = np.log(np.array([100.0, 100.0])), np.array([1e4, 1e4])
    done = clear(m, depth, 0.1, np.array([1e9, 10.0]), np.array([5.0, 1e7]))
    assert done.collared.all()
    np.testing.assert_allclose(done.price, 100.0 * np.exp([0.1, -0.1]))
    np.testing.assert_allclose(done.buy_fill, [(1e4 * 0.1 + 5.0) * done.price[0] / 1e9, 1.0])
    np.testing.assert_allclose(done.sell_fill, [1.0, (1e4 * 0.1 + 10.0 / done.price[1]) / 1e7])


def test_infinite_depth_never_moves_the_price() -> None:
    """Without impact everybody trades at the reservation price exactly, in any size."""
    m = np.log(np.array([7.0, 100.0, 3e5]))
    done = clear(m, np.full(3, np.inf), 0.1, np.array([1e12, 0.0, 5.0]), np.array([0.0, 1e12, 5.0]))
    assert np.array_equal(done.log_price, m)
    assert np.array_equal(done.price, np.exp(m))
    assert not done.collared.any()
    assert np.all(done.buy_fill == 1.0)


def test_empty_auction_clears_at_the_reservation_price() -> None:
    """No orders: p = e^m, bit for bit."""
    m = np.array([4.6, -2.0])
    assert np.array_equal(clear(m, np.full(2, 1e4), 0.1, np.zeros(2), np.zeros(2)).log_price, m)


@given(seed=st.integers(0, 2**32 - 1), count=st.integers(1, 17))
@settings(max_examples=40, deadline=None)
def test_a_market_does_not_notice_its_neighbours(seed: int, count: int) -> None:
    """One market alone gives the bytes that it gives among others, in any place, collared ones included."""
    rng = np.random.default_rng(seed)
    m, depth = rng.normal(4.6, 1.0, count), 10.0 ** rng.uniform(2.0, 6.0, count)
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


def _random_loops(rng: np.random.Generator, loops: int, steps: int) -> np.ndarray:
    """Return [steps, loops] net share trades, in units of the depth, that sum to zero in every loop."""
    sizes = 10.0 ** rng.uniform(-3.0, -0.5, (steps, loops)) * rng.choice([-1.0, 1.0], (steps, loops))
    # Half of the loops trade slices of one size one way and undo them in a block: the known attack.
    half = loops // 2
    sizes[:, :half] = np.abs(sizes[:1, :half]) * rng.choice([-1.0, 1.0], half)
    sizes[-1] = -sizes[:-1].sum(axis=0)
    return sizes


def _auction_profit(trades: np.ndarray, crossed: np.ndarray, persistence: float, agents: int) -> np.ndarray:
    """Return [loops] the coalition's profit, played through the auction with lambda = 1 and first price 1.

    The net trade and the volume that members cross with each other are split over `agents` accounts.
    persistence: share of the impact that the next reservation price keeps.
    """
    loops = trades.shape[1]
    cash, held = np.zeros((agents, loops)), np.zeros((agents, loops))
    share = np.linspace(1.0, 2.0, agents)[:, None]
    share = share / share.sum()
    m, depth = np.zeros(loops), np.ones(loops)
    for net, cross in zip(trades, crossed, strict=True):
        expected = np.exp(m + net)  # the price at which this net trade clears
        buys = share * (np.maximum(net, 0.0) + cross) * expected  # [agents, loops] cash
        sells = share[::-1] * (np.maximum(-net, 0.0) + cross)  # [agents, loops] shares
        done = clear(m, depth, 100.0, buys.sum(axis=0), sells.sum(axis=0))
        np.testing.assert_allclose(done.log_price, m + net, atol=1e-11)
        cash += sells * done.price - buys
        held += buys / done.price - sells
        m = persistence * done.log_price
    np.testing.assert_allclose(held.sum(axis=0), 0.0, atol=1e-9)
    return np.asarray(cash.sum(axis=0))


@pytest.mark.parametrize("persistence", [1.0, 0.95, 0.8, 0.0])
@pytest.mark.parametrize("agents", [1, 3])
def test_no_closed_loop_makes_a_profit(agents: int, persistence: float) -> None:
    """20,000 random round trips of one agent or a colluding group: none gains, whatever decays."""
    rng = np.random.default_rng(agents)
    trades = _random_loops(rng, 20_000, 12)
    crossed = rng.uniform(0.0, 0.2, trades.shape) * (agents > 1)
    profit = _auction_profit(trades, crossed, persistence, agents)
    assert profit.max() < 1e-9
    assert np.median(profit) < -1e-3  # and most of them pay for it


def test_square_root_impact_would_admit_a_profit() -> None:
    """Sabotage: the same search finds a riskless gain once the permanent impact is a square root."""
    trades = _random_loops(np.random.default_rng(1), 20_000, 12)
    log_price = np.cumsum(np.sign(trades) * np.sqrt(np.abs(trades)) * 0.1, axis=0)
    profit = -(trades * np.exp(log_price)).sum(axis=0)
    assert profit.max() > 0.004
