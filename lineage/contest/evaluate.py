"""How good a run's policies are: frozen, on held-out markets, against their untrained selves and known strategies.

Everything is a paired comparison on the same markets (see `frozen`), every interval resamples markets (`statistics`).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np

from lineage.contest import measures as figures
from lineage.contest import statistics
from lineage.contest.entrants import FLAT, UNTRAINED, Entrant, of_policy, scripted, untrained
from lineage.contest.frozen import Conditions, Played, play_alone
from lineage.contest.measures import Measure, Moments
from lineage.contest.statistics import Interval
from lineage.record.policy import Policy

ORACLE: Final = "oracle"
ALL: Final = "all"
"""The name of the entrants' mean in the tables."""

_NULL_TRIALS: Final = 64
"""Untrained selves that tell how much Sharpe ratios differ without any learning, where there are as many."""

_MOST_NUMBERS: Final = 1 << 22
"""Markets x ticks that are held in memory at once."""

Progress = Callable[[int, int], None]
"""Called with (entrants played, entrants in all)."""


@dataclass(frozen=True, slots=True)
class Trials:
    """What lies behind a choice of the best, for the deflated Sharpe ratio."""

    born: int  # agents ever born in the run: all of them count as tried
    traders: int | None = None  # learners that ever traded real money; champions only
    eligible: int | None = None  # of them, those that lived long enough to be judged; champions only


@dataclass(frozen=True, slots=True)
class Standing:
    """One entrant's figures."""

    name: str
    role: str  # entrant or opponent
    growth: Interval  # log-growth per 1,000 ticks, mean over the markets
    figures: dict[str, Measure]  # see FIGURES
    trades: float  # closed trades per 1,000 ticks
    invested: float  # share of the ticks with shares in hand
    invalid: int  # actions that the mask forbade
    deaths: int  # markets in which it died; only in whole lives


@dataclass(frozen=True, slots=True)
class Difference:
    """One paired comparison of log-growth per 1,000 ticks."""

    entrant: str
    opponent: str
    difference: Interval
    sign_agreement: float | None
    improvement: Interval  # probability of improvement


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Everything that one evaluation found."""

    standings: list[Standing]
    differences: list[Difference]
    iqm: Interval  # interquartile mean of the entrants' log-growth per 1,000 ticks over all markets
    oracle_share: Interval | None  # entrants' growth as a share of the oracle's, both over flat; None: no oracle played
    growth: dict[str, np.ndarray]  # {name: [seeds] f64}, log-growth per 1,000 ticks market by market


FIGURES: Final = (
    "sharpe", "sortino", "calmar", "max_drawdown", "worst_drawdown", "profit_factor", "expectancy", "win_rate",
    "value_at_risk", "conditional_value_at_risk", "probabilistic_sharpe", "deflated_sharpe",
)  # fmt: skip


class _Record(NamedTuple):
    """One entrant's play, reduced."""

    entrant: Entrant
    growth: np.ndarray  # [seeds] f64
    figures: dict[str, Measure]
    moments: Moments | None
    trades: float
    invested: float
    invalid: int
    deaths: int


def evaluate(
    policies: Sequence[Policy],
    opponents: Sequence[str],
    seeds: Sequence[int],
    conditions: Conditions,
    trials: Trials,
    *,
    resamples: int = statistics.RESAMPLES,
    per_year: float = figures.BARS_PER_YEAR,
    progress: Progress = lambda done, total: None,
) -> Evaluation:
    """Play the policies and their opponents, each alone in the market of every seed, and compare.

    opponents: names of entrants.OPPONENTS; `untrained` is each learner's own untrained self. Played whether
    named or not are flat, from which the oracle's growth is measured, and some untrained selves, whose Sharpe ratios
    tell how much they differ without skill. Raises ConfigError, or DataError when a policy cannot be played here.
    """
    learners = [policy for policy in policies if policy.is_learner]
    entrants = [of_policy(policy) for policy in policies]
    genome = conditions.config.genome
    selves = [untrained(policy) for policy in (learners if UNTRAINED in opponents else learners[:_NULL_TRIALS])]
    yardsticks = [scripted(name, genome) for name in opponents if name not in (UNTRAINED, FLAT)]
    field = [*entrants, *selves, *yardsticks, scripted(FLAT, genome)]
    records = _play_all(field, seeds, conditions, per_year, progress)
    ours, rest = records[: len(entrants)], records[len(entrants) :]
    fresh, others = rest[: len(selves)], rest[len(selves) :]
    variance = figures.trials_variance([record.moments for record in fresh[:_NULL_TRIALS]])
    growth = {record.entrant.name: record.growth for record in records}

    def standing(record: _Record, role: str) -> Standing:
        deflated = figures.deflated_sharpe(record.moments, trials.born, variance)
        return Standing(
            record.entrant.name, role, statistics.mean(record.growth, resamples),
            record.figures | {"deflated_sharpe": deflated},
            record.trades, record.invested, record.invalid, record.deaths,
        )  # fmt: skip

    standings = [standing(record, "entrant") for record in ours]
    standings += [standing(record, "opponent") for record in others if record.entrant.name in opponents]
    together = np.mean([record.growth for record in ours], axis=0)  # [seeds]
    share = None
    if ORACLE in opponents:
        share = statistics.share(together - growth[FLAT], growth[ORACLE] - growth[FLAT], resamples)
    return Evaluation(
        standings=standings,
        differences=_differences(entrants, learners, opponents, growth, resamples),
        iqm=statistics.iqm_interval([np.stack([record.growth for record in ours], axis=1)], resamples),
        oracle_share=share,
        growth=growth,
    )


