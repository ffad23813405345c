"""The tick in C: the bytes of numpy, in every phase, on whole lives, with and without a compiler."""

import copy
import ctypes
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from arena import native
from arena.arrays import fingerprint
from arena.body.state import Accounts
from arena.config import BodyConfig, MarketConfig, RewardConfig, ScarConfig
from arena.errors import EnvironmentFault, InvariantError, StoreError
from arena.kernel import binding, trial
from arena.kernel.binding import ACCOUNTS, BODIES, address
from arena.kernel.market import KernelMarket
from arena.kernel.phases import KernelPhases
from arena.kernel.senses import KernelSenses
from arena.market.background import Market
from arena.market.clearing import Clearing
from arena.phases import NumpyPhases
from arena.rng import stream
from arena.senses.indicators import MarketSenses
from tests.arenas import make_arena
from tests.commands import call
from tests.kernels import empty_cache, said_at_once

FOUND = binding.find()
needs_kernel = pytest.mark.skipif(isinstance(FOUND, str), reason=f"no kernel here: {FOUND}")
pytestmark = needs_kernel


def kernel() -> ctypes.CDLL:
    """Return the kernel of this machine."""
    return binding.needed()


# ---- phase by phase against the specification

RULES = {
    "defaults": trial.RULES,
    "five parts of lineage5": trial.RULES._replace(reward=RewardConfig(preset="lineage5")),
    "no room at all": trial.RULES._replace(body=BodyConfig(max_weight=0.0, min_notional=0.0, fee_bps=0.0)),
    "small orders forbidden": trial.RULES._replace(body=BodyConfig(min_notional=3_000.0, fee_bps=1000.0)),
    "damage forbids nothing": trial.RULES._replace(scars=ScarConfig(buy_large_limit=2**80, add_limit=2**80)),
    "damage forbids all": trial.RULES._replace(scars=ScarConfig(buy_large_limit=0, add_limit=0)),
    "a small world": trial.RULES._replace(body=BodyConfig(endowment=0.37), reward=RewardConfig(clip=0.1)),
}
seeds = st.integers(0, 2**31)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 4), st.integers(1, 300), seeds, st.sampled_from(sorted(RULES)))
@example(1, 1, 0, "defaults")
@example(1, 8, 0, "defaults")
@example(2, 129, 0, "defaults")
@example(1, 1088, 0, "defaults")
def test_every_phase_of_a_tick_has_the_bytes_of_numpy(markets: int, seats: int, key: int, rules: str) -> None:
    """Apprentices, the dead, debts, stops, collars, broken books: any bodies at all."""
    assert trial.phases_differ(kernel(), markets, seats, key, RULES[rules]) == ""


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 9), st.integers(1, 120), seeds, st.sampled_from([0, 97, 199, 215, 6_795]))
def test_the_senses_have_the_bytes_of_numpy(markets: int, bars: int, key: int, seen: int) -> None:
    """From the first bar on, past every window's length, and where the history is shifted."""
    assert trial.senses_differ(kernel(), markets, bars, key, seen) == ""


MARKETS = {
    "default": MarketConfig(),
    "crises and a narrow collar": trial.CRISES,
    "one auction a bar": MarketConfig(sub_ticks=1, collar=1.0),
    "many auctions a bar": MarketConfig(sub_ticks=37, impact_bps=300.0, volatility=0.3),
    "no impact": MarketConfig(impact_bps=0.0, drift=0.0),
}


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 9), seeds, st.sampled_from(sorted(MARKETS)))
def test_prices_have_the_bytes_of_numpy(markets: int, key: int, config: str) -> None:
    """Orders from a cent to a hundred endowments; at the collar numpy takes over and hands back."""
    assert trial.market_differs(kernel(), markets, 12, key, MARKETS[config]) == ""


def test_the_trial_covers_what_it_should() -> None:
    """Every seat state, executed action, stop, forced sale, ruin and broken book occurs in the compared games."""
    seen: set[str] = set()
    for key in range(12):
        draw = stream(key, "cover")
        bodies, senses = trial.random_bodies(draw, 2, 40), MarketSenses(2)
        senses.update(trial.random_bars(draw, 2))
        seen |= {f"status {status}" for status in bodies.status.tolist()}
        for phase, found in trial.tick(NumpyPhases(bodies, Accounts.allocate(2), trial.RULES), senses, draw):
            if phase == "decide":
                seen |= {f"action {action}" for action in found[0].tolist()}
                flags = dict(zip(("stop", "sale", "illegal"), found[3:6], strict=True))
                seen |= {name for name, column in flags.items() if column.any()}
            elif phase == "pay_arrears" and found[0].any():
                seen.add("arrears")
            elif phase == "reward" and found[2].any():
                seen.add("ruin")
            elif phase == "check":
                seen.add("balanced" if found == "balanced" else "broken")
    wanted = {f"status {status}" for status in range(4)} | {f"action {action}" for action in range(7)}
    assert seen >= wanted | {"stop", "sale", "illegal", "arrears", "ruin", "balanced", "broken"}


