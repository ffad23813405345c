"""The figures that traders judge a track record by; one function each, undefined is None with a reason.

Returns r are simple returns of one bar, E_t/E_{t-1} - 1; a year has `per_year` bars, all ratios are annualised with it
(252 unless stated otherwise: the default market was estimated on daily prices, a bar there is a day).
"""

import math
from collections.abc import Sequence
from statistics import NormalDist
from typing import Final, NamedTuple

import numpy as np

BARS_PER_YEAR: Final = 252.0
TAIL: Final = 0.05
"""Share of the worst bars that VaR and CVaR speak of."""

_NORMAL: Final = NormalDist()
_EULER_MASCHERONI: Final = 0.5772156649015329
_ULP: Final = 1e-14
"""A spread below this share of the values is rounding, not risk."""


class Measure(NamedTuple):
    """A figure, or None and why there is none."""

    value: float | None
    reason: str = ""


def returns_of(equity: np.ndarray) -> np.ndarray:
    """Return [...,T] f64, the simple returns of equity [...,T+1], cash units; 0 after equity reached 0."""
    before = equity[..., :-1]
    change = np.zeros(before.shape)
    np.divide(equity[..., 1:] - before, before, out=change, where=before > 0.0)
    return change


def log_growth(equity: np.ndarray, per: float = 1000.0) -> Measure:
    """Return ln(last equity / first) per `per` bars of equity [T+1]."""
    if equity[-1] <= 0.0:
        return Measure(None, "the account was lost")
    return Measure(float(math.log(equity[-1] / equity[0]) * per / (len(equity) - 1)))


def sharpe(returns: np.ndarray, per_year: float = BARS_PER_YEAR) -> Measure:
    """Return mean / standard deviation (n - 1) x sqrt(per_year) of returns [n] (Sharpe 1994, riskless rate 0)."""
    if len(returns) < 2:
        return Measure(None, "fewer than two returns")
    spread = float(returns.std(ddof=1))
    if spread <= _ULP * float(np.abs(returns).max(initial=0.0)):
        return Measure(None, "the returns do not vary")
    return Measure(float(returns.mean()) / spread * math.sqrt(per_year))


def sortino(returns: np.ndarray, per_year: float = BARS_PER_YEAR) -> Measure:
    """Return mean / root mean square of min(r, 0) x sqrt(per_year) of returns [n] (Sortino & Price 1994, target 0)."""
    downside = math.sqrt(float(np.mean(np.minimum(returns, 0.0) ** 2))) if len(returns) else 0.0
    if downside == 0.0:
        return Measure(None, "no bar lost anything")
    return Measure(float(returns.mean()) / downside * math.sqrt(per_year))


def max_drawdown(equity: np.ndarray) -> Measure:
    """Return the deepest fall from a peak of equity [T+1] so far, min(E/peak - 1): 0 or negative; the start counts."""
    return Measure(float((equity / np.maximum.accumulate(equity) - 1.0).min()))


def calmar(equity: np.ndarray, per_year: float = BARS_PER_YEAR) -> Measure:
    """Return the compound growth a year of equity [T+1] / |maximum drawdown| (Young 1991, over the whole record)."""
    deepest = max_drawdown(equity).value
    if not deepest:
        return Measure(None, "no drawdown")
    growth = log_growth(equity, per_year).value
    if growth is None:
        return Measure(None, "the account was lost")
    return Measure(math.expm1(growth) / abs(deepest))


def value_at_risk(returns: np.ndarray, tail: float = TAIL) -> Measure:
    """Return the `tail` quantile of returns [n], linearly interpolated: a loss is negative (historical VaR)."""
    if not len(returns):
        return Measure(None, "no returns")
    return Measure(float(np.quantile(returns, tail)))


def conditional_value_at_risk(returns: np.ndarray, tail: float = TAIL) -> Measure:
    """Return the mean of the floor(tail (n-1)) + 1 lowest returns [n]: Rockafellar & Uryasev 2000, historical."""
    if not len(returns):
        return Measure(None, "no returns")
    count = math.floor(tail * (len(returns) - 1)) + 1
    return Measure(float(np.partition(returns, count - 1)[:count].mean()))


