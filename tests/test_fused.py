"""The fused kernel: equal to the reference, the same bytes everywhere, and refused with a reason where it cannot be."""

import ctypes
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from agents import brains as brain
from agents import fused, fused_build
from agents.brains import Brains
from agents.config import MindConfig
from agents.fused import FusedLearner
from agents.learn import LearnStats, Rates, learn_step
from agents.replay import CUT, Batch, Draws, Replay, Rows
from arena import native
from arena.errors import EnvironmentFault
from arena.rng import purpose_key, stream, uniforms
from tests.kernels import built_with, empty_cache, every_build, needs_kernel, said_at_once

A, P = 7, 5
BUFFERS = ("params", "target", "moment1", "moment2", "steps")
FIGURES = ("loss", "td_error", "grad_norm", "q_mean", "q_max")


def founders(config: MindConfig, senses: int, ids: list[int]) -> Brains:
    """Return founders with these ids."""
    brains = brain.allocate(len(ids), senses, A, config)
    for seat, agent in enumerate(ids):
        brain.init_founder(brains, seat, 3, agent)
    return brains


def batch_of(config: MindConfig, senses: int, ids: list[int], seats: list[int], turn: int, weighted: bool) -> Batch:
    """Return random transitions; what a seat gets is a function of its agent's id and the turn."""
    rows, b = [stream(turn, "batch", ids[seat]) for seat in seats], config.batch
    return Batch(
        seats=np.array(seats),
        x=torch.from_numpy(np.stack([g.standard_normal((2 * b, senses)).astype(np.float32) for g in rows])),
        a_tm1=torch.from_numpy(np.stack([g.integers(0, A, b) for g in rows])),
        r_t=torch.from_numpy(np.stack([2.0 * g.standard_normal(b).astype(np.float32) for g in rows])),
        discount_t=torch.from_numpy(np.stack([np.where(g.random(b) < 0.1, 0, 0.9).astype(np.float32) for g in rows])),
        legal_t=torch.from_numpy(np.stack([g.integers(0, 2**A, b).astype(np.uint8) for g in rows])),
        weight=torch.from_numpy(np.stack([g.random(b).astype(np.float32) for g in rows])) if weighted else None,
    )


def rates_of(ids: list[int]) -> Rates:
    """Return rates that differ from agent to agent."""
    return Rates(np.array(ids, dtype=np.float32) * 2e-4, np.array(ids, dtype=np.float32) * 3e-3)


CONFIGS = st.builds(
    MindConfig,
    hidden=st.tuples(st.integers(1, 70), st.integers(1, 70)),
    batch=st.integers(1, 40),
    dueling=st.booleans(),
    double=st.booleans(),
    mask_bellman=st.booleans(),
    target=st.sampled_from(["soft", "hard", "none"]),
    hard_target_every=st.integers(1, 3),
    huber_delta=st.sampled_from([0.3, 1.0, 5.0]),
    grad_clip=st.sampled_from([0.05, 10.0]),
    adam_beta1=st.sampled_from([0.0, 0.9]),
    adam_beta2=st.sampled_from([0.9, 0.999]),
    adam_eps=st.sampled_from([1e-5, 1e-3]),
    prioritised=st.booleans(),
)


@needs_kernel
@settings(max_examples=40, deadline=None)
@given(config=CONFIGS, senses=st.integers(1, 40), weighted=st.booleans())
def test_equals_the_reference_whatever_is_switched_on(config: MindConfig, senses: int, weighted: bool) -> None:
    """Any shape, odd ones too: figures to 1e-4; the gradient, seen through the moments, to 1e-4 of its length."""
    ids, active = list(range(1, P + 1)), np.arange(P) != 2
    slow, quick = (founders(config, senses, ids) for _ in range(2))
    learner = FusedLearner(quick, config)
    for turn in range(2):
        for name in BUFFERS:  # the same start: near a tie of two actions, or a zero gradient, paths may part
            getattr(quick, name).copy_(getattr(slow, name))
        batch = batch_of(config, senses, ids, list(range(P)), turn, weighted)
        one = learn_step(slow, batch, rates_of(ids), active, config)
        two = learner.step(batch, rates_of(ids), active)
        for name in FIGURES:
            assert np.allclose(getattr(one, name), getattr(two, name), rtol=1e-4, atol=1e-5), name
        for name in ("moment1", "moment2"):
            gap = (getattr(slow, name) - getattr(quick, name)).norm(dim=1)
            assert torch.all(gap <= 1e-4 * getattr(slow, name).norm(dim=1) + 1e-7), name
        clear = slow.moment2 > 1e-10  # a zero gradient has no direction
        for name in ("params", "target"):
            assert torch.allclose(getattr(slow, name)[clear], getattr(quick, name)[clear], rtol=1e-3, atol=2e-5), name
        assert torch.equal(slow.steps, quick.steps)
        assert np.array_equal(one.updated, active) and np.array_equal(two.updated, active)
        assert (two.priority is not None) == config.prioritised
        if one.priority is not None and two.priority is not None:
            assert np.allclose(one.priority[active], two.priority[active], rtol=1e-4, atol=1e-5)


