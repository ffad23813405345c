"""`bench tui`: what the terminal costs, measured on a pseudo-terminal beside an engine at full speed."""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import numpy as np

from arena.errors import EnvironmentFault
from arena.rng import stream
from tui.bench_terminal import COLUMNS, LINES, Terminal, environment
from tui.diagnostics import ExitCode, emit, say

AGENTS, TREE_AGENTS = 256, 1_000_000
LIMITS = {
    "paint_ms": 25.0, "key_p95_ms": 50.0, "core_share": 0.25, "engine_slowdown": 0.05, "tree_open_s": 2.0,
    "tree_frame_ms": 5.0,
}  # fmt: skip
"""What each figure is held against: DESIGN 11."""

KEYS: Final[tuple[tuple[str, bytes], ...]] = (
    ("j", b"j"), ("j", b"j"), ("j", b"j"), ("k", b"k"), ("page down", b"\x1b[6~"), ("page up", b"\x1b[5~"),
    ("s", b"s"), ("4", b"4"), ("1", b"1"), ("2", b"2"), ("3", b"3"), ("5", b"5"), ("1", b"1"), ("f", b"f"),
    ("f", b"f"), ("t", b"t"), ("left", b"\x1b[D"), ("right", b"\x1b[C"), ("shift left", b"\x1b[1;2D"),
    ("end", b"\x1b[F"),
)  # fmt: skip
"""What is typed: moving, sorting, switching screens, following, travelling."""

LONGEST_KEY = 2.0  # seconds; a key that takes longer counts as this long
BETWEEN_KEYS = 0.07
ROLES: Final = ("alone", "watched", "again")
"""Three engines that play the same rounds; two of them tell what the same is like when nobody watches."""

BURST: Final = 12
"""Rounds that one plays before it is the next one's turn: about a second."""


@dataclass(frozen=True, slots=True)
class TerminalFigures:
    """What was measured."""

    agents: int
    columns: int
    lines: int
    paint_ms: float  # median, from a frame's arrival to the written screen
    paints_per_s: float
    key_p50_ms: float  # from the typed key to the arrival of the bytes that show its effect, under a full-speed engine
    key_p95_ms: float
    core_share: float  # processor time by wall time while the screen is refreshed
    engine_slowdown: float  # loss of speed while it is watched, over the same rounds: the median
    engine_slowdown_between: tuple[float, float]  # 95 % interval of that median
    engine_noise: float  # the same between the two engines that nobody watches
    tree_agents: int
    tree_deepest: int
    tree_open_s: float
    tree_frame_ms: float  # median
    keys_ms: dict[str, float]  # median of each key


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
    low, high = figures.engine_slowdown_between
    slowest = sorted(figures.keys_ms.items(), key=lambda pair: -pair[1])[:3]
    notes = {
        "key_p95_ms": f"median {figures.key_p50_ms:.0f}; slowest: "
        + ", ".join(f"{name} {value:.0f}" for name, value in slowest),
        "engine_slowdown": f"95 %: {low:+.1%} to {high:+.1%}; twice without a watcher: {figures.engine_noise:+.1%}",
    }
    rows = [
        f"{figures.agents} agents at {figures.columns}x{figures.lines}, {figures.paints_per_s:.1f} refreshes a second"
    ]
    for name, (text, unit) in words.items():
        value, limit = float(getattr(figures, name)), LIMITS[name]
        shown = f"{value:.1%}" if not unit else f"{value:.2f} {unit}"
        most = f"{limit:.0%}" if not unit else f"{limit:g} {unit}"
        note = f"  ({notes[name]})" if name in notes else ""
        rows.append(f"  {text:<46}{shown:>12}   {'ok' if value < limit else 'OVER'}, below {most}{note}")
    return "\n".join(rows)


def measure(seconds: float) -> TerminalFigures:
    """Let three engines play the same rounds in turn, one of them watched; type; then open a large lineage.

    Raises EnvironmentFault when a part fails.
    """
    with tempfile.TemporaryDirectory(prefix="lineage-arena-") as name:
        folder = Path(name)
        bursts = max(8, round(2 * seconds))
        say(f"{len(ROLES)} engines with {AGENTS} agents play the same {bursts * BURST} rounds in turn, one is watched")
        with ExitStack() as stack:
            engines = {role: stack.enter_context(_engine(folder / role)) for role in ROLES}
            out = folder / "seen.json"
            terminal = Terminal(["watch", str(engines["watched"].run), str(out)])
            try:
                if terminal.wait_for("ready") is None:
                    raise EnvironmentFault(f"bench tui: the app did not open the run: {terminal.last_words()}")
                times = _in_turn(engines, terminal, bursts)
                engines["watched"].play_on()
                say("keys, while it plays on")
                keys = _type(terminal, 4 * seconds)
            finally:
                terminal.close()
            seen = _figures(out, terminal)
        say(f"a lineage of {TREE_AGENTS:,} agents")
        tree = _tree(folder / "figures.json")
    return _figures_of(times, seen, keys, tree)


