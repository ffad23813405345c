"""The 23 features and ten regime indicators: equal to TA-Lib and to their formulas, causal, each its own."""

from collections.abc import Callable

import numpy as np
import pytest
import talib
from hypothesis import given, settings
from hypothesis import strategies as st
from talib import MA_Type  # type: ignore[attr-defined]

from arena.envs.trader.columns import FEATURE_INDEX, FEATURES, N_FEATURES, N_ROWS, REGIME, TIMELESS
from arena.envs.trader.config import FIRST_FEATURES, FIRST_REGIME, Normalisation
from arena.envs.trader.normalise import RowBook, normalise
from arena.envs.trader.sight import clocks_of
from arena.market.bars import Bars
from tests.traders import bars_of, column, played

BARS = bars_of(700)
MODES: tuple[Normalisation, ...] = ("zscore", "minmax", "robust")


def _talib(bars: list[Bars]) -> dict[str, np.ndarray]:
    """Return [T] of every feature that TA-Lib has, in our units."""
    high, low, close, volume = (column(bars, name) for name in ("high", "low", "close", "volume"))
    macd, signal, histogram = talib.MACD(close, 12, 26, 9)
    upper, middle, lower = talib.BBANDS(close, 20, 2, 2, MA_Type.SMA)
    stochastic, _ = talib.STOCHF(high, low, close, 14, 1, MA_Type.SMA)
    return {
        "rsi_14": talib.RSI(close, 14) / 50.0 - 1.0,
        "macd": macd / close, "macd_signal": signal / close, "macd_histogram": histogram / close,
        "atr_14": talib.ATR(high, low, close, 14) / close,
        "bollinger_place": (close - lower) / (upper - lower) - 0.5,
        "bollinger_width": (upper - lower) / middle,
        "adx_14": talib.ADX(high, low, close, 14) / 100.0,
        "direction_14": (talib.PLUS_DI(high, low, close, 14) - talib.MINUS_DI(high, low, close, 14)) / 100.0,
        "stochastic_14": stochastic / 50.0 - 1.0,
        "cci_20": talib.CCI(high, low, close, 20) / 200.0,
        "mfi_14": talib.MFI(high, low, close, volume, 14) / 50.0 - 1.0,
        "roc_10": talib.ROC(close, 10) / 100.0,
        "ema_gap_50": np.log(close / talib.EMA(close, 50)),
    }  # fmt: skip


@pytest.mark.parametrize("one", [False, True])
def test_features_equal_talib_from_the_first_bar_that_counts(one: bool) -> None:
    """To 1e-9 of the value, or of .001 where a value passes through 0 and only rounding is left."""
    raw, _ = played(BARS, one=one)
    for name, oracle in _talib(BARS).items():
        ours, theirs = raw[FIRST_FEATURES:, FEATURE_INDEX[name], 0], oracle[FIRST_FEATURES:]
        assert np.all(np.abs(ours - theirs) <= 1e-9 * np.maximum(np.abs(theirs), 1e-3)), name


def test_talib_would_notice_another_period() -> None:
    """Sabotage: an RSI of 13 bars is not equal."""
    close = column(BARS, "close")
    raw, _ = played(BARS)
    wrong = talib.RSI(close, 13)[FIRST_FEATURES:] / 50.0 - 1.0
    assert np.abs(raw[FIRST_FEATURES:, FEATURE_INDEX["rsi_14"], 0] - wrong).max() > 0.01


def test_price_features_equal_their_formulas() -> None:
    """Columns 0 to 5, which no library has."""
    raw, _ = played(BARS)
    before = column(BARS, "close")[99]
    for name in ("open", "high", "low", "close"):
        assert raw[100, FEATURE_INDEX[name], 0] == pytest.approx(np.log(column(BARS, name)[100] / before), abs=1e-14)
    volume = column(BARS, "volume")
    usual = volume[81:101].mean()
    assert raw[100, FEATURE_INDEX["volume"], 0] == pytest.approx(np.log((volume[100] + 1) / (usual + 1)), abs=1e-13)
    vwap = column(BARS, "vwap")[100] / column(BARS, "close")[100]
    assert raw[100, FEATURE_INDEX["vwap"], 0] == pytest.approx(np.log(vwap), abs=1e-14)


