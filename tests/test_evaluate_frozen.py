"""Frozen play: the same market for everybody, nobody touched by anybody, the same bits in any company."""

from dataclasses import fields
from pathlib import Path as File

import numpy as np
import pytest
import torch
from msgspec.structs import replace

from agents.brains import founder_weights, views
from agents.layout import Layout, layout_of
from agents.qnet import forward, head_matrix
from arena.errors import ConfigError, DataError
from arena.market.background import Market
from arena.market.shocks import Path
from arena.market.tape import Tape, read_tape
from arena.spec import N_ACTIONS, OBS_DIM
from lineage import settings
from lineage.config import RunConfig
from lineage.contest import entrants as people
from lineage.contest import frozen
from lineage.contest.entrants import Entrant
from lineage.contest.frozen import Conditions, Played, Seating
from lineage.contest.statistics import mean
from tests.commands import tape_text
from tui.options import MAX_SEED

TICKS = 60
LAYOUT = layout_of(OBS_DIM, N_ACTIONS, (16, 16), True)
OTHER = layout_of(OBS_DIM, N_ACTIONS, (8, 24), False)


def config(*assignments: str, scenario: str = "easy") -> RunConfig:
    """Return a configuration with a short warm-up and further `a.b=c` assignments."""
    short = ["market.warmup_bars=128", "arena.ticks_per_round=20"]
    return settings.load(scenario, assignments=[*short, *assignments], environment={}).config


def network(number: int, layout: Layout = LAYOUT, *, scale: float = 10.0, stop: float = 10.0) -> Entrant:
    """Return an untrained network whose decisions differ from bar to bar."""
    weights = founder_weights(layout, 5, number) * 3.0
    return Entrant(f"net-{number}", "dqn", scale, stop, layout, weights.astype(np.float32))


def everybody() -> list[Entrant]:
    """Return networks of two layouts, every strategy, and flat."""
    genome = RunConfig().genome
    nets = [network(1), network(2, OTHER), network(3), network(4, OTHER)]
    return [*nets, *(people.scripted(name, genome) for name in people.OPPONENTS[1:])]


def same(one: Played, other: Played) -> bool:
    """Return whether two plays hold the same bytes."""
    names = [item.name for item in fields(Played)]
    return all(bytes(getattr(one, name).tobytes()) == bytes(getattr(other, name).tobytes()) for name in names)


def row(played: Played, *index: int) -> Played:
    """Return one market of a play."""
    return Played(**{item.name: np.ascontiguousarray(getattr(played, item.name)[index]) for item in fields(Played)})


def alone(name: str, *assignments: str, seeds: range = range(3), ticks: int = TICKS, scenario: str = "easy") -> Played:
    """Play one scripted strategy."""
    made = config(*assignments, scenario=scenario)
    return frozen.play_alone([people.scripted(name, made.genome)], seeds, Conditions(made, ticks))


