"""Scars bite, are given for what they say, and nothing ever lowers damage."""

import ast
from pathlib import Path

import numpy as np
import pytest

from arena import spec
from arena.body import scars
from arena.config import BodyConfig, MarketConfig, ScarConfig
from tests.arenas import end_round, make_arena, play, quiet_market

TENTHS = ScarConfig(drawdown_step=0.10)

ROOT = Path(__file__).parent.parent


def test_scarred_agent_pays_more_for_the_same_trade() -> None:
    """Fees grow with damage: 40 points make the same order's fee 1.4 times as dear."""
    arena = make_arena(seats=2, market=quiet_market())
    arena.bodies.damage[1] = 40
    tick = play(arena, [spec.BUY_MEDIUM, spec.BUY_MEDIUM])
    spent, fee = tick.fills.spent, tick.fills.fee  # type: ignore[attr-defined]
    assert fee[1] / spent[1] == pytest.approx(1.4 * fee[0] / spent[0])
    assert fee[1] > fee[0]


def test_scarred_agent_pays_more_to_live() -> None:
    """The living cost of a round grows with damage too."""
    arena = make_arena(seats=2)
    arena.bodies.damage[1] = 50
    end_round(arena, 0)
    paid = 10_000.0 - arena.bodies.cash
    assert paid[1] == pytest.approx(1.5 * paid[0])


def test_scarred_agent_may_hold_less() -> None:
    """The largest position shrinks with damage."""
    arena = make_arena(seats=2, market=quiet_market())
    arena.bodies.damage[1] = 60
    play(arena, [spec.BUY_MEDIUM, spec.BUY_MEDIUM])
    value = arena.bodies.shares * arena.senses.close[0]
    assert value[0] == pytest.approx(6000.0, rel=1e-3)
    assert value[1] == pytest.approx(4000.0, rel=1e-3)


def test_scars_take_actions_away() -> None:
    """BUY_LARGE goes at 20 points, ADD_TO_POSITION at 50."""
    arena = make_arena(seats=2)
    arena.bodies.damage[1] = 20
    _, mask = arena.observe()
    assert mask[:, spec.BUY_LARGE].tolist() == [True, False]
    arena.bodies.damage[1] = 50
    play(arena, [spec.BUY_SMALL, spec.BUY_SMALL])
    _, mask = arena.observe()
    assert mask[:, spec.ADD_TO_POSITION].tolist() == [True, False]


def _fall_to(arena: object, drawdown: float) -> list[scars.ScarMark]:
    """Put agent 0's drawdown where the test wants it and end the round's scars."""
    bodies = arena.bodies  # type: ignore[attr-defined]
    bodies.drawdown[:] = drawdown
    return scars.scars_of_round(bodies, arena.config.scars)  # type: ignore[attr-defined]


def test_each_further_step_of_drawdown_scars_once() -> None:
    """With steps of a tenth, 10 % is minor, 20 % moderate, further tenths severe, and a step is not paid for twice."""
    arena = make_arena(seats=1, scars=TENTHS)
    assert [mark.severity for mark in _fall_to(arena, 0.11)] == [spec.MINOR]
    assert _fall_to(arena, 0.15) == []
    assert [mark.severity for mark in _fall_to(arena, 0.45)] == [spec.MODERATE, spec.SEVERE, spec.SEVERE]
    assert arena.bodies.damage[0] == 1 + 5 + 20 + 20
    assert arena.bodies.severe_scars[0] == 2


def test_a_drawdown_of_eighty_percent_is_fatal() -> None:
    """The eighth step ends every life."""
    arena = make_arena(seats=1, scars=TENTHS)
    marks = _fall_to(arena, 0.81)
    assert marks[-1].severity == spec.FATAL
    assert arena.bodies.damage[0] >= arena.config.scars.fatal_points


def test_damage_survives_recovery_and_a_new_peak_opens_new_steps() -> None:
    """The body never heals; only the count of steps starts again below a new peak."""
    arena = make_arena(seats=1, scars=TENTHS)
    _fall_to(arena, 0.25)
    damage = int(arena.bodies.damage[0])
    arena.bodies.cash[0] *= 2.0
    arena.accounts.cash_total[0] += 10_000.0
    play(arena, [spec.HOLD])
    assert arena.bodies.drawdown[0] == 0.0
    assert arena.bodies.damage[0] == damage
    _fall_to(arena, 0.12)
    assert arena.bodies.damage[0] == damage + arena.config.scars.minor_points


