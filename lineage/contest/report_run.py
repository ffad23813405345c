"""The report of a run: who lived, learned, bred and died, how surely it is more than luck, and how to repeat it."""

import io
import json
import shlex
import sqlite3
from pathlib import Path
from typing import Any, Final

import numpy as np

from arena.errors import ArenaError
from lineage.ask import picture, picture_svg
from lineage.ask.lives import Lives, read_lives
from lineage.ask.neutral import neutral_test
from lineage.ask.reading import snapshot
from lineage.ask.survival import survival_by, survival_curve
from lineage.contest import champions
from lineage.contest import report_figures as draw
from lineage.contest.outcomes import excess_growth
from lineage.contest.report_page import Code, Page, Section, TableOf
from lineage.record.leaves import is_closed

MOST_CURVES: Final = 150
"""Capital curves that are drawn."""

PICTURE_ROWS: Final = 250
"""Agents in the picture of the family tree."""

BAND_ROUNDS: Final = 20
"""Rounds of age that a point of the learning curve covers."""

_RUN: Final = "SELECT run_id, seed, scenario, config_json, versions_json, inputs_json, genesis FROM run"
_HEAD: Final = "SELECT head, root, round FROM round ORDER BY round DESC LIMIT 1"
_SESSIONS: Final = "SELECT started_at, device, threads, python, torch, numpy, package FROM session ORDER BY session_id"
_SERIES: Final = (
    "SELECT round, sum(status = 1), sum(status = 2), avg(CASE WHEN status = 2 THEN equity END), avg(loss),"
    " avg(td_error), avg(entropy), avg(q_mean) FROM agent_round GROUP BY round ORDER BY round"
)
_VITALS: Final = (
    (5, "td_error", "Surprise", "|TD error|, in rewards",
     "How far predictions are off: it rises when the market or the stakes change, and falls with learning."),
    (6, "entropy", "Indecision", "entropy of the actions taken, 1: uniform",
     "Falls as learners make up their minds; near 0 they do the same whatever they see."),
)  # fmt: skip
"""(column of _SERIES, name, title, axis, what to see)"""

_CURVE: Final = "SELECT round, equity FROM agent_round WHERE agent_id = ? AND status IN (2, 3) ORDER BY round"
_CAUSES: Final = (
    "SELECT json_extract(payload, '$.cause'), count(*) FROM event WHERE kind = 'death' GROUP BY 1 ORDER BY 2 DESC"
)
_KINDS: Final = (
    "SELECT json_extract(payload, '$.scar_kind'), json_extract(payload, '$.severity'), count(*) FROM event"
    " WHERE kind = 'scar' GROUP BY 1, 2 ORDER BY 3 DESC"
)
_MINDS: Final = "SELECT mind, count(*) FROM agent GROUP BY mind ORDER BY 2 DESC"


def page_of(connection: sqlite3.Connection, directory: Path) -> Page:
    """Return the report of a run, finished or not. Raises ConfigError while no round is recorded."""
    with snapshot(connection):
        lives = read_lives(connection)
        run_id, seed, scenario = connection.execute(_RUN).fetchone()[:3]
        closed = is_closed(connection)
        n, rounds = len(lives.tree), int(lives.tree.present) + 1
        heirs = int((lives.tree.parent >= 0).sum())
        state = "finished" if closed else "not finished yet"
        page = Page(
            f"Run {run_id}: {scenario}, seed {seed}",
            [
                f"{rounds} rounds, {state}. {n} agents were ever born, {heirs} of them children of others; "
                f"{int((~lives.tree.extant).sum())} died, {int(lives.tree.extant.sum())} live. "
                f"{int(lives.graduated.sum())} ever traded real money.",
                "Nothing in a run is reset, nobody comes back; every best-of below says from how many it was chosen.",
            ],
        )
        page.sections = [
            _population(connection, lives), _capital(connection, lives), _best(connection, lives),
            _learning(connection), _survival(lives), _family(connection, lives, f"Lineages of run {run_id}"),
            _luck(lives), _causes(connection), _provenance(connection, directory),
        ]  # fmt: skip
    return page


