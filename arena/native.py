"""From C text to a loaded library: compiled once by this machine's compiler, kept in the user's cache.

A build is a directory of its own, `kernel.so` and the SHA-256 of it, made aside and renamed into place: processes
that compile at once do not disturb each other, and a damaged library is noticed before it is loaded and made again.
"""

import contextlib
import ctypes
import functools
import hashlib
import os
import platform
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import platformdirs

from arena.errors import EnvironmentFault

COMPILERS: Final = ("cc", "gcc", "clang")
FLAGS: Final = ("-O3", "-std=gnu11", "-fPIC", "-shared", "-ffp-contract=off", "-fno-math-errno", "-Wno-psabi")
"""No -ffast-math and no contraction: every operation rounds as it is written."""
_LIBRARY, _DIGEST = "kernel.so", "kernel.sha256"
_COMPILE_SECONDS: Final = 300


def find_compiler() -> list[str]:
    """Return the command of a C compiler: $CC, else cc, gcc or clang. Raises EnvironmentFault when there is none."""
    asked = os.environ.get("CC", "")
    try:
        command = shlex.split(asked)
    except ValueError as error:
        raise EnvironmentFault(f"$CC: {asked!r} cannot be read ({error}); unset it or name a C compiler") from None
    if command:
        program = shutil.which(command[0])
        if program is None:
            raise EnvironmentFault(f"$CC: {command[0]!r} is not a program here; unset it or name a C compiler")
        return [str(Path(program).absolute()), *command[1:]]  # it is called in another directory
    found = next((path for path in map(shutil.which, COMPILERS) if path), None)
    if found is None:
        raise EnvironmentFault(f"no C compiler: none of {', '.join(COMPILERS)} is on the path; install one or set $CC")
    return [found]


def cache_directory() -> Path:
    """Return where builds are kept."""
    return Path(platformdirs.user_cache_dir("lineage-arena")) / "kernels"


def processor_flags() -> tuple[str, ...]:
    """Return what lets the compiler use this processor's instructions."""
    return ("-march=native",) if platform.machine() in ("x86_64", "AMD64") else ("-mcpu=native",)


def text_of(sources: Sequence[Path]) -> str:
    """Return C files as one text. Raises EnvironmentFault when one of them is not there."""
    try:
        return "\n".join(path.read_text(encoding="utf-8") for path in sources)
    except OSError as error:
        raise EnvironmentFault(f"{error.filename}: {error.strerror}; install lineage-arena again") from None


def compiled(text: str, flags: tuple[str, ...] | None = None) -> Path:
    """Return the path of the compiled text, compiling it if no sound build is cached.

    flags: besides FLAGS, by default those of the processor. Raises EnvironmentFault in one line.
    """
    compiler = find_compiler()
    options = FLAGS + (processor_flags() if flags is None else flags)
    identity = "\0".join((text, *compiler, *options, _version(tuple(compiler)), _processor()))
    place = cache_directory() / hashlib.sha256(identity.encode()).hexdigest()[:32]
    if not _sound(place):
        try:
            _build(place, compiler, options, text)
        except OSError as error:
            raise EnvironmentFault(
                f"{place.parent}: the compiled kernel cannot be kept there ({error.strerror}); "
                "make it writable or point XDG_CACHE_HOME elsewhere"
            ) from None
    return place / _LIBRARY


def load(library: Path) -> ctypes.CDLL:
    """Load a compiled kernel. Raises EnvironmentFault when the system refuses it."""
    try:
        return ctypes.CDLL(str(library))
    except OSError as error:
        raise EnvironmentFault(
            f"{library}: cannot be loaded ({error}); remove it, it will be made again, or point "
            "XDG_CACHE_HOME where programs may run"
        ) from None


def _sound(place: Path) -> bool:
    """Whether a build is complete and undamaged: a truncated library would kill the process that loads it."""
    try:
        return hashlib.sha256((place / _LIBRARY).read_bytes()).hexdigest() == (place / _DIGEST).read_text()
    except (OSError, UnicodeDecodeError):
        return False


def _build(place: Path, compiler: list[str], options: tuple[str, ...], text: str) -> None:
    """Compile beside `place` and rename; whoever comes second uses the first one's build."""
    place.parent.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(prefix=f"{place.name}.", dir=place.parent))
    try:
        (aside / "kernel.c").write_text(text, encoding="utf-8")
        _compile([*compiler, *options, "-o", _LIBRARY, "kernel.c", "-lm"], aside)
        (aside / _DIGEST).write_text(hashlib.sha256((aside / _LIBRARY).read_bytes()).hexdigest())
        if place.exists() and not _sound(place):
            shutil.rmtree(place)
        with contextlib.suppress(OSError):
            aside.rename(place)
        if not _sound(place):
            raise EnvironmentFault(f"{place}: holds no sound build and cannot be replaced; remove it")
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _compile(command: list[str], directory: Path) -> None:
    try:
        done = subprocess.run(  # noqa: S603  # the compiler that the user chose
            command, cwd=directory, capture_output=True, text=True, errors="replace", check=False,
            timeout=_COMPILE_SECONDS,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise EnvironmentFault(f"{command[0]}: the kernel took over {_COMPILE_SECONDS} s to compile") from None
    if done.returncode or not (directory / _LIBRARY).exists():
        lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
        first = next((line for line in lines if "error" in line), lines[0] if lines else "no message")
        raise EnvironmentFault(
            f"{command[0]}: cannot compile the kernel (exit {done.returncode}: {first[:200]}); "
            "set $CC to another compiler"
        )


@functools.cache
def _version(compiler: tuple[str, ...]) -> str:
    try:
        done = subprocess.run(  # noqa: S603
            [*compiler, "--version"], capture_output=True, text=True, errors="replace", timeout=60, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise EnvironmentFault(f"{compiler[0]}: does not run ({error}); set $CC to a C compiler") from None
    return done.stdout


@functools.cache
def _processor() -> str:
    """What the processor can do: a cache may be shared by machines of several kinds."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(errors="replace").splitlines():
            if line.startswith(("flags", "Features")):
                return line
    return f"{platform.machine()} {platform.processor()}"
