"""The risk manager: each limit bites, says so, and fills at the auction's price."""

from typing import Any

import numpy as np
import pytest
from empyrical import sharpe_ratio, sortino_ratio, value_at_risk
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from arena.envs.risk_manager import EVENTS
from arena.envs.solo import TraderEnv
from arena.envs.solo_symbols import SymbolsVectorEnv, aligned
from arena.envs.trader import value_at_risk as var
from arena.envs.trader.columns import RATIO_BARS
from arena.envs.trader.config import RiskLimits, TraderConfig
from arena.envs.trader.portfolio import PortfolioRisk
from arena.errors import ConfigError, DataError
from arena.spec import ADD_TO_POSITION, BUY_LARGE, BUY_SMALL, HOLD, SELL_ALL
from tests.traders import opened, tape_of

NOTHING: dict[str, Any] = {"stop_loss": 0.0, "max_drawdown": 0.0, "trim": False}
BIG: dict[str, Any] = {"position_scale": 10.0, "body": {"max_weight": 1.0}}


def until(env: TraderEnv, event: str, action: int = HOLD, bars: int = 1500) -> dict[str, Any]:
    """Step until an event happens and return that info."""
    for _ in range(bars):
        info = env.step(action)[4]
        if event in info["risk_events"]:
            return dict(info)
    raise AssertionError(f"{event} never happened")


@pytest.mark.parametrize("limits", [{"stop_loss": 0.03}, {"stop_loss": 0.0, "stop_atr": 2.0}])
def test_a_stop_sells_everything_at_the_auction(limits: dict[str, float]) -> None:
    """The close before was at the stop or under it; the price is the next auction's, which may be far below."""
    env = opened(2, max_steps=1500, risk=NOTHING | limits)
    env.step(BUY_LARGE)
    assert env.desk is not None
    entry = float(env.desk.bodies.entry_price[0])
    closes, atrs = [], []
    for _ in range(1500):
        closes.append(float(env.desk.sight.close[0]))
        atrs.append(float(env.desk.sight.atr[0]))
        cash = float(env.desk.bodies.cash[0])
        shares = float(env.desk.bodies.shares[0])
        info = env.step(HOLD)[4]
        if "stop_loss" in info["risk_events"]:
            break
    level = 0.97 * entry if limits["stop_loss"] else entry - 2.0 * atrs[-1]
    assert closes[-1] <= level
    assert info["price"] != pytest.approx(level, rel=1e-9)
    assert float(env.desk.bodies.shares[0]) == 0.0
    assert float(env.desk.bodies.cash[0]) - cash == pytest.approx(shares * info["price"] - info["fee"])


def test_no_stop_fires_when_it_is_off() -> None:
    """The same market without the limit keeps the position."""
    env = opened(2, max_steps=1500, risk=NOTHING)
    env.step(BUY_LARGE)
    events = {event for _ in range(300) for event in env.step(HOLD)[4]["risk_events"]}
    assert not events


def test_the_drawdown_limit_closes_and_cools() -> None:
    """Everything is sold, buying is masked for as many auctions, then possible again."""
    env = opened(3, max_steps=1500, risk=NOTHING | {"max_drawdown": 0.05, "cooling_bars": 7}, **BIG)
    env.step(BUY_LARGE)
    until(env, "drawdown_limit")
    assert env.desk is not None and float(env.desk.bodies.shares[0]) == 0.0
    blocked = 1  # the auction in which it was sold
    while not env.action_masks()[BUY_LARGE]:
        info = env.step(BUY_LARGE)[4]
        assert info["risk_events"] == ("cooling",) and info["invalid"]
        blocked += 1
    assert blocked == 7
    assert env.step(BUY_LARGE)[4]["risk_events"] == ()
    assert float(env.desk.bodies.shares[0]) > 0.0


def test_the_position_cap_cuts_a_buy_and_trims_a_winner() -> None:
    """9 % + 3 % + 3 % stops at 12 %; what grows over it is sold down to it."""
    env = opened(1, max_steps=1500, risk=NOTHING | {"trim": True})
    env.step(BUY_LARGE)
    events = [env.step(ADD_TO_POSITION)[4]["risk_events"] for _ in range(3)]
    assert "position_cap" in events[1] + events[2]
    until(env, "trim")
    assert env.desk is not None
    weight = float(env.desk.bodies.shares[0] * env.desk.sight.close[0] / env.desk.bodies.equity[0])
    assert weight < 0.13


