"""Financial measures: equal to independent libraries and to the papers' own worked numbers; undefined with a reason."""

import math
from collections.abc import Callable
from itertools import pairwise

import empyrical
import numpy as np
import pandas as pd
import pytest
from scipy import stats

from lineage.contest import measures
from lineage.contest.measures import Measure, Moments


def record(n: int = 900, seed: int = 1, mean: float = 0.0005) -> np.ndarray:
    """Return n heavy-tailed returns of one bar."""
    draw: np.ndarray = np.random.Generator(np.random.Philox(seed)).standard_t(4, n) * 0.01 + mean
    return draw


def curve(returns: np.ndarray, start: float = 10_000.0) -> np.ndarray:
    """Return the equity [T+1] that these returns make."""
    return start * np.concatenate([[1.0], np.cumprod(1.0 + returns)])


ON_RETURNS: dict[str, tuple[Callable[..., Measure], Callable[..., float]]] = {
    "sharpe": (measures.sharpe, lambda r: empyrical.sharpe_ratio(r, annualization=252)),
    "sortino": (measures.sortino, lambda r: empyrical.sortino_ratio(r, annualization=252)),
    "VaR": (measures.value_at_risk, lambda r: empyrical.value_at_risk(r, 0.05)),
    "CVaR": (measures.conditional_value_at_risk, lambda r: empyrical.conditional_value_at_risk(r, 0.05)),
}
ON_EQUITY: dict[str, tuple[Callable[..., Measure], Callable[..., float]]] = {
    "max drawdown": (measures.max_drawdown, empyrical.max_drawdown),
    "calmar": (measures.calmar, lambda r: empyrical.calmar_ratio(r, annualization=252)),
    "growth a year": (
        lambda equity: measures.log_growth(equity, 252),
        lambda r: math.log1p(empyrical.cagr(r, annualization=252)),
    ),
}


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("n", [30, 61, 900])
@pytest.mark.parametrize("name", [*ON_RETURNS, *ON_EQUITY])
def test_measures_equal_an_independent_library(name: str, n: int, seed: int) -> None:
    """empyrical on the same returns, to 1e-9."""
    returns = record(n, seed)
    ours, theirs = (ON_RETURNS | ON_EQUITY)[name]
    found = ours(returns if name in ON_RETURNS else curve(returns)).value
    assert found == pytest.approx(float(theirs(pd.Series(returns))), rel=1e-9)


def test_returns_come_from_equity_and_stop_with_it() -> None:
    """The inverse of a curve; after ruin nothing moves."""
    returns = record(50)
    assert measures.returns_of(curve(returns)) == pytest.approx(returns)
    assert measures.returns_of(np.array([10.0, 5.0, 0.0, 0.0])).tolist() == [-0.5, -1.0, 0.0]


def test_annual_figures_follow_the_stated_year() -> None:
    """Four times the bars a year: twice the Sharpe and Sortino ratios."""
    returns = record()
    for measure in (measures.sharpe, measures.sortino):
        daily, finer = measure(returns).value, measure(returns, 4 * 252).value
        assert daily is not None
        assert finer == pytest.approx(2.0 * daily)


def test_trades_are_measured_by_hand() -> None:
    """Three wins of 2, 1 and 1 against losses of 1 and 1, and one that was neither."""
    profits = np.array([0.02, 0.01, 0.01, -0.01, -0.01, 0.0])
    assert measures.profit_factor(profits).value == pytest.approx(2.0)
    assert measures.expectancy(profits).value == pytest.approx(0.02 / 6)
    assert measures.win_rate(profits).value == pytest.approx(0.6)


NOTHING = np.zeros(0)
FLAT = np.zeros(40)


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (measures.sharpe(FLAT), "do not vary"),
        (measures.sharpe(np.full(40, 0.013)), "do not vary"),
        (measures.sharpe(np.array([0.1])), "fewer than two"),
        (measures.sortino(np.full(9, 0.01)), "no bar lost"),
        (measures.sortino(NOTHING), "no bar lost"),
        (measures.calmar(curve(np.full(9, 0.01))), "no drawdown"),
        (measures.calmar(np.array([1.0, 0.5, 0.0])), "lost"),
        (measures.log_growth(np.array([1.0, 0.0])), "lost"),
        (measures.value_at_risk(NOTHING), "no returns"),
        (measures.conditional_value_at_risk(NOTHING), "no returns"),
        (measures.profit_factor(NOTHING), "no closed trade"),
        (measures.profit_factor(np.array([0.1])), "no losing trade"),
        (measures.expectancy(NOTHING), "no closed trade"),
        (measures.win_rate(np.zeros(3)), "won or lost"),
        (measures.probabilistic_sharpe(measures.moments(FLAT)), "do not vary"),
        (measures.probabilistic_sharpe(Moments(1.0, 3.0, 5.0, 10)), "too few"),
        (measures.deflated_sharpe(None, 10, 0.1), "do not vary"),
    ],
)
def test_the_undefined_is_none_with_a_reason(found: Measure, words: str) -> None:
    """Never 0, never NaN, never infinite."""
    assert found.value is None
    assert words in found.reason


