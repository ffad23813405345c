"""The production learner: the mathematics of learn.py with the backward pass written out.

Agents are worked off in chunks that fit the cache, each by one thread, so the bytes that come out do
not depend on the number of threads. Buffers and views are made once: at 64 agents a third of the time
went into making views. docs/decisions/0004-learner.md has the measurements behind each choice.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Final

import numpy as np
import torch

from agents.brains import Brains, Layout, Weights, views
from agents.config import MindConfig
from agents.learn import LearnStats, Rates, step_size
from agents.qnet import head_matrix
from agents.replay import Batch

CHUNK: Final = 64
"""Agents whose gradients are computed together."""
ADAM_CHUNK: Final = 16
"""Agents whose optimiser state is updated together: six rows of each fit a second-level cache."""


class Buffers:
    """Scratch space for k agents, B transitions each, with the views that the passes need."""

    def __init__(self, layout: Layout, k: int, batch: int, device: torch.device, base: "Buffers | None" = None) -> None:
        """Allocate, or take the first k rows of `base`."""
        d, h1, h2, o, a = layout

        def buffer(name: str, *shape: int) -> torch.Tensor:
            if base is None:
                return torch.zeros((k, *shape), dtype=torch.float32, device=device)
            tensor: torch.Tensor = getattr(base, name)[:k]
            return tensor

        self.params = buffer("params", layout.n_params)  # gathered rows, for seats that are not neighbours
        self.target = buffer("target", layout.n_params)
        self.h1 = buffer("h1", 2 * batch, h1)  # online network, s_tm1 then s_t
        self.h2 = buffer("h2", 2 * batch, h2)
        self.out = buffer("out", o, 2 * batch)
        self.q = buffer("q", a, 2 * batch)
        self.t1 = buffer("t1", batch, h1)  # target network, s_t; later the gradient of h1
        self.t2 = buffer("t2", batch, h2)  # likewise of h2
        self.t_out = buffer("t_out", o, batch)  # likewise of the outputs
        self.t_q = buffer("t_q", a, batch)
        self.dq = buffer("dq", a, batch)
        self.dw1 = buffer("dw1", d, h1)
        self.dw2 = buffer("dw2", h1, h2)
        self.dw3 = buffer("dw3", o, h2)
        self.gradient = buffer("gradient", layout.n_params)
        self.to = views(layout, self.gradient)
        self.h1_tm1, self.h2_tm1 = self.h1[:, :batch], self.h2[:, :batch]
        self.q_tm1, self.q_t = self.q[:, :, :batch], self.q[:, :, batch:]
        self.h1_tm1_t, self.h2_t, self.t2_t = self.h1_tm1.mT, self.h2.mT, self.t2.mT
        self.d_out = self.t_out if layout.dueling else self.dq
        self.d_out_t = self.d_out.mT


class FastLearner:
    """Updates the brains it was made for; `step` has the contract of `learn.learn_step`."""

    def __init__(self, brains: Brains, config: MindConfig, threads: int = 1) -> None:
        """Allocate the buffers; `threads` workers share the chunks on a CPU."""
        self.brains = brains
        self.config = config
        self.device = brains.params.device
        self.threads = threads if self.device.type == "cpu" else 1
        size = min(CHUNK, len(brains.params))
        layout = brains.layout
        whole = [Buffers(layout, size, config.batch, self.device) for _ in range(self.threads)]
        self._buffers = [{size: buffers} for buffers in whole]
        self._size = size
        self._delta = [torch.zeros((ADAM_CHUNK, layout.n_params), device=self.device) for _ in whole]
        self._online = views(layout, brains.params)
        self._frozen = views(layout, brains.target)
        self._head = head_matrix(layout, self.device)
        self._heads: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}
        self._action_bit = torch.tensor([1 << a for a in range(layout.n_actions)], device=self.device).to(torch.uint8)
        self._forever = torch.tensor(1e9, device=self.device)  # a step count at which Adam corrects no bias
        self._pool = (
            ThreadPoolExecutor(self.threads, "learner", torch.set_num_threads, (1,)) if self.threads > 1 else None
        )

    def step(self, batch: Batch, rates: Rates, active: np.ndarray) -> LearnStats:
        """Update the seats of the batch that are active [P] bool; every other seat keeps its bytes."""
        with torch.inference_mode():
            batch = batch.to(self.device)
            job = _Job(self, batch, rates, active)
        count = len(batch.seats)
        chunks = self.threads * -(-count // (self._size * self.threads))  # as many for each worker
        size = max(-(-count // max(chunks, 1)), 1)
        starts = range(0, count, size)

        def work(worker: int) -> None:
            with torch.inference_mode():
                for start in starts[worker :: self.threads]:
                    self._chunk(worker, job, slice(start, min(start + size, count)))

        if self._pool is None:
            work(0)
        else:  # even a single chunk: out here torch would share its products among threads, with other last bits
            list(self._pool.map(work, range(min(self.threads, len(starts)))))
        return job.finish(self)

    def _of_size(self, worker: int, k: int) -> Buffers:
        made = self._buffers[worker]
        if k not in made:
            made[k] = Buffers(self.brains.layout, k, self.config.batch, self.device, made[self._size])
        return made[k]

    def _chunk(self, worker: int, job: "_Job", part: slice) -> None:
        """Gradients of one chunk of agents, then their update."""
        seats = job.batch.seats[part]
        ws = self._of_size(worker, len(seats))
        online, frozen = self._weights(ws, seats)
        x = job.batch.x[part]
        self._forward(ws, online, frozen, x)
        td_error = self._td_error(ws, job, part)  # [k,B]
        if job.priority is not None:
            torch.abs(td_error, out=job.priority[part])
        slope = td_error.clamp(-self.config.huber_delta, self.config.huber_delta)
        huber = slope * torch.add(td_error, slope, alpha=-0.5)
        if job.batch.weight is not None:  # the weight scales the gradient: Schaul et al. 2016, algorithm 1
            for figure in (huber, slope, td_error):
                figure.mul_(job.batch.weight[part])
        self._backward(ws, online, x, job.batch.a_tm1[part], slope)
        loss, mean_td, norm, q_mean, q_max = job.figures[:, part]
        torch.mean(huber, dim=1, out=loss)
        torch.mean(td_error.abs_(), dim=1, out=mean_td)
        torch.linalg.vector_norm(ws.gradient, dim=1, out=norm)
        torch.mean(ws.q_tm1, dim=(1, 2), out=q_mean)
        torch.linalg.vector_norm(ws.q_tm1, torch.inf, dim=(1, 2), out=q_max)
        good = job.judge(part)
        norms = norm.cpu().numpy()
        if (norms > self.config.grad_clip).any():
            ws.gradient *= (self.config.grad_clip / (norm + 1e-12)).clamp_(max=1.0)[:, None]
        self._update(self._delta[worker], ws.gradient, job, part, good)

    def _weights(self, ws: Buffers, seats: np.ndarray) -> tuple[Weights, Weights]:
        """Return online and target networks [k,...]: views for neighbours, copies otherwise."""
        k, first, last = len(seats), int(seats[0]), int(seats[-1])
        if last - first + 1 == k:
            near = slice(first, last + 1)
            return Weights(*[w[near] for w in self._online]), Weights(*[w[near] for w in self._frozen])
        index = torch.from_numpy(seats).to(self.device)
        torch.index_select(self.brains.params, 0, index, out=ws.params)
        if self.config.target != "none":
            torch.index_select(self.brains.target, 0, index, out=ws.target)
        return views(self.brains.layout, ws.params), views(self.brains.layout, ws.target)

    def _forward(self, ws: Buffers, online: Weights, frozen: Weights, x: torch.Tensor) -> None:
        """Fill ws.h1, h2, out and q for [s_tm1; s_t], and t_q for s_t, of k agents."""
        torch.baddbmm(online.b1, x, online.w1, out=ws.h1).relu_()
        torch.baddbmm(online.b2, ws.h1, online.w2, out=ws.h2).relu_()
        torch.baddbmm(online.b3, online.w3, ws.h2_t, out=ws.out)
        self._to_q(ws.out, ws.q)
        if self.config.target == "none":
            ws.t_q.copy_(ws.q_t)
            return
        torch.baddbmm(frozen.b1, x[:, self.config.batch :], frozen.w1, out=ws.t1).relu_()
        torch.baddbmm(frozen.b2, ws.t1, frozen.w2, out=ws.t2).relu_()
        torch.baddbmm(frozen.b3, frozen.w3, ws.t2_t, out=ws.t_out)
        self._to_q(ws.t_out, ws.t_q)

    def _head_views(self, k: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Return T [k,A,O] and its transpose, without copies."""
        if k not in self._heads and self._head is not None:
            self._heads[k] = (self._head.expand(k, -1, -1), self._head.mT.expand(k, -1, -1))
        return self._heads[k]

    def _to_q(self, outputs: torch.Tensor, q: torch.Tensor) -> None:
        if self._head is None:
            q.copy_(outputs)
        else:
            torch.bmm(self._head_views(len(q))[0], outputs, out=q)

    def _td_error(self, ws: Buffers, job: "_Job", part: slice) -> torch.Tensor:
        """Return Q(s_tm1, a_tm1) - (r_t + discount_t Q(s_t, a_t)), [k,B]."""
        batch = job.batch
        selector = ws.q_t if self.config.double else ws.t_q  # [k,A,B]
        if job.illegal is not None:
            selector = selector.masked_fill(job.illegal[part], -torch.inf)
        a_t = selector.max(dim=1, keepdim=True).indices  # [k,1,B]
        bootstrap = ws.t_q.gather(1, a_t)[:, 0]
        goal = torch.addcmul(batch.r_t[part], batch.discount_t[part], bootstrap)
        return ws.q_tm1.gather(1, batch.a_tm1[part][:, None])[:, 0].sub_(goal)

    def _backward(
        self, ws: Buffers, online: Weights, x: torch.Tensor, a_tm1: torch.Tensor, slope: torch.Tensor
    ) -> None:
        """Write the gradient of the mean loss into ws.gradient [k,n_params]; slope [k,B] = d Huber / d Q."""
        b = self.config.batch
        ws.dq.zero_().scatter_(1, a_tm1[:, None], (slope * (1.0 / b))[:, None])
        if self._head is not None:
            torch.bmm(self._head_views(len(ws.dq))[1], ws.dq, out=ws.d_out)
        # products go to contiguous buffers first: bmm into a strided view works one matrix at a time
        ws.to.w3.copy_(torch.bmm(ws.d_out, ws.h2_tm1, out=ws.dw3))
        torch.sum(ws.d_out, dim=2, keepdim=True, out=ws.to.b3)
        _relu_backward(torch.bmm(ws.d_out_t, online.w3, out=ws.t2), ws.h2_tm1)
        ws.to.w2.copy_(torch.bmm(ws.h1_tm1_t, ws.t2, out=ws.dw2))
        torch.sum(ws.t2, dim=1, keepdim=True, out=ws.to.b2)
        _relu_backward(torch.bmm(ws.t2, online.w2.mT, out=ws.t1), ws.h1_tm1)
        ws.to.w1.copy_(torch.bmm(x[:, :b].mT, ws.t1, out=ws.dw1))
        torch.sum(ws.t1, dim=1, keepdim=True, out=ws.to.b1)

    def _update(
        self, delta: torch.Tensor, gradient: torch.Tensor, job: "_Job", part: slice, good: np.ndarray
    ) -> None:
        """Adam and the soft target for the good rows [k] bool of gradient [k,n_params], neighbours together.

        The fused kernel knows one learning rate only, so it works on a buffer of zeros with rate 1: that
        leaves minus the direction, and each agent's own rate is multiplied in afterwards.
        """
        config, brains = self.config, self.brains
        seats = job.batch.seats[part]
        sizes, taus = job.sizes[part], job.taus[part]
        for row, length in _runs(seats, good):
            seat = slice(int(seats[row]), int(seats[row]) + length)
            rows = slice(row, row + length)
            direction = delta[:length].zero_()
            torch._fused_adam_(
                [direction], [gradient[rows]], [brains.moment1[seat]], [brains.moment2[seat]], [], [self._forever],
                lr=1.0, beta1=config.adam_beta1, beta2=config.adam_beta2, weight_decay=0.0, eps=config.adam_eps,
                amsgrad=False, maximize=False,
            )  # fmt: skip
            params = brains.params[seat].addcmul_(direction, sizes[rows])
            if config.target == "soft":
                brains.target[seat].lerp_(params, taus[rows])


