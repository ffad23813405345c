"""What may be concluded from scores on a sample of markets: intervals that resample whole markets.

Agents of one market share its luck, so a market (a seed) is what is drawn again, with everybody in it, never an agent.
Intervals are percentile bootstrap intervals (Efron & Tibshirani 1993, ch. 13) at levels widened for small samples,
alpha'/2 = Phi(-sqrt(n/(n-1)) t_{alpha/2,n-1}): the expanded percentile interval of Hesterberg 2015, "What teachers
should know about the bootstrap". Of simulated 95 % intervals of 8 normal scores 94.7 % cover the truth, without the
widening 89.6 %; of 32 exponential scores, as skewed as any growth here, 93 %. A resample never leaves the range of the
scores, which covers the centre of a symmetric law with 1 - 2^(1-n) at most: below six markets a 95 % interval is
undefined, and says so. Every draw follows from (seed, n): all comparisons of one call resample the same markets.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from statistics import NormalDist
from typing import Final

import numpy as np

from arena.rng import stream

RESAMPLES: Final = 2000
LEVEL: Final = 0.95

_NORMAL: Final = NormalDist()
_CHUNK: Final = 1 << 22
"""Numbers that one resampled block holds at most."""


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate with its confidence interval; what is undefined is None, and `reason` says why."""

    estimate: float | None
    low: float | None
    high: float | None
    n: int  # markets
    level: float = LEVEL
    reason: str = ""

    @property
    def above_zero(self) -> bool:
        """Whether the interval lies wholly above 0."""
        return self.low is not None and self.low > 0.0

    @property
    def below_zero(self) -> bool:
        """Whether the interval lies wholly below 0."""
        return self.high is not None and self.high < 0.0

    def as_dict(self) -> dict[str, float | int | str | None]:
        """Return the fields as plain values."""
        return asdict(self)


def mean(values: np.ndarray, resamples: int = RESAMPLES, seed: int = 0, level: float = LEVEL) -> Interval:
    """Return the mean of values [n], one a market, with its interval."""
    values = _checked(values)
    if not len(values):
        return _nothing(level)
    first = values[0]  # equal values give exact draws when their differences are summed
    draws = first + counts(len(values), resamples, seed) @ (values - first) / len(values)  # [R]
    return _interval(float(first + (values - first).mean()), draws, values, level)


def paired_difference(
    a: np.ndarray, b: np.ndarray, resamples: int = RESAMPLES, seed: int = 0, level: float = LEVEL
) -> Interval:
    """Return the mean of a - b with its interval; a, b [n] hold one score of each on the same markets, in order."""
    return mean(_checked(a) - _checked(b), resamples, seed, level)


def sign_agreement(differences: np.ndarray) -> float | None:
    """Return the share of the markets [n] whose difference has the sign of the mean; None when the mean is 0."""
    centre = _checked(differences).mean() if len(differences) else 0.0
    if centre == 0.0:
        return None
    return float((np.sign(differences) == np.sign(centre)).mean())


def probability_of_improvement(
    a: np.ndarray, b: np.ndarray, resamples: int = RESAMPLES, seed: int = 0, level: float = LEVEL
) -> Interval:
    """Return P(A > B) + P(A = B)/2 for a score of each on markets drawn independently; a, b [n], in the same order.

    The Mann-Whitney statistic over all n^2 pairs (Agarwal et al. 2021, "Deep reinforcement learning at the edge of the
    statistical precipice"). 1/2 says nothing either way. Markets are resampled with both scores in them.
    """
    a, b = _checked(a), _checked(b)
    n = len(a)
    if not n:
        return _nothing(level)
    wins = (a[:, None] > b).astype(np.float64) + 0.5 * (a[:, None] == b)  # [n,n]
    drawn = counts(n, resamples, seed)
    draws = ((drawn @ wins) * drawn).sum(axis=1) / n**2
    return _interval(float(wins.mean()), draws, a - b, level)


def share(
    part: np.ndarray, whole: np.ndarray, resamples: int = RESAMPLES, seed: int = 0, level: float = LEVEL
) -> Interval:
    """Return mean(part) / mean(whole) with its interval; part, whole [n] on the same markets.

    Undefined unless the whole lies above zero with confidence: the ratio to something near 0 is no number.
    """
    part, whole = _checked(part), _checked(whole)
    below = mean(whole, resamples, seed, level)
    if not below.above_zero:
        reason = below.reason or "the whole is not above zero with confidence"
        return Interval(None, None, None, len(whole), level, reason)
    drawn = counts(len(whole), resamples, seed)
    bases = drawn @ whole
    if bases.min() <= 0.0:
        return Interval(None, None, None, len(whole), level, "the whole is not above zero in every resample")
    return _interval(float(part.mean() / whole.mean()), drawn @ part / bases, part + whole, level)


