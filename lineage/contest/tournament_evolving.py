"""Populations that live on: a whole scenario in a tournament's world learns, breeds and dies; nothing is recorded."""

from dataclasses import dataclass, field

import numpy as np

from arena.body.state import ESTATE, TRADING
from arena.market.tape import Tape
from lineage.contest.tournament_plan import Ground, Player
from lineage.contest.tournament_prepare import evolving_config
from lineage.record.events import RoundRecord

_LEAST = 1e-3
"""A round's loss counts as this share left at least, so that its logarithm is a number."""


@dataclass(slots=True)
class Life:
    """One agent on its real account."""

    agent_id: int
    endowment: float
    per_round: int  # ticks
    equity: list[float] = field(default_factory=list)  # at each round's end as a trader
    log_growth: float = 0.0  # since its first round's end; endowments paid to children added back
    invested_rounds: int = 0  # rounds that it ended with shares
    peak: float = 0.0
    drawdown: float = 0.0
    died: bool = False
    trades: int = 0
    invalid: int = 0
    offspring: int = 0

    @property
    def rounds(self) -> int:
        """Rounds as a trader."""
        return len(self.equity)

    @property
    def ticks(self) -> int:
        """Ticks over which growth is taken: a round less than it traded."""
        return max(0, self.rounds - 1) * self.per_round

    @property
    def growth(self) -> float | None:
        """Log-growth per 1,000 ticks."""
        return 1000.0 * self.log_growth / self.ticks if self.ticks else None

    @property
    def invested(self) -> float:
        """Share of its rounds that it ended with shares."""
        return self.invested_rounds / max(1, self.rounds)

    def curve(self, points: int) -> bytes:
        """Return at most points + 1 equities in endowments, little-endian f32."""
        picked = np.unique(np.linspace(0, self.rounds - 1, min(self.rounds, points + 1)).round().astype(np.int64))
        return (np.array(self.equity)[picked] / self.endowment).astype("<f4").tobytes()

    def note(self, equity: float, shares: float, offspring: int, died: bool) -> None:
        """Take note of one round's end."""
        if self.equity:
            before = self.equity[-1]
            after = equity + self.endowment * (offspring - self.offspring)
            self.log_growth += float(np.log(max(after, _LEAST * before) / before)) if before > 0.0 else 0.0
        self.equity.append(equity)
        self.offspring = offspring
        self.peak = max(self.peak, equity, self.endowment)
        self.drawdown = min(self.drawdown, equity / self.peak - 1.0)
        self.invested_rounds += shares > 0.0
        self.died = died


def live(player: Player, ground: Ground, seed: int, tape: Tape | None) -> list[Life]:
    """Return everybody's life, by id: of a population that lives for its rounds in a world.

    The history is that of `run` with the same configuration and seed.
    """
    from lineage.world import World

    config = evolving_config(player, ground)
    world = World(config, seed, tape)
    lives: dict[int, Life] = {}
    for _ in range(config.rounds):
        _note(world.play_round(), lives, config.body.endowment, config.arena.ticks_per_round)
    return [lives[agent_id] for agent_id in sorted(lives)]


def _note(record: RoundRecord, lives: dict[int, Life], endowment: float, per_round: int) -> None:
    """Take note of all who trade real money, or died of it in this round."""
    agents = record.agents
    dead = {event.agent_id for event in record.events if event.kind == "death"}
    for row in np.flatnonzero(np.isin(agents["status"], (TRADING, ESTATE))).tolist():
        agent_id = int(agents["agent_id"][row])
        life = lives.setdefault(agent_id, Life(agent_id, endowment, per_round))
        life.note(
            float(agents["equity"][row]), float(agents["shares"][row]), int(agents["offspring"][row]), agent_id in dead
        )
        life.trades, life.invalid = int(agents["closed_trades"][row]), int(agents["invalid_actions"][row])
