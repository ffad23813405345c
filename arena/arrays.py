"""State as dataclasses of arrays: dump them, restore them in place, fingerprint them."""

import dataclasses
import functools
import hashlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from arena.errors import StoreError


def plain_if_one(formula: Callable[..., Any]) -> Callable[..., np.ndarray]:
    """Let an elementwise formula on arrays [M] work on plain numbers where there is one market: the bits are the same.

    Operators on plain numbers cost a fifth of those on arrays of one element. The formula may use operators and numpy's
    functions, and must not divide by zero.
    """

    @functools.wraps(formula)
    def formula_of_markets(*arrays: np.ndarray) -> np.ndarray:
        if len(arrays[0]) == 1:
            return np.array([formula(*[array.item() for array in arrays])])
        result: np.ndarray = formula(*arrays)
        return result

    return formula_of_markets


def dump(prefix: str, state: Any) -> dict[str, np.ndarray]:
    """Return every array field of a dataclass as {"prefix.field": array}; views, not copies."""
    return {
        f"{prefix}.{field.name}": value
        for field in dataclasses.fields(state)
        if isinstance(value := getattr(state, field.name), np.ndarray)
    }


def restore(prefix: str, state: Any, saved: Mapping[str, np.ndarray]) -> None:
    """Copy the arrays of `dump` back in place. Raises StoreError on a missing or misshapen one."""
    for name, target in dump(prefix, state).items():
        if name not in saved:
            raise StoreError(f"checkpoint: array {name!r} is missing; the file is from another build")
        value = saved[name]
        if value.shape != target.shape or value.dtype != target.dtype:
            raise StoreError(
                f"checkpoint: array {name!r} is {value.dtype}{list(value.shape)}, "
                f"this build needs {target.dtype}{list(target.shape)}"
            )
        target[...] = value


def fingerprint(arrays: Mapping[str, np.ndarray]) -> str:
    """Return the SHA-256 hex of names, dtypes, shapes and little-endian bytes, sorted by name."""
    digest = hashlib.sha256()
    for name in sorted(arrays):
        value = np.ascontiguousarray(arrays[name])
        if value.dtype.byteorder == ">":
            value = value.astype(value.dtype.newbyteorder("<"))
        digest.update(f"{name}|{value.dtype.str}|{list(value.shape)}|".encode())
        digest.update(value.tobytes() if value.size < 4096 else value.data.cast("B"))
    return digest.hexdigest()
