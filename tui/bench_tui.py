"""`bench tui`: what the terminal costs, measured on a pseudo-terminal beside an engine at full speed."""

import fcntl
import json
import os
import pty
import select
import signal
import sqlite3
import struct
import subprocess
import sys
import tempfile
import termios
import time
from contextlib import closing, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from arena.errors import EnvironmentFault
from lineage.record.store import FILE_NAME
from tui.diagnostics import ExitCode, emit, say

COLUMNS, LINES = 120, 40
AGENTS, TREE_AGENTS = 256, 1_000_000
LIMITS = {
    "paint_ms": 25.0, "key_p95_ms": 50.0, "core_share": 0.25, "engine_slowdown": 0.05, "tree_open_s": 2.0,
    "tree_frame_ms": 5.0,
}  # fmt: skip
"""What each figure is held against: DESIGN 11."""

_CROWD = ("arena.markets=2", "arena.seats=128", "rounds=1000000", "life.founders_fraction=1.0")
_NEWEST = "SELECT coalesce(max(round), -1) FROM round"


@dataclass(frozen=True, slots=True)
class TerminalFigures:
    """What was measured."""

    agents: int
    columns: int
    lines: int
    paint_ms: float  # median, from a frame's arrival to the written screen
    paints_per_s: float
    key_p95_ms: float  # from the key to the written screen, under a full-speed engine
    core_share: float  # processor time by wall time while the screen is refreshed
    engine_slowdown: float  # loss of rounds a second while it is watched
    tree_agents: int
    tree_deepest: int
    tree_open_s: float
    tree_frame_ms: float  # median


def bench_tui(seconds: float, *, as_json: bool) -> int:
    """Measure and print."""
    figures = measure(seconds)
    if as_json:
        emit(json.dumps({**asdict(figures), "limits": LIMITS}, indent=2))
    else:
        emit(table(figures))
    return ExitCode.OK


def table(figures: TerminalFigures) -> str:
    """Return the figures as lines of text, each against what it is held to."""
    words = {
        "paint_ms": ("a refresh, median", "ms"), "key_p95_ms": ("key to paint, 95th percentile", "ms"),
        "core_share": ("share of a core", ""), "engine_slowdown": ("engine slowed down by", ""),
        "tree_open_s": (f"lineage of {figures.tree_agents:,}, {figures.tree_deepest:,} deep: opens in", "s"),
        "tree_frame_ms": ("the same: a page scrolls in", "ms"),
    }  # fmt: skip
    rows = [
        f"{figures.agents} agents at {figures.columns}x{figures.lines}, {figures.paints_per_s:.1f} refreshes a second"
    ]
    for name, (text, unit) in words.items():
        value, limit = float(getattr(figures, name)), LIMITS[name]
        shown = f"{value:.1%}" if not unit else f"{value:.2f} {unit}"
        most = f"{limit:.0%}" if not unit else f"{limit:g} {unit}"
        rows.append(f"  {text:<46}{shown:>12}   {'ok' if value < limit else 'OVER'}, below {most}")
    return "\n".join(rows)


def measure(seconds: float) -> TerminalFigures:
    """Run an engine, watch it by turns, then open a large lineage. Raises EnvironmentFault when a part fails."""
    with tempfile.TemporaryDirectory(prefix="lineage-arena-") as folder:
        run, out = Path(folder) / "run", Path(folder) / "figures.json"
        say(f"an engine with {AGENTS} agents, watched every other {seconds:.0f} s")
        engine = _start_engine(run)
        try:
            alone, watched, found = [], [], []
            for _ in range(3):
                alone.append(_speed(run, seconds))
                before, began = _rounds(run), time.monotonic()
                found.append(_in_terminal(["watch", str(run), str(seconds), str(out)], out))
                watched.append((_rounds(run) - before) / (time.monotonic() - began))
            alone.append(_speed(run, seconds))
        finally:
            engine.send_signal(signal.SIGKILL)
            engine.wait()
        say(f"a lineage of {TREE_AGENTS:,} agents")
        tree = _in_terminal(["tree", str(TREE_AGENTS), str(out)], out)
    seen = {name: np.concatenate([one[name] for one in found]) for name in ("paints", "keys", "wall", "processor")}
    return TerminalFigures(
        agents=AGENTS, columns=COLUMNS, lines=LINES,
        paint_ms=1e3 * float(np.median(seen["paints"])), paints_per_s=len(seen["paints"]) / (3 * seconds),
        key_p95_ms=1e3 * float(np.percentile(seen["keys"], 95)),
        core_share=float(seen["processor"].sum() / seen["wall"].sum()),
        engine_slowdown=1.0 - float(np.median(watched)) / float(np.median(alone)),
        tree_agents=TREE_AGENTS, tree_deepest=int(tree["deepest"][0]), tree_open_s=float(tree["opened"][0]),
        tree_frame_ms=1e3 * float(np.median(tree["frames"])),
    )  # fmt: skip


def _start_engine(run: Path) -> "subprocess.Popen[bytes]":
    words = ["run", "crowd", "--out", str(run), "--quiet", *(part for one in _CROWD for part in ("--set", one))]
    engine = subprocess.Popen([sys.executable, "-m", "tui.cli", *words], env=_environment())  # noqa: S603
    end = time.monotonic() + 120.0
    while _rounds(run) < 3:
        if engine.poll() is not None or time.monotonic() > end:
            engine.kill()
            raise EnvironmentFault("bench tui: the engine did not start; see above, or try `lineage-arena run crowd`")
        time.sleep(0.1)
    return engine


def _rounds(run: Path) -> int:
    with suppress(sqlite3.Error), closing(sqlite3.connect(f"{(run / FILE_NAME).as_uri()}?mode=ro", uri=True)) as db:
        return int(db.execute(_NEWEST).fetchone()[0])
    return -1


def _speed(run: Path, seconds: float) -> float:
    """Return the rounds a second of an engine that nobody watches."""
    before, began = _rounds(run), time.monotonic()
    time.sleep(seconds)
    return (_rounds(run) - before) / (time.monotonic() - began)


def _environment() -> dict[str, str]:
    root = str(Path(__file__).resolve().parent.parent)
    paths = [root, *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "TERM": "xterm-256color", "COLORTERM": "truecolor"}


def _in_terminal(words: list[str], out: Path) -> dict[str, list[float]]:
    """Run the measured app on a terminal of its own, read all that it writes, return what it found."""
    out.unlink(missing_ok=True)
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
    process = subprocess.Popen(  # noqa: S603
        [sys.executable, "-m", "tui.bench_app", *words], stdin=theirs, stdout=theirs, stderr=theirs,
        env=_environment(), start_new_session=True,
    )  # fmt: skip
    os.close(theirs)
    written = b""
    while process.poll() is None:
        ready, _, _ = select.select([ours], [], [], 0.2)
        with suppress(OSError):
            written = (written + os.read(ours, 65536))[-4000:] if ready else written
    os.close(ours)
    if not out.exists():
        tail = written.decode("utf-8", "replace")[-300:]
        raise EnvironmentFault(f"bench tui: the measured app left with {process.returncode}: {tail}")
    found: dict[str, list[float]] = json.loads(out.read_text(encoding="utf-8"))
    return found
