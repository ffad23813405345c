"""Measure the learners side by side: loops of single DQNs, ours and a library's, and the stacked learners.

    python -m benchmarks.learner                        # 64 to 4,096 agents, one thread and all cores
    python -m benchmarks.learner --agents 256 --threads 1 --seconds 5 --hidden 32 32
    python -m benchmarks.learner --json > learner.json
    python -m benchmarks.learner --switches             # what dueling, n-step and priorities cost, both nets

The ways take turns and the best turn counts; torch has one thread throughout, our own workers share the agents.
With one thread the time is the processor's, which does not grow when others use the machine; with more it is the
clock's, and means something on an idle machine only. Whoever works agent by agent does 16 of them, the stacked
reference 256: their cost is linear.
"""

import argparse
import json
import os
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch
from msgspec.structs import replace

from agents import brains as brain
from agents.config import GenomeConfig, MindConfig
from agents.fused import FusedLearner, resolve
from agents.learn import Rates, learn_step
from agents.learn_fast import FastLearner
from agents.mind import Minds
from agents.replay import Batch
from arena.spec import N_ACTIONS, OBS_DIM
from benchmarks.peers import RATE, TAU, Alone, library

ALONE_AGENTS, REFERENCE_AGENTS = 16, 256
Way = tuple[int, Callable[[], object]]
"""(updates in one call, call)."""
PLAIN: dict[str, Any] = {"dueling": False}
VARIANTS: dict[str, dict[str, Any]] = {
    "dueling": {"dueling": True},
    "n-step 3": {"dueling": False, "n_step": 3},
    "prioritised": {"dueling": False, "prioritised": True},
}


def random_batch(agents: int, config: MindConfig) -> Batch:
    """Return random transitions for every seat."""
    draw = torch.Generator().manual_seed(0)
    size = (agents, config.batch)
    return Batch(
        seats=np.arange(agents),
        x=torch.randn((agents, 2 * config.batch, OBS_DIM), generator=draw),
        a_tm1=torch.randint(0, N_ACTIONS, size, generator=draw),
        r_t=torch.randn(size, generator=draw),
        discount_t=torch.full(size, 0.92),
        legal_t=torch.randint(1, 2**N_ACTIONS, size, generator=draw).to(torch.uint8),
        weight=None,
    )


def founders(agents: int, config: MindConfig) -> brain.Brains:
    """Return founders' brains."""
    brains = brain.allocate(agents, OBS_DIM, N_ACTIONS, config)
    for seat in range(agents):
        brain.init_founder(brains, seat, 1, seat + 1)
    return brains


def ways(agents: int, threads: int, config: MindConfig) -> dict[str, Way]:
    """Return what is compared, by name; those that cannot be had here are left out."""
    batch, active = random_batch(agents, config), np.ones(agents, dtype=bool)
    rates = Rates(np.full(agents, RATE, dtype=np.float32), np.full(agents, TAU, dtype=np.float32))
    singles = [Alone(config) for _ in range(min(agents, ALONE_AGENTS))]
    models = [model for _ in range(min(agents, ALONE_AGENTS)) if (model := library(config)) is not None]
    few = min(agents, REFERENCE_AGENTS)
    small, some = random_batch(few, config), np.ones(few, dtype=bool)
    reference = founders(few, config)

    def loop() -> None:
        for row, single in enumerate(singles):
            single.update(batch, row)

    def others() -> None:
        for model in models:
            model.train(1, config.batch)

    found: dict[str, Way] = {"loop of single torch DQNs": (len(singles), loop)}
    if models:
        found["loop of stable-baselines3 DQNs"] = (len(models), others)
    found["stacked, autograd (reference)"] = (few, lambda: learn_step(reference, small, rates, some, config))
    fast = FastLearner(founders(agents, config), config, threads)
    found["stacked, written out (fast)"] = (agents, lambda: fast.step(batch, rates, active))
    if resolve("auto")[0] == "fused":
        kernel = FusedLearner(founders(agents, config), config, threads)
        found["stacked, one C kernel (fused)"] = (agents, lambda: kernel.step(batch, rates, active))
    return found


def best_of(made: dict[str, Way], threads: int, seconds: float) -> dict[str, float]:
    """Return updates a second of each way, its best call; they take turns."""
    clock = time.process_time if threads == 1 else time.perf_counter
    best = dict.fromkeys(made, float("inf"))
    for turn in range(5):
        for name, (_, call) in made.items():
            end = time.perf_counter() + seconds / 5
            while time.perf_counter() < end or not turn:
                began = clock()
                call()
                best[name] = min(best[name], clock() - began)
                if not turn:
                    break  # the first turn only warms up
    return {name: made[name][0] / best[name] for name in made}