def learned(
    config: MindConfig, ids: list[int], seats: list[int], threads: int = 1, library: ctypes.CDLL | None = None
) -> tuple[Brains, LearnStats]:
    """Return what three updates of these seats make, with the figures of the last."""
    brains, active = founders(config, 19, ids), np.isin(np.arange(len(ids)), seats)
    learner, stats = FusedLearner(brains, config, threads, library), LearnStats.allocate(len(ids))
    for turn in range(3):
        stats = learner.step(batch_of(config, 19, ids, seats, turn, True), rates_of(ids), active)
    return brains, stats


SHAPES = [(20, 33), (32, 64), (64, 64)]


@needs_kernel
@pytest.mark.parametrize("hidden", SHAPES, ids=str)
@pytest.mark.parametrize("threads", [1, 2, 3])
def test_bytes_depend_neither_on_threads_nor_on_seats_nor_on_neighbours(hidden: tuple[int, int], threads: int) -> None:
    """Other seats, some empty, other workers: the same weights and figures for the same agent."""
    config, ids = MindConfig(hidden=hidden, batch=13), list(range(1, 10))
    whole, figures = learned(config, ids, list(range(9)))
    order = stream(threads, "order").permutation(ids).tolist()
    seats = [seat for seat in range(9) if order[seat] not in (2, 5)]
    other, others = learned(config, order, seats, threads)
    for seat in seats:
        for name in BUFFERS:
            assert torch.equal(getattr(other, name)[seat], getattr(whole, name)[order[seat] - 1]), name
        for name in FIGURES:
            assert getattr(others, name)[seat] == getattr(figures, name)[order[seat] - 1], name
    fresh = founders(config, 19, order)
    for seat in set(range(9)) - set(seats):
        assert all(torch.equal(getattr(other, name)[seat], getattr(fresh, name)[seat]) for name in BUFFERS)


@needs_kernel
@every_build
def test_an_update_depends_neither_on_the_vector_width_nor_on_the_optimiser(
    flags: tuple[str, ...], tmp_path: Path
) -> None:
    """The same source for other instructions: the same weights, moments and figures, last bit included."""
    library = built_with(flags, tmp_path)
    for hidden in SHAPES:
        config, ids = MindConfig(hidden=hidden, batch=13), [4, 8, 2]
        one, two = learned(config, ids, [0, 1, 2]), learned(config, ids, [0, 1, 2], library=library)
        assert all(torch.equal(getattr(one[0], name), getattr(two[0], name)) for name in BUFFERS)
        assert all(np.array_equal(getattr(one[1], name), getattr(two[1], name)) for name in FIGURES)


