"""Measure the learners side by side: a loop of single networks, the stacked reference, the production learner.

    python -m benchmarks.learner                        # 64 and 1,024 agents, one thread and all cores
    python -m benchmarks.learner --agents 256 --threads 1 --seconds 5
    python -m benchmarks.learner --json > learner.json

The ways take turns and the best turn counts, so the ratios stand even on a busy machine; the speeds do not.
"""

import argparse
import json
import os
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from agents import brains as brain
from agents.config import GenomeConfig, MindConfig
from agents.learn import Rates, learn_step
from agents.learn_fast import FastLearner
from agents.mind import Minds
from agents.policy import LEGAL_BIAS
from agents.replay import Batch
from arena.spec import N_ACTIONS, OBS_DIM

CONFIG = MindConfig()
RATE, TAU = 4e-4, 5e-3


class Single(torch.nn.Module):
    """One agent's dueling network, as one would write it for one agent."""

    def __init__(self) -> None:
        super().__init__()
        first, second = CONFIG.hidden
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

    def __init__(self) -> None:
        self.online, self.target = Single(), Single()
        self.adam = torch.optim.Adam(self.online.parameters(), lr=RATE, eps=CONFIG.adam_eps, fused=True)
        self.weights: list[torch.Tensor] = list(self.online.parameters())
        self.frozen: list[torch.Tensor] = list(self.target.parameters())
        self.bias = torch.from_numpy(LEGAL_BIAS)

    def update(self, batch: Batch, row: int) -> None:
        """Do one update with row `row` of a stacked batch."""
        x, legal, b = batch.x[row], batch.legal_t[row], CONFIG.batch
        with torch.no_grad():
            best = (self.online(x[b:]) + self.bias[legal.long()]).argmax(dim=1, keepdim=True)
            goal = batch.r_t[row] + batch.discount_t[row] * self.target(x[b:]).gather(1, best)[:, 0]
        chosen = self.online(x[:b]).gather(1, batch.a_tm1[row][:, None])[:, 0]
        self.adam.zero_grad()
        functional.smooth_l1_loss(chosen, goal).backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.online.parameters(), CONFIG.grad_clip)
        self.adam.step()
        with torch.no_grad():
            torch._foreach_lerp_(self.frozen, self.weights, TAU)


def random_batch(agents: int) -> Batch:
    """Return random transitions for every seat."""
    draw = torch.Generator().manual_seed(0)
    size = (agents, CONFIG.batch)
    return Batch(
        seats=np.arange(agents),
        x=torch.randn((agents, 2 * CONFIG.batch, OBS_DIM), generator=draw),
        a_tm1=torch.randint(0, N_ACTIONS, size, generator=draw),
        r_t=torch.randn(size, generator=draw),
        discount_t=torch.full(size, 0.92),
        legal_t=torch.randint(1, 2**N_ACTIONS, size, generator=draw).to(torch.uint8),
        weight=None,
    )


def founders(agents: int) -> brain.Brains:
    """Return founders' brains."""
    brains = brain.allocate(agents, OBS_DIM, N_ACTIONS, CONFIG)
    for seat in range(agents):
        brain.init_founder(brains, seat, 1, seat + 1)
    return brains


def ways(agents: int, threads: int) -> dict[str, tuple[int, Callable[[], object]]]:
    """Return {name: (updates in one call, call)}; the loop does 64 agents at most, its speed does not change."""
    batch, active = random_batch(agents), np.ones(agents, dtype=bool)
    rates = Rates(np.full(agents, RATE, dtype=np.float32), np.full(agents, TAU, dtype=np.float32))
    singles = [Alone() for _ in range(min(agents, 64))]
    reference, quick = founders(agents), founders(agents)
    learner = FastLearner(quick, CONFIG, threads)

    def loop() -> None:
        for row, single in enumerate(singles):
            single.update(batch, row)

    return {
        "loop of single networks": (len(singles), loop),
        "stacked, autograd (reference)": (agents, lambda: learn_step(reference, batch, rates, active, CONFIG)),
        "stacked, written out (production)": (agents, lambda: learner.step(batch, rates, active)),
    }


