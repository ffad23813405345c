"""Small populations for environments: people who are born and die every few rounds, and how to play them."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from arena.checks.target import LIVELY
from arena.envs.parallel import LineageArena
from arena.envs.population import PopulationConfig, population_config

QUIET: dict[str, Any] = {
    "arena": {"markets": 1, "seats": 8, "ticks_per_round": 5},
    "market": {"warmup_bars": 128},
    "life": {"founders_fraction": 1.0, "immigration_per_round": 0.0, "founder_apprentice_rounds": 0},
}
"""Nobody is born, and nobody dies soon."""


def lively_arena(**given: Any) -> LineageArena:
    """Return a parallel environment in which people come and go."""
    return LineageArena(LIVELY, **{"max_cycles": 200, "max_births": 900, **given})


def lively_slots() -> PopulationConfig:
    """Return the configuration of lively vector environments."""
    return population_config(LIVELY | {"life": LIVELY["life"] | {"immigration_per_round": 0.9, "patron": False}})


def legal(infos: dict[str, dict[str, Any]], agents: list[str], draw: np.random.Generator) -> dict[str, int]:
    """Return one random legal action for each agent; every second agent takes the last legal one."""
    return {
        name: int(np.flatnonzero(infos[name]["action_mask"])[-1])
        if int(name[6:]) % 2
        else int(draw.choice(np.flatnonzero(infos[name]["action_mask"])))
        for name in agents
    }


def lives(env: LineageArena, seed: int, steps: int = 10_000) -> Iterator[tuple[list[str], tuple[Any, ...]]]:
    """Yield (agents before the step, what `step` returned) until everybody is gone."""
    _, infos = env.reset(seed=seed)
    draw = np.random.Generator(np.random.Philox(seed))
    for _ in range(steps):
        if not env.agents:
            return
        before = list(env.agents)
        result = env.step(legal(infos, before, draw))
        infos = result[4]
        yield before, result
