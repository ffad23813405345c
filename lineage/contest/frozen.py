"""Frozen play: policies that no longer learn, explore or breed, on markets that nobody saw.

The same seed is the same market for everybody: background shocks, regimes, crises and volumes are equal, only the
impact of one's own orders differs (common random numbers). By default everybody is alone in a market of their own.
Orders cost fees and impact, stops fire, and body genes apply; living costs, scars and deaths are off unless a whole
life is asked for. A body begins as one that has just graduated as a founder, undamaged, with the endowment in cash.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Final, NamedTuple

import numpy as np
from msgspec.structs import replace

from arena.body import accounting, lifecycle
from arena.body.state import TRADING
from arena.config import ArenaConfig
from arena.core import Arena, WorldConfig
from arena.errors import ConfigError, DataError
from arena.market.shocks import Path
from arena.market.tape import Tape
from arena.rng import purpose_key, uniforms
from lineage.config import RunConfig
from lineage.contest.entrants import Entrant, Pilots

MAX_MARKETS: Final = 1024
MAX_SEATS: Final = 4096
"""What is played side by side, measured: larger batches outgrow the cache. The rest follows, with the same result."""

_ABOVE_RUN_SEEDS: Final = 1 << 63
"""Seeds of runs are below it, seeds of held-out markets are not: no run can have seen one."""


class Seating(NamedTuple):
    """Who shares a market, and which one."""

    seed: int
    entrants: tuple[int, ...]  # index of the entrant in each seat


@dataclass(frozen=True, slots=True)
class Conditions:
    """What holds for everybody in a contest."""

    config: RunConfig  # market, costs, and what a round is
    ticks: int
    whole_life: bool = False  # living costs, scars and deaths as in the configuration
    tape: Tape | None = None  # with config.market.source = "tape"
    first_bar: int = 0  # tape only: no window begins before it


@dataclass(frozen=True, slots=True, eq=False)
class Played:
    """What became of everybody; N markets, S seats, T ticks."""

    equity: np.ndarray  # [N,S,T+1] f64, cash units at each tick's end, the endowment first; the dead keep their last
    closed: np.ndarray  # [N,S,T] bool, a trade was closed
    profit: np.ndarray  # [N,S,T] f64, its profit as a share of the equity before that tick
    invested: np.ndarray  # [N,S] f64, share of the ticks with shares in hand
    invalid: np.ndarray  # [N,S] i64, actions that the mask forbade
    died_at: np.ndarray  # [N,S] i64, tick of death, -1: lived on

    @property
    def trades(self) -> np.ndarray:
        """[N,S] i64: closed trades."""
        count: np.ndarray = self.closed.sum(axis=-1)
        return count

    @property
    def log_growth(self) -> np.ndarray:
        """[N,S] f64: ln(last equity / endowment) x 1,000 / ticks."""
        growth: np.ndarray = np.log(np.maximum(self.equity[..., -1], 1e-9) / self.equity[..., 0])
        growth *= 1000.0 / (self.equity.shape[-1] - 1)
        return growth


def market_seed(seed: int) -> int:
    """Return the seed of the held-out market that people call `seed`: a hash in [2^63, 2^64), where no run's can be."""
    return int(purpose_key(seed, "held-out market")) | _ABOVE_RUN_SEEDS


def windows(conditions: Conditions) -> int:
    """Return how many first bars a window on the tape can have; 0: it is too short."""
    if conditions.tape is None:
        return 0
    return max(0, len(conditions.tape.times) - conditions.first_bar - bars_needed(conditions) + 1)