# ---- what is left to numpy


def phases_of_a_few() -> tuple[KernelPhases, NumpyPhases]:
    """Return phases of the same five bodies in C and in numpy, looked at once."""
    draw = stream(1, "few")
    bodies, senses = trial.random_bodies(draw, 1, 5), MarketSenses(1)
    senses.update(trial.random_bars(draw, 1))
    both = (
        KernelPhases(copy.deepcopy(bodies), Accounts.allocate(1), trial.RULES, kernel()),
        NumpyPhases(bodies, Accounts.allocate(1), trial.RULES),
    )
    for phases in both:
        phases.observe(senses)
        phases.allow(senses.close)
    return both


@pytest.mark.parametrize("wrong", [7, -1, 100])
def test_an_action_that_is_none_does_what_it_did(wrong: int) -> None:
    """Environments refuse it before; here the kernel touches nothing and numpy has its way."""
    outcomes = []
    close, nobody = np.array([100.0]), np.zeros(5, dtype=bool)
    for phases in phases_of_a_few():
        try:
            found = phases.decide(np.array([0, wrong, 0, 0, 0], dtype=np.int8), close, nobody)
            outcomes.append([column.tolist() for column in found])
        except IndexError as error:
            outcomes.append([str(error)])
    assert outcomes[0] == outcomes[1]


def test_a_debt_that_rounding_does_not_explain_stops_the_run() -> None:
    """The message names the seat; a debt of rounding is forgiven."""
    said = []
    for phases in phases_of_a_few():
        close = np.array([100.0])
        phases.bodies.status[:] = 2
        orders = phases.decide(np.zeros(5, dtype=np.int8), close, np.zeros(5, dtype=bool))
        clearing = Clearing(close, np.log(close), np.ones(1), np.ones(1), np.zeros(1, dtype=bool))
        phases.bodies.cash[3] = -1e-9
        phases.settle(orders, clearing, np.array([2e7]))
        assert phases.bodies.cash[3] == 0.0
        phases.bodies.cash[3] = -1.0
        with pytest.raises(InvariantError, match="seat 3: cash fell to") as caught:
            phases.settle(orders, clearing, np.array([2e7]))
        said.append(str(caught.value))
    assert said[0] == said[1]


def test_the_kernel_is_asked_again_after_an_auction_of_the_callers_own() -> None:
    """A reservation price that is not the market's, and one that was read twice, go through numpy."""
    slow = Market(MarketConfig(), 2, 8, 3, 1e4)
    quick = KernelMarket(MarketConfig(), 2, 8, 3, 1e4, None, kernel())
    for market in (slow, quick):
        market.begin_round(0)
    nothing, some = np.zeros(2), np.array([1e5, 3e6])
    for turn in range(8):
        bars = []
        for market in (slow, quick):
            m = market.reserve()
            clearing = market.clear(m + 0.01 if turn % 3 == 1 else m, some, nothing)
            if turn % 3 == 2:
                clearing = clearing._replace(price=clearing.price)
            bars.append(market.roll_bar(clearing, some, nothing))
        assert all(a.tobytes() == b.tobytes() for a, b in zip(*bars, strict=True)), turn


