"""`sweep`: play every variant with every seed, then say what the difference makes."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from lineage.contest.outcomes import MEASURES
from lineage.contest.prepare import read_seeds
from lineage.contest.statistics import Interval
from lineage.contest.sweep import Done, run_sweep
from lineage.contest.sweep_plan import Plan, claim, make_plan, replace_text
from lineage.contest.sweep_report import Report, report_on
from tui.columns import number
from tui.diagnostics import ExitCode, emit, error, say
from tui.running import Stop, check_memory
from tui.tables import Sheet, form_of, show

RESULTS_NAME: Final = "results.json"
FORM: Final = "{:.4g}"


@dataclass(frozen=True, kw_only=True)
class SweepRequest:
    """The command line of `sweep`."""

    scenario: str | None
    file: Path | None
    assignments: tuple[str, ...]
    vary: tuple[str, ...]
    seeds: str
    rounds: int | None
    out: Path
    jobs: int
    resamples: int
    as_json: bool
    as_csv: bool


def sweep(request: SweepRequest) -> int:
    """Check everything that can be checked, play what is not finished yet, and report on all of it."""
    form_of(as_json=request.as_json, as_csv=request.as_csv)
    plan = make_plan(
        request.scenario, request.vary, read_seeds(request.seeds), request.rounds, request.file, request.assignments
    )
    for variant in plan.variants:
        check_memory(variant.config)
    claim(request.out, plan)
    runs = len(plan.tasks)
    say(f"{len(plan.variants)} variants, {len(plan.seeds)} seeds, {runs} runs of "
        f"{plan.variants[0].config.rounds} rounds in {request.out}")  # fmt: skip
    done, stopped = _play(plan, request)
    if stopped:
        finished = sum(item.status == "finished" for item in done)
        say(f"interrupted: {finished} of {runs} runs are finished; the same command goes on from here")
        return ExitCode.INTERRUPTED
    report = report_on(plan, request.out, done, request.resamples)
    _show(report, request)
    failed = [item for item in done if item.status == "failed"]
    for item in failed:
        error(f"{item.task.directory(request.out)}: {item.reason}")
    return max((item.exit_code or 1 for item in failed), default=0)


def _play(plan: Plan, request: SweepRequest) -> tuple[list[Done], bool]:
    """Play; return how every run stands, and whether somebody stopped it."""
    stop, count = Stop(), [0]

    def on_done(item: Done) -> None:
        count[0] += 1
        say(f"{item.task.variant}, seed {item.task.seed}: {item.status} ({count[0]} played)")

    with stop.listening():
        done = run_sweep(plan, request.out, request.jobs, lambda: stop.asked, on_done)
    return done, stop.asked and any(item.status == "interrupted" for item in done)


def _show(report: Report, request: SweepRequest) -> None:
    text = json.dumps(report.as_dict(), indent=2, allow_nan=False)
    target = request.out / RESULTS_NAME
    replace_text(target, text + "\n")
    if request.as_json:
        emit(text)
    elif request.as_csv:
        rows = report.flat_rows()
        show(Sheet(list(rows[0]), [list(row.values()) for row in rows]), "csv")
    else:
        emit("\n\n".join([_outcomes(report), _effects(report), _genes(report)]))
        say(f"all figures and gene courses: {target}")


def _span(interval: Interval) -> str:
    if interval.low is None or interval.high is None:
        return f"[{interval.reason or 'undefined'}]"
    return f"[{interval.low:.4g}, {interval.high:.4g}]"


def _outcomes(report: Report) -> str:
    """Return the mean of every measure by variant."""
    width = max(14, *(len(name) + 2 for name in report.variants))
    lines = [f"{'mean over seeds':<22}" + "".join(f"{name:>{width}}" for name in report.variants)]
    for measure in MEASURES:
        cells = []
        for variant in report.variants:
            values = [found[measure.name] for done, found in report.runs if done.task.variant == variant]
            known = [value for value in values if value is not None]
            cells.append(number(sum(known) / len(known) if known else None, FORM))
        lines.append(f"{measure.name:<22}" + "".join(f"{cell:>{width}}" for cell in cells))
    return "\n".join(lines)


def _effects(report: Report) -> str:
    """Return the paired differences, the pairs apart."""
    blocks = []
    pairs = list(dict.fromkeys((effect.variant, effect.against) for effect in report.effects))
    for variant, against in pairs:
        lines = [f"{variant} less {against}, same seeds",
                 f"{'':<22}{'difference':>12}  {'95 % interval':<28}{'same sign':>9}{'seeds':>7}"]  # fmt: skip
        for effect in report.effects:
            if (effect.variant, effect.against) == (variant, against):
                found = effect.difference
                agree = "-" if effect.sign_agreement is None else f"{100 * effect.sign_agreement:.0f} %"
                lines.append(f"{effect.measure:<22}{number(found.estimate, FORM):>12}  {_span(found):<28}"
                             f"{agree:>9}{found.n:>7}")  # fmt: skip
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks)


def _genes(report: Report) -> str:
    """Return where genes went, variant by variant."""
    lines: list[str] = []
    for variant in report.variants:
        lines += ([""] if lines else []) + [
            f"genes under {variant}: means of the living; excess = end less what random parents give",
            f"{'':<22}{'start':>10}{'end':>10}{'random':>10}{'excess':>11}  {'95 % interval':<28}"
            f"{'selection':>11}  95 % interval",
        ]
        for item in report.genes:
            if item.variant == variant:
                lines.append(
                    f"{item.gene:<22}{item.start:>10.4g}{item.end:>10.4g}{item.null_end:>10.4g}"
                    f"{number(item.excess.estimate, FORM):>11}  {_span(item.excess):<28}"
                    f"{number(item.differential.estimate, FORM):>11}  {_span(item.differential)}"
                )
    return "\n".join(lines)
