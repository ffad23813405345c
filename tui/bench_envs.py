"""`bench env`: what a step of each environment costs here, without any learning."""

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from arena import rng
from arena.config import ArenaConfig, BodyConfig, LifeConfig, ScarConfig
from arena.envs.parallel import LineageArena
from arena.envs.population import PopulationConfig
from arena.envs.solo_vector import TraderVectorEnv
from arena.envs.vector import LineageVectorEnv
from arena.kernel.binding import find
from tui.diagnostics import ExitCode, emit, say

AGENTS = 256
"""Of the PettingZoo environment, in one market."""
SLOTS, MARKETS, SPARE = 1024, 16, 64
"""Of the vector environment: slots and spare seats a market."""
TRADERS = 64
"""Of the solo environment's batched form."""
TRADER = "lineage/Trader-v0"
_SEED, _DRAWN = 1, 64


@dataclass(frozen=True, slots=True)
class EnvSpeed:
    """One environment's steps; the rates follow from the median step, which other programs disturb least."""

    name: str
    agents: int
    steps: int
    median_us: float  # of a step
    p95_us: float
    least_us: float
    agent_steps_per_s: float


def settled(markets: int, seats: int) -> PopulationConfig:
    """Return a population in which everybody trades real money and nobody is born, scarred or buried."""
    return PopulationConfig(
        arena=ArenaConfig(markets=markets, seats=seats),
        body=BodyConfig(living_cost_bps=0.0, wealth_cost_bps=0.0, fee_bps=1.0, min_notional=0.0),
        scars=ScarConfig(minor_points=0, moderate_points=0, severe_points=0, drawdown_step=0.99),
        life=LifeConfig(founders_fraction=1.0, founder_apprentice_rounds=0, ruin_fraction=0.0, dispersal=0.0),
    )


def bench_envs(seconds: float, *, as_json: bool) -> int:
    """Measure and print."""
    found = find()
    ticks = f"numpy: {found}" if isinstance(found, str) else "C"
    say(f"ticks are played by {ticks}")
    speeds = []
    for measure in (_parallel, _vector, _solo, _traders):
        if speed := measure(seconds):
            say(f"measured {speed.name}")
            speeds.append(speed)
    measured = {"ticks": ticks, "environments": [asdict(speed) for speed in speeds]}
    emit(json.dumps(measured, indent=2) if as_json else _table(speeds))
    return ExitCode.OK


def _timed(name: str, agents: int, seconds: float, step: Callable[[int], Any]) -> EnvSpeed:
    """Take steps for about `seconds` and return what they cost."""
    end = time.perf_counter() + seconds
    costs: list[float] = []
    while not costs or time.perf_counter() < end:
        began = time.perf_counter()
        step(len(costs))
        costs.append(time.perf_counter() - began)
    median, p95 = np.percentile(costs, (50, 95)).tolist()
    return EnvSpeed(name, agents, len(costs), 1e6 * median, 1e6 * p95, 1e6 * min(costs), agents / median)


def _draws(count: int) -> np.ndarray:
    return rng.stream(_SEED, "bench env").integers(0, 7, (_DRAWN, count))


def _parallel(seconds: float) -> EnvSpeed:
    """Measure the dictionaries of PettingZoo; making the actions is not timed."""
    env = LineageArena(settled(1, AGENTS), max_cycles=2**62, max_births=None)
    env.reset(seed=_SEED)
    actions = [dict(zip(env.agents, row.tolist(), strict=True)) for row in _draws(AGENTS)]
    return _timed("pettingzoo parallel", AGENTS, seconds, lambda count: env.step(actions[count % _DRAWN]))


def _vector(seconds: float) -> EnvSpeed:
    """Measure gymnasium.vector over slots."""
    env = LineageVectorEnv(settled(MARKETS, SLOTS), spare_seats=SPARE)
    env.reset(seed=_SEED)
    actions = _draws(env.num_envs)
    return _timed("gymnasium vector", env.num_envs, seconds, lambda count: env.step(actions[count % _DRAWN]))


def _solo(seconds: float) -> EnvSpeed | None:
    """Measure the trading environment of one agent."""
    import gymnasium

    if TRADER not in gymnasium.registry:
        return None
    env = gymnasium.make(TRADER)
    env.reset(seed=_SEED)
    choices = _draws(1)[:, 0].tolist()

    def step(count: int) -> None:
        _, _, terminated, truncated, _ = env.step(choices[count % _DRAWN])
        if terminated or truncated:
            env.reset()

    return _timed("gymnasium solo", 1, seconds, step)


def _traders(seconds: float) -> EnvSpeed:
    """Measure many trading environments of one agent as one."""
    env = TraderVectorEnv(TRADERS)
    env.reset(seed=_SEED)
    actions = _draws(TRADERS)
    return _timed("gymnasium solo batched", TRADERS, seconds, lambda count: env.step(actions[count % _DRAWN]))


def _table(speeds: list[EnvSpeed]) -> str:
    head = f"{'environment':<24}{'agents':>8}{'steps':>9}{'median us':>12}{'p95 us':>12}{'least us':>12}"
    lines = [head + f"{'agent-steps/s':>16}"]
    lines += [
        f"{one.name:<24}{one.agents:>8,}{one.steps:>9,}{one.median_us:>12,.0f}{one.p95_us:>12,.0f}{one.least_us:>12,.0f}"
        f"{one.agent_steps_per_s:>16,.0f}"
        for one in speeds
    ]
    return "\n".join(lines)
