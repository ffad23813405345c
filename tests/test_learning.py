"""Agents really learn: trained policies beat their own untrained selves on markets they never saw."""

from functools import cache

import numpy as np
import pytest
from scipy import stats

from agents import brains, genome
from agents.config import MindConfig
from arena.config import RewardConfig
from lineage import settings
from lineage.contest.entrants import Entrant, scripted
from lineage.contest.frozen import Conditions, play_alone
from lineage.scenarios import scenario_names
from lineage.world import World

SCHOOLS, PUPILS = 8, 4
ON_PAPER = (
    f"arena.markets={SCHOOLS}", f"arena.seats={PUPILS}", "life.founders_fraction=1.0",
    "life.founder_apprentice_rounds=100000", "life.immigration_per_round=0", "mind.probe_every=0",
)  # fmt: skip
ROUNDS, HELD_OUT, EXAM_TICKS = 120, range(16), 800
WITHOUT = ("reward.benchmark_weight=0.0",)


def exam(world: World, weights: np.ndarray) -> np.ndarray:
    """Return [schools, markets] the log-growth per 1,000 ticks of frozen policies, mean over the pupils of a school."""
    layout = world.minds.brains.layout
    pupils = [
        Entrant("pupil", "dqn", float(genes[genome.POSITION_SCALE]), float(genes[genome.STOP_ATR]), layout, row)
        for row, genes in zip(weights, world.minds.genes, strict=True)
    ]
    growth = play_alone(pupils, HELD_OUT, Conditions(world.config, EXAM_TICKS)).log_growth
    by_school: np.ndarray = growth.reshape(SCHOOLS, PUPILS, -1).mean(axis=1)
    return by_school


@cache
def school(*assignments: str) -> tuple[World, np.ndarray, np.ndarray]:
    """Return a world whose pupils learned for 120 rounds, and what they and their untrained selves are worth."""
    world = World(settings.load("easy", assignments=[*ON_PAPER, *assignments], environment={}).config, seed=1)
    untrained = world.minds.brains.params.numpy().copy()
    for _ in range(ROUNDS):
        world.play_round()
    return world, exam(world, world.minds.brains.params.numpy().copy()), exam(world, untrained)


def lower_bound(differences: np.ndarray) -> float:
    """Return the lower end of the 95 % interval of a mean."""
    low, _ = stats.t.interval(0.95, len(differences) - 1, loc=differences.mean(), scale=stats.sem(differences))
    return float(low)


@pytest.mark.slow
def test_trained_policies_beat_their_untrained_selves_on_unseen_markets() -> None:
    """Paired over held-out markets, the 95 % interval of the gain lies above zero, and it is a large part of what
    knowing the regime would earn."""
    world, trained, untrained = school()
    gains = (trained - untrained).mean(axis=0)
    oracle = play_alone([scripted("oracle", world.config.genome)], HELD_OUT, Conditions(world.config, EXAM_TICKS))
    share = trained.mean() / oracle.log_growth.mean()
    print(f"gain {gains.mean():+.2f} log per 1,000 ticks, at least {lower_bound(gains):+.2f}; {share:.2f} of oracle")
    assert lower_bound(gains) > 0.3
    assert share > 0.4


@pytest.mark.slow
def test_growth_above_half_a_position_teaches_more_than_growth() -> None:
    """The default reward against plain log growth, same schools, same genomes: half of the noise is worth a tenth."""
    _, with_benchmark, _ = school()
    _, without, _ = school(*WITHOUT)
    gains = (with_benchmark - without).mean(axis=1)  # one a school
    print(f"gain {gains.mean():+.2f} log per 1,000 ticks, lower bound {lower_bound(gains):+.2f} over {SCHOOLS} schools")
    assert lower_bound(gains) > 0.0


def test_every_scenario_learns_as_was_measured() -> None:
    """What docs/decisions/0008-learning.md found to matter stands in every scenario: benchmark, and a long memory."""
    for name in scenario_names():
        config = settings.load(name, environment={}).config
        assert config.reward.benchmark_weight == 0.5, name
        if name not in ("crowd", "small"):  # what fits a laptop, and what lasts 40 rounds
            lived = min(config.rounds, 300)  # nine in ten of the dead never live longer
            assert config.mind.replay_capacity >= lived * config.arena.ticks_per_round, name
    assert RewardConfig().benchmark_weight == 0.0 and MindConfig().replay and MindConfig().sense_scars
    assert brains.INPUT_SCALE < 0.5
