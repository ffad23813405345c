"""Small worlds for tests: a few learners that grow up within a few rounds."""

from typing import Any

import numpy as np

from lineage import settings
from lineage.config import RunConfig
from lineage.world import World

TINY = (
    "arena.seats=8", "mind.hidden=[16, 16]", "mind.replay_capacity=256", "mind.learn_start=32", "mind.update_every=1",
    "market.warmup_bars=128", "life.founder_apprentice_rounds=3", "life.heir_apprentice_rounds=1", "rounds=12",
)  # fmt: skip


def tiny_config(*assignments: str) -> RunConfig:
    """Return scenario `small`, smaller still, with further `a.b=c` assignments."""
    return settings.load("small", assignments=[*TINY, *assignments], environment={}).config


def tiny_world(*assignments: str, seed: int = 1) -> World:
    """Return a world of `tiny_config`."""
    return World(tiny_config(*assignments), seed)


def bless(world: World, seat: int, gift: float = 300_000.0) -> None:
    """Make the agent in a seat a fit parent, paid by its house; even fully invested it keeps an endowment in cash."""
    bodies = world.bodies
    bodies.cash[seat] += gift
    world.accounts.house_cash[seat // world.config.arena.seats] -= gift
    bodies.closed_trades[seat], bodies.won_trades[seat] = 20, 15


def play(world: World, rounds: int) -> list[Any]:
    """Play some rounds and return their records."""
    return [world.play_round() for _ in range(rounds)]


def same(one: np.ndarray, other: np.ndarray) -> bool:
    """Return whether two arrays hold the same bytes."""
    return one.shape == other.shape and one.tobytes() == other.tobytes()
