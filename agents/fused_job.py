"""What the kernel is asked: one structure, shared by learning and acting."""

import ctypes

import numpy as np

from agents.layout import Layout

_LONG, _DOUBLE, _FLOAT, _POINTER = ctypes.c_int64, ctypes.c_double, ctypes.c_float, ctypes.c_void_p


class Job(ctypes.Structure):
    """The arguments of one call: the same fields in the same order as `job` in fused.c."""

    _fields_ = (
        *((name, _LONG) for name in ("obs_dim", "hidden1", "hidden2", "actions", "n_params", "batch", "count")),
        *((name, _LONG) for name in ("dueling", "double_q", "mask", "target", "hard_every")),
        *((name, _DOUBLE) for name in ("beta1", "beta2")),
        *((name, _FLOAT) for name in ("eps", "huber", "clip", "unused")),
        *((name, _POINTER) for name in ("params", "frozen", "moment1", "moment2", "steps")),
        *((name, _POINTER) for name in ("seats", "wanted", "rate", "tau", "x", "a_tm1", "r_t", "discount_t")),
        *((name, _POINTER) for name in ("legal_t", "weight", "obs", "action", "reward", "done", "legal", "write")),
        *((name, _POINTER) for name in ("filled", "gamma")),
        *((name, _LONG) for name in ("capacity", "n_step")),
        *((name, _POINTER) for name in ("row", "ids")),
        *((name, ctypes.c_uint64) for name in ("key", "tick", "column")),
        *((name, _POINTER) for name in ("figures", "priority", "good", "next")),
        *((name, _POINTER) for name in ("rows", "q", "explore", "decided", "forbidden")),
        *((name, _POINTER) for name in ("levels", "largest", "waiting")),
        *((name, _LONG) for name in ("trees", "depth")),
        *((name, _DOUBLE) for name in ("alpha", "beta", "beta_updates", "epsilon")),
    )


def sizes(layout: Layout, batch: int) -> dict[str, int]:
    """Return the fields of a Job that say how large everything is."""
    return {
        "obs_dim": layout.obs_dim, "hidden1": layout.hidden1, "hidden2": layout.hidden2, "actions": layout.n_actions,
        "n_params": layout.n_params, "dueling": int(layout.dueling), "batch": batch,
    }  # fmt: skip


def aligned(floats: int) -> np.ndarray:
    """Return zeros [floats] f32 that begin on a cache line."""
    memory = np.zeros(floats + 16, dtype=np.float32)
    return memory[-(memory.ctypes.data // 4) % 16 :][:floats]
