"""Configuration of minds: the learner and the bounds of the genome."""

from typing import Annotated, Literal

from msgspec import Meta

from arena.config import AtLeastOne, Fraction, NonNegative, Positive, Section

Bounds = tuple[float, float, float]
"""(lowest, typical, highest) value of a gene."""


class MindConfig(Section, frozen=True):
    """The deep Q-network of every agent: its shape and how it learns."""

    hidden: tuple[AtLeastOne, AtLeastOne] = (64, 64)
    """Widths of the two hidden layers."""
    dueling: bool = True
    """Value and advantage heads (Wang et al. 2016)."""
    double: bool = True
    """Double Q-learning target (van Hasselt, Guez & Silver 2016)."""
    mask_bellman: bool = True
    """Maximise over legal next actions only."""
    target: Literal["soft", "hard", "none"] = "soft"
    """How the target network follows; `none` is the ablation without one."""
    hard_target_every: AtLeastOne = 200
    """hard: updates between two copies."""
    batch: AtLeastOne = 32
    """Transitions in one update of one agent."""
    replay_capacity: Annotated[int, Meta(ge=64)] = 8192
    """Transitions that one agent remembers."""
    learn_start: AtLeastOne = 200
    """Transitions that an agent holds before its first update."""
    update_every: AtLeastOne = 1
    """Ticks between two learning phases."""
    updates_per_phase: AtLeastOne = 1
    """Updates of each agent in one learning phase (replay ratio)."""
    n_step: AtLeastOne = 1
    """Steps of reward before bootstrapping."""
    huber_delta: Positive = 1.0
    """Where the Huber loss turns linear."""
    grad_clip: Positive = 10.0
    """Largest gradient norm of one agent."""
    adam_beta1: Fraction = 0.9
    adam_beta2: Fraction = 0.999
    adam_eps: Positive = 1e-5


class GenomeConfig(Section, frozen=True):
    """Bounds of each gene: (lowest, typical, highest). Founders scatter around the typical value."""

    learning_rate: Bounds = (1e-5, 4e-4, 5e-3)
    gamma: Bounds = (0.5, 0.92, 0.995)
    epsilon_final: Bounds = (0.0, 0.01, 0.2)
    epsilon_decay_ticks: Bounds = (50.0, 600.0, 20000.0)
    tau: Bounds = (1e-4, 5e-3, 0.1)
    drawdown_weight: Bounds = (0.0, 0.1, 2.0)
    scar_weight: Bounds = (0.0, 0.05, 2.0)
    ruin_weight: Bounds = (0.0, 1.0, 5.0)
    position_scale: Bounds = (1.0, 10.0, 10.0)
    stop_atr: Bounds = (2.0, 10.0, 30.0)
    mutation_strength: Bounds = (0.01, 0.1, 0.5)
    founder_spread: NonNegative = 0.5
    """Log-standard deviation of a founder's genes around the typical value."""


class PopulationConfig(Section, frozen=True):
    """Who sits in the seats at the start, in each market; the rest are learners."""

    random: Annotated[int, Meta(ge=0)] = 0
    hold: Annotated[int, Meta(ge=0)] = 0
    trend: Annotated[int, Meta(ge=0)] = 0
    meanrev: Annotated[int, Meta(ge=0)] = 0
    oracle: Annotated[int, Meta(ge=0)] = 0
