"""One update of every agent, written to be read: the reference that learn_fast is tested against.

Double DQN with masked targets, Huber loss, gradient clipping per agent and an Adam of one's own for
each agent. The loss is the sum over agents of each agent's mean, so gradients stay separate.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch

from agents.brains import Brains, views
from agents.config import MindConfig
from agents.policy import LEGAL_BIAS
from agents.qnet import forward, head_matrix
from agents.replay import Batch


class Rates(NamedTuple):
    """What differs between agents in an update."""

    learning_rate: np.ndarray  # [P] f32
    tau: np.ndarray  # [P] f32, soft target update


@dataclass(slots=True)
class LearnStats:
    """What an update showed; zeros for seats that took no part."""

    loss: np.ndarray  # [P] f32, mean Huber loss
    td_error: np.ndarray  # [P] f32, mean |TD error|, weighted like the loss
    grad_norm: np.ndarray  # [P] f32, before clipping
    q_mean: np.ndarray  # [P] f32, mean Q of the batch's observations over all actions
    q_max: np.ndarray  # [P] f32, largest |Q| of the same
    updated: np.ndarray  # [P] bool
    failed: np.ndarray  # [P] bool, loss or gradient not finite: left as it was
    priority: np.ndarray | None = None  # [N,B] f32, |TD error| of each draw in the order of batch.seats; if prioritised

    @classmethod
    def allocate(cls, seats: int) -> "LearnStats":
        """Return zeros for `seats` seats."""
        a, b, c, d, e = np.zeros((5, seats), dtype=np.float32)
        updated, failed = np.zeros((2, seats), dtype=bool)
        return cls(a, b, c, d, e, updated, failed)


def learn_step(brains: Brains, batch: Batch, rates: Rates, active: np.ndarray, config: MindConfig) -> LearnStats:
    """Update the seats of the batch that are active [P] bool; every other seat keeps its bytes.

    Double Q-learning: van Hasselt, Guez & Silver 2016, eq. 4. Adam: Kingma & Ba 2015, with the order of
    computation given at the end of their section 2 (step size and epsilon absorb the bias corrections).
    """
    stats = LearnStats.allocate(len(active))
    device = brains.params.device
    batch = batch.to(device)
    rows = torch.from_numpy(batch.seats).to(device)  # [N]
    params = brains.params[rows].requires_grad_()  # [N,n_params], a copy
    loss, td_error, q_tm1 = _losses(brains, batch, params, rows, config)
    (gradient,) = torch.autograd.grad(loss.sum(), params)
    with torch.no_grad():
        norm = torch.linalg.vector_norm(gradient, dim=1)  # [N]
        if config.prioritised:
            stats.priority = td_error.abs().cpu().numpy()
        if batch.weight is not None:
            td_error = td_error * batch.weight
        finite = torch.isfinite(loss) & torch.isfinite(norm)
        wanted = torch.from_numpy(active[batch.seats]).to(device)
        gradient *= torch.clamp(config.grad_clip / (norm + 1e-12), max=1.0)[:, None]
        good = finite & wanted
        _apply(brains, rows[good], gradient[good], rates, config)
        keep = wanted.cpu().numpy()
        seats = batch.seats[keep]
        for target, value in (
            (stats.loss, loss),
            (stats.td_error, td_error.abs().mean(dim=1)),
            (stats.grad_norm, norm),
            (stats.q_mean, q_tm1.mean(dim=(1, 2))),
            (stats.q_max, q_tm1.abs().amax(dim=(1, 2))),
        ):
            target[seats] = value.detach().cpu().numpy()[keep]
        stats.updated[batch.seats[good.cpu().numpy()]] = True
        stats.failed[seats] = ~stats.updated[seats]
    return stats


def _losses(
    brains: Brains, batch: Batch, params: torch.Tensor, rows: torch.Tensor, config: MindConfig
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return loss [N], TD error [N,B] without the importance weights, Q of s_tm1 [N,B,A]."""
    head = head_matrix(brains.layout, params.device)
    online = views(brains.layout, params)
    q_tm1 = forward(online, batch.s_tm1, head)  # [N,B,A]
    q_a = q_tm1.gather(2, batch.a_tm1[:, :, None])[:, :, 0]  # [N,B]
    with torch.no_grad():
        frozen = online if config.target == "none" else views(brains.layout, brains.target[rows])
        q_t = forward(frozen, batch.s_t, head)  # [N,B,A]
        selector = forward(online, batch.s_t, head) if config.double else q_t
        if config.mask_bellman:
            bias = torch.from_numpy(LEGAL_BIAS).to(params.device)
            selector = selector + bias[batch.legal_t.long()]
        a_t = selector.max(dim=2).indices
        bootstrap = q_t.gather(2, a_t[:, :, None])[:, :, 0]
        goal = batch.r_t + batch.discount_t * bootstrap
    td_error = q_a - goal
    huber = torch.nn.functional.huber_loss(q_a, goal, reduction="none", delta=config.huber_delta)
    if batch.weight is not None:
        huber = huber * batch.weight  # Schaul et al. 2016, algorithm 1: the weight scales the gradient
    return huber.mean(dim=1), td_error.detach(), q_tm1


def _apply(brains: Brains, rows: torch.Tensor, gradient: torch.Tensor, rates: Rates, config: MindConfig) -> None:
    """Adam, then the target network, for the seats `rows` [N] with their clipped gradients [N,n_params]."""
    seats = rows.cpu().numpy()
    beta1, beta2 = config.adam_beta1, config.adam_beta2
    brains.steps[seats] += 1
    steps = brains.steps[seats]
    moment1 = brains.moment1[rows].lerp(gradient, 1.0 - beta1)
    moment2 = (brains.moment2[rows] * beta2).addcmul(gradient, gradient, value=1.0 - beta2)
    size = step_size(rates.learning_rate[seats], steps.numpy(), config)
    delta = moment1 / (moment2.sqrt() + config.adam_eps)
    params = brains.params[rows] - torch.from_numpy(size).to(delta.device)[:, None] * delta
    brains.moment1[rows] = moment1
    brains.moment2[rows] = moment2
    brains.params[rows] = params
    if config.target == "soft":
        tau = torch.from_numpy(rates.tau[seats]).to(delta.device)[:, None]
        brains.target[rows] = brains.target[rows].lerp(params, tau)
    elif config.target == "hard":
        due = (steps % config.hard_target_every == 0).to(delta.device)
        brains.target[rows[due]] = params[due]
    else:
        brains.target[rows] = params


def step_size(learning_rate: np.ndarray, steps: np.ndarray, config: MindConfig) -> np.ndarray:
    """Return Adam's alpha_t [N] f32 at `steps` [N] updates (the first is 1): Kingma & Ba 2015, section 2."""
    corrected2 = np.sqrt(1.0 - config.adam_beta2 ** steps.astype(np.float64))
    corrected1 = 1.0 - config.adam_beta1 ** steps.astype(np.float64)
    return (learning_rate * corrected2 / corrected1).astype(np.float32)
