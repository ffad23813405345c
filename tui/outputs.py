"""Where a command's data goes: stdout, or a file that is there completely or not at all and never overwritten."""

import contextlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from arena.errors import ConfigError
from tui.diagnostics import emit


def deliver(text: str, out: Path | None) -> None:
    """Write a text that ends with a newline to stdout, or to a new file. Raises as `new_file`."""
    if out is None:
        emit(text.removesuffix("\n"))
        return
    with new_file(out) as file:
        file.write(text.encode("utf-8", "surrogateescape"))


@contextmanager
def new_file(out: Path) -> Iterator[IO[bytes]]:
    """Open a file for writing; it gets its name when everything is in it.

    Raises ConfigError when the name is taken; OSErrors come out as they are, with nothing left behind.
    """
    if out.exists() or out.is_symlink():
        raise ConfigError(f"--out {out}: exists already; choose another name")
    partial = out.with_name(f".{out.name}.{os.getpid()}.partial")
    try:
        with partial.open("xb") as file:
            yield file
        _give_name(partial, out)
    except FileExistsError as error:
        raise ConfigError(f"--out {out}: exists already; choose another name") from error
    except OSError as error:
        if error.filename == str(partial):  # nobody has ever heard of it
            error.filename = str(out)
        raise
    finally:
        with contextlib.suppress(OSError):
            partial.unlink()


def _give_name(partial: Path, out: Path) -> None:
    """Name a finished file. Raises FileExistsError when somebody else took the name meanwhile."""
    try:
        os.link(partial, out)
    except FileExistsError:
        raise
    except OSError:  # no hard links on this disk
        partial.rename(out)


@contextmanager
def target(out: Path | None) -> Iterator[IO[bytes]]:
    """Open where binary data goes: a new file, or stdout when `out` is None."""
    if out is not None:
        with new_file(out) as file:
            yield file
        return
    yield sys.stdout.buffer
    sys.stdout.buffer.flush()
