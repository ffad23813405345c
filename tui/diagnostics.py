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

from tui.packages import DISTRIBUTION, NAMES

PROGRAM = DISTRIBUTION


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
    """Write data to stdout; surrogates and characters that its encoding lacks are escaped.

    A reader that went away (`config show | head -1`) is not an error.
    """
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    try:
        sys.stdout.write(text.encode(encoding, "backslashreplace").decode(encoding) + "\n")
        sys.stdout.flush()
    except BrokenPipeError:
        _let_stdout_go()


def _let_stdout_go() -> None:
    """Point stdout at nothing, so that what is still buffered raises nothing at exit."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def guarded(command: Callable[[], object]) -> int:
    """Run a command and return the exit code, every exception turned into its line on stderr."""
    from arena.errors import ArenaError

    try:
        result = command()
        sys.stdout.flush()
        return int(result) if isinstance(result, int) else ExitCode.OK
    except click.UsageError as problem:
        where = f"{problem.ctx.command_path} --help" if problem.ctx else f"{PROGRAM} --help"
        error(f"{_variable_of(problem)}{problem.format_message().rstrip('.')}; see `{where}`")
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
    except (BrokenPipeError, SystemExit):  # click itself exits when the reader of a help text goes away
        _let_stdout_go()
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
    except ModuleNotFoundError as problem:
        missing = (problem.name or "").partition(".")[0]
        if missing in NAMES:
            return _bug(problem)
        error(f"package {missing!r} is missing; install {PROGRAM} again with pip, or the extra that needs it")
        return ExitCode.ENVIRONMENT
    except Exception as problem:
        return _bug(problem)


def _variable_of(problem: click.UsageError) -> str:
    """Return "VARIABLE: " when a wrong value came from the environment, else ""."""
    if isinstance(problem, click.BadParameter) and problem.ctx and isinstance(problem.param, click.Option):
        source = problem.ctx.get_parameter_source(problem.param.name or "")
        if source is click.core.ParameterSource.ENVIRONMENT:
            return f"{problem.param.envvar}: "
    return ""


def _bug(problem: Exception) -> int:
    error(f"this is a bug in {PROGRAM}: {type(problem).__name__}: {one_line(problem)[:200]}; report: {crash_report()}")
    return ExitCode.BUG


def crash_report() -> str:
    """Write the current exception with what is needed to find it, and return the file's path."""
    import tempfile

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
    folders = [Path(tempfile.gettempdir())]
    with contextlib.suppress(ImportError):  # a report must not need a complete installation
        import platformdirs

        folders.insert(0, platformdirs.user_log_path(PROGRAM))
    for folder in folders:
        with contextlib.suppress(OSError):
            folder.mkdir(parents=True, exist_ok=True)
            path = folder / name
            path.write_text(text, encoding="utf-8", errors="backslashreplace")
            return str(path)
    return "could not be written"
