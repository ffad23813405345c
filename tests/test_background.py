"""The price sources: stylised facts, independence of markets, exact restarts, sane bars."""

import copy
import dataclasses
from pathlib import Path

import numpy as np
import pytest

from arena import arrays
from arena.config import BodyConfig, MarketConfig
from arena.errors import ArenaError, ConfigError, DataError
from arena.market.background import Market, depth_of
from arena.market.bars import Bars
from arena.market.tape import Tape, read_tape

_TICKS = 20


def _market(markets: int = 1, seed: int = 7, tape: Tape | None = None, **settings: object) -> Market:
    config = MarketConfig(**settings)  # type: ignore[arg-type]
    return Market(config, markets, _TICKS, seed, 10_000.0, tape)


def _play(market: Market, rounds: range, buying: float = 0.0) -> list[Bars]:
    """Play rounds; with `buying`, agents buy and sell by a fixed pattern that is the same in every market."""
    bars = []
    for index in rounds:
        market.begin_round(index)
        for tick in range(_TICKS):
            buy = np.full(market.markets, buying * (tick % 3))
            sell = np.full(market.markets, buying / 100.0 * (tick % 2))
            done = market.clear(market.reserve(), buy, sell)
            crossed = np.minimum(buy, sell * done.price)
            bars.append(market.roll_bar(done, crossed, buy - sell * done.price))
    return bars


def _closes(bars: list[Bars]) -> np.ndarray:
    return np.array([bar.close for bar in bars])  # [T,M]


def _autocorrelation(x: np.ndarray, lag: int) -> float:
    """Return the mean over columns of the autocorrelation of x [T,M]."""
    x = x - x.mean(axis=0)
    return float(np.mean((x[lag:] * x[:-lag]).mean(axis=0) / (x * x).mean(axis=0)))


def _hill(r: np.ndarray, share: float = 0.05) -> float:
    """Return the mean over columns of Hill's (1975) tail index of |r| above its (1 - share) quantile."""
    ordered = -np.sort(-np.abs(r), axis=0)
    count = int(share * len(r))
    return float(np.mean(1.0 / np.log(ordered[:count] / ordered[count]).mean(axis=0)))


def _stylised_facts(returns: np.ndarray) -> dict[str, bool]:
    """Return which of the four acceptance rules the returns [T,M] keep."""
    centred = returns - returns.mean(axis=0)
    kurtosis = float(np.median((centred**4).mean(axis=0) / (centred**2).mean(axis=0) ** 2))
    return {
        "hill": 2.3 < _hill(centred) < 4.5,
        "kurtosis": kurtosis > 4.0,
        "no return autocorrelation": abs(_autocorrelation(returns, 1)) < 0.05,
        "volatility clustering": _autocorrelation(np.abs(centred), 10) > 0.04,
    }


