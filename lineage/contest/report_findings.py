"""A tournament's findings in a few sentences: who leads, whom the best entrant beats, who died or forfeited."""

from collections.abc import Sequence

import numpy as np

from lineage.contest.ratings import EQUAL
from lineage.contest.statistics import Interval
from lineage.contest.tournament_table import CERTAIN, League, Row

_MOST_NAMES = 8


def in_short(league: League) -> str:
    """Return one paragraph on a league; nothing in it that its tables do not say."""
    if not league.rows:
        return "Nobody has played yet."
    leader = league.rows[0]
    parts = [_leader(league, leader)]
    if (best := next((row for row in league.rows if row.role == "entrant"), None)) is not None:
        parts.append(_growth(best))
        parts += _comparisons(league, best)
    if deaths := sum(row.deaths for row in league.rows):
        parts.append(f"{deaths:,} of {sum(row.lives for row in league.rows):,} lives ended in death.")
    if forfeits := sum(row.forfeits for row in league.rows):
        parts.append(f"{forfeits:,} match{'es were' if forfeits > 1 else ' was'} forfeited.")
    return " ".join(parts)


def _leader(league: League, leader: Row) -> str:
    s, at = league.strengths, leader.player
    if not np.isfinite(s.log_worth[at]):
        return "There is no order of strength: nobody met anybody."
    equal = [row for row in league.rows if abs(s.log_worth[row.player] - s.log_worth[at]) < EQUAL]
    if len(equal) > 1:
        return f"{_names([row.name for row in equal])} are equal in strength, and lead."
    words = f"{leader.name}{' (baseline)' if leader.role == 'baseline' else ''} leads in strength"
    if np.isfinite(s.best[at]):
        return f"{words}, first in {s.best[at]:.0%} of the resamples."
    return f"{words}; how surely is not known: {s.reason}."


def _growth(best: Row) -> str:
    growth = best.growth
    behind = f", one of the best of {best.behind:,} agents ever born," if best.behind is not None else ""
    if growth.estimate is None:
        return f"The growth of {best.name}{behind.rstrip(',')} is undefined: {growth.reason}."
    return f"First among the entrants, {best.name}{behind} grows by {growth.estimate:+.2f}{between(growth)}."


def between(interval: Interval) -> str:
    """Return " (low to high)", "" where it is undefined."""
    return "" if interval.low is None else f" ({interval.low:+.2f} to {interval.high:+.2f})"


def _comparisons(league: League, best: Row) -> list[str]:
    """Return from whom the best entrant differs for certain, and from whom it cannot be told apart."""
    more: list[str] = []
    less: list[str] = []
    alike: list[str] = []
    for item in league.differences:
        if best.name not in (item.one, item.other) or item.difference.estimate is None:
            continue
        ahead = (item.difference.estimate > 0.0) == (item.one == best.name)
        other = item.other if item.one == best.name else item.one
        (alike if not item.separated else more if ahead else less).append(other)
    words = [("It grows more than", more), ("It grows less than", less), ("It cannot be told apart from", alike)]
    said = [f"{start.lower() if place else start} {_names(names)}" for place, (start, names) in
            enumerate(pair for pair in words if pair[1])]  # fmt: skip
    return [f"{'; '.join(said)} (p < {CERTAIN:g} after Holm's correction counts as certain)."] if said else []


def _names(names: Sequence[str]) -> str:
    rest = len(names) - _MOST_NAMES
    return ", ".join(names[:_MOST_NAMES]) + (f" and {rest} more" if rest > 0 else "")
