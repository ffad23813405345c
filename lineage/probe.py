"""The probe: does a mind trade better than it did at birth? Asked now and then, in a market that nobody learns from.

Every policy plays greedily, on paper and alone, in the same few stretches of a synthetic market with the scenario's
parameters and costs: frozen weights, its own body genes, no living costs, no damage, no neighbours. The market
follows a seed that no run can have, so no policy was ever trained on it; the same shocks for everybody and every
probe, so two growths differ by what the policies did. Nothing of it reaches the run, and nothing in it is random.
"""

from typing import Final

import numpy as np
import torch
from msgspec.structs import replace

from agents import genome
from agents.mind import DQN, Minds
from agents.networks import Networks
from arena.arrays import dump, restore
from arena.body import accounting
from arena.body.state import APPRENTICE
from arena.config import ArenaConfig
from arena.core import Arena, WorldConfig
from arena.spec import COLUMN_INDEX
from lineage.config import RunConfig

STRETCHES: Final = 16
"""Markets of the probe, each another stretch of history."""
TICKS: Final = 40
"""Ticks of each."""
PROBE_SEED: Final = -1
"""A run's seed is never negative."""
_CHUNK: Final = 64
"""Policies that play at once."""


class Probe:
    """The fixed market of one scenario, opened at the first probe."""

    def __init__(self, config: RunConfig) -> None:
        """Keep what is needed; a tape is replaced by the default synthetic source."""
        market = config.market
        if market.source == "tape":
            market = replace(market, source="franke_westerhoff", tape_name="", tape_sha256="", tape_skip_bad=False)
        life = replace(config.life, ruin_fraction=0.0)  # whoever loses nearly all goes on with the rest
        self._world = WorldConfig(ArenaConfig(), market, config.body, config.scars, life, config.reward)
        self._opened: dict[str, np.ndarray] = {}
        self._at_birth: dict[int, float] = {}  # agent id -> growth of its birth policy

    def gains(self, minds: Minds, agent_id: np.ndarray, judged: np.ndarray) -> np.ndarray:
        """Return [P] f64: log-growth per 1,000 ticks of each `judged` [P] bool learner above its birth policy's.

        agent_id [P] i64. NaN for everybody else. What a birth policy makes is computed once a life.
        """
        seats = np.flatnonzero(judged & (minds.kind == DQN))
        ids = [int(agent) for agent in agent_id[seats]]
        self._at_birth = {agent: self._at_birth[agent] for agent in ids if agent in self._at_birth}
        new = [index for index, agent in enumerate(ids) if agent not in self._at_birth]
        rows = torch.from_numpy(seats).to(minds.device)
        weights = torch.cat((minds.brains.params[rows], minds.brains.birth_params[rows[new]]))
        grown = self.growth(minds, weights, minds.genes[np.concatenate((seats, seats[new]))])
        for index, growth in zip(new, grown[len(seats) :].tolist(), strict=True):
            self._at_birth[ids[index]] = growth
        told = np.full(minds.seats, np.nan)
        told[seats] = grown[: len(seats)] - np.array([self._at_birth[agent] for agent in ids])
        return told

    def growth(self, minds: Minds, weights: torch.Tensor, genes: np.ndarray) -> np.ndarray:
        """Return [E] f64: log-growth per 1,000 ticks of the policies weights [E,n_params] with genes [E,G]."""
        parts = [
            self._play(minds, weights[start : start + _CHUNK], genes[start : start + _CHUNK])
            for start in range(0, len(weights), _CHUNK)
        ]
        return np.concatenate(parts) if parts else np.zeros(0)

    def _play(self, minds: Minds, weights: torch.Tensor, genes: np.ndarray) -> np.ndarray:
        """Play one chunk: policy e sits in seat e of every stretch."""
        entrants = len(weights)
        arena = self._open(genes)
        networks = Networks(minds.brains.layout, weights, minds.learner.name, STRETCHES)
        crowding = COLUMN_INDEX["crowding"]
        for _ in range(TICKS):
            obs, mask = arena.observe()
            obs[:, crowding] = np.where(arena.bodies.shares > 0.0, 1.0, -1.0)  # it is its own whole crowd
            x = obs.reshape(STRETCHES, entrants, -1).transpose(1, 0, 2)  # [E,STRETCHES,D]
            q = networks.q_values(np.ascontiguousarray(x)).transpose(1, 0, 2).reshape(len(obs), -1)
            arena.step(np.where(mask, q, -np.inf).argmax(axis=1).astype(np.int8))
        equity = np.maximum(arena.bodies.equity, 1e-9 * self._world.body.endowment)
        growth = np.log(equity / self._world.body.endowment).reshape(STRETCHES, entrants).T
        # row by row, so that a sum is rounded alike in any company
        return np.asarray(np.add.reduce(np.ascontiguousarray(growth), axis=1) * (1000.0 / (STRETCHES * TICKS)))

    def _open(self, genes: np.ndarray) -> Arena:
        """Return the arena after its warm-up, with one apprentice for each of `genes` [E,G] in every stretch."""
        size = ArenaConfig(markets=STRETCHES, seats=len(genes), ticks_per_round=TICKS)
        arena = Arena(self._world._replace(arena=size), PROBE_SEED)
        states = {"market": arena.market.state, "senses": arena.senses.state}
        if not self._opened:
            arena.open_markets()
            self._opened = {
                name: value.copy() for prefix, state in states.items() for name, value in dump(prefix, state).items()
            }
        for prefix, state in states.items():
            restore(prefix, state, self._opened)
        self._seat(arena, genes)
        accounting.open_accounts(arena.accounts, len(genes), self._world.body.endowment, arena.senses.close)
        accounting.seal_totals(arena.accounts, arena.bodies)
        arena.market.begin_round(0)
        return arena

    def _seat(self, arena: Arena, genes: np.ndarray) -> None:
        """Give everybody a paper account and the body genes of its policy."""
        bodies, endowment = arena.bodies, self._world.body.endowment
        bodies.agent_id[:] = np.arange(1, arena.population + 1)
        bodies.status[:] = APPRENTICE
        bodies.apprentice_rounds[:] = 1
        bodies.trust[:] = endowment
        for account in (bodies.cash, bodies.equity, bodies.reward_equity, bodies.peak_equity):
            account[:] = endowment
        bodies.position_scale[:] = np.tile(genes[:, genome.POSITION_SCALE], STRETCHES)
        bodies.stop_atr[:] = np.tile(genes[:, genome.STOP_ATR], STRETCHES)


def due(probe_every: int, round_index: int) -> bool:
    """Return whether a round ends with a probe; probe_every 0 means never."""
    return probe_every > 0 and (round_index + 1) % probe_every == 0
