"""Indicators equal their definitions, bar by bar, for ever, whatever the other markets do."""

import math
from collections.abc import Iterable

import numpy as np
import pytest
import talib
from hypothesis import given, settings
from hypothesis import strategies as st

from arena.arrays import dump, restore
from arena.market.bars import Bars
from arena.senses.indicators import EMA_PERIODS, SIGMA_FLOOR, SPANS, MarketSenses
from arena.senses.regime import DRIFT, STAY, filter_step, variance_ratio
from arena.spec import CLIP, COLUMN_INDEX, N_MARKET

NO_CROWD = -1.0  # the crowding column of a market in which nobody holds shares


def walk(seed: int, ticks: int, markets: int = 1) -> Bars:
    """Return bars with fields [T,M]: a heavy-tailed walk with every price inside its bar."""
    rng = np.random.default_rng(seed)
    close = 100.0 * np.exp(np.cumsum(0.007 * rng.standard_t(4, (ticks, markets)), axis=0))
    before = np.vstack([np.full((1, markets), 100.0), close[:-1]])
    open_ = before * np.exp(0.002 * rng.standard_normal((ticks, markets)))
    high = np.maximum(open_, close) * np.exp(np.abs(0.003 * rng.standard_normal((ticks, markets))))
    low = np.minimum(open_, close) * np.exp(-np.abs(0.003 * rng.standard_normal((ticks, markets))))
    volume = rng.lognormal(8.0, 0.7, (ticks, markets))
    return Bars(open_, high, low, close, volume, (high + low + close) / 3.0)


def take(path: Bars, ticks: slice, markets: slice = slice(None)) -> Bars:
    """Return a part of a path."""
    return Bars(*(np.ascontiguousarray(field[ticks, markets]) for field in path))


def feed(senses: MarketSenses, path: Bars) -> np.ndarray:
    """Update bar by bar; return the columns after each, [T,M,N_MARKET]."""
    crowding = np.zeros(path.close.shape[1])
    rows = []
    for t in range(len(path.close)):
        senses.update(Bars(*(field[t] for field in path)))
        rows.append(senses.columns(crowding))
    return np.array(rows)


def mean_of(values: Iterable[float]) -> float:
    """Return the plain mean."""
    listed = list(values)
    return math.fsum(listed) / len(listed)


class Reference:
    """Every market column of one market by its formula, in plain Python numbers and lists."""

    def __init__(self, path: Bars) -> None:
        self.close, self.high, self.low, self.volume = (
            field[:, 0].tolist() for field in (path.close, path.high, path.low, path.volume)
        )
        self.r = [0.0] + [math.log(b / a) for a, b in zip(self.close, self.close[1:], strict=False)]
        self.sd, self.p_up = self._sd(), [0.5]
        for t in range(1, len(self.r)):
            self.p_up.append(bayes(self.p_up[-1], clip(self.r[t] / self.sd[t])))

    def _sd(self) -> list[float]:
        squares, out = 0.0, [SIGMA_FLOOR]
        for n, r in enumerate(self.r[1:], start=1):
            squares += max(1.0 / n, 1.0 - 0.5**0.01) * (r * r - squares)
            out.append(max(math.sqrt(squares), SIGMA_FLOOR))
        return out

    def ema(self, period: int, t: int) -> float:
        """Seeded by the mean of the first `period` closes, or of those there are."""
        value = mean_of(self.close[: min(period, t + 1)])
        for close in self.close[period : t + 1]:
            value += 2.0 / (period + 1) * (close - value)
        return value

    def wilder(self, values: list[float]) -> float:
        """Seeded by the mean of the first 14 values."""
        average = mean_of(values[:14])
        for value in values[14:]:
            average = (13.0 * average + value) / 14.0
        return average

    def columns(self, t: int) -> list[float]:
        """Return the row of bar t >= 20."""
        close, sd, r = self.close[t], self.sd[t], self.r
        out = [math.log(close / self.close[max(t - k, 0)]) / (sd * math.sqrt(k)) for k in SPANS]
        out += [math.log(close / self.ema(k, t)) / (sd * math.sqrt(k)) for k in EMA_PERIODS]
        out.append(2.0 * self.p_up[t] - 1.0)
        steps = [b - a for a, b in zip(self.close[:t], self.close[1 : t + 1], strict=True)]
        gain, loss = self.wilder([max(x, 0.0) for x in steps]), self.wilder([max(-x, 0.0) for x in steps])
        out.append((100.0 - 100.0 / (1.0 + gain / loss)) / 50.0 - 1.0)
        ranges = [
            max(self.high[i] - self.low[i], abs(self.high[i] - self.close[i - 1]), abs(self.low[i] - self.close[i - 1]))
            for i in range(1, t + 1)
        ]
        out.append(self.wilder(ranges) / close / sd - 1.0)
        out.append(math.log(math.sqrt(mean_of(x * x for x in r[t - 19 : t + 1])) / sd))
        out.append(plain_variance_ratio(self.close[max(t - 100, 0) : t + 1], 5) - 1.0)
        out.append(math.log(close / max(self.high[max(t - 99, 0) : t + 1])) / (sd * 10.0))
        high, low = self.high[t], self.low[t]
        out.append(math.log(high / low) / sd - 1.5)
        out.append(2.0 * (close - low) / (high - low) - 1.0)
        short, long = mean_of(self.volume[t - 4 : t + 1]), mean_of(self.volume[max(t - 49, 0) : t + 1])
        out.append(math.log((short + 1.0) / (long + 1.0)))
        return [clip(x) for x in out] + [NO_CROWD]


