"""Vital signs: what each mind did and how it felt in one round."""

import dataclasses
from dataclasses import dataclass

import numpy as np

from agents.learn import LearnStats


@dataclass(slots=True)
class Vitals:
    """Sums since the round began, one column a seat."""

    due: np.ndarray  # [P] i64, updates that should have been tried
    updates: np.ndarray  # [P] i64
    failed: np.ndarray  # [P] i64, updates refused because loss or gradient was not finite
    loss: np.ndarray  # [P] f64, sum over updates
    td_error: np.ndarray  # [P] f64, sum
    grad_norm: np.ndarray  # [P] f64, sum
    q_mean: np.ndarray  # [P] f64, sum
    q_max: np.ndarray  # [P] f64, largest
    actions: np.ndarray  # [P,A] i64, how often each action was chosen
    masked: np.ndarray  # [P] i64, decisions whose best action by Q alone was illegal

    @classmethod
    def allocate(cls, seats: int, n_actions: int) -> "Vitals":
        """Return zeros for `seats` seats."""
        ints = {name: np.zeros(seats, dtype=np.int64) for name in ("due", "updates", "failed", "masked")}
        floats = {name: np.zeros(seats) for name in ("loss", "td_error", "grad_norm", "q_mean", "q_max")}
        return cls(**ints, **floats, actions=np.zeros((seats, n_actions), dtype=np.int64))

    def learned(self, stats: LearnStats) -> None:
        """Add what one update showed; a refused update counts only as refused."""
        done = stats.updated
        self.updates += done
        self.failed += stats.failed
        for name in ("loss", "td_error", "grad_norm", "q_mean"):
            total: np.ndarray = getattr(self, name)
            np.add(total, getattr(stats, name), out=total, where=done)
        np.maximum(self.q_max, stats.q_max, out=self.q_max, where=done)

    def acted(self, seats: np.ndarray, actions: np.ndarray, masked: np.ndarray) -> None:
        """Count one decision of each of `seats` [N]: actions [N], masked [N] bool."""
        self.actions[seats, actions] += 1
        self.masked[seats] += masked

    def summary(self) -> dict[str, np.ndarray]:
        """Return the means of the round, [P] f64 each; NaN where there is nothing to average.

        entropy: of the actions taken, in units of ln A, so 1 is uniform and 0 is one action only.
        masked_share: share of decisions whose best action by Q alone was illegal.
        """
        updates = np.where(self.updates > 0, self.updates, np.nan)
        taken = self.actions.sum(axis=1)
        decisions = np.where(taken > 0, taken, np.nan)
        share = self.actions / decisions[:, None]
        logs = np.log(np.where(share > 0.0, share, 1.0))
        return {
            "loss": self.loss / updates,
            "td_error": self.td_error / updates,
            "grad_norm": self.grad_norm / updates,
            "q_mean": self.q_mean / updates,
            "q_max": np.where(self.updates > 0, self.q_max, np.nan),
            "entropy": -(share * logs).sum(axis=1) / np.log(self.actions.shape[1]) + 0.0,
            "masked_share": self.masked / decisions,
            "due": self.due.copy(),
            "updates": self.updates.copy(),
            "failed": self.failed.copy(),
        }

    def reset(self) -> None:
        """Begin a new round."""
        for field in dataclasses.fields(self):
            getattr(self, field.name)[...] = 0

    def clear_seat(self, seat: int) -> None:
        """Forget one seat."""
        for field in dataclasses.fields(self):
            getattr(self, field.name)[seat] = 0
