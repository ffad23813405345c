"""The environments' population and the world's own loop are one engine: the same actions give the same bytes."""

import numpy as np
import pytest

from arena.arrays import fingerprint
from arena.body import lifecycle
from arena.envs.population import Population, PopulationConfig, population_config
from arena.errors import ConfigError
from lineage.config import RunConfig
from lineage.world import World
from tests.worlds import tiny_config

BUSY = (
    "arena.markets=2", "market.drift=0.006", "life.spawn_wealth=1.25", "life.spawn_min_trades=1",
    "life.spawn_min_win_rate=0.0", "life.spawn_cooldown_rounds=3", "life.spawn_max_severe=9", "life.ruin_fraction=0.2",
    "life.dispersal=0.5", "life.immigration_per_round=0.5", "scars.fatal_points=30", "scars.drawdown_step=0.06",
    "scars.severe_points=9", "scars.buy_large_limit=20", "scars.add_limit=25",
)  # fmt: skip
"""Many births, deaths and immigrants in two markets."""


def busy_config() -> RunConfig:
    """Return a configuration in which people come and go."""
    return tiny_config(*BUSY)


def body_config(config: RunConfig) -> PopulationConfig:
    """Return the sections of a run that bodies need."""
    return PopulationConfig(
        arena=config.arena, market=config.market, body=config.body, scars=config.scars, life=config.life,
        reward=config.reward,
    )  # fmt: skip


class Recorder:
    """Plays a world and keeps what it was asked and what came of it, tick by tick."""

    def __init__(self, config: RunConfig, seed: int, rounds: int) -> None:
        """Play `rounds` rounds."""
        self.world = World(config, seed)
        self.genes: dict[int, lifecycle.BodyGenes] = {}
        self.actions: list[np.ndarray] = []
        self.seen: list[str] = []
        arena = self.world.arena
        self._keep_genes()
        step = arena.step

        def spy(actions: np.ndarray) -> object:
            self.actions.append(actions.copy())
            self.seen.append(fingerprint({"obs": arena.obs, "mask": arena.mask}))
            tick = step(actions)
            self.seen.append(fingerprint({"reward": tick.reward, "parts": np.ascontiguousarray(tick.reward_parts)}))
            return tick

        arena.step = spy  # type: ignore[method-assign, assignment]
        self.after: list[str] = []
        for _ in range(rounds):
            self.world.play_round()
            self._keep_genes()
            self.after.append(fingerprint(arena.state_arrays()))

    def _keep_genes(self) -> None:
        bodies = self.world.bodies
        for seat in np.flatnonzero(bodies.agent_id >= 0):
            a, b, c = bodies.reward_weights[seat].tolist()
            self.genes[int(bodies.agent_id[seat])] = lifecycle.BodyGenes(
                float(bodies.position_scale[seat]), float(bodies.stop_atr[seat]), (a, b, c)
            )


@pytest.mark.parametrize("seed", [1, 2])
def test_world_and_population_give_identical_bytes(seed: int) -> None:
    """Bodies, accounts, market, senses, observations, masks and rewards, through births and deaths."""
    config = busy_config()
    rounds = 30
    played = Recorder(config, seed, rounds)
    assert played.world.counts["death"] > 0 and played.world.counts["spawn"] > 0, "nothing to compare"
    population = Population(body_config(config), seed, genes_of=lambda agent_id, _: played.genes[agent_id])
    arena = population.arena
    born, died = len(population.founders), 0
    for index, actions in enumerate(played.actions):
        obs, mask = population.observe()
        assert fingerprint({"obs": obs, "mask": mask}) == played.seen[2 * index]
        step = population.step(actions)
        parts = np.ascontiguousarray(step.tick.reward_parts)
        assert fingerprint({"reward": step.tick.reward, "parts": parts}) == played.seen[2 * index + 1]
        born, died = born + len(step.born), died + len(step.died)
    assert fingerprint(arena.state_arrays()) == played.after[-1]
    assert (born, died) == (played.world.next_agent_id - 1, played.world.counts["death"])


def test_another_action_gives_other_bytes() -> None:
    """Sabotage: the comparison above can fail."""
    config = busy_config()
    played = Recorder(config, 1, 3)
    population = Population(body_config(config), 1, genes_of=lambda agent_id, _: played.genes[agent_id])
    for index, actions in enumerate(played.actions):
        population.observe()
        population.step(np.zeros_like(actions) if index == 40 else actions)
    assert fingerprint(population.arena.state_arrays()) != played.after[-1]


def test_a_configuration_names_what_is_wrong() -> None:
    """Unknown fields, wrong ranges and an arena without founders are refused."""
    wrong: list[tuple[dict[str, object], str]] = [
        ({"arena": {"seats": 0}}, "seats"),
        ({"arena": {"chairs": 4}}, "chairs"),
        ({"market": {"source": "moon"}}, "source"),
    ]
    for sections, word in wrong:
        with pytest.raises(ConfigError, match=word):
            population_config(sections)
    with pytest.raises(ConfigError, match="founders"):
        Population(population_config({"arena": {"seats": 4}, "life": {"founders_fraction": 0.1}}), 1)