@needs_kernel
@pytest.mark.parametrize("senses", [32, 19])
@pytest.mark.parametrize("n_step", [1, 3])
def test_the_rings_give_what_a_batch_gives(n_step: int, senses: int) -> None:
    """Drawn in C, given as rows or gathered by Replay: the same bytes, over wraps, ends of life and CUT rows."""
    config, ids = MindConfig(hidden=(20, 32), batch=11, n_step=n_step), np.array([5, 99, 3, 1, 7])
    made = [founders(config, senses, ids.tolist()) for _ in range(3)]
    batched, drawn, rowed = (FusedLearner(brains, config) for brains in made)
    replay, draw, key = Replay.allocate(P, 64, senses), stream(0, "ring"), purpose_key(1, "r")
    everybody = np.ones(P, bool)
    gamma, rates, seats = np.linspace(0.5, 0.99, P), rates_of([1, 2, 3, 4, 5]), np.arange(P)
    for tick in range(150):
        obs, bits = draw.standard_normal((P, senses)).astype(np.float32), draw.integers(1, 128, P).astype(np.uint8)
        replay.add(everybody, obs, bits, draw.integers(0, A, P), draw.standard_normal(P), draw.random(P) < 0.1)
        if tick == 40:
            replay.done[:, 10:14] = CUT
        if tick < 20 or tick % 5:
            continue
        u = uniforms(key, ids, tick, 22)[:, 11:]
        batch = replay.sample(u, n_step, gamma)
        batched.step(batch, rates, everybody)
        drawn.step_drawn(replay, Draws(seats, ids, key, tick, 11), gamma, rates, everybody)
        newest, choices = (replay.write - 1 - n_step)[:, None], np.maximum(replay.filled - n_step, 1)[:, None]
        weight = np.ones(u.shape, np.float32) if batch.weight is None else batch.weight.numpy()
        row = (newest - (u * choices).astype(np.int64)) % 64
        rowed.step_rows(replay, Rows(seats, row, weight), gamma, rates, everybody)
        for other in made[1:]:
            assert all(torch.equal(getattr(made[0], name), getattr(other, name)) for name in BUFFERS), tick


@needs_kernel
@pytest.mark.parametrize("poison", [np.nan, np.inf, 3.4e38])
@pytest.mark.parametrize("where", ["r_t", "x", "params"])
def test_what_is_not_finite_stops_one_agent_only(where: str, poison: float) -> None:
    """It is flagged and keeps its bytes; the others come out as if nothing had happened."""
    config, ids, active = MindConfig(hidden=(20, 32), batch=9), [1, 2, 3, 4, 5], np.ones(P, bool)
    healthy, sick = (founders(config, 19, ids) for _ in range(2))
    FusedLearner(healthy, config).step(batch_of(config, 19, ids, list(range(P)), 0, False), rates_of(ids), active)
    batch = batch_of(config, 19, ids, list(range(P)), 0, False)
    if where == "params":
        sick.params[3, 5] = poison
    else:
        getattr(batch, where)[3, 2:4] = poison
    before = sick.params[3].clone()
    stats = FusedLearner(sick, config).step(batch, rates_of(ids), active)
    assert stats.failed.tolist() == [seat == 3 for seat in range(P)]
    assert torch.equal(sick.params[3].view(torch.int32), before.view(torch.int32)) and not sick.moment1[3].any()
    others = [0, 1, 2, 4]
    assert all(torch.equal(getattr(sick, name)[others], getattr(healthy, name)[others]) for name in BUFFERS)


# ---- getting one: compilers, caches, refusals


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty cache, and a process that has not asked yet."""
    yield from empty_cache(tmp_path / "kernels", monkeypatch, fused._library)


@needs_kernel
def test_a_compiler_is_found_from_every_directory(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """$CC may be relative: it is called in the cache, and would not be there."""
    (tmp_path / "cc").symlink_to(native.find_compiler()[0])
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CC", "./cc -pipe")
    assert native.compiled("int nothing(void) { return 0; }", ()).exists()


@pytest.mark.parametrize(
    ("compiler", "reason"),
    [
        ("no-such-compiler", "is not a program here; unset it or name a C compiler"),
        ("'unbalanced", "cannot be read"),
        (f"{sys.executable} -c raise(SystemExit(3))", "cannot compile the kernel .* set \\$CC to another compiler"),
    ],
)
def test_a_compiler_that_does_not_work_is_named(
    compiler: str, reason: str, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """auto falls back and tells why; by name it is exit 5; nothing is left in the cache."""
    monkeypatch.setenv("CC", compiler)
    learner, why = fused.resolve("auto")
    assert learner == "fast"
    with pytest.raises(EnvironmentFault, match=reason) as caught:
        fused.resolve("fused")
    assert why in str(caught.value) and "\n" not in str(caught.value)
    assert not cache.exists() or not list(cache.iterdir())


def test_no_compiler_at_all(cache: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The reason says what to install."""
    monkeypatch.setenv("PATH", str(tmp_path))
    assert fused.resolve("auto") == (
        "fast", "no C compiler: none of cc, gcc, clang is on the path; install one or set $CC"
    )  # fmt: skip


