"""`evaluate`: how good a run's policies are on markets that they never saw, as a table, JSON or CSV."""

import json
import shlex
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import msgspec

from lineage.ask.reading import open_run
from lineage.contest import prepare
from lineage.contest.evaluate import Evaluation, evaluate
from lineage.contest.frozen import Conditions
from lineage.numerics import pin_torch
from lineage.record.provenance import versions
from tui import evaluation_table
from tui.diagnostics import ExitCode, emit, say
from tui.options import PROGRAM
from tui.tables import Sheet, form_of, show


@dataclass(frozen=True)
class EvaluateRequest:
    """What the command line asks for."""

    directory: Path
    who: str
    against: str | None
    market: str | None
    tape: Path | None
    skip_bad: bool
    seeds: str
    ticks: int
    resamples: int
    champions: int
    min_rounds: int
    per_year: float
    whole_life: bool
    as_json: bool
    as_csv: bool


def evaluate_run(request: EvaluateRequest) -> int:
    """Check everything that can be checked, play, and print what was found."""
    form_of(as_json=request.as_json, as_csv=request.as_csv)
    seeds = prepare.read_seeds(request.seeds)
    with open_run(request.directory) as connection:
        run = prepare.recorded(connection, request.directory)
        conditions = prepare.conditions_of(
            run, market=request.market, tape=request.tape, skip_bad=request.skip_bad,
            ticks=request.ticks, whole_life=request.whole_life,
        )  # fmt: skip
        opponents = prepare.read_opponents(request.against, conditions)
        prepare.check_size(seeds, conditions)
        choice = prepare.choose(connection, request.directory, request.who, request.champions, request.min_rounds)
    prepare.check_untrained(opponents, choice.policies)
    pin_torch()
    found = evaluate(
        choice.policies, opponents, seeds, conditions, choice.trials,
        resamples=request.resamples, per_year=request.per_year, progress=_narrate,
    )  # fmt: skip
    facts = _facts(request, conditions, opponents, choice, seeds) | {"run": run.run_id, "run_seed": run.seed}
    if request.as_json:
        emit(json.dumps(facts | _plain(found), indent=2, allow_nan=False))
    elif request.as_csv:
        show(_sheet(found), "csv")
    else:
        emit(evaluation_table.text(found, facts))
    return ExitCode.OK


def _narrate(done: int, total: int) -> None:
    if done < total:
        say(f"played {done} of {total} policies")


def _facts(
    request: EvaluateRequest, conditions: Conditions, opponents: list[str], choice: prepare.Choice, seeds: range
) -> dict[str, Any]:
    """Return everything besides the results that the reader needs to judge and to repeat them."""
    tape = conditions.tape
    return {
        "market": tape.name if tape else request.market or conditions.config.scenario,
        "market_of": "tape" if tape else "scenario" if request.market else "run",
        "market_config": msgspec.to_builtins(conditions.config.market),
        "body_config": msgspec.to_builtins(conditions.config.body),
        "windows_side_by_side": prepare.side_by_side(conditions),
        "who": request.who,
        "against": opponents,
        "seeds": [seeds.start, seeds.stop],
        "ticks": request.ticks,
        "whole_life": request.whole_life,
        "resamples": request.resamples,
        "bars_per_year": request.per_year,
        "selection": asdict(choice.trials)
        | {
            "entrants": len(choice.policies),
            "champions": [champion._asdict() for champion in choice.champions],
            "policies": {
                policy.name: {"agent_id": policy.agent_id, "round": policy.round, "reason": policy.reason}
                for policy in choice.policies
            },
        },
        "versions": versions(),
        "command": _command(request, opponents),
    }


def _command(request: EvaluateRequest, opponents: list[str]) -> str:
    """Return the command that finds the same again, every choice written out."""
    words = [PROGRAM, "evaluate", str(request.directory), "--who", request.who]
    if request.who.strip() == "champions":
        words += ["--champions", str(request.champions), "--min-rounds", str(request.min_rounds)]
    words += ["--against", ",".join(opponents)]
    words += ["--market", request.market] if request.market is not None else []
    words += ["--tape", str(request.tape)] if request.tape is not None else []
    words += ["--skip-bad"] if request.skip_bad else []
    words += ["--seeds", request.seeds.strip(), "--ticks", str(request.ticks), "--resamples", str(request.resamples)]
    words += ["--per-year", f"{request.per_year:g}"]
    words += ["--whole-life"] if request.whole_life else []
    return shlex.join(words)


def _plain(found: Evaluation) -> dict[str, Any]:
    """Return the results as plain values; what is undefined is null with its reason."""
    return {
        "entrants": [
            asdict(standing) | {"figures": {name: item._asdict() for name, item in standing.figures.items()}}
            for standing in found.standings
        ],
        "differences": [asdict(difference) for difference in found.differences],
        "iqm": found.iqm.as_dict(),
        "oracle_share": found.oracle_share.as_dict() if found.oracle_share else None,
        "growth_by_market": {name: values.tolist() for name, values in found.growth.items()},
    }


def _sheet(found: Evaluation) -> Sheet:
    """Return one row a figure: table, entrant, opponent, measure, value, low, high, n, reason."""
    rows: list[tuple[Any, ...]] = []
    for s in found.standings:
        rows.append((s.role, s.name, "", "log_growth", *_interval(s.growth)))
        rows += [(s.role, s.name, "", name, item.value, "", "", "", item.reason) for name, item in s.figures.items()]
        counts = ("trades", "invested", "invalid", "deaths")
        rows += [(s.role, s.name, "", name, getattr(s, name), "", "", "", "") for name in counts]
    for d in found.differences:
        pair = ("difference", d.entrant, d.opponent)
        rows.append((*pair, "log_growth", *_interval(d.difference)))
        rows.append((*pair, "sign_agreement", d.sign_agreement, "", "", "", ""))
        rows.append((*pair, "improvement", *_interval(d.improvement)))
    rows.append(("summary", "all", "", "iqm", *_interval(found.iqm)))
    if found.oracle_share:
        rows.append(("summary", "all", "oracle", "oracle_share", *_interval(found.oracle_share)))
    return Sheet(("table", "entrant", "opponent", "measure", "value", "low", "high", "n", "reason"), rows)


def _interval(interval: Any) -> list[Any]:
    return [interval.estimate, interval.low, interval.high, interval.n, interval.reason]
