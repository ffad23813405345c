"""Sum trees of many agents, stacked: a level an array [P,2^d], a node always the sum of its two parts.

Flat indices count through a level: node f of one level has the children 2 f and 2 f + 1 of the next. Where a C
compiler is at hand, sum_tree.c does the two loops; it adds, subtracts and compares the same doubles in the same
order, so the bits do not tell who did it.
"""

import ctypes
import functools
import itertools
from pathlib import Path
from typing import Final

import numpy as np

from agents.fused_build import compiled_library
from arena import native
from arena.errors import EnvironmentFault

Levels = list[np.ndarray]
"""[P,1], [P,2], ... [P,2^depth] f64, one behind the other in memory as `allocate` makes them; the last: the leaves."""

_SOURCE: Final = Path(__file__).with_name("sum_tree.c")


def allocate(seats: int, leaves: int) -> Levels:
    """Return empty trees with room for at least `leaves` leaves a seat."""
    widths = [1 << level for level in range((leaves - 1).bit_length() + 1)]
    memory = np.zeros(seats * sum(widths))
    return [memory[seats * (width - 1) : seats * (2 * width - 1)].reshape(seats, width) for width in widths]


def rebuild(levels: Levels) -> None:
    """Compute all sums from the leaves."""
    for above, below in zip(levels[-2::-1], levels[:0:-1], strict=True):
        np.add(below[:, 0::2], below[:, 1::2], out=above)


def refresh(levels: Levels, flat: np.ndarray) -> None:
    """Recompute the sums above the leaves `flat` [K] i64, in any order, repeated or not."""
    if (library := kernel()) is not None:
        work = np.array(flat, dtype=np.int64)
        library.sum_tree_refresh(levels[0].ctypes.data, len(levels[0]), len(levels) - 1, len(work), work.ctypes.data)
        return
    for above, below in zip(levels[-2::-1], levels[:0:-1], strict=True):
        if above.size <= len(flat):  # near the root all nodes are fewer than those that changed
            np.add(below[:, 0::2], below[:, 1::2], out=above)
            continue
        flat = flat >> 1
        children = below.reshape(-1)
        above.reshape(-1)[flat] = children.take(2 * flat) + children.take(2 * flat + 1)


def descend(levels: Levels, flat: np.ndarray, mass: np.ndarray) -> np.ndarray:
    """Return the flat leaf [N,B] in which `mass` [N,B] falls, counted from the left, below the roots `flat` [N,B]."""
    if (library := kernel()) is not None:
        found, mass = np.array(flat, dtype=np.int64, order="C"), np.ascontiguousarray(mass)
        sizes = len(levels[0]), len(levels) - 1, found.size
        library.sum_tree_descend(levels[0].ctypes.data, *sizes, mass.ctypes.data, found.ctypes.data)
        return found
    for level in levels[1:]:
        flat = 2 * flat
        left = level.reshape(-1).take(flat)
        right = mass >= left
        mass = mass - left * right
        flat += right
    return flat


def descend_with_care(levels: Levels, flat: np.ndarray, mass: np.ndarray) -> np.ndarray:
    """The same, slower, and never into an empty subtree, where rounding can lead."""
    for level in levels[1:]:
        flat = 2 * flat
        nodes = level.reshape(-1)
        left = nodes.take(flat)
        right = (mass >= left) & (nodes.take(flat + 1) > 0.0)
        mass = np.where(right, mass - left, mass)
        flat += right
    return flat


def wrong_node(levels: Levels) -> tuple[int, int, int] | None:
    """Return (level, seat, node) of a node that is not the sum of its parts, None if there is none."""
    for depth, (above, below) in enumerate(itertools.pairwise(levels)):
        wrong = np.argwhere(above != below[:, 0::2] + below[:, 1::2])
        if len(wrong):
            return depth, int(wrong[0, 0]), int(wrong[0, 1])
    return None


@functools.lru_cache(maxsize=1)
def kernel() -> ctypes.CDLL | None:
    """Return the compiled loops, None where this machine cannot compile them; asked once a process.

    They are part of the fused kernel's build; where that does not compile, they are compiled alone.
    """
    return _loops(None) or _loops(_SOURCE)


def _loops(source: Path | None) -> ctypes.CDLL | None:
    """Return the loops out of the build of a source, the fused kernel's by default; None if it cannot be had."""
    try:
        library = native.load(compiled_library(None if source is None else source.read_text(encoding="utf-8")))
        for name in ("sum_tree_descend", "sum_tree_refresh"):
            function = getattr(library, name)
            function.restype = None
            pointers = 2 if name == "sum_tree_descend" else 1
            function.argtypes = (ctypes.c_void_p, *[ctypes.c_int64] * 3, *[ctypes.c_void_p] * pointers)
    except (EnvironmentFault, AttributeError, OSError):
        return None
    return library