def _population(connection: sqlite3.Connection, lives: Lives) -> Section:
    series = np.array(connection.execute(_SERIES).fetchall(), dtype=np.float64)  # [R,8]; NULL becomes NaN
    rounds = series[:, 0]
    died = np.bincount(lives.tree.destruction_time[~lives.tree.extant].astype(int), minlength=int(rounds[-1]) + 1)
    born = np.bincount(lives.tree.origin_time.astype(int), minlength=int(rounds[-1]) + 1)
    alive = draw.lines(
        "population", "Population",
        "Where the blue line holds while the others climb, the dead are replaced. Agents at each round's end; born and "
        "died are totals so far.",
        [
            draw.Line("trading", rounds, series[:, 2]), draw.Line("on paper", rounds, series[:, 1]),
            draw.Line("born so far", rounds, np.cumsum(born)[rounds.astype(int)]),
            draw.Line("died so far", rounds, np.cumsum(died)[rounds.astype(int)]),
        ],
        "round", "agents",
    )  # fmt: skip
    return Section("Population", [alive])


def _capital(connection: sqlite3.Connection, lives: Lives) -> Section:
    rows = np.flatnonzero(lives.graduated)
    if not len(rows):
        return Section("Capital", ["Nobody has traded real money yet."])
    picked = rows[np.unique(np.linspace(0, len(rows) - 1, MOST_CURVES).round().astype(int))]
    curves = []
    for row in picked.tolist():
        agent = int(lives.tree.ids[row])
        found = np.array(connection.execute(_CURVE, (agent,)).fetchall(), dtype=np.float64).reshape(-1, 2)
        found = found[np.isfinite(found[:, 1])]
        if not len(found):
            continue
        keep = np.unique(np.linspace(0, len(found) - 1, 60).round().astype(int))
        equity = found[keep, 1] / float(lives.endowment[row])
        curves.append(draw.Life(f"{lives.tree.name(row)}-{agent}", found[keep, 0], equity, not lives.tree.extant[row]))
    dead = int((~lives.tree.extant[rows]).sum())
    caption = (f"Above 1 an agent has more than it was given. {len(curves)} of the {len(rows)} agents that traded real "
               f"money, evenly by birth; {dead} of all died (red, a cross at the end). Endowments paid to children "
               "lower a curve.")  # fmt: skip
    title = "Capital, the dead included"
    return Section(title, [draw.capital("capital", title, caption, curves, "round")])


def _best(connection: sqlite3.Connection, lives: Lives) -> Section:
    try:
        chosen = champions.select(connection, 10)
    except ArenaError as reason:
        why = str(reason).removeprefix("champions: ").partition(";")[0]  # its cure is for other commands
        return Section("Champions", [f"There are none: {why}."])
    rows = []
    for champion in chosen.champions:
        row = lives.tree.row(champion.agent_id)
        fate = "lives" if lives.tree.extant[row] else f"died in round {lives.tree.destruction_time[row]:g}"
        rows.append([f"{lives.tree.name(row)}-{champion.agent_id}", champion.score, champion.rounds,
                     int(lives.tree.depth[row]), int(lives.offspring[row]), int(lives.damage[row]), fate])  # fmt: skip
    text = (f"The best {len(rows)} of {chosen.eligible} learners that traded for {champions.MIN_ROUNDS} rounds, of "
            f"{chosen.traders} that ever traded, of {chosen.born} agents ever born: being the best of so many is "
            "partly luck. Score: mean log-growth a round above the median of the same market and round. "
            "`evaluate` plays them on markets that they never saw.")  # fmt: skip
    columns = ["agent", "score", "rounds", "generation", "children", "damage", "fate"]
    return Section("Champions", [text, TableOf(columns, rows)])


