"""One ring of experience for each agent; every observation is stored once.

Row t of a seat holds (obs_t, mask_t, a_t, r_t+1, done_t+1); the next row holds obs_t+1. So the newest
row has no successor yet and is not sampled. A ring belongs to one life and is written every tick of it.
Memory: 2 D + 7 bytes a row (71 for D = 32), 0.58 MB an agent at C = 8192, 0.6 GB for 1,024 agents;
the pages are the operating system's zeros until they are first written.
"""

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import torch

GOES_ON, DONE, CUT = 0, 1, 2
"""What follows a row: its successor; nothing (terminal); an observation of somebody else's life.

A CUT row ends an inherited slice: it is its predecessor's successor, but no transition of its own."""


@dataclass(slots=True)
class Batch:
    """Transitions for N seats, B each; time-suffixed names as in the papers."""

    seats: np.ndarray  # [N] i64, ascending; row n belongs to seat seats[n]
    x: torch.Tensor  # [N,2B,D] f32, rows 0..B-1 are s_tm1, the others s_t
    a_tm1: torch.Tensor  # [N,B] i64
    r_t: torch.Tensor  # [N,B] f32, the n-step sum
    discount_t: torch.Tensor  # [N,B] f32, gamma^n, 0 after a terminal step
    legal_t: torch.Tensor  # [N,B] u8, bits of the actions possible in s_t
    weight: torch.Tensor | None  # [N,B] f32, 0 for draws that are no transition; None when all are

    @property
    def s_tm1(self) -> torch.Tensor:
        """[N,B,D] observations."""
        return self.x[:, : self.a_tm1.shape[1]]

    @property
    def s_t(self) -> torch.Tensor:
        """[N,B,D] observations n steps later."""
        return self.x[:, self.a_tm1.shape[1] :]

    def to(self, device: torch.device) -> "Batch":
        """Return the batch on `device`."""
        if device.type == "cpu":
            return self
        weight = None if self.weight is None else self.weight.to(device)
        tensors = [t.to(device) for t in (self.x, self.a_tm1, self.r_t, self.discount_t, self.legal_t)]
        return Batch(self.seats, tensors[0], tensors[1], tensors[2], tensors[3], tensors[4], weight)


class Rows(NamedTuple):
    """Where the B transitions of each of N seats begin, and how much each counts."""

    seats: np.ndarray  # [N] i64, ascending
    row: np.ndarray  # [N,B] i64
    weight: np.ndarray  # [N,B] f32


class Draws(NamedTuple):
    """What `rng.uniforms` needs to draw B transitions for each of N seats."""

    seats: np.ndarray  # [N] i64, ascending
    ids: np.ndarray  # [N] i64, the agents in them
    key: np.uint64
    tick: int
    column: int  # the first of the B


