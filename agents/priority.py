"""Prioritised replay: transitions are drawn in proportion to how far off their last prediction was.

Schaul, Quan, Antonoglou & Silver 2016, "Prioritized Experience Replay", the proportional variant (section 3.3)
with importance weights (3.4). Each agent has a sum tree of its own; the trees of all agents lie stacked, a level
an array, so that one step of all descents is a few array operations. The leaves hold exactly those rows of the
ring that may be drawn now: a row that was overwritten, that has no n successors yet or that ends an inherited
slice has priority 0. The sums are a function of the leaves (agents/sum_tree.py), and an agent's bytes depend
neither on its seat nor on its neighbours.
Memory: 16 bytes a row, where the capacity is a power of two.
"""

from dataclasses import dataclass, field
from typing import Final

import numpy as np

from agents import sum_tree
from agents.config import MindConfig
from agents.replay import CUT, Replay

_FIRST = 1.0
"""Priority of the first rows of a life, before anything was learned from one: algorithm 1, line 2."""


_ROOT_OF_HALF: Final = 0x3FE6A09E667F3BCD
_ONE: Final = 0x3FF0000000000000
_MANTISSA: Final = (1 << 52) - 1
_WHOLE: Final = 1.5 * 2.0**52
"""Bits of sqrt(1/2), of 1 and of a mantissa; a double this large has no places behind the point."""
# fmt: off
_LOG2_OF: Final = (
    2.8853900817779268, 0.9617966939259756, 0.5770780163555853, 0.4121985831111324, 0.3205988979753252,
    0.2623081892525388, 0.22195308321368667, 0.19235933878519512, 0.16972882833987804, 0.15186263588304877,
)
_EXP2_OF: Final = (
    1.0, 0.6931471805599453, 0.24022650695910072, 0.05550410866482158, 0.009618129107628477, 0.0013333558146428443,
    0.0001540353039338161, 1.5252733804059841e-05, 1.321548679014431e-06, 1.01780860092397e-07,
    7.054911620801123e-09, 4.4455382718708116e-10, 2.5678435993488206e-11,
)
# fmt: on
"""2 / (ln 2 (2 i + 1)) and ln 2 ^ i / i!: as in priority.c."""


