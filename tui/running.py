"""`run` and `resume`: from what was asked to an engine, its narration, its stop and its summary."""

import json
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from arena.errors import ConfigError, DataError, EnvironmentFault
from arena.market.tape import Tape, read_tape
from lineage import settings
from lineage.config import RunConfig
from lineage.control import Control
from lineage.settings_text import shown
from tui import narration
from tui.diagnostics import PROGRAM, ExitCode, emit, say

if TYPE_CHECKING:
    from agents.fused import LearnerName
    from lineage.engine import Engine


@dataclass(frozen=True, kw_only=True)
class RunRequest:
    """The command line of `run`."""

    scenario: str | None = None
    file: Path | None = None
    assignments: tuple[str, ...] = ()
    rounds: int | None = None
    seed: int = 1
    out: Path | None = None
    market: str | None = None
    tape: Path | None = None
    skip_bad: bool = False
    threads: int | None = None
    device: str | None = None
    learner: "LearnerName | None" = None
    as_json: bool = False
    live: bool = False
    quiet: bool = False
    control: bool = False  # commands on stdin, reports on stdout: lineage/control.py


def start_run(request: RunRequest) -> int:
    """Check everything that can be checked, then start an engine and drive it to its end."""
    _check_modes(request.live, request.as_json, request.quiet)
    loaded, tape = resolve_request(request)
    check_memory(loaded.config)
    check_device(request.device)
    directory = request.out if request.out is not None else default_directory(loaded.config.scenario, request.seed)
    if request.live and (watched := _watch(arguments_of(request, directory), directory)) is not None:
        return watched
    from agents.fused import resolve
    from lineage import engine

    device = request.device or "cpu"
    learner, reason = resolve(request.learner or "auto", device)
    with engine.start(
        directory, loaded.config, request.seed,
        threads=request.threads or 1, device=device, tape=request.tape, learner=learner,
    ) as started:  # fmt: skip
        if not request.quiet:
            if tape is not None and tape.skipped:
                say(f"tape {tape.name}: {tape.skipped} bad rows dropped")
            if learner == "fast" and request.learner != "fast":
                say(f"learner fast: {reason}")
            say(f"run directory: {directory}")
        return drive(started, directory, as_json=request.as_json, quiet=request.quiet, control=request.control)


def arguments_of(request: RunRequest, directory: Path) -> list[str]:
    """Return the command line of `run` that asks for the same, into a directory."""
    words: list[str] = ["run", *filter(None, [request.scenario])]
    options = {
        "--config": request.file, "--rounds": request.rounds, "--seed": request.seed, "--out": directory,
        "--market": request.market, "--tape": request.tape, "--threads": request.threads, "--device": request.device,
        "--learner": request.learner,
    }  # fmt: skip
    for name, value in options.items():
        words += [] if value is None else [name, str(value)]
    for assignment in request.assignments:
        words += ["--set", assignment]
    return [*words, "--skip-bad"] if request.skip_bad else words


def _watch(arguments: list[str], directory: Path) -> int | None:
    """Play in a process of its own and watch it; None, after saying why, where no app can be drawn."""
    from tui.watching import no_terminal, play

    if reason := no_terminal():
        say(f"--live: {reason}; running with plain lines instead")
        return None
    return play(arguments, directory)


def resume_run(
    directory: Path, threads: int | None, device: str | None, as_json: bool, live: bool, quiet: bool, control: bool
) -> int:
    """Continue a run where its record ends."""
    _check_modes(live, as_json, quiet)
    check_device(device)
    if live:
        options = [*(["--threads", str(threads)] if threads else []), *(["--device", device] if device else [])]
        if (watched := _watch(["resume", str(directory), *options], directory)) is not None:
            return watched
    from lineage import engine

    with engine.resume(directory, threads=threads, device=device) as resumed:
        if not quiet:
            say(f"resuming {directory} after round {resumed.rounds_done} of {resumed.rounds_total}")
        return drive(resumed, directory, as_json=as_json, quiet=quiet, control=control)


def _check_modes(live: bool, as_json: bool, quiet: bool) -> None:
    if live and (as_json or quiet):
        other = "--json" if as_json else "--quiet"
        raise ConfigError(f"--live and {other}: one shows the run, the other silences it; give one of them")


