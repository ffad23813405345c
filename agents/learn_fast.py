"""The production learner: the mathematics of learn.py with the backward pass written out.

Agents are worked off in chunks that fit the cache, each by one thread, so the bytes that come out do
not depend on the number of threads. Buffers are allocated once. docs/decisions/0004-learner.md has the
measurements behind each choice.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import numpy as np
import torch

from agents.brains import Brains, Layout, Weights, views
from agents.config import MindConfig
from agents.learn import LearnStats, Rates, step_size
from agents.policy import LEGAL_MASK
from agents.qnet import head_matrix
from agents.replay import Batch

CHUNK: Final = 64
"""Agents whose gradients are computed together."""
ADAM_CHUNK: Final = 16
"""Agents whose optimiser state is updated together: six rows of each fit a second-level cache."""


class Workspace:
    """Buffers of one thread for up to `size` agents; k of them are used at a time."""

    def __init__(self, layout: Layout, size: int, batch: int, device: torch.device) -> None:
        """Allocate; k = size, B = batch."""
        d, h1, h2, o, a = layout

        def buffer(*shape: int) -> torch.Tensor:
            return torch.zeros(shape, dtype=torch.float32, device=device)

        self.params = buffer(size, layout.n_params)  # gathered rows, for seats that are not neighbours
        self.target = buffer(size, layout.n_params)
        self.h1 = buffer(size, 2 * batch, h1)  # online, s_tm1 then s_t
        self.h2 = buffer(size, 2 * batch, h2)
        self.out = buffer(size, o, 2 * batch)
        self.q = buffer(size, a, 2 * batch)
        self.t1 = buffer(size, batch, h1)  # target network, s_t; later the gradient of h1
        self.t2 = buffer(size, batch, h2)  # likewise of h2
        self.t_out = buffer(size, o, batch)  # likewise of the outputs
        self.t_q = buffer(size, a, batch)
        self.dq = buffer(size, a, batch)
        self.dw1 = buffer(size, d, h1)
        self.dw2 = buffer(size, h1, h2)
        self.dw3 = buffer(size, o, h2)
        self.gradient = buffer(size, layout.n_params)
        self.delta = buffer(ADAM_CHUNK, layout.n_params)


class FastLearner:
    """Updates the brains it was made for; `step` has the contract of `learn.learn_step`."""

    def __init__(self, brains: Brains, config: MindConfig, threads: int = 1) -> None:
        """Allocate the buffers; `threads` workers share the chunks on a CPU."""
        self.brains = brains
        self.config = config
        device = brains.params.device
        self.threads = threads if device.type == "cpu" else 1
        size = min(CHUNK, len(brains.params))
        layout = brains.layout
        self._workspaces = [Workspace(layout, size, config.batch, device) for _ in range(self.threads)]
        self._head = head_matrix(layout, device)
        self._illegal = torch.from_numpy(~LEGAL_MASK).to(device)  # [2^A,A]
        self._forever = torch.tensor(1e9, device=device)  # a step count at which Adam corrects no bias
        self._pool = ThreadPoolExecutor(self.threads, "learner", torch.set_num_threads, (1,)) if threads > 1 else None

    def step(self, batch: Batch, rates: Rates, active: np.ndarray) -> LearnStats:
        """Update the seats of the batch that are active [P] bool; every other seat keeps its bytes."""
        stats = LearnStats.allocate(len(active))
        batch = batch.to(self.brains.params.device)
        count = len(batch.seats)
        size = min(CHUNK, -(-count // self.threads))
        starts = range(0, count, max(size, 1))

        def work(worker: int) -> None:
            with torch.inference_mode():
                for start in starts[worker :: self.threads]:
                    part = slice(start, min(start + size, count))
                    self._chunk(self._workspaces[worker], batch, part, rates, active, stats)

        if self._pool is None or len(starts) < 2:
            for worker in range(self.threads):
                work(worker)
        else:
            list(self._pool.map(work, range(self.threads)))
        return stats

    def _chunk(
        self, ws: Workspace, batch: Batch, part: slice, rates: Rates, active: np.ndarray, stats: LearnStats
    ) -> None:
        """Gradients of one chunk of agents, then their update."""
        seats = batch.seats[part]
        k = len(seats)
        params, target = self._rows(ws, seats)
        online = views(self.brains.layout, params)
        self._forward(ws, online, target, batch.x[part])
        td_error = self._td_error(ws, batch, part)  # [k,B]
        slope = td_error.clamp(-self.config.huber_delta, self.config.huber_delta)
        loss = (slope * torch.add(td_error, slope, alpha=-0.5)).mean(dim=1)
        gradient = ws.gradient[:k]
        self._backward(ws, online, batch, part, slope)
        norm = torch.linalg.vector_norm(gradient, dim=1)
        scale = (self.config.grad_clip / (norm + 1e-12)).clamp(max=1.0)
        if bool((scale < 1.0).any()):
            gradient *= scale[:, None]
        q = ws.q[:k, :, : batch.a_tm1.shape[1]]
        table = torch.stack((loss, td_error.abs().mean(dim=1), norm, q.mean(dim=(1, 2)), q.abs().amax(dim=(1, 2))))
        figures = table.cpu().numpy()  # [5,k]
        wanted = active[seats]
        good = wanted & np.isfinite(figures[0]) & np.isfinite(figures[2])
        self._update(ws, seats, good, rates)
        mine = seats[wanted]
        for name, row in zip(("loss", "td_error", "grad_norm", "q_mean", "q_max"), figures, strict=True):
            getattr(stats, name)[mine] = row[wanted]
        stats.updated[seats] = good
        stats.failed[seats] = wanted & ~good

    def _rows(self, ws: Workspace, seats: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
        """Return online and target rows [k,n_params]: views for neighbours, copies otherwise."""
        k, first, last = len(seats), int(seats[0]), int(seats[-1])
        if last - first + 1 == k:
            return self.brains.params[first : last + 1], self.brains.target[first : last + 1]
        index = torch.from_numpy(seats).to(ws.params.device)
        torch.index_select(self.brains.params, 0, index, out=ws.params[:k])
        if self.config.target != "none":
            torch.index_select(self.brains.target, 0, index, out=ws.target[:k])
        return ws.params[:k], ws.target[:k]

    def _forward(self, ws: Workspace, online: Weights, target: torch.Tensor, x: torch.Tensor) -> None:
        """Fill ws.h1, h2, out and q for [s_tm1; s_t], and t_q for s_t, of k agents."""
        k, b = len(x), self.config.batch
        h1, h2, out, q = ws.h1[:k], ws.h2[:k], ws.out[:k], ws.q[:k]
        torch.baddbmm(online.b1, x, online.w1, out=h1).relu_()
        torch.baddbmm(online.b2, h1, online.w2, out=h2).relu_()
        torch.baddbmm(online.b3, online.w3, h2.mT, out=out)
        self._to_q(out, q)
        t_q = ws.t_q[:k]
        if self.config.target == "none":
            t_q.copy_(q[:, :, b:])
            return
        frozen = views(self.brains.layout, target)
        t1, t2, t_out = ws.t1[:k], ws.t2[:k], ws.t_out[:k]
        torch.baddbmm(frozen.b1, x[:, b:], frozen.w1, out=t1).relu_()
        torch.baddbmm(frozen.b2, t1, frozen.w2, out=t2).relu_()
        torch.baddbmm(frozen.b3, frozen.w3, t2.mT, out=t_out)
        self._to_q(t_out, t_q)

    def _to_q(self, outputs: torch.Tensor, q: torch.Tensor) -> None:
        if self._head is None:
            q.copy_(outputs)
        else:
            torch.bmm(self._head.expand(len(q), -1, -1), outputs, out=q)

    def _td_error(self, ws: Workspace, batch: Batch, part: slice) -> torch.Tensor:
        """Return Q(s_tm1, a_tm1) - (r_t + discount_t Q(s_t, a_t)), [k,B]; 0 where a draw has no weight."""
        b = self.config.batch
        a_tm1 = batch.a_tm1[part]
        k = len(a_tm1)
        q, t_q = ws.q[:k], ws.t_q[:k]
        selector = q[:, :, b:] if self.config.double else t_q  # [k,A,B]
        if self.config.mask_bellman:
            illegal = self._illegal[batch.legal_t[part].long()].mT
            selector = selector.masked_fill(illegal, -torch.inf)
        a_t = selector.max(dim=1, keepdim=True).indices  # [k,1,B]
        bootstrap = t_q.gather(1, a_t)[:, 0]
        goal = torch.addcmul(batch.r_t[part], batch.discount_t[part], bootstrap)
        td_error = q[:, :, :b].gather(1, a_tm1[:, None])[:, 0] - goal
        return td_error if batch.weight is None else td_error * batch.weight[part]

    def _backward(self, ws: Workspace, online: Weights, batch: Batch, part: slice, slope: torch.Tensor) -> None:
        """Write the gradient of the mean loss into ws.gradient [k,n_params]; slope [k,B] = d Huber / d Q."""
        k, b = slope.shape
        h1, h2, x = ws.h1[:k, :b], ws.h2[:k, :b], batch.x[part, :b]
        d1, d2, d_out, dq = ws.t1[:k], ws.t2[:k], ws.t_out[:k], ws.dq[:k]
        to = views(self.brains.layout, ws.gradient[:k])
        dq.zero_().scatter_(1, batch.a_tm1[part][:, None], (slope * (1.0 / b))[:, None])
        if self._head is None:
            d_out = dq
        else:
            torch.bmm(self._head.mT.expand(k, -1, -1), dq, out=d_out)
        # products go to contiguous buffers first: bmm into a strided view works one matrix at a time
        to.w3.copy_(torch.bmm(d_out, h2, out=ws.dw3[:k]))
        torch.sum(d_out, dim=2, keepdim=True, out=to.b3)
        torch.bmm(d_out.mT, online.w3, out=d2)
        _relu_backward(d2, h2)
        to.w2.copy_(torch.bmm(h1.mT, d2, out=ws.dw2[:k]))
        torch.sum(d2, dim=1, keepdim=True, out=to.b2)
        torch.bmm(d2, online.w2.mT, out=d1)
        _relu_backward(d1, h1)
        to.w1.copy_(torch.bmm(x.mT, d1, out=ws.dw1[:k]))
        torch.sum(d1, dim=1, keepdim=True, out=to.b1)

    def _update(self, ws: Workspace, seats: np.ndarray, good: np.ndarray, rates: Rates) -> None:
        """Adam and the target network for the good rows [k] bool of ws.gradient, neighbours together.

        The fused kernel knows one learning rate only, so it works on a buffer of zeros with rate 1: that
        leaves minus the direction, and each agent's own rate is multiplied in afterwards.
        """
        config, brains = self.config, self.brains
        chosen = seats[good]
        index = torch.from_numpy(chosen).to(brains.steps.device)
        steps = brains.steps[index] + 1
        brains.steps[index] = steps
        size = torch.from_numpy(step_size(rates.learning_rate[chosen], steps.cpu().numpy(), config))
        size = size.to(brains.params.device)[:, None]
        tau = torch.from_numpy(rates.tau[chosen]).to(brains.params.device)[:, None]
        for row, done, length in _runs(seats, good):
            seat = slice(int(seats[row]), int(seats[row]) + length)
            delta = ws.delta[:length].zero_()
            gradient = ws.gradient[row : row + length]
            torch._fused_adam_(  # type: ignore[attr-defined]
                [delta], [gradient], [brains.moment1[seat]], [brains.moment2[seat]], [], [self._forever],
                lr=1.0, beta1=config.adam_beta1, beta2=config.adam_beta2, weight_decay=0.0, eps=config.adam_eps,
                amsgrad=False, maximize=False,
            )  # fmt: skip
            params = brains.params[seat].addcmul_(delta, size[done : done + length])
            if config.target == "soft":
                brains.target[seat].lerp_(params, tau[done : done + length])
            elif config.target == "none":
                brains.target[seat].copy_(params)
        if config.target == "hard":
            due = index[steps % config.hard_target_every == 0]
            brains.target[due] = brains.params[due]


def _relu_backward(gradient: torch.Tensor, output: torch.Tensor) -> None:
    """Zero `gradient` in place where `output` is 0."""
    torch.ops.aten.threshold_backward.grad_input(gradient, output, 0.0, grad_input=gradient)


def _runs(seats: np.ndarray, good: np.ndarray) -> Iterator[tuple[int, int, int]]:
    """Yield (row, good rows before it, length) of runs of good neighbours, at most ADAM_CHUNK long."""
    rows = np.flatnonzero(good)
    breaks = np.flatnonzero((np.diff(rows) != 1) | (np.diff(seats[rows]) != 1)) + 1
    edges = [0, *breaks.tolist(), len(rows)]
    for begin, end in zip(edges[:-1], edges[1:], strict=True):
        for done in range(begin, end, ADAM_CHUNK):
            yield int(rows[done]), done, min(ADAM_CHUNK, end - done)
