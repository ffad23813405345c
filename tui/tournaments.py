"""`tournament`: plan it, play it, show what came of it."""

import json
import sys
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Final, Protocol, Self

from arena.errors import ConfigError
from lineage.contest import tournament
from lineage.contest.matches import MatchResult
from lineage.contest.results import Results
from lineage.contest.tournament import Progress
from lineage.contest.tournament_pairings import expected
from lineage.contest.tournament_plan import Plan
from lineage.contest.tournament_prepare import plan_of
from lineage.contest.tournament_spec import EXAMPLE, TournamentSpec, read_spec, spec_of_flags
from lineage.contest.tournament_table import Live, table_of
from lineage.numerics import pin_torch
from tui import tournament_table
from tui.diagnostics import PROGRAM, ExitCode, emit, error, say
from tui.outputs import new_file
from tui.running import Stop, check_memory
from tui.tables import form_of
from tui.tables import show as show_sheet

DEFAULT_OUT: Final = "tournament.sqlite"


@dataclass(frozen=True, kw_only=True)
class TournamentRequest:
    """The command line of `tournament`."""

    spec: Path | None
    entrants: str | None
    worlds: str
    seeds: str
    ticks: int
    mixes: str
    jobs: int
    as_json: bool
    engine: str = "local"
    address: str | None = None
    out: Path | None = None
    resume: bool = False
    quiet: bool = False


def play(request: TournamentRequest) -> int:
    """Check everything that can be checked, play what is missing, and print the table."""
    plan = _plan(request)
    for player in plan.players:
        if player.config is not None:
            check_memory(player.config)
    with _stdout_kept(request):
        engine, jobs = _engine(request)
    out = request.out or Path(f"{request.spec.stem}.sqlite" if request.spec else DEFAULT_OUT)
    pin_torch()
    windows = tournament.windows_of(plan)
    opened = Results.resume(out, plan, windows) if request.resume else Results.create(out, plan, windows)
    with opened as results:
        text = request.spec.read_text(encoding="utf-8-sig") if request.spec else ""
        results.begin_session(request.engine, jobs, _command(request, out), text)
        total, done = sum(expected(plan).values()), len(results.done())
        if not request.quiet:
            say(f"{total} matches, {done} of them played; results: {out}")
        stop = _Stop()
        try:
            with _stdout_kept(request), stop.listening(), _narrator(plan, quiet=request.quiet) as narrator:
                complete = tournament.run(plan, results, jobs, lambda: stop.asked, narrator.on_progress, engine)
        except KeyboardInterrupt:
            say("aborted; finished matches are kept")
            complete = False
        if not complete:
            done = len(results.done())
            say(f"interrupted: {done} of {total} matches are played; go on with: {_command(request, out)} --resume")
            return ExitCode.INTERRUPTED
        return _show(results, as_json=request.as_json, as_csv=False)


def _plan(request: TournamentRequest) -> Plan:
    if (request.spec is None) == (request.entrants is None):
        raise ConfigError("tournament: name a SPEC file, or players with --entrants; one of the two")
    if request.spec is not None:
        return plan_of(read_spec(request.spec), request.spec.resolve().parent, str(request.spec))
    return plan_of(_flags(request), Path.cwd(), "flags")


def _flags(request: TournamentRequest) -> TournamentSpec:
    def words(text: str) -> list[str]:
        return [word.strip() for word in text.split(",") if word.strip()]

    return spec_of_flags(
        words(request.entrants or ""), words(request.worlds), request.seeds, request.ticks, words(request.mixes)
    )


def _engine(request: TournamentRequest) -> tuple[tournament.Engine | None, int]:
    """Return who plays, None for this machine's processes, and with how many processors."""
    if request.engine == "local":
        if request.address is not None:
            raise ConfigError(
                f"--address {request.address}: only --engine ray has one; add it or leave the address out"
            )
        return None, request.jobs
    from lineage.contest.engines_ray import connect

    return connect(request.address, request.jobs)


def _stdout_kept(request: TournamentRequest) -> AbstractContextManager[object]:
    """Return a context in which what Ray prints of lost workers goes to stderr: stdout is data."""
    return nullcontext() if request.engine == "local" else redirect_stdout(sys.stderr)


def _command(request: TournamentRequest, out: Path) -> str:
    import shlex

    words = [PROGRAM, "tournament"]
    if request.spec is not None:
        words.append(str(request.spec))
    else:
        words += ["--entrants", str(request.entrants), "--worlds", request.worlds, "--seeds", request.seeds]
        words += ["--ticks", str(request.ticks), "--mixes", request.mixes]
    words += ["--jobs", str(request.jobs)] if request.jobs > 1 else []
    words += ["--engine", request.engine] if request.engine != "local" else []
    words += ["--address", request.address] if request.address is not None else []
    return shlex.join([*words, "--out", str(out)])


def _show(results: Results, *, as_json: bool, as_csv: bool) -> int:
    found = table_of(results)
    if as_json:
        emit(json.dumps(tournament_table.plain(found, results), indent=2, allow_nan=False))
    elif as_csv:
        show_sheet(tournament_table.figures(found), "csv")
    else:
        emit(tournament_table.text(found))
    for key, problem in found.failed[:5]:
        error(f"match {key}: {problem}")
    return ExitCode.BUG if found.failed else ExitCode.OK