def _learning(connection: sqlite3.Connection) -> Section:
    blocks: list[Any] = []
    excess = excess_growth(connection)
    lines = []
    for name, mine in (("founders", excess.depth == 0), ("heirs", excess.depth > 0)):
        band = excess.since[mine] // BAND_ROUNDS
        x, y, low, high = [], [], [], []
        for number in np.unique(band).tolist():
            values = excess.growth[mine][band == number]
            if len(values) >= 20:
                error = 1.96 * float(values.std(ddof=1)) / np.sqrt(len(values))
                x.append((number + 0.5) * BAND_ROUNDS)
                y.append(float(values.mean()))
                low.append(y[-1] - error)
                high.append(y[-1] + error)
        if x:
            lines.append(draw.Line(name, *(np.array(part) for part in (x, y, low, high))))
    if lines:
        caption = ("Where heirs lie above founders, learning is inherited; above 0 they beat their market. Mean "
                   f"log-growth a round above the market's own return, by rounds since graduation ({BAND_ROUNDS} "
                   "a point); bands: 1.96 standard errors over agent-rounds, somewhat narrow.")  # fmt: skip
        blocks.append(draw.lines("learning", "Growth with age", caption, lines, "rounds since graduation",
                                 "log-growth a round", zero=True))  # fmt: skip
    series = np.array(connection.execute(_SERIES).fetchall(), dtype=np.float64)
    for column, name, title, label, sight in _VITALS:
        known = np.isfinite(series[:, column])
        if known.any():
            line = draw.Line(name, series[known, 0], series[known, column])
            caption = f"{sight} Mean over the learners of each round."
            blocks.append(draw.lines(name, title, caption, [line], "round", label))
    return Section("Learning", blocks or ["Nobody has learned anything yet."])


def _survival(lives: Lives) -> Section:
    if not lives.graduated.any():
        return Section("Survival", ["Nobody has traded real money yet."])
    curves = {"all": survival_curve(lives)}
    by = survival_by(lives, lives.tree.depth, (0, 1, 2, 3))
    curves |= {f"generation {name}": curve for name, curve in by.items()} if len(by) > 1 else {}
    caption = "The lower a curve, the fewer survive. Kaplan-Meier since graduation, in brackets the lives; who lives "
    caption += "on is censored. "
    caption += "Bands: 95 % (Greenwood)." if len(curves) <= draw.BANDED else "Intervals are in the CSV."
    median = curves["all"].median()
    words = f"{median.value:g} rounds" if median.value is not None else f"undefined: {median.reason}"
    figure = draw.steps("survival", "Survival", caption, curves, "rounds since graduation")
    return Section("Survival", [f"Median life as a trader: {words}.", figure])


def _family(connection: sqlite3.Connection, lives: Lives, title: str) -> Section:
    layout = picture.arrange(lives.tree, PICTURE_ROWS)
    buffer = io.BytesIO()
    picture_svg.write_svg(lives.tree, layout, picture.read_marks(connection, lives.tree, layout.rows), title, buffer)
    tree = lives.tree
    points: list[draw.Point] = [
        (tree.name(row), int(tree.ids[row]), float(tree.origin_time[row]),
         float(tree.ids[tree.parent[row]]) if tree.parent[row] >= 0 else None,
         draw.known(float(tree.destruction_time[row])))
        for row in layout.rows
    ]  # fmt: skip
    caption = (f"{len(layout.rows)} of {len(tree)} agents, the largest clans first; lines are lives, ticks are scars. "
               "In the CSV: x agent, y birth, low parent, high death.")  # fmt: skip
    return Section("Lineages", [draw.Figure("lineages", "Family tree", caption, buffer.getvalue(), points, wide=True)])


