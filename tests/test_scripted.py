"""Scripted strategies do what their names say, within the mask."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from agents import scripted
from arena.spec import BUY_LARGE, BUY_MEDIUM, BUY_SMALL, COLUMN_INDEX, HOLD, N_ACTIONS, OBS_DIM, SELL_ALL, SELL_PARTIAL

FLAT = [HOLD, BUY_SMALL, BUY_MEDIUM, BUY_LARGE]
INVESTED = [HOLD, SELL_PARTIAL, SELL_ALL]
N = 8


def choose(strategy: int, legal: list[int], regime: int = 0, **columns: float) -> int:
    """Return the choice of one strategy when `legal` actions are possible and some columns are set."""
    obs = np.zeros((1, OBS_DIM), dtype=np.float32)
    for name, value in columns.items():
        obs[0, COLUMN_INDEX[name]] = value
    mask = np.zeros((1, N_ACTIONS), dtype=bool)
    mask[0, legal] = True
    kinds = np.array([strategy], dtype=np.int8)
    return int(scripted.decide(kinds, obs, mask, np.array([regime], dtype=np.int8), np.array([[0.5, 0.5]]))[0])


@given(
    strategy=arrays(np.int8, N, elements=st.integers(0, 4)),
    obs=arrays(np.float32, (N, OBS_DIM), elements=st.floats(-5, 5, width=32)),
    mask=arrays(np.bool_, (N, N_ACTIONS)),
    regime=arrays(np.int8, N, elements=st.integers(-1, 1)),
    u=arrays(np.float64, (N, 2), elements=st.floats(0, 1, exclude_max=True)),
)
def test_the_mask_is_always_respected(
    strategy: np.ndarray, obs: np.ndarray, mask: np.ndarray, regime: np.ndarray, u: np.ndarray
) -> None:
    """HOLD is always possible; anything else only when it is legal."""
    mask[:, HOLD] = True
    action = scripted.decide(strategy, obs, mask, regime, u)
    assert np.all(mask[np.arange(N), action])
    assert action.dtype == np.int8


def test_hold_buys_once_and_keeps() -> None:
    """The largest legal purchase when flat, then nothing; a scarred body buys less."""
    assert choose(scripted.BUY_AND_HOLD, FLAT) == BUY_LARGE
    assert choose(scripted.BUY_AND_HOLD, FLAT[:-1]) == BUY_MEDIUM
    assert choose(scripted.BUY_AND_HOLD, INVESTED) == HOLD


@pytest.mark.parametrize(
    ("value", "flat", "invested"), [(1.0, BUY_LARGE, HOLD), (-1.0, HOLD, SELL_ALL), (0.0, HOLD, HOLD)]
)
def test_trend_follows_the_25_bar_return_with_hysteresis(value: float, flat: int, invested: int) -> None:
    """Up: in. Down: out. Between: stay as you are."""
    assert choose(scripted.TREND, FLAT, return_25=value) == flat
    assert choose(scripted.TREND, INVESTED, return_25=value) == invested


@pytest.mark.parametrize(
    ("value", "flat", "invested"), [(-2.0, BUY_LARGE, HOLD), (1.0, HOLD, SELL_ALL), (-0.5, HOLD, HOLD)]
)
def test_meanrev_buys_dips_and_sells_recoveries(value: float, flat: int, invested: int) -> None:
    """The opposite of trend, on ten bars."""
    assert choose(scripted.MEANREV, FLAT, return_10=value) == flat
    assert choose(scripted.MEANREV, INVESTED, return_10=value) == invested


@pytest.mark.parametrize(("regime", "flat", "invested"), [(1, BUY_LARGE, HOLD), (-1, HOLD, SELL_ALL), (0, HOLD, HOLD)])
def test_oracle_follows_the_true_regime(regime: int, flat: int, invested: int) -> None:
    """Invested exactly while the next drift is up; idle where there is no drift."""
    assert choose(scripted.ORACLE, FLAT, regime=regime) == flat
    assert choose(scripted.ORACLE, INVESTED, regime=regime) == invested


@pytest.mark.parametrize("strategy", [s for s in range(5) if s != scripted.ORACLE])
def test_only_the_oracle_looks_at_the_regime(strategy: int) -> None:
    """The others choose the same whatever the regime."""
    assert len({choose(strategy, FLAT, regime=regime, return_25=0.3, return_10=-0.3) for regime in (-1, 0, 1)}) == 1


def test_random_is_uniform_over_legal_actions() -> None:
    """60,000 choices among three actions: within five standard errors, and nothing else."""
    n = 60_000
    mask = np.zeros((n, N_ACTIONS), dtype=bool)
    mask[:, INVESTED] = True
    u = np.random.default_rng(0).random((n, 2))
    kinds = np.full(n, scripted.RANDOM, dtype=np.int8)
    action = scripted.decide(kinds, np.zeros((n, OBS_DIM), dtype=np.float32), mask, np.zeros(n, dtype=np.int8), u)
    share = np.bincount(action, minlength=N_ACTIONS) / n
    assert share[INVESTED] == pytest.approx([1 / 3] * 3, abs=5 * np.sqrt(0.25 / n))
    assert share.sum() == pytest.approx(share[INVESTED].sum())
