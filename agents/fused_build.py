"""What the fused kernel is made of; how C text becomes a loaded library is `arena.native`'s business."""

from pathlib import Path
from typing import Final

from arena import native

SOURCES: Final = tuple(Path(__file__).with_name(name) for name in ("sum_tree.c", "priority.c", "fused.c"))
"""Compiled as one text, so that the optimiser sees all of it."""


def kernel_source() -> str:
    """Return the text of the kernel. Raises EnvironmentFault when a part of it is not there."""
    return native.text_of(SOURCES)


def compiled_library(source: str | None = None, flags: tuple[str, ...] | None = None) -> Path:
    """Return the path of the compiled kernel, compiling it if no sound build is cached.

    source: `kernel_source` by default; flags: the processor's by default. Raises EnvironmentFault in one line.
    """
    return native.compiled(kernel_source() if source is None else source, flags)
