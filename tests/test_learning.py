"""Agents really learn: trained policies beat their own untrained selves on markets they never saw."""

import numpy as np
import pytest
from scipy import stats

from agents import genome
from lineage import settings
from lineage.world import World

ON_PAPER = (
    "arena.markets=2", "arena.seats=16", "life.founders_fraction=1.0", "life.founder_apprentice_rounds=100000",
    "life.immigration_per_round=0", "body.living_cost_bps=0", "body.wealth_cost_bps=0",
)  # fmt: skip
TRAINING_ROUNDS, EXAM_ROUNDS = 120, 25
HELD_OUT_SEEDS = range(1000, 1008)


def paper_world(seed: int, *assignments: str) -> World:
    """Return 32 founders on two easy markets who trade on paper for ever and pay nothing to live."""
    return World(settings.load("easy", assignments=[*ON_PAPER, *assignments], environment={}).config, seed)


def exam(weights: np.ndarray, genes: np.ndarray, seed: int) -> np.ndarray:
    """Return [P] the log-growth per 1,000 ticks of frozen, greedy policies on a new pair of markets."""
    world = paper_world(seed, "life.ruin_fraction=0.0", "mind.learn_start=4000")
    world.state_arrays()["brains.params"][:] = weights
    world.minds.genes[:] = genes
    world.minds.genes[:, genome.EPSILON_FINAL] = 0.0
    world.minds.age_ticks[:] = 10**9
    for _ in range(EXAM_ROUNDS):
        world.play_round()
    assert world.counts["updates"] == 0
    growth: np.ndarray = np.log(world.bodies.equity / 10_000.0)
    return growth * 1000.0 / (EXAM_ROUNDS * world.config.arena.ticks_per_round)


def paired_gain(trained: np.ndarray, untrained: np.ndarray, genes: np.ndarray) -> tuple[float, float]:
    """Return (mean, lower end of the 95 % interval) of trained minus untrained over the held-out seeds."""
    gains = [exam(trained, genes, seed).mean() - exam(untrained, genes, seed).mean() for seed in HELD_OUT_SEEDS]
    low, _ = stats.t.interval(0.95, len(gains) - 1, loc=np.mean(gains), scale=stats.sem(gains))
    return float(np.mean(gains)), float(low)


@pytest.mark.slow
def test_trained_policies_beat_their_untrained_selves_on_unseen_markets() -> None:
    """Paired over eight held-out seeds, the 95 % interval of the gain lies above zero.

    The exam itself gives nothing away: the same weights get the same growth.
    """
    school = paper_world(1)
    for _ in range(TRAINING_ROUNDS):
        school.play_round()
    state = school.state_arrays()
    trained, untrained = state["brains.params"].copy(), state["brains.birth_params"].copy()
    genes = school.minds.genes.copy()
    mean, low = paired_gain(trained, untrained, genes)
    print(f"gain {mean:+.2f} log per 1,000 ticks, lower bound {low:+.2f}")
    assert low > 0.0
    assert np.array_equal(exam(untrained, genes, 1000), exam(untrained, genes, 1000))
