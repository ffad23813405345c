"""Small arenas for tests: seated, with real or paper accounts, on a quiet market unless told otherwise."""

import numpy as np

from arena.body import accounting, lifecycle
from arena.config import ArenaConfig, BodyConfig, LifeConfig, MarketConfig, RewardConfig, ScarConfig
from arena.core import Arena, WorldConfig
from arena.market.tape import Tape

GENES = lifecycle.BodyGenes(position_scale=10.0, stop_atr=1e15, reward_weights=(0.1, 0.05, 1.0))
"""No stop unless a test asks for one."""


def make_arena(
    markets: int = 1,
    seats: int = 8,
    *,
    seed: int = 3,
    ticks: int = 200,
    apprentice_rounds: int = 0,
    market: MarketConfig | None = None,
    body: BodyConfig | None = None,
    scars: ScarConfig | None = None,
    life: LifeConfig | None = None,
    reward: RewardConfig | None = None,
    genes: lifecycle.BodyGenes = GENES,
    empty: int = 0,
    tape: Tape | None = None,
) -> Arena:
    """Return an open arena whose seats are taken by agents 1, 2, 3..., but for the last `empty` of each market."""
    config = WorldConfig(
        ArenaConfig(markets=markets, seats=seats, ticks_per_round=ticks),
        market or MarketConfig(warmup_bars=128),
        body or BodyConfig(),
        scars or ScarConfig(),
        life or LifeConfig(),
        reward or RewardConfig(),
    )
    arena = Arena(config, seed, tape)
    arena.open_markets()
    for seat in range(markets * seats):
        if seat % seats < seats - empty:
            lifecycle.seat_newborn(
                arena.bodies,
                seat,
                seat + 1,
                endowment=config.body.endowment,
                birthmark=0,
                apprentice_rounds=apprentice_rounds,
                birth_round=0,
                genes=genes,
            )
    accounting.seal_totals(arena.accounts, arena.bodies)
    arena.market.begin_round(0)
    arena.observe()
    return arena


def quiet_market() -> MarketConfig:
    """Return a market whose reservation price hardly moves: what is left is fees and impact."""
    return MarketConfig(source="gbm", volatility=1e-12, drift=0.0, warmup_bars=128)


def legal_choices(mask: np.ndarray, chooser: np.random.Generator) -> np.ndarray:
    """Return [P] one random legal action a row of mask [P,A]."""
    choice: np.ndarray = (chooser.random(mask.shape) * mask).argmax(axis=1)
    return choice


def play(arena: Arena, actions: list[int] | np.ndarray) -> object:
    """Observe and step once with the given actions."""
    arena.observe()
    return arena.step(np.asarray(actions, dtype=np.int8))


def end_round(arena: Arena, round_index: int) -> list[lifecycle.Death]:
    """End a round without births and begin the next; return the deaths."""
    deaths = arena.end_round().deaths
    accounting.check_conservation(arena.accounts, arena.bodies)
    arena.market.begin_round(round_index + 1)
    return deaths
