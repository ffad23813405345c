"""A policy of one's own for a tournament: `class = "my_policy:Momentum"` (docs/tournaments.md)."""

import numpy as np

from arena.spec import BUY_LARGE, COLUMN_INDEX, HOLD, SELL_ALL


class Momentum:
    """Buys what rose over 50 bars, sells what fell."""

    def __init__(self, seats: int, seed: int, threshold: float = 0.5) -> None:
        self.threshold = threshold

    def act(self, obs: np.ndarray, mask: np.ndarray) -> np.ndarray:
        """Return an action for each seat: obs [N,32] f32, mask [N,7] bool, which actions are possible now."""
        rose = obs[:, COLUMN_INDEX["return_50"]]
        action = np.where(rose > self.threshold, BUY_LARGE, np.where(rose < -self.threshold, SELL_ALL, HOLD))
        return np.where(mask[np.arange(len(obs)), action], action, HOLD)