@needs_kernel
def test_a_cache_that_cannot_be_written(cache: Path) -> None:
    """A file where the directory should be."""
    cache.write_text("")
    learner, why = fused.resolve("auto")
    assert learner == "fast" and "cannot be kept there" in why and "XDG_CACHE_HOME" in why


@needs_kernel
@pytest.mark.parametrize("damage", ["truncated", "other bytes", "no digest"])
def test_a_damaged_build_is_made_again(damage: str, cache: Path) -> None:
    """Before it is loaded: a truncated library would kill the process."""
    library = fused_build.compiled_library()
    sound = library.read_bytes()
    if damage == "no digest":
        library.with_name("kernel.sha256").unlink()
    else:
        library.unlink()  # never write into a mapped file
        library.write_bytes(sound[:1000] if damage == "truncated" else b"\0" * len(sound))
    assert fused_build.compiled_library() == library
    assert fused.self_test(fused.open_library(library)) == ""
    assert [path.name for path in cache.iterdir()] == [library.parent.name], "nothing half-made is left"


@needs_kernel
@pytest.mark.slow
def test_processes_that_compile_at_once_do_not_disturb_each_other(tmp_path: Path) -> None:
    """Three at once, one build, all of them served."""
    program = "from agents import fused; print(fused.resolve('fused')[0])"
    assert said_at_once(program, 3, tmp_path) == ["fused"] * 3
    assert len(list((tmp_path / "lineage-arena" / "kernels").iterdir())) == 1


SABOTAGE = {
    "a wrong sign": ("splat16(-rate)", "splat16(rate)"),
    "the mask forgotten": ("j->mask ? from->legal_t[i] : 255u", "255u"),
    "the clip forgotten": ("norm > j->clip ?", "norm < 0.0f ?"),
    "no dueling mean": ("float part = -1.0f / (float)a, lift", "float part = 0.0f, lift"),
    "a bias left out": ("db2, b, p2);", "db2, b - 1, p2);"),
    "another power": ("sum * z + 0.9617966939259756", "sum * z + 0.9617966939"),
    "a sum forgotten": ("from >>= 1, to = (to + 1) >> 1", "from >>= 1, to >>= 1"),
    "no dueling bias": ("n.b3[i] + lift;", "n.b3[i];"),
    "another way to explore": ("skip > 0; skip--", "skip > 1; skip--"),
    "the mask forgotten in acting": ("return best(q, j->actions, legal);", "return best(q, j->actions, 255u);"),
    "a length cut short": ("for (int64_t k = 0; k < n; k += LANES) {", "for (int64_t k = LANES; k < n; k += LANES) {"),
    "another argument": ("uint64_t key, tick, column;", "uint64_t key, tick, column, more;"),
}


@needs_kernel
@pytest.mark.parametrize("fault", SABOTAGE)
def test_a_kernel_that_computes_wrongly_is_refused(fault: str, cache: Path) -> None:
    """Sabotage of the source: the self-test at loading notices each of them."""
    old, new = SABOTAGE[fault]
    source = fused_build.kernel_source()
    assert source.count(old) == 1
    library = fused_build.compiled_library(source.replace(old, new), (*native.processor_flags(), "-O1"))
    with pytest.raises(EnvironmentFault, match=r"computes wrongly|other arguments"):
        fused.open_library(library)


def test_a_library_that_is_no_kernel_is_refused(tmp_path: Path) -> None:
    """Text with the right name; a sound library of somebody else."""
    (tmp_path / "kernel.so").write_text("no library")
    with pytest.raises(EnvironmentFault, match="cannot be loaded"):
        fused.open_library(tmp_path / "kernel.so")
    other = next(Path(torch.__file__).parent.glob("lib/libc10.*"))
    with pytest.raises(EnvironmentFault, match="is no kernel of ours"):
        fused.open_library(other)


def test_on_another_device_the_fast_learner_works() -> None:
    """auto gives way, fused by name is refused."""
    assert fused.resolve("auto", "cuda")[0] == "fast"
    with pytest.raises(EnvironmentFault, match="works on the CPU"):
        fused.resolve("fused", "cuda:0")