def _differences(
    entrants: Sequence[Entrant],
    learners: Sequence[Policy],
    opponents: Sequence[str],
    growth: dict[str, np.ndarray],
    resamples: int,
) -> list[Difference]:
    """Return, against each opponent, the entrants' mean first and then every entrant."""
    learner_names = {policy.name for policy in learners}
    found = []
    for opponent in opponents:
        names = [entrant.name for entrant in entrants if opponent != UNTRAINED or entrant.name in learner_names]
        pairs = [(growth[name], growth[f"{name} {UNTRAINED}" if opponent == UNTRAINED else opponent]) for name in names]
        if not pairs:
            continue
        mine, theirs = (np.mean([pair[side] for pair in pairs], axis=0) for side in range(2))
        if len(pairs) > 1:
            found.append(_difference(ALL, opponent, mine, theirs, resamples))
        found += [_difference(name, opponent, *pair, resamples) for name, pair in zip(names, pairs, strict=True)]
    return found


def _difference(entrant: str, opponent: str, mine: np.ndarray, theirs: np.ndarray, resamples: int) -> Difference:
    return Difference(
        entrant,
        opponent,
        statistics.paired_difference(mine, theirs, resamples),
        statistics.sign_agreement(mine - theirs),
        statistics.probability_of_improvement(mine, theirs, resamples),
    )


def _play_all(
    field: Sequence[Entrant], seeds: Sequence[int], conditions: Conditions, per_year: float, progress: Progress
) -> list[_Record]:
    """Play everybody, a slice of the field at a time so that memory does not grow with it."""
    size = max(1, _MOST_NUMBERS // (len(seeds) * conditions.ticks))
    records = []
    for start in range(0, len(field), size):
        part = field[start : start + size]
        played = play_alone(part, seeds, conditions)
        records += [_record(entrant, played, row, per_year) for row, entrant in enumerate(part)]
        progress(len(records), len(field))
    return records


def _record(entrant: Entrant, played: Played, row: int, per_year: float) -> _Record:
    equity, closed = played.equity[row], played.closed[row]
    returns = figures.returns_of(equity).ravel()
    profits = played.profit[row][closed]
    thousands = (equity.shape[1] - 1) * len(equity) / 1000.0
    moments = figures.moments(returns)
    falls = [figures.max_drawdown(curve).value or 0.0 for curve in equity]
    calmars = [value for curve in equity if (value := figures.calmar(curve, per_year).value) is not None]
    found = {
        "sharpe": figures.sharpe(returns, per_year),
        "sortino": figures.sortino(returns, per_year),
        "calmar": Measure(float(np.median(calmars))) if calmars else Measure(None, "no drawdown"),
        "max_drawdown": Measure(float(np.mean(falls))),
        "worst_drawdown": Measure(min(falls)),
        "profit_factor": figures.profit_factor(profits),
        "expectancy": figures.expectancy(profits),
        "win_rate": figures.win_rate(profits),
        "value_at_risk": figures.value_at_risk(returns),
        "conditional_value_at_risk": figures.conditional_value_at_risk(returns),
        "probabilistic_sharpe": figures.probabilistic_sharpe(moments),
    }
    return _Record(
        entrant, played.log_growth[row], found, moments, float(closed.sum() / thousands),
        float(played.invested[row].mean()), int(played.invalid[row].sum()), int((played.died_at[row] >= 0).sum()),
    )  # fmt: skip
