"""Ratings: each against an independent oracle, and with answers that are known."""

import itertools

import numpy as np
import pytest
from openskill.models import PlackettLuce
from scipy import optimize, stats

from arena.errors import ConfigError
from lineage.contest import ratings
from lineage.contest.ratings import Ranking, Rating, ranked


def drawn(worth: np.ndarray, count: int, seed: int = 0) -> list[Ranking]:
    """Return rankings drawn from the Plackett-Luce law: exponential times with rates `worth`."""
    rng = np.random.Generator(np.random.Philox(seed))
    orders = np.argsort(rng.exponential(1.0, (count, len(worth))) / worth, axis=1)
    return [Ranking(block, tuple((int(player),) for player in order)) for block, order in enumerate(orders)]


def minus_log_likelihood(theta: np.ndarray, rankings: list[Ranking]) -> float:
    """The likelihood written out ranking by ranking, ties as Efron 1977, with the prior's games."""
    worth, total = np.exp(theta), 0.0
    for ranking in rankings:
        left = [player for group in ranking.groups for player in group]
        for group in ranking.groups:
            for gone, player in enumerate(group):
                rest = sum(worth[p] * (1.0 - gone / len(group) if p in group else 1.0) for p in left)
                total += theta[player] - np.log(rest)
            left = [player for player in left if player not in group]
    total += ratings.PRIOR * float(np.sum(theta - 2.0 * np.log(worth + 1.0)))
    return -total


@pytest.mark.parametrize("tied", [False, True])
def test_plackett_luce_is_the_maximum_of_its_likelihood(tied: bool) -> None:
    """A general optimiser on the likelihood finds the same strengths, with ties and incomplete rankings."""
    rankings = drawn(np.array([4.0, 2.0, 1.0, 1.0, 0.3]), 40)
    if tied:
        rankings = [
            Ranking(r.block, (r.groups[0] + r.groups[1], *r.groups[2:]))
            if r.block % 3
            else Ranking(r.block, r.groups[1:4])
            for r in rankings
        ]
    found = optimize.minimize(
        minus_log_likelihood, np.zeros(5), args=(rankings,), method="BFGS", options={"gtol": 1e-8}
    )
    mine = ratings.strengths(rankings, 5, [0] * 40, resamples=100)
    assert mine.log_worth == pytest.approx(found.x - found.x.mean(), abs=1e-4)
    assert mine.first.sum() == pytest.approx(1.0)


def test_two_players_have_the_odds_of_their_games() -> None:
    """Wins and losses plus the prior's, in closed form only without it: with many games they agree."""
    rankings = [Ranking(block, ((0,), (1,)) if block % 4 else ((1,), (0,))) for block in range(4000)]
    found = ratings.strengths(rankings, 2, [0] * 4000, resamples=100)
    assert found.log_worth[0] - found.log_worth[1] == pytest.approx(np.log(3.0), abs=2e-3)
    assert found.beats[0, 1] == pytest.approx(0.75, abs=1e-3)


def test_the_order_of_matches_does_not_matter() -> None:
    """Rankings shuffled give the same table."""
    rankings = drawn(np.array([3.0, 1.0, 0.5]), 30)
    one, other = (ratings.strengths(part, 3, [0, 1] * 15, resamples=100) for part in (rankings, rankings[::-1]))
    assert one.log_worth == pytest.approx(other.log_worth, abs=1e-9)
    assert one.low == pytest.approx(other.low, abs=1e-9)


def test_intervals_cover_the_truth() -> None:
    """Of 95 % intervals for the gap between two players about 95 % hold the true strengths."""
    truth = np.log([3.0, 2.0, 1.0, 1.0])
    truth -= truth.mean()
    inside = [
        (found.low <= truth) & (truth <= found.high)
        for seed in range(20)
        for found in [ratings.strengths(drawn(np.exp(truth), 60, seed), 4, [0] * 60, resamples=200)]
    ]
    assert 0.88 <= np.mean(inside) <= 0.99


def test_blocks_are_drawn_again_within_their_world() -> None:
    """One wins all of a world, the other all of the other: every resample is the same, and the interval a point."""
    rankings = [Ranking(block, ((block % 2,), (1 - block % 2,))) for block in range(16)]
    apart = ratings.strengths(rankings, 2, [0, 1] * 8, resamples=50)
    assert apart.high - apart.low == pytest.approx([0.0, 0.0], abs=1e-6)
    mixed = ratings.strengths(rankings, 2, [0] * 16, resamples=50)
    assert (mixed.high - mixed.low > 0.5).all()


def test_equals_share_being_first() -> None:
    """Shares of the resamples in which somebody is the strongest sum to 1, whatever ties there are."""
    found = ratings.strengths([Ranking(b, ((0, 1), (2,))) for b in range(8)], 3, [0] * 8, resamples=50)
    assert found.best == pytest.approx([0.5, 0.5, 0.0])