class _Job:
    """One call of `step`: what is computed for all its rows at once, before and after the chunks."""

    def __init__(self, learner: FastLearner, batch: Batch, rates: Rates, active: np.ndarray) -> None:
        brains, device = learner.brains, learner.device
        self.batch = batch
        self.wanted = active[batch.seats]  # [N]
        self.good = np.zeros_like(self.wanted)
        self.stats = LearnStats.allocate(len(active))
        steps = brains.steps.numpy()[batch.seats] + 1
        sizes = step_size(rates.learning_rate[batch.seats], steps, learner.config)
        self.sizes = torch.from_numpy(sizes).to(device)[:, None]  # [N,1]
        self.taus = torch.from_numpy(rates.tau[batch.seats]).to(device)[:, None]
        self.figures = torch.zeros((5, len(batch.seats)), device=device)  # as in LearnStats
        self.priority: torch.Tensor | None = None  # [N,B], as in LearnStats
        if learner.config.prioritised:
            self.priority = torch.zeros(batch.a_tm1.shape, device=device)
        self.illegal: torch.Tensor | None = None  # [N,A,B]
        if learner.config.mask_bellman:
            self.illegal = (batch.legal_t[:, None] & learner._action_bit[:, None]) == 0

    def judge(self, part: slice) -> np.ndarray:
        """Return which rows of a chunk [k] bool are to be updated: wanted, with finite loss and gradient."""
        figures = self.figures[:, part].cpu().numpy()
        self.good[part] = self.wanted[part] & np.isfinite(figures[0]) & np.isfinite(figures[2])
        good: np.ndarray = self.good[part]
        return good

    def finish(self, learner: FastLearner) -> LearnStats:
        """Count the updates, copy the targets that are due, and return the figures by seat."""
        brains, config, stats = learner.brains, learner.config, self.stats
        chosen = self.batch.seats[self.good]
        steps = brains.steps.numpy()  # a view
        steps[chosen] += 1
        if config.target != "soft" and len(chosen):
            copied = chosen if config.target == "none" else chosen[steps[chosen] % config.hard_target_every == 0]
            due = torch.from_numpy(copied).to(learner.device)
            brains.target[due] = brains.params[due]
        figures = self.figures.cpu().numpy()
        mine = self.batch.seats[self.wanted]
        for name, row in zip(("loss", "td_error", "grad_norm", "q_mean", "q_max"), figures, strict=True):
            getattr(stats, name)[mine] = row[self.wanted]
        stats.updated[chosen] = True
        if self.priority is not None:
            stats.priority = self.priority.cpu().numpy()
        stats.failed[mine] = ~stats.updated[mine]
        return stats


def _relu_backward(gradient: torch.Tensor, output: torch.Tensor) -> None:
    """Zero `gradient` in place where `output` is 0."""
    torch.ops.aten.threshold_backward.grad_input(gradient, output, 0.0, grad_input=gradient)


def _runs(seats: np.ndarray, good: np.ndarray) -> Iterator[tuple[int, int]]:
    """Yield (first row, length) of runs of good rows whose seats are neighbours, at most ADAM_CHUNK long."""
    rows = np.flatnonzero(good)
    breaks = np.flatnonzero((np.diff(rows) != 1) | (np.diff(seats[rows]) != 1)) + 1
    edges = [0, *breaks.tolist(), len(rows)]
    for begin, end in pairwise(edges):
        for start in range(begin, end, ADAM_CHUNK):
            yield int(rows[start]), min(ADAM_CHUNK, end - start)
