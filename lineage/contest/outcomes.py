"""What a finished run amounts to, in a few numbers that can be compared between runs of the same seed.

Undefined is None. Growth is log-growth of equity a round, endowments paid to children added back, less the market's own
log-return of that round: of learners on real money, from the round after they open their account to their last.
"""

import sqlite3
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np

from lineage.ask.survival import kaplan_meier
from lineage.contest.champions import growths

YOUTH_ROUNDS: Final = 50
"""Rounds after graduation in which generations are compared: later ones had no time for more."""

GENERATIONS: Final = ("0", "1", "2", "3+")


class Measure(NamedTuple):
    """One outcome: its name and what it means."""

    name: str
    meaning: str


MEASURES: Final = (
    Measure("survivors", "agents alive at the end"),
    Measure("heirs", "births of children"),
    Measure("deepest", "most births between a founder and a descendant"),
    Measure("deaths", "deaths"),
    Measure("median_life", "Kaplan-Meier median of rounds from graduation to death; undefined if fewer than half die"),
    Measure("growth", "mean log-growth a round of learners on real money, above the market's"),
    *(
        Measure(f"growth_generation_{name}", f"the same in the first {YOUTH_ROUNDS} rounds, generation {name}")
        for name in GENERATIONS
    ),
    Measure("clans", "effective number of clans alive at the end: exp of the Shannon entropy of their sizes"),
)  # fmt: skip

Outcome = dict[str, float | None]
"""Measure name -> value."""

_COUNTS: Final = (
    "SELECT (SELECT count(*) FROM event WHERE kind = 'censored'), (SELECT count(*) FROM agent WHERE parent_id IS NOT"
    " NULL), (SELECT coalesce(max(depth), 0) FROM agent), (SELECT count(*) FROM event WHERE kind = 'death')"
)
_LIVES: Final = (
    "SELECT e.round - g.round, e.kind = 'death' FROM event g JOIN event e ON e.agent_id = g.agent_id"
    " AND e.kind IN ('death', 'censored') WHERE g.kind = 'graduation'"
)
_CLOSES: Final = "SELECT round, market, close FROM market_round ORDER BY market, round"
_KIN: Final = (
    "SELECT a.agent_id, a.depth, coalesce(g.round, a.birth_round) FROM agent a"
    " LEFT JOIN event g ON g.agent_id = a.agent_id AND g.kind = 'graduation'"
)
_CLANS: Final = (
    "SELECT count(*) FROM event e JOIN agent a ON a.agent_id = e.agent_id WHERE e.kind = 'censored'"
    " GROUP BY a.founder_id"
)


@dataclass(frozen=True, slots=True, eq=False)
class Excess:
    """Log-growth above the market's, one row an agent and round."""

    depth: np.ndarray  # [N] i64
    since: np.ndarray  # [N] i64, rounds since graduation
    growth: np.ndarray  # [N] f64


def outcome(connection: sqlite3.Connection) -> Outcome:
    """Return every measure of a finished run, by name."""
    survivors, heirs, deepest, deaths = connection.execute(_COUNTS).fetchone()
    found: Outcome = {"survivors": survivors, "heirs": heirs, "deepest": deepest, "deaths": deaths}
    lives = np.array(connection.execute(_LIVES).fetchall(), dtype=np.float64).reshape(-1, 2)
    found["median_life"] = kaplan_meier(lives[:, 0], lives[:, 1] > 0.0).median().value
    excess = excess_growth(connection)
    found["growth"] = _mean(excess.growth)
    young = (excess.since >= 1) & (excess.since <= YOUTH_ROUNDS)
    for index, name in enumerate(GENERATIONS):
        own = excess.depth >= index if name.endswith("+") else excess.depth == index
        found[f"growth_generation_{name}"] = _mean(excess.growth[young & own])
    sizes = np.array([row[0] for row in connection.execute(_CLANS)], dtype=np.float64)
    share = sizes / sizes.sum() if len(sizes) else sizes
    found["clans"] = float(np.exp(-(share * np.log(share)).sum())) if len(sizes) else None
    return {measure.name: found[measure.name] for measure in MEASURES}


def excess_growth(connection: sqlite3.Connection) -> Excess:
    """Return what every learner on real money made of each round above its market."""
    lives = growths(connection)
    closes = np.array(connection.execute(_CLOSES).fetchall(), dtype=np.float64).reshape(-1, 3)
    rounds = int(closes[:, 0].max()) + 1 if len(closes) else 0
    logs = np.log(closes[:, 2].reshape(-1, rounds)) if rounds else np.zeros((0, 0))  # [M,R]
    market = np.diff(logs, axis=1)[lives.market, lives.round - 1] if len(lives.round) else np.zeros(0)
    kin = np.array(connection.execute(_KIN).fetchall(), dtype=np.int64).reshape(-1, 3)  # ids count up without a gap
    row = lives.agent_id - 1
    return Excess(kin[row, 1], lives.round - kin[row, 2], lives.growth - market)


def _mean(values: np.ndarray) -> float | None:
    return float(values.mean()) if len(values) else None
