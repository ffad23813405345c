"""`newborns`: are later generations born better?"""

import json
from dataclasses import asdict
from pathlib import Path

from lineage.ask.reading import open_run
from lineage.contest import prepare
from lineage.contest.newborns import Generation, compare_generations
from lineage.contest.statistics import Interval
from tui.diagnostics import emit, say


def newborns(
    directory: Path, market: str | None, seeds: str, ticks: int, per_generation: int, resamples: int, as_json: bool
) -> int:
    """Play a run's newborns, frozen, and print a row a band of generations."""
    chosen = prepare.read_seeds(seeds)
    with open_run(directory) as connection:
        run = prepare.recorded(connection, directory)
        conditions = prepare.conditions_of(
            run, market=market, tape=None, skip_bad=False, ticks=ticks, whole_life=False
        )  # fmt: skip
        prepare.check_size(chosen, conditions)
        found = compare_generations(connection, list(chosen), conditions, per_generation, resamples, say)
    if as_json:
        emit(json.dumps([asdict(item) for item in found], indent=2))
        return 0
    emit(f"log-growth per 1,000 ticks at birth, {len(chosen)} held-out markets of {ticks} ticks, nobody learns")
    emit(f"{'generation':<12}{'born':>6}{'played':>8}{'growth':>9}{'untrained':>11}  "
         f"{'inherited, 95 %':<29}{'above founders, 95 %':<29}{'same sign':>9}")  # fmt: skip
    for item in found:
        emit(_line(item))
    return 0


def _line(item: Generation) -> str:
    name = str(item.first) if item.first == item.last else f"{item.first} to {item.last}"
    agree = "-" if item.sign_agreement is None else f"{100 * item.sign_agreement:.0f} %"
    above = "-" if item.first == 0 else _span(item.above_founders)
    return (
        f"{name:<12}{item.born:>6}{item.played:>8}{item.growth.estimate or 0.0:>9.4f}"
        f"{item.untrained.estimate or 0.0:>11.4f}  {_span(item.inherited):<29}{above:<29}{agree:>9}"
    )


def _span(interval: Interval) -> str:
    if interval.estimate is None:
        return f"- ({interval.reason})"
    if interval.low is None or interval.high is None:
        return f"{interval.estimate:.4f} (too few markets)"
    return f"{interval.estimate:.4f} [{interval.low:.4f}, {interval.high:.4f}]"
