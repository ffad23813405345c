"""The fused learner: one C function does a whole update of an agent while it lies in the cache.

The mathematics is that of learn.py, the contract that of learn_fast.FastLearner; prioritised draws are those of
priority.py to the bit. agents/fused.c and the two files before it are compiled on this machine by the compiler that
is there (arena/native.py); without one, FastLearner does the work. How it acts: fused_play.py.
Its bytes depend neither on threads, seats and neighbours nor on the processor's vectors or the compiler.
"""

import ctypes
import functools
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, Literal

import numpy as np
import torch

from agents import brains as brain
from agents import fused_play
from agents.brains import Brains
from agents.config import MindConfig
from agents.fused_build import compiled_library
from agents.fused_job import Job, aligned, sizes
from agents.learn import LearnStats, Rates, learn_step
from agents.priority import Priorities, beta_at
from agents.replay import Batch, Draws, Replay, Rows
from arena import native
from arena.errors import EnvironmentFault
from arena.rng import stream, uniforms
from arena.spec import N_ACTIONS

_TARGETS: Final = ("none", "soft", "hard")
_FIGURES: Final = ("loss", "td_error", "grad_norm", "q_mean", "q_max")
_LONG, _POINTER = ctypes.c_int64, ctypes.c_void_p
_FUNCTIONS: Final = {
    "fused_job_size": (_LONG,),
    "fused_space": (_LONG, _POINTER),
    "fused_learn": (None, _POINTER, _POINTER),
    "fused_play": (None, _POINTER, _POINTER),
    "fused_gaps": (None, _POINTER, _POINTER, _LONG, _LONG, _POINTER),
}
"""What the kernel offers: what it returns, what it takes."""
_TOLERANCE: Final = 1e-4
"""Of the self-test, relative; a sign, an index or a term that is wrong is off by a thousand times that."""

LearnerName = Literal["auto", "fused", "fast", "reference"]


class FusedLearner:
    """Updates the brains it was made for; `step` has the contract of `learn.learn_step`."""

    def __init__(
        self, brains: Brains, config: MindConfig, threads: int = 1, library: ctypes.CDLL | None = None
    ) -> None:
        """Allocate the workers' memory. Raises EnvironmentFault when there is no kernel here."""
        self.brains = brains
        self.config = config
        self._library = fused_library() if library is None else library
        layout = brains.layout
        self._job = Job(
            **sizes(layout, config.batch), double_q=config.double, mask=config.mask_bellman,
            target=_TARGETS.index(config.target), hard_every=config.hard_target_every,
            beta1=config.adam_beta1, beta2=config.adam_beta2, eps=config.adam_eps, huber=config.huber_delta,
            clip=config.grad_clip, params=brains.params.data_ptr(), frozen=brains.target.data_ptr(),
            moment1=brains.moment1.data_ptr(), moment2=brains.moment2.data_ptr(), steps=brains.steps.data_ptr(),
            alpha=config.priority_alpha, beta=config.priority_beta, beta_updates=config.priority_beta_updates,
            epsilon=config.priority_epsilon,
        )  # fmt: skip
        floats = self._library.fused_space(ctypes.byref(self._job))
        self._spaces = [aligned(floats) for _ in range(threads)]
        self._pool = ThreadPoolExecutor(threads, "learner") if threads > 1 else None

    def step(self, batch: Batch, rates: Rates, active: np.ndarray) -> LearnStats:
        """Update the seats of the batch that are active [P] bool; every other seat keeps its bytes."""
        names = ("x", "a_tm1", "r_t", "discount_t", "legal_t", "weight")
        given = {name: None if (t := getattr(batch, name)) is None else t.contiguous().numpy() for name in names}
        return self._run(batch.seats, rates, active, given)

    def step_rows(self, replay: Replay, rows: Rows, gamma: np.ndarray, rates: Rates, active: np.ndarray) -> LearnStats:
        """The same straight from the rings; gamma [N]."""
        self._job.capacity, self._job.n_step = replay.capacity, self.config.n_step
        given = _rings(replay) | {"row": rows.row.astype(np.int64), "weight": rows.weight.astype(np.float32)}
        return self._run(rows.seats, rates, active, given | {"gamma": gamma.astype(np.float32)})

    def step_drawn(
        self,
        replay: Replay,
        draws: Draws,
        gamma: np.ndarray,
        rates: Rates,
        active: np.ndarray,
        priorities: Priorities | None = None,
    ) -> LearnStats:
        """The same from transitions drawn as `Replay.sample` draws them from `rng.uniforms`; gamma [N].

        With priorities: as `Priorities.sample` draws and weighs them, and `Priorities.update` is done as well.
        """
        given = _rings(replay) | {"ids": draws.ids.astype(np.int64), "gamma": gamma.astype(np.float32)}
        if priorities is not None:
            given |= priorities.for_kernel()
            self._job.trees, self._job.depth = priorities.leaf.shape[0], priorities.depth
        self._job.key, self._job.tick = int(draws.key), draws.tick
        self._job.column, self._job.capacity, self._job.n_step = draws.column, replay.capacity, self.config.n_step
        return self._run(draws.seats, rates, active, given)

    def _run(
        self, seats: np.ndarray, rates: Rates, active: np.ndarray, given: dict[str, np.ndarray | None]
    ) -> LearnStats:
        """Point the job to these arrays, let the workers loose, and sort the figures by seat."""
        stats = LearnStats.allocate(len(active))
        count, job, wanted = len(seats), self._job, active[seats]
        figures, good = np.zeros((5, count), dtype=np.float32), np.zeros(count, dtype=bool)
        if self.config.prioritised:
            stats.priority = np.zeros((count, self.config.batch), dtype=np.float32)
        everything = _NOTHING | given | {
            "seats": seats.astype(np.int64), "wanted": wanted, "figures": figures, "good": good,
            "rate": np.ascontiguousarray(rates.learning_rate, dtype=np.float32),
            "tau": np.ascontiguousarray(rates.tau, dtype=np.float32),
            "next": np.zeros(1, dtype=np.int64), "priority": stats.priority,
        }  # fmt: skip
        job.count = count
        for name, array in everything.items():
            setattr(job, name, None if array is None else array.ctypes.data)
        if self._pool is None:
            self._work(0)
        else:
            list(self._pool.map(self._work, range(len(self._spaces))))
        mine, chosen = seats[wanted], seats[good]
        for name, row in zip(_FIGURES, figures, strict=True):
            getattr(stats, name)[mine] = row[wanted]
        stats.updated[chosen] = True
        stats.failed[mine] = ~stats.updated[mine]
        return stats

    def _work(self, worker: int) -> None:
        """Let one worker take agents until none is left; ctypes lets go of the interpreter meanwhile."""
        self._library.fused_learn(ctypes.byref(self._job), self._spaces[worker].ctypes.data)


