"""Nothing that an agent sees, may do or orders depends on a bar that has not closed yet."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pytest

from arena import spec
from arena.body.lifecycle import BodyGenes
from arena.config import MarketConfig
from arena.core import Arena
from arena.market.background import Market
from arena.market.bars import Bars
from arena.market.clearing import Clearing
from arena.market.tape import Tape
from tests.arenas import end_round, make_arena

TICKS = 50  # two and a half rounds
PERTURB_AFTER = (0, 1, 18, 19, 20, 37, 48)
"""Ticks that still belong to the common past: the first, the last of a round, the first of the next."""


class Seen(NamedTuple):
    """What one tick's decision consisted of, as bytes."""

    observation: bytes
    mask: bytes
    orders: bytes


def lively_arena(market: MarketConfig, tape: Tape | None = None) -> Arena:
    """Return 2 x 6 seats with stops two ATRs away, half of the agents on paper, one seat free in each market."""
    genes = BodyGenes(position_scale=10.0, stop_atr=2.0, reward_weights=(0.1, 0.05, 1.0))
    arena = make_arena(2, 6, ticks=20, market=market, genes=genes, empty=1, tape=tape)
    for seat in (0, 1, 6):
        arena.bodies.status[seat] = 1
        arena.bodies.trust[seat] = arena.bodies.cash[seat]
        arena.bodies.apprentice_rounds[seat] = 2
    return arena


