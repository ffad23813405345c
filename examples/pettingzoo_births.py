"""Play a market in which agents are born and die, and keep one policy for each living agent.

    python examples/pettingzoo_births.py

The loop is PettingZoo's own. What is different from a fixed cast: `env.agents` grows and shrinks, a newborn is in all
five dictionaries of the step in which it appears, its info names its parent, and a dead name never comes back.
"""

import numpy as np

from arena import spec
from arena.envs import lineage_arena_v0

SCENARIO = {
    "arena": {"seats": 16, "ticks_per_round": 10},
    "market": {"drift": 0.004},
    "scars": {"fatal_points": 30, "drawdown_step": 0.05},
    "life": {
        "spawn_wealth": 1.15, "spawn_min_trades": 1, "spawn_min_win_rate": 0.0, "spawn_cooldown_rounds": 5,
        "immigration_per_round": 0.5, "patron": True, "founder_apprentice_rounds": 0, "heir_apprentice_rounds": 0,
    },
}  # fmt: skip
"""Lives are short here, so that a minute shows generations."""
TREND = spec.COLUMN_INDEX["ema_gap_25"]


class TrendFollower:
    """Buys above its threshold and sells below the opposite one; a child inherits the threshold, a little changed."""

    def __init__(self, threshold: float, draw: np.random.Generator) -> None:
        """Keep the one gene."""
        self.threshold = threshold
        self.draw = draw

    def child(self) -> "TrendFollower":
        """Return an heir."""
        return TrendFollower(self.threshold + 0.1 * self.draw.normal(), self.draw)

    def act(self, observation: np.ndarray, mask: np.ndarray) -> int:
        """Return a legal action."""
        wanted = spec.HOLD
        if observation[TREND] > self.threshold:
            wanted = spec.BUY_MEDIUM
        elif observation[TREND] < -self.threshold:
            wanted = spec.SELL_ALL
        return wanted if mask[wanted] else spec.HOLD


def main(cycles: int = 2000, seed: int = 1) -> dict[str, int]:
    """Play and return how many were born, inherited a policy, and died."""
    draw = np.random.Generator(np.random.Philox(seed))
    env = lineage_arena_v0.parallel_env(config=SCENARIO, max_cycles=cycles, max_births=None)
    observations, infos = env.reset(seed=seed)
    policies: dict[str, TrendFollower] = {}
    by_id: dict[int, TrendFollower] = {}
    counts = {"born": 0, "heirs": 0, "died": 0}
    while env.agents:
        for name in env.agents:
            if name not in policies:  # a founder, a newborn or an immigrant
                parent = by_id.get(infos[name]["parent_id"])
                policies[name] = parent.child() if parent else TrendFollower(abs(draw.normal()), draw)
                by_id[infos[name]["agent_id"]] = policies[name]
                counts["born"] += 1
                counts["heirs"] += parent is not None
        actions = {name: policies[name].act(observations[name], infos[name]["action_mask"]) for name in env.agents}
        observations, _, terminations, _, infos = env.step(actions)
        for name, dead in terminations.items():
            if dead:
                del policies[name]
                counts["died"] += 1
    return counts


if __name__ == "__main__":
    print(main())
