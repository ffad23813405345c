"""The live view of a run in this process: market, population, events, learning, where the time goes.

Everything here reads the world between two rounds and changes nothing in it. Drawing is plain text in
fixed lines, so that no name or number can be taken for markup.
"""

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Self

import numpy as np
from rich.console import Console, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from arena.body.state import APPRENTICE, TRADING
from lineage.record.events import Event
from tui.clans import ClanNames

if TYPE_CHECKING:
    from lineage.engine import Engine
    from lineage.world import World

BLOCKS = " ▁▂▃▄▅▆▇█"
FRAMES_PER_SECOND = 8.0
WIDE = 130  # columns from which events and learning stand beside the population

COLUMNS = (
    ("agent", 6), ("clan", -22), ("gen", 3), ("age", 4), ("equity", 9), ("draw", 5), ("damage", 6), ("won", 7),
    ("kids", 4),
)  # fmt: skip
"""Population columns and their widths, negative for left-aligned; `_agent_line` follows them."""

Lines = list[Text]


def chart(values: Sequence[float], width: int, height: int) -> list[str]:
    """Return the last `width` values as `height` lines of block characters, scaled to their range."""
    shown = np.asarray(list(values)[-width:], dtype=np.float64)
    if len(shown) == 0 or width < 1:
        return [""] * height
    low, high = float(shown.min()), float(shown.max())
    levels = np.full(len(shown), 0.5) if high == low else (shown - low) / (high - low)
    eighths = np.round(levels * (8 * height - 1)).astype(int) + 1  # at least one eighth, so the line never breaks
    return ["".join(BLOCKS[min(max(value - 8 * row, 0), 8)] for value in eighths) for row in reversed(range(height))]


def headline(text: str, width: int) -> Text:
    """Return a section's title over the full width."""
    return Text(f"── {text} ".ljust(width, "─"), style="bold cyan", no_wrap=True)


def line(text: str, style: str = "") -> Text:
    """Return one unwrapped line; characters that would move the cursor are dropped."""
    return Text("".join(char for char in text if char.isprintable()), style=style, no_wrap=True, overflow="crop")


def describe(event: Event) -> tuple[str, str]:
    """Return an event in words, and its colour."""
    say, who = event.payload, f"agent {event.agent_id}"
    if event.kind == "birth":
        return f"{who} is born", "green"
    if event.kind == "death":
        return f"{who} dies, {say['cause']}, age {say['age_rounds']}, damage {say['damage']}", "red"
    if event.kind == "scar":
        return f"{who} scarred, {say['severity']} {say['scar_kind']}, damage {say['total_damage']}", "yellow"
    if event.kind == "graduation":
        return f"{who} graduates to real money", "cyan"
    if event.kind == "spawn":
        return f"{who} gives birth to agent {say['child']}", "green"
    if event.kind == "immigration":
        return f"agent {say['child']} arrives, paid by the {say['payer']}", "green"
    return f"{event.kind} {'' if event.agent_id is None else who}", ""


