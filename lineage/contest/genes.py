"""Where genes went, and whether selection took them there: the living's means against a neutral null.

The null keeps every birth and every death and draws the parent of each heir at random among the learners on real money
at that time; the child gets the drawn parent's gene and the step that mutation took in the real birth (on the scale on
which genes move, see `agents.genome`). What differs is the choice of parents alone. Founders keep their genes and their
deaths, so that selection among founders who die before anybody breeds is in the null too, not against it.
"""

import json
import sqlite3
from dataclasses import dataclass
from typing import Final

import msgspec
import numpy as np

from agents import genome
from agents.config import GenomeConfig
from arena.rng import stream

REPLICATES: Final = 200
POINTS: Final = 41
"""Rounds at which a course is sampled, at most."""

_AGENTS: Final = (
    "SELECT a.agent_id, coalesce(a.parent_id, 0), a.birth_round, coalesce(g.round, -1), coalesce(d.round, -1)"
    " FROM agent a LEFT JOIN event g ON g.agent_id = a.agent_id AND g.kind = 'graduation'"
    " LEFT JOIN event d ON d.agent_id = a.agent_id AND d.kind = 'death' WHERE a.mind = 'dqn' ORDER BY a.agent_id"
)
_GENES: Final = (
    "SELECT v.value FROM gene v JOIN agent a ON a.agent_id = v.agent_id WHERE a.mind = 'dqn' AND v.name = ?"
    " ORDER BY v.agent_id"
)
_NEVER: Final = np.iinfo(np.int64).max


@dataclass(frozen=True, slots=True, eq=False)
class Course:
    """One gene's mean over the living learners, by round, and what the null makes of it; K sampled rounds."""

    gene: str
    rounds: np.ndarray  # [K] i64
    observed: np.ndarray  # [K] f64
    null_mean: np.ndarray  # [K] f64
    null_low: np.ndarray  # [K] f64, 2.5 % of the replicates lie below
    null_high: np.ndarray  # [K] f64, 2.5 % lie above
    excess: float | None  # observed - null mean at the end; None without a birth
    p_value: float | None  # two-sided share of replicates as far from the null mean; None without a birth
    differential: float | None  # mean over births of the parent's gene less the mean of all who could have been it
    births: int


@dataclass(frozen=True, slots=True, eq=False)
class _People:
    """The learners of a run in birth order; rows count from 0."""

    parent: np.ndarray  # [N] i64 row, -1 for who has none
    born: np.ndarray  # [N] i64 round
    graduated: np.ndarray  # [N] i64 round, _NEVER
    died: np.ndarray  # [N] i64 round, _NEVER

    def living(self, at: int) -> np.ndarray:
        """[N] who is alive at a round's end."""
        alive: np.ndarray = (self.born <= at) & (self.died > at)
        return alive

    def could_breed(self, child: int) -> np.ndarray:
        """Return the rows of those who could have been the parent of `child`; its real one is always among them."""
        at = self.born[child]
        able = (self.graduated <= at) & (self.died > at) & (self.born < at)
        able[self.parent[child]] = True
        return np.flatnonzero(able)


def gene_courses(connection: sqlite3.Connection, replicates: int = REPLICATES, seed: int = 0) -> list[Course]:
    """Return the course of every gene, in the genome's order; [] when no learner was ever born."""
    rows = np.array(connection.execute(_AGENTS).fetchall(), dtype=np.int64).reshape(-1, 5)
    if not len(rows):
        return []
    people = _people(rows)
    (text,) = connection.execute("SELECT config_json FROM run").fetchone()
    limits = genome.bounds(msgspec.convert(json.loads(text)["genome"], GenomeConfig))
    (last,) = connection.execute("SELECT max(round) FROM round").fetchone()
    peopled = [at for at in np.unique(np.linspace(0, last, POINTS).round().astype(int)) if people.living(at).any()]
    heirs = np.flatnonzero(people.parent >= 0)
    pools = [people.could_breed(int(child)) for child in heirs]
    draws = stream(seed, "neutral genes").random((len(heirs), replicates))
    drawn = [pool[(draw * len(pool)).astype(np.int64)] for pool, draw in zip(pools, draws, strict=True)]
    offsets = genome.offsets(limits)
    courses = []
    for index, name in enumerate(genome.GENES):
        real = np.array([row[0] for row in connection.execute(_GENES, (name,))], dtype=np.float64)  # [N]
        scale = _Scale(name == "gamma", float(offsets[index]), float(limits.low[index]), float(limits.high[index]))
        null = _neutral(people, heirs, drawn, scale, real, replicates)
        gaps = [float(real[people.parent[child]] - real[pool].mean()) for child, pool in zip(heirs, pools, strict=True)]
        courses.append(_course(name, people, np.array(peopled), real, null, gaps))
    return courses


def _people(rows: np.ndarray) -> _People:
    ids = rows[:, 0]
    parent = np.searchsorted(ids, rows[:, 1])
    known = (rows[:, 1] > 0) & (parent < len(ids))
    known[known] &= ids[parent[known]] == rows[known, 1]  # the child of a script is nobody's heir here
    graduated, died = (np.where(rows[:, column] >= 0, rows[:, column], _NEVER) for column in (3, 4))
    return _People(np.where(known, parent, -1), rows[:, 2], graduated, died)


@dataclass(frozen=True, slots=True)
class _Scale:
    """The scale on which a gene moves: ln(x + offset), for gamma ln(1 - x + offset)."""

    mirrored: bool
    offset: float
    low: float
    high: float

    def moved(self, value: np.ndarray) -> np.ndarray:
        """Return values of the gene on its scale."""
        size = 1.0 - value if self.mirrored else value
        log: np.ndarray = np.log(np.maximum(size + self.offset, 1e-12))
        return log

    def value(self, moved: np.ndarray) -> np.ndarray:
        """Return the gene from its scale, within its bounds."""
        size = np.exp(moved) - self.offset
        value: np.ndarray = np.clip(1.0 - size if self.mirrored else size, self.low, self.high)
        return value


def _neutral(
    people: _People, heirs: np.ndarray, drawn: list[np.ndarray], scale: _Scale, real: np.ndarray, replicates: int
) -> np.ndarray:
    """Return the gene of everybody in every replicate, [N,R] f64."""
    values = np.repeat(real[:, None], replicates, axis=1)
    moved, each = scale.moved(real), np.arange(replicates)
    for child, parents in zip(heirs, drawn, strict=True):
        step = moved[child] - moved[people.parent[child]]
        values[child] = scale.value(scale.moved(values[parents, each]) + step)
    return values


def _course(
    name: str, people: _People, rounds: np.ndarray, real: np.ndarray, null: np.ndarray, gaps: list[float]
) -> Course:
    living = [people.living(int(at)) for at in rounds]
    observed = np.array([real[alive].mean() for alive in living])
    means = np.array([null[alive].mean(axis=0) for alive in living])  # [K,R]
    low, high = np.quantile(means, (0.025, 0.975), axis=1)
    centre = means.mean(axis=1)
    excess = p_value = None
    if gaps:
        excess = float(observed[-1] - centre[-1])
        beyond = np.abs(means[-1] - centre[-1]) >= abs(excess) * (1.0 - 1e-12)
        p_value = float((1 + beyond.sum()) / (1 + means.shape[1]))
    differential = float(np.mean(gaps)) if gaps else None
    return Course(name, rounds, observed, centre, low, high, excess, p_value, differential, len(gaps))