def test_results_are_the_same_bits_in_any_company(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each entrant and seed by itself, in reverse order, in small batches: byte for byte what all together gave."""
    field, seeds, conditions = everybody(), [4, 0, 7_000_000_000], Conditions(config(), TICKS)
    together = frozen.play_alone(field, seeds, conditions)
    assert (together.invested.max(axis=1)[:-1] > 0.0).all()  # everybody but flat traded: there is something to compare
    for index, entrant in enumerate(field):
        for column, seed in enumerate(seeds):
            by_itself = frozen.play_alone([entrant], [seed], conditions)
            assert same(row(by_itself, 0, 0), row(together, index, column)), (entrant.name, seed)
    backwards = frozen.play_alone(field[::-1], seeds[::-1], conditions)
    assert same(row(backwards, len(field) - 1, 0), row(together, 0, len(seeds) - 1))
    monkeypatch.setattr(frozen, "MAX_MARKETS", 7)
    assert same(frozen.play_alone(field, seeds, conditions), together)


def test_a_networks_decisions_are_those_of_the_living_to_rounding() -> None:
    """Blocks of sixteen rows give the Q-values that one row at a time gives in life."""
    field = [network(1), network(2), network(3, OTHER)]
    who = np.array([0, 1, 1, 0, 2, 0] * 7)
    obs = np.random.Generator(np.random.Philox(1)).standard_normal((len(who), OBS_DIM)).astype(np.float32)
    pilots = people.Pilots(field, who, np.arange(len(who)))
    mask = np.ones((len(who), N_ACTIONS), dtype=bool)
    found = pilots.decide(obs, mask, np.zeros(len(who), np.int8), 0)
    for seat, index in enumerate(who):
        layout, weights = field[index].layout, field[index].weights
        assert layout is not None and weights is not None
        stacked = views(layout, torch.from_numpy(weights)[None])
        q = forward(stacked, torch.from_numpy(obs[seat])[None, None], head_matrix(layout))[0, 0].numpy()
        assert q[found[seat]] >= q.max() - 1e-4


def test_illegal_actions_are_never_chosen() -> None:
    """A frozen policy maximises over what its mask allows."""
    played = frozen.play_alone(everybody(), range(2), Conditions(config(), TICKS))
    assert not played.invalid.any()


def test_the_same_seed_is_the_same_market_for_everybody() -> None:
    """Without impact, holders who start alike earn alike; markets of two seeds differ."""
    made = config("market.impact_bps=0", "body.fee_bps=0")
    hold = people.scripted("hold", made.genome)
    small = Entrant("small", "hold", 1.0, hold.stop_atr)
    played = frozen.play_alone([hold, small, hold], range(4), Conditions(made, TICKS))
    returns = np.diff(np.log(played.equity), axis=-1)
    assert played.equity[0].tobytes() == played.equity[2].tobytes()
    assert np.corrcoef(returns[0, 0], returns[1, 0])[0, 1] > 0.99
    assert abs(np.corrcoef(returns[0, 0], returns[0, 1])[0, 1]) < 0.6


def test_own_impact_moves_ones_own_market_only() -> None:
    """Alone, a rich neighbour's orders are not felt; in one market they are."""
    made = config("market.impact_bps=50")
    field = [people.scripted(name, made.genome) for name in ("trend", "random")]
    conditions = Conditions(made, TICKS)
    apart = frozen.play_alone(field, [3], conditions)
    shared = frozen.play(field, [Seating(3, (0, 1))], conditions)
    assert shared.equity.shape == (1, 2, TICKS + 1)
    assert (apart.equity[0, 0] != shared.equity[0, 0]).any()
    free = Conditions(config("market.impact_bps=0"), TICKS)
    still = frozen.play(field, [Seating(3, (0, 1))], free)
    assert frozen.play_alone(field, [3], free).equity[0, 0].tobytes() == still.equity[0, 0].tobytes()


def test_seat_mixes_of_any_company_are_the_same_bits() -> None:
    """Two seatings side by side give what each gives by itself; two random traders in one market differ."""
    field, conditions = everybody(), Conditions(config(), TICKS)
    mixes = [Seating(1, (0, 4, 5)), Seating(2, (4, 4, 1)), Seating(1, (2, 0, 4))]
    together = frozen.play(field, mixes, conditions)
    for index, mix in enumerate(mixes):
        assert same(row(frozen.play(field, [mix], conditions), 0), row(together, index))
    assert (together.equity[1, 0] != together.equity[1, 1]).any()


def test_what_cannot_be_played_is_refused() -> None:
    """Seatings of different sizes, no seatings, no ticks."""
    field, conditions = everybody(), Conditions(config(), TICKS)
    with pytest.raises(ConfigError, match="different sizes"):
        frozen.play(field, [Seating(1, (0,)), Seating(1, (0, 1))], conditions)
    with pytest.raises(ConfigError, match="nothing to play"):
        frozen.play(field, [], conditions)
    with pytest.raises(ConfigError, match="nothing to play"):
        frozen.play_alone(field, [1], Conditions(config(), 0))


def test_held_out_markets_have_seeds_that_no_run_can_have() -> None:
    """Held-out seed s is not run seed s: what it is derived to lies above every seed that `run` takes."""
    derived: set[int] = {frozen.market_seed(seed) for seed in range(2000)}
    assert len(derived) == 2000
    assert min(derived) > MAX_SEED
    made = config("arena.markets=1")
    runs = Market(made.market, 1, 20, 7, 10_000.0).warm_up()
    held_out = Market(made.market, 1, 20, 0, 10_000.0, paths=[frozen.path_of(7, Conditions(made, TICKS))]).warm_up()
    assert all((a.close != b.close).all() for a, b in zip(runs, held_out, strict=True))


def test_markets_on_one_path_are_twins_and_equal_to_a_market_of_its_own() -> None:
    """Equal paths give equal bars, and the bars of that seed and number in any arena."""
    market = config("market.crisis_hazard=0.02").market
    paths = [Path(9, 0), Path(9, 1), Path(9, 0), Path(8, 1)]
    mixed = Market(market, 4, 20, 0, 10_000.0, paths=paths)
    nine, eight = Market(market, 2, 20, 9, 10_000.0), Market(market, 2, 20, 8, 10_000.0)
    for ours, ninth, eighth in zip(mixed.warm_up(), nine.warm_up(), eight.warm_up(), strict=True):
        for name in ours._fields:
            wanted = np.array([*getattr(ninth, name), getattr(ninth, name)[0], getattr(eighth, name)[1]])
            assert getattr(ours, name).tobytes() == wanted.tobytes()


def test_flat_neither_wins_nor_loses() -> None:
    """And does nothing."""
    played = alone("flat")
    assert (played.equity == 10_000.0).all()
    assert not played.trades.any() and not played.invested.any()


def test_costs_of_trading_are_paid() -> None:
    """On a market at rest a holder of nine tenths loses the fee on them, and nothing after that."""
    made = config("market.source=gbm", "market.drift=0", "market.volatility=1e-12", "body.fee_bps=10")
    played = frozen.play_alone([Entrant("hold", "hold", 10.0, 1e15)], [1], Conditions(made, TICKS))
    assert played.equity[0, 0, 1:] == pytest.approx(np.full(TICKS, 10_000.0 - 9_000.0 * 10e-4))
    assert not played.trades.any()


def test_genes_of_the_body_apply() -> None:
    """A small position scale holds little, a near stop sells."""
    made = config("market.drift=0")
    careful = Entrant("careful", "hold", 1.0, 1e6)
    bold = Entrant("bold", "hold", 10.0, 1e6)
    nervous = Entrant("nervous", "hold", 10.0, 1.0)
    played = frozen.play_alone([careful, bold, nervous], range(4), Conditions(made, 200))
    spread = np.log(played.equity[:, :, -1]).std(axis=1)
    assert spread[0] < 0.3 * spread[1]
    assert not played.trades[1].any() and played.trades[2].min() > 0


def test_trades_and_profits_are_those_of_the_curve() -> None:
    """Without open positions at the end, the compounded profits of the closed trades are the growth."""
    played = alone("random", "market.impact_bps=0", seeds=range(6), ticks=200)
    for equity, closed, profit in zip(played.equity[0], played.closed[0], played.profit[0], strict=True):
        assert (profit[~closed] == 0.0).all()
        assert np.isclose(np.log(equity[-1] / equity[0]), profit.sum(), atol=0.2)
    assert 0.0 < played.invested.min() <= played.invested.max() < 1.0


def test_a_life_costs_nothing_unless_a_whole_one_is_asked_for() -> None:
    """Flat pays its living costs in a whole life, grows old, is ruined and then keeps what it last had."""
    made = config("body.living_cost_bps=500", "body.aging_rounds=0", "scars.drawdown_step=0.99")
    flat = [people.scripted("flat", made.genome)]
    paid = frozen.play_alone(flat, [1, 2], Conditions(made, 100, whole_life=True))
    assert paid.equity[0, 0, [19, 20, 21, 40]] == pytest.approx([10_000.0, 9_500.0, 9_500.0, 9_000.0])
    assert (paid.died_at == -1).all()
    dies = frozen.play_alone(flat, [1, 2], Conditions(made, 300, whole_life=True))
    assert dies.died_at.tolist() == [[219, 219]]  # under half the endowment for the first time after eleven rounds
    assert dies.equity[0, 0, 220:] == pytest.approx(np.full(81, 4_500.0))


def test_scars_are_off_unless_a_whole_life_is_asked_for() -> None:
    """A market that crashes all the time breaks a holder in a whole life only."""
    crashes = ("market.crisis_hazard=0.05", "market.crisis_jump=-0.2", "scars.severe_points=60")
    made = config(*crashes, "life.ruin_fraction=0")
    hold = [people.scripted("hold", made.genome)]
    whole = frozen.play_alone(hold, range(4), Conditions(made, 400, whole_life=True))
    frozen_only = frozen.play_alone(hold, range(4), Conditions(made, 400))
    assert (whole.died_at >= 0).all()
    assert (frozen_only.died_at < 0).all()


@pytest.fixture
def tape(tmp_path: File) -> Tape:
    """Return a tape of 400 bars."""
    (tmp_path / "prices.csv").write_text(tape_text(400))
    return read_tape(tmp_path / "prices.csv")


def taped(tape: Tape, ticks: int = TICKS, first_bar: int = 0) -> Conditions:
    """Return conditions on a tape."""
    made = config()
    market = replace(made.market, source="tape", tape_name=tape.name, tape_sha256=tape.sha256)
    return Conditions(replace(made, market=market), ticks, tape=tape, first_bar=first_bar)


def test_seeds_choose_windows_of_a_tape(tape: Tape) -> None:
    """Each seed has its own first bar, the same in any company; holders earn what the tape gave from there."""
    conditions = taped(tape)
    starts = [frozen.path_of(seed, conditions).first_bar for seed in range(200)]
    assert frozen.windows(conditions) == 400 - 128 - 60 + 1
    assert min(starts) < 10 and max(starts) > 200 and len(set(starts)) > 100
    hold = [Entrant("hold", "hold", 10.0, 1e9)]
    played = frozen.play_alone(hold, range(8), conditions)
    for seed in range(8):
        bar = starts[seed] + 128
        shares = 9_000.0 / tape.open[bar]
        cash = 1_000.0 - 9_000.0 * conditions.config.body.fee_bps * 1e-4
        wanted = cash + shares * tape.close[bar : bar + TICKS]
        assert played.equity[0, seed, 1:] == pytest.approx(wanted)
    assert same(row(frozen.play_alone(hold, [5], conditions), 0, 0), row(played, 0, 5))


def test_windows_keep_behind_what_a_run_has_seen(tape: Tape) -> None:
    """No window on the run's own tape begins before its last bar."""
    conditions = taped(tape, first_bar=180)
    assert {frozen.path_of(seed, conditions).first_bar for seed in range(300)} == set(range(180, 213))


@pytest.mark.parametrize(("ticks", "first_bar", "words"), [(280, 0, "400 bars"), (60, 213, "187 of them unseen")])
def test_a_tape_that_is_too_short_is_refused(tape: Tape, ticks: int, first_bar: int, words: str) -> None:
    """With how many bars there are and how many a window needs."""
    with pytest.raises(DataError, match=words):
        frozen.path_of(0, taped(tape, ticks, first_bar))


def leaking(market: Market) -> np.ndarray:
    """Return [M] the sign of what the background will do in the next bar after its opening: what nobody may know."""
    drawn = market._shocks
    assert drawn is not None
    if market._bar >= len(drawn.drift):
        return np.zeros(market.markets, dtype=np.int8)  # the next round is not drawn yet
    path = drawn.noise[market._bar]  # [F,M,K]
    share = market.state.fundamentalists if len(path) > 1 else 0.0
    move = share * path[0, :, -1] + (1.0 - share) * path[-1, :, -1]
    sign: np.ndarray = np.sign(move).astype(np.int8)
    return sign


@pytest.mark.slow
def test_nobody_beats_flat_on_the_null_market_and_a_leak_does(monkeypatch: pytest.MonkeyPatch) -> None:
    """No interval of 64 markets lies above zero, for strategies and networks; one who sees the next bar is found.

    The level is 99.8 %: sixteen intervals at 95 % would find something in every third sample of markets.
    """
    null = config(scenario="null")
    field = [*everybody()[:-1], *(network(number) for number in range(10, 18))]
    conditions = Conditions(null, 1000)
    growth = frozen.play_alone(field, range(64), conditions).log_growth
    found = [mean(scores, level=0.998) for scores in growth]
    assert not [entrant.name for entrant, interval in zip(field, found, strict=True) if interval.above_zero]
    monkeypatch.setattr(Market, "regime", property(leaking))
    oracle = [people.scripted("oracle", null.genome)]
    seen = mean(frozen.play_alone(oracle, range(64), conditions).log_growth[0])
    assert (seen.low or 0.0) > 0.5
