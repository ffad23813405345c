"""Policies: the mask always holds, epsilon does what it says."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from agents import policy
from arena.spec import HOLD, N_ACTIONS

P = 6
Q = arrays(np.float32, (P, N_ACTIONS), elements=st.floats(-1e6, 1e6, width=32) | st.just(np.nan) | st.just(np.inf))
MASK = arrays(np.bool_, (P, N_ACTIONS))
UNIT = st.floats(0.0, 1.0, exclude_max=True)


@given(
    q=Q, mask=MASK, epsilon=arrays(np.float64, P, elements=UNIT), u=arrays(np.float64, (P, 2), elements=UNIT)
)
def test_an_illegal_action_is_never_chosen(q: np.ndarray, mask: np.ndarray, epsilon: np.ndarray, u: np.ndarray) -> None:
    """Greedy or exploring, with NaN and infinite values too; HOLD when nothing is legal."""
    action, _ = policy.act(q, policy.mask_bits(mask), epsilon, u)
    legal = mask[np.arange(P), action]
    assert np.all(legal | ((action == HOLD) & ~mask.any(axis=1)))
    assert action.dtype == np.int8


@given(mask=MASK)
def test_bits_and_tables_tell_the_mask(mask: np.ndarray) -> None:
    """mask -> bits -> mask; the k-th legal action runs through exactly the legal ones."""
    mask[:, HOLD] |= ~mask.any(axis=1)
    bits = policy.mask_bits(mask)
    assert np.array_equal(policy.LEGAL_MASK[bits], mask)
    assert np.array_equal(policy.LEGAL_COUNT[bits], mask.sum(axis=1))
    for row, number in zip(bits, policy.LEGAL_COUNT[bits], strict=True):
        assert policy.LEGAL_CHOICE[row, :number].tolist() == np.flatnonzero(policy.LEGAL_MASK[row]).tolist()


def test_without_exploration_the_best_legal_action_is_chosen() -> None:
    """epsilon 0; the best action overall is illegal in the second row."""
    q = np.array([[0, 1, 2, 3, 4, 5, 9], [0, 1, 2, 3, 4, 5, 9]], dtype=np.float32)
    mask = np.ones((2, N_ACTIONS), dtype=bool)
    mask[1, 6] = False
    action, forbidden = policy.act(q, policy.mask_bits(mask), np.zeros(2), np.zeros((2, 2)))
    assert action.tolist() == [6, 5] and forbidden.tolist() == [False, True]


def test_exploration_happens_at_rate_epsilon_and_is_uniform_over_legal_actions() -> None:
    """200,000 decisions with three legal actions, epsilon .3: within five standard errors."""
    n = 200_000
    rng = np.random.default_rng(0)
    q = np.tile(np.array([5, 0, 0, 0, 0, 0, 0], dtype=np.float32), (n, 1))
    mask = np.zeros((n, N_ACTIONS), dtype=bool)
    mask[:, [0, 2, 5]] = True
    action, _ = policy.act(q, policy.mask_bits(mask), np.full(n, 0.3), rng.random((n, 2)))
    share = np.bincount(action, minlength=N_ACTIONS) / n
    error = 5 * np.sqrt(0.25 / n)
    assert share[[0, 2, 5]] == pytest.approx([0.8, 0.1, 0.1], abs=error)
    assert share[[1, 3, 4, 6]].tolist() == [0, 0, 0, 0]


def test_epsilon_falls_from_one_to_its_final_value() -> None:
    """1 at birth, 1/e of the way after the decay time, the final value at the end; never rising."""
    ages = np.array([0, 1000, 10**7])
    value = policy.epsilon_at(ages, np.full(3, 0.1), np.full(3, 1000.0))
    assert value == pytest.approx([1.0, 0.1 + 0.9 / np.e, 0.1])
    many = policy.epsilon_at(np.arange(5000), np.full(5000, 0.02), np.full(5000, 500.0))
    assert np.all(np.diff(many) <= 0)


def test_rows_do_not_depend_on_their_neighbours() -> None:
    """A permutation of the rows permutes the actions."""
    rng = np.random.default_rng(1)
    q = rng.normal(size=(50, N_ACTIONS)).astype(np.float32)
    mask, epsilon, u = rng.random((50, N_ACTIONS)) < 0.5, rng.random(50), rng.random((50, 2))
    order = rng.permutation(50)
    bits = policy.mask_bits(mask)
    told, other = policy.act(q, bits, epsilon, u), policy.act(q[order], bits[order], epsilon[order], u[order])
    assert all(np.array_equal(two, one[order]) for one, two in zip(told, other, strict=True))
