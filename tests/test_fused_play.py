"""Acting in the kernel: the Q-values and decisions of torch and numpy, and the same bytes everywhere."""

import ctypes
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from agents import fused, fused_play, genome
from agents.brains import founder_weights
from agents.config import GenomeConfig, MindConfig
from agents.layout import Layout, layout_of
from agents.mind import Minds, kind_of
from agents.networks import Networks, gaps
from agents.policy import Chances
from arena.errors import StoreError
from arena.rng import purpose_key, stream
from arena.spec import N_ACTIONS, OBS_DIM
from tests import runs
from tests.kernels import built_with, every_build, needs_kernel
from tests.test_fused import SHAPES

P = 9
KEY = purpose_key(4, "play")


def grown(layout: Layout, ids: list[int]) -> torch.Tensor:
    """Return [P,n_params] weights of these agents, biases too."""
    weights = torch.from_numpy(np.stack([founder_weights(layout, 3, agent) for agent in ids]))
    weights[:, : layout.n_weights] += 0.03
    return weights


def seen(senses: int, ids: list[int], width: int) -> np.ndarray:
    """Return [P,width,D] f32: what an agent sees is a function of its id."""
    return np.stack([stream(1, "seen", agent).standard_normal((width, senses)).astype(np.float32) for agent in ids])