def _returns(markets: int, ticks: int, **settings: object) -> np.ndarray:
    market = _market(markets, 7, None, **settings)
    market.warm_up()
    return np.diff(np.log(_closes(_play(market, range(ticks // _TICKS)))), axis=0)


def test_default_market_keeps_the_stylised_facts() -> None:
    """32 paths of 6,000 ticks: heavy tails, clustering, no linear predictability."""
    facts = _stylised_facts(_returns(32, 6_000))
    assert all(facts.values()), facts


def test_random_walk_fails_the_stylised_facts() -> None:
    """Sabotage: the negative control breaks at least two of the same four rules."""
    facts = _stylised_facts(_returns(32, 6_000, source="gbm"))
    assert sum(not kept for kept in facts.values()) >= 2, facts


def test_daily_volatility_is_about_one_percent() -> None:
    """The estimated model lives on a daily scale; gbm has exactly the configured volatility."""
    assert 0.008 < _returns(32, 1_000).std() < 0.013
    assert _returns(32, 1_000, source="gbm", drift=0.0, volatility=0.02).std() == pytest.approx(0.02, rel=0.02)


@pytest.mark.parametrize("source", ["franke_westerhoff", "gbm"])
def test_one_market_alone_equals_itself_among_eight(source: str) -> None:
    """Bit for bit, warm-up, crises and trading included."""
    alone = _market(1, source=source, crisis_hazard=0.01)
    among = _market(8, source=source, crisis_hazard=0.01)
    single, many = alone.warm_up(), among.warm_up()
    single += _play(alone, range(10), buying=40_000.0)
    many += _play(among, range(10), buying=40_000.0)
    for bar, bars in zip(single, many, strict=True):
        for value, values in zip(bar, bars, strict=True):
            assert value[0] == values[0]
    assert len(np.unique(many[-1].close)) == 8


@pytest.mark.parametrize("source", ["franke_westerhoff", "gbm"])
def test_restored_state_continues_bit_for_bit(source: str) -> None:
    """A fresh market with the arrays of round 5 plays the same rounds 5 to 9."""
    market = _market(3, source=source, crisis_hazard=0.01)
    market.warm_up()
    _play(market, range(5), buying=40_000.0)
    saved = copy.deepcopy(arrays.dump("market", market.state))
    expected = _play(market, range(5, 10), buying=40_000.0)
    fresh = _market(3, source=source, crisis_hazard=0.01)
    arrays.restore("market", fresh.state, saved)
    for before, after in zip(expected, _play(fresh, range(5, 10), buying=40_000.0), strict=True):
        for a, b in zip(before, after, strict=True):
            assert np.array_equal(a, b)
    assert arrays.fingerprint(arrays.dump("m", market.state)) == arrays.fingerprint(arrays.dump("m", fresh.state))


def test_every_state_array_matters_for_a_restart() -> None:
    """Sabotage: spoiling any one array of the saved state changes the bars that follow."""
    market = _market(2, crisis_hazard=0.2)
    market.warm_up()
    saved = copy.deepcopy(arrays.dump("market", market.state))
    expected = _closes(_play(market, range(2)))
    for field in dataclasses.fields(market.state):
        spoiled = copy.deepcopy(saved)
        array = spoiled[f"market.{field.name}"]
        array[...] = ~array if array.dtype == bool else -array if field.name == "regime" else array + 0.01
        fresh = _market(2, crisis_hazard=0.2)
        arrays.restore("market", fresh.state, spoiled)
        assert not np.array_equal(_closes(_play(fresh, range(2))), expected), field.name


@pytest.mark.parametrize("sub_ticks", [1, 4, 9])
@pytest.mark.parametrize("source", ["franke_westerhoff", "gbm"])
def test_bars_are_sane(source: str, sub_ticks: int) -> None:
    """High and low enclose open, close and vwap; volumes are positive; nothing is infinite."""
    market = _market(4, source=source, sub_ticks=sub_ticks)
    bars = market.warm_up() + _play(market, range(20), buying=90_000.0)
    assert len(bars) == 256 + 20 * _TICKS
    for bar in bars:
        assert np.all(np.isfinite(np.array(bar)))
        assert np.all(bar.high >= np.maximum(bar.open, bar.close))
        assert np.all(bar.low <= np.minimum(bar.open, bar.close))
        assert np.all((bar.vwap <= bar.high * (1.0 + 1e-12)) & (bar.vwap >= bar.low * (1.0 - 1e-12)))
        assert np.all(bar.volume > 0.0)


def test_agents_trades_move_the_price_for_good() -> None:
    """One full order leaves a close that is higher by its impact."""
    quiet, busy = _market(), _market()
    for market in (quiet, busy):
        market.begin_round(0)
    nothing, cash = np.zeros(1), np.full(1, 9_000.0)
    loud = busy.roll_bar(busy.clear(busy.reserve(), cash, nothing), nothing, cash)
    still = quiet.roll_bar(quiet.clear(quiet.reserve(), nothing, nothing), nothing, nothing)
    impact = MarketConfig().impact_bps * 1e-4
    assert np.log(loud.close / still.close)[0] == pytest.approx(impact, rel=0.1)


def test_agents_trades_are_volume() -> None:
    """Crossed and imbalance notional, of either sign, add their shares to the background's."""
    volumes = []
    for crossed, imbalance in ((0.0, 0.0), (500.0, 0.0), (0.0, 900.0), (0.0, -900.0)):
        market = _market()
        market.begin_round(0)
        done = market.clear(market.reserve(), np.zeros(1), np.zeros(1))
        volumes.append(market.roll_bar(done, np.full(1, crossed), np.full(1, imbalance)).volume[0] * done.price[0])
    assert np.array(volumes[1:]) - volumes[0] == pytest.approx([500.0, 900.0, 900.0], rel=1e-6)


def test_full_order_moves_any_price_by_the_configured_impact() -> None:
    """.9 endowments buy any market up by impact_bps; no impact and tapes are infinitely deep."""
    body = BodyConfig()
    config = MarketConfig(impact_bps=5.0)
    depth = depth_of(config, body)
    assert depth == pytest.approx(18_000_000.0)
    market = _market(4, impact_bps=5.0)
    assert np.all(market.depth == depth)
    m = np.log(np.array([0.5, 7.0, config.start_price, 400.0]))
    moved = market.clear(m, np.full(4, 9_000.0), np.zeros(4)).log_price - m
    assert moved == pytest.approx(np.full(4, 5e-4), rel=1e-10)
    assert np.isinf(depth_of(MarketConfig(impact_bps=0.0), body))
    assert np.isinf(depth_of(MarketConfig(source="tape"), body))


def test_depth_stays_as_prices_wander() -> None:
    """The depth is the market's for life: no bar, crisis or trade thins it (that would re-open round trips)."""
    market = _market(8, start_price=3.0, crisis_hazard=0.05)
    before = market.depth.copy()
    market.warm_up()
    bars = _play(market, range(10), buying=40_000.0)
    assert np.abs(np.log(bars[-1].close / 3.0)).max() > 0.2
    assert np.array_equal(market.depth, before)
    assert np.array_equal(before, _market(8, start_price=300.0).depth)


def test_drift_regime_persists_and_drives_the_next_bar() -> None:
    """The sign stays with probability .99 and tells the mean of the bar that follows; null means none."""
    market = _market(32, seed=3)
    signs, bars = [], []
    for index in range(100):
        market.begin_round(index)
        for _ in range(_TICKS):
            signs.append(market.regime.copy())
            nothing = np.zeros(32)
            bars.append(market.roll_bar(market.clear(market.reserve(), nothing, nothing), nothing, nothing))
    sign = np.array(signs)
    assert set(np.unique(sign)) == {-1, 1}
    assert np.mean(sign[1:] == sign[:-1]) == pytest.approx(0.99, abs=0.003)
    returns = np.diff(np.log(_closes(bars)), axis=0)
    assert np.mean(sign[1:] * returns) == pytest.approx(MarketConfig().drift, abs=0.0003)
    assert not _market(4, drift=0.0).regime.any()


def test_crisis_leaves_its_marks() -> None:
    """Jumps at the onset, wild bars while it lasts, and the same history until the first onset."""
    calm, crisis = _market(16, seed=5), _market(16, seed=5, crisis_hazard=0.003)
    on, bars, plain = [], [], _play(calm, range(60))
    for index in range(60):
        crisis.begin_round(index)
        for _ in range(_TICKS):
            nothing = np.zeros(16)
            bars.append(crisis.roll_bar(crisis.clear(crisis.reserve(), nothing, nothing), nothing, nothing))
            on.append(crisis.state.crisis.copy())
    hit = np.array(on)
    assert 0.05 < hit.mean() < 0.2  # .003 x 40 ticks
    gap = np.log(np.array([bar.open for bar in bars][1:]) / _closes(bars)[:-1])
    returns = np.diff(np.log(_closes(bars)), axis=0)
    inside = hit[:-1]
    assert returns[inside].std() > 1.7 * returns[~inside & (gap > -0.05)].std()
    starts = hit[1:] & ~hit[:-1]
    assert np.median(gap[starts]) == pytest.approx(-0.08, abs=0.01)
    differs = _closes(bars) != _closes(plain)
    first = np.argmax(differs, axis=0)
    columns = np.flatnonzero(differs.any(axis=0))
    assert len(columns) > 8
    fall = [np.log(bars[first[c]].open[c] / plain[first[c]].open[c]) for c in columns]
    assert np.median(fall) == pytest.approx(-0.08, abs=0.01)


def test_seed_and_round_decide_everything() -> None:
    """Another seed is another history; the global generator is neither used nor needed."""
    assert not np.array_equal(_closes(_play(_market(seed=1), range(1))), _closes(_play(_market(seed=2), range(1))))
    before = np.random.get_state(legacy=False)
    assert np.array_equal(_closes(_play(_market(), range(1))), _closes(_play(_market(), range(1))))
    assert str(np.random.get_state(legacy=False)) == str(before)


def test_playing_past_the_round_is_refused() -> None:
    """A bar beyond the drawn round is a bug of the caller, said plainly."""
    market = _market()
    with pytest.raises(ArenaError, match="begin_round"):
        market.reserve()
    _play(market, range(1))
    with pytest.raises(ArenaError, match="begin_round"):
        market.reserve()


def _tape(folder: Path, bars: int) -> Tape:
    rng = np.random.default_rng(0)
    close = 50.0 * np.exp(np.cumsum(rng.normal(0.0, 0.01, bars)))
    lines = ["Date,Open,High,Low,Close,Volume"]
    for t in range(bars):
        opened = close[t - 1] if t else 50.0
        high, low = max(opened, close[t]) * 1.002, min(opened, close[t]) * 0.998
        day = np.datetime64("2020-01-01") + t
        lines.append(f"{day},{opened:.4f},{high:.4f},{low:.4f},{close[t]:.4f},{1000 + t}")
    path = folder / "tape.csv"
    path.write_text("\n".join(lines))
    return read_tape(path)


def test_tape_fills_at_the_recorded_open_whatever_is_traded(tmp_path: Path) -> None:
    """The bars are the file's, the price is the open to the last bit, size has no impact."""
    tape = _tape(tmp_path, 200)
    market = _market(2, source="tape", tape=tape, warmup_bars=128)
    warm = market.warm_up()
    assert market.tape_rounds == 3  # (200 - 128) // 20
    assert np.array_equal(_closes(warm)[:, 1], tape.close[:128])
    bars = _play(market, range(3), buying=1e9)
    assert np.array_equal([bar.open[0] for bar in bars], tape.open[128:188])
    assert np.array_equal(_closes(bars)[:, 1], tape.close[128:188])
    assert market.bar_times(1) == tape.times[148:168]
    assert not market.regime.any()
    assert _market().bar_times(0) is None


def test_tape_resumes_at_any_round(tmp_path: Path) -> None:
    """The round index alone decides where the tape stands."""
    tape = _tape(tmp_path, 200)
    market = _market(source="tape", tape=tape, warmup_bars=128)
    assert np.array_equal(_closes(_play(market, range(2, 3)))[:, 0], tape.close[168:188])


def test_tape_that_is_too_short_or_has_ended_is_refused(tmp_path: Path) -> None:
    """The message names the file, what it holds and what is needed."""
    with pytest.raises(DataError, match=r"tape\.csv: 140 bars are too few.*128.*20.*longer tape"):
        _market(source="tape", tape=_tape(tmp_path, 140), warmup_bars=128)
    market = _market(source="tape", tape=_tape(tmp_path, 160), warmup_bars=128)
    with pytest.raises(DataError, match=r"round 1 lies outside the tape's 1 rounds"):
        market.begin_round(1)


def test_source_and_tape_must_agree(tmp_path: Path) -> None:
    """A tape without its source, or a source without its tape, is a configuration error."""
    with pytest.raises(ConfigError, match="needs a tape"):
        _market(source="tape")
    with pytest.raises(ConfigError, match="does not take a tape"):
        _market(tape=_tape(tmp_path, 200))