@dataclass(slots=True)
class Replay:
    """The rings of all seats; an empty seat is all zeros."""

    obs: np.ndarray  # [P,C,D] f16
    action: np.ndarray  # [P,C] i8
    reward: np.ndarray  # [P,C] f32
    done: np.ndarray  # [P,C] u8, GOES_ON | DONE | CUT
    mask: np.ndarray  # [P,C] u8, bit a is set when action a was possible
    write: np.ndarray  # [P] i64, the row that is written next
    filled: np.ndarray  # [P] i64, rows that hold something
    _rows: torch.Tensor = field(repr=False)  # [P*C,D] f16, a view of obs
    _half: torch.Tensor = field(repr=False)  # [most rows of a batch so far, D] f16, scratch
    _full: torch.Tensor = field(repr=False)  # the same in f32: fresh pages for each batch cost a millisecond

    @classmethod
    def allocate(cls, seats: int, capacity: int, obs_dim: int) -> "Replay":
        """Return `seats` empty rings of `capacity` rows."""
        obs = np.zeros((seats, capacity, obs_dim), dtype=np.float16)
        return cls(
            obs=obs,
            action=np.zeros((seats, capacity), dtype=np.int8),
            reward=np.zeros((seats, capacity), dtype=np.float32),
            done=np.zeros((seats, capacity), dtype=np.uint8),
            mask=np.zeros((seats, capacity), dtype=np.uint8),
            write=np.zeros(seats, dtype=np.int64),
            filled=np.zeros(seats, dtype=np.int64),
            _rows=torch.from_numpy(obs).view(seats * capacity, obs_dim),
            _half=torch.empty((0, obs_dim), dtype=torch.float16),
            _full=torch.empty((0, obs_dim), dtype=torch.float32),
        )

    @property
    def capacity(self) -> int:
        """Rows of one ring, C."""
        return int(self.action.shape[1])

    def add(
        self,
        active: np.ndarray,
        obs: np.ndarray,
        bits: np.ndarray,
        action: np.ndarray,
        reward: np.ndarray,
        done: np.ndarray,
    ) -> None:
        """Append one row to each seat of `active` [P] bool.

        obs [P,D] f32 in [-5, 5]; bits [P] u8 (policy.mask_bits); action [P] i8; reward [P]; done [P] bool.
        """
        seats = np.flatnonzero(active)
        row = self.write[seats]
        self.obs[seats, row] = obs[seats]
        self.action[seats, row] = action[seats]
        self.reward[seats, row] = reward[seats]
        self.done[seats, row] = done[seats]
        self.mask[seats, row] = bits[seats]
        self.write[seats] = (row + 1) % self.capacity
        self.filled[seats] = np.minimum(self.filled[seats] + 1, self.capacity)

    def sample(self, u: np.ndarray, n_step: int, gamma: np.ndarray, seats: np.ndarray | None = None) -> Batch:
        """Return uniformly drawn transitions, with replacement, for u [N,B] f64 in [0, 1) and gamma [N].

        A draw is never one of the newest n_step rows, so every row it reads was written in this order
        and the write pointer is never crossed. Seats with filled <= n_step give rows of no meaning.
        The observations lie in a buffer that the next call writes over.
        """
        if seats is None:
            seats = np.arange(len(u))
        capacity = self.capacity
        choices = np.maximum(self.filled[seats] - n_step, 1)  # [N]
        age = (u * choices[:, None]).astype(np.int64)  # [N,B] 0 = the newest row with a successor
        row = (self.write[seats] - 1 - n_step)[:, None] - age
        row %= capacity
        return self.transitions(row, n_step, gamma, seats)

    def transitions(
        self, row: np.ndarray, n_step: int, gamma: np.ndarray, seats: np.ndarray, weight: np.ndarray | None = None
    ) -> Batch:
        """Return the transitions that begin at `row` [N,B] i64 of each of `seats` [N], for gamma [N].

        weight [N,B] f32: importance weights; without them a draw counts fully, or not at all where it is no
        transition. Each row must be followed by n_step others. The observations lie in a buffer that the
        next call writes over.
        """
        capacity = self.capacity
        base = (seats * capacity)[:, None]
        flat = base + row
        code = self.done.reshape(-1)[flat]
        total = self.reward.reshape(-1)[flat]
        gammas = np.broadcast_to(gamma.astype(np.float32)[:, None], flat.shape)
        if weight is None and (code == CUT).any():
            weight = (code != CUT).astype(np.float32)
        if n_step == 1:
            discount = np.where(code == GOES_ON, gammas, np.float32(0.0))
            after = base + (row + 1) % capacity
        else:
            total, discount, after = self._sum_steps(n_step, base, row, total, code, gammas)
        picked = np.concatenate((flat, after), axis=1)  # [N,2B]
        return Batch(
            seats=seats,
            x=self._observations(picked),
            a_tm1=torch.from_numpy(self.action.reshape(-1)[flat].astype(np.int64)),
            r_t=torch.from_numpy(total),
            discount_t=torch.from_numpy(discount),
            legal_t=torch.from_numpy(self.mask.reshape(-1)[after]),
            weight=None if weight is None else torch.from_numpy(weight),
        )

    def _observations(self, picked: np.ndarray) -> torch.Tensor:
        """Return rows `picked` [N,2B] of all rings as [N,2B,D] f32."""
        if picked.size > len(self._half):
            self._half = torch.empty((picked.size, self.obs.shape[2]), dtype=torch.float16)
            self._full = torch.empty((picked.size, self.obs.shape[2]), dtype=torch.float32)
        half, full = self._half[: picked.size], self._full[: picked.size]
        torch.index_select(self._rows, 0, torch.from_numpy(picked.reshape(-1)), out=half)
        return full.copy_(half).view(*picked.shape, -1)

    def _sum_steps(
        self,
        n_step: int,
        base: np.ndarray,
        row: np.ndarray,
        total: np.ndarray,
        code: np.ndarray,
        gammas: np.ndarray,
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return (n-step sum, discount, successor) [N,B]; a terminal step or a CUT ends the sum early."""
        going = code == GOES_ON
        discount = np.where(code == DONE, np.float32(0.0), gammas)
        steps = np.ones_like(row)
        for step in range(1, n_step):
            flat = base + (row + step) % self.capacity
            code = self.done.reshape(-1)[flat]
            going &= code != CUT  # the sum stops at a CUT row and bootstraps from its observation
            total = total + np.where(going, discount * self.reward.reshape(-1)[flat], np.float32(0.0))
            discount = np.where(going, np.where(code == DONE, np.float32(0.0), discount * gammas), discount)
            steps += going
            going &= code == GOES_ON
        return total, discount, base + (row + steps) % self.capacity

    def copy_newest(self, source: int, seat: int, count: int) -> int:
        """Fill an empty ring with the newest `count` rows of another; return how many were copied.

        The last copied row is marked CUT: what follows it will be another life.
        """
        count = min(count, int(self.filled[source]))
        self.clear_seat(seat)
        if count < 2:  # one row alone is no transition
            return 0
        rows = (self.write[source] - count + np.arange(count)) % self.capacity
        for array in (self.obs, self.action, self.reward, self.done, self.mask):
            array[seat, :count] = array[source, rows]
        self.done[seat, count - 1] = CUT
        self.write[seat] = count % self.capacity
        self.filled[seat] = count
        return count

    def clear_seat(self, seat: int) -> None:
        """Forget everything of one seat."""
        used = self.capacity if self.filled[seat] >= self.capacity else int(self.write[seat])
        for array in (self.obs, self.action, self.reward, self.done, self.mask):
            array[seat, :used] = 0
        self.write[seat] = 0
        self.filled[seat] = 0

    def check_valid(self) -> tuple[bool, str]:
        """Return (ok, reason) for the invariants that hold after every call."""
        if np.any((self.filled < 0) | (self.filled > self.capacity)):
            return False, "a ring holds more rows than its capacity"
        if np.any((self.write < 0) | (self.write >= self.capacity)):
            return False, "a write pointer is outside its ring"
        if np.any((self.filled < self.capacity) & (self.write != self.filled)):
            return False, "a ring that is not full does not begin at row 0"
        return True, ""
