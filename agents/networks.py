"""Stacked networks that are asked, not taught: by the kernel where it is the learner, else by torch."""

from typing import Final

import numpy as np
import torch

from agents import fused_play, policy
from agents.brains import views
from agents.fused import LearnerName, fused_library, resolve
from agents.fused_play import FusedPlay
from agents.layout import Layout
from agents.qnet import forward, head_matrix
from arena.rng import uniforms

_BLOCK: Final = 64


class Networks:
    """The networks in `weights` [N,n_params], which stay where they are and may learn meanwhile."""

    def __init__(
        self,
        layout: Layout,
        weights: torch.Tensor,
        learner: LearnerName = "auto",
        width: int = 1,
        rows: np.ndarray | None = None,
    ) -> None:
        """Get ready for `width` observations a network, of which the first rows[n] [N] i64 count (all by default).

        learner: the one that teaches them (see `fused.resolve`); its rounding is theirs. Networks that nobody teaches
        take "auto": the kernel where it can be had.
        """
        self._device = weights.device
        fused = resolve(learner, str(self._device))[0] == "fused"
        self._fused = FusedPlay(layout, weights, fused_library(), width, rows) if fused else None
        self._views = views(layout, weights)
        self._head = head_matrix(layout, self._device)

    def q_values(self, obs: np.ndarray) -> np.ndarray:
        """Return Q [N,B,A] f32 for obs [N,width,D] f32; what stands past rows[n] means nothing."""
        if self._fused is not None:
            return self._fused.q_values(obs)
        with torch.inference_mode():
            x = torch.from_numpy(obs).to(self._device)
            q: np.ndarray = forward(self._views, x, self._head).contiguous().cpu().numpy()
        return q

    def decide(
        self, obs: np.ndarray, legal: np.ndarray, epsilon: np.ndarray, chances: policy.Chances, wanted: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return (actions [N] i8, forbidden [N] bool) of the `wanted` [N] bool, 0 and False of the others.

        obs [N,D] f32, mask bits legal [N] u8, epsilon [N] f64; see `policy.act`.
        """
        if self._fused is not None:
            return self._fused.decide(obs, legal, epsilon, chances, wanted)
        u = uniforms(chances.key, chances.ids, chances.tick, 2)
        action, forbidden = policy.act(self.q_values(obs[:, None])[:, 0], legal, epsilon, u)
        action[~wanted] = 0
        return action, forbidden & wanted


def gaps(flat: torch.Tensor, reference: torch.Tensor, learner: LearnerName) -> np.ndarray:
    """Return |flat - reference| / |reference| by row of [N,n_params], [N] f64; the learner's name as for `Networks`."""
    if learner == "fused":
        return fused_play.gaps(fused_library(), flat, reference)
    blocks = []
    for start in range(0, len(flat), _BLOCK):  # for the cache
        known = reference[start : start + _BLOCK]
        change = torch.linalg.vector_norm(flat[start : start + _BLOCK] - known, dim=1)
        blocks.append(change / torch.linalg.vector_norm(known, dim=1).clamp(min=1e-12))
    found: np.ndarray = torch.cat(blocks).double().cpu().numpy()
    return found