def flops(config: MindConfig) -> int:
    """Return the floating-point operations of one update: three forward passes, one backward; no optimiser."""
    (h1, h2), outputs = config.hidden, N_ACTIONS + int(config.dueling)
    layers = OBS_DIM * h1 + h1 * h2 + h2 * outputs
    return 2 * config.batch * (3 * layers + layers + h1 * h2 + h2 * outputs)


def ceiling(agents: int, threads: int, config: MindConfig) -> float:
    """Return the GFLOP/s of torch's batched product of the second layer on all threads: one operation, no more."""
    clock = time.process_time if threads == 1 else time.perf_counter
    (h1, h2), count = config.hidden, min(agents, 64)
    x, w, out = torch.randn(count, config.batch, h1), torch.randn(count, h1, h2), torch.empty(count, config.batch, h2)
    best = float("inf")
    for _ in range(500):
        began = clock()
        torch.bmm(x, w, out=out)
        best = min(best, clock() - began)
    return 2e-9 * count * config.batch * h1 * h2 / best


def alive(agents: int, config: MindConfig, threads: int = 1) -> tuple[Minds, Callable[[], tuple[float, float, float]]]:
    """Return minds with full rings, and a call that lives one tick: seconds of act, remember and learn."""
    minds = Minds(config, GenomeConfig(), agents, 1, threads=threads)
    ids, yes = np.arange(1, agents + 1), np.ones(agents, dtype=bool)
    for seat in range(agents):
        minds.new_founder(seat, seat + 1)
    draw = np.random.Generator(np.random.Philox(1))
    obs = draw.normal(size=(agents, OBS_DIM)).astype(np.float32)
    mask = draw.random((agents, N_ACTIONS)) < 0.6
    mask[:, 0] = True
    numbers = iter(range(10**9))
    clock = time.process_time if threads == 1 else time.perf_counter

    def tick() -> tuple[float, float, float]:
        number, marks = next(numbers), [clock()]
        actions = minds.act(obs, mask, ids, np.zeros(agents, dtype=np.int8), number, yes)
        marks.append(clock())
        minds.remember(yes, obs, mask, actions, obs[:, 0], ~yes)
        marks.append(clock())
        minds.learn(ids, number, yes)
        marks.append(clock())
        return marks[1] - marks[0], marks[2] - marks[1], marks[3] - marks[2]

    minds.replay.obs[...] = obs.astype(np.float16)[:, None]
    for array in (minds.replay.mask, minds.replay.action, minds.replay.reward):
        array[...] = 1
    minds.replay.done[...] = 0
    minds.replay.filled[:] = minds.replay.capacity - 4  # as after a long life; the newest rows are real
    minds.replay.write[:] = minds.replay.capacity - 4
    if minds.priorities is not None:
        minds.priorities.waiting[:] = minds.replay.capacity - 4
    for _ in range(3):
        tick()
    return minds, tick


def lived(agents: int, threads: int, config: MindConfig, seconds: float) -> tuple[float, float, float]:
    """Return the best seconds of act, remember and learn of a population."""
    _, tick = alive(agents, config, threads)
    ticks, end = [tick()], time.perf_counter() + seconds
    while len(ticks) < 5 or time.perf_counter() < end:
        ticks.append(tick())
    act, remember, learn = np.min(ticks, axis=0)
    return float(act), float(remember), float(learn)


def cost_over_plain(agents: int, threads: int, config: MindConfig, seconds: float) -> dict[str, tuple[float, float]]:
    """Return (seconds of one `Minds.learn` of the plain learner, share that it costs more) for each of VARIANTS.

    The two populations take turns in one process and the best turn of each counts, so that other jobs meet both.
    """
    costs = {}
    for name, changes in VARIANTS.items():
        ticks = [alive(agents, replace(config, **options), threads)[1] for options in (PLAIN, PLAIN | changes)]
        spent: list[list[float]] = [[], []]
        end = time.perf_counter() + seconds
        while len(spent[1]) < 5 or time.perf_counter() < end:
            for tick, times in zip(ticks, spent, strict=True):
                times.append(tick()[2])
        plain, switched = min(spent[0]), min(spent[1])
        costs[name] = plain, switched / plain - 1.0
    return costs


def switches(sizes: list[int], threads: list[int], seconds: float) -> None:
    """Print what each switch costs the learner alone, draws included: both nets at each size."""
    for count in threads:
        for agents in sizes:
            for hidden in ((64, 64), (32, 32)):
                costs = cost_over_plain(agents, count, MindConfig(hidden=hidden), seconds)
                us = 1e6 * min(plain for plain, _ in costs.values()) / agents
                told = ", ".join(f"{name} {cost:+.1%}" for name, (_, cost) in costs.items())
                print(
                    f"{agents:,} agents, {list(hidden)}, {count} thread(s): plain {us:.1f} us an update; {told}",
                    flush=True,
                )