def test_orders_under_the_minimum_are_refused() -> None:
    """The mask forbids them and the event says why."""
    env = opened(1, body={"min_notional": 300.0})
    assert env.action_masks()[BUY_LARGE] and not env.action_masks()[BUY_SMALL]
    info = env.step(BUY_SMALL)[4]
    assert info["risk_events"] == ("min_notional",) and info["invalid"] and info["fee"] == 0.0


@pytest.mark.parametrize("method", ["variance_covariance", "historical", "monte_carlo"])
def test_value_at_risk_forbids_large_buys_first(method: str) -> None:
    """A limit between the risk of a small and a large position masks only the large one."""
    env = opened(1, max_steps=1000, window=230, risk={"value_at_risk": 1e-9, "var_method": method})
    assert env.desk is not None
    unit = float(env.desk.risk.unit_risk[0])
    env = opened(1, max_steps=1000, window=230, risk={"value_at_risk": 0.075 * unit, "var_method": method})
    assert env.action_masks()[:4].tolist() == [True, True, True, False]
    assert env.step(BUY_LARGE)[4]["risk_events"] == ("value_at_risk",)
    assert env.step(BUY_SMALL)[4]["risk_events"] == ()


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), confidence=st.sampled_from([0.9, 0.95, 0.99]))
def test_value_at_risk_equals_independent_libraries(seed: int, confidence: float) -> None:
    """Historical: empyrical; variance-covariance: SciPy's normal law; several rows are rows."""
    returns = 0.001 + 0.01 * np.random.default_rng(seed).standard_t(4, (2, 120))
    ours = {
        method: var.value_at_risk(returns, RiskLimits(var_confidence=confidence, var_method=method), np.zeros(1))
        for method in ("historical", "variance_covariance")
    }
    for row in range(2):
        theirs = -value_at_risk(returns[row], cutoff=1.0 - confidence)
        assert ours["historical"][row] == pytest.approx(max(theirs, 0.0), rel=1e-9)
        normal = -stats.norm.ppf(1 - confidence, returns[row].mean(), returns[row].std(ddof=1))
        assert ours["variance_covariance"][row] == pytest.approx(max(normal, 0.0), rel=1e-9)


def test_monte_carlo_draws_come_from_students_law() -> None:
    """With many draws the percentile is SciPy's; the same seed draws the same."""
    limits = RiskLimits(var_method="monte_carlo", var_draws=100_000)
    returns = 0.01 * np.random.default_rng(1).standard_normal((1, 250))
    draws = var.standard_draws(7, 4.0, limits)
    assert np.array_equal(draws, var.standard_draws(7, 4.0, limits))
    assert not np.array_equal(draws, var.standard_draws(8, 4.0, limits))
    exact = -stats.t.ppf(0.05, 4.0) * np.sqrt(0.5) * returns.std(ddof=1) - returns.mean()
    assert var.value_at_risk(returns, limits, draws)[0] == pytest.approx(exact, rel=0.02)


def test_correlations_equal_numpys_and_stand_still_at_rest() -> None:
    """Pearson's; an instrument that does not move is like nothing."""
    returns = np.random.default_rng(2).standard_normal((3, 60))
    np.testing.assert_allclose(var.correlations(returns), np.corrcoef(returns), atol=1e-12)
    returns[1] = 0.0
    assert np.abs(var.correlations(returns)[1]).max() == 0.0


def book_of(**limits: Any) -> PortfolioRisk:
    """Return the limits of a book at position scale 1."""
    return PortfolioRisk(TraderConfig(risk=RiskLimits(**limits)), 0)


