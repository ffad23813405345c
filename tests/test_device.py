"""The stacked learner on a GPU: equal to the reference there and to the CPU, without a step of Python per agent."""

import numpy as np
import pytest
import torch

from agents import brains as brain
from agents.config import GenomeConfig, MindConfig
from agents.learn import Rates, learn_step
from agents.learn_fast import FastLearner
from agents.mind import Minds
from agents.replay import Batch
from arena.rng import stream
from arena.spec import N_ACTIONS, OBS_DIM

needs_gpu = pytest.mark.skipif(
    not torch.cuda.is_available(), reason="no CUDA device is usable here: nothing that runs on one can be checked"
)
SEATS = 70
SWITCHES: list[dict[str, object]] = [
    {}, {"dueling": False}, {"double": False}, {"mask_bellman": False}, {"target": "hard", "hard_target_every": 2},
    {"target": "none"}, {"prioritised": True},
]  # fmt: skip


def batch_of(config: MindConfig, turn: int) -> Batch:
    """Return random weighted transitions for every seat."""
    draw, size = stream(turn, "device"), (SEATS, config.batch)
    return Batch(
        seats=np.arange(SEATS),
        x=torch.from_numpy(draw.standard_normal((SEATS, 2 * config.batch, OBS_DIM)).astype(np.float32)),
        a_tm1=torch.from_numpy(draw.integers(0, N_ACTIONS, size)),
        r_t=torch.from_numpy(draw.standard_normal(size).astype(np.float32)),
        discount_t=torch.from_numpy(draw.random(size).astype(np.float32)),
        legal_t=torch.from_numpy(draw.integers(1, 2**N_ACTIONS, size).astype(np.uint8)),
        weight=torch.from_numpy(draw.random(size).astype(np.float32)),
    )


def founders(config: MindConfig, device: str) -> brain.Brains:
    """Return the same founders on any device."""
    brains = brain.allocate(SEATS, OBS_DIM, N_ACTIONS, config, device)
    for seat in range(SEATS):
        brain.init_founder(brains, seat, 1, seat + 1)
    return brains


def differences(changes: dict[str, object], device: str) -> dict[str, float]:
    """Return the largest gaps after an update: the fast learner on `device` against the reference on the CPU."""
    config = MindConfig(**({"hidden": (32, 32), "batch": 8} | changes))  # type: ignore[arg-type]
    known, there, active = founders(config, "cpu"), founders(config, device), np.arange(SEATS) % 7 != 3
    rates = Rates(np.full(SEATS, 1e-3, dtype=np.float32), np.full(SEATS, 0.1, dtype=np.float32))
    one = learn_step(known, batch_of(config, 0), rates, active, config)
    two = FastLearner(there, config).step(batch_of(config, 0), rates, active)
    assert np.array_equal(one.updated, two.updated) and np.array_equal(one.updated, active)
    gaps = {
        name: float((getattr(known, name) - getattr(there, name).cpu()).abs().max()) for name in ("moment1", "target")
    }
    return gaps | {name: float(np.abs(getattr(one, name) - getattr(two, name)).max()) for name in ("loss", "grad_norm")}


@needs_gpu
@pytest.mark.parametrize("changes", SWITCHES, ids=str)
def test_a_gpu_computes_what_the_reference_computes(changes: dict[str, object]) -> None:
    """Every switch, to single precision."""
    assert all(gap < 1e-4 for gap in differences(changes, "cuda").values())


@needs_gpu
def test_minds_live_on_a_gpu() -> None:
    """Act, remember, learn; the fast learner is the one that works there, and it learns."""
    minds = Minds(MindConfig(hidden=(32, 32), learn_start=40), GenomeConfig(), SEATS, 1, device="cuda")
    assert minds.learner.name == "fast"
    assert tick_many(minds) > 0
    assert torch.isfinite(minds.brains.params).all() and minds.brains.params.device.type == "cuda"


def test_the_comparison_holds_on_a_cpu() -> None:
    """What runs on a GPU when there is one, run here: so the check itself is known to work."""
    assert all(gap < 1e-4 for gap in differences({}, "cpu").values())
    minds = Minds(MindConfig(hidden=(32, 32), learn_start=40), GenomeConfig(), SEATS, 1, learner="fast")
    assert tick_many(minds) > 0


def tick_many(minds: Minds) -> int:
    """Live sixty ticks; return the updates."""
    draw, ids, yes = stream(0, "ticks"), np.arange(1, SEATS + 1), np.ones(SEATS, dtype=bool)
    mask, updates = np.ones((SEATS, N_ACTIONS), dtype=bool), 0
    for seat in range(SEATS):
        minds.new_founder(seat, seat + 1)
    for tick in range(60):
        obs = draw.standard_normal((SEATS, OBS_DIM)).astype(np.float32)
        actions = minds.act(obs, mask, ids, np.zeros(SEATS, dtype=np.int8), tick, yes)
        minds.remember(yes, obs, mask, actions, obs[:, 0], ~yes)
        updates += minds.learn(ids, tick, yes)
    return updates