_NOTHING: Final[dict[str, np.ndarray | None]] = dict.fromkeys(
    ("x", "a_tm1", "r_t", "discount_t", "legal_t", "weight", "obs", "row", "ids", "gamma", "levels")
)


def _rings(replay: Replay) -> dict[str, np.ndarray | None]:
    """Return the arrays of a replay under their names in C."""
    return {
        "obs": replay.obs, "action": replay.action, "reward": replay.reward, "done": replay.done, "legal": replay.mask,
        "write": replay.write, "filled": replay.filled,
    }  # fmt: skip


def resolve(asked: LearnerName, device: str = "cpu") -> tuple[Literal["fused", "fast", "reference"], str]:
    """Return (learner, why it was chosen): "auto" is the fused one where it can be had, else the fast one.

    Raises EnvironmentFault when the fused one is asked for by name and cannot be had.
    """
    if asked in ("fast", "reference"):
        return asked, "asked for"
    if not device.startswith("cpu"):
        if asked == "fused":
            raise EnvironmentFault(f"learner fused: it works on the CPU, not on {device}; use --learner fast there")
        return "fast", f"the fused kernel is for the CPU, the networks are on {device}"
    found = _library()
    if isinstance(found, ctypes.CDLL):
        return "fused", "asked for" if asked == "fused" else "compiled here and equal to the reference"
    if asked == "fused":
        raise EnvironmentFault(f"learner fused: {found} (a new run can do without: --learner fast)")
    return "fast", found


def fused_library() -> ctypes.CDLL:
    """Return the compiled and tested kernel. Raises EnvironmentFault, which tells why there is none."""
    found = _library()
    if isinstance(found, ctypes.CDLL):
        return found
    raise EnvironmentFault(f"learner fused: {found}")


@functools.lru_cache(maxsize=1)
def _library() -> ctypes.CDLL | str:
    """Return the kernel, or why there is none; asked once a process."""
    try:
        return open_library(compiled_library())
    except EnvironmentFault as reason:
        return str(reason)


def open_library(path: Path) -> ctypes.CDLL:
    """Load a compiled kernel and try it. Raises EnvironmentFault if it is none of ours or computes wrongly."""
    library = native.load(path)
    try:
        for name, (result, *arguments) in _FUNCTIONS.items():
            getattr(library, name).restype, getattr(library, name).argtypes = result, arguments
    except AttributeError as error:
        raise EnvironmentFault(f"{path}: is no kernel of ours ({error}); remove it, it will be made again") from None
    if library.fused_job_size() != ctypes.sizeof(Job):
        raise EnvironmentFault(f"{path}: takes other arguments than this build gives; remove it, it will be made again")
    if wrong := self_test(library):
        raise EnvironmentFault(f"the compiled kernel computes wrongly ({wrong}); set $CC to another compiler")
    return library