def bars_needed(conditions: Conditions) -> int:
    """Return the bars of one window: the warm-up and whole rounds."""
    per_round = conditions.config.arena.ticks_per_round
    return conditions.config.market.warmup_bars + -(-conditions.ticks // per_round) * per_round


def path_of(seed: int, conditions: Conditions) -> Path:
    """Return the path of the market that people call `seed`: its shocks, or its window on the tape.

    Raises DataError when the tape holds no window of that length.
    """
    held_out = market_seed(seed)
    if conditions.tape is None:
        return Path(held_out, 0)
    count = windows(conditions)
    if count < 1:
        bars = len(conditions.tape.times)
        unseen = bars - conditions.first_bar
        kept = f", {unseen} of them unseen by the run," if conditions.first_bar else ""
        raise DataError(
            f"{conditions.tape.name}: {bars} bars{kept} are too few for a window of {bars_needed(conditions)} "
            f"({conditions.config.market.warmup_bars} to warm up); use a longer tape or fewer --ticks"
        )
    u = uniforms(purpose_key(0, "tape window"), np.array([held_out], dtype=np.uint64), 0, 1)[0, 0]
    return Path(held_out, 0, conditions.first_bar + int(u * count))


def play_alone(entrants: Sequence[Entrant], seeds: Sequence[int], conditions: Conditions) -> Played:
    """Play every entrant in every market, each alone in its own; arrays come back with [E,seeds] for [N,S]."""
    seatings = [Seating(seed, (index,)) for index in range(len(entrants)) for seed in seeds]
    played = play(entrants, seatings, conditions)
    shape = (len(entrants), len(seeds))
    return Played(**{item.name: _reshaped(getattr(played, item.name), shape) for item in fields(Played)})


def _reshaped(array: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    return array.reshape(*shape, *array.shape[2:])


def play(entrants: Sequence[Entrant], seatings: Sequence[Seating], conditions: Conditions) -> Played:
    """Play every seating, all of the same number of seats.

    The result of a seating is the same bit for bit whoever else is played beside it. Raises ConfigError when there
    is nothing to play, DataError when the tape is too short.
    """
    if not seatings or conditions.ticks < 1:
        raise ConfigError(f"contest: {len(seatings)} markets of {conditions.ticks} ticks are nothing to play")
    if len({len(seating.entrants) for seating in seatings}) > 1:
        raise ConfigError("contest: seatings of different sizes cannot be played in one arena; play them apart")
    batch = max(1, min(MAX_MARKETS, MAX_SEATS // len(seatings[0].entrants)))
    parts = [
        _play_batch(entrants, seatings[start : start + batch], conditions)
        for start in range(0, len(seatings), batch)
    ]  # fmt: skip
    if len(parts) == 1:
        return parts[0]
    names = [item.name for item in fields(Played)]
    return Played(**{name: np.concatenate([getattr(part, name) for part in parts]) for name in names})


def _play_batch(entrants: Sequence[Entrant], seatings: Sequence[Seating], conditions: Conditions) -> Played:
    who = np.array([index for seating in seatings for index in seating.entrants])  # [P]
    paths = [path_of(seating.seed, conditions) for seating in seatings]
    seats = len(seatings[0].entrants)
    arena = _seated([entrants[index] for index in who], paths, seats, conditions)
    keys = np.array([purpose_key(path.seed, f"seat {seat}") for path in paths for seat in range(seats)])
    pilots = Pilots(entrants, who, keys.view(np.int64))
    bodies, ticks, per_round = arena.bodies, conditions.ticks, conditions.config.arena.ticks_per_round
    equity = np.empty((ticks + 1, len(who)))
    closed = np.zeros((ticks, len(who)), dtype=bool)
    profit = np.zeros((ticks, len(who)))
    invested = np.zeros(len(who), dtype=np.int64)
    died_at = np.full(len(who), -1)
    equity[0] = bodies.equity
    for tick in range(ticks):
        if tick % per_round == 0:
            arena.market.begin_round(tick // per_round)
        trades = bodies.closed_trades.copy()
        arena.step(pilots.decide(*arena.observe(), arena.per_seat(arena.market.regime), tick))
        alive = died_at < 0
        closed[tick] = alive & (bodies.closed_trades > trades)
        np.divide(bodies.closed_profit, equity[tick], out=profit[tick], where=closed[tick])
        invested += alive & (bodies.shares > 0.0)
        if (tick + 1) % per_round == 0:
            if conditions.whole_life:
                arena.end_round()
            else:
                lifecycle.grow_older(bodies)
        equity[tick + 1] = np.where(alive, bodies.equity, equity[tick])
        died_at[alive & (bodies.status != TRADING)] = tick
    shape = (len(seatings), seats)
    return Played(
        equity=np.ascontiguousarray(equity.T).reshape(*shape, -1),
        closed=np.ascontiguousarray(closed.T).reshape(*shape, -1),
        profit=np.ascontiguousarray(profit.T).reshape(*shape, -1),
        invested=(invested / ticks).reshape(shape),
        invalid=bodies.invalid_actions.astype(np.int64).reshape(shape),
        died_at=died_at.reshape(shape),
    )


def _seated(who: Sequence[Entrant], paths: Sequence[Path], seats: int, conditions: Conditions) -> Arena:
    """Return an open arena with an entrant in every seat."""
    config = conditions.config
    body, marks = config.body, config.scars
    if not conditions.whole_life:
        body = replace(body, living_cost_bps=0.0, wealth_cost_bps=0.0)
        marks = replace(marks, minor_points=0, moderate_points=0, severe_points=0)
    sizes = ArenaConfig(markets=len(paths), seats=seats, ticks_per_round=config.arena.ticks_per_round)
    world = WorldConfig(sizes, config.market, body, marks, config.life, config.reward)
    arena = Arena(world, 0, conditions.tape, paths)
    arena.open_markets()
    for seat, entrant in enumerate(who):
        lifecycle.seat_newborn(
            arena.bodies,
            seat,
            seat + 1,
            endowment=body.endowment,
            birthmark=0,
            apprentice_rounds=0,
            birth_round=0,
            genes=lifecycle.BodyGenes(entrant.position_scale, entrant.stop_atr, (0.0, 0.0, 0.0)),
        )
    arena.bodies.age_rounds[:] = config.life.founder_apprentice_rounds
    accounting.seal_totals(arena.accounts, arena.bodies)
    return arena
