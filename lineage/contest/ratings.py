"""Who is better, from rankings: Plackett-Luce strengths with intervals, live ratings, alpha-Rank, paired tests.

A block is a world and a seed: everybody in it shares its luck, so blocks are what the bootstrap draws again, world by
world. Rankings of one block may be several and incomplete, and may hold ties.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, NamedTuple

import numpy as np

from arena.errors import ConfigError
from arena.rng import stream
from lineage.ask.neutral import holm
from lineage.contest.statistics import LEVEL

MOST_STRATEGIES: Final = 20
"""Players that alpha-Rank takes."""

PRIOR: Final = 0.5
"""Games that everybody is thought to have won, and lost, against a player of average strength: a player that always
wins would have infinite strength without it."""

_TOLERANCE: Final = 1e-7
_MOST_STEPS: Final = 2000
_TINY: Final = 1e-12
EQUAL: Final = 1e-5
"""Log-worths that differ by less are equal: iterations end at _TOLERANCE."""


class Ranking(NamedTuple):
    """One order of some players: groups from best to worst, players of one group tied."""

    block: int
    groups: tuple[tuple[int, ...], ...]


@dataclass(frozen=True, slots=True, eq=False)
class Strengths:
    """Plackett-Luce: the probability to come first among any set of players is strength / their sum."""

    log_worth: np.ndarray  # [N] f64, natural logarithm, mean 0; NaN: never ranked
    low: np.ndarray  # [N] f64, of the bootstrap interval; NaN where undefined
    high: np.ndarray  # [N] f64
    first: np.ndarray  # [N] f64, probability to come first among all
    beats: np.ndarray  # [N,N] f64, probability that the row's player beats the column's
    best: np.ndarray  # [N] f64, share of the resamples in which it is the strongest; equals share it
    rankings: int
    reason: str = ""  # why there are no intervals


class _Stages(NamedTuple):
    """All stages of all rankings: who was chosen, from whom."""

    chosen: np.ndarray  # [K,N] f64, 1 for who was placed at a stage (a share each when tied)
    present: np.ndarray  # [K,N] f64, weight of everybody who was still to be placed
    block: np.ndarray  # [K] i64


def ranked(scores: dict[int, float | None], block: int) -> Ranking | None:
    """Return the ranking by score, higher is better, None (forfeited) last; None for fewer than two players."""
    if len(scores) < 2:
        return None
    values = {player: -math.inf if score is None else score for player, score in scores.items()}
    levels = sorted(set(values.values()), reverse=True)
    return Ranking(block, tuple(tuple(sorted(p for p, v in values.items() if v == level)) for level in levels))


def _stages(rankings: Sequence[Ranking], n: int) -> _Stages:
    """Return the stages; d tied players are placed in d stages, in which they are left with weight 1 - l/d (Efron)."""
    chosen, present, block = [], [], []
    for ranking in rankings:
        left = np.zeros(n)
        left[[player for group in ranking.groups for player in group]] = 1.0
        for group in ranking.groups:
            members, d = list(group), len(group)
            for gone in range(d):
                weight = left.copy()
                weight[members] = 1.0 - gone / d
                if weight.sum() > 1.0 + 1e-9:  # the last one has no choice
                    share = np.zeros(n)
                    share[members] = 1.0 / d
                    chosen.append(share)
                    present.append(weight)
                    block.append(ranking.block)
            left[members] = 0.0
    shape = (len(block), n)
    return _Stages(np.array(chosen).reshape(shape), np.array(present).reshape(shape), np.array(block, dtype=np.int64))


def plackett_luce(wins: np.ndarray, weights: np.ndarray, present: np.ndarray) -> np.ndarray:
    """Return log-worths [R,N], mean 0: the MM algorithm of Hunter 2004, section 5, for R weightings at once.

    wins [R,N]: how often each was chosen; weights [R,U]: how often a choice was made from each of U sets; present
    [U,N]: who was in these sets. The likelihood gets PRIOR wins and losses of everybody against a player of strength 1,
    so that it has a maximum whoever won. Ties follow Efron 1977, whose likelihood is that of Cox's model.
    """
    wins = wins + PRIOR
    worth = np.ones(wins.shape)
    for _ in range(_MOST_STEPS):
        pull = (weights / np.maximum(worth @ present.T, _TINY)) @ present  # [R,N]
        better = wins / (pull + 2.0 * PRIOR / (worth + 1.0))
        step = float(np.abs(np.log(better / worth)).max(initial=0.0))
        worth = better
        if step < _TOLERANCE:
            break
    logs = np.log(worth)
    centred: np.ndarray = logs - logs.mean(axis=1, keepdims=True)
    return centred


def strengths(
    rankings: Sequence[Ranking],
    n: int,
    worlds: Sequence[int],
    resamples: int = 400,
    seed: int = 0,
    level: float = LEVEL,
) -> Strengths:
    """Return the strengths of n players with intervals; worlds [blocks] names the world of each block.

    Intervals are percentiles over resamples that draw blocks anew within each world. Undefined below six blocks.
    """
    stages = _stages(rankings, n)
    seen = stages.present.sum(axis=0) > 0.0 if len(stages.block) else np.zeros(n, bool)
    unknown = np.full(n, np.nan)
    if not seen.any():
        return Strengths(unknown, unknown, unknown, unknown, np.full((n, n), np.nan), unknown, 0, "nothing was ranked")
    k, blocks = int(seen.sum()), len({ranking.block for ranking in rankings})
    fit = _Fit(stages, seen)
    point = fit(np.ones((1, len(worlds))))[0]
    low, high, best, reason = np.full(k, np.nan), np.full(k, np.nan), np.full(k, np.nan), ""
    if blocks < 6:
        reason = f"{blocks} block{'s' * (blocks != 1)} of a world and a seed: an interval needs 6"
    else:
        logs = fit(_block_counts(np.asarray(worlds), resamples, seed))
        tail = (1.0 - level) / 2.0
        low, high = np.quantile(logs, [tail, 1.0 - tail], axis=0)
        top = logs > logs.max(axis=1, keepdims=True) - EQUAL
        best = (top / top.sum(axis=1, keepdims=True)).mean(axis=0)
    worth = np.exp(point)
    beats = np.full((n, n), np.nan)
    beats[np.ix_(seen, seen)] = worth[:, None] / (worth[:, None] + worth)

    def whole(part: np.ndarray) -> np.ndarray:
        found = np.full(n, np.nan)
        found[seen] = part
        return found

    return Strengths(
        whole(point), whole(low), whole(high), whole(worth / worth.sum()), beats, whole(best), len(rankings), reason
    )


class _Fit:
    """Strengths for any weighting of the blocks; sets of players that return are counted, not repeated."""

    def __init__(self, stages: _Stages, seen: np.ndarray) -> None:
        self._present, self._set = np.unique(stages.present[:, seen], axis=0, return_inverse=True)
        self._stages, self._seen = stages, seen

    def __call__(self, blocks: np.ndarray) -> np.ndarray:
        """Return log-worths [R,k] of the k players that are ranked, for block weights [R,blocks]."""
        found = []
        for part in np.array_split(blocks, max(1, len(blocks) // 100)):
            weights = part[:, self._stages.block]  # [R,K]
            sets = np.zeros((len(part), len(self._present)))
            np.add.at(sets.T, self._set.ravel(), weights.T)
            found.append(plackett_luce(weights @ self._stages.chosen[:, self._seen], sets, self._present))
        return np.concatenate(found)


def _block_counts(worlds: np.ndarray, resamples: int, seed: int) -> np.ndarray:
    """Return [R,blocks] f64: how often each block is drawn, as many from each world as it has."""
    counts = np.zeros((resamples, len(worlds)))
    for world in np.unique(worlds).tolist():
        mine = np.flatnonzero(worlds == world)
        picks = stream(seed, "tournament bootstrap", world).integers(0, len(mine), (resamples, len(mine)))
        np.add.at(counts, (np.arange(resamples)[:, None], mine[picks]), 1.0)
    return counts


def sign_flip_p(differences: np.ndarray, draws: int = 9999, seed: int = 0) -> float | None:
    """Return the two-sided p-value of a mean difference of 0 under random signs of differences [n]; None for n = 0.

    The real signs count as one of the draws (Davison & Hinkley 1997, eq. 4.11); all signs are tried where these are
    few. Exact when the differences are symmetric about 0 (Fisher 1935).
    """
    n = len(differences)
    if not n:
        return None
    observed = abs(float(differences.sum())) * (1.0 - 1e-12)
    if 2**n <= draws:
        signs = 1.0 - 2.0 * ((np.arange(2**n)[:, None] >> np.arange(n)) & 1)
        return float((np.abs(signs @ differences) >= observed).mean())
    signs = _signs(n, draws, seed)
    return float((1 + (np.abs(signs @ differences) >= observed).sum()) / (draws + 1))


@lru_cache(maxsize=2)
def _signs(n: int, draws: int, seed: int) -> np.ndarray:
    signs: np.ndarray = stream(seed, "sign flips", n).integers(0, 2, (draws, n)) * 2.0 - 1.0
    signs.flags.writeable = False
    return signs


def holm_corrected(p_values: Sequence[float | None]) -> list[float | None]:
    """Return p-values corrected for their number (Holm 1979); undefined ones stay undefined and do not count."""
    known = [index for index, value in enumerate(p_values) if value is not None]
    found: list[float | None] = [None] * len(p_values)
    if known:
        adjusted = holm(np.array([p_values[index] for index in known], dtype=np.float64))
        for index, value in zip(known, adjusted.tolist(), strict=True):
            found[index] = value
    return found


class Rating(NamedTuple):
    """A live rating."""

    mu: float = 25.0
    sigma: float = 25.0 / 3.0

    @property
    def ordinal(self) -> float:
        """What a leaderboard sorts by: mu - 3 sigma."""
        return self.mu - 3.0 * self.sigma


_BETA: Final = 25.0 / 6.0
_KAPPA: Final = 1e-4


def rate(before: Sequence[Rating], ranks: Sequence[int]) -> list[Rating]:
    """Return the ratings after one ranking: Weng & Lin 2011, algorithm 4 (Plackett-Luce), every team one player.

    ranks: equal for the tied, lower is better. What OpenSkill computes, in a page; it depends on the order of
    matches and serves for standings while they are played, the table at the end is `strengths`.
    """
    c = math.sqrt(sum(r.sigma**2 + _BETA**2 for r in before))
    exps = [math.exp(r.mu / c) for r in before]
    sums = [sum(e for e, rank in zip(exps, ranks, strict=True) if rank >= q) for q in ranks]
    ties = [sum(rank == q for rank in ranks) for q in ranks]
    after = []
    for i, own in enumerate(before):
        omega = delta = 0.0
        for q, rank in enumerate(ranks):
            if rank <= ranks[i]:
                share = exps[i] / sums[q]
                omega += ((1.0 if q == i else 0.0) - share) / ties[q]
                delta += share * (1.0 - share) / ties[q]
        variance = own.sigma**2
        gamma = own.sigma / c
        mu = own.mu + variance / c * omega
        shrink = max(1.0 - variance / c**2 * delta * gamma, _KAPPA)
        after.append(Rating(mu, own.sigma * math.sqrt(shrink)))
    return after


def alpha_rank(payoff: np.ndarray, alpha: float = 10.0, population: int = 50) -> np.ndarray:
    """Return the share of time [N] that a population spends in each strategy: Omidshafiei et al. 2019.

    payoff [N,N]: what the row's player gets against the column's. One population of `population`, small mutations: the
    stationary law of the Markov chain over pure strategies whose moves are fixations of a single mutant.
    Raises ConfigError beyond MOST_STRATEGIES.
    """
    n = len(payoff)
    if n > MOST_STRATEGIES:
        raise ConfigError(f"alpha-Rank: {n} strategies, at most {MOST_STRATEGIES}; choose fewer")
    if n < 2:
        return np.ones(n)
    moves = np.zeros((n, n))
    for resident in range(n):
        for mutant in range(n):
            if mutant != resident:
                moves[resident, mutant] = _fixation(payoff, resident, mutant, alpha, population) / (n - 1)
    np.fill_diagonal(moves, 1.0 - moves.sum(axis=1))
    return _stationary(moves)


def _stationary(moves: np.ndarray) -> np.ndarray:
    """Return the stationary law [N] of a chain [N,N]: elimination without a subtraction (Grassmann et al. 1985).

    Fixation probabilities differ by hundreds of orders of magnitude; a solver of linear equations would lose them.
    """
    moves, n = moves.copy(), len(moves)
    for last in range(n - 1, 0, -1):
        out = moves[last, :last].sum()
        if out > 0.0:
            moves[:last, last] /= out
            moves[:last, :last] += np.outer(moves[:last, last], moves[last, :last])
    law = np.ones(n)
    for state in range(1, n):
        law[state] = law[:state] @ moves[:state, state]
    law /= law.sum()
    return law


def _fixation(payoff: np.ndarray, resident: int, mutant: int, alpha: float, m: int) -> float:
    """Return the probability that one mutant takes over m - 1 residents (eq. 5 of the paper: constant payoffs)."""
    gain = alpha * float(payoff[mutant, resident] - payoff[resident, mutant])
    if abs(gain) < 1e-12:
        return 1.0 / m
    if gain > 0.0:
        return float(math.expm1(-gain) / math.expm1(-m * gain))
    return (
        float(math.expm1(-gain) / math.expm1(min(-m * gain, 700.0))) if -m * gain < 700.0 else math.exp(m * gain - gain)
    )
