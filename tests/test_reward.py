"""The reward is a named sum, each part reachable, and growth is counted once."""

import numpy as np
import pytest

from arena import spec
from arena.body import reward
from arena.config import BodyConfig, RewardConfig
from tests.arenas import make_arena, play, quiet_market


def test_reward_is_the_clipped_sum_of_its_parts() -> None:
    """The total of a tick equals the parts in it."""
    arena = make_arena(seats=8)
    chooser = np.random.default_rng(0)
    for _ in range(60):
        arena.observe()
        tick = arena.step(chooser.integers(0, 7, 8).astype(np.int8))
        assert tick.reward_parts.shape == (8, len(reward.PARTS["log_equity"]))
        assert np.allclose(tick.reward, np.clip(tick.reward_parts.sum(axis=1), -5, 5), atol=1e-6)


def test_growth_parts_add_up_to_log_growth_of_equity() -> None:
    """Summed over ticks, `growth` is the log growth of equity, net of every cost."""
    arena = make_arena(seats=4)
    chooser = np.random.default_rng(2)
    total = np.zeros(4)
    for _ in range(100):
        arena.observe()
        total += arena.step(chooser.integers(0, 7, 4).astype(np.int8)).reward_parts[:, 0]
    assert np.allclose(total * 0.01, np.log(arena.bodies.equity / 10_000.0))


def test_doing_nothing_earns_nothing_before_living_costs() -> None:
    """HOLD in cash is worth zero."""
    arena = make_arena(seats=1)
    assert play(arena, [spec.HOLD]).reward[0] == 0.0  # type: ignore[attr-defined]


def test_a_benchmark_takes_the_markets_return_off_for_everybody_alike() -> None:
    """Growth less b x the market's log return, whatever the agent did; an empty seat earns nothing."""
    config = RewardConfig(benchmark_weight=0.5)
    arena = make_arena(seats=2, reward=config)
    before = arena.senses.close.copy()
    tick = play(arena, [spec.BUY_LARGE, spec.HOLD])
    moved = float(np.log(arena.senses.close / before)[0]) / config.reference_volatility
    column = reward.PARTS["log_equity"].index("benchmark")
    assert moved != 0.0
    assert tick.reward_parts[:, column].tolist() == pytest.approx([-0.5 * moved] * 2)  # type: ignore[attr-defined]
    assert tick.reward[1] == pytest.approx(-0.5 * moved, abs=1e-6)  # type: ignore[attr-defined]
    arena.bodies.agent_id[1] = -1
    past = reward.before(arena.bodies, config)
    parts = reward.reward_parts(arena.bodies, past, np.zeros(2, bool), np.full(2, 0.03), 10_000.0, config)
    assert parts[:, column].tolist() == pytest.approx([-1.5, 0.0])


def test_drawdown_scar_and_ruin_parts_are_reached() -> None:
    """Each penalty appears with its gene as weight."""
    arena = make_arena(seats=1, apprentice_rounds=3)
    past = reward.before(arena.bodies, arena.config.reward)
    arena.bodies.drawdown[0] = 0.02
    arena.bodies.pending_scar_points[0] = 6
    parts = reward.reward_parts(arena.bodies, past, np.array([True]), np.zeros(1), 10_000.0, arena.config.reward)
    assert parts[0].tolist() == pytest.approx([0.0, 0.0, -0.1 * 2.0, -0.05 * 6, -1.0])
    assert arena.bodies.pending_scar_points[0] == 0.0


@pytest.mark.parametrize(
    ("profit", "expected"), [(500.0, 5.0), (-200.0, -4.0), (0.0, 0.0)]
)
def test_lineage5_counts_profit_and_loss_on_closed_trades(profit: float, expected: float) -> None:
    """$500 gained is worth +5, $200 lost -4, on the close and not before."""
    arena = make_arena(seats=1, reward=RewardConfig(preset="lineage5"), market=quiet_market(),
                       body=BodyConfig(fee_bps=0.0))  # fmt: skip
    tick = play(arena, [spec.BUY_MEDIUM])
    assert tick.reward_parts[0, :2].tolist() == [0.0, 0.0]  # type: ignore[attr-defined]
    past = reward.before(arena.bodies, arena.config.reward)
    arena.bodies.closed_profit[0] = profit
    parts = reward.reward_parts(arena.bodies, past, np.zeros(1, bool), np.zeros(1), 10_000.0, arena.config.reward)
    assert parts[0, :2].sum() == pytest.approx(expected)


def test_lineage5_scar_win_rate_and_ruin() -> None:
    """A scar costs 1, a point of win rate is worth .02, bankruptcy costs 10."""
    config = RewardConfig(preset="lineage5", clip=20.0)
    arena = make_arena(seats=1, reward=config)
    arena.bodies.closed_trades[0], arena.bodies.won_trades[0] = 10, 5
    past = reward.before(arena.bodies, arena.config.reward)
    arena.bodies.won_trades[0] = 6
    arena.bodies.scars[0] += 1
    parts = reward.reward_parts(arena.bodies, past, np.ones(1, bool), np.zeros(1), 10_000.0, config)
    assert parts[0].tolist() == pytest.approx([0.0, 0.0, 0.0, -1.0, 0.2, -10.0])


def test_every_preset_names_its_parts() -> None:
    """The number of names is the number of columns."""
    for preset, names in reward.PARTS.items():
        arena = make_arena(seats=2, reward=RewardConfig(preset=preset))  # type: ignore[arg-type]
        assert play(arena, [0, 0]).reward_parts.shape == (2, len(names))  # type: ignore[attr-defined]