def test_who_always_wins_has_a_finite_strength_and_who_never_played_none() -> None:
    """The prior keeps the first in bounds; the second is undefined, never 0."""
    found = ratings.strengths([Ranking(b, ((0,), (1,))) for b in range(8)], 3, [0] * 8, resamples=100)
    assert np.isfinite(found.log_worth[:2]).all() and found.log_worth[0] > 1.0
    assert np.isnan(found.log_worth[2]) and np.isnan(found.beats[2, 0])
    few = ratings.strengths([Ranking(0, ((0,), (1,)))], 2, [0])
    assert np.isnan(few.low).all() and "needs 6" in few.reason
    assert np.isnan(ratings.strengths([], 2, []).log_worth).all()


def test_scores_become_rankings_with_ties_and_forfeits_last() -> None:
    """Equal scores tie, None is last, one player is no ranking."""
    assert ranked({0: 1.0, 1: None, 2: 3.0, 3: 1.0}, 7) == Ranking(7, ((2,), (0, 3), (1,)))
    assert ranked({0: 1.0}, 0) is None


@pytest.mark.parametrize("ranks", [[1, 2, 3, 4], [4, 1, 3, 2], [1, 1, 2, 3], [2, 1, 2, 2]])
def test_live_ratings_are_those_of_openskill(ranks: list[int]) -> None:
    """The well-known package gives the same numbers, ties included."""
    model = PlackettLuce(tau=0.0)
    before = [Rating(25.0, 8.0), Rating(30.0, 5.0), Rating(20.0, 3.0), Rating()]
    teams = [[model.rating(mu=r.mu, sigma=r.sigma)] for r in before]
    theirs = model.rate(teams, ranks=[float(rank) for rank in ranks])
    mine = ratings.rate(before, ranks)
    for own, (other,) in zip(mine, theirs, strict=True):
        assert (own.mu, own.sigma) == pytest.approx((other.mu, other.sigma), rel=1e-9)
    assert Rating().ordinal == pytest.approx(0.0)


def test_sign_flips_agree_with_scipy() -> None:
    """Exact for few differences, to sampling error for many; nothing to test gives nothing."""
    rng = np.random.Generator(np.random.Philox(3))
    for n in (8, 40):
        sample = rng.normal(0.25, 1.0, n)
        theirs = stats.permutation_test(
            (sample, np.zeros(n)), lambda a, b: np.mean(a - b), permutation_type="samples", n_resamples=20000, rng=1
        ).pvalue
        assert ratings.sign_flip_p(sample) == pytest.approx(theirs, abs=1e-9 if n == 8 else 0.02)
    assert ratings.sign_flip_p(np.zeros(0)) is None
    assert ratings.sign_flip_p(np.zeros(20)) == 1.0
    assert ratings.sign_flip_p(np.ones(60)) == 1.0 / 10_000  # the real signs are one of the draws: never 0


def test_holm_is_that_of_the_textbook_and_skips_what_is_undefined() -> None:
    """Holm's own stepping: smallest p times the number of tests, and never falling."""
    assert ratings.holm_corrected([0.01, None, 0.04, 0.03]) == pytest.approx([0.03, None, 0.06, 0.06])
    assert ratings.holm_corrected([None]) == [None]


def moran(payoff: np.ndarray, alpha: float, m: int) -> np.ndarray:
    """The same law from scratch: fixation by first-step analysis, the stationary law by iterating the chain."""
    n = len(payoff)
    moves = np.zeros((n, n))
    for resident, mutant in itertools.permutations(range(n), 2):
        ratio = np.exp(-alpha * (payoff[mutant, resident] - payoff[resident, mutant]))
        moves[resident, mutant] = 1.0 / (1.0 + sum(ratio**k for k in range(1, m))) / (n - 1)
    moves += np.diag(1.0 - moves.sum(axis=1))
    values, vectors = np.linalg.eig(moves.T)
    law = np.real(vectors[:, np.argmax(np.real(values))])
    found: np.ndarray = law / law.sum()
    return found


def test_alpha_rank_is_the_stationary_law_of_its_chain() -> None:
    """Against fixation probabilities summed step by step and an eigenvector; cycles share, the dominated vanish."""
    rng = np.random.Generator(np.random.Philox(5))
    payoff = rng.random((5, 5))
    assert ratings.alpha_rank(payoff, 0.5, 20) == pytest.approx(moran(payoff, 0.5, 20), abs=1e-9)
    cycle = np.array([[0.5, 1.0, 0.0], [0.0, 0.5, 1.0], [1.0, 0.0, 0.5]])
    assert ratings.alpha_rank(cycle) == pytest.approx([1 / 3] * 3)
    order = np.array([[0.5, 0.9, 0.9], [0.1, 0.5, 0.9], [0.1, 0.1, 0.5]])
    assert ratings.alpha_rank(order)[0] > 0.999
    assert ratings.alpha_rank(np.full((4, 4), 0.5)) == pytest.approx([0.25] * 4)
    with pytest.raises(ConfigError, match="at most 20"):
        ratings.alpha_rank(np.full((21, 21), 0.5))