def _figures_of(
    times: dict[str, np.ndarray],
    seen: dict[str, list[float]],
    keys: list[tuple[str, float]],
    tree: dict[str, list[float]],
) -> TerminalFigures:
    pressed = 1e3 * np.array([took for _, took in keys])
    wall, processor = seen["wall"][0], seen["processor"][0]
    loss, between = loss_of((times["alone"] + times["again"]) / 2, times["watched"])
    noise, _ = loss_of(times["alone"], times["again"])
    return TerminalFigures(
        agents=AGENTS, columns=COLUMNS, lines=LINES,
        paint_ms=1e3 * float(np.median(seen["paints"])), paints_per_s=len(seen["paints"]) / wall,
        key_p50_ms=float(np.median(pressed)), key_p95_ms=float(np.percentile(pressed, 95)),
        core_share=processor / wall,
        engine_slowdown=loss, engine_slowdown_between=between, engine_noise=noise,
        tree_agents=TREE_AGENTS, tree_deepest=int(tree["deepest"][0]), tree_open_s=float(tree["opened"][0]),
        tree_frame_ms=1e3 * float(np.median(tree["frames"])),
        keys_ms={name: float(np.median([1e3 * took for key, took in keys if key == name])) for name, _ in KEYS},
    )  # fmt: skip


def loss_of(alone: np.ndarray, watched: np.ndarray) -> tuple[float, tuple[float, float]]:
    """Return how much speed is lost, round by round: the median, and its 95 % interval.

    alone, watched: [bursts, rounds] seconds of the same rounds. The interval comes from drawing the bursts again:
    rounds of one burst share what else the machine did just then.
    """
    losses = 1.0 - alone / watched
    drawn = losses[stream(0, "bench tui").integers(len(losses), size=(2_000, len(losses)))].reshape(2_000, -1)
    low, high = np.percentile(np.median(drawn, axis=1), [2.5, 97.5])
    return float(np.median(losses)), (float(low), float(high))


class _Engine:
    """One run of tui/bench_engine.py."""

    def __init__(self, run: Path) -> None:
        """Start it; it is of use once it is warm."""
        self.run = run
        self._process = subprocess.Popen(  # noqa: S603
            [sys.executable, "-m", "tui.bench_engine", str(run)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment(), text=True,
        )  # fmt: skip

    def durations(self) -> list[float]:
        """Wait until it has played what it was told; return how long each round took."""
        line = self._process.stdout.readline() if self._process.stdout is not None else ""
        if not line:
            raise EnvironmentFault("bench tui: the engine left; see above, or try `lineage-arena run crowd`")
        found: list[float] = json.loads(line)
        return found

    def tell(self, rounds: int) -> None:
        """Let it play so many rounds, 0: on and on; that it has gone is noticed when its answer is waited for."""
        if self._process.stdin is not None:
            with suppress(OSError):
                self._process.stdin.write(f"{rounds}\n")
                self._process.stdin.flush()

    def play_on(self) -> None:
        """Let it play until it is killed."""
        self.tell(0)

    def kill(self) -> None:
        """End it."""
        self._process.kill()
        self._process.communicate()


@contextmanager
def _engine(run: Path) -> Iterator[_Engine]:
    engine = _Engine(run)
    try:
        engine.durations()
        yield engine
    finally:
        engine.kill()


def _in_turn(engines: dict[str, _Engine], terminal: Terminal, bursts: int) -> dict[str, np.ndarray]:
    """Return [bursts, BURST] seconds of the rounds of each engine; the app's stop-watch runs while its own plays."""
    times: dict[str, list[list[float]]] = {role: [] for role in ROLES}
    for burst in range(bursts):
        order = ROLES[burst % len(ROLES) :] + ROLES[: burst % len(ROLES)]
        for role in order if burst % 2 else order[::-1]:
            if role == "watched":
                terminal.turn()
            engines[role].tell(BURST)
            times[role].append(engines[role].durations())
            if role == "watched":
                terminal.turn()
    return {role: np.array(found) for role, found in times.items()}


def _type(terminal: Terminal, seconds: float) -> list[tuple[str, float]]:
    """Type for some seconds, every key at least five times; return each with the seconds until its effect was seen."""
    found: list[tuple[str, float]] = []
    end = time.monotonic() + seconds
    while time.monotonic() < end or len(found) < 5 * len(KEYS):
        name, key = KEYS[len(found) % len(KEYS)]
        time.sleep(BETWEEN_KEYS)
        found.append((name, terminal.press(key, LONGEST_KEY)))
    return found


def _tree(out: Path) -> dict[str, list[float]]:
    terminal = Terminal(["tree", str(TREE_AGENTS), str(out)])
    try:
        terminal.process.wait(120.0)
    except subprocess.TimeoutExpired:
        raise EnvironmentFault(f"bench tui: the lineage did not open in two minutes: {terminal.last_words()}") from None
    finally:
        terminal.close()
    return _figures(out, terminal)


def _figures(out: Path, terminal: Terminal) -> dict[str, list[float]]:
    """Return what the app wrote down, and take the file away."""
    if not out.exists():
        raise EnvironmentFault(
            f"bench tui: the measured app left with {terminal.process.returncode}: {terminal.last_words()}"
        )
    found: dict[str, list[float]] = json.loads(out.read_text(encoding="utf-8"))
    out.unlink()
    return found