def show(path: Path, *, as_json: bool, as_csv: bool) -> int:
    """Print the table of a results file, finished or not."""
    form_of(as_json=as_json, as_csv=as_csv)
    with Results.read(path) as results:
        return _show(results, as_json=as_json, as_csv=as_csv)


def plan(request: TournamentRequest) -> int:
    """Say who meets whom how often, and how long it takes on this machine."""
    made = _plan(request)
    pin_torch()
    counts = expected(made)
    seconds = tournament.estimate(made) / request.jobs
    facts = {
        "players": [{"name": p.name, "kind": p.kind, "role": p.role, "about": p.about} for p in made.players],
        "worlds": [ground.name for ground in made.grounds],
        "seeds": list(made.seeds), "format": made.format, "matches": counts, "ticks": made.ticks,
        "estimated_seconds": round(seconds, 3), "jobs": request.jobs, "spec_sha256": made.identity(),
    }  # fmt: skip
    if request.as_json:
        emit(json.dumps(facts, indent=2))
        return ExitCode.OK
    for player in made.players:
        emit(f"{player.role:<9} {player.name:<32} {player.about}")
    emit(f"{len(made.grounds)} worlds, {made.seeds[1] - made.seeds[0]} seeds, {made.ticks:,} ticks a match")
    emit("; ".join(f"{count} matches {mix}" for mix, count in counts.items()))
    emit(f"about {_duration(seconds)} with {request.jobs} job{'s' * (request.jobs > 1)} on this machine as it is now")
    emit(f"spec {made.identity()}")
    return ExitCode.OK


def init(path: Path) -> int:
    """Write an example of a specification."""
    with new_file(path) as file:
        file.write(EXAMPLE.encode())
    say(f"wrote {path}; then: {PROGRAM} tournament plan {path}")
    return ExitCode.OK


def _duration(seconds: float) -> str:
    if seconds < 90.0:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400.0 else f"{seconds / 3600:.1f} h"


class _Stop(Stop):
    """What Ctrl-C does here: once, end after the running matches; twice, abort."""

    def handle(self, signum: int, frame: FrameType | None) -> None:
        """Note the first signal, raise KeyboardInterrupt at the second."""
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True
        say("stopping after the running matches; press Ctrl-C again to abort")


class _Narrator(Protocol):
    def on_progress(self, progress: Progress, part: Sequence[MatchResult]) -> None:
        """Take note of finished matches."""


def _narrator(plan: Plan, *, quiet: bool) -> AbstractContextManager[_Narrator]:
    return _Silence(plan) if quiet else _Bar(plan) if sys.stderr.isatty() else _Lines(plan)


class _Silence:
    """Says nothing; `note` is what the others say."""

    def __init__(self, plan: Plan) -> None:
        frozen = plan.league("frozen")
        alone = {
            ground.name: sum(plan.can_play(player, number) for player in frozen)
            for number, ground in enumerate(plan.grounds)
        }
        self._live = Live([player.name for player in plan.players], lambda block: alone[block.rpartition("/")[0]])
        self._began = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        pass

    def on_progress(self, progress: Progress, part: Sequence[MatchResult]) -> None:
        """Say nothing."""

    def note(self, progress: Progress, part: Sequence[MatchResult]) -> str:
        """Move the standings, and return how it goes in words."""
        for result in part:
            scores: dict[int, list[float | None]] = {}
            for seat in result.seats:
                scores.setdefault(seat.player, []).append(None if seat.forfeit else seat.growth)
            known = {player: [s for s in values if s is not None] for player, values in scores.items()}
            if scores:
                self._live.take(
                    result.key,
                    {player: sum(values) / len(values) if values else None for player, values in known.items()},
                )
        seconds = max(time.monotonic() - self._began, 1e-9)
        speed = progress.played / seconds
        left = seconds * progress.left / max(1.0 - progress.left, 1e-9)
        leaders = self._live.leaders()
        failed = f", {progress.failed} failed" if progress.failed else ""
        return (f"{progress.done}/{progress.total} matches{failed}, {speed:.1f} matches/s, {_duration(left)} left"
                + (f"; leading: {leaders}" if leaders else ""))  # fmt: skip


class _Lines(_Silence):
    """Some ten plain lines over the whole tournament, for logs and pipes."""

    _next = 0.0

    def on_progress(self, progress: Progress, part: Sequence[MatchResult]) -> None:
        """Write a line at every tenth."""
        line = self.note(progress, part)
        if progress.done >= self._next or progress.done == progress.total:
            say(line)
            self._next = progress.done + progress.total / 10.0


class _Bar(_Silence):
    """A progress bar."""

    def __init__(self, plan: Plan) -> None:
        super().__init__(plan)
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn

        self._bar = Progress(
            BarColumn(), TextColumn("{task.description}", markup=False), console=Console(stderr=True), transient=True
        )
        self._task = self._bar.add_task("starting", total=None)

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *raised: object) -> None:
        self._bar.stop()

    def on_progress(self, progress: Progress, part: Sequence[MatchResult]) -> None:
        """Move the bar."""
        self._bar.update(
            self._task, total=progress.total, completed=progress.done, description=self.note(progress, part)
        )
