"""The fused kernel for tests: a skip where there is none, and the same source built otherwise."""

import ctypes
import functools
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from agents import fused, fused_build
from arena import native

LEARNER, WHY = fused.resolve("auto")
needs_kernel = pytest.mark.skipif(LEARNER != "fused", reason=f"no fused kernel here: {WHY}")


def variants() -> dict[str, tuple[str, ...]]:
    """Return flags under which the same source must compute the same bytes."""
    here = native.processor_flags()
    found = {"unoptimised": (*here, "-O0"), "little optimised": (*here, "-O1")}
    if here == ("-march=native",):
        found |= {"256-bit vectors": ("-mavx2", "-mfma", "-mf16c")}
    return found


VARIANTS: Final = variants()
every_build = pytest.mark.parametrize("flags", VARIANTS.values(), ids=list(VARIANTS))


def empty_cache(
    directory: Path, monkeypatch: pytest.MonkeyPatch, asked: "functools._lru_cache_wrapper[Any]"
) -> Iterator[Path]:
    """For a fixture: an empty cache, and a process that has not asked yet; asked: what remembers the answer."""
    monkeypatch.setattr(native, "cache_directory", lambda: directory)
    monkeypatch.delenv("CC", raising=False)
    asked.cache_clear()
    yield directory
    asked.cache_clear()


def said_at_once(program: str, count: int, cache_home: Path) -> list[str]:
    """Return what `count` processes print that run a program at the same time, with a user's cache of their own."""
    environment = {**os.environ, "XDG_CACHE_HOME": str(cache_home), "OMP_NUM_THREADS": "1"}
    root, command = Path(__file__).parent.parent, [sys.executable, "-c", program]
    workers = [
        subprocess.Popen(command, cwd=root, env=environment, stdout=subprocess.PIPE, text=True) for _ in range(count)
    ]
    return [worker.communicate()[0].strip() for worker in workers]


def built_with(flags: tuple[str, ...], cache: Path) -> ctypes.CDLL:
    """Return the kernel built with these flags into a cache of its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(native, "cache_directory", lambda: cache)
        return fused.open_library(fused_build.compiled_library(flags=flags))