def iqm(scores: np.ndarray) -> float:
    """Return the interquartile mean of all scores: the mean without the lowest and the highest quarter of them."""
    ordered = np.sort(np.asarray(scores, dtype=np.float64), axis=None)
    cut = len(ordered) // 4
    return float(ordered[cut : len(ordered) - cut].mean())


def iqm_interval(
    strata: Sequence[np.ndarray], resamples: int = RESAMPLES, seed: int = 0, level: float = LEVEL
) -> Interval:
    """Return the interquartile mean over all worlds with its stratified bootstrap interval.

    strata: one array a world, [n] or [n,k] with the k scores of each of its n markets, which are drawn together.
    Markets are resampled within each world (Agarwal et al. 2021). The smallest world
    decides how much the levels are widened.
    """
    if min((np.size(world) for world in strata), default=0) == 0:
        return _nothing(level)
    tables = [np.asarray(world, dtype=np.float64).reshape(len(world), -1) for world in strata]
    pooled = np.concatenate([table.ravel() for table in tables])
    smallest = min(tables, key=len)
    draws = []
    size = max(1, _CHUNK // len(pooled))
    picks = [_picks(len(table), resamples, seed, world) for world, table in enumerate(tables)]
    cut = len(pooled) // 4
    for start in range(0, resamples, size):
        part = [table[pick[start : start + size]] for table, pick in zip(tables, picks, strict=True)]
        ordered = np.sort(np.concatenate([drawn.reshape(len(drawn), -1) for drawn in part], axis=1), axis=1)
        draws.append(ordered[:, cut : ordered.shape[1] - cut].mean(axis=1))
    return _interval(iqm(pooled), np.concatenate(draws), smallest, level)


def counts(n: int, resamples: int, seed: int) -> np.ndarray:
    """Return [R,n] f64: how often each of n markets is drawn in each resample; a function of its arguments."""
    drawn = np.zeros((resamples, n))
    np.add.at(drawn, (np.arange(resamples)[:, None], _picks(n, resamples, seed, 0)), 1.0)
    return drawn


@lru_cache(maxsize=8)
def _picks(n: int, resamples: int, seed: int, world: int) -> np.ndarray:
    picks: np.ndarray = stream(seed, "bootstrap", n, world).integers(0, n, (resamples, n))
    picks.flags.writeable = False
    return picks


def _checked(values: np.ndarray) -> np.ndarray:
    """Return one finite score a market as [n] f64."""
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1 or not np.isfinite(array).all():
        raise ValueError(f"scores {array.shape} must be one finite number a market")
    return array


def _nothing(level: float) -> Interval:
    return Interval(None, None, None, 0, level, "no market was played")


def _interval(estimate: float, draws: np.ndarray, values: np.ndarray, level: float) -> Interval:
    """Return the expanded percentile interval of the resampled estimates `draws` [R]; values: [n], one a market."""
    n = len(values)
    if 1.0 - 2.0 ** (1 - n) < level:
        needed = next(size for size in range(2, 64) if 1.0 - 2.0 ** (1 - size) >= level)
        reason = f"{n} market{'s' * (n > 1)}: an interval at {level:.0%} needs {needed}"
        return Interval(estimate, None, None, n, level, reason)
    if (draws == draws[0]).all():
        return Interval(estimate, estimate, estimate, n, level)
    tail = _tail(n, level)
    low, high = np.quantile(draws, [tail, 1.0 - tail])
    return Interval(estimate, float(low), float(high), n, level)


def _tail(n: int, level: float) -> float:
    """Return alpha'/2 of the expanded percentile interval."""
    return _NORMAL.cdf(-math.sqrt(n / (n - 1)) * t_quantile(0.5 + 0.5 * level, n - 1))


@lru_cache(maxsize=64)
def t_quantile(p: float, df: int) -> float:
    """Return the p-quantile of Student's t with `df` degrees of freedom, p in [.5, 1): bisection to 1e-12."""
    low, high = 0.0, 1.0
    while t_cdf(high, df) < p:
        high *= 2.0
    while high - low > 1e-12 * max(1.0, high):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if t_cdf(middle, df) < p else (low, middle)
    return 0.5 * (low + high)


def t_cdf(t: float, df: int) -> float:
    """Return P(T <= t), t >= 0, of Student's t with whole degrees of freedom.

    The finite series of Abramowitz & Stegun 1964, 26.7.3 and 26.7.4.
    """
    theta = math.atan(t / math.sqrt(df))
    sine, cosine = math.sin(theta), math.cos(theta)
    if df % 2:
        term = total = cosine if df > 1 else 0.0
        for k in range(3, df - 1, 2):
            term *= cosine * cosine * (k - 1) / k
            total += term
        inside = 2.0 / math.pi * (theta + sine * total)
    else:
        term = total = 1.0
        for k in range(2, df - 1, 2):
            term *= cosine * cosine * (k - 1) / k
            total += term
        inside = sine * total
    return 0.5 + 0.5 * inside