def clip(x: float) -> float:
    """Return x within the bounds of a column."""
    return max(-CLIP, min(CLIP, x))


def bayes(p_up: float, z: float) -> float:
    """Return the two-state Bayes filter's next probability, with transition matrix and densities written out."""
    prior = [STAY * p_up + (1.0 - STAY) * (1.0 - p_up), (1.0 - STAY) * p_up + STAY * (1.0 - p_up)]
    scale = math.sqrt(0.5)  # a Student-t with 4 degrees of freedom has variance 2
    density = [0.375 / scale * math.pow(1.0 + ((z - mean) / scale) ** 2 / 4.0, -2.5) for mean in (DRIFT, -DRIFT)]
    up, down = prior[0] * density[0], prior[1] * density[1]
    return up / (up + down)


def plain_variance_ratio(closes: list[float], q: int) -> float:
    """Return VR(q) with the unbiased variances of Lo & MacKinlay 1988, one sum at a time."""
    logs = [math.log(close) for close in closes]
    n = len(logs) - 1
    mean = (logs[-1] - logs[0]) / n
    one = math.fsum((logs[k] - logs[k - 1] - mean) ** 2 for k in range(1, n + 1)) / (n - 1)
    count = q * (n - q + 1) * (1.0 - q / n)
    return math.fsum((logs[k] - logs[k - q] - q * mean) ** 2 for k in range(q, n + 1)) / count / one


def test_rsi_atr_and_emas_equal_talib() -> None:
    """RSI14, ATR14 and four EMAs agree with TA-Lib to 1e-9 from its first defined bar on."""
    path = walk(1, 1200)
    senses, ours = MarketSenses(1), []
    for t in range(1200):
        senses.update(Bars(*(field[t] for field in path)))
        averages = senses.state.averages[:, 0]
        rsi = 100.0 * averages[4] / (averages[4] + averages[5]) if t > 0 else math.nan
        ours.append([*averages[:4], rsi, senses.atr[0]])
    close, high, low = path.close[:, 0], path.high[:, 0], path.low[:, 0]
    theirs = np.column_stack(
        [
            *(talib.EMA(close, period) for period in EMA_PERIODS),
            talib.RSI(close, 14),
            talib.ATR(high, low, close, 14),
        ]
    )
    for column, first in enumerate((9, 24, 49, 99, 14, 14)):
        assert np.all(np.isnan(theirs[:first, column]))
        np.testing.assert_allclose(np.array(ours)[first:, column], theirs[first:, column], rtol=1e-9)


def test_a_late_start_does_not_equal_talib() -> None:
    """Sabotage: the comparison above can fail; one bar lost at the start shows."""
    path = walk(1, 150)
    senses = MarketSenses(1)
    feed(senses, take(path, slice(1, None)))
    theirs = talib.EMA(path.close[:, 0], 100)[-1]
    assert abs(senses.state.averages[3, 0] / theirs - 1.0) > 1e-9


def test_every_column_equals_its_formula() -> None:
    """All 21 columns against the plain reference, in warm-up and across shifts of the history."""
    path = walk(2, 650)
    columns, reference = feed(MarketSenses(1), path), Reference(path)
    for t in (20, 55, 99, 100, 101, 199, 200, 201, 256, 399, 400, 649):
        np.testing.assert_allclose(columns[t, 0], reference.columns(t), rtol=2e-6, atol=2e-7, err_msg=f"bar {t}")
    assert np.abs(columns[256:]).max(axis=(0, 1)).min() > 0.1, "a column never moves"


