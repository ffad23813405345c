"""The report of a tournament: who is better, where, how surely, and everything needed to repeat it."""

import json
from collections.abc import Callable
from typing import Any, Final

import numpy as np

from lineage.contest import report_figures as draw
from lineage.contest.report_findings import between, in_short
from lineage.contest.report_page import Code, Page, Section, TableOf
from lineage.contest.results import Results
from lineage.contest.statistics import Interval
from lineage.contest.tournament_table import League, Row, Table, table_of

MOST_CURVES: Final = 40
"""Capital curves drawn for one player."""

MOST_PLAYERS: Final = 12
"""Players whose capital curves are drawn."""

_TITLES: Final = {"frozen": "Frozen policies", "evolving": "Populations that live on"}


def page_of(results: Results) -> Page:
    """Return the report of a results file, finished or not."""
    found = table_of(results)
    facts = found.facts
    rules = "whole lives: living costs, scars and ruin" if facts["whole_life"] else "living costs, scars, deaths off"
    worlds = ", ".join(str(world["name"]) for world in found.worlds[:4])
    worlds += f" and {len(found.worlds) - 4} more" if len(found.worlds) > 4 else ""
    page = Page(
        f"Tournament: {len(found.players)} players in {worlds}",
        [
            f"{facts['format'].capitalize()}, mixes {', '.join(facts['mixes'])}; seeds {facts['first_seed']} to "
            f"{facts['end_seed'] - 1}, {facts['ticks']:,} ticks a match; {rules}. {found.matches:,} matches were "
            f"played. Specification {facts['spec_sha256'][:12]}.",
            "Growth is the natural logarithm of capital per 1,000 ticks, net of costs: +0.69 doubles it. A block is a "
            "world and a seed; intervals are 95 %, of blocks drawn again. Baselines take part in every tournament: "
            "whoever does not beat them has shown nothing.",
        ],
        warnings=_warnings(found),
    )
    page.sections.append(
        Section("In short", [f"{_TITLES[league.name]}: {in_short(league)}" for league in found.leagues])
    )
    for league in found.leagues:
        page.sections += _league(league, found)
    page.sections.append(_players(found))
    page.sections.append(_provenance(found, results))
    return page


def _warnings(found: Table) -> list[str]:
    lines = [f"Match {key} failed: {error}" for key, error in found.failed[:10]]
    if len(found.failed) > 10:
        lines.append(f"{len(found.failed) - 10} more matches failed.")
    for world in found.worlds:
        seeds = found.facts["end_seed"] - found.facts["first_seed"]
        if world["windows"] is not None and world["windows"] < seeds:
            lines.append(
                f"World {world['name']}: its tape holds {world['windows']} windows side by side; {seeds} overlap, "
                "so that its intervals are too narrow."
            )
    return lines


def _league(league: League, found: Table) -> list[Section]:
    title = _TITLES[league.name]
    ranking = Section(f"{title}: standings", [_standings(league, found), _strengths(league), _growth(league)])
    if league.strengths.reason:
        ranking.blocks.append(f"Strengths have no intervals: {league.strengths.reason}.")
    sections = [ranking]
    if len(found.worlds) > 1:
        names = [str(world["name"]) for world in found.worlds]
        rows = [[row.name, *(_words(row.by_world.get(name)) for name in names)] for row in league.rows]
        sections.append(Section(f"{title}: world by world", [TableOf(["player", *names], rows)]))
    sections.append(Section(f"{title}: capital", _capital(league, found)))
    if league.differences:
        sections.append(_differences(league))
    if league.survival:
        sections.append(_survival(league))
    return sections


