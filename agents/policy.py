"""From Q-values to actions: masks, epsilon-greedy, the exploration schedule."""

from typing import Final, NamedTuple

import numpy as np

from arena.spec import HOLD, N_ACTIONS


def _legal_tables() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return, by mask bits: how many actions are legal, the k-th legal one, and the mask itself."""
    masks = (np.arange(2**N_ACTIONS)[:, None] >> np.arange(N_ACTIONS)) & 1 > 0  # [2^A,A]
    masks[0, HOLD] = True
    choice = np.full(masks.shape, HOLD, dtype=np.int8)
    for bits, legal in enumerate(masks):
        actions = np.flatnonzero(legal)
        choice[bits, : len(actions)] = actions
    return masks.sum(axis=1), choice, masks


LEGAL_COUNT, LEGAL_CHOICE, LEGAL_MASK = _legal_tables()
"""By mask bits: [2^A] how many, [2^A,A] i8 the k-th legal action, [2^A,A] bool. No bits at all means HOLD."""

LEGAL_BIAS: Final = np.where(LEGAL_MASK, np.float32(0.0), np.float32(-np.inf))
"""[2^A,A] f32 added to Q before a maximum: 0 for a legal action, -inf for the others."""


def mask_bits(mask: np.ndarray) -> np.ndarray:
    """Return mask [P,A] bool as [P] u8: bit a is set when action a is legal."""
    bits: np.ndarray = np.packbits(mask, axis=1, bitorder="little")[:, 0]
    return bits


def epsilon_at(age_ticks: np.ndarray, final: np.ndarray, decay_ticks: np.ndarray) -> np.ndarray:
    """Return epsilon [P] f64: 1 at age 0, falling to `final` [P] with e-folding time `decay_ticks` [P]."""
    value: np.ndarray = final + (1.0 - final) * np.exp(-age_ticks / decay_ticks)
    return value


class Chances(NamedTuple):
    """Where the uniform numbers of a decision come from: `rng.uniforms(key, ids, tick, 2)`."""

    key: np.uint64
    ids: np.ndarray  # [P] i64
    tick: int


def act(q: np.ndarray, legal: np.ndarray, epsilon: np.ndarray, u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return (actions [P] i8, forbidden [P] bool): the best legal one, or with probability `epsilon` any legal one.

    q [P,A] f32; mask bits legal [P] u8; epsilon [P]; u [P,2] f64 in [0, 1): whether to explore, and where.
    forbidden: the best action by Q alone is illegal. HOLD when nothing is legal.
    """
    best = q.argmax(axis=1)
    forbidden = ((legal >> best) & 1) == 0
    greedy = np.where(LEGAL_MASK[legal], q, -np.inf).argmax(axis=1) if forbidden.any() else best
    anywhere = LEGAL_CHOICE[legal, (u[:, 1] * LEGAL_COUNT[legal]).astype(np.int64)]
    return np.where(u[:, 0] < epsilon, anywhere, greedy).astype(np.int8), forbidden
