"""Which learner does the updates, and how each gets at the transitions."""

import numpy as np

from agents.brains import Brains
from agents.config import MindConfig
from agents.fused import FusedLearner, LearnerName, resolve
from agents.learn import LearnStats, Rates, learn_step
from agents.learn_fast import FastLearner
from agents.priority import Priorities, beta_at
from agents.replay import Batch, Draws, Replay, Rows
from arena.rng import uniforms


class Learner:
    """One update of many agents out of their replays, by the learner that was chosen for a run."""

    def __init__(self, asked: LearnerName, brains: Brains, replay: Replay, config: MindConfig, threads: int) -> None:
        """Resolve the name (`fused.resolve`) and allocate. Raises EnvironmentFault when it cannot be had here."""
        self.name, self.reason = resolve(asked, str(brains.params.device))
        self._brains = brains
        self._replay = replay
        self._config = config
        self._fused = FusedLearner(brains, config, threads) if self.name == "fused" else None
        self._fast = FastLearner(brains, config, threads) if self.name == "fast" else None

    def uniformly(self, draws: Draws, gamma: np.ndarray, rates: Rates, active: np.ndarray) -> LearnStats:
        """Update the seats of `draws` that are active [P] bool from uniformly drawn transitions; gamma [N]."""
        if self._fused is not None:
            return self._fused.step_drawn(self._replay, draws, gamma, rates, active)
        u = uniforms(draws.key, draws.ids, draws.tick, draws.column + self._config.batch)[:, draws.column :]
        return self.step(self._replay.sample(u, self._config.n_step, gamma, draws.seats), rates, active)

    def by_priority(
        self, priorities: Priorities, draws: Draws, gamma: np.ndarray, rates: Rates, active: np.ndarray
    ) -> LearnStats:
        """Draw by priority for the same seats, update, and remember what came as a surprise.

        Whoever could not be updated keeps the priorities that it has.
        """
        if self._fused is not None:
            return self._fused.step_drawn(self._replay, draws, gamma, rates, active, priorities)
        seats, config = draws.seats, self._config
        u = uniforms(draws.key, draws.ids, draws.tick, draws.column + config.batch)[:, draws.column :]
        beta = beta_at(self._brains.steps.cpu().numpy()[seats], config)
        row, weight = priorities.sample(u, beta, self._replay, config.n_step, seats)
        stats = self.from_rows(Rows(seats, row, weight), gamma, rates, active)
        if stats.priority is not None:
            good = stats.updated[seats]
            priorities.update(seats[good], row[good], stats.priority[good], config)
        return stats

    def from_rows(self, rows: Rows, gamma: np.ndarray, rates: Rates, active: np.ndarray) -> LearnStats:
        """Update the seats of `rows` that are active [P] bool; gamma [N]."""
        if self._fused is not None:
            return self._fused.step_rows(self._replay, rows, gamma, rates, active)
        batch = self._replay.transitions(rows.row, self._config.n_step, gamma, rows.seats, rows.weight)
        return self.step(batch, rates, active)

    def step(self, batch: Batch, rates: Rates, active: np.ndarray) -> LearnStats:
        """Update from a batch that lies ready."""
        stacked = self._fused or self._fast
        if stacked is None:
            return learn_step(self._brains, batch, rates, active, self._config)
        return stacked.step(batch, rates, active)