def choices(ids: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """Return mask bits [P] u8 and epsilon [P] f64 by id."""
    rows = [stream(2, "choices", agent) for agent in ids]
    return np.array([g.integers(0, 128) for g in rows], np.uint8), np.array([g.random() for g in rows])


@needs_kernel
@settings(max_examples=60, deadline=None)
@given(
    hidden=st.tuples(st.integers(1, 70), st.integers(1, 70)), senses=st.integers(1, 40), dueling=st.booleans(),
    width=st.integers(1, 20), tick=st.integers(0, 2**40),
)  # fmt: skip
def test_kernel_and_torch_agree(hidden: tuple[int, int], senses: int, dueling: bool, width: int, tick: int) -> None:
    """Any shape, odd ones too: Q to 1e-5 of the largest; the same decisions where no two actions are nearly tied."""
    layout, ids = layout_of(senses, N_ACTIONS, hidden, dueling), list(range(P))
    weights, obs = grown(layout, ids), seen(senses, ids, width)
    mine, theirs = (Networks(layout, weights, name, width) for name in ("fused", "fast"))
    q, known = mine.q_values(obs), theirs.q_values(obs)
    assert q.shape == known.shape == (P, width, N_ACTIONS)
    assert np.abs(q - known).max() <= 1e-5 * np.abs(known).max() + 1e-7
    legal, epsilon = choices(ids)
    mine, theirs = (Networks(layout, weights, name) for name in ("fused", "fast"))
    chances, wanted = Chances(KEY, np.array(ids), tick), np.array(ids) != 4
    one, two = (networks.decide(obs[:, 0], legal, epsilon, chances, wanted) for networks in (mine, theirs))
    best = np.sort(known[:, 0], axis=1)
    clear = best[:, -1] - best[:, -2] > 1e-4 * np.abs(best).max()
    assert not one[0][4] and not one[1][4]
    for told, right in zip(one, two, strict=True):
        assert told.dtype == right.dtype and np.array_equal(told[clear], right[clear])


def decided(layout: Layout, ids: list[int], library: ctypes.CDLL | None = None) -> dict[int, tuple[bytes, int, bool]]:
    """Return by id what the agents in these seats make of what they see; seats with id -1 are not asked."""
    library = fused.fused_library() if library is None else library
    weights, obs, wanted = grown(layout, [abs(i) for i in ids]), seen(19, [abs(i) for i in ids], 1), np.array(ids) >= 0
    play = fused_play.FusedPlay(layout, weights, library, 1)
    legal, epsilon = choices([abs(i) for i in ids])
    told, forbidden = play.decide(obs, legal, epsilon, Chances(KEY, np.array(ids), 7), wanted)
    q = play.q_values(obs)
    apart = fused_play.gaps(library, weights, weights * 1.25)
    return {
        agent: (q[seat].tobytes() + apart[seat].tobytes(), int(told[seat]), bool(forbidden[seat]))
        for seat, agent in enumerate(ids) if wanted[seat]
    }  # fmt: skip


@needs_kernel
@pytest.mark.parametrize("hidden", SHAPES, ids=str)
def test_a_decision_depends_neither_on_the_seat_nor_on_the_neighbours(hidden: tuple[int, int]) -> None:
    """Other seats, some not asked: the same bytes of Q, the same decision."""
    layout = layout_of(19, N_ACTIONS, hidden, True)
    whole = decided(layout, list(range(P)))
    other = decided(layout, [8, -1, 3, 0, -1, 5])
    assert other == {agent: whole[agent] for agent in (8, 3, 0, 5)}


@needs_kernel
@pytest.mark.parametrize("hidden", SHAPES, ids=str)
def test_q_does_not_depend_on_what_is_asked_beside_it(hidden: tuple[int, int]) -> None:
    """One row or seventeen at once, the rest of the rows left out: the same bytes."""
    layout, ids = layout_of(19, N_ACTIONS, hidden, True), list(range(P))
    weights, obs, library = grown(layout, ids), seen(19, ids, 17), fused.fused_library()
    whole = fused_play.FusedPlay(layout, weights, library, 17).q_values(obs)
    counts = np.arange(P) * 2
    some = fused_play.FusedPlay(layout, weights, library, 17, counts).q_values(obs)
    for seat in ids:
        alone = fused_play.FusedPlay(layout, weights[seat : seat + 1], library, 1)
        for row in range(17):
            assert alone.q_values(obs[seat : seat + 1, row : row + 1]).tobytes() == whole[seat, row].tobytes()
        assert some[seat, : counts[seat]].tobytes() == whole[seat, : counts[seat]].tobytes()
        assert not some[seat, counts[seat] :].any()


@needs_kernel
@every_build
def test_a_decision_depends_neither_on_the_vector_width_nor_on_the_optimiser(
    flags: tuple[str, ...], tmp_path: Path
) -> None:
    """The same source for other instructions: the same Q, the same decisions, the same lengths."""
    library = built_with(flags, tmp_path)
    for hidden in SHAPES:
        for dueling in (True, False):
            layout = layout_of(19, N_ACTIONS, hidden, dueling)
            assert decided(layout, list(range(P)), library) == decided(layout, list(range(P)))


@needs_kernel
def test_a_network_that_is_not_finite_decides_for_itself_only() -> None:
    """Its best action is the first that is no number, as in numpy; the others decide as before."""
    layout, ids = layout_of(19, N_ACTIONS, (20, 33), True), list(range(P))
    weights, obs, (legal, _) = grown(layout, ids), seen(19, ids, 1)[:, 0], choices(ids)
    sick = weights.clone()
    sick[3, : layout.n_weights] = torch.nan
    told = {}
    for name in ("fused", "fast"):
        for kind, rows in (("healthy", weights), ("sick", sick)):
            networks = Networks(layout, rows, name)
            chances = Chances(KEY, np.array(ids), 1)
            told[kind, name] = networks.decide(obs, legal, np.zeros(P), chances, np.ones(P, bool))
    others = np.arange(P) != 3
    assert np.array_equal(told["healthy", "fused"][0][others], told["sick", "fused"][0][others])
    for part in range(2):
        assert told["sick", "fused"][part][3] == told["sick", "fast"][part][3]


@needs_kernel
def test_what_the_agent_screen_shows_is_what_was_decided_by() -> None:
    """Without exploration the best legal action by `Minds.q_values` is the action, with blinkers too."""
    for sense_scars in (True, False):
        config = MindConfig(hidden=(16, 24), replay_capacity=64, sense_scars=sense_scars)
        minds = Minds(config, GenomeConfig(), P, 3, learner="fused")
        for seat in range(P - 1):
            minds.new_founder(seat, seat + 1, kind_of("trend") if seat == 2 else kind_of("dqn"))
        minds.age_ticks[:] = 10**9
        minds.genes[:, genome.EPSILON_FINAL] = 0.0
        obs = stream(0, "o").standard_normal((P, OBS_DIM)).astype(np.float32)
        mask = stream(0, "m").random((P, N_ACTIONS)) < 0.6
        mask[:, 0] = True
        living = np.arange(P) < P - 1
        q = np.where(mask, minds.q_values(obs), -np.inf)
        actions = minds.act(obs, mask, np.arange(P), np.zeros(P, np.int8), 5, living)
        for seat in set(range(P - 1)) - {2}:
            assert minds.epsilon()[seat] < 1e-9 and actions[seat] == q[seat].argmax()
        assert not actions[P - 1]


@needs_kernel
def test_the_kernel_never_reads_past_what_it_was_given() -> None:
    """Too few observations, masks or ids are refused before it is called; other types and strides are converted."""
    layout, ids = layout_of(19, N_ACTIONS, (8, 8), True), list(range(P))
    networks, obs = Networks(layout, grown(layout, ids), "fused"), seen(19, ids, 1)[:, 0]
    legal, epsilon = choices(ids)
    chances, everybody = Chances(KEY, np.array(ids), 1), np.ones(P, bool)
    right = networks.decide(obs, legal, epsilon, chances, everybody)[0]
    wide = np.repeat(obs.astype(np.float64), 2, axis=0)[::2]
    assert np.array_equal(networks.decide(wide, legal.astype(np.int64), epsilon, chances, everybody)[0], right)
    few: list[tuple[np.ndarray, np.ndarray, np.ndarray, Chances, np.ndarray]] = [
        (obs[1:], legal, epsilon, chances, everybody), (obs, legal[1:], epsilon, chances, everybody),
        (obs, legal, epsilon[1:], chances, everybody), (obs, legal, epsilon, chances, everybody[1:]),
        (obs, legal, epsilon, Chances(KEY, np.array(ids[1:]), 1), everybody),
    ]  # fmt: skip
    for given_ in few:
        with pytest.raises(ValueError, match="the kernel needs"):
            networks.decide(*given_)
    for counts in ([2] * P, [-1] * P, [1] * (P - 1)):
        with pytest.raises(ValueError, match=f"the kernel needs {P} numbers of 0 to 1 rows"):
            Networks(layout, grown(layout, ids), "fused", 1, np.array(counts))


@needs_kernel
@pytest.mark.parametrize(
    ("array", "value"),
    [
        ("replay.action", 7), ("replay.action", -1), ("replay.write", 70), ("replay.filled", 71), ("replay.filled", -1),
        ("brains.steps", -1), ("priorities.waiting", -1), ("priorities.leaf", np.nan), ("priorities.leaf", 1.0),
    ],
)  # fmt: skip
def test_a_checkpoint_that_would_lead_the_kernel_astray_is_refused(array: str, value: float) -> None:
    """Who forges a checkpoint together with its hash gets no read or write outside of the rings."""
    minds = Minds(MindConfig(hidden=(8, 8), replay_capacity=70, prioritised=True), GenomeConfig(), P, 3)
    saved = {name: held.copy() for name, held in minds.state_arrays().items()}
    minds.restore(saved)
    saved[array].reshape(-1)[-1] = value  # the last leaf lies past the ring
    with pytest.raises(StoreError, match=f"^checkpoint: {array}.* is not all in 0"):
        minds.restore(saved)


@needs_kernel
def test_lengths_are_those_of_torch() -> None:
    """And of nothing beside nothing: 0."""
    layout = layout_of(19, N_ACTIONS, (20, 33), True)
    one, two = grown(layout, [1, 2, 3]), grown(layout, [4, 5, 6])
    one[2] = two[2] = 0.0
    assert np.allclose(gaps(one, two, "fused"), gaps(one, two, "fast"), rtol=1e-5)
    assert gaps(one, two, "fused")[2] == 0.0


@needs_kernel
@pytest.mark.slow
def test_minds_do_not_depend_on_what_torch_and_numpy_find_in_the_processor() -> None:
    """Two learners' lives with every library held to its plainest instructions: the kernel's come out the same."""
    program = (
        "from agents.config import GenomeConfig, MindConfig; from lineage import numerics; numerics.pin_torch();"
        "print(*(numerics._minds_bits(MindConfig(hidden=(32, 32), prioritised=p), GenomeConfig(), 9, 'cpu', 1, 'fused')"
        " for p in (False, True)))"
    )
    plain = {
        "ATEN_CPU_CAPABILITY": "default", "MKL_CBWR": "COMPATIBLE", "NPY_DISABLE_CPU_FEATURES": "X86_V4 AVX512_ICL",
        "PYTHONWARNINGS": "ignore",
    }  # fmt: skip
    assert runs.python(program) == runs.python(program, **plain)
