"""A policy at one moment of an agent's life, and its bytes: a safetensors file that is the same wherever it is written.

The file holds the network's tensors w1, b1, w2, b2, w3, b3 (float32, in the order of agents.layout, nothing padded)
and as metadata what it takes to play and to place them: genes, the mind's configuration, who, when, in which run.
Nothing in it is free: the metadata follows from what the ledger has sealed, the weights from the hash in the event.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import numpy as np

from agents.layout import Layout, layout_of
from arena.spec import N_ACTIONS, OBS_DIM, OBSERVATION_VERSION

FORMAT: Final = 1
"""Raised whenever the metadata changes meaning."""

Reason = Literal["birth", "death", "end", "checkpoint"]
"""Why a policy was kept: at birth, at death, of the living at the run's end, or read from a checkpoint."""


@dataclass(frozen=True, slots=True, eq=False)
class Policy:
    """Who decided how; scripted agents have no weights and `mind` is their strategy's name."""

    agent_id: int
    clan: str
    round: int
    reason: Reason
    mind: str  # "dqn" or the name of a scripted strategy
    genes: dict[str, float]
    mind_config: dict[str, Any]  # the section [mind] of its run: plain values
    weights: np.ndarray = field(repr=False)  # [n_weights] f32, unpadded, in the order of Layout.shapes; [0]: scripted
    run_id: str = ""
    seed: int = 0
    obs_dim: int = OBS_DIM
    n_actions: int = N_ACTIONS
    obs_version: int = OBSERVATION_VERSION

    @property
    def is_learner(self) -> bool:
        """Whether it has a network."""
        return self.mind == "dqn"

    @property
    def hidden(self) -> tuple[int, int]:
        """Widths of the two hidden layers."""
        first, second = self.mind_config["hidden"]
        return int(first), int(second)

    @property
    def dueling(self) -> bool:
        """Whether the head has a value output."""
        return bool(self.mind_config["dueling"])

    @property
    def layout(self) -> Layout:
        """Where each weight lies."""
        return layout_of(self.obs_dim, self.n_actions, self.hidden, self.dueling)

    @property
    def name(self) -> str:
        """Return clan and id, as people call an agent."""
        return f"{self.clan}-{self.agent_id}"


def padded(policy: Policy) -> np.ndarray:
    """Return the weights as a row of the stacked networks, [n_params] f32."""
    row = np.zeros(policy.layout.n_params, dtype=np.float32)
    row[: len(policy.weights)] = policy.weights
    return row


def row_sha256(weights: bytes, layout: Layout) -> str:
    """Return the hash (hex) that events give for these unpadded little-endian weights: of the padded row."""
    digest = hashlib.sha256(weights)
    digest.update(bytes(4 * layout.n_params - len(weights)))
    return digest.hexdigest()


def weight_bytes(policy: Policy) -> bytes:
    """Return the weights as little-endian float32."""
    return np.ascontiguousarray(policy.weights, dtype="<f4").tobytes()


def tensor_shapes(layout: Layout) -> dict[str, list[int]]:
    """Return the shape of each tensor of the file, in order; biases have one axis."""
    return {
        name: [rows * columns] if name.startswith("b") else [rows, columns] for name, rows, columns in layout.shapes
    }


def metadata_of(policy: Policy, weights_sha256: str) -> dict[str, str]:
    """Return the metadata of the file: texts only, as safetensors wants them."""
    return {
        "agent_id": str(policy.agent_id),
        "clan": policy.clan,
        "genes": json.dumps(policy.genes, sort_keys=True, separators=(",", ":"), allow_nan=False),
        "mind": policy.mind,
        "mind_config": json.dumps(policy.mind_config, sort_keys=True, separators=(",", ":"), allow_nan=False),
        "observation_version": str(policy.obs_version),
        "policy_format": str(FORMAT),
        "reason": policy.reason,
        "round": str(policy.round),
        "run_id": policy.run_id,
        "seed": str(policy.seed),
        "weights_sha256": weights_sha256,
    }


def header_bytes(metadata: Mapping[str, str], layout: Layout) -> bytes:
    """Return everything of the file that stands before the weights."""
    tree: dict[str, Any] = {"__metadata__": dict(metadata)}
    offset = 0
    for name, rows, columns in layout.shapes:
        end = offset + 4 * rows * columns
        tree[name] = {"dtype": "F32", "shape": tensor_shapes(layout)[name], "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(tree, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


def to_bytes(policy: Policy) -> bytes:
    """Return the file of a learner's policy; equal policies give equal bytes. Raises ValueError without a network."""
    if not policy.is_learner:
        raise ValueError(f"agent {policy.agent_id} plays {policy.mind}, which has no network")
    layout, weights = policy.layout, weight_bytes(policy)
    if len(weights) != 4 * layout.n_weights:
        raise ValueError(f"agent {policy.agent_id}: {len(policy.weights)} weights, its layout has {layout.n_weights}")
    return header_bytes(metadata_of(policy, row_sha256(weights, layout)), layout) + weights


def untrained_weights(policy: Policy, seed: int | None = None) -> np.ndarray:
    """Return the weights [n_weights] f32 that this agent would have had as a founder: fresh, from seed and agent_id.

    For founders, immigrants and darwinian heirs those are its birth weights. For other heirs they are the control of
    the same genome that inherited nothing. seed: the run's, unless another one is asked for.
    """
    from agents.brains import founder_weights  # torch, which records are read without

    layout = policy.layout
    fresh = founder_weights(layout, policy.seed if seed is None else seed, policy.agent_id)
    return fresh[: layout.n_weights]
