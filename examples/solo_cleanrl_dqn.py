"""Masked double DQN in one file, in CleanRL's manner: python examples/solo_cleanrl_dqn.py [--total-timesteps 40000].

Sixteen markets are played at once through gymnasium.make_vec; the mask in `infos` counts when acting and in the
Bellman maximum.
"""

import argparse
from dataclasses import dataclass, fields

import gymnasium
import numpy as np
import torch
from solo_scores import BARS, EASY, flat, report  # type: ignore[import-not-found]  # beside this file
from torch import nn

from lineage.contest.statistics import Interval


@dataclass
class Args:
    """What can be set from the command line."""

    seed: int = 0
    total_timesteps: int = 40_000
    num_envs: int = 16
    learning_rate: float = 1e-3
    gamma: float = 0.9
    batch_size: int = 256
    learning_starts: int = 1_000
    updates_a_step: int = 1
    target_every: int = 50
    start_epsilon: float = 1.0
    end_epsilon: float = 0.05
    exploration_fraction: float = 0.5
    episodes: int = 24


def network() -> nn.Sequential:
    """Return the Q-network: 38 numbers in, 7 values out."""
    return nn.Sequential(nn.Linear(38, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 7))


def best(q: nn.Module, observation: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Return [N] the legal actions of highest value."""
    with torch.no_grad():
        values = q(torch.as_tensor(observation)).masked_fill(~torch.as_tensor(mask), -torch.inf)
    chosen: np.ndarray = values.argmax(dim=1).numpy()
    return chosen


class Memory:
    """Everything that was seen and done, step by step; an observation is stored once."""

    def __init__(self, steps: int, envs: int) -> None:
        """Make room for all steps."""
        self.seen = np.zeros((steps + 1, envs, 38), dtype=np.float32)
        self.masks = np.zeros((steps + 1, envs, 7), dtype=bool)
        self.actions = np.zeros((steps, envs), dtype=np.int64)
        self.rewards, self.terminal = np.zeros((2, steps, envs), dtype=np.float32)
        self.useful = np.zeros((steps, envs), dtype=bool)  # the step after an end is the autoreset: nothing was decided


def update(
    q: nn.Module, target: nn.Module, optimizer: torch.optim.Optimizer, memory: Memory, steps: int, args: Args,
    draw: np.random.Generator,
) -> None:  # fmt: skip
    """Take one gradient step of masked double DQN on a batch of the first `steps` steps."""
    rows, places = draw.integers(0, steps, args.batch_size), draw.integers(0, args.num_envs, args.batch_size)
    keep = memory.useful[rows, places]
    now, later = (rows[keep], places[keep]), (rows[keep] + 1, places[keep])
    after = torch.as_tensor(best(q, memory.seen[later], memory.masks[later]))
    with torch.no_grad():
        value = target(torch.as_tensor(memory.seen[later])).gather(1, after[:, None])[:, 0]
        goal = torch.as_tensor(memory.rewards[now])
        goal = goal + args.gamma * value * (1.0 - torch.as_tensor(memory.terminal[now]))
    taken = torch.as_tensor(memory.actions[now])
    loss = nn.functional.smooth_l1_loss(q(torch.as_tensor(memory.seen[now])).gather(1, taken[:, None])[:, 0], goal)
    optimizer.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()


def learn(args: Args) -> nn.Module:
    """Return a trained Q-network."""
    torch.manual_seed(args.seed)
    draw = np.random.default_rng(args.seed)
    envs = gymnasium.make_vec("lineage/Trader-v0", num_envs=args.num_envs, config=EASY, max_steps=BARS)
    q, target = network(), network()
    target.load_state_dict(q.state_dict())
    optimizer = torch.optim.Adam(q.parameters(), lr=args.learning_rate)
    steps = args.total_timesteps // args.num_envs
    memory = Memory(steps, args.num_envs)
    observation, infos = envs.reset(seed=args.seed)
    memory.seen[0], memory.masks[0] = flat(observation), infos["action_mask"] > 0
    over = np.zeros(args.num_envs, dtype=bool)
    for step in range(steps):
        share = min(step / (args.exploration_fraction * steps), 1.0)
        explores = draw.random(args.num_envs) < args.start_epsilon + share * (args.end_epsilon - args.start_epsilon)
        legal = (draw.random((args.num_envs, 7)) * memory.masks[step]).argmax(axis=1)
        memory.actions[step] = np.where(explores, legal, best(q, memory.seen[step], memory.masks[step]))
        observation, rewards, terminations, truncations, infos = envs.step(memory.actions[step])
        memory.seen[step + 1], memory.masks[step + 1] = flat(observation), infos["action_mask"] > 0
        memory.rewards[step], memory.terminal[step], memory.useful[step] = rewards, terminations, ~over
        over = terminations | truncations
        if (step + 1) * args.num_envs >= args.learning_starts:
            for _ in range(args.updates_a_step):
                update(q, target, optimizer, memory, step + 1, args, draw)
        if step % args.target_every == 0:
            target.load_state_dict(q.state_dict())
    envs.close()
    return q


def main(arguments: list[str] | None = None) -> dict[str, Interval]:
    """Train, compare and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    for field in fields(Args):
        parser.add_argument(f"--{field.name.replace('_', '-')}", type=type(field.default), default=field.default)
    args = Args(**vars(parser.parse_args(arguments)))
    torch.set_num_threads(1)
    q = learn(args)
    found: dict[str, Interval] = report("DQN", lambda seen, masks: best(q, seen, masks), args.episodes)
    return found


if __name__ == "__main__":
    main()
