"""Acting by the fused kernel: Q-values and decisions of stacked networks, one network after the other.

What comes out is the same to the last bit whatever the seats, the neighbours and the rows that are asked together,
whatever the processor's vectors and the compiler (agents/fused.c).
"""

import ctypes
from typing import Final

import numpy as np
import torch

from agents import policy
from agents.brains import founder_weights, views
from agents.fused_job import Job, aligned, sizes
from agents.layout import Layout, layout_of
from agents.qnet import forward, head_matrix
from arena.rng import stream, uniforms
from arena.spec import N_ACTIONS

_TOLERANCE: Final = 1e-4
"""Of the self-test, relative to the largest Q."""


class FusedPlay:
    """Asks the networks in `weights` [N,n_params], which stay where they are and may learn meanwhile."""

    def __init__(
        self, layout: Layout, weights: torch.Tensor, library: ctypes.CDLL, width: int, rows: np.ndarray | None = None
    ) -> None:
        """Allocate the kernel's memory; see `networks.Networks`. Raises ValueError when `rows` does not fit."""
        count = len(weights)
        rows = np.full(count, width) if rows is None else rows
        if rows.shape != (count,) or np.any((rows < 0) | (rows > width)):
            raise ValueError(f"the kernel needs {count} numbers of 0 to {width} rows, not {rows.tolist()}")
        self._library = library
        self._weights = weights.contiguous()  # and keeps the memory
        self._shape = (count, width, layout.n_actions)
        self._everybody = np.ones(count, dtype=bool)
        self._next = np.zeros(1, dtype=np.int64)
        self._fixed = np.arange(count), rows.astype(np.int64)
        self._job = Job(
            **sizes(layout, width), count=count, params=self._weights.data_ptr(), seats=self._fixed[0].ctypes.data,
            rows=self._fixed[1].ctypes.data, next=self._next.ctypes.data,
        )  # fmt: skip
        self._space = aligned(library.fused_space(ctypes.byref(self._job)))

    def q_values(self, obs: np.ndarray) -> np.ndarray:
        """Return Q [N,B,A] f32 for obs [N,B,D] f32; 0 for rows that are not asked about."""
        q = np.zeros(self._shape, dtype=np.float32)
        self._job.q, self._job.decided = q.ctypes.data, None
        self._run(obs, self._everybody)
        return q

    def decide(
        self, obs: np.ndarray, legal: np.ndarray, epsilon: np.ndarray, chances: policy.Chances, wanted: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return what `Networks.decide` returns."""
        job, count = self._job, len(self._everybody)
        decided, forbidden = np.zeros(count, dtype=np.int8), np.zeros(count, dtype=bool)
        given = [_as(np.uint8, legal, count), _as(np.float64, epsilon, count), _as(np.int64, chances.ids, count)]
        job.q, job.decided, job.forbidden = None, decided.ctypes.data, forbidden.ctypes.data
        job.legal_t, job.explore, job.ids = (array.ctypes.data for array in given)
        job.key, job.tick = int(chances.key), chances.tick
        self._run(obs, _as(np.bool_, wanted, count))
        return decided, forbidden

    def _run(self, obs: np.ndarray, wanted: np.ndarray) -> None:
        count, width, _ = self._shape
        obs = _as(np.float32, obs, count * width * self._job.obs_dim)
        self._next[0] = 0
        self._job.x, self._job.wanted = obs.ctypes.data, wanted.ctypes.data
        self._library.fused_play(ctypes.byref(self._job), self._space.ctypes.data)


def _as(kind: type[np.generic], array: np.ndarray, size: int) -> np.ndarray:
    """Return an array as the kernel reads it. Raises ValueError when it is not of that size."""
    if array.size != size:
        raise ValueError(f"the kernel needs {size} numbers, not {array.shape}")
    return np.ascontiguousarray(array, dtype=kind)


def gaps(library: ctypes.CDLL, flat: torch.Tensor, reference: torch.Tensor) -> np.ndarray:
    """Return |flat - reference| / |reference| by row of [N,n_params], [N] f64; both contiguous."""
    found = np.empty(len(flat))
    library.fused_gaps(flat.data_ptr(), reference.data_ptr(), *flat.shape, found.ctypes.data)
    return found


def self_test(library: ctypes.CDLL) -> str:
    """Return what comes out otherwise than by qnet.py, policy.py and torch, "" if nothing."""
    draw, ids = stream(0, "fused play"), np.arange(40)
    legal, epsilon = draw.integers(0, 2**N_ACTIONS, 40).astype(np.uint8), draw.random(40)
    chances, wanted = policy.Chances(np.uint64(5), ids, 3), ids != 7
    for dueling in (True, False):
        layout = layout_of(19, N_ACTIONS, (20, 36), dueling)
        weights = torch.from_numpy(np.stack([founder_weights(layout, 0, seat) for seat in range(40)]))
        weights[:, : layout.n_weights] += 0.05  # biases too
        obs = draw.standard_normal((40, 19)).astype(np.float32)
        play = FusedPlay(layout, weights, library, 1)
        q = play.q_values(obs)[:, 0]
        known = forward(views(layout, weights), torch.from_numpy(obs)[:, None], head_matrix(layout))[:, 0].numpy()
        apart = torch.linalg.vector_norm(weights - weights.flip(0), dim=1) / torch.linalg.vector_norm(weights, dim=1)
        if not np.allclose(gaps(library, weights.flip(0), weights), apart.numpy(), rtol=_TOLERANCE):
            return "gaps"
        if not np.allclose(q, known, rtol=0, atol=_TOLERANCE * np.abs(known).max()):
            return "decisions"
        expected = policy.act(q, legal, epsilon, uniforms(chances.key, ids, chances.tick, 2))
        for told, right in zip(play.decide(obs, legal, epsilon, chances, wanted), expected, strict=True):
            if not np.array_equal(told, np.where(wanted, right, 0)):
                return "decisions"
    return ""