def living(agents: int) -> Callable[[], tuple[float, float, float]]:
    """Return a call that lives one tick of `Minds` and tells the seconds of act, remember and learn."""
    minds = Minds(CONFIG, GenomeConfig(), agents, 1)
    ids, yes = np.arange(1, agents + 1), np.ones(agents, dtype=bool)
    for seat in range(agents):
        minds.new_founder(seat, seat + 1)
    draw = np.random.Generator(np.random.Philox(1))
    obs = draw.normal(size=(agents, OBS_DIM)).astype(np.float32)
    mask = draw.random((agents, N_ACTIONS)) < 0.6
    mask[:, 0] = True
    clock = iter(range(10**9))

    def tick() -> tuple[float, float, float]:
        number, marks = next(clock), [time.perf_counter()]
        actions = minds.act(obs, mask, ids, np.zeros(agents, dtype=np.int8), number, yes)
        marks.append(time.perf_counter())
        minds.remember(yes, obs, mask, actions, obs[:, 0], ~yes)
        marks.append(time.perf_counter())
        minds.learn(ids, number, yes)
        marks.append(time.perf_counter())
        return marks[1] - marks[0], marks[2] - marks[1], marks[3] - marks[2]

    for _ in range(CONFIG.learn_start + 5):
        tick()
    return tick


def measure(agents: int, threads: int, seconds: float) -> dict[str, Any]:
    """Return the figures for one size and number of threads; each way runs for about `seconds`."""
    torch.set_num_threads(threads)
    made = ways(agents, threads)
    best = dict.fromkeys(made, float("inf"))
    for turn in range(5):
        for name, (_, call) in made.items():
            end = time.perf_counter() + seconds / 5
            while time.perf_counter() < end or not turn:
                began = time.perf_counter()
                call()
                best[name] = min(best[name], time.perf_counter() - began)
                if not turn:
                    break  # the first turn only warms up
    speeds = {name: made[name][0] / best[name] for name in made}
    base = speeds["loop of single networks"]
    tick = living(agents)
    ticks: list[tuple[float, float, float]] = []
    end = time.perf_counter() + seconds
    while len(ticks) < 20 or time.perf_counter() < end:
        ticks.append(tick())
    act, remember, learn = np.min(ticks, axis=0)
    return {
        "agents": agents,
        "threads": threads,
        "updates_per_s": {name: round(speed) for name, speed in speeds.items()},
        "ratio": {name: round(speed / base, 1) for name, speed in speeds.items()},
        "tick_us": {"act": round(act * 1e6), "remember": round(remember * 1e6), "learn": round(learn * 1e6)},
        "updates_per_s_of_minds": round(agents / learn),
    }


def table(rows: list[dict[str, Any]]) -> str:
    """Return the figures as lines of text."""
    lines = []
    for row in rows:
        lines.append(f"{row['agents']:,} agents, {row['threads']} thread(s)")
        lines += [
            f"  {name:<36}{speed:>9,} updates/s{row['ratio'][name]:>8.1f} x"
            for name, speed in row["updates_per_s"].items()
        ]
        parts = ", ".join(f"{name} {value:,} us" for name, value in row["tick_us"].items())
        lines.append(f"  one tick of Minds: {parts}; {row['updates_per_s_of_minds']:,} updates/s, sampling included")
    return "\n".join(lines)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Measure updates a second of the learners, side by side.")
    parser.add_argument("--agents", type=int, nargs="+", default=[64, 1024])
    parser.add_argument("--threads", type=int, nargs="+", default=sorted({1, os.cpu_count() or 1}))
    parser.add_argument("--seconds", type=float, default=3.0, help="for each way")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    rows = [measure(agents, threads, given.seconds) for agents in given.agents for threads in given.threads]
    print(json.dumps(rows, indent=2) if given.json else table(rows))


if __name__ == "__main__":
    main()
