"""The configuration of a whole run, composed of the sections of each layer."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from agents.config import GenomeConfig, MindConfig, PopulationConfig
from arena.config import (
    ArenaConfig,
    BodyConfig,
    Fraction,
    LifeConfig,
    MarketConfig,
    NonNegative,
    RewardConfig,
    ScarConfig,
    Section,
)


class InheritanceConfig(Section, frozen=True):
    """What a child gets from its parent."""

    inheritance: Literal["darwinian", "baldwinian", "lamarckian"] = "lamarckian"
    """Genome only; the parent's birth weights; the parent's learned weights."""
    weight_mutation: NonNegative = 0.0
    """Standard deviation of the noise on inherited weights, relative to each layer's scale."""
    inherit_moments: bool = True
    """lamarckian: copy the optimiser's moments and step count."""
    inherit_replay: Fraction = 0.25
    """lamarckian: newest share of the replay capacity that is copied."""


class RecordConfig(Section, frozen=True):
    """What is written down, and how often."""

    checkpoint_every: Annotated[int, Meta(ge=1)] = 100
    """Rounds between two checkpoints."""
    checkpoints_kept: Annotated[int, Meta(ge=1, le=100)] = 2
    """Newest checkpoints that stay on disk."""
    fossils: bool = True
    """Keep the policy of every learner at its death, and of those alive at the run's end."""
    birth_policies: bool = False
    """Keep the policy of every learner at its birth too: 11 kB a birth for [32, 32], 29 kB for [64, 64]."""


class RunConfig(Section, frozen=True):
    """Everything that, with the seed and the build, determines a history."""

    scenario: str = "default"
    """Name of the scenario that this configuration started from."""
    rounds: Annotated[int, Meta(ge=1, le=10_000_000)] = 300
    """Length of the run."""
    arena: ArenaConfig = ArenaConfig()
    market: MarketConfig = MarketConfig()
    body: BodyConfig = BodyConfig()
    scars: ScarConfig = ScarConfig()
    life: LifeConfig = LifeConfig()
    reward: RewardConfig = RewardConfig()
    mind: MindConfig = MindConfig()
    genome: GenomeConfig = GenomeConfig()
    population: PopulationConfig = PopulationConfig()
    lineage: InheritanceConfig = InheritanceConfig()
    record: RecordConfig = RecordConfig()


def to_plain(config: RunConfig) -> dict[str, object]:
    """Return the configuration as plain dictionaries, lists and scalars."""
    plain: dict[str, object] = msgspec.to_builtins(config)
    return plain