def profit_factor(profits: np.ndarray) -> Measure:
    """Return the sum of winning / |sum of losing| trades [n]."""
    lost = -float(profits[profits < 0.0].sum())
    if lost == 0.0:
        return Measure(None, "no losing trade" if len(profits) else "no closed trade")
    return Measure(float(profits[profits > 0.0].sum()) / lost)


def expectancy(profits: np.ndarray) -> Measure:
    """Return the mean profit of a trade [n]."""
    return Measure(float(profits.mean())) if len(profits) else Measure(None, "no closed trade")


def win_rate(profits: np.ndarray) -> Measure:
    """Return the share of the trades [n] that won, of those that won or lost."""
    decided = int((profits != 0.0).sum())
    if not decided:
        return Measure(None, "no closed trade won or lost")
    return Measure(float((profits > 0.0).sum()) / decided)


class Moments(NamedTuple):
    """What the probabilistic Sharpe ratio needs to know of a track record."""

    sharpe: float  # of one bar, not annualised
    skewness: float  # biased (population) estimate
    kurtosis: float  # the same, 3 for a normal distribution
    n: int


def moments(returns: np.ndarray) -> Moments | None:
    """Return the moments of returns [n]; None when they do not vary."""
    ratio = sharpe(returns, 1.0).value
    if ratio is None:
        return None
    centred = returns - returns.mean()
    variance = float(np.mean(centred**2))
    return Moments(
        ratio, float(np.mean(centred**3)) / variance**1.5, float(np.mean(centred**4)) / variance**2, len(returns)
    )


def probabilistic_sharpe(record: Moments | None, benchmark: float = 0.0) -> Measure:
    """Return the probability that the true Sharpe ratio of one bar is above `benchmark` (of one bar as well).

    Phi((SR - SR*) sqrt(n-1) / sqrt(1 - skew SR + (kurtosis-1)/4 SR^2)): Bailey & Lopez de Prado 2012, "The Sharpe ratio
    efficient frontier".
    """
    if record is None:
        return Measure(None, "the returns do not vary")
    ratio = record.sharpe
    variance = 1.0 - record.skewness * ratio + 0.25 * (record.kurtosis - 1.0) * ratio * ratio
    if variance <= 0.0:
        return Measure(None, "too few returns for their skewness")
    return Measure(_NORMAL.cdf((ratio - benchmark) * math.sqrt(record.n - 1) / math.sqrt(variance)))


def expected_best_sharpe(trials: int, variance: float) -> float:
    """Return the Sharpe ratio (of one bar) that the best of `trials` is expected to show without any skill.

    sqrt(V) ((1-g) Phi^-1(1-1/N) + g Phi^-1(1-1/(N e))), g the Euler-Mascheroni constant: Bailey & Lopez de Prado 2014,
    "The deflated Sharpe ratio". variance: V, of the trials' Sharpe ratios of one bar. 0 for a single trial.
    """
    if trials < 2:
        return 0.0
    best = (1.0 - _EULER_MASCHERONI) * _NORMAL.inv_cdf(1.0 - 1.0 / trials)
    best += _EULER_MASCHERONI * _NORMAL.inv_cdf(1.0 - 1.0 / (trials * math.e))
    return math.sqrt(variance) * best


def deflated_sharpe(record: Moments | None, trials: int, variance: float) -> Measure:
    """Return the probability that the true Sharpe ratio is above what the best of `trials` would show by luck.

    Bailey & Lopez de Prado 2014. trials: everything that was tried, here every agent ever born.
    """
    return probabilistic_sharpe(record, expected_best_sharpe(trials, variance))


def trials_variance(records: Sequence[Moments | None]) -> float:
    """Return V, the variance of the Sharpe ratios of one bar over the records of all trials that were measured.

    It is never less than 1/(n-1), what estimation error alone makes of equal skill (Lo 2002, with SR = 0): a few
    winners alone would look too much alike.
    """
    known = [record for record in records if record is not None]
    if not known:
        return 0.0
    floor = 1.0 / (min(record.n for record in known) - 1)
    if len(known) < 2:
        return floor
    return max(floor, float(np.var([record.sharpe for record in known], ddof=1)))
