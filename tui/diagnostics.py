"""All of stderr, and the exit codes. stdout is data and belongs to the commands.

     0 ok · 1 our bug · 2 usage or configuration · 3 input data · 4 store damaged, tampered or diverging ·
     5 environment (disk, lock, missing extra) · 130 interrupted

An error is one line, `error: place: value: rule; cure`, without a traceback; a bug also leaves a report in a file.
"""

import contextlib
import errno
import os
import platform
import sys
import time
import traceback
from collections.abc import Callable
from enum import IntEnum
from pathlib import Path

import click

PROGRAM = "lineage-arena"


class ExitCode(IntEnum):
    """What the process leaves with; part of the interface."""

    OK = 0
    BUG = 1
    USAGE = 2
    DATA = 3
    STORE = 4
    ENVIRONMENT = 5
    INTERRUPTED = 130


_ENVIRONMENT_ERRNOS = {
    errno.ENOSPC: "no space left on the disk; free some, then resume",
    errno.EDQUOT: "the disk quota is used up; free some, then resume",
    errno.EFBIG: "the file size limit is reached; raise it (ulimit -f), then resume",
    errno.EROFS: "the file system is read-only; choose another --out",
    errno.EACCES: "permission denied; choose another path or change its permissions",
    errno.EPERM: "permission denied; choose another path or change its permissions",
    errno.EMFILE: "too many open files; raise the limit (ulimit -n)",
    errno.ENOMEM: "out of memory; use fewer seats or a smaller replay",
    errno.EIO: "the disk reports an error; check it",
    errno.ENOTDIR: "a file stands where a directory is needed; choose another path",
    errno.EISDIR: "a directory stands where a file is needed; choose another path",
    errno.ENAMETOOLONG: "the name is too long; choose a shorter one",
    errno.ENOENT: "no such file or directory; check the path",
    errno.ELOOP: "the path is a circle of links; choose another",
}


def one_line(text: object) -> str:
    """Return text on one line, other control characters escaped, so that no input can write to the terminal."""
    line = " ".join(str(text).split())
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in line)


def say(text: object) -> None:
    """Write one line of narration to stderr; a closed stderr is nobody's problem."""
    with contextlib.suppress(OSError, ValueError):
        print(one_line(text), file=sys.stderr, flush=True)


def error(text: object) -> None:
    """Write the one line of an error to stderr."""
    say(f"error: {one_line(text)}")


def emit(text: str) -> None:
    """Write data to stdout; surrogates and characters that its encoding lacks are escaped."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    sys.stdout.write(text.encode(encoding, "backslashreplace").decode(encoding) + "\n")
    sys.stdout.flush()


def guarded(command: Callable[[], object]) -> int:
    """Run a command and return the exit code, every exception turned into its line on stderr."""
    from arena.errors import ArenaError

    try:
        result = command()
        sys.stdout.flush()
        return int(result) if isinstance(result, int) else ExitCode.OK
    except click.UsageError as problem:
        where = f"{problem.ctx.command_path} --help" if problem.ctx else f"{PROGRAM} --help"
        error(f"{problem.format_message().rstrip('.')}; see `{where}`")
        return ExitCode.USAGE
    except click.ClickException as problem:
        error(problem.format_message())
        return ExitCode.USAGE
    except (click.Abort, KeyboardInterrupt):
        say("interrupted")
        return ExitCode.INTERRUPTED
    except ArenaError as problem:
        report = f"; report: {crash_report()}" if problem.exit_code == ExitCode.BUG else ""
        error(f"{problem}{report}")
        return problem.exit_code
    except BrokenPipeError:  # `lineage-arena config show | head` is not an error
        with contextlib.suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.OK
    except MemoryError:
        error(f"out of memory; {_ENVIRONMENT_ERRNOS[errno.ENOMEM].partition('; ')[2]}")
        return ExitCode.ENVIRONMENT
    except OSError as problem:
        if problem.errno in _ENVIRONMENT_ERRNOS:
            place = f"{problem.filename}: " if problem.filename else ""
            error(f"{place}{_ENVIRONMENT_ERRNOS[problem.errno]}")
            return ExitCode.ENVIRONMENT
        return _bug(problem)
    except Exception as problem:
        return _bug(problem)


def _bug(problem: Exception) -> int:
    error(f"this is a bug in {PROGRAM}: {type(problem).__name__}: {one_line(problem)[:200]}; report: {crash_report()}")
    return ExitCode.BUG


def crash_report() -> str:
    """Write the current exception with what is needed to find it, and return the file's path."""
    import tempfile

    import platformdirs

    import lineage

    text = "\n".join(
        [
            f"{PROGRAM} {lineage.__version__}",
            f"python {platform.python_version()} on {platform.platform()}",
            f"arguments: {sys.argv[1:]!r}",
            f"time: {time.strftime('%Y-%m-%dT%H:%M:%S%z')}",
            "",
            traceback.format_exc(),
        ]
    )
    name = f"crash-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}.txt"
    for folder in (platformdirs.user_log_path(PROGRAM), Path(tempfile.gettempdir())):
        with contextlib.suppress(OSError):
            folder.mkdir(parents=True, exist_ok=True)
            path = folder / name
            path.write_text(text, encoding="utf-8", errors="backslashreplace")
            return str(path)
    return "could not be written"
