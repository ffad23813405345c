"""The genome: bounded numbers that a child inherits with log-normal mutation.

A gene moves by a factor exp(strength x z), z standard normal, where the strength is the parent's own
`mutation_strength` gene (self-adaptation: Schwefel 1981; Baeck, Fogel & Michalewicz 1997, C7.1).
Three genes need care: gamma moves as 1 - gamma, the inverse of its horizon, because .92 and .99 are
far apart and .5 and .57 are not; and a gene that may be 0 moves as x + offset, or 0 would be a trap
that no factor leads out of.
"""

from typing import Final, NamedTuple

import msgspec
import numpy as np

from agents.config import Bounds, GenomeConfig
from arena.errors import ConfigError
from arena.rng import stream

GENES: Final[tuple[str, ...]] = tuple(
    field.name for field in msgspec.structs.fields(GenomeConfig) if field.type == Bounds
)
N_GENES: Final = len(GENES)
GENE_INDEX: Final = {name: index for index, name in enumerate(GENES)}
LEARNING_RATE: Final = GENE_INDEX["learning_rate"]
GAMMA: Final = GENE_INDEX["gamma"]
EPSILON_FINAL: Final = GENE_INDEX["epsilon_final"]
EPSILON_DECAY_TICKS: Final = GENE_INDEX["epsilon_decay_ticks"]
TAU: Final = GENE_INDEX["tau"]
DRAWDOWN_WEIGHT: Final = GENE_INDEX["drawdown_weight"]
SCAR_WEIGHT: Final = GENE_INDEX["scar_weight"]
RUIN_WEIGHT: Final = GENE_INDEX["ruin_weight"]
POSITION_SCALE: Final = GENE_INDEX["position_scale"]
STOP_ATR: Final = GENE_INDEX["stop_atr"]
MUTATION_STRENGTH: Final = GENE_INDEX["mutation_strength"]

ZERO_OFFSET: Final = 0.1
"""A gene that may be 0 moves as x + ZERO_OFFSET x its typical value."""

_CEILINGS: Final = {"gamma": 1.0, "epsilon_final": 1.0, "tau": 1.0}
_POSITIVE: Final = ("epsilon_decay_ticks", "mutation_strength", "position_scale", "stop_atr")


class GeneBounds(NamedTuple):
    """The bounds of all genes, each [G] f64."""

    low: np.ndarray
    typical: np.ndarray
    high: np.ndarray


def bounds(config: GenomeConfig) -> GeneBounds:
    """Return the bounds of `config`. Raises ConfigError when they are out of order or impossible."""
    rows = []
    for name in GENES:
        low, typical, high = getattr(config, name)
        if not 0.0 <= low <= typical <= high < np.inf:
            raise ConfigError(
                f"genome.{name}: ({low}, {typical}, {high}) is not 0 <= lowest <= typical <= highest; reorder it"
            )
        if high > _CEILINGS.get(name, np.inf):
            raise ConfigError(f"genome.{name}: highest value {high} is above {_CEILINGS[name]}; lower it")
        if name in _POSITIVE and low <= 0.0:
            raise ConfigError(f"genome.{name}: lowest value {low} must be above 0; raise it")
        rows.append((low, typical, high))
    table = np.array(rows, dtype=np.float64)  # [G,3]
    return GeneBounds(table[:, 0], table[:, 1], table[:, 2])


def founder_genes(config: GenomeConfig, seed: int, agent_id: int) -> np.ndarray:
    """Return the genome [G] f64 of a founder: the typical values, scattered by `founder_spread`."""
    limits = bounds(config)
    z = stream(seed, "genome", agent_id).standard_normal(N_GENES)
    return _step(limits.typical, config.founder_spread * z, limits)


def mutate(genes: np.ndarray, config: GenomeConfig, seed: int, child_id: int) -> np.ndarray:
    """Return the child's genome [G] f64 for the parent's `genes` [G]; a pure function of its arguments."""
    z = stream(seed, "mutation", child_id).standard_normal(N_GENES)
    return _step(genes, genes[MUTATION_STRENGTH] * z, bounds(config))


def offsets(limits: GeneBounds) -> np.ndarray:
    """Return what is added to each gene before its logarithm is taken, [G] f64; gamma's is for 1 - gamma."""
    low, typical, high = limits
    offset = np.where(low > 0.0, 0.0, ZERO_OFFSET * np.where(typical > 0.0, typical, high))
    offset[GAMMA] = 0.0 if high[GAMMA] < 1.0 else ZERO_OFFSET * max(1.0 - typical[GAMMA], 1e-3)
    return offset


def _step(genes: np.ndarray, log_step: np.ndarray, limits: GeneBounds) -> np.ndarray:
    offset = offsets(limits)
    value = genes.astype(np.float64)
    value[GAMMA] = 1.0 - value[GAMMA]
    value = (value + offset) * np.exp(log_step) - offset
    value[GAMMA] = 1.0 - value[GAMMA]
    moved: np.ndarray = np.clip(value, limits.low, limits.high)
    return moved