def _regime_by_formula(bars: list[Bars]) -> np.ndarray:
    """Return [10] for the newest bar, straight from the table, with none of the package's code."""
    close, high, low, volume = (column(bars, name) for name in ("close", "high", "low", "volume"))
    r = np.diff(np.log(close))
    rms = {n: np.sqrt((r[-n:] ** 2).mean()) for n in (20, 50, 100)}
    past = [np.sqrt((r[end - 20 : end] ** 2).mean()) for end in range(len(r) - 255, len(r) + 1)]
    parkinson = np.sqrt((np.log(high / low)[-20:] ** 2).sum() / (20 * 4 * np.log(2)))

    def vr(n: int, q: int) -> float:
        x = np.log(close)[-n - 1 :]
        one, many, mean = np.diff(x), x[q:] - x[:-q], (x[-1] - x[0]) / n
        long = ((many - q * mean) ** 2).sum() / (q * (n - q + 1) * (1 - q / n))
        return float(long / (((one - mean) ** 2).sum() / (n - 1)))

    log = np.log(close)
    return np.array([
        np.tanh(np.log(rms[20] / rms[100])), 2 * (np.array(past) <= rms[20]).mean() - 1,
        np.tanh(np.log(parkinson / rms[20])), np.tanh((log[-1] - log[-51]) / (2 * rms[50] * np.sqrt(50))),
        np.tanh((log[-1] - log[-11]) / (rms[20] * np.sqrt(10))), (log[-1] - log[-21]) / np.abs(r[-20:]).sum(),
        np.clip(vr(100, 5) - 1, -1, 1), np.clip(np.log(vr(256, 16)) / np.log(16), -1, 1),
        np.clip(close[-1] / close[-100:].max() - 1, -0.2, 0) / 0.2,
        np.tanh(np.log((volume[-5:].mean() + 1) / (volume[-50:].mean() + 1))),
    ])  # fmt: skip


@pytest.mark.parametrize("one", [False, True])
@pytest.mark.parametrize("length", [FIRST_REGIME, 401, 700])
def test_the_regime_equals_its_formulas(one: bool, length: int) -> None:
    """Ten quantities, from the first bar on that an agent can see."""
    _, regime = played(BARS[:length], one=one)
    np.testing.assert_allclose(regime[-1, 0], _regime_by_formula(BARS[:length]), atol=3e-7)


def test_ten_regime_indicators_are_ten() -> None:
    """No two say nearly the same, none is constant, and every one keeps its bounds."""
    regime = played(bars_of(3000, seed=4), one=True)[1][FIRST_REGIME:, 0]
    alike = np.abs(np.corrcoef(regime.T)) - np.eye(len(REGIME))
    assert alike.max() < 0.9
    assert regime.std(axis=0).min() > 0.05
    for number, reading in enumerate(REGIME):
        assert reading.low <= regime[:, number].min() and regime[:, number].max() <= reading.high, reading.name


def test_the_book_of_one_market_is_the_book_of_many() -> None:
    """Plain floats against arrays: equal to rounding; and a market's bits do not depend on its neighbours."""
    bars = bars_of(400, markets=3)
    raw, regime = played(bars)
    for market in range(3):
        alone = [Bars(*(values[market : market + 1] for values in bar)) for bar in bars]
        by_array, by_float = played(alone), played(alone, one=True)
        assert np.array_equal(raw[:, :, market], by_array[0][:, :, 0])
        assert np.array_equal(regime[:, market], by_array[1][:, 0])
        np.testing.assert_allclose(by_float[0][FIRST_FEATURES:], by_array[0][FIRST_FEATURES:], atol=1e-12)
        np.testing.assert_allclose(by_float[1][FIRST_REGIME:], by_array[1][FIRST_REGIME:], atol=1e-6)


