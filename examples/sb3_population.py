"""Train Stable-Baselines3's DQN, unmodified, on a population with births and deaths. Needs the extra `sb3`.

    python examples/sb3_population.py

Every slot of the vector environment is one life after another: when an agent dies, the slot's next episode is the
life of the newborn that takes its place, an heir or an immigrant. Nothing is padded, and the world is never reset.
"""

import numpy as np
from stable_baselines3 import DQN

from arena.envs.sb3 import LineageVecEnv

SCENARIO: dict[str, object] = {
    "arena": {"seats": 32},
    "market": {"drift": 0.0028},
    "body": {"living_cost_bps": 60.0},
    "life": {"spawn_wealth": 1.3, "founder_apprentice_rounds": 0, "heir_apprentice_rounds": 0, "ruin_fraction": 0.8},
}


def main(steps: int = 20_000) -> dict[str, float]:
    """Learn for `steps` agent-steps and return how many were born and how long the latest lives lasted."""
    env = LineageVecEnv(SCENARIO, seed=1)
    model = DQN(
        "MlpPolicy", env, gamma=0.9, learning_rate=5e-4, buffer_size=20_000, learning_starts=1_000,
        train_freq=4, exploration_fraction=0.5, seed=1, device="cpu",
    )  # fmt: skip
    model.learn(steps)
    lives = [life["l"] for life in model.ep_info_buffer or ()]
    born = env.get_attr("slots")[0].population.next_agent_id - 1
    return {"born": born, "lives": len(lives), "mean_ticks": float(np.mean(lives)) if lives else float("nan")}


if __name__ == "__main__":
    print(main())
