"""sb3-contrib's MaskablePPO on the solo environment: python examples/solo_maskable_ppo.py [--steps 20000].

Prints how it does on unseen markets against a random and a holding trader, with 95 % intervals.
"""

import torch
from sb3_contrib import MaskablePPO
from solo_scores import make_env, read_options, report  # type: ignore[import-not-found]  # beside this file
from stable_baselines3.common.vec_env import DummyVecEnv

from lineage.contest.statistics import Interval


def train(steps: int, seed: int) -> MaskablePPO:
    """Return a policy trained for `steps` bars on eight markets at a time."""
    markets = DummyVecEnv([make_env] * 8)
    markets.seed(100 * seed)
    model = MaskablePPO(
        "MlpPolicy", markets, n_steps=256, batch_size=256, n_epochs=4, gamma=0.9, gae_lambda=0.9, learning_rate=1e-3,
        ent_coef=0.01, policy_kwargs={"net_arch": [32, 32]}, seed=seed, device="cpu",
    )  # fmt: skip
    return model.learn(steps)


def main(arguments: list[str] | None = None) -> dict[str, Interval]:
    """Train, compare and print."""
    chosen = read_options(__doc__, arguments)
    torch.set_num_threads(1)
    model = train(chosen.steps, chosen.seed)
    found: dict[str, Interval] = report(
        "MaskablePPO",
        lambda seen, masks: model.predict(seen, action_masks=masks, deterministic=True)[0],
        chosen.episodes,
    )
    return found


if __name__ == "__main__":
    main()