@pytest.mark.parametrize("one", [False, True])
def test_no_feature_knows_a_later_bar(one: bool) -> None:
    """Other bars from 350 on: everything before is the same to the bit."""
    other = BARS[:350] + bars_of(50, seed=9)
    raw, regime = played(BARS[:400], one=one)
    changed = played(other, one=one)
    assert np.array_equal(raw[:350], changed[0][:350]) and np.array_equal(regime[:350], changed[1][:350])
    assert not np.array_equal(raw[350], changed[0][350])


@pytest.mark.parametrize("one", [False, True])
def test_a_market_at_rest_has_finite_features(one: bool) -> None:
    """Flat prices and no volume: quotients of nothing are 0."""
    still = np.full(1, 50.0)
    raw, regime = played([Bars(still, still, still, still, np.zeros(1), still)] * 320, one=one)
    assert np.isfinite(raw).all() and np.isfinite(regime).all()
    assert np.abs(raw[-1, :21]).max() < 1e-12


def test_every_feature_is_defined_once() -> None:
    """6 from OHLCV, 14 technical, 1 sentiment, 2 temporal; names differ, formulas differ."""
    groups = [feature.group for feature in FEATURES]
    assert [groups.count(group) for group in ("ohlcv", "technical", "sentiment", "temporal")] == [6, 14, 1, 2]
    assert len({feature.name for feature in FEATURES}) == len({feature.formula for feature in FEATURES}) == 23
    assert tuple(range(21)) == TIMELESS


def test_clocks_tell_hours_or_weekdays() -> None:
    """Six in the morning is a quarter of a day; Monday begins the week."""
    assert clocks_of(["2020-01-06T06:00:00"])[0] == pytest.approx((1.0, 0.0))
    assert clocks_of(["2020-01-06"])[0] == pytest.approx((0.0, 1.0))
    assert len(set(clocks_of([f"2020-01-{day:02d}" for day in range(6, 13)]))) == 7


ORACLES: dict[Normalisation, Callable[[np.ndarray], float]] = {
    "zscore": lambda x: float(np.clip((x[-1] - x.mean()) / (x.std() + 1e-8), -5, 5)),
    "minmax": lambda x: float(2 * (x[-1] - x.min()) / (x.max() - x.min() + 1e-8) - 1),
    "robust": lambda x: float(
        np.clip((x[-1] - np.median(x)) / (np.subtract(*np.percentile(x, [75, 25])) / 1.349 + 1e-8), -5, 5)
    ),
}


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), bars=st.integers(16, 70), mode=st.sampled_from(MODES))
def test_normalisation_equals_its_formula(seed: int, bars: int, mode: Normalisation) -> None:
    """Each column of each market in units of its own window."""
    window = np.random.default_rng(seed).standard_t(2, (21, 2, bars))
    ours = normalise(np.array((window, window * window)), mode)
    for feature in range(21):
        for market in range(2):
            assert ours[feature, market] == pytest.approx(ORACLES[mode](window[feature, market]), abs=1e-9)


@pytest.mark.parametrize("mode", MODES)
def test_a_row_is_normalised_once(mode: Normalisation) -> None:
    """A row seen 23 bars later is the row that was seen when its bar closed, by its own past."""
    raw = played(BARS[:300])[0]
    book, first_seen = RowBook(1, 64, mode), []
    for number in range(300):
        book.add(raw[number], scaled=number >= 64)
        first_seen.append(book.newest()[0].copy())
        if number >= 64 + N_ROWS:
            assert np.array_equal(book.rows()[0], np.array(first_seen[-N_ROWS:]))
    for feature in TIMELESS:
        expected = ORACLES[mode](raw[186:250, feature, 0])
        assert first_seen[249][feature] == pytest.approx(expected, abs=1e-5)
    assert first_seen[-1].shape == (N_FEATURES,)
