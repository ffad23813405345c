"""The report of a tournament: who is better, where, how surely, and everything needed to repeat it."""

import json
from typing import Any, Final

import numpy as np

from lineage.contest import report_figures as draw
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
    page = Page(
        f"Tournament {facts['spec_sha256'][:12]}",
        [
            f"{len(found.players)} players, {len(found.worlds)} world{'s' * (len(found.worlds) > 1)}, seeds "
            f"{facts['first_seed']} to {facts['end_seed'] - 1}, {facts['ticks']:,} ticks a match, "
            f"format {facts['format']}, mixes {', '.join(facts['mixes'])}; {rules}.",
            f"{found.matches} matches lie behind every figure; a block is a world and a seed, and blocks are what "
            "intervals resample. Growth is the natural logarithm of capital per 1,000 ticks, net of costs.",
        ],
        warnings=_warnings(found),
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
    ranking = Section(f"{title}: standings", [_standings(league), _strengths(league), _growth(league)])
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


def _standings(league: League) -> TableOf:
    columns = ["player", "role", "strength", "95 %", "first", "growth (IQM)", "95 %", "drawdown", "trades/1,000",
               "invested", "deaths", "lives", "median life", "forfeits", "alpha-Rank", "best of"]  # fmt: skip
    s = league.strengths
    rows = [
        [row.name, row.role, draw.known(s.log_worth[row.player]), _range(s.low[row.player], s.high[row.player]),
         _share(s.best[row.player]), row.growth.estimate, _range(row.growth.low, row.growth.high),
         f"{row.drawdown:.1%}", row.trades, f"{row.invested:.0%}", row.deaths, row.lives, row.median_life,
         row.forfeits, league.alpha.get(row.name), row.behind]
        for row in league.rows
    ]  # fmt: skip
    return TableOf(columns, rows)


def _strengths(league: League) -> draw.Figure:
    s = league.strengths
    rows = [
        (row.name, draw.known(s.log_worth[row.player]), draw.known(s.low[row.player]), draw.known(s.high[row.player]))
        for row in league.rows
    ]
    caption = (f"Natural logarithm of the Plackett-Luce worth, mean 0, from {s.rankings} rankings (Hunter 2004); bars: "
               "95 % of the resamples of blocks within worlds. A gap of 1 means odds of e to 1.")  # fmt: skip
    return draw.intervals(f"strength_{league.name}", "Strength", caption, rows, "log-worth")


def _growth(league: League) -> draw.Figure:
    rows = [(row.name, row.growth.estimate, row.growth.low, row.growth.high) for row in league.rows]
    caption = "Interquartile mean over all blocks with its 95 % interval (Agarwal et al. 2021). "
    best = [row for row in league.rows if row.behind is not None]
    if best:
        caption += "; ".join(f"{row.name} is one of the best of {row.behind} agents ever born" for row in best) + "."
    return draw.intervals(f"growth_{league.name}", "Growth", caption, rows, "log-growth per 1,000 ticks")


def _capital(league: League, found: Table) -> list[Any]:
    blocks: list[Any] = []
    for row in league.rows[:MOST_PLAYERS]:
        mine = [cell for cell in found.cells if cell.result.player == row.player and cell.result.curve]
        dead = [cell for cell in mine if cell.result.died]
        # Evenly from all, the dead as often as they are: nobody is left out for having failed.
        picked = (
            [mine[at] for at in np.unique(np.linspace(0, len(mine) - 1, MOST_CURVES).round().astype(int))]
            if mine
            else []
        )
        lives = []
        for cell in picked:
            equity = np.frombuffer(cell.result.curve, dtype="<f4").astype(np.float64)
            ticks = cell.result.ticks if league.name == "frozen" else cell.result.rounds
            name = f"{cell.match_key} seat {cell.result.seat}"
            lives.append(draw.Life(name, np.linspace(0, ticks, len(equity)), equity, cell.result.died))
        caption = (
            f"{len(lives)} of {len(mine)} lives, {len(dead)} of which ended in death (red, a cross where it ended)."
        )
        label = "tick" if league.name == "frozen" else "round as a trader"
        blocks.append(draw.capital(f"capital_{league.name}_{row.player}", row.name, caption, lives, label))
    if len(league.rows) > MOST_PLAYERS:
        blocks.append(f"{len(league.rows) - MOST_PLAYERS} weaker players are not drawn.")
    return blocks


def _differences(league: League) -> Section:
    columns = [
        "player",
        "against",
        "difference",
        "95 %",
        "p",
        "p (Holm)",
        "separated",
        "improvement",
        "same sign",
        "blocks",
    ]
    rows = [
        [item.one, item.other, item.difference.estimate, _range(item.difference.low, item.difference.high),
         item.p_value, item.p_holm, "yes" if item.separated else "no", item.improvement.estimate,
         _share(item.sign_agreement), item.difference.n]
        for item in league.differences
    ]  # fmt: skip
    text = ("Growth of one less growth of the other in the same blocks. p: random signs of the differences, two-sided; "
            f"Holm 1979 corrects for all {len(rows)} comparisons. Improvement: the probability that one grows more "
            "than the other in blocks drawn independently.")  # fmt: skip
    return Section(f"{_TITLES[league.name]}: who differs from whom", [text, TableOf(columns, rows)])


def _survival(league: League) -> Section:
    curves = {row.name: league.survival[row.name] for row in league.rows[:8]}
    caption = "Kaplan-Meier, rounds; the number in brackets counts the lives. Who lived to the end is censored."
    figure = draw.steps(f"survival_{league.name}", "Survival", caption, curves, "rounds")
    rows = [[row.name, row.lives, row.deaths, row.growth.estimate, row.median_life] for row in league.rows]
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
    if interval is None or interval.estimate is None:
        return None
    spread = "" if interval.low is None or interval.high is None else f" ({interval.low:+.2f} to {interval.high:+.2f})"
    return f"{interval.estimate:+.2f}{spread}"


def _range(low: float | None, high: float | None) -> str | None:
    if low is None or high is None or not (np.isfinite(low) and np.isfinite(high)):
        return None
    return f"{low:+.2f} to {high:+.2f}"


def _share(value: float | None) -> str | None:
    return None if value is None or not np.isfinite(value) else f"{value:.0%}"
