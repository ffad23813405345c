"""Are later generations born better? Policies at birth, before any learning, frozen on markets that nobody saw.

The weights at birth of founders, immigrants and darwinian heirs follow from seed and id, those of baldwinian heirs from
their parent's besides: they are derived here, and must hash to what the birth event says. What a lamarckian heir was
born with, its parent had learned: only record.birth_policies keeps that.
"""

import json
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from agents.brains import founder_weights, mutated_weights
from agents.layout import layout_of
from arena.errors import DataError
from arena.spec import N_ACTIONS, OBS_DIM
from lineage.contest.entrants import Entrant, of_policy, untrained
from lineage.contest.frozen import Conditions, play_alone
from lineage.contest.statistics import Interval, mean, paired_difference, sign_agreement
from lineage.record.policies import birth_policies
from lineage.record.policy import Policy, row_sha256, weight_bytes

_LEARNERS: Final = (
    "SELECT agent_id, coalesce(parent_id, 0), clan, inheritance, birth_round, weights_sha256 FROM agent"
    " WHERE mind = 'dqn' ORDER BY agent_id"
)
_FRESH: Final = ("founder", "immigrant", "darwinian")
_PER_TICKS: Final = 1000.0
_LEAST: Final = 1e-6
"""Share of the endowment that counts as what is left of a lost account, so that its logarithm is a number."""


@dataclass(frozen=True, slots=True)
class Generation:
    """The newborns of one band of generations; growth is log-growth per 1,000 ticks, resampled by market."""

    first: int  # births since the founder
    last: int
    born: int
    played: int
    growth: Interval
    untrained: Interval  # the same genomes with fresh weights
    inherited: Interval  # growth less untrained, market by market: what the weights at birth are worth
    above_founders: Interval  # growth less that of generation 0, market by market
    sign_agreement: float | None  # of above_founders


def newborn_policies(connection: sqlite3.Connection) -> list[Policy]:
    """Return every learner as it was born, by agent_id.

    Raises DataError when lamarckian heirs were born and their birth policies are not kept.
    """
    kept = connection.execute("SELECT config_json, seed, run_id FROM run").fetchone()
    config, seed, run_id = json.loads(kept[0]), int(kept[1]), str(kept[2])
    if config["record"].get("birth_policies", False):
        return birth_policies(connection)
    derive = _Derivation(config, seed)
    found = []
    for agent_id, parent_id, clan, inheritance, birth_round, weights_sha256 in connection.execute(_LEARNERS):
        genes = dict(connection.execute("SELECT name, value FROM gene WHERE agent_id = ?", (agent_id,)))
        weights = derive.weights(agent_id, parent_id, inheritance)
        policy = Policy(
            agent_id, clan, birth_round, "birth", "dqn", genes, config["mind"], weights, run_id, seed
        )  # fmt: skip
        if row_sha256(weight_bytes(policy), policy.layout) != weights_sha256:
            raise DataError(
                f"agent {agent_id}: the weights that follow from its seed are not those it was born with; "
                "this build draws others than the one that recorded the run"
            )
        found.append(policy)
    if not found:
        raise DataError("newborns: no learner was ever born in this run")
    return found


class _Derivation:
    """Weights at birth from the seed alone, parents before children."""

    def __init__(self, config: dict[str, Any], seed: int) -> None:
        first, second = config["mind"]["hidden"]
        self._layout = layout_of(OBS_DIM, N_ACTIONS, (first, second), bool(config["mind"]["dueling"]))
        self._strength = float(config["lineage"]["weight_mutation"])
        self._seed = seed
        self._rows: dict[int, np.ndarray] = {}

    def weights(self, agent_id: int, parent_id: int, inheritance: str) -> np.ndarray:
        """Return [n_weights] f32. Raises DataError where they were learned."""
        if inheritance in _FRESH:
            row = founder_weights(self._layout, self._seed, agent_id)
        elif inheritance == "baldwinian":
            row = mutated_weights(self._layout, self._rows[parent_id], self._strength, self._seed, agent_id)
        else:
            raise DataError(
                f"agent {agent_id}: inherited what its parent had learned ({inheritance}), and birth policies are not "
                "kept; run it again with --set record.birth_policies=true"
            )
        self._rows[agent_id] = row
        return row[: self._layout.n_weights]


def bands(deepest: int) -> list[tuple[int, int]]:
    """Return the bands of generations that are compared: 0, 1, 2, 3 to 4, 5 to 8, 9 to 16, and so on."""
    found, first, last = [(0, 0)], 1, 1
    while first <= deepest:
        found.append((first, min(last, deepest)))
        first, last = last + 1, max(2, last * 2)
    return found


def compare_generations(
    connection: sqlite3.Connection,
    seeds: Sequence[int],
    conditions: Conditions,
    per_generation: int,
    resamples: int,
    progress: Callable[[str], None] = lambda text: None,
) -> list[Generation]:
    """Play up to `per_generation` newborns of each band, evenly chosen by birth, on the held-out markets of `seeds`."""
    newborns = newborn_policies(connection)
    depth = dict(connection.execute("SELECT agent_id, depth FROM agent"))
    found: list[Generation] = []
    founders = np.zeros(0)
    for first, last in bands(max(depth[policy.agent_id] for policy in newborns)):
        members = [policy for policy in newborns if first <= depth[policy.agent_id] <= last]
        if not members:
            continue
        chosen = [members[at] for at in _evenly(len(members), per_generation)]
        progress(f"generation {first} to {last}: {len(chosen)} of {len(members)} newborns")
        growth = _growth([of_policy(policy) for policy in chosen], seeds, conditions)
        fresh = _growth([untrained(policy) for policy in chosen], seeds, conditions)
        founders = growth if first == 0 else founders
        found.append(
            Generation(
                first,
                last,
                len(members),
                len(chosen),
                mean(growth, resamples),
                mean(fresh, resamples),
                paired_difference(growth, fresh, resamples),
                paired_difference(growth, founders, resamples),
                sign_agreement(growth - founders),
            )
        )
    return found


def _evenly(count: int, most: int) -> list[int]:
    """Return at most `most` of the places 0 to count - 1, evenly spread."""
    return sorted({int(place) for place in np.linspace(0, count - 1, min(count, most)).round()})


def _growth(entrants: list[Entrant], seeds: Sequence[int], conditions: Conditions) -> np.ndarray:
    """Return the mean log-growth of the entrants per 1,000 ticks, market by market, [seeds] f64."""
    equity = play_alone(entrants, seeds, conditions).equity  # [E,seeds,1,T+1]
    ends = np.maximum(equity[..., -1] / equity[..., 0], _LEAST).reshape(len(entrants), len(seeds))
    growth: np.ndarray = np.log(ends).mean(axis=0) * (_PER_TICKS / conditions.ticks)
    return growth