@dataclass(slots=True)
class Priorities:
    """The sum trees of all seats; an empty seat is all zeros."""

    leaf: np.ndarray  # [P,L] f64, (|TD error| + epsilon)^alpha of the rows that may be drawn, L = 2^depth >= C
    largest: np.ndarray  # [P] f64, the largest leaf that an update ever wrote, 0 before the first
    waiting: np.ndarray  # [P] i64, rows of the ring that the tree has not seen
    _levels: sum_tree.Levels = field(repr=False)  # [P,1], [P,2], ... [P,L]: sums, the last one is `leaf`
    _stale: list[np.ndarray] = field(repr=False)  # flat indices of leaves whose sums are out of date

    @classmethod
    def allocate(cls, seats: int, capacity: int) -> "Priorities":
        """Return empty trees over rings of `capacity` rows."""
        levels = sum_tree.allocate(seats, capacity)
        return cls(levels[-1], np.zeros(seats), np.zeros(seats, dtype=np.int64), levels, [])

    def added(self, learners: np.ndarray) -> None:
        """Note that each of `learners` [P] bool remembered one more row."""
        self.waiting += learners

    def sample(
        self, u: np.ndarray, beta: np.ndarray, replay: Replay, n_step: int, seats: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return (rows [N,B] i64, importance weights [N,B] f32) for u [N,B] f64 in [0, 1) and beta [N].

        Column b is drawn from the b-th of B equal parts of the agent's total (appendix B.2.1). The weights are
        (C P(i))^-beta over the largest of the batch (section 3.4). Whoever has nothing to draw gets weights 0.
        """
        self._see(replay, n_step, seats)
        self._refresh()
        size = u.shape[1]
        mass = (np.arange(size) + u) * (self._levels[0][seats] / size)  # [N,B]
        start = np.broadcast_to(seats[:, None], u.shape)
        flat = sum_tree.descend(self._levels, start, mass)
        leaf = self.leaf.reshape(-1).take(flat)
        lowest = leaf.min(axis=1, keepdims=True)  # [N,1]
        if lowest.min() <= 0.0:  # rounding led past the last leaf of a subtree, or somebody has nothing to draw
            flat = sum_tree.descend_with_care(self._levels, start, mass)
            leaf = self.leaf.reshape(-1).take(flat)
            lowest = leaf.min(axis=1, keepdims=True)
            leaf = np.maximum(leaf, np.finfo(np.float64).tiny)
        weight = raised(lowest / leaf, beta[:, None])
        weight *= lowest > 0.0
        return flat - (seats * self.leaf.shape[1])[:, None], weight.astype(np.float32)

    def update(self, seats: np.ndarray, row: np.ndarray, td_error: np.ndarray, config: MindConfig) -> None:
        """Give the drawn rows [N,B] of `seats` [N] the priority of their |TD error| [N,B], all finite."""
        leaf = raised(td_error.astype(np.float64) + config.priority_epsilon, np.array(config.priority_alpha))
        flat = (seats * self.leaf.shape[1])[:, None] + row
        leaf = np.where(self.leaf.reshape(-1).take(flat) > 0.0, leaf, 0.0)  # what may not be drawn stays so
        self.leaf.reshape(-1)[flat] = leaf
        self._stale.append(flat.reshape(-1))
        self.largest[seats] = np.maximum(self.largest[seats], leaf.max(axis=1))

    def inherit(self, replay: Replay, source: int, seat: int, count: int, n_step: int) -> None:
        """Copy the priorities of the newest `count` rows, which `Replay.copy_newest` has just copied.

        The newest n_step of them wait until they have successors in the heir's own life.
        """
        self.clear_seat(seat)
        self._see(replay, n_step, np.array([source]))
        kept = count - n_step
        if kept > 0:
            rows = (replay.write[source] - count + np.arange(kept)) % replay.capacity
            self.leaf[seat, :kept] = self.leaf[source, rows]
        self.largest[seat] = self.largest[source]
        self._stale.append(seat * self.leaf.shape[1] + np.arange(count))

    def clear_seat(self, seat: int) -> None:
        """Forget everything of one seat."""
        for level in self._levels:
            level[seat] = 0.0
        self.largest[seat] = 0.0
        self.waiting[seat] = 0

    @property
    def depth(self) -> int:
        """Levels below the root."""
        return len(self._levels) - 1

    def for_kernel(self) -> dict[str, np.ndarray | None]:
        """Return the arrays that priority.c works on, under their names there; all sums are computed."""
        self._refresh()
        return {"levels": self._levels[0], "largest": self.largest, "waiting": self.waiting}

    def rebuild(self) -> None:
        """Compute all sums from the leaves, after these came from elsewhere."""
        self._stale.clear()
        sum_tree.rebuild(self._levels)

    def check_valid(self) -> tuple[bool, str]:
        """Return (ok, reason): every sum that is not waiting to be computed is that of its two parts."""
        self._refresh()
        wrong = sum_tree.wrong_node(self._levels)
        if wrong is None:
            return True, ""
        depth, seat, node = wrong
        return False, f"seat {seat}: node {node} of level {depth} is not the sum of its parts"

    def _see(self, replay: Replay, n_step: int, seats: np.ndarray) -> None:
        """Take in the rows that were added since: the newest n_step must wait, those before them may be drawn."""
        fresh = np.minimum(self.waiting[seats], replay.filled[seats])[:, None]  # [N,1]
        if not fresh.any():
            return
        capacity, length = replay.capacity, self.leaf.shape[1]
        rank = np.arange(1, min(n_step + int(fresh.max()), capacity) + 1)  # [R], 1 is the newest row
        row = (replay.write[seats, None] - rank) % capacity  # [N,R]
        touched = rank <= np.minimum(n_step + fresh, replay.filled[seats, None])
        drawable = (rank > n_step) & (replay.done.reshape(-1)[(seats * capacity)[:, None] + row] != CUT)
        entry = np.where(self.largest[seats] > 0.0, self.largest[seats], _FIRST)[:, None]
        flat = ((seats * length)[:, None] + row)[touched]
        self.leaf.reshape(-1)[flat] = np.where(drawable, entry, 0.0)[touched]
        self._stale.append(flat)
        self.waiting[seats] = 0

    def _refresh(self) -> None:
        """Recompute the sums above all leaves that changed."""
        if self._stale:
            sum_tree.refresh(self._levels, np.concatenate(self._stale))
            self._stale.clear()


def raised(x: np.ndarray, exponent: np.ndarray) -> np.ndarray:
    """Return x^exponent f64 for finite x >= 0 and exponents in [0, 1], to 1e-13; the libraries' pow differ in bits.

    2^(exponent log2 x), both as series with a fixed order of the terms: the bits are those of `raise_all` in
    priority.c on every machine. log2 m = 2 / ln 2 artanh((m - 1) / (m + 1)) for m between the roots of 1/2 and 2.
    """
    bits = np.maximum(x, np.finfo(np.float64).tiny).view(np.int64)
    over = bits - _ROOT_OF_HALF
    m = (bits - (over & ~_MANTISSA)).view(np.float64)
    s = (m - 1.0) / (m + 1.0)
    y = exponent * ((over >> 52).astype(np.float64) + s * _series(_LOG2_OF, s * s))
    rounded = y + _WHOLE
    scale = ((rounded.view(np.int64) << 52) + _ONE).view(np.float64)  # the integer stands in the lowest bits
    power: np.ndarray = _series(_EXP2_OF, y - (rounded - _WHOLE)) * scale
    return power


def _series(terms: tuple[float, ...], z: np.ndarray) -> np.ndarray:
    """Return the sum of terms[i] z^i, the highest power first (Horner)."""
    total = np.full_like(z, terms[-1])
    for term in terms[-2::-1]:
        total *= z
        total += term
    return total


def beta_at(steps: np.ndarray, config: MindConfig) -> np.ndarray:
    """Return beta [N] f64 after `steps` [N] updates: linear from priority_beta to 1 (section 3.4)."""
    share = np.minimum(steps / config.priority_beta_updates, 1.0)
    return np.asarray(config.priority_beta + (1.0 - config.priority_beta) * share, dtype=np.float64)