def resident() -> int:
    """Return the bytes of memory that this process has in use."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def memory(agents: int, config: MindConfig) -> dict[str, float]:
    """Return kilobytes an agent, measured on a population with full rings, and by arithmetic; in a fresh process."""
    alive(2, config)  # libraries and the kernel are loaded, whatever the population
    before = resident()
    minds, _ = alive(agents, config)
    measured = resident() - before
    ring = config.replay_capacity * (2 * OBS_DIM + 4 + 3)
    counted = ring + 5 * 4 * minds.brains.layout.n_params
    return {"measured_kb": round(measured / agents / 1e3, 1), "arithmetic_kb": round(counted / 1e3, 1)}


def memory_apart(agents: int, config: MindConfig) -> dict[str, float]:
    """Return `memory` from a process of its own: this one would reuse what was given back before."""
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        return pool.submit(memory, agents, config).result()


def measure(agents: int, threads: int, seconds: float, config: MindConfig) -> dict[str, Any]:
    """Return the figures for one size and number of threads; each way runs for about `seconds`."""
    kept = memory_apart(agents, config) if threads == 1 else {}
    torch.set_num_threads(1)  # more of torch's own make small products slower, and useless on a busy machine
    speeds = best_of(ways(agents, threads, config), threads, seconds)
    torch.set_num_threads(threads)
    top = ceiling(agents, threads, config)
    torch.set_num_threads(1)
    act, remember, learn = lived(agents, threads, config, seconds)
    costs = cost_over_plain(agents, threads, config, seconds)
    quickest = max(speeds.values())
    peers = {name: speed for name, speed in speeds.items() if name.startswith("loop")}
    return {
        "agents": agents,
        "threads": threads,
        "updates_per_s": {name: round(speed) for name, speed in speeds.items()},
        "times": {peer: {name: round(one / other, 1) for name, one in speeds.items()} for peer, other in peers.items()},
        "share_of_bmm": round(quickest * flops(config) * 1e-9 / top, 2),
        "bmm_gflops": round(top, 1),
        "tick_us": {"act": round(act * 1e6), "remember": round(remember * 1e6), "learn": round(learn * 1e6)},
        "updates_per_s_of_minds": round(agents / learn),
        "cost_over_plain": {name: round(cost, 2) for name, (_, cost) in costs.items()},
        "memory": kept,
    }


def table(rows: list[dict[str, Any]]) -> str:
    """Return the figures as lines of text."""
    lines = []
    for row in rows:
        lines.append(f"{row['agents']:,} agents, {row['threads']} thread(s)")
        for name, speed in row["updates_per_s"].items():
            ratios = "".join(f"{ratios[name]:>8.1f} x" for ratios in row["times"].values())
            lines.append(f"  {name:<34}{speed:>9,} updates/s{ratios}")
        lines.append(f"  {row['share_of_bmm']:.0%} of a batched product's {row['bmm_gflops']} GFLOP/s")
        parts = ", ".join(f"{name} {value:,} us" for name, value in row["tick_us"].items())
        lines.append(f"  one tick of Minds: {parts}; {row['updates_per_s_of_minds']:,} updates/s, sampling included")
        parts = ", ".join(f"{name} {value:+.0%}" for name, value in row["cost_over_plain"].items())
        lines.append(f"  cost over the plain learner: {parts}")
        if row["memory"]:
            lines.append(
                "  memory an agent: {measured_kb:,} kB, by arithmetic {arithmetic_kb:,} kB".format(**row["memory"])
            )
    sizes = {row["agents"]: row for row in rows if row["threads"] == 1}
    if len(sizes) > 1:
        each = {size: 1e6 / max(row["updates_per_s"].values()) for size, row in sizes.items()}
        lines.append("one thread, us an update: " + ", ".join(f"{us:.1f} at {size:,}" for size, us in each.items()))
    return "\n".join(lines)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Measure updates a second of the learners, side by side.")
    parser.add_argument("--agents", type=int, nargs="+", default=[64, 256, 1024, 4096])
    parser.add_argument("--threads", type=int, nargs="+", default=sorted({1, os.cpu_count() or 1}))
    parser.add_argument("--seconds", type=float, default=2.0, help="for each way")
    parser.add_argument("--hidden", type=int, nargs=2, default=[64, 64])
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--switches", action="store_true", help="only what switches cost, with [64, 64] and [32, 32]")
    given = parser.parse_args()
    if given.switches:
        switches(given.agents, given.threads, given.seconds)
        return
    config = MindConfig(hidden=(given.hidden[0], given.hidden[1]))
    rows = [measure(agents, threads, given.seconds, config) for threads in given.threads for agents in given.agents]
    print(json.dumps(rows, indent=2) if given.json else table(rows))


if __name__ == "__main__":
    main()