def _luck(lives: Lives) -> Section:
    test = neutral_test(lives.tree, lives.graduation)
    if not test.births:
        return Section("More than luck?", ["No heir was born, so that there is nothing to compare with chance."])
    order = np.lexsort((test.founder, -test.observed))[:12].tolist()
    rows = [
        (lives.tree.name(int(test.founder[at])), float(test.observed[at]), float(test.expected[at]),
         float(test.low[at]), float(test.high[at]))
        for at in order
    ]  # fmt: skip
    caption = ("A point right of its grey bar: more heirs than luck gives. Heirs of the 12 clans with most, against "
               f"{test.replicates} histories with the same births and deaths "
               "in which each parent is drawn from all who could have been one.")  # fmt: skip
    figure = draw.bars("neutral", "The neutral null", caption, rows, "heirs ever born")
    table = TableOf(
        ["clan", "heirs", "expected", "p", "p (Holm)"],
        [[name, observed, expected, float(test.p_value[at]), float(test.p_adjusted[at])]
         for (name, observed, expected, *_), at in zip(rows, order, strict=True)],
    )  # fmt: skip
    text = f"A largest clan as large as this one comes by luck alone with p = {test.largest_p:.3g}."
    return Section("More than luck?", [text, figure, table])


def _causes(connection: sqlite3.Connection) -> Section:
    deaths = connection.execute(_CAUSES).fetchall()
    scars = connection.execute(_KINDS).fetchall()
    return Section(
        "Deaths and scars",
        [TableOf(["cause of death", "agents"], deaths), TableOf(["scar", "severity", "times"], scars),
         TableOf(["mind", "born"], connection.execute(_MINDS).fetchall())],
    )  # fmt: skip


def _provenance(connection: sqlite3.Connection, directory: Path) -> Section:
    run_id, seed, scenario, _, version_text, inputs, genesis = connection.execute(_RUN).fetchone()
    head, root, last = connection.execute(_HEAD).fetchone()
    rows = [["run", run_id], ["scenario", scenario], ["seed", str(seed)], ["rounds", str(last + 1)],
            ["genesis", genesis], ["head of the last round", head], ["root of the last round", root]]  # fmt: skip
    rows += [[f"version: {name}", value] for name, value in json.loads(version_text).items()]
    rows += [[f"input: {name}", str(value)] for name, value in json.loads(inputs).items()]
    for number, (at, device, threads, *builds) in enumerate(connection.execute(_SESSIONS), 1):
        libraries = ", ".join(
            f"{name} {value}" for name, value in zip(("python", "torch", "numpy", "lineage-arena"), builds, strict=True)
        )
        rows.append([f"session {number}", f"{at}, {device}, {threads} threads, {libraries}"])
    return Section(
        "Provenance",
        [TableOf(["", ""], rows), "The commands that make this history again, and that prove this one untouched:",
         Code("\n".join(commands(connection, directory)))],
    )  # fmt: skip


def commands(connection: sqlite3.Connection, directory: Path) -> list[str]:
    """Return the command that makes the same history again, and the one that verifies this one."""
    (_, seed, _, config_text, *_) = connection.execute(_RUN).fetchone()
    config = json.loads(config_text)
    again = ["lineage-arena", "run", "--config", str(directory / "config.toml"), "--seed", str(seed)]
    if config["market"].get("tape_name"):
        again += ["--tape", str(directory / config["market"]["tape_name"])]
        again += ["--skip-bad"] if config["market"].get("tape_skip_bad") else []
    again += ["--out", f"{directory}-again"]
    return [shlex.join(again), shlex.join(["lineage-arena", "verify", str(directory)])]


def metrics(connection: sqlite3.Connection) -> list[dict[str, float | int | None]]:
    """Return one row a round: what JSON lines and TensorBoard get."""
    names = ("round", "apprentices", "trading", "mean_equity", "loss", "td_error", "entropy", "q_mean")
    return [dict(zip(names, row, strict=True)) for row in connection.execute(_SERIES)]