def test_moments_are_scipys() -> None:
    """Population skewness and kurtosis (3 for a normal distribution), as the papers use them."""
    returns = record()
    found = measures.moments(returns)
    assert found is not None
    assert found.skewness == pytest.approx(stats.skew(returns))
    assert found.kurtosis == pytest.approx(stats.kurtosis(returns, fisher=False))
    assert found.sharpe == pytest.approx(returns.mean() / returns.std(ddof=1))


@pytest.mark.parametrize(("skewness", "kurtosis", "published"), [(0.0, 3.0, 0.982), (-2.448, 10.164, 0.913)])
def test_the_probabilistic_sharpe_ratio_of_the_papers_hedge_fund(
    skewness: float, kurtosis: float, published: float
) -> None:
    """Bailey & Lopez de Prado 2012: two years of months, annual Sharpe 1.59; .982 if normal, .913 as it is."""
    found = measures.probabilistic_sharpe(Moments(1.59 / math.sqrt(12), skewness, kurtosis, 24)).value
    assert found == pytest.approx(published, abs=1e-3)


def test_the_deflated_sharpe_ratio_of_the_papers_example() -> None:
    """Bailey & Lopez de Prado 2014: annual 2.5 over five years, best of 100, V = 1/2: SR0 = .1132, DSR = .9004."""
    variance = 0.5 / 250
    assert measures.expected_best_sharpe(100, variance) == pytest.approx(0.1132, abs=5e-5)
    example = Moments(2.5 / math.sqrt(250), -3.0, 10.0, 1250)
    assert measures.deflated_sharpe(example, 100, variance).value == pytest.approx(0.9004, abs=5e-5)


@pytest.mark.parametrize("trials", [2, 10, 105, 4096])
def test_the_expected_best_is_that_of_scipy_and_of_simulation(trials: int) -> None:
    """An independent spelling of the formula, and the mean of simulated maxima within 5 %."""
    gamma = float(stats.gumbel_r.mean())  # the Euler-Mascheroni constant
    quantiles = stats.norm.isf([1.0 / trials, math.exp(-1.0) / trials])
    found = measures.expected_best_sharpe(trials, 0.04)
    assert found == pytest.approx(0.2 * float(np.dot([1.0 - gamma, gamma], quantiles)), rel=1e-12)
    best = np.random.Generator(np.random.Philox(3)).standard_normal((2000, trials)).max(axis=1)
    if trials >= 10:
        assert found == pytest.approx(0.2 * best.mean(), rel=0.05)


def test_more_trials_deflate_more_and_one_does_not() -> None:
    """One trial leaves the probabilistic ratio; each further one lowers it."""
    found = measures.moments(record(900, 1, 0.001))
    ratios = [measures.deflated_sharpe(found, trials, 1e-3).value for trials in (1, 2, 10, 100, 1000)]
    assert ratios[0] == measures.probabilistic_sharpe(found).value
    assert all(a is not None and b is not None and a > b for a, b in pairwise(ratios))


def test_luck_alone_does_not_look_deflated_and_does_without_counting() -> None:
    """Sabotage: the best of 200 records without skill has a PSR near 1, its deflated ratio does not."""
    records = [measures.moments(record(500, seed, 0.0)) for seed in range(200)]
    best = max((item for item in records if item is not None), key=lambda item: item.sharpe)
    assert (measures.probabilistic_sharpe(best).value or 0.0) > 0.98
    assert (measures.deflated_sharpe(best, 200, measures.trials_variance(records)).value or 1.0) < 0.95


def test_the_variance_of_trials_is_never_below_what_luck_makes() -> None:
    """Two equal winners do not mean that trials cannot differ."""
    one = Moments(0.1, 0.0, 3.0, 401)
    assert measures.trials_variance([]) == 0.0
    assert measures.trials_variance([one, None]) == 1.0 / 400.0
    assert measures.trials_variance([one, one]) == 1.0 / 400.0
    assert measures.trials_variance([one, one._replace(sharpe=0.3)]) == pytest.approx(0.02)
