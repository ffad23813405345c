"""Stable-Baselines3's DQN on the solo environment: python examples/solo_sb3_dqn.py [--steps 20000].

It knows no masks: an illegal action executes as HOLD. Prints how it does on unseen markets.
"""

import torch
from solo_scores import make_env, read_options, report  # type: ignore[import-not-found]  # beside this file
from stable_baselines3 import DQN

from lineage.contest.statistics import Interval


def train(steps: int, seed: int) -> DQN:
    """Return a policy trained for `steps` bars."""
    model = DQN(
        "MlpPolicy", make_env(), gamma=0.9, learning_rate=1e-3, buffer_size=max(steps, 100),
        learning_starts=min(1000, steps // 2), batch_size=128, train_freq=8, gradient_steps=2,
        target_update_interval=500, exploration_fraction=0.5, exploration_final_eps=0.05,
        policy_kwargs={"net_arch": [32, 32]}, seed=seed, device="cpu",
    )  # fmt: skip
    return model.learn(steps)


def main(arguments: list[str] | None = None) -> dict[str, Interval]:
    """Train, compare and print."""
    chosen = read_options(__doc__, arguments)
    torch.set_num_threads(1)
    model = train(chosen.steps, chosen.seed)
    found: dict[str, Interval] = report(
        "DQN", lambda seen, masks: model.predict(seen, deterministic=True)[0], chosen.episodes
    )
    return found


if __name__ == "__main__":
    main()