def self_test(library: ctypes.CDLL) -> str:
    """Return what a compiled kernel computes otherwise than learn.py, priority.py and policy.py, "" if nothing."""
    for changes in ({"hidden": (20, 36)}, {"hidden": (32, 64), "target": "hard", "hard_target_every": 2}):
        config = MindConfig(**({"batch": 9, "grad_clip": 0.5} | changes))
        slow, quick = (brain.allocate(3, 19, N_ACTIONS, config) for _ in range(2))
        for seat in range(3):
            brain.init_founder(slow, seat, 0, seat)
            brain.init_founder(quick, seat, 0, seat)
        learner = FusedLearner(quick, config, library=library)
        rates = Rates(np.full(3, 1e-3, dtype=np.float32), np.full(3, 0.1, dtype=np.float32))
        for turn in range(3):
            batch = _random_batch(config, turn)
            one = learn_step(slow, batch, rates, np.ones(3, dtype=bool), config)
            two = learner.step(batch, rates, np.ones(3, dtype=bool))
            for name in _FIGURES:
                if not np.allclose(getattr(one, name), getattr(two, name), rtol=_TOLERANCE, atol=1e-5):
                    return name
        for name in ("params", "target", "moment1", "moment2", "steps"):
            if not torch.allclose(getattr(slow, name), getattr(quick, name), rtol=_TOLERANCE, atol=1e-6):
                return name
    return _test_priorities(library) or fused_play.self_test(library)


def _test_priorities(library: ctypes.CDLL) -> str:
    """Return "priorities" if drawing, weighing and remembering by priority come out otherwise than in numpy."""
    config = MindConfig(hidden=(16, 16), batch=9, n_step=2, prioritised=True, priority_beta_updates=4)
    draw, ids, yes, gamma = stream(0, "fused", 3), np.arange(3), np.ones(3, dtype=bool), np.full(3, 0.9)
    replay, key = Replay.allocate(3, 70, 19), np.uint64(7)
    slow, quick = (Priorities.allocate(3, 70) for _ in range(2))
    brains = [brain.allocate(3, 19, N_ACTIONS, config) for _ in range(2)]
    rowed, drawn = (FusedLearner(each, config, library=library) for each in brains)
    rates = Rates(np.full(3, 1e-3, dtype=np.float32), np.full(3, 0.1, dtype=np.float32))
    for tick in range(90):
        obs = draw.standard_normal((3, 19)).astype(np.float32)
        action, reward, done = np.full(3, tick % N_ACTIONS), 3.0 * draw.random(3), draw.random(3) < 0.1
        replay.add(yes, obs, np.full(3, 127, dtype=np.uint8), action, reward, done)
        slow.added(yes)
        quick.added(yes)
        if tick < 20 or tick % 7:
            continue
        u, beta = uniforms(key, ids, tick, config.batch), beta_at(brains[0].steps.numpy(), config)
        row, weight = slow.sample(u, beta, replay, config.n_step, ids)
        told = rowed.step_rows(replay, Rows(ids, row, weight), gamma, rates, yes).priority
        if told is not None:
            slow.update(ids, row, told, config)
        drawn.step_drawn(replay, Draws(ids, ids, key, tick, 0), gamma, rates, yes, quick)
        if not np.array_equal(slow.leaf, quick.leaf) or not torch.equal(brains[0].params, brains[1].params):
            return "priorities"
    return "" if quick.check_valid()[0] else "priorities"


def _random_batch(config: MindConfig, key: int) -> Batch:
    """Return three seats' random transitions of 19 senses."""
    draw, size = stream(0, "fused", key), (3, config.batch)
    return Batch(
        seats=np.arange(3),
        x=torch.from_numpy(draw.standard_normal((3, 2 * config.batch, 19)).astype(np.float32)),
        a_tm1=torch.from_numpy(draw.integers(0, N_ACTIONS, size)),
        r_t=torch.from_numpy(2.0 * draw.standard_normal(size).astype(np.float32)),
        discount_t=torch.from_numpy(draw.random(size).astype(np.float32)),
        legal_t=torch.from_numpy(draw.integers(1, 2**N_ACTIONS, size).astype(np.uint8)),
        weight=torch.from_numpy(draw.random(size).astype(np.float32)),
    )