def choose(obs: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Return [P] legal actions that hang on every column of the observation."""
    taste = np.random.default_rng(5).standard_normal((spec.OBS_DIM, spec.N_ACTIONS))
    score = np.cos(7.0 * (obs.astype(np.float64) @ taste))
    actions: np.ndarray = np.where(mask, score, -np.inf).argmax(axis=1)
    return actions


def live(arena: Arena, ticks: int = TICKS) -> list[Seen]:
    """Play and write down every decision before and every order after it was made."""
    seen = []
    for tick in range(ticks):
        obs, mask = (array.copy() for array in arena.observe())
        orders = arena.step(choose(obs, mask)).orders
        seen.append(Seen(obs.tobytes(), mask.tobytes(), b"".join(field.tobytes() for field in orders)))
        if (tick + 1) % arena.config.arena.ticks_per_round == 0:
            end_round(arena, tick // arena.config.arena.ticks_per_round)
    return seen


def shake(market: Market, after: int, patch: pytest.MonkeyPatch) -> None:
    """Change every bar after tick `after` decides: its opening, its range and its volume."""
    reserve, roll_bar, bars_rolled = market.reserve, market.roll_bar, [0]

    def other_reserve() -> np.ndarray:
        return reserve() + (0.02 if bars_rolled[0] >= after else 0.0)

    def other_bar(clearing: Clearing, crossed: np.ndarray, imbalance: np.ndarray) -> Bars:
        bars = roll_bar(clearing, crossed, imbalance)
        bars_rolled[0] += 1
        if bars_rolled[0] <= after:
            return bars
        return bars._replace(high=bars.high * 1.01, low=bars.low * 0.99, volume=bars.volume * 3.0)

    patch.setattr(market, "reserve", other_reserve)
    patch.setattr(market, "roll_bar", other_bar)


def tape_of(seed: int, rows: int = 250) -> Tape:
    """Return a recorded random walk, long enough for the warm-up and four rounds."""
    rng = np.random.default_rng(seed)
    close = 50.0 * np.exp(np.cumsum(0.01 * rng.standard_normal(rows)))
    open_ = np.concatenate([[50.0], close[:-1]]) * np.exp(0.003 * rng.standard_normal(rows))
    high, low = np.maximum(open_, close) * 1.002, np.minimum(open_, close) * 0.998
    times = [f"2020-01-01T{row // 60:02d}:{row % 60:02d}:00" for row in range(rows)]
    return Tape("walk.csv", "0" * 64, times, open_, high, low, close, rng.lognormal(7.0, 0.5, rows), 0)


def spliced(before: Tape, after: Tape, rows: int) -> Tape:
    """Return a tape that is `before` for the first rows and `after`, scaled to fit, for the rest."""
    scale = before.close[rows - 1] / after.close[rows - 1] * 1.01
    open_, high, low, close = (
        np.concatenate([getattr(before, name)[:rows], getattr(after, name)[rows:] * scale])
        for name in ("open", "high", "low", "close")
    )
    volume = np.concatenate([before.volume[:rows], after.volume[rows:]])
    return Tape(before.name, before.sha256, before.times, open_, high, low, close, volume, 0)


SYNTHETIC = {
    "franke_westerhoff": MarketConfig(warmup_bars=128),
    "crisis": MarketConfig(warmup_bars=128, crisis_hazard=0.05),
    "gbm": MarketConfig(source="gbm", warmup_bars=128),
}


def first_difference(ours: list[Seen], theirs: list[Seen]) -> tuple[int, str]:
    """Return the first tick and field in which two lives differ; (TICKS, "") when they do not."""
    for tick, (a, b) in enumerate(zip(ours, theirs, strict=True)):
        for field in Seen._fields:
            if getattr(a, field) != getattr(b, field):
                return tick, field
    return len(ours), ""


def difference_when_shaken(market: MarketConfig, after: int, spy: Callable[[Arena, pytest.MonkeyPatch], None]) -> int:
    """Return the first tick whose decision differs when every bar after tick `after` does."""
    lives = []
    for shaken in (False, True):
        arena = lively_arena(market)
        with pytest.MonkeyPatch.context() as patch:
            if shaken:
                shake(arena.market, after, patch)
            spy(arena, patch)
            lives.append(live(arena))
    return first_difference(*lives)[0]


def no_spy(arena: Arena, patch: pytest.MonkeyPatch) -> None:
    """Leave the arena as it is."""


def spy_in_the_observation(arena: Arena, patch: pytest.MonkeyPatch) -> None:
    """Let the first column know where the next bar opens."""
    honest = arena.observe

    def observe() -> tuple[np.ndarray, np.ndarray]:
        obs, mask = honest()
        obs[:, 0] = arena.per_seat(arena.market.reserve() - np.log(arena.senses.close))
        return obs, mask

    patch.setattr(arena, "observe", observe)


def spy_in_the_orders(arena: Arena, patch: pytest.MonkeyPatch) -> None:
    """Let the stop look at the price of the auction that it sells in."""

    def stops(close: np.ndarray, atr: np.ndarray) -> np.ndarray:
        return arena.per_seat(arena.market.reserve() > np.log(close) + atr / close)

    patch.setattr(arena._phases, "stops", stops)


@pytest.mark.parametrize("source", SYNTHETIC)
@pytest.mark.parametrize("after", PERTURB_AFTER)
def test_decisions_up_to_t_ignore_every_later_bar(source: str, after: int) -> None:
    """Perturb all bars after t: observations, masks and orders up to t are the same bytes, those after t are not."""
    assert difference_when_shaken(SYNTHETIC[source], after, no_spy) == after + 1


@pytest.mark.parametrize("after", PERTURB_AFTER)
def test_decisions_on_a_tape_ignore_every_later_row(after: int) -> None:
    """Two recorded histories that part after bar t give the same decisions up to t and different ones later."""
    market, one = MarketConfig(source="tape", warmup_bars=128), tape_of(1)
    two = spliced(one, tape_of(2), 128 + after)
    tick, field = first_difference(live(lively_arena(market, one)), live(lively_arena(market, two)))
    assert (tick, field) == (after + 1, "observation")


@pytest.mark.parametrize("after", [18, 20, 37])
@pytest.mark.parametrize("spy", [spy_in_the_observation, spy_in_the_orders])
def test_a_planted_leak_of_one_bar_is_caught(spy: Callable[[Arena, pytest.MonkeyPatch], None], after: int) -> None:
    """Sabotage: an observation or an order that knows the next opening differs one tick too early."""
    assert difference_when_shaken(SYNTHETIC["gbm"], after, spy) == after


def test_the_lives_that_are_compared_are_eventful() -> None:
    """The comparison covers fills, stops, paper accounts and graduations, not only holding."""
    arena = lively_arena(SYNTHETIC["franke_westerhoff"])
    executed, stopped = set(), 0
    for tick in range(TICKS):
        obs, mask = arena.observe()
        orders = arena.step(choose(obs, mask)).orders
        executed |= set(orders.executed.tolist())
        stopped += int(orders.stopped.sum())
        if tick % 20 == 19:
            end_round(arena, tick // 20)
    assert executed == set(range(spec.N_ACTIONS))
    assert stopped > 0
    assert not (arena.bodies.status == 1).any()
