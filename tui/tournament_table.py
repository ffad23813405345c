"""A tournament's findings as text, JSON and CSV."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, Final

import numpy as np

from lineage.contest.results import Results
from lineage.contest.statistics import Interval
from lineage.contest.tournament_table import Difference, League, Row, Table
from tui.columns import aligned, number, span
from tui.tables import Sheet

_TITLES: Final = {
    "frozen": "frozen policies: they neither learn nor pay for their lives",
    "evolving": "populations that live on: they learn, pay for their lives, breed and die; growth per agent and tick",
}


def text(found: Table) -> str:
    """Return all tables and what they rest on."""
    blocks = [_heading(found)]
    for league in found.leagues:
        blocks.append("\n".join(_standings(league, found)))
        if len(found.worlds) > 1:
            blocks.append("\n".join(_worlds(league, found)))
        if league.differences:
            blocks.append("\n".join(_differences(league)))
    blocks.append("\n".join(_notes(found)))
    return "\n\n".join(blocks)


def _heading(found: Table) -> str:
    facts = found.facts
    rules = "whole lives: living costs, scars, ruin" if facts["whole_life"] else "living costs, scars and deaths off"
    played = len(found.blocks)
    return (
        f"{facts['format']} tournament, mixes {', '.join(facts['mixes'])}: {len(found.players)} players, "
        f"{len(found.worlds)} worlds, seeds {facts['first_seed']}:{facts['end_seed']}, {facts['ticks']:,} ticks\n"
        f"{found.matches} matches in {played} blocks of a world and a seed; {rules}"
    )


def _standings(league: League, found: Table) -> list[str]:
    mortal = bool(league.survival)
    columns = ["", "strength", "95 % interval", "first", "growth", "95 % interval", "drawdown", "trades", "invested"]
    columns += ["deaths", "median life"] if mortal else []
    columns += ["meetings won"] if "pairs" in found.facts["mixes"] else []
    columns += ["forfeits", "alpha-rank"]
    rows = []
    for row in league.rows:
        s, at = league.strengths, row.player
        cells: list[Any] = [
            f"{row.name}{' *' if row.role == 'baseline' else ''}", number(s.log_worth[at]),
            span(s.low[at], s.high[at]), number(s.best[at], "{:.0%}"), number(row.growth.estimate),
            span(row.growth.low, row.growth.high), f"{row.drawdown:.1%}", f"{row.trades:.1f}", f"{row.invested:.0%}",
        ]  # fmt: skip
        cells += [f"{row.deaths} of {row.lives}", number(row.median_life, "{:g}")] if mortal else []
        cells += [f"{row.points:g} of {row.meetings}"] if "pairs" in found.facts["mixes"] else []
        cells += [row.forfeits or "-", number(league.alpha.get(row.name), "{:.2f}")]
        rows.append(cells)
    return [_TITLES[league.name], *aligned(columns, rows)]


def _worlds(league: League, found: Table) -> list[str]:
    names = [str(world["name"]) for world in found.worlds]
    rows = [
        [row.name, *(_with(row.by_world[name]) if name in row.by_world else "-" for name in names)]
        for row in league.rows
    ]
    return ["mean log-growth per 1,000 ticks, by world", *aligned(["", *names], rows)]


def _differences(league: League) -> list[str]:
    names = [row.name for row in league.rows]
    near = [item for item in league.differences if _is_next(item, names)]
    rows = [
        [item.one, item.other, number(item.difference.estimate), span(item.difference.low, item.difference.high),
         number(item.p_holm, "{:.3f}"), "yes" if item.separated else "no",
         number(item.improvement.estimate, "{:.2f}")]
        for item in near
    ]  # fmt: skip
    columns = ["", "against the next", "difference", "95 % interval", "p (Holm)", "separated", "improvement"]
    title = f"paired differences in growth, each with the next; all {len(league.differences)}: --json or --csv"
    return [title, *aligned(columns, rows, ("", "against the next", "separated"))]


def _is_next(item: Difference, names: Sequence[str]) -> bool:
    return names.index(item.other) - names.index(item.one) == 1


def _notes(found: Table) -> list[str]:
    lines = [
        "strength: Plackett-Luce, logarithm, mean 0; first: share of the resamples in which it is the strongest;",
        "growth: interquartile mean of log-growth per 1,000 ticks; * baseline; the oracle sees the true drift",
    ]
    for league in found.leagues:
        if league.strengths.reason:
            lines.append(f"no intervals of the strengths of {league.name}: {league.strengths.reason}")
        for row in league.rows:
            if row.forfeits:
                lines.append(f"{row.name} forfeited {row.forfeits} matches: {row.why_forfeited}")
            if row.behind is not None:
                lines.append(f"{row.name}: {row.about}")
    for world in found.worlds:
        seeds = found.facts["end_seed"] - found.facts["first_seed"]
        if world["windows"] is not None and world["windows"] < seeds:
            held = f"the tape holds {world['windows']} windows side by side, {seeds} overlap"
            lines.append(f"world {world['name']}: {held}: intervals are too narrow")
    lines += [f"failed: {key}: {error}" for key, error in found.failed[:5]]
    return lines


def plain(found: Table, results: Results) -> dict[str, Any]:
    """Return everything as plain values; what is undefined is null."""
    return {
        "tournament": found.facts,
        "worlds": [{name: row[name] for name in ("name", "tape_sha256", "windows")} for row in found.worlds],
        "players": found.players,
        "matches": found.matches,
        "failed": [{"match": key, "error": error} for key, error in found.failed],
        "leagues": [_plain_league(league, found) for league in found.leagues],
        "sessions": results.sessions(),
    }


def _plain_league(league: League, found: Table) -> dict[str, Any]:
    s = league.strengths
    return {
        "league": league.name,
        "rankings": s.rankings,
        "standings": [asdict(row) | _strength(league, row) for row in league.rows],
        "differences": [asdict(item) | {"separated": item.separated} for item in league.differences],
        "beats": {
            row.name: {other.name: _finite(s.beats[row.player, other.player]) for other in league.rows}
            for row in league.rows
        },
        "growth_by_block": [
            {"world": world, "seed": seed}
            | {row.name: _finite(league.growth[number, row.player]) for row in league.rows}
            for number, (world, seed) in enumerate(found.blocks)
        ],
        "survival": {
            name: {
                "rounds": curve.time.tolist(),
                "at_risk": curve.at_risk.tolist(),
                "survival": curve.survival.tolist(),
            }
            for name, curve in league.survival.items()
        },
    }


def _strength(league: League, row: Row) -> dict[str, Any]:
    s, at = league.strengths, row.player
    return {
        "strength": {"estimate": _finite(s.log_worth[at]), "low": _finite(s.low[at]), "high": _finite(s.high[at])},
        "first": _finite(s.first[at]),
        "strongest_in_resamples": _finite(s.best[at]),
        "alpha_rank": league.alpha.get(row.name),
    }


def figures(found: Table) -> Sheet:
    """Return one row a figure: league, player, other, world, measure, value, low, high, n."""
    rows: list[Sequence[Any]] = []
    for league in found.leagues:
        s = league.strengths
        for row in league.rows:
            at, one = row.player, (league.name, row.name, "")
            rows.append((*one, "", "strength", s.log_worth[at], s.low[at], s.high[at], s.rankings))
            rows.append((*one, "", "growth_iqm", *_bounds(row.growth)))
            rows += [(*one, world, "growth_mean", *_bounds(interval)) for world, interval in row.by_world.items()]
            for measure in ("lives", "deaths", "median_life", "forfeits", "trades", "invested", "drawdown", "behind"):
                rows.append((*one, "", measure, getattr(row, measure), "", "", ""))
        for item in league.differences:
            pair = (league.name, item.one, item.other, "")
            rows.append((*pair, "difference", *_bounds(item.difference)))
            rows.append((*pair, "improvement", *_bounds(item.improvement)))
            rows.append((*pair, "p_holm", item.p_holm, "", "", item.difference.n))
    return Sheet(("league", "player", "other", "world", "measure", "value", "low", "high", "n"), rows)


def _bounds(interval: Interval) -> list[Any]:
    return [interval.estimate, interval.low, interval.high, interval.n]


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _with(interval: Interval) -> str:
    spread = "" if interval.low is None or interval.high is None else f" ({interval.low:+.2f} to {interval.high:+.2f})"
    return f"{number(interval.estimate)}{spread}"