def market_lines(world: "World", width: int, height: int) -> Lines:
    """Return the price of market 0 as a chart with its range."""
    closes = list(world.closes)
    if not closes:
        return [headline("market", width), *[line("") for _ in range(height)]]
    room = max(8, width - 11)
    step = -(-len(closes) // room)
    shown = closes[::-step][::-1]  # evenly spaced, ending on the newest
    labels = [f"{max(shown):10.2f} ", *["" for _ in range(height - 2)], f"{min(shown):10.2f} "]
    rows = [
        line(f"{label:>11}{row}")
        for label, row in zip(labels[:height], chart(shown, room, height), strict=True)
    ]
    markets = world.config.arena.markets
    more = f", the first of {markets}" if markets > 1 else ""
    change = f"{closes[-1]:.2f}, {100.0 * (closes[-1] / shown[0] - 1.0):+.1f} % in {step * (len(shown) - 1)} ticks"
    return [headline(f"market: {world.config.market.source}{more}: {change}", width), *rows]


def population_lines(world: "World", names: ClanNames, width: int, height: int) -> Lines:
    """Return the richest of the living, traders before apprentices, one a line."""
    bodies = world.bodies
    living = np.flatnonzero(world.arena.living())
    order = np.lexsort((bodies.agent_id[living], -bodies.equity[living], bodies.status[living] == APPRENTICE))
    top = living[order][: max(0, height - 2)]
    title = f"population: {len(living)} alive, the first {len(top)} by equity" if len(living) else "population: nobody"
    head = " ".join(f"{name:>{size}}" if size > 0 else f"{name:<{-size}}" for name, size in COLUMNS)
    rows = [headline(title, width), line(head, "bold")]
    clans = names.of([world.family[int(bodies.agent_id[seat])].founder for seat in top])
    for seat, clan in zip(top, clans, strict=True):
        rows.append(_agent_line(world, int(seat), clan))
    return rows + [line("") for _ in range(height - len(rows))]


def _agent_line(world: "World", seat: int, clan: str) -> Text:
    bodies = world.bodies
    agent_id = int(bodies.agent_id[seat])
    paper = bodies.status[seat] == APPRENTICE
    won = f"{bodies.won_trades[seat]}/{bodies.closed_trades[seat]}" if not paper else "paper"
    damage = int(bodies.damage[seat])
    text = (
        f"{agent_id:>6} {clan[:22]:<22} {world.family[agent_id].depth:>3} {bodies.age_rounds[seat]:>4} "
        f"{bodies.equity[seat]:>9,.0f} {100.0 * bodies.drawdown[seat]:>4.0f}% {damage:>6} {won:>7} "
        f"{bodies.offspring[seat]:>4}"
    )
    style = "dim" if paper else "red" if damage >= 50 else "yellow" if damage >= 20 else ""
    return line(text, style)


def event_lines(world: "World", width: int, height: int) -> Lines:
    """Return the newest events in words, the newest first."""
    rows = [headline("events", width)]
    for event in list(world.recent_events)[::-1][: height - 1]:
        text, style = describe(event)
        rows.append(line(f"{event.tick // world.config.arena.ticks_per_round:>5}  {text}"[:width], style))
    return rows + [line("") for _ in range(height - len(rows))]


def learning_lines(world: "World", width: int) -> Lines:
    """Return how far the minds are: updates, exploration, memory, genes under selection."""
    minds = world.minds
    learners = np.flatnonzero(minds.kind == 0)
    rows = [headline("learning", width)]
    if len(learners) == 0:
        return [*rows, line("no learners are alive"), line(""), line("")]
    genes = _genes(world, learners)
    fill = float(np.mean(minds.replay.filled[learners] / minds.replay.capacity))
    exploring = 100.0 * float(minds.epsilon()[learners].mean())
    trading = world.bodies.status == TRADING
    growth = np.log(np.maximum(world.bodies.equity[trading], 1.0) / world.config.body.endowment)
    mean_growth = f"{float(growth.mean()):+.3f}" if len(growth) else "none yet"
    return [
        *rows,
        line(f"updates {world.counts['updates']:,}   exploring {exploring:.0f} %   memory {100 * fill:.0f} % full"),
        line(f"median gamma {genes['gamma']:.3f}   median learning rate {genes['learning_rate']:.1e}"),
        line(f"mean log wealth of those who trade real money {mean_growth}"),
    ]


def _genes(world: "World", learners: np.ndarray) -> dict[str, float]:
    from agents.genome import GENES

    return {
        name: float(np.median(world.minds.genes[learners, GENES.index(name)])) for name in ("gamma", "learning_rate")
    }


def phase_line(world: "World", width: int) -> Text:
    """Return where the time goes, in percent by phase."""
    total = sum(world.phase_seconds.values())
    if total <= 0.0:
        return line("time")
    parts = [f"{name} {100.0 * seconds / total:.0f} %" for name, seconds in world.phase_seconds.items()]
    return line(f"time  {'  '.join(parts)}"[:width], "dim")


def header_lines(engine: "Engine", rate: float, width: int) -> Lines:
    """Return what runs, how far it is, and how many live."""
    world, config = engine.world, engine.world.config
    census = world.census()
    alive = census["trading"] + census["apprentices"]
    left = engine.rounds_total - engine.rounds_done
    eta = f"{left / rate:,.0f} s left" if rate > 0.0 else "starting"
    done = f"round {engine.rounds_done}/{engine.rounds_total}   {rate:.1f} rounds/s   {eta}"
    depth = world.counts["deepest"] + 1
    generations = f"{depth} generation{'s' if depth > 1 else ''}"
    return [
        line(f"lineage-arena   {config.scenario}   seed {world.seed}   {done}"[:width], "bold"),
        line(
            f"{alive} alive ({census['apprentices']} on paper)   {world.counts['birth']} born   "
            f"{world.counts['death']} died   {world.counts['scar']} scars   {generations}"[:width]
        ),
    ]


def picture(engine: "Engine", names: ClanNames, rate: float, width: int, height: int) -> RenderableType:
    """Return the whole view for a terminal of width x height characters."""
    world = engine.world
    head = header_lines(engine, rate, width)
    foot = phase_line(world, width)
    chart_rows = 3 if height < 30 else 6
    body = max(8, height - len(head) - 2)
    if width >= WIDE:
        left = width * 3 // 5
        rest = body - chart_rows - 1
        first = market_lines(world, left, chart_rows) + population_lines(world, names, left, rest)
        second = learning_lines(world, width - left - 2)
        second = event_lines(world, width - left - 2, body - len(second)) + second
        grid = Table.grid(padding=(0, 2, 0, 0))
        grid.add_column(width=left, no_wrap=True)
        grid.add_column(width=width - left - 2, no_wrap=True)
        for one, two in zip(first, second, strict=True):
            grid.add_row(one, two)
        return _stack([*head, grid, foot])
    learning = learning_lines(world, width)
    events = max(3, (body - chart_rows - len(learning)) // 3)
    rest = body - chart_rows - 1 - len(learning) - events
    return _stack(
        [*head, *market_lines(world, width, chart_rows), *population_lines(world, names, width, rest),
         *event_lines(world, width, events), *learning, foot]
    )  # fmt: skip


def _stack(rows: Sequence[RenderableType]) -> RenderableType:
    from rich.console import Group

    return Group(*rows)


class LiveView:
    """Draws the picture on stderr while a run goes on, at most some times a second."""

    def __init__(self, engine: "Engine", console: Console | None = None) -> None:
        self._console = console or Console(stderr=True)
        self._names = ClanNames(engine.directory)
        self._live = Live(console=self._console, auto_refresh=False, screen=False, transient=False)
        self._began = self._drawn = time.monotonic()
        self._first_round = engine.rounds_done

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *raised: object) -> None:
        self._live.stop()
        self._names.close()

    def on_round(self, engine: "Engine") -> None:
        """Draw, unless the last picture is too fresh; the last round is always drawn."""
        now = time.monotonic()
        last = engine.rounds_done == engine.rounds_total
        if now - self._drawn < 1.0 / FRAMES_PER_SECOND and not last:
            return
        self._drawn = now
        rate = (engine.rounds_done - self._first_round) / max(now - self._began, 1e-9)
        width, height = self._console.size
        self._live.update(picture(engine, self._names, rate, width, height), refresh=True)
