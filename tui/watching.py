"""`watch`, `run --live` and no arguments at all: from a command line to the app, and back to a tidy terminal."""

import asyncio
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from arena.errors import ConfigError, EnvironmentFault
from lineage.record.store import FILE_NAME
from tui.actions import ACTIONS, keymap_path, with_keymap
from tui.app import ArenaApp
from tui.control import EngineProcess
from tui.diagnostics import PROGRAM, ExitCode, emit, error, say
from tui.theme import SYMBOLS, THEMES, Look

SWITCH_SECONDS = 0.0005
"""After how long the thread that reads makes way for the one that paints: of Python's own 5 ms a key meets several."""

STOP_SECONDS = 120.0
"""How long an engine may take for its last round and its checkpoint."""


def no_terminal() -> str:
    """Return why no app can be drawn here, "" when one can."""
    for name, stream in (("stdin", sys.stdin), ("stdout", sys.stdout), ("stderr", sys.stderr)):
        if not stream.isatty():
            return f"{name} is no terminal"
    if os.environ.get("TERM", "") in ("", "dumb"):
        return f"the terminal calls itself {os.environ.get('TERM') or 'nothing'!r} and cannot be drawn on"
    return ""


def choose_look(theme: str | None, symbols: str | None) -> Look:
    """Return colours and glyphs: what was asked for, else what the terminal can show."""
    plain = bool(os.environ.get("NO_COLOR"))
    encoding = (getattr(sys.stdout, "encoding", None) or "ascii").lower().replace("-", "")
    known = symbols or ("braille" if encoding.startswith("utf") else "ascii")
    return Look(theme or ("mono" if plain else THEMES[0]), SYMBOLS[known])


def watch(
    directory: Path, *, once: bool, svg: Path | None, size: tuple[int, int] | None, screen: str, at: int | None,
    theme: str | None, symbols: str | None,
) -> int:  # fmt: skip
    """Watch a run, live or finished, or print one frame of it."""
    if not (directory / FILE_NAME).is_file():
        raise ConfigError(f"{directory}: no run is recorded here (no {FILE_NAME}); give the directory of a run")
    from lineage.ask.archive import Archive
    from lineage.ask.reading import check_round, open_run

    Archive(directory).close()  # a foreign or damaged file is told before the terminal is touched
    if at is not None:
        with open_run(directory) as connection:
            check_round(connection, at)
    look = choose_look(theme, symbols)
    if once or svg is not None:
        return print_once(directory, look, svg, size or (160, 45), screen, at)
    if reason := no_terminal():
        raise EnvironmentFault(f"watch: {reason}; `watch {directory} --once` prints one frame, --svg FILE draws it")
    app = ArenaApp(directory, look=look, actions=with_keymap(ACTIONS, keymap_path()))
    app.view.at, app.first_screen = at, screen
    return run_app(app)


def play(arguments: Sequence[str], directory: Path) -> int:
    """Start an engine for a command line of `run` or `resume`, watch it, stop it with a checkpoint at the end."""
    actions = with_keymap(ACTIONS, keymap_path())
    engine = EngineProcess(arguments)
    try:
        code = run_app(ArenaApp(directory, look=choose_look(None, None), engine=engine, actions=actions))
    finally:
        left = _end(engine)
    if left is None or code != ExitCode.OK:
        return code if code != ExitCode.OK else ExitCode.ENVIRONMENT
    return _tell(engine, left, directory)


def _end(engine: EngineProcess) -> int | None:
    """Stop the engine and wait for its checkpoint; Ctrl-C does not wait any longer."""
    try:
        if engine.poll().state not in ("ended", "gone"):
            say("stopping the engine after this round, with a checkpoint")
        left = engine.stop(STOP_SECONDS)
    except KeyboardInterrupt:
        left = None
    if left is None:
        engine.kill()
        error("the engine did not stop in time and was ended; finished rounds are recorded, `resume` continues them")
    return left


def _tell(engine: EngineProcess, left: int, directory: Path) -> int:
    """Say what is left behind, and return the exit code: that of an engine that failed by itself."""
    if left == ExitCode.OK:
        say(f"the run is finished: {directory}; check it with: {PROGRAM} verify {directory}")
    elif left == ExitCode.INTERRUPTED:
        say(f"the run is in {directory}; continue with: {PROGRAM} resume {directory}")
    else:
        error(engine.poll().message or f"the engine left with exit code {left}")
        return left
    return ExitCode.OK


def run_app(app: ArenaApp) -> int:
    """Run the app in this terminal; returns its exit code."""
    app.tidier.begin()
    before = sys.getswitchinterval()
    sys.setswitchinterval(SWITCH_SECONDS)
    try:
        result = app.run()
    finally:
        sys.setswitchinterval(before)
        app.tidier.end()
    return int(result) if isinstance(result, int) else app.return_code or ExitCode.OK


def print_once(
    directory: Path, look: Look, svg: Path | None, size: tuple[int, int], screen: str, at: int | None
) -> int:
    """Print one frame as text, or write it as SVG."""
    if svg is not None and svg.exists():
        raise ConfigError(f"--svg {svg}: exists already; choose another name")
    text = asyncio.run(one_frame(directory, look, size, screen, at, as_svg=svg is not None))
    if svg is None:
        emit(text)
    else:
        with svg.open("x", encoding="utf-8") as file:
            file.write(text)
        say(f"wrote {svg}")
    return ExitCode.OK


async def one_frame(
    directory: Path, look: Look, size: tuple[int, int], screen: str, at: int | None, *, as_svg: bool
) -> str:
    """Return the screen after the whole run has been read."""
    from tui.snapshot import screen_text, settled

    app = ArenaApp(directory, look=look)
    app.view.at, app.first_screen = at, screen
    async with app.run_test(size=size) as pilot:
        await settled(pilot)
        if app.view.banner:
            raise EnvironmentFault(app.view.banner)
        return app.export_screenshot(title=f"{PROGRAM} {directory.name}") if as_svg else screen_text(app)
