"""Who a run's champions are, by its own record alone: nothing here has seen a market outside the run.

A trader's growth in a round is ln(equity / equity before), endowments paid to children added back; living costs, scars
and all are in it. It counts by how far it lies above the median of everybody who traded in the same market and round:
what a market gave to all is nobody's merit. A champion has the highest mean of these excesses, of those who traded for
MIN_ROUNDS at least.

Tried against the growth of the same policies on held-out markets, three runs of 300 to 600 rounds (easy, easy,
default), the eight best of 70 to 180 learners: mean excess +.83, +.90, +.44 per 1,000 ticks (all: +.59, +.71, +.27);
mean growth .83, .93, .39; the sum of excesses .71, .90, .35; their mean drawn towards 0 by 30 rounds .81, .90, .39;
excess over its standard error .67, .90, .35; the newest 50 rounds .83, .93, .40; most rounds lived .64, .71, .16.
"""

import sqlite3
from typing import Final, NamedTuple

import numpy as np

from arena.body.state import ESTATE, TRADING
from arena.errors import DataError

COUNT: Final = 8
MIN_ROUNDS: Final = 30
"""Rounds as a trader that an agent needs to be judged."""

_LIVES: Final = (
    "SELECT agent_round.agent_id, agent_round.round, agent_round.market, agent_round.equity "
    "FROM agent_round JOIN agent USING (agent_id) WHERE status IN (?, ?) AND mind = 'dqn' "
    "ORDER BY agent_round.agent_id, agent_round.round"
)
_GIFTS: Final = (
    "SELECT agent_id, round, json_extract(payload, '$.endowment_cents') FROM event "
    "WHERE kind = 'spawn' ORDER BY agent_id, round"
)


class Champion(NamedTuple):
    """One of the best, by the run's own record."""

    agent_id: int
    score: float  # mean log-growth a round above the median of the same market and round
    rounds: int  # as a trader


class Growths(NamedTuple):
    """The learners' growth on their real accounts, a row for each round of each trader; N rows, by agent and round."""

    agent_id: np.ndarray  # [N] i64
    round: np.ndarray  # [N] i64
    market: np.ndarray  # [N] i64
    growth: np.ndarray  # [N] f64, ln(equity / equity before), endowments paid added back


class Selection(NamedTuple):
    """The champions and from how many they were chosen."""

    champions: list[Champion]  # best first
    eligible: int  # learners that lived long enough to be judged
    traders: int  # learners that ever traded real money for a round
    born: int  # agents ever born


def select(connection: sqlite3.Connection, count: int = COUNT, min_rounds: int = MIN_ROUNDS) -> Selection:
    """Return the champions of a run. Raises DataError when nobody lived long enough to be judged."""
    lives = growths(connection)
    ids, scores, rounds = scores_of(lives)
    eligible = rounds >= min_rounds
    if not eligible.any():
        longest = f"the longest traded {rounds.max()}" if len(rounds) else "nobody traded"
        raise DataError(
            f"champions: no learner traded real money for {min_rounds} rounds, {longest}; "
            "run longer, lower --min-rounds or name agents with --who ID"
        )
    order = np.lexsort((ids, -scores, ~eligible))[: min(count, int(eligible.sum()))]
    (born,) = connection.execute("SELECT count(*) FROM agent").fetchone()
    chosen = [Champion(int(ids[i]), float(scores[i]), int(rounds[i])) for i in order]
    return Selection(chosen, int(eligible.sum()), len(ids), int(born))


def growths(connection: sqlite3.Connection) -> Growths:
    """Return what every learner that trades real money made of each round but its first."""
    blocks = [np.empty((0, 4))]
    cursor = connection.execute(_LIVES, (TRADING, ESTATE))
    while found := cursor.fetchmany(100_000):
        blocks.append(np.array(found, dtype=np.float64))
    rows = np.concatenate(blocks)
    agent, at, market = (rows[:, column].astype(np.int64) for column in range(3))
    equity = rows[:, 3]  # NaN where the record holds none
    gifts = {(int(who), int(when)): 0.01 * cents for who, when, cents in connection.execute(_GIFTS)}
    paid = np.array([gifts.get(key, 0.0) for key in zip(agent.tolist(), at.tolist(), strict=True)])
    follows = (agent[1:] == agent[:-1]) & (at[1:] == at[:-1] + 1) & (equity[:-1] > 0.0) & np.isfinite(equity[1:])
    now = np.flatnonzero(follows) + 1
    growth = np.log(np.maximum(equity[now] + paid[now], 1e-3 * equity[now - 1]) / equity[now - 1])
    return Growths(agent[now], at[now], market[now], growth)


def excesses(lives: Growths) -> np.ndarray:
    """Return [N] f64: each growth minus the median of all traders in the same market and round."""
    above = np.empty(len(lives.growth))
    order = np.lexsort((lives.market, lives.round))
    where = np.stack((lives.round[order], lives.market[order]))
    borders = np.flatnonzero((where[:, 1:] != where[:, :-1]).any(axis=0)) + 1
    for group in np.split(order, borders):
        if len(group):
            above[group] = lives.growth[group] - np.median(lives.growth[group])
    return above


def scores_of(lives: Growths) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return (agent ids [K], their scores [K] f64, rounds as a trader [K])."""
    ids, row, rounds = np.unique(lives.agent_id, return_inverse=True, return_counts=True)
    total = np.bincount(row, weights=excesses(lives), minlength=len(ids))
    return ids, total / np.maximum(rounds, 1), rounds