def _standings(league: League, found: Table) -> TableOf:
    """Return the table of a league; columns that nobody has anything in are left out."""
    s = league.strengths
    mortal = bool(league.survival)
    columns: list[tuple[str, Callable[[Row], Any], bool]] = [
        ("player", lambda row: row.name, True),
        ("strength", lambda row: _figure(s.log_worth[row.player], s.low[row.player], s.high[row.player]), True),
        ("first in", lambda row: _share(s.best[row.player]), not s.reason),
        ("growth (IQM)", lambda row: _words(row.growth), True),
        ("drawdown", lambda row: f"{row.drawdown:.1%}", True),
        ("trades/1,000", lambda row: f"{row.trades:.1f}", True),
        ("invested", lambda row: f"{row.invested:.0%}", True),
        ("deaths", lambda row: f"{row.deaths:,} of {row.lives:,}", mortal),
        ("median life", lambda row: row.median_life, mortal),
        ("meetings won", lambda row: f"{row.points:g} of {row.meetings}", "pairs" in found.facts["mixes"]),
        ("forfeits", lambda row: row.forfeits, any(row.forfeits for row in league.rows)),
        ("alpha-Rank", lambda row: _share(league.alpha.get(row.name)), bool(league.alpha)),
        ("best of", lambda row: row.behind, any(row.behind is not None for row in league.rows)),
        ("role", lambda row: row.role, True),
    ]
    shown = [(name, cell) for name, cell, wanted in columns if wanted]
    return TableOf([name for name, _ in shown], [[cell(row) for _, cell in shown] for row in league.rows])


def _strengths(league: League) -> draw.Figure:
    s = league.strengths
    rows = [
        (row.name, draw.known(s.log_worth[row.player]), draw.known(s.low[row.player]), draw.known(s.high[row.player]))
        for row in league.rows
    ]
    caption = ("Further right is stronger; bars that do not overlap tell two players apart. Natural logarithm of the "
               f"Plackett-Luce worth, mean 0, from {s.rankings} rankings (Hunter 2004): a gap of 1 means odds of e to "
               "1. Bars: 95 % of the resamples of blocks within worlds. Grey: baselines.")  # fmt: skip
    return draw.intervals(f"strength_{league.name}", "Strength", caption, rows, "log-worth", _yardsticks(league))


def _yardsticks(league: League) -> set[str]:
    return {row.name for row in league.rows if row.role == "baseline"}


def _growth(league: League) -> draw.Figure:
    rows = [(row.name, row.growth.estimate, row.growth.low, row.growth.high) for row in league.rows]
    caption = ("Right of 0 capital grows. Interquartile mean over all blocks with its 95 % interval (Agarwal et al. "
               "2021). Grey: baselines. ")  # fmt: skip
    best = {row.behind: [one.name for one in league.rows if one.behind == row.behind] for row in league.rows}
    for behind, names in best.items():
        if behind is not None:
            caption += f"Chosen as the best of {behind:,} agents ever born: {', '.join(names)}. "
    label = "log-growth per 1,000 ticks"
    return draw.intervals(f"growth_{league.name}", "Growth", caption, rows, label, _yardsticks(league))


def _capital(league: League, found: Table) -> list[Any]:
    drawn = league.rows[:MOST_PLAYERS]
    lives = {row.player: _lives(row, league, found) for row in drawn}
    ends = np.array([(life.equity.min(), life.equity.max()) for group in lives.values() for life in group[1]])
    limits = None
    if len(ends):  # one scale for all, a little wider than what was seen
        limits = (max(draw.LOWEST, 0.93 * float(ends[:, 0].min())), 1.07 * float(ends[:, 1].max()))
    blocks: list[Any] = [
        "Capital over time, from one endowment; all pictures have the same scale. The lives drawn are taken evenly "
        "from all, the dead as often as they are: nobody is left out for having failed."
    ]
    label = "tick" if league.name == "frozen" else "round as a trader"
    for row in drawn:
        total, shown = lives[row.player]
        deaths = f"{row.deaths:,} of all ended in death (red, a cross where)" if row.deaths else "none ended in death"
        caption = f"{len(shown)} of {total:,} lives; {deaths}."
        blocks.append(draw.capital(f"capital_{league.name}_{row.player}", row.name, caption, shown, label, limits))
    if len(league.rows) > MOST_PLAYERS:
        blocks.append(f"{len(league.rows) - MOST_PLAYERS} weaker players are not drawn.")
    return blocks


def _lives(row: Row, league: League, found: Table) -> tuple[int, list[draw.Life]]:
    """Return how many lives a player had, and those that are drawn."""
    mine = [cell for cell in found.cells if cell.result.player == row.player and cell.result.curve]
    picked = np.unique(np.linspace(0, len(mine) - 1, min(MOST_CURVES, len(mine))).round().astype(int)).tolist()
    lives = []
    for cell in (mine[at] for at in picked):
        equity = np.frombuffer(cell.result.curve, dtype="<f4").astype(np.float64)
        end = cell.result.ticks if league.name == "frozen" else cell.result.rounds
        name = f"{cell.match_key} seat {cell.result.seat}"
        lives.append(draw.Life(name, np.linspace(0, end, len(equity)), equity, cell.result.died))
    return len(mine), lives


