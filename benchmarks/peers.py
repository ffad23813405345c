"""What others would do: one DQN object an agent, one after another. For benchmarks.learner; the library is optional."""

from typing import Any

import gymnasium
import numpy as np
import torch
from torch.nn import functional

from agents.config import MindConfig
from agents.policy import LEGAL_BIAS
from agents.replay import Batch
from arena.spec import N_ACTIONS, OBS_DIM

RATE, TAU = 4e-4, 5e-3


class Single(torch.nn.Module):
    """One agent's dueling network, as one would write it for one agent."""

    def __init__(self, config: MindConfig) -> None:
        super().__init__()
        first, second = config.hidden
        self.body = torch.nn.Sequential(
            torch.nn.Linear(OBS_DIM, first), torch.nn.ReLU(), torch.nn.Linear(first, second), torch.nn.ReLU()
        )
        self.advantage = torch.nn.Linear(second, N_ACTIONS)
        self.value = torch.nn.Linear(second, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return Q [B,A] for x [B,D]."""
        hidden = self.body(x)
        advantage: torch.Tensor = self.advantage(hidden)
        value: torch.Tensor = self.value(hidden)
        return value + advantage - advantage.mean(dim=1, keepdim=True)


class Alone:
    """One double DQN with torch's fused Adam."""

    def __init__(self, config: MindConfig) -> None:
        self.config = config
        self.online, self.target = Single(config), Single(config)
        self.adam = torch.optim.Adam(self.online.parameters(), lr=RATE, eps=config.adam_eps, fused=True)
        self.weights: list[torch.Tensor] = list(self.online.parameters())
        self.frozen: list[torch.Tensor] = list(self.target.parameters())
        self.bias = torch.from_numpy(LEGAL_BIAS)

    def update(self, batch: Batch, row: int) -> None:
        """Do one update with row `row` of a stacked batch."""
        x, legal, b = batch.x[row], batch.legal_t[row], self.config.batch
        with torch.no_grad():
            best = (self.online(x[b:]) + self.bias[legal.long()]).argmax(dim=1, keepdim=True)
            goal = batch.r_t[row] + batch.discount_t[row] * self.target(x[b:]).gather(1, best)[:, 0]
        chosen = self.online(x[:b]).gather(1, batch.a_tm1[row][:, None])[:, 0]
        self.adam.zero_grad()
        functional.smooth_l1_loss(chosen, goal).backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.online.parameters(), self.config.grad_clip)
        self.adam.step()
        with torch.no_grad():
            torch._foreach_lerp_(self.frozen, self.weights, TAU)


class _Nowhere(gymnasium.Env[np.ndarray, np.int64]):
    """Spaces without a world: only the library's train() is asked."""

    observation_space = gymnasium.spaces.Box(-5.0, 5.0, (OBS_DIM,), np.float32)
    action_space = gymnasium.spaces.Discrete(N_ACTIONS)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Return an observation of nothing."""
        return np.zeros(OBS_DIM, dtype=np.float32), {}


def library(config: MindConfig) -> Any:
    """Return a DQN of stable-baselines3 with a filled buffer; None where the library is not installed."""
    try:
        from stable_baselines3 import DQN
        from stable_baselines3.common.logger import configure
    except ImportError:
        return None
    model = DQN(
        "MlpPolicy", _Nowhere(), batch_size=config.batch, buffer_size=config.replay_capacity, learning_rate=RATE,
        policy_kwargs={"net_arch": list(config.hidden)}, device="cpu",
    )  # fmt: skip
    model.set_logger(configure(None, []))
    buffer, draw = model.replay_buffer, np.random.Generator(np.random.Philox(1))
    assert buffer is not None
    shape = buffer.observations.shape
    buffer.observations[...] = draw.standard_normal(shape, dtype=np.float32)
    buffer.next_observations[...] = draw.standard_normal(shape, dtype=np.float32)
    buffer.actions[...] = draw.integers(0, N_ACTIONS, buffer.actions.shape)
    buffer.rewards[...] = draw.standard_normal(buffer.rewards.shape)
    buffer.full = True
    return model
