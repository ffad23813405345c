"""All living agents' networks, stacked: one row of flat buffers a seat, with named views.

The network is D -> H1 -> H2 -> head with ReLU. A dueling head has A + 1 outputs: the advantages of
the A actions, then the value. Death clears a row, birth fills it, nothing else moves.
"""

import hashlib
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
import torch

from agents.config import MindConfig
from agents.layout import ROW_UNIT as ROW_UNIT
from agents.layout import Layout as Layout
from agents.layout import layout_of
from arena.errors import StoreError
from arena.rng import stream

HEAD_SCALE: Final = 0.1
"""A fresh head is this much smaller than Xavier's, so that the first Q-values are near 0."""

INPUT_SCALE: Final = 0.2
"""So much smaller than He's is the first layer: what a fresh network makes of columns that say nothing is small, and
weights grow where there is something to learn. Anything from .03 to .3 was worth the same, 1 is worse (decision 0008).
"""


class Weights(NamedTuple):
    """Views of N networks in a flat buffer: x @ w + b in the hidden layers, w @ x + b in the head.

    The head is stored by output because matrices 8 wide multiply five times slower than matrices 8 high.
    """

    w1: torch.Tensor  # [N,D,H1]
    b1: torch.Tensor  # [N,1,H1]
    w2: torch.Tensor  # [N,H1,H2]
    b2: torch.Tensor  # [N,1,H2]
    w3: torch.Tensor  # [N,O,H2]
    b3: torch.Tensor  # [N,O,1]


@dataclass(slots=True)
class Brains:
    """Weights and optimiser state of every seat; an empty seat is all zeros."""

    layout: Layout
    params: torch.Tensor  # [P,n_params] f32, the online network
    target: torch.Tensor  # [P,n_params] f32
    moment1: torch.Tensor  # [P,n_params] f32, Adam
    moment2: torch.Tensor  # [P,n_params] f32, Adam
    birth_params: torch.Tensor  # [P,n_params] f32, the online network at birth
    steps: torch.Tensor  # [P] i64, updates behind the moments, inherited ones included; always on the CPU

    def arrays(self) -> dict[str, np.ndarray]:
        """Return every buffer by name; on a CPU the arrays share memory with the tensors."""
        return {name: getattr(self, name).cpu().numpy() for name in _BUFFERS}

    def restore(self, saved: dict[str, np.ndarray]) -> None:
        """Copy the arrays of `arrays` back in place. Raises StoreError when one does not fit."""
        for name in _BUFFERS:
            tensor: torch.Tensor = getattr(self, name)
            value = saved.get(name)
            if value is None or value.shape != tuple(tensor.shape) or value.dtype != _dtype(tensor):
                found = "missing" if value is None else f"{value.dtype}{list(value.shape)}"
                raise StoreError(
                    f"checkpoint: brains.{name} is {found}, this build needs {_dtype(tensor)}{list(tensor.shape)}"
                )
            tensor.copy_(torch.from_numpy(np.array(value)))


_BUFFERS: Final = ("params", "target", "moment1", "moment2", "birth_params", "steps")


def _dtype(tensor: torch.Tensor) -> type:
    return np.int64 if tensor.dtype == torch.int64 else np.float32


def allocate(seats: int, obs_dim: int, n_actions: int, config: MindConfig, device: str = "cpu") -> Brains:
    """Return `seats` empty brains: 5 x 4 x n_params bytes a seat (136 kB for 32 -> 64 -> 64 -> 7, dueling)."""
    layout = layout_of(obs_dim, n_actions, config.hidden, config.dueling)
    buffers = {
        name: torch.zeros((seats, layout.n_params), dtype=torch.float32, device=device) for name in _BUFFERS[:-1]
    }
    return Brains(layout=layout, steps=torch.zeros(seats, dtype=torch.int64), **buffers)


def views(layout: Layout, flat: torch.Tensor) -> Weights:
    """Return the named views of `flat` [N,n_params]; no copies."""
    parts = []
    start = 0
    for _, rows, columns in layout.shapes:
        stop = start + rows * columns
        parts.append(flat[:, start:stop].view(-1, rows, columns))
        start = stop
    return Weights(*parts)


def founder_weights(layout: Layout, seed: int, agent_id: int) -> np.ndarray:
    """Return fresh weights [n_params] f32: He et al. 2015, first layer and head smaller; no biases."""
    rng = stream(seed, "weights", agent_id)
    scales = {
        "w1": INPUT_SCALE * np.sqrt(2.0 / layout.obs_dim),
        "w2": np.sqrt(2.0 / layout.hidden1),
        "w3": HEAD_SCALE / np.sqrt(layout.hidden2),
    }
    weights = np.zeros(layout.n_params, dtype=np.float32)
    start = 0
    for name, rows, columns in layout.shapes:
        stop = start + rows * columns
        if name in scales:
            weights[start:stop] = rng.standard_normal(rows * columns) * scales[name]
        start = stop
    return weights


def mutated_weights(layout: Layout, weights: np.ndarray, strength: float, seed: int, child_id: int) -> np.ndarray:
    """Return `weights` [n_params] f32 plus noise of `strength` x the root mean square of each layer."""
    if strength == 0.0:
        return weights.copy()
    z = stream(seed, "weight_mutation", child_id).standard_normal(layout.n_params)
    scale = np.zeros(layout.n_params)
    start = 0
    for _, rows, columns in layout.shapes:
        stop = start + rows * columns
        scale[start:stop] = np.sqrt(np.mean(np.square(weights[start:stop], dtype=np.float64)))
        start = stop
    return (weights + strength * scale * z).astype(np.float32)


def be_born(brains: Brains, seat: int, weights: np.ndarray) -> None:
    """Give a seat `weights` [n_params] f32 as its birth, online and target network, with a fresh optimiser."""
    clear_seat(brains, seat)
    row = torch.from_numpy(weights)
    for buffer in (brains.params, brains.target, brains.birth_params):
        buffer[seat].copy_(row)


def init_founder(brains: Brains, seat: int, seed: int, agent_id: int) -> None:
    """Give a seat the fresh weights of founder `agent_id`."""
    be_born(brains, seat, founder_weights(brains.layout, seed, agent_id))


def copy_optimiser(brains: Brains, source: int, seat: int) -> None:
    """Copy Adam's moments and step count of `source` to `seat`."""
    for buffer in (brains.moment1, brains.moment2, brains.steps):
        buffer[seat] = buffer[source]


def clear_seat(brains: Brains, seat: int) -> None:
    """Zero everything of one seat."""
    for name in _BUFFERS:
        getattr(brains, name)[seat] = 0


def weights_sha256(brains: Brains, seat: int) -> str:
    """Return the SHA-256 hex of the online network's little-endian float32 bytes."""
    row = brains.params[seat].cpu().numpy()
    return hashlib.sha256(row.astype("<f4", copy=False).tobytes()).hexdigest()
