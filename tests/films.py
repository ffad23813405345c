"""A made-up run as frames: every figure a formula, so that a screen looks the same on every machine and build."""

import dataclasses
from functools import cache
from pathlib import Path

import numpy as np

from arena.config import ArenaConfig
from lineage.ask.archive import Wish
from lineage.ask.frames import (
    BAR_COLUMNS,
    COUNTED,
    DIED,
    MARKET_SERIES,
    PAPER,
    SEAT_COLUMNS,
    SERIES,
    STILL_ALIVE,
    TRADING,
    Dossier,
    Everybody,
    Frame,
    Happening,
    RunInfo,
)
from lineage.config import RunConfig
from tui.reader import OnFailure, OnFrame

ROUNDS, LIVING, TICKS = 60, 24, 10
NAMES = ("prudent-kestrel", "sunny-heron", "iron-wren", "velvet-crane", "lucky-dove", "misty-owl")
GENES = {"gamma": 0.925, "learning_rate": 4e-4, "position_scale": 10.0, "stop_atr": 3.0}
HOME = Path("made-up")


def config(markets: int = 1) -> RunConfig:
    """Return the configuration that the made-up run pretends to follow."""
    return RunConfig(
        scenario="made-up", rounds=80, arena=ArenaConfig(markets=markets, seats=LIVING, ticks_per_round=TICKS)
    )


@cache
def people(last: int) -> Everybody:
    """Return everybody as the end of a round knows them: 24 founders, then a birth a round, and a death a round."""
    count = LIVING + ROUNDS
    rows = np.arange(count)
    birth = np.maximum(rows - LIVING + 1, 0)
    parent = np.where(rows < LIVING, -1, rows - 1 - rows * rows * 7 % 13)
    parent[LIVING + 10] = LIVING + 9
    parent[LIVING + 11] = LIVING + 10
    founder, depth = rows.copy(), np.zeros(count, dtype=np.int64)
    for row in range(LIVING, count):
        founder[row], depth[row] = founder[parent[row]], depth[parent[row]] + 1
    end = np.where(rows < ROUNDS - 5, rows + 5, STILL_ALIVE)
    fate = np.where(end < STILL_ALIVE, 1 + rows % 3, 0)
    known = end <= last
    clans = {int(row): NAMES[row % len(NAMES)] for row in range(LIVING)}
    return Everybody(
        parent, founder, depth, np.zeros(count, dtype=np.int64), birth, np.where(parent >= 0, rows % 9, 0),
        rows % 8 != 7, np.where(known, end, STILL_ALIVE), np.where(known, fate, 0), clans,
    )  # fmt: skip


def seats_of(at: int, newest: int) -> dict[str, np.ndarray]:
    """Return the rows of a round."""
    everybody = people(newest)
    born = everybody.born_by(at)
    rows = np.flatnonzero(everybody.end_round[:born] >= at)
    age = at - everybody.birth_round[rows] + 1.0
    wave = np.sin(rows * 1.7 + at * 0.31)
    status = np.where(everybody.end_round[rows] == at, DIED, np.where(age < 4, PAPER, TRADING))
    damage = np.minimum(age * (rows % 4), 99)
    seats: dict[str, np.ndarray] = {
        name: np.round(0.5 + 0.4 * np.sin(rows + at * 0.1 + place), 3) for place, name in enumerate(SEAT_COLUMNS)
    }
    return seats | {
        "agent_id": rows + 1.0, "market": rows * 0.0, "status": status * 1.0, "age_rounds": age,
        "equity": np.round(10_000 + 6_000 * wave + 40 * age, 2), "cash": np.round(7_000 + 4_000 * wave, 2),
        "shares": np.round(30 + 20 * wave, 2), "drawdown": np.round(0.2 - 0.15 * wave, 3), "damage": np.round(damage),
        "scars": np.round(damage / 5), "closed_trades": np.round(3 * age), "won_trades": np.round(age),
        "offspring": rows % 3 * 1.0, "invalid_actions": rows % 2 * 1.0, "epsilon": 1 / age, "updates": age * 8,
    }  # fmt: skip


def events_of(at: int, newest: int) -> tuple[Happening, ...]:
    """Return what happened up to a round, newest first."""
    everybody = people(newest)
    found = []
    for round_index in range(at + 1):
        tick = round_index * TICKS + TICKS - 1
        for row in np.flatnonzero(everybody.end_round == round_index):
            payload: dict[str, int | str] = {
                "cause": ("bankrupt", "terminal_damage", "retired")[row % 3], "age_rounds": 5, "equity_cents": 499_900,
                "ruin_cents": 500_000, "damage": 40,
            }  # fmt: skip
            found.append((round_index, tick, int(row) + 1, "death", payload))
        for row in np.flatnonzero(everybody.birth_round == round_index):
            found.append((round_index, tick, int(row) + 1, "birth", {"parent": int(everybody.parent[row]) + 1}))
        scarred = round_index % LIVING + 1
        payload = {
            "scar_kind": "stop_loss", "severity": "minor", "damage": 1, "total_damage": 9, "drawdown_bps": 1210,
            "equity_cents": 912_345,
        }  # fmt: skip
        found.append((round_index, tick - 4, scarred, "scar", payload))
        if round_index % 9 == 8:
            found.append((round_index, tick, 3, "alarm", {"check": "entropy", "value_millionths": 12}))
    events = [Happening(number, *one) for number, one in enumerate(found)]
    return tuple(events[::-1][:200])


