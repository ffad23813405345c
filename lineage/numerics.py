"""What this machine computes: a fingerprint that tells beforehand whether a history can go on here."""

import hashlib

import numpy as np
import torch
from msgspec.structs import replace

from agents.config import GenomeConfig, MindConfig
from agents.fused import LearnerName
from agents.mind import Minds
from arena import rng
from arena.arrays import fingerprint
from arena.config import ArenaConfig
from arena.spec import N_ACTIONS, OBS_DIM
from lineage.config import RunConfig
from lineage.world import World

_LARGEST_PROBE = 256


def pin_torch() -> None:
    """Give torch's own products one thread: the learner shares its chunks among workers of its own instead.

    Then the bytes do not depend on the number of threads, and a small product does not wait for a second thread.
    """
    torch.set_num_threads(1)


def probe(config: RunConfig, device: str, threads: int, learner: LearnerName) -> str:
    """Return the SHA-256 hex of what this machine makes of a few updates and of a small world.

    Different floating-point units, thread counts, devices or learners may round differently; where this differs
    from what a run was started with, its history cannot be recomputed here. Minds and world are asked
    apart: torch and numpy choose their kernels by the processor, each in its own way.
    """
    population = config.arena.markets * config.arena.seats
    bits = _minds_bits(config.mind, config.genome, population, device, threads, learner), _world_bits(config, learner)
    return hashlib.sha256("".join(bits).encode()).hexdigest()


def _minds_bits(
    mind: MindConfig, genome: GenomeConfig, population: int, device: str, threads: int, learner: LearnerName
) -> str:
    """Fingerprint of the weights of a small population after a few updates with this many workers."""
    seats = min(population, _LARGEST_PROBE)
    small = replace(mind, replay_capacity=max(64, 2 * mind.batch), learn_start=mind.batch)
    minds = Minds(small, genome, seats, 0, device, learner, threads)
    ids = np.arange(1, seats + 1)
    for seat in range(seats):
        minds.new_founder(seat, seat + 1)
    draw = rng.stream(0, "numerics")
    living, regime, done = np.ones(seats, bool), np.zeros(seats, np.int8), np.zeros(seats, bool)
    mask = np.ones((seats, N_ACTIONS), bool)
    for tick in range(mind.batch + 4 * mind.update_every):
        obs = draw.standard_normal((seats, OBS_DIM)).astype(np.float32)
        actions = minds.act(obs, mask, ids, regime, tick, living)
        minds.remember(living, obs, mask, actions, draw.standard_normal(seats).astype(np.float32), done)
        minds.learn(ids, tick, living)
    return minds.fingerprint()


def _world_bits(config: RunConfig, learner: LearnerName) -> str:
    """Fingerprint of a small world after its warm-up and a round: prices, senses, bodies."""
    market = replace(config.market, tape_name="", tape_sha256="", warmup_bars=48)
    if market.source == "tape":
        market = replace(market, source="franke_westerhoff")
    small = replace(
        config,
        arena=ArenaConfig(markets=2, seats=4, ticks_per_round=20),
        market=market,
        mind=replace(config.mind, hidden=(8, 8), replay_capacity=64, batch=16, learn_start=32, n_step=1),
        population=replace(config.population, random=0, hold=1, trend=1, meanrev=0, oracle=0),
    )
    world = World(small, 0, learner=learner)
    world.play_round()
    return fingerprint(world.state_arrays())