def resolve_request(request: RunRequest) -> tuple[settings.Settings, Tape | None]:
    """Return the settings of a run, its tape and rounds included. Raises ConfigError or DataError."""
    flags: dict[str, tuple[object, str]] = {}
    if request.rounds is not None:
        flags["rounds"] = (request.rounds, "--rounds")
    if request.market is not None:
        flags["market.source"] = (request.market, "--market")
    if request.tape is None:
        if request.skip_bad:
            raise ConfigError("--skip-bad: there is no tape to skip rows of; give --tape FILE too")
        return _load(request, flags), None
    if request.market not in (None, "tape"):
        raise ConfigError(f"--market {shown(request.market)}: a tape is given too; drop --market or --tape")
    tape = read_tape(request.tape, skip_bad=request.skip_bad)
    place = f"--tape {request.tape}"
    flags |= {
        "market.source": ("tape", place),
        "market.tape_name": (tape.name, place),
        "market.tape_sha256": (tape.sha256, place),
        "market.tape_skip_bad": (request.skip_bad, place),
    }
    loaded = _load(request, flags)
    longest = tape_rounds(loaded.config, tape)
    if "life.founder_apprentice_rounds" not in loaded.origins:
        # A tape is short: three quarters of it are for real money, whatever the default apprenticeship is.
        paper = min(loaded.config.life.founder_apprentice_rounds, longest // 4)
        flags |= {"life.founder_apprentice_rounds": (paper, place)}
        loaded = _load(request, flags)
    rounds = loaded.config.rounds
    asked = loaded.origins.get("rounds", "")
    if asked and "scenarios/" not in asked:
        if rounds > longest:
            raise ConfigError(f"{asked}: {rounds} rounds are more than {tape.name} holds; give at most {longest}")
        return loaded, tape
    return _load(request, flags | {"rounds": (longest, place)}), tape


def _load(request: RunRequest, flags: dict[str, tuple[object, str]]) -> settings.Settings:
    return settings.load(request.scenario, file=request.file, assignments=request.assignments, flags=flags)


def tape_rounds(config: RunConfig, tape: Tape) -> int:
    """Return the whole rounds that a tape holds after the warm-up. Raises DataError when there is none."""
    bars, warmup, ticks = len(tape.times), config.market.warmup_bars, config.arena.ticks_per_round
    if bars < warmup + ticks:
        raise DataError(
            f"{tape.name}: {bars} bars are too few: the warm-up takes {warmup} and a round {ticks}; "
            "use a longer tape or lower market.warmup_bars"
        )
    return (bars - warmup) // ticks


def default_directory(scenario: str, seed: int) -> Path:
    """Return runs/<scenario>-<seed>-<time>, a name that is not taken."""
    stem = f"{scenario}-{seed}-{time.strftime('%Y%m%d-%H%M%S')}"
    path = Path("runs") / stem
    for number in range(2, 1000):
        if not path.exists():
            break
        path = Path("runs") / f"{stem}-{number}"
    return path


def check_memory(config: RunConfig) -> None:
    """Raise EnvironmentFault when the population cannot fit this machine's memory."""
    needed = memory_needed(config)
    present = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if needed > present:
        raise EnvironmentFault(
            f"memory: the minds need about {needed / 2**30:.1f} GiB, this machine has {present / 2**30:.1f}; "
            "lower arena.seats, arena.markets, mind.replay_capacity or mind.hidden"
        )


def memory_needed(config: RunConfig) -> int:
    """Return the bytes of all replays and networks once they are full: the floor of what a run takes."""
    from arena.spec import N_ACTIONS, OBS_DIM

    first, second = config.mind.hidden
    weights = (OBS_DIM + 1) * first + (first + 1) * second + (second + 1) * (N_ACTIONS + 1)
    replay = config.mind.replay_capacity * (2 * OBS_DIM + 4 + 3)  # f16 observation, f32 reward, three bytes
    return config.arena.markets * config.arena.seats * (replay + 5 * 4 * weights)


def check_device(device: str | None) -> None:
    """Raise EnvironmentFault when CUDA is asked for and absent."""
    if device != "cuda":
        return
    import torch

    if not torch.cuda.is_available():
        raise EnvironmentFault("--device cuda: no CUDA device is usable on this machine; use --device cpu")


class Stop:
    """What Ctrl-C does: once, end after this round; twice, abort."""

    def __init__(self) -> None:
        self.asked = False

    def handle(self, signum: int, frame: FrameType | None) -> None:
        """Note the first signal, raise KeyboardInterrupt at the second."""
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True
        say("stopping after this round; press Ctrl-C again to abort")

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Handle SIGINT and SIGTERM inside the block, and hand them back after it."""
        previous = {number: signal.signal(number, self.handle) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)


def drive(engine: "Engine", directory: Path, *, as_json: bool, quiet: bool, control: bool) -> int:
    """Run an engine to its end or to a stop, print the summary, return the exit code."""
    stop = Stop()
    gate = Control(sys.stdin.fileno(), sys.stdout.fileno()) if control else None

    def should_stop() -> bool:
        return gate.gate(engine, lambda: stop.asked) if gate else stop.asked

    quiet = quiet or control
    try:
        with stop.listening(), narration.choose(engine, quiet=quiet) as narrator:
            summary = engine.run(on_round=narrator.on_round, should_stop=should_stop)
    except KeyboardInterrupt:
        say(f"aborted; finished rounds are recorded; continue with: {PROGRAM} resume {directory}")
        return ExitCode.INTERRUPTED
    if as_json:
        emit(json.dumps(summary.as_dict(), indent=2, default=str))
    elif not quiet:
        emit(describe(summary.as_dict()))
    if summary.status == "interrupted":
        say(f"interrupted after round {engine.rounds_done}, checkpoint written; "
            f"continue with: {PROGRAM} resume {directory}")  # fmt: skip
        return ExitCode.INTERRUPTED
    return ExitCode.OK


def describe(summary: dict[str, Any]) -> str:
    """Return a summary as a short block of text."""

    def counts(name: str) -> str:
        parts = [f"{value} {key}" for key, value in sorted(summary.get(name, {}).items()) if value]
        return ", ".join(parts) or "none"

    plural = "" if summary["generations"] == 1 else "s"
    rows = {
        "run": f"{summary['run']}: {summary['scenario']}, seed {summary['seed']}, {summary['rounds']} rounds",
        "agents": f"{summary['born']} born, {summary['died']} died, {summary['alive']} alive "
        f"({summary['apprentices']} on paper), deepest line {summary['generations']} generation{plural}",
        "deaths": counts("deaths_by_cause"),
        "scars": f"{summary['scars']}: {counts('scars_by_kind')}" if summary["scars"] else "none",
        "speed": f"{summary['seconds']:.1f} s, {summary['agent_steps_per_s']:,.0f} agent steps/s, "
        f"{summary['updates_per_s']:,.0f} updates/s ({summary['learner']} learner)",
        "head": summary["head"],
        "checkpoint": summary["checkpoint_line"],
        "": "keep this line elsewhere: `verify DIR --checkpoint LINE` compares the history with it",
        "directory": summary["directory"],
    }
    return "\n".join(f"{name:<11}{value}" for name, value in rows.items())