@pytest.mark.parametrize("ticks", [3_000, pytest.param(100_000, marks=pytest.mark.slow)])
def test_errors_do_not_pile_up(ticks: int) -> None:
    """After 10^5 bars averages and windows equal a fresh recomputation from the first bar to 1e-9."""
    path = walk(3, ticks)
    senses = MarketSenses(1)
    for bars in zip(*path, strict=True):
        senses.update(Bars(*bars))
    reference, last = Reference(path), ticks - 1
    averages = senses.state.averages[:, 0]
    for row, period in enumerate(EMA_PERIODS):
        assert averages[row] == pytest.approx(reference.ema(period, last), rel=1e-9)
    atr = talib.ATR(path.high[:, 0], path.low[:, 0], path.close[:, 0], 14)[-1]
    assert senses.atr[0] == pytest.approx(atr, rel=1e-9)
    assert senses.sigma[0] == pytest.approx(reference.sd[last], rel=1e-9)
    assert senses.state.p_up[0] == pytest.approx(reference.p_up[last], rel=1e-9)
    np.testing.assert_allclose(senses.columns(np.zeros(1))[0], reference.columns(last), rtol=2e-6, atol=2e-7)


def test_the_drift_filter_is_the_plain_bayes_filter() -> None:
    """One vectorised step equals the filter with its matrices written out, for any prior and return."""
    p_up, z = (axis.ravel() for axis in np.meshgrid(np.linspace(0.0, 1.0, 21), np.linspace(-CLIP, CLIP, 41)))
    expected = [bayes(p, x) for p, x in zip(p_up.tolist(), z.tolist(), strict=True)]
    np.testing.assert_allclose(filter_step(p_up, z), expected, rtol=1e-12)


def test_the_drift_filter_finds_a_hidden_drift_and_none_where_there_is_none() -> None:
    """It follows a drift that switches, and stays near the middle without one."""
    rng = np.random.default_rng(4)
    noise = rng.standard_t(4, (4000, 8)) * math.sqrt(0.5)
    sign = np.where(np.cumsum(rng.random((4000, 8)) < 1.0 - STAY, axis=0) % 2 == 0, 1.0, -1.0)
    p_with = p_without = np.full(8, 0.5)
    agreement, size = [], []
    for t in range(4000):
        p_with, p_without = filter_step(p_with, noise[t] + DRIFT * sign[t]), filter_step(p_without, noise[t])
        agreement.append(np.mean((p_with > 0.5) == (sign[t] > 0.0)))
        size.append((np.abs(p_with - 0.5).mean(), np.abs(p_without - 0.5).mean()))
    assert np.mean(agreement) > 0.70
    with_drift, without = np.mean(size, axis=0)
    assert with_drift > without


def test_the_variance_ratio_equals_the_plain_one_and_is_centred() -> None:
    """The same number as one sum at a time; 0 on average for a random walk; positive for trends."""
    closes = walk(5, 101, markets=300).close.T.copy()
    ours = variance_ratio(np.log(closes), 5, SIGMA_FLOOR)
    for row in range(5):
        assert ours[row] == pytest.approx(plain_variance_ratio(closes[row].tolist(), 5) - 1.0, rel=1e-9)
    assert abs(ours.mean()) < 0.04
    rng = np.random.default_rng(6)
    noise = rng.standard_normal((50, 102))
    trending = np.cumsum(noise[:, 1:] + 0.5 * noise[:, :-1], axis=1)
    assert variance_ratio(0.01 * trending, 5, SIGMA_FLOOR).mean() > 0.3


def test_a_prefix_of_the_bars_gives_a_prefix_of_the_columns() -> None:
    """Bar t's columns are the same bytes whether the path ends there or goes on."""
    path = walk(7, 420)
    whole = feed(MarketSenses(1), path)
    for end in (1, 2, 15, 101, 300, 419):
        assert feed(MarketSenses(1), take(path, slice(0, end))).tobytes() == whole[:end].tobytes()


@pytest.mark.parametrize("markets", [2, 8, 33])
def test_a_market_alone_equals_the_same_market_among_others(markets: int) -> None:
    """Bit for bit, in every array of the state, whatever the neighbours."""
    path = walk(8, 330, markets)
    together = MarketSenses(markets)
    columns = feed(together, path)
    for m in {0, 1, markets - 1}:
        alone = MarketSenses(1)
        assert feed(alone, take(path, slice(None), slice(m, m + 1)))[:, 0].tobytes() == columns[:, m].tobytes()
        state, own = together.state, alone.state
        assert own.history[:, 0].tobytes() == state.history[:, m].tobytes()
        assert own.averages[:, 0].tobytes() == state.averages[:, m].tobytes()
        assert (own.p_up[0], own.close[0], own.sigma[0]) == (state.p_up[m], state.close[m], state.sigma[m])
        assert (alone.atr[0], alone.close[0]) == (together.atr[m], path.close[-1, m])


