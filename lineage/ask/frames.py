"""What the screens of a run show, as typed read models: plain values of one moment, read by `lineage.ask.archive`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from arena.spec import DEATH_CAUSES
from lineage.config import RunConfig

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

STILL_ALIVE: Final = 2**62
"""`Everybody.end_round` of those whose end is not recorded."""

FATES: Final = ("alive", *DEATH_CAUSES, "censored")
"""Words for `Everybody.fate`, by code; a cause that this build does not know counts as the last."""

SERIES: Final = (
    "round", "apprentices", "trading", "died", "mean_equity", "best_equity", "mean_damage", "mean_drawdown",
    "invested", "reward", "loss", "td_error", "grad_norm", "q_mean", "q_max", "entropy", "weight_change",
    "replay_fill", "epsilon", "updates",
)  # fmt: skip
"""Columns of `Frame.series` that come from the agents' rows of a round, in the order of the query."""

COUNTED: Final = ("birth", "death", "scar", "spawn", "graduation", "alarm", "immigration")
"""Event kinds that are counted by round; columns of `Frame.series` besides SERIES."""

MARKET_SERIES: Final = ("close", "regime", "trading", "apprentices", "house_cash", "fees", "estate", "flow_fees")
"""Columns of `Frame.markets`, each [R,M]."""

SEATS_ASKED: Final = (
    "SELECT round, agent_id, market, status, age_rounds, equity, cash, shares, drawdown, damage, scars, closed_trades, "
    "won_trades, offspring, invalid_actions, reward, loss, td_error, grad_norm, q_mean, q_max, entropy, "
    "weight_change, replay_fill, updates, epsilon FROM agent_round"
)
"""The beginning of every question for rows of agents."""

SEAT_COLUMNS: Final = tuple(SEATS_ASKED.removeprefix("SELECT round, ").partition(" FROM ")[0].split(", "))
"""Columns of `Frame.seats`, and after `round` of `Dossier.life`."""

BAR_COLUMNS: Final = ("tick", "open", "high", "low", "close", "volume")
"""Columns of `Frame.bars`."""

PAPER, TRADING, DIED = 1, 2, 3
"""Values of the status column: apprentice, trading real money, died in this round."""

Columns = Mapping[str, Floats]


@dataclass(frozen=True, slots=True)
class RunInfo:
    """What never changes about a run."""

    directory: Path
    run_id: str
    seed: int
    scenario: str
    genesis: str
    config: RunConfig

    @property
    def endowment(self) -> float:
        """Return what a body starts its real trading with."""
        return self.config.body.endowment


@dataclass(frozen=True, slots=True, eq=False)
class Everybody:
    """Everybody ever born, one row each: agent_id is the row plus one."""

    parent: Ints  # [n] row of the parent, -1 for a founder
    founder: Ints  # [n] row of the root of the tree
    depth: Ints  # [n] births since the founder
    market: Ints  # [n]
    birth_round: Ints  # [n] never falls
    birthmark: Ints  # [n] damage points inherited
    learner: Bools  # [n] a network, not a script
    end_round: Ints  # [n] STILL_ALIVE while no end is recorded; the censored of a finished run live on
    fate: Ints  # [n] index into FATES
    clans: Mapping[int, str] = field(default_factory=dict)  # {row of a founder: name}; names are data

    def __len__(self) -> int:
        """Return how many were ever born."""
        return len(self.parent)

    def born_by(self, round_index: int) -> int:
        """Return how many were born until the end of a round; they are the first rows."""
        return int(np.searchsorted(self.birth_round, round_index, side="right"))

    def alive_at(self, round_index: int) -> Bools:
        """Return [born_by] who lives after a round; the survivors of a finished run count as living."""
        born = self.born_by(round_index)
        alive: Bools = (self.end_round[:born] > round_index) | (self.fate[:born] == len(FATES) - 1)
        return alive

    def clan(self, row: int) -> str:
        """Return the name of an agent's clan, `#id` of the founder when there is none. The name is data."""
        founder = int(self.founder[row])
        return self.clans.get(founder, f"#{founder + 1}")

    def children(self, row: int, round_index: int) -> Ints:
        """Return the rows of an agent's children born until a round, the eldest first."""
        born = self.born_by(round_index)
        return np.flatnonzero(self.parent[row:born] == row) + row

    def line(self, row: int) -> list[int]:
        """Return the rows from an agent up to its founder, itself first."""
        found = [row]
        while (row := int(self.parent[row])) >= 0:
            found.append(row)
        return found

    def mrca(self, one: int, other: int) -> int | None:
        """Return the row of the most recent common ancestor, None for two clans; an agent is its own ancestor.

        A parent's row is below its child's, so the later born of the two climbs until they meet.
        """
        while one != other:
            one, other = min(one, other), int(self.parent[max(one, other)])
            if other < 0:
                return None
        return one

    def heir(self, row: int, round_index: int) -> int | None:
        """Return who carries a dead agent's line on: the eldest living descendant of the fewest generations."""
        alive = self.alive_at(round_index)
        generation = [row]
        while generation:
            for one in generation:
                if alive[one]:
                    return one
            generation = [int(child) for one in generation for child in self.children(one, round_index)]
        return None


