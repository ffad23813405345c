"""What a switch of the learner, or the probe, costs a whole recorded run.

    python -m benchmarks.switches [--seconds 8]

Plain and switched populations take turns in one process, so that whatever else the machine does meets both: the
ratios stand where the times do not. docs/decisions/0009 has the figures of the machine that it was decided on.
The learner alone: `python -m benchmarks.learner`.
"""

import argparse
import time
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest import mock

import numpy as np
from msgspec.structs import replace

from agents.config import MindConfig
from agents.mind import Minds
from lineage import numerics, settings
from lineage.bench import LEARNER, WholeLoop
from lineage.probe import Probe
from lineage.world import World

AS_DEFAULT = replace(LEARNER, hidden=(32, 32), update_every=4, n_step=3, replay_capacity=4096)
POPULATIONS = (
    ("64 agents, [64, 64], an update a tick", 1, 64, LEARNER),
    ("64 agents, [32, 32], every 4th tick", 1, 64, AS_DEFAULT),
    ("1,024 agents, [64, 64], an update a tick", 8, 128, LEARNER),
)
SWITCHES: dict[str, dict[str, object]] = {
    "prioritised": {"prioritised": True},
    "n-step 5": {"n_step": 5},
    "no dueling": {"dueling": False},
}
_TURNS = 8


def cost_of_switches(markets: int, seats: int, mind: MindConfig, seconds: float) -> dict[str, float]:
    """Return the processor seconds a round of each population, "plain" first: the median over turns."""
    minds = {"plain": mind} | {name: replace(mind, **changes) for name, changes in SWITCHES.items()}
    with ExitStack() as stack:
        loops: dict[str, WholeLoop] = {}
        for name, config in minds.items():
            folder = Path(stack.enter_context(TemporaryDirectory(prefix="lineage-arena-switches-")))
            loops[name] = WholeLoop(markets, seats, folder, 1, config)
            stack.callback(loops[name].close)
        spent: dict[str, list[float]] = {name: [] for name in loops}
        for _ in range(_TURNS):
            for name, loop in loops.items():
                before, began = loop.rounds, time.process_time()
                loop.play(seconds / _TURNS)
                spent[name].append((time.process_time() - began) / (loop.rounds - before))
    return {name: float(np.median(times)) for name, times in spent.items()}


def share_of_probe(rounds: int) -> float:
    """Return the share of scenario `default` that probes take, the first one with all birth policies included."""
    world = World(settings.load("default", environment={}).config, 1)
    asking, honest = [0.0], Probe.gains

    def timed(probe: Probe, minds: Minds, agent_id: np.ndarray, judged: np.ndarray) -> np.ndarray:
        began = time.process_time()
        told = honest(probe, minds, agent_id, judged)
        asking[0] += time.process_time() - began
        return told

    with mock.patch.object(Probe, "gains", timed):
        began = time.process_time()
        for _ in range(rounds):
            world.play_round()
        return asking[0] / (time.process_time() - began)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=8.0, help="for each population and switch")
    parser.add_argument("--probe-rounds", type=int, default=150)
    given = parser.parse_args()
    numerics.pin_torch()
    for label, markets, seats, mind in POPULATIONS:
        times = cost_of_switches(markets, seats, mind, given.seconds)
        plain = times["plain"]
        told = ", ".join(f"{name} {value / plain - 1:+.1%}" for name, value in times.items() if name != "plain")
        print(f"{label}: {1e3 * plain:.0f} ms of processor a round; {told}", flush=True)
    print(f"probes: {share_of_probe(given.probe_rounds):.2%} of {given.probe_rounds} rounds of default")


if __name__ == "__main__":
    main()