def test_flat_prices_without_volume_are_finite_and_neutral() -> None:
    """Nothing moves: returns, gaps, RSI, ratios are 0, ranges at their lowest, the filter undecided."""
    price = np.full((300, 2), 50.0)
    flat = Bars(price, price, price, price, np.zeros((300, 2)), price)
    columns = feed(MarketSenses(2), flat)
    expected = np.zeros(N_MARKET)
    expected[[COLUMN_INDEX["atr_14"], COLUMN_INDEX["bar_range"], COLUMN_INDEX["crowding"]]] = (-1.0, -1.5, NO_CROWD)
    np.testing.assert_allclose(columns, np.broadcast_to(expected, columns.shape), atol=1e-6)


def test_a_market_that_freezes_and_wakes_stays_finite() -> None:
    """Thousands of flat bars after a lively time, then a jump: everything stays within bounds."""
    path = walk(9, 3300)
    for field in (path.open, path.high, path.low, path.close, path.vwap):
        field[200:3200] = field[200, 0]
    path.volume[200:3200] = 0.0
    columns = feed(MarketSenses(1), path)
    assert np.all(np.isfinite(columns))
    assert np.abs(columns).max() <= CLIP


def test_the_first_bars_use_what_there_is() -> None:
    """A span that reaches before the first bar begins at the first bar; nothing is read from the future."""
    path = walk(10, 30)
    senses = MarketSenses(1)
    assert not senses.columns(np.full(1, 0.5)).any(), "before the first bar all columns are 0"
    columns = feed(senses, path)
    assert np.all(np.isfinite(columns))
    assert not columns[0, 0, : len(SPANS)].any()
    close, sd = path.close[:, 0], Reference(path).sd
    for t in range(1, 30):
        long = math.log(close[t] / close[0]) / (sd[t] * 10.0)
        assert columns[t, 0, COLUMN_INDEX["return_100"]] == pytest.approx(clip(long), rel=1e-6)
    feed(senses, walk(10, 1))
    assert senses.sigma[0] > SIGMA_FLOOR


prices = st.floats(-27.0, 34.0).map(math.exp)
bar = st.tuples(prices, prices, st.sampled_from([0.0, 1e-9, 1.0, 1e12]), st.booleans())


@settings(max_examples=40, deadline=None)
@given(bars=st.lists(bar, min_size=1, max_size=40))
def test_any_bars_give_finite_columns_within_bounds(bars: list[tuple[float, float, float, bool]]) -> None:
    """Whatever prices do, columns are float32 in [-5, 5] and never NaN."""
    senses = MarketSenses(1)
    for first, last, volume, tight in bars:
        open_, close = (last, last) if tight else (first, last)
        high, low = max(open_, close), min(open_, close)
        senses.update(Bars(*(np.array([x]) for x in (open_, high, low, close, volume, close))))
        columns = senses.columns(np.ones(1))
        assert columns.dtype == np.float32
        assert columns.shape == (1, N_MARKET)
        assert np.all(np.isfinite(columns))
        assert np.abs(columns).max() <= CLIP


def test_crowding_is_the_share_of_holders_on_a_scale_from_minus_one_to_one() -> None:
    """Only that column depends on the argument, and the returned array is the caller's own."""
    senses = MarketSenses(3)
    feed(senses, walk(11, 20, markets=3))
    quiet, busy = senses.columns(np.zeros(3)), senses.columns(np.array([0.0, 0.5, 1.0]))
    assert busy[:, COLUMN_INDEX["crowding"]].tolist() == [-1.0, 0.0, 1.0]
    assert np.array_equal(busy[:, :-1], quiet[:, :-1])
    busy[...] = 9.0
    assert senses.columns(np.zeros(3)).tobytes() == quiet.tobytes()


@pytest.mark.parametrize("cut", [1, 150, 400])
def test_a_restored_state_continues_bit_for_bit(cut: int) -> None:
    """Dump, restore into fresh senses, go on: the same bytes as without the interruption."""
    path = walk(12, 500, markets=2)
    first = MarketSenses(2)
    feed(first, take(path, slice(0, cut)))
    second = MarketSenses(2)
    restore("senses", second.state, {name: array.copy() for name, array in dump("senses", first.state).items()})
    crowding = np.full(2, 0.25)
    assert second.columns(crowding).tobytes() == first.columns(crowding).tobytes()
    rest = take(path, slice(cut, None))
    assert feed(second, rest).tobytes() == feed(first, rest).tobytes()
