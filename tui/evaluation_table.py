"""An evaluation as text for people."""

from collections.abc import Sequence
from typing import Any, Final

from lineage.contest.evaluate import ALL, Difference, Evaluation, Standing
from lineage.contest.statistics import Interval
from tui.columns import SIGNED, aligned, number, span

MANY: Final = 12
"""With more entrants than this the table of differences keeps to their mean."""


def text(found: Evaluation, facts: dict[str, Any]) -> str:
    """Return all tables and what they rest on."""
    blocks = [_heading(facts), _standings(found.standings, facts), _differences(found.differences, len(_ours(found)))]
    blocks.append(_summary(found, facts))
    return "\n\n".join(blocks)


def _ours(found: Evaluation) -> list[Standing]:
    return [standing for standing in found.standings if standing.role == "entrant"]


def _heading(facts: dict[str, Any]) -> str:
    first, end = facts["seeds"]
    rules = "whole lives: living costs, scars, ruin" if facts["whole_life"] else "living costs, scars and deaths off"
    origin = {"run": "the run's own market, ", "scenario": "market ", "tape": "tape "}[facts["market_of"]]
    lines = [
        f"{origin}{facts['market']}: {end - first} held-out seeds {first}:{end}, {facts['ticks']:,} ticks each",
        f"frozen policies, each alone in its own market; {rules}",
    ]
    windows = facts["windows_side_by_side"]
    if windows is not None and windows < end - first:
        lines.append(
            f"note: the tape holds {windows} windows side by side, {end - first} overlap: the intervals are too narrow"
        )
    return "\n".join(lines)


def _standings(standings: Sequence[Standing], facts: dict[str, Any]) -> str:
    header = ["", "growth", "95 % interval", "sharpe", "max drawdown", "trades", "invested", "deflated sharpe"]
    rows = [
        [
            standing.name,
            number(standing.growth.estimate, SIGNED),
            _range(standing.growth),
            number(standing.figures["sharpe"].value, "{:+.2f}"),
            number(standing.figures["max_drawdown"].value, "{:.1%}"),
            f"{standing.trades:.1f}",
            f"{standing.invested:.0%}",
            number(standing.figures["deflated_sharpe"].value, "{:.3f}"),
        ]
        + ([f"{standing.deaths}"] if facts["whole_life"] else [])
        for standing in standings
    ]
    if facts["whole_life"]:
        header.append("deaths")
    title = (
        f"log-growth and trades per 1,000 ticks; Sharpe of {facts['bars_per_year']:g} bars a year; drawdowns are means"
    )
    return "\n".join([title, *aligned(header, rows)])


def _differences(differences: Sequence[Difference], entrants: int) -> str:
    few = [item for item in differences if entrants <= MANY or item.entrant == ALL]
    header = ["", "against", "difference", "95 % interval", "same sign", "improvement", "95 % interval"]
    rows = [
        [
            f"mean of {entrants}" if item.entrant == ALL else item.entrant,
            item.opponent,
            number(item.difference.estimate, SIGNED),
            _range(item.difference),
            number(item.sign_agreement, "{:.0%}"),
            number(item.improvement.estimate, "{:.2f}"),
            _range(item.improvement, "{:.2f}"),
        ]
        for item in few
    ]
    title = "paired differences in log-growth per 1,000 ticks on the same markets"
    if len(few) < len(differences):
        title += " (each entrant's own: --json or --csv)"
    return "\n".join([title, *aligned(header, rows)])


def _summary(found: Evaluation, facts: dict[str, Any]) -> str:
    chosen = facts["selection"]
    rows = {"interquartile mean": f"{number(found.iqm.estimate, SIGNED)}  {_range(found.iqm)}"}
    if (share := found.oracle_share) is not None:
        shown = f"undefined: {share.reason}"
        if share.estimate is not None:
            shown = f"{share.estimate:.0%}  {_range(share, '{:.0%}')}, growth over flat"
        rows["share of the oracle"] = shown
    rows["chosen"] = f"{chosen['entrants']} of {chosen['born']} agents ever born, all of whom count as trials"
    if chosen["eligible"] is not None:
        rows["chosen"] = (
            f"{chosen['entrants']} champions of {chosen['eligible']} learners that lived long enough, of "
            f"{chosen['traders']} that traded real money, of {chosen['born']} agents ever born (all count as trials)"
        )
    rows["intervals"] = f"{facts['resamples']} bootstrap resamples of whole markets"
    if undefined := next((s.growth.reason for s in found.standings if s.growth.reason), ""):
        rows["intervals"] = f"undefined: {undefined}"
    rows["versions"] = ", ".join(f"{name} {value}" for name, value in facts["versions"].items())
    rows["repeat"] = facts["command"]
    return "\n".join(f"{name:<21}{value}" for name, value in rows.items())


def _range(interval: Interval, form: str = SIGNED) -> str:
    return "undefined" if interval.low is None else span(interval.low, interval.high, form)