def test_portfolio_exposure_correlation_and_risk_are_limits_of_the_whole() -> None:
    """Two like instruments and one of its own: what is held decides what may be bought."""
    draw = np.random.default_rng(3)
    common = draw.standard_normal(200)
    returns = 0.01 * np.array([common, common + 0.3 * draw.standard_normal(200), draw.standard_normal(200)])
    equity, held = np.full(3, 10_000.0), np.array([900.0, 0.0, 0.0])
    alike = book_of(max_correlation=0.8).refused(held, equity, returns)
    assert (alike[1, 1:4] == EVENTS.index("correlation")).all() and (alike[2] == -1).all() and (alike[0] == -1).all()
    spread = book_of(max_exposure=0.05).refused(held, equity, returns)
    assert spread[1].tolist() == [-1, -1, -1, EVENTS.index("exposure"), -1, -1, -1]
    weights = np.array([0.03, 0.03, 0.0])
    together = float(
        -stats.norm.ppf(0.05) * np.sqrt(weights @ np.cov(returns) @ weights) - weights @ returns.mean(axis=1)
    )
    limits = {"var_method": "variance_covariance", "value_at_risk": together * 0.99}
    whole = book_of(**limits).refused(held, equity, returns)
    assert whole[1, BUY_LARGE] == EVENTS.index("value_at_risk")
    assert whole[2, BUY_LARGE] == -1  # diversification: the same size of another kind is allowed


def test_orders_of_one_step_are_judged_in_turn() -> None:
    """What the first one buys counts for the second."""
    book, nothing = book_of(max_exposure=0.05), np.zeros(2)
    actions, legal = np.array([BUY_LARGE, BUY_LARGE]), np.ones((2, 7), dtype=bool)
    allowed, events = book.veto(actions, legal, nothing, np.full(2, 10_000.0), np.zeros((2, 50)))
    assert allowed.tolist() == [BUY_LARGE, HOLD]
    assert events[1, EVENTS.index("exposure")] and not events[0].any()


def test_several_tapes_are_one_book_on_one_clock() -> None:
    """Bars are kept where all tapes have them; the same prices are fully correlated, so only one may be held."""
    one, later = tape_of(900, 1), tape_of(900, 1, "2010-02-01")
    cut = aligned({"a": one, "b": later})
    assert cut[0].times == cut[1].times and cut[0].times[0] == "2010-02-01" and len(cut[0].times) == 900 - 31
    env = SymbolsVectorEnv({"a": one, "b": one}, {"window": 32, "risk": {"max_correlation": 0.9}}, max_steps=40)
    env.reset(seed=1)
    infos = env.step(np.array([BUY_LARGE, BUY_LARGE]))[4]
    assert infos["risk_events"]["correlation"].tolist() == [False, True]
    assert infos["action_mask"][1, 1:4].tolist() == [0, 0, 0] and infos["invalid"].tolist() == [False, True]
    infos = env.step(np.array([SELL_ALL, HOLD]))[4]
    assert infos["action_mask"][1, BUY_LARGE] == 1
    assert all(have == pytest.approx(should) for have, should in env.books().values())
    with pytest.raises(DataError, match="no bar at the same time"):
        SymbolsVectorEnv({"a": one, "b": tape_of(900, 1, "2030-01-01")})
    with pytest.raises(ConfigError, match="share no clock"):
        SymbolsVectorEnv({"a": one, "b": {"drift": 0.0}})
    with pytest.raises(ConfigError, match="'a' is 'easy'"):
        SymbolsVectorEnv({"a": "easy"})  # type: ignore[dict-item]
    with pytest.raises(ConfigError, match="there is none"):
        SymbolsVectorEnv({})


def test_ratios_equal_an_independent_library() -> None:
    """Sharpe and Sortino of the episode so far, from the bar on that says something."""
    env = opened(5, max_steps=200)
    draw, equity = np.random.default_rng(0), [10_000.0]
    for bar in range(1, 201):
        equity.append(env.step(int(draw.choice(np.flatnonzero(env.action_masks()))))[4]["equity"])
        returns = np.diff(equity) / np.array(equity[:-1])
        assert env.desk is not None
        sharpe, sortino = env.desk.ratios[:, 0]
        if bar < RATIO_BARS:
            assert sharpe == sortino == 0.0
        elif bar % 20 == 0:
            assert sharpe == pytest.approx(sharpe_ratio(returns), rel=1e-7)
            assert sortino == pytest.approx(sortino_ratio(returns), rel=1e-7)