def _differences(league: League) -> Section:
    columns = ["player", "against", "difference", "p", "p (Holm)", "separated", "improvement", "same sign", "blocks"]
    rows = [
        [item.one, item.other, _words(item.difference), _p(item.p_value), _p(item.p_holm),
         "yes" if item.separated else "no", _share(item.improvement.estimate), _share(item.sign_agreement),
         item.difference.n]
        for item in league.differences
    ]  # fmt: skip
    text = ("Growth of one less growth of the other in the same blocks. p: random signs of the differences, two-sided; "
            f"Holm 1979 corrects for all {len(rows)} comparisons. Improvement: the probability that one grows more "
            "than the other in blocks drawn independently.")  # fmt: skip
    return Section(f"{_TITLES[league.name]}: who differs from whom", [text, TableOf(columns, rows)])


def _survival(league: League) -> Section:
    curves = {row.name: league.survival[row.name] for row in league.rows[:8]}
    caption = ("The lower a curve falls and the sooner, the more of its lives ended in death. Kaplan-Meier, in "
               "brackets the lives; who lived to the end is censored.")  # fmt: skip
    figure = draw.steps(f"survival_{league.name}", "Survival", caption, curves, "rounds")
    rows = [[row.name, row.lives, row.deaths, _words(row.growth), row.median_life] for row in league.rows]
    table = TableOf(["player", "lives", "deaths", "growth (IQM)", "median life, rounds"], rows)
    return Section(f"{_TITLES[league.name]}: who survives", ["Deaths beside returns: growth without the risk of ruin "
                                                             "flatters.", figure, table])  # fmt: skip


def _players(found: Table) -> Section:
    rows = [[p["name"], p["role"], p["about"], p["sha256"][:16]] for p in found.players]
    forfeits: list[Row] = [row for league in found.leagues for row in league.rows if row.forfeits]
    blocks: list[Any] = [TableOf(["player", "role", "what it is", "sha256"], rows)]
    if forfeits:
        lost = [[row.name, row.forfeits, row.why_forfeited] for row in forfeits]
        blocks += [
            "Forfeited matches count as lost; growth is that of the others.",
            TableOf(["player", "matches", "why"], lost),
        ]
    return Section("Who took part", blocks)


def _provenance(found: Table, results: Results) -> Section:
    facts, sessions = found.facts, results.sessions()
    rows = [
        ["specification (SHA-256)", facts["spec_sha256"]],
        ["limits of users' classes", json.dumps(facts["limits"])],
    ]
    rows += [[f"version: {name}", value] for name, value in facts["versions"].items()]
    for world in found.worlds:
        if world["tape_sha256"]:
            rows.append([f"tape of {world['name']} (SHA-256)", world["tape_sha256"]])
    rows += [
        [f"session {n}", f"{s['started_at']}, engine {s['engine']}, {s['jobs']} jobs"]
        for n, s in enumerate(sessions, 1)
    ]
    blocks: list[Any] = [TableOf(["", ""], rows)]
    if sessions and sessions[-1]["command"]:
        blocks += ["The command that plays it again, into a file of another name:", Code(sessions[-1]["command"])]
    if sessions and sessions[-1]["spec"]:
        blocks += ["The specification:", Code(sessions[-1]["spec"])]
    return Section("Provenance", blocks)


def _words(interval: Interval | None) -> str | None:
    return None if interval is None or interval.estimate is None else f"{interval.estimate:+.2f}{between(interval)}"


def _figure(value: float, low: float, high: float) -> str | None:
    if not np.isfinite(value):
        return None
    return f"{value:+.2f}" + (f" ({low:+.2f} to {high:+.2f})" if np.isfinite(low) else "")


def _p(value: float | None) -> str | None:
    return None if value is None else f"{value:.4f}" if value >= 0.00005 else "< 0.0001"


def _share(value: float | None) -> str | None:
    return None if value is None or not np.isfinite(value) else f"{value:.0%}"