def dossier_of(agent_id: int, at: int, newest: int) -> Dossier:
    """Return one agent's life up to a round."""
    everybody, row = people(newest), agent_id - 1
    last = min(at, int(everybody.end_round[row]))
    rounds = range(int(everybody.birth_round[row]), last + 1)
    rows = [seats_of(one, newest) for one in rounds]
    places = [int(np.flatnonzero(seats["agent_id"] == agent_id)[0]) for seats in rows]
    life = {
        name: np.array([seats[name][place] for seats, place in zip(rows, places, strict=True)]) for name in SEAT_COLUMNS
    }
    mine = tuple(event for event in events_of(at, newest)[::-1] if event.agent_id == agent_id)
    parent = {} if everybody.parent[row] < 0 else {name: value * 0.9 for name, value in GENES.items()}
    return Dossier(
        agent_id, {"round": np.array(rounds, dtype=np.float64), **life}, mine, GENES, parent, "ab" * 32, True,
        f"{len(mine)} events from the run's genesis, every hash computed again",
    )  # fmt: skip


def frame(
    at: int = ROUNDS - 1, newest: int | None = None, *, closed: bool = False, agent_id: int | None = None,
    info: RunInfo | None = None,
) -> Frame:  # fmt: skip
    """Return one moment of the made-up run."""
    newest = at if newest is None else newest
    rounds, ticks = np.arange(at + 1.0), np.arange(max(0, (at - 20) * TICKS), (at + 1) * TICKS)
    series = {
        name: np.round(0.5 + 0.4 * np.sin(rounds / 5 + place) + place / 10, 3) for place, name in enumerate(SERIES)
    }
    series |= {name: (rounds.astype(np.int64) % (place + 2) == 0) * 1.0 for place, name in enumerate(COUNTED)}
    series |= {
        "round": rounds,
        "mean_equity": 10_000 + 50 * rounds,
        "best_equity": 14_000 + 90 * rounds,
        "alarm": (rounds % 9 == 8) * 1.0,
    }
    wave = 100 + 20 * np.sin(ticks / 40)
    bars: dict[str, np.ndarray] = {name: np.round(wave + place / 3, 3) for place, name in enumerate(BAR_COLUMNS)}
    bars |= {"tick": ticks * 1.0, "volume": 1_000 + 500.0 * (ticks % 7)}
    market = {
        name: np.round(100 + 20 * np.sin(rounds / 4 + place), 2)[:, None] for place, name in enumerate(MARKET_SERIES)
    }
    market |= {"regime": np.sign(np.sin(rounds / 3))[:, None]}
    seats = seats_of(at, newest)
    window = np.arange(max(0, at - 11), at + 1)
    trail = 10_000 + 6_000 * np.sin(seats["agent_id"][:, None] * 1.7 + window[None, :] * 0.31)
    chosen = agent_id if agent_id is not None and agent_id <= people(newest).born_by(at) else None
    return Frame(
        info=info or RunInfo(HOME, "0123456789abcdef", 7, "made-up", "0" * 64, config()),
        round=at, newest=newest, loaded=newest, closed=closed, people=people(newest), seats=seats,
        trail={"agent_id": seats["agent_id"], "equity": np.round(trail, 2)}, series=series, markets=market, bars=bars,
        market=0, events=events_of(at, newest), dossier=dossier_of(chosen, at, newest) if chosen else None,
        last_tick=(at + 1) * TICKS - 1,
    )  # fmt: skip


def extinct() -> Frame:
    """Return a moment after everybody has died."""
    last = frame()
    everybody = dataclasses.replace(
        last.people, end_round=np.minimum(last.people.end_round, ROUNDS - 1), fate=np.maximum(last.people.fate, 1)
    )
    return dataclasses.replace(
        last, people=everybody, seats={**last.seats, "status": last.seats["status"] * 0.0 + DIED}, closed=True
    )


class Projector:
    """Answers wishes with frames of the film, at once; stands where the reader's thread stands."""

    busy = False

    def __init__(self, on_frame: OnFrame, on_failure: OnFailure) -> None:
        self.newest, self.closed = ROUNDS - 1, False
        self.failure = ""
        self.asked = Wish()
        self._on_frame, self._on_failure = on_frame, on_failure
        self._shown: object = None

    def ask(self, wish: Wish) -> None:
        """Answer with a frame, unless it is the one that was shown last."""
        self.asked = wish
        moment = (wish, self.newest, self.closed, self.failure)
        if moment == self._shown:
            return
        self._shown = moment
        if self.failure:
            self._on_failure(self.failure, True)
        elif self.newest >= 0:
            at = self.newest if wish.at is None else min(wish.at, self.newest)
            self._on_frame(frame(at, self.newest, closed=self.closed, agent_id=wish.agent_id))

    def forget(self) -> None:
        """Answer the next wish whatever was shown before."""
        self._shown = None

    def close(self) -> None:
        """Nothing to let go of."""
