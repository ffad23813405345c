"""The network as one function over all agents at once."""

import torch

from agents.brains import Layout, Weights


def head_matrix(layout: Layout, device: torch.device | str = "cpu") -> torch.Tensor | None:
    """Return T [A,A+1] f32 with Q = T @ outputs = value + advantage - mean advantage, None without dueling.

    Dueling heads with the mean subtracted: Wang et al. 2016, eq. 9.
    """
    if not layout.dueling:
        return None
    a = layout.n_actions
    matrix = torch.full((a, a + 1), -1.0 / a, dtype=torch.float32, device=device)
    matrix[range(a), range(a)] += 1.0
    matrix[:, a] = 1.0
    return matrix


def forward(weights: Weights, x: torch.Tensor, head: torch.Tensor | None) -> torch.Tensor:
    """Return Q [N,B,A] for observations x [N,B,D]; row n goes through network n."""
    hidden = torch.baddbmm(weights.b1, x, weights.w1).relu_()
    hidden = torch.baddbmm(weights.b2, hidden, weights.w2).relu_()
    outputs = torch.baddbmm(weights.b3, weights.w3, hidden.mT)  # [N,O,B]
    return outputs.mT if head is None else (head @ outputs).mT