def test_nobody_replaces_a_column() -> None:
    """The kernel knows where the columns are: rounds, a cleared seat and a restored checkpoint leave them there."""
    arena = make_arena(2, 6, apprentice_rounds=1, ticks=4, market=MarketConfig(warmup_bars=128))
    where = {name: address(getattr(arena.bodies, name)) for name in BODIES}
    where |= {name: address(getattr(arena.accounts, name)) for name in ACCOUNTS}
    saved = {name: array.copy() for name, array in arena.state_arrays().items()}
    for turn in range(8):
        _, mask = arena.observe()
        arena.step(mask.argmax(axis=1) if turn % 2 else np.where(mask[:, 2], 2, 0))
        if turn % 4 == 3:
            arena.end_round()
            arena.market.begin_round(turn // 4 + 1)
    arena.restore(saved)
    arena.bodies.clear_seat(3)
    now = {name: address(getattr(arena.bodies, name)) for name in BODIES}
    assert now | {name: address(getattr(arena.accounts, name)) for name in ACCOUNTS} == where


def test_a_checkpoint_that_would_lead_the_kernel_astray_is_refused() -> None:
    """Who forges a checkpoint together with its hash gets no write outside of the history."""
    arena = make_arena()
    saved = {name: array.copy() for name, array in arena.state_arrays().items()}
    saved["senses.bars_seen"][0] = -3
    with pytest.raises(StoreError, match=r"^checkpoint: senses.bars_seen is -3, below 0; remove the file"):
        arena.restore(saved)


# ---- copies, neighbours, threads


def state_after(arena: Any, ticks: int, seed: int = 0) -> str:
    """Return the fingerprint of an arena after so many ticks of random legal actions."""
    draw = stream(seed, "choices")
    for _ in range(ticks):
        _, mask = arena.observe()
        arena.step((draw.random(mask.shape) * mask).argmax(axis=1))
    return fingerprint(arena.state_arrays() | {"obs": arena.obs, "mask": arena.mask})


def test_a_copy_goes_its_own_way() -> None:
    """Taken between a look and a step: it comes to the same end, and the original does not notice."""
    arena = make_arena(2, 9, apprentice_rounds=1)
    state_after(arena, 5)
    arena.observe()
    other = copy.deepcopy(arena)
    assert isinstance(other._phases, KernelPhases) and isinstance(other.senses, KernelSenses)
    orders = np.ones(18, dtype=np.int8)
    other.step(orders)
    end = state_after(other, 20)
    arena.step(orders)
    assert state_after(arena, 20) == end
    assert address(arena.bodies.cash) != address(other.bodies.cash)


def test_a_copy_needs_a_kernel_where_it_arrives(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was sent to a machine without a compiler says so."""
    arena = make_arena()
    monkeypatch.setattr(binding, "find", lambda: "no C compiler")
    with pytest.raises(EnvironmentFault, match=r"copied from a process with a compiled kernel.*no C compiler"):
        copy.deepcopy(arena)


def test_arenas_in_one_process_do_not_meet() -> None:
    """Two that take turns, and four in four threads: the state of each is that of an arena alone."""
    alone = [state_after(make_arena(2, 30, seed=seed), 40, seed) for seed in range(4)]
    one, two = make_arena(2, 30, seed=0), make_arena(2, 30, seed=1)
    draws = [stream(seed, "choices") for seed in range(2)]
    for _ in range(40):
        for arena, draw in zip((one, two), draws, strict=True):
            _, mask = arena.observe()
            arena.step((draw.random(mask.shape) * mask).argmax(axis=1))
    assert [state_after(arena, 0) for arena in (one, two)] == alone[:2]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda seed: state_after(make_arena(2, 30, seed=seed), 40, seed), range(4)))
    assert together == alone


# ---- getting one


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty cache, and a process that has not asked yet."""
    yield from empty_cache(tmp_path / "kernels", monkeypatch, binding.find)


def test_without_a_compiler_numpy_plays(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same world, slower; the reason is one line."""
    with_kernel = state_after(make_arena(2, 9, apprentice_rounds=1), 30)
    binding.find.cache_clear()
    monkeypatch.setattr(native, "COMPILERS", ())
    reason = binding.find()
    assert isinstance(reason, str) and "no C compiler" in reason and "\n" not in reason
    arena = make_arena(2, 9, apprentice_rounds=1)
    for player, kind in ((arena._phases, KernelPhases), (arena.senses, KernelSenses), (arena.market, KernelMarket)):
        assert not isinstance(player, kind)
    assert state_after(arena, 30) == with_kernel


@pytest.mark.parametrize("damage", ["truncated", "no digest"])
def test_a_damaged_build_is_made_again(damage: str, cache: Path) -> None:
    """Before it is loaded."""
    library = native.compiled(binding.kernel_source(), ("-O0",))
    sound = library.read_bytes()
    library.with_name("kernel.sha256").unlink() if damage == "no digest" else library.unlink()
    if damage == "truncated":
        library.write_bytes(sound[:1000])
    assert native.compiled(binding.kernel_source(), ("-O0",)) == library
    assert trial.differing(binding.open_library(library)) == ""


def variants() -> dict[str, tuple[str, ...]]:
    """Return flags under which the same source must compute the same bytes."""
    here = native.processor_flags()
    plain = {"any processor": ()} if here == ("-march=native",) else {}
    return {"unoptimised": (*here, "-O0"), "little optimised": (*here, "-O1")} | plain


@pytest.mark.parametrize("flags", variants().values(), ids=list(variants()))
def test_bytes_depend_neither_on_the_processor_nor_on_the_optimiser(flags: tuple[str, ...], cache: Path) -> None:
    """Vectors or none, multiply-add instructions or none."""
    library = binding.open_library(native.compiled(binding.kernel_source(), flags))
    assert trial.differing(library) == ""
    assert trial.phases_differ(library, 2, 77, 9) == ""


SABOTAGE = {
    "a wrong sign in the room": ("room -= j->shares", "room += j->shares"),
    "a limit half as high again": ("full * FRACTION[BUY_SMALL] >=", "full * FRACTION[BUY_SMALL] > 1.5 *"),
    "stops forgotten": ("j->close[m] <= j->entry_price[p] -", "j->close[m] <= 0.0 * j->entry_price[p] -"),
    "the dead cannot sell": ("stopped[p] || (estate && forced)", "stopped[p]"),
    "paper in the auction": ("j->status[first + i] == APPRENTICE ? 0.0", "j->status[first + i] == 9 ? 0.0"),
    "another order of a sum": ("(r[4] + r[5]) + (r[6] + r[7])", "(r[4] + r[6]) + (r[5] + r[7])"),
    "a fee twice": ("+ (spent + fee)", "+ (spent + fee + fee)"),
    "a peak forgotten": ("j->drawdown_step[p] = 0;", ";"),
    "books that always balance": ("<= 0.0);\n    wrong |= !(fabs(shares", "<= 1e9);\n    wrong |= !(fabs(shares"),
    "a part without its sign": ("-weights[1]", "weights[1]"),
    "the reward's base kept": ("j->reward_equity[p] = j->equity[p];", ""),
    "a lag of another bar": ("25, 50, 100}", "25, 51, 100}"),
    "a loss as a gain": ("step[LOSS] = step[GAIN] - rise", "step[LOSS] = step[GAIN] + rise"),
    "a biased variance": ("(n - Q + 1) * (1.0 -", "(n - Q) * (1.0 -"),
    "fees of apprentices": ("damage * (double)!paper", "damage"),
    "a constant's last digit": ("MU = 0.01,", "MU = 0.01000000001,"),
    "one step of Halley's halved": ("0.5 * f * (g / slope)", "0.25 * f * (g / slope)"),
    "no collar": ("fabs(j->x[m]) > j->collar", "fabs(j->x[m]) > 1e9"),
    "a low that is high": ("low = min_of(low, prices[i])", "low = max_of(low, prices[i])"),
}


@pytest.mark.parametrize("fault", SABOTAGE)
def test_a_kernel_that_computes_wrongly_is_refused(fault: str, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sabotage of the source: the trial notices each of them, and numpy plays."""
    old, new = SABOTAGE[fault]
    source = binding.kernel_source()
    assert source.count(old) == 1
    monkeypatch.setattr(binding, "kernel_source", lambda: source.replace(old, new))
    monkeypatch.setattr(native, "processor_flags", lambda: ("-O0",))
    reason = binding.find()
    assert isinstance(reason, str) and "computes wrongly" in reason
    assert binding.library() is None


def test_other_arguments_are_refused(cache: Path) -> None:
    """A job that has grown in C alone."""
    source = binding.kernel_source().replace("  float *reward;\n} job;", "  float *reward, *more;\n} job;")
    with pytest.raises(EnvironmentFault, match="takes other arguments"):
        binding.open_library(native.compiled(source, ("-O0",)))


def test_a_library_of_somebody_else_is_refused(cache: Path) -> None:
    """A sound library without our functions."""
    with pytest.raises(EnvironmentFault, match="is no kernel of ours"):
        binding.open_library(native.compiled("int nothing(void) { return 0; }", ("-O0",)))


@pytest.mark.slow
def test_processes_that_compile_at_once_do_not_disturb_each_other(tmp_path: Path) -> None:
    """Three at once, one build."""
    program = "from arena.kernel import binding; print(binding.library() is not None)"
    assert said_at_once(program, 3, tmp_path) == ["True"] * 3
    assert len(list((tmp_path / "lineage-arena" / "kernels").iterdir())) == 1


def test_doctor_says_who_plays_the_ticks(monkeypatch: pytest.MonkeyPatch) -> None:
    """C, or numpy and why; the latter is no failure."""
    lines = {line.split()[1]: line for line in call("doctor").out.splitlines()}
    assert lines["ticks"].split(maxsplit=2)[::2] == ["ok", "C: compiled here and equal to numpy"]
    monkeypatch.setattr(binding, "find", lambda: "no C compiler")
    lines = {line.split()[1]: line for line in call("doctor").out.splitlines()}
    assert lines["ticks"].split(maxsplit=2)[::2] == ["warn", "numpy: no C compiler"]
