"""State as dataclasses of arrays: dump them, restore them in place, fingerprint them."""

import dataclasses
import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from arena.errors import StoreError


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