def test_slipped_fill_scars() -> None:
    """A fill more than 2 % from the reservation price leaves a slippage scar on everybody who traded."""
    market = MarketConfig(source="gbm", volatility=1e-12, drift=0.0, warmup_bars=128, impact_bps=300.0)
    arena = make_arena(seats=2, market=market)
    tick = play(arena, [spec.BUY_LARGE, spec.HOLD])
    assert [(mark.seat, mark.kind) for mark in tick.scars] == [(0, spec.SLIPPAGE)]  # type: ignore[attr-defined]


def test_crash_scars_the_invested_only() -> None:
    """A crash tick marks those who held shares and nobody else."""
    market = MarketConfig(source="gbm", volatility=1e-12, drift=0.0, warmup_bars=128, crisis_hazard=1.0,
                          crisis_jump=-0.09, crisis_ticks=1.0)  # fmt: skip
    arena = make_arena(seats=2, market=market)
    found: list[scars.ScarMark] = []
    for actions in ([spec.BUY_MEDIUM, 0], [0, 0], [0, 0], [0, 0]):
        found += play(arena, actions).scars  # type: ignore[attr-defined]
    crashes = [mark for mark in found if mark.kind == spec.MARKET_CRASH]
    assert crashes
    assert {mark.seat for mark in crashes} == {0}


def test_churning_scars_as_fee_burden() -> None:
    """Trading costs above the limit within one round leave a scar at its end."""
    arena = make_arena(seats=2, body=BodyConfig(fee_bps=100.0), market=quiet_market())
    play(arena, [spec.BUY_LARGE, spec.HOLD])
    play(arena, [spec.SELL_ALL, spec.HOLD])
    marks = scars.scars_of_round(arena.bodies, arena.config.scars)
    assert [(mark.seat, mark.kind) for mark in marks] == [(0, spec.FEE_BURDEN)]


def test_paper_losses_hurt_but_leave_no_mark() -> None:
    """An apprentice feels the points in its reward; its body stays whole."""
    arena = make_arena(seats=1, apprentice_rounds=5, scars=TENTHS)
    assert _fall_to(arena, 0.35) == []
    assert arena.bodies.damage[0] == 0
    assert arena.bodies.pending_scar_points[0] == 1 + 5 + 20


def test_damage_never_falls_over_random_lives() -> None:
    """Through thousands of random ticks, rounds and deaths no agent's damage ever shrinks."""
    market = MarketConfig(warmup_bars=128, crisis_hazard=0.01)
    arena = make_arena(2, 16, market=market, scars=ScarConfig(drawdown_step=0.03))
    chooser = np.random.default_rng(5)
    worst = dict.fromkeys(range(1, 33), 0)
    for round_index in range(30):
        for _ in range(20):
            arena.observe()
            arena.step(chooser.integers(0, spec.N_ACTIONS, 32).astype(np.int8))
        end_round(arena, round_index)
        for agent, damage in zip(arena.bodies.agent_id, arena.bodies.damage, strict=True):
            if agent >= 0:
                assert damage >= worst[int(agent)]
                worst[int(agent)] = int(damage)
    assert max(worst.values()) > 0


def _damage_writes(source: str) -> list[str]:
    """Return every statement that assigns to something called `damage`, as source text."""
    found = []
    for node in ast.walk(ast.parse(source)):
        targets: list[ast.expr] = []
        if isinstance(node, ast.Assign):
            targets = node.targets
        elif isinstance(node, ast.AugAssign):
            targets = [node.target]
        if any("damage[" in ast.unparse(target) for target in targets):
            found.append(ast.unparse(node))
    return found


def test_only_two_statements_write_damage_and_neither_can_lower_it() -> None:
    """Damage is set at birth and added to by a scar; no other line of the program assigns to it."""
    writes = [
        line
        for package in ("arena", "agents", "lineage", "tui")
        for path in sorted((ROOT / package).rglob("*.py"))
        for line in _damage_writes(path.read_text())
    ]
    assert writes == ["bodies.damage[seat] = birthmark", "bodies.damage[seats] += points"]


def test_the_search_for_damage_writes_finds_a_healer() -> None:
    """Sabotage: a line that heals would be found."""
    assert _damage_writes("bodies.damage[seat] -= 5") == ["bodies.damage[seat] -= 5"]
    assert _damage_writes("self.bodies.damage[:] = 0") == ["self.bodies.damage[:] = 0"]