@dataclass(frozen=True, slots=True)
class Happening:
    """One event of the ledger in plain values."""

    event_id: int
    round: int
    tick: int
    agent_id: int | None  # None: of the run itself
    kind: str
    payload: Mapping[str, int | str]


@dataclass(frozen=True, slots=True, eq=False)
class Dossier:
    """One agent's life as far as a round knows it."""

    agent_id: int
    life: Columns  # SEAT_COLUMNS and "round", [rounds lived]
    events: tuple[Happening, ...]  # of its chain, oldest first
    genes: Mapping[str, float]
    parent_genes: Mapping[str, float]  # empty for a founder
    identity: str
    chain_ok: bool | None  # whether its events' hashes follow from one another; None when not looked at
    chain_note: str  # what was checked, in words


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One moment of a run: everything that the screens show of it."""

    info: RunInfo
    round: int  # the moment shown, -1 before the first round is written
    newest: int  # the newest recorded round
    loaded: int  # rounds whose series have been read so far: below `newest` while a long run is being opened
    closed: bool  # the run has ended
    people: Everybody
    seats: Columns  # SEAT_COLUMNS, [N] who lived or died in this round, by id
    trail: Columns  # {"agent_id" [N], "equity" [N,K]}: the last K rounds of those in `seats`, NaN before birth
    series: Columns  # SERIES and COUNTED, [R] up to this round
    markets: Columns  # MARKET_SERIES, [R,M] up to this round
    bars: Columns  # BAR_COLUMNS of one market, [T] the last ticks
    market: int  # whose bars
    events: tuple[Happening, ...]  # the newest up to this round, newest first
    dossier: Dossier | None
    last_tick: int

    @property
    def live(self) -> bool:
        """Return whether this is the newest moment."""
        return self.round == self.newest

    @property
    def rounds_total(self) -> int:
        """Return the length of the whole run."""
        return self.info.config.rounds

    def total(self, kind: str) -> int:
        """Return how many events of a kind there were up to this round."""
        return int(self.series[kind].sum())

    def seat_of(self, agent_id: int) -> int | None:
        """Return the index of an agent in `seats`, None when it did not live in this round."""
        found = np.flatnonzero(self.seats["agent_id"] == agent_id)
        return int(found[0]) if len(found) else None

    @property
    def alive(self) -> int:
        """Return how many live after this round."""
        return int((self.seats["status"] != DIED).sum()) if self.round >= 0 else 0

    @property
    def generations(self) -> int:
        """Return how many generations there have been, founders included."""
        born = self.people.born_by(self.round)
        return int(self.people.depth[:born].max()) + 1 if born else 0


def nobody() -> Everybody:
    """Return an empty population."""
    empty = np.zeros(0, dtype=np.int64)
    return Everybody(empty, empty, empty, empty, empty, empty, np.zeros(0, dtype=np.bool_), empty, empty)
