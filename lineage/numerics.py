"""What this machine computes: a fingerprint that tells beforehand whether a history can go on here."""

import hashlib

import numpy as np
import torch
from msgspec.structs import replace

from agents.config import GenomeConfig, MindConfig
from agents.mind import Minds
from arena import rng
from arena.spec import N_ACTIONS, OBS_DIM

_LARGEST_PROBE = 256


def set_threads(threads: int) -> None:
    """Use this many threads in the learner; a history is a function of seed, build and thread count."""
    torch.set_num_threads(threads)


def probe(mind: MindConfig, genome: GenomeConfig, population: int, device: str) -> str:
    """Return the SHA-256 hex of a small population's weights after a few updates, with the present thread count.

    Different floating-point units, thread counts or devices may round differently; where this differs
    from what a run was started with, its history cannot be recomputed here.
    """
    seats = min(population, _LARGEST_PROBE)
    small = replace(mind, replay_capacity=max(64, 2 * mind.batch), learn_start=mind.batch)
    minds = Minds(small, genome, seats, 0, device)
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
    return hashlib.sha256(minds.fingerprint().encode()).hexdigest()
