"""Configuration of minds: the learner and the bounds of the genome."""

from typing import Annotated, Literal

from msgspec import Meta

from arena.config import AtLeastOne, Count, Fraction, NonNegative, Positive, Section

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
    """How the target network follows: Lillicrap et al. 2016, Mnih et al. 2015; `none` is the ablation without one."""
    hard_target_every: AtLeastOne = 200
    """hard: updates between two copies."""
    batch: AtLeastOne = 32
    """Transitions in one update of one agent."""
    replay_capacity: Annotated[int, Meta(ge=64)] = 8192
    """Transitions that one agent remembers."""
    learn_start: AtLeastOne = 200
    """Transitions that an agent holds before its first update."""
    replay: bool = True
    """Learn from transitions of the whole memory; false learns from the newest one only, the ablation (Lin 1992)."""
    sense_scars: bool = True
    """Whether an agent sees its damage and what that does to its fees; false is the ablation."""
    update_every: AtLeastOne = 1
    """Ticks between two learning phases."""
    updates_per_phase: AtLeastOne = 1
    """Updates of each agent in one learning phase (replay ratio)."""
    n_step: AtLeastOne = 1
    """Steps of reward before bootstrapping (Sutton & Barto 2018, 7.1; uncorrected, as in Hessel et al. 2018)."""
    prioritised: bool = False
    """Draw transitions in proportion to their last |TD error| (Schaul et al. 2016)."""
    priority_alpha: Fraction = 0.6
    """prioritised: exponent of the priority; 0 draws uniformly."""
    priority_beta: Fraction = 0.4
    """prioritised: exponent of the importance weights at an agent's first update; it grows to 1."""
    priority_beta_updates: AtLeastOne = 3000
    """prioritised: updates after which the importance weights correct the bias in full."""
    priority_epsilon: Positive = 0.01
    """prioritised: added to |TD error|, so that nothing is forgotten for good."""
    huber_delta: Positive = 1.0
    """Where the loss turns linear (Huber 1964)."""
    grad_clip: Positive = 10.0
    """Largest gradient norm of one agent (Pascanu, Mikolov & Bengio 2013)."""
    probe_every: Count = 50
    """Rounds between two probes of every learner against its own birth policy; 0 = never."""
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
